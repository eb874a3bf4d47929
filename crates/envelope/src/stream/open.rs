//! How is a stream opened?

use subtle::ConstantTimeEq;

use super::{PROLOGUE_LEN, SEALED_SEGMENT_LEN, SEGMENT_LEN, SEGMENT_LIMIT, Segments};
use crate::aad::Aad;
use crate::context::Binding;
use crate::header::{HEADER_LEN, Header, Kind};
use crate::kdf::{Key, PrefixKey, split, sweep};
use crate::message::{OpenFailed, TAG_LEN};

/// Opens a stream piece by piece; holds back at most one sealed segment.
///
/// What it gives out is authentic byte for byte, but **provisional until [`finish`](Self::finish) succeeds**: only the
/// last segment proves that nothing was cut off. After any failure everything further fails.
pub struct StreamOpener {
    segments: Segments,
    /// Ciphertext; a full segment waits here until it is known whether it is the last.
    pending: Vec<u8>,
    failed: bool,
}

impl StreamOpener {
    /// Begins with the stream's first [`PROLOGUE_LEN`] bytes. A wrong key or binding fails here, before any plaintext.
    pub fn new(key: &impl Key, binding: &Binding<'_>, prologue: &[u8; PROLOGUE_LEN]) -> Result<Self, OpenFailed> {
        let header = Header::parse(prologue).map_err(|_| OpenFailed)?;
        match header.kind {
            Kind::Stream => {}
            Kind::Message => return Err(OpenFailed),
        }
        let (prefix, opening) = split(&header.nonce);
        let derived = PrefixKey::derive(key, prefix);
        let commitment = derived.commitment(key, opening);
        sweep();
        if !bool::from(commitment.ct_eq(&header.commitment)) {
            return Err(OpenFailed);
        }
        let mut aad = Aad::new();
        let aad = aad.write(prologue.first_chunk().ok_or(OpenFailed)?, binding);
        derived.message_key().open(opening, aad, &prologue[HEADER_LEN..], &mut [])?;
        let random = *opening.first_chunk().ok_or(OpenFailed)?;
        let segments = Segments::new(derived, random, aad);
        Ok(Self { segments, pending: Vec::with_capacity(SEALED_SEGMENT_LEN), failed: false })
    }

    /// Takes any number of bytes of ciphertext and appends the plaintext of the segments that are complete to `out`;
    /// when it fails, `out` is as before.
    pub fn push(&mut self, mut ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), OpenFailed> {
        if self.failed {
            return Err(OpenFailed);
        }
        if ciphertext.is_empty() {
            return Ok(());
        }
        let before = out.len();
        let complete = (self.pending.len() + ciphertext.len() - 1) / SEALED_SEGMENT_LEN;
        out.reserve(complete * SEGMENT_LEN);
        while self.pending.len() + ciphertext.len() > SEALED_SEGMENT_LEN {
            let (head, rest) = ciphertext.split_at(SEALED_SEGMENT_LEN - self.pending.len());
            if self.open(head, false, out).is_err() {
                out.truncate(before);
                return Err(OpenFailed);
            }
            ciphertext = rest;
        }
        self.pending.extend_from_slice(ciphertext);
        Ok(())
    }

    /// Opens what is held back as the last segment. Only now is the whole payload known to be whole.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), OpenFailed> {
        if self.failed {
            return Err(OpenFailed);
        }
        self.open(&[], true, out)
    }

    /// Opens what is held back, followed by `tail`, as the next segment; when it fails, `out` is as before.
    fn open(&mut self, tail: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), OpenFailed> {
        let opened = self.open_segment(tail, last, out);
        self.failed = opened.is_err();
        opened
    }

    fn open_segment(&mut self, tail: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), OpenFailed> {
        let segments = &mut self.segments;
        let length = (self.pending.len() + tail.len()).checked_sub(TAG_LEN).ok_or(OpenFailed)?;
        // An empty segment is the mark of an empty payload and of nothing else (F-53).
        if segments.next == SEGMENT_LIMIT || (length == 0 && segments.next > 0) {
            return Err(OpenFailed);
        }
        let start = out.len();
        out.extend_from_slice(&self.pending);
        out.extend_from_slice(tail);
        let (body, tag) = out[start..].split_at_mut(length);
        let opened = segments.derived.message_key().open(&segments.nonce(last), &segments.aad, tag, body);
        out.truncate(if opened.is_ok() { start + length } else { start });
        opened?;
        segments.next += 1;
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, StreamSealer};

    /// A segment past the last one a stream may have is refused even when its tag is genuine.
    #[test]
    fn a_genuine_segment_past_the_limit_is_refused() {
        let context = Context::empty();
        let binding = Binding { workspace: "w", app: "a", protection: 1, context: &context };
        let (_, prologue) = StreamSealer::new(&[1; 32], &[2; 16], [3; 12], [4; 7], &binding);
        for (next, expected) in [(SEGMENT_LIMIT - 1, Ok(())), (SEGMENT_LIMIT, Err(OpenFailed))] {
            let mut opener = StreamOpener::new(&[1; 32], &binding, &prologue).unwrap();
            opener.segments.next = next;
            let Segments { derived, aad, .. } = &opener.segments;
            let mut sealed = b"x".to_vec();
            let tag = derived.message_key().seal(&opener.segments.nonce(true), aad, &mut sealed);
            sealed.extend_from_slice(&tag);
            opener.push(&sealed, &mut Vec::new()).unwrap();
            assert_eq!(opener.finish(&mut Vec::new()), expected);
        }
    }
}
