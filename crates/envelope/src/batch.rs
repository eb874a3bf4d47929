//! How are many messages sealed and opened under one key without deriving a key for each?
//!
//! Items that share `N[..12]` share a derived key. Each item is an ordinary message: whoever opens it need not know
//! that it came from a batch.

use crate::context::Binding;
use crate::kdf::{Key, PrefixKey, split, sweep};
use crate::message::{Message, OpenFailed, seal_under};

/// Most items one batch seals: far from where the 32-bit counter would come round.
pub const BATCH_LIMIT: u32 = 1 << 20;

/// The batch sealed [`BATCH_LIMIT`] items; begin another with a fresh prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this batch has sealed its {BATCH_LIMIT} items; begin another with a fresh prefix")]
pub struct BatchFull;

/// Seals items under one data key and one random prefix.
///
/// Keep it on the stack of one call: it cannot outlive the borrow of the key, and is wiped when dropped.
pub struct BatchSealer<'k, K: Key = [u8; 32]> {
    derived: PrefixKey,
    data_key_id: [u8; 16],
    nonce: [u8; 24],
    sealed: u32,
    key: &'k K,
}

/// What the commitments left on the stack.
impl<K: Key> Drop for BatchSealer<'_, K> {
    fn drop(&mut self) {
        sweep();
    }
}

impl<'k, K: Key> BatchSealer<'k, K> {
    /// Begins a batch. `prefix` and `start` are the two halves of one fresh nonce; the low 32 bits of `start` are where
    /// counting begins, and come round without harm.
    pub fn new(key: &'k K, data_key_id: &[u8; 16], prefix: [u8; 12], start: [u8; 12]) -> Self {
        let mut nonce = [0; 24];
        nonce[..12].copy_from_slice(&prefix);
        nonce[12..].copy_from_slice(&start);
        Self { derived: PrefixKey::derive(key, &prefix), data_key_id: *data_key_id, nonce, sealed: 0, key }
    }

    /// Seals one item and appends the message to `out`.
    pub fn seal_next(&mut self, binding: &Binding<'_>, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), BatchFull> {
        if self.sealed == BATCH_LIMIT {
            return Err(BatchFull);
        }
        let commitment = self.derived.commitment(self.key, split(&self.nonce).1);
        let message_key = self.derived.message_key();
        seal_under(message_key, &commitment, &self.data_key_id, &self.nonce, binding, plaintext, out);
        self.sealed += 1;
        let counter = self.nonce.last_chunk_mut::<4>().expect("24 is more than 4");
        *counter = u32::from_be_bytes(*counter).wrapping_add(1).to_be_bytes();
        Ok(())
    }
}

/// Opens messages under one data key, deriving anew only when the nonce's prefix changes.
///
/// Keep it on the stack of one call, as [`BatchSealer`].
pub struct BatchOpener<'k, K: Key = [u8; 32]> {
    key: &'k K,
    derived: Option<([u8; 12], PrefixKey)>,
}

/// As a [`BatchSealer`].
impl<K: Key> Drop for BatchOpener<'_, K> {
    fn drop(&mut self) {
        sweep();
    }
}

impl<'k, K: Key> BatchOpener<'k, K> {
    /// Begins; nothing is derived yet.
    pub fn new(key: &'k K) -> Self {
        Self { key, derived: None }
    }

    /// As [`crate::open`]: a message that fails leaves `out` and the others as they are.
    pub fn open_next(&mut self, binding: &Binding<'_>, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), OpenFailed> {
        let message = Message::parse(ciphertext)?;
        let (prefix, suffix) = split(&message.header.nonce);
        let derived = match self.derived.take() {
            Some((of, derived)) if of == *prefix => derived,
            Some(_) | None => PrefixKey::derive(self.key, prefix),
        };
        let (_, derived) = self.derived.insert((*prefix, derived));
        let commitment = derived.commitment(self.key, suffix);
        message.open_under(derived.message_key(), &commitment, binding, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Header, open};

    fn counter_after(start: u32, items: usize) -> Vec<[u8; 24]> {
        let mut suffix = [0xaa; 12];
        suffix[8..].copy_from_slice(&start.to_be_bytes());
        let context = Context::empty();
        let binding = Binding { workspace: "w", app: "a", protection: 1, context: &context };
        let mut batch = BatchSealer::new(&[1; 32], &[2; 16], [3; 12], suffix);
        (0..items)
            .map(|_| {
                let mut out = Vec::new();
                batch.seal_next(&binding, b"item", &mut out).unwrap();
                open(&[1; 32], &binding, &out, &mut Vec::new()).unwrap();
                Header::parse(&out).unwrap().nonce
            })
            .collect()
    }

    /// Only the low 32 bits count; when they come round, no carry reaches the random bytes before them.
    #[test]
    fn counting_comes_round_within_the_low_32_bits() {
        let nonces = counter_after(u32::MAX, 2);
        assert_eq!(nonces[0][20..], [0xff; 4]);
        assert_eq!(nonces[1][20..], [0; 4]);
        assert_eq!(nonces[0][..20], nonces[1][..20]);
    }

    #[test]
    fn a_batch_ends_at_its_limit() {
        let context = Context::empty();
        let binding = Binding { workspace: "w", app: "a", protection: 1, context: &context };
        let mut batch = BatchSealer::new(&[1; 32], &[2; 16], [3; 12], [0; 12]);
        batch.sealed = BATCH_LIMIT - 1;
        let mut out = Vec::new();
        assert_eq!(batch.seal_next(&binding, b"", &mut out), Ok(()));
        let length = out.len();
        assert_eq!(batch.seal_next(&binding, b"", &mut out), Err(BatchFull));
        assert_eq!(out.len(), length);
    }
}
