//! How does a data key and a nonce become a message's key and commitment?
//!
//! XAES-256-GCM's derivation (NIST SP 800-108 in counter mode over AES-CMAC, on single blocks) and KC-XAES's
//! commitment, a CMAC of two blocks, written out on raw AES blocks: three times faster than through a CMAC interface,
//! because blocks that do not wait for each other go through the cipher together.
//!
//! ```text
//! K1  = CMAC's first subkey: double(AES(0¹²⁸))
//! Kₓ  = AES(00 01 'X' 00 ‖ N[..12] ⊕ K1) ‖ AES(00 02 'X' 00 ‖ N[..12] ⊕ K1)
//! C   = AES("XCMT" ‖ N[..12])                          the chaining value, the same for both halves
//! KCᵢ = AES(C ⊕ K1 ⊕ (N[12..] ‖ 00 01 00 0i)), i = 1, 2
//! ```

use aes::Aes256Enc;
use aes::cipher::{Array, Block, BlockCipherEncrypt, KeyInit};
use zeroize::optimization_barrier;

use crate::gcm::MessageKey;

type AesBlock = Block<Aes256Enc>;

/// The key and the commitment of one message.
#[inline]
pub(crate) fn derive(key: &[u8; 32], nonce: &[u8; 24]) -> (MessageKey, [u8; 32]) {
    let (prefix, suffix) = split(nonce);
    let schedule = Schedule::expand(key, prefix);
    let [key_1, key_2] = schedule.key_blocks(prefix);
    let [commitment_1, commitment_2] = schedule.commitment_blocks(suffix);
    let mut blocks = [key_1, key_2, commitment_1, commitment_2];
    schedule.cipher.encrypt_blocks(&mut blocks);
    let message_key = message_key(&blocks[0], &blocks[1]);
    let commitment = join(&blocks[2], &blocks[3]);
    wipe(&mut blocks);
    (message_key, commitment)
}

/// What a data key gives for one prefix of nonces, `N[..12]`: shared by a batch's items and a stream's segments.
pub(crate) struct PrefixKey {
    schedule: Schedule,
    key: MessageKey,
}

impl PrefixKey {
    pub(crate) fn derive(key: &[u8; 32], prefix: &[u8; 12]) -> Self {
        let schedule = Schedule::expand(key, prefix);
        let mut blocks = schedule.key_blocks(prefix);
        schedule.cipher.encrypt_blocks(&mut blocks);
        let key = message_key(&blocks[0], &blocks[1]);
        wipe(&mut blocks);
        Self { schedule, key }
    }

    /// The AES-256-GCM key that all nonces with this prefix share.
    pub(crate) fn message_key(&self) -> &MessageKey {
        &self.key
    }

    /// The commitment to (data key, prefix ‖ suffix). Public: it stands in the header.
    #[inline]
    pub(crate) fn commitment(&self, suffix: &[u8; 12]) -> [u8; 32] {
        let mut blocks = self.schedule.commitment_blocks(suffix);
        self.schedule.cipher.encrypt_blocks(&mut blocks);
        join(&blocks[0], &blocks[1])
    }
}

/// The data key expanded, and what depends on nothing but it and the prefix. Wiped where it lies when it is dropped: the cipher
/// by `aes`'s `zeroize` feature, the rest below. Copies that the compiler makes while it is built are not reached (SECURITY.md).
struct Schedule {
    cipher: Aes256Enc,
    k1: [u8; 16],
    /// `C ⊕ K1`
    chain: [u8; 16],
}

impl Schedule {
    #[inline]
    fn expand(key: &[u8; 32], prefix: &[u8; 12]) -> Self {
        let cipher = Aes256Enc::new(key.into());
        let mut blocks = [Array([0; 16]), block(b"XCMT", prefix)];
        cipher.encrypt_blocks(&mut blocks);
        let k1 = double(&blocks[0].0);
        let chain = xor(&blocks[1].0, &k1);
        wipe(&mut blocks);
        Self { cipher, k1, chain }
    }

    #[inline]
    fn key_blocks(&self, prefix: &[u8; 12]) -> [AesBlock; 2] {
        [1, 2].map(|i| Array(xor(&block(&[0, i, b'X', 0], prefix).0, &self.k1)))
    }

    #[inline]
    fn commitment_blocks(&self, suffix: &[u8; 12]) -> [AesBlock; 2] {
        [1, 2].map(|i| {
            let mut last = [0; 16];
            last[..12].copy_from_slice(suffix);
            last[12..].copy_from_slice(&[0, 1, 0, i]);
            Array(xor(&last, &self.chain))
        })
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.k1 = [0; 16];
        self.chain = [0; 16];
        optimization_barrier(self);
    }
}

/// A nonce as the derivation sees it: `N[..12]` and `N[12..]`.
pub(crate) fn split(nonce: &[u8; 24]) -> (&[u8; 12], &[u8; 12]) {
    let (prefix, suffix) = nonce.split_first_chunk().expect("24 is more than 12");
    (prefix, suffix.first_chunk().expect("24 is twice 12"))
}

/// Multiplication by x in GF(2¹²⁸) as SP 800-38B defines it, without a branch on the secret top bit.
fn double(block: &[u8; 16]) -> [u8; 16] {
    let value = u128::from_be_bytes(*block);
    let reduce = (value >> 127).wrapping_neg() & 0x87;
    ((value << 1) ^ reduce).to_be_bytes()
}

fn xor(a: &[u8; 16], b: &[u8; 16]) -> [u8; 16] {
    (u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b)).to_ne_bytes()
}

fn block(head: &[u8; 4], prefix: &[u8; 12]) -> AesBlock {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(head);
    bytes[4..].copy_from_slice(prefix);
    Array(bytes)
}

#[inline]
fn message_key(first: &AesBlock, second: &AesBlock) -> MessageKey {
    let mut bytes = join(first, second);
    let key = MessageKey::new(&bytes);
    bytes = [0; 32];
    optimization_barrier(&bytes);
    key
}

fn join(first: &AesBlock, second: &AesBlock) -> [u8; 32] {
    let mut whole = [0; 32];
    whole[..16].copy_from_slice(&first.0);
    whole[16..].copy_from_slice(&second.0);
    whole
}

/// Zeroes whole blocks; the barrier keeps the compiler from leaving it out. `Zeroize` would go byte by byte, which
/// costs more here than the encryption.
#[inline]
fn wipe<const N: usize>(blocks: &mut [AesBlock; N]) {
    *blocks = [Array([0; 16]); N];
    optimization_barrier(blocks);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The intermediate values that XAES-256-GCM's specification prints, one with each value of the top bit.
    #[test]
    fn doubling_gives_the_published_subkeys() {
        let l = 0x7298caa565031eadc6ce23d23ea66378_u128.to_be_bytes();
        assert_eq!(double(&l), 0xe531954aca063d5b8d9c47a47d4cc6f0_u128.to_be_bytes());
        let l = 0x91c08762876dccf9ba204a33768fa5fe_u128.to_be_bytes();
        assert_eq!(double(&l), 0x23810ec50edb99f374409466ed1f4b7b_u128.to_be_bytes());
    }
}
