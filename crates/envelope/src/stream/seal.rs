//! How is a stream sealed?

use zeroize::Zeroizing;

use super::{PROLOGUE_LEN, SEALED_SEGMENT_LEN, SEGMENT_LEN, SEGMENT_LIMIT, Segments, opening_nonce};
use crate::aad::Aad;
use crate::context::Binding;
use crate::header::{HEADER_LEN, Kind, authenticated};
use crate::kdf::{Key, PrefixKey, sweep};

/// The stream has all the segments it may have; what was given last was not sealed, and the stream stays unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream holds at most {SEGMENT_LIMIT} segments of {SEGMENT_LEN} bytes")]
pub struct StreamTooLong;

/// Seals a payload piece by piece; holds back at most one segment. Wiped on drop.
pub struct StreamSealer {
    segments: Segments,
    /// A full segment waits here until it is known whether it is the last.
    pending: Zeroizing<Vec<u8>>,
}

impl StreamSealer {
    /// Begins a stream and gives its first [`PROLOGUE_LEN`] bytes. `p` and `r` are fresh random bytes (I-17).
    pub fn new(
        key: &impl Key,
        data_key_id: &[u8; 16],
        p: [u8; 12],
        r: [u8; 7],
        binding: &Binding<'_>,
    ) -> (Self, [u8; PROLOGUE_LEN]) {
        let opening = opening_nonce(&r);
        let mut nonce = [0; 24];
        nonce[..12].copy_from_slice(&p);
        nonce[12..].copy_from_slice(&opening);
        let header = authenticated(Kind::Stream, data_key_id, &nonce);
        let mut aad = Aad::new();
        let aad = aad.write(&header, binding);
        let derived = PrefixKey::derive(key, &p);

        let mut prologue = [0; PROLOGUE_LEN];
        prologue[..header.len()].copy_from_slice(&header);
        prologue[header.len()..HEADER_LEN].copy_from_slice(&derived.commitment(key, &opening));
        prologue[HEADER_LEN..].copy_from_slice(&derived.message_key().seal(&opening, aad, &mut []));

        sweep();
        // All the room at once: growing would leave copies of plaintext behind.
        let pending = Zeroizing::new(Vec::with_capacity(SEGMENT_LEN));
        (Self { segments: Segments::new(derived, r, aad), pending }, prologue)
    }

    /// Takes any number of bytes and appends the segments that are complete to `out`.
    pub fn push(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), StreamTooLong> {
        if plaintext.is_empty() {
            return Ok(());
        }
        let complete = (self.pending.len() + plaintext.len() - 1) / SEGMENT_LEN;
        out.reserve(complete * SEALED_SEGMENT_LEN);
        while self.pending.len() + plaintext.len() > SEGMENT_LEN {
            let (head, rest) = plaintext.split_at(SEGMENT_LEN - self.pending.len());
            self.seal(head, false, out)?;
            plaintext = rest;
        }
        self.pending.extend_from_slice(plaintext);
        Ok(())
    }

    /// Seals what is held back as the last segment and appends it to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), StreamTooLong> {
        self.seal(&[], true, out)
    }

    /// Seals what is held back, followed by `tail`, as the next segment.
    fn seal(&mut self, tail: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), StreamTooLong> {
        let segments = &mut self.segments;
        if segments.next == SEGMENT_LIMIT {
            return Err(StreamTooLong);
        }
        let start = out.len();
        out.extend_from_slice(&self.pending);
        out.extend_from_slice(tail);
        let tag = segments.derived.message_key().seal(&segments.nonce(last), &segments.aad, &mut out[start..]);
        out.extend_from_slice(&tag);
        segments.next += 1;
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;

    /// The last segment a stream may have is number 2²⁴ − 1; the nonce's counter has room for more, the format has not.
    #[test]
    fn a_stream_ends_at_its_limit() {
        let context = Context::empty();
        let binding = Binding { workspace: "w", app: "a", protection: 1, context: &context };
        let (mut sealer, _) = StreamSealer::new(&[1; 32], &[2; 16], [3; 12], [4; 7], &binding);
        sealer.segments.next = SEGMENT_LIMIT - 1;
        let mut out = Vec::new();
        assert_eq!(sealer.push(&vec![0; SEGMENT_LEN + 1], &mut out), Ok(()));
        assert_eq!(sealer.finish(&mut out), Err(StreamTooLong));
        assert_eq!(out.len(), SEALED_SEGMENT_LEN);
    }
}
