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

/// A data key as this crate's functions take it: its 32 bytes, expanded for that one call, or an [`ExpandedKey`].
pub trait Key: sealed::Key {
    /// Lends its expansion to `f`.
    fn expanded<T>(&self, f: impl FnOnce(&ExpandedKey) -> T) -> T;
}

mod sealed {
    pub trait Key {}
    impl Key for [u8; 32] {}
    impl Key for super::ExpandedKey {}
}

impl Key for [u8; 32] {
    fn expanded<T>(&self, f: impl FnOnce(&ExpandedKey) -> T) -> T {
        f(&ExpandedKey::new(self))
    }
}

impl Key for ExpandedKey {
    #[inline]
    fn expanded<T>(&self, f: impl FnOnce(&ExpandedKey) -> T) -> T {
        f(self)
    }
}

/// A data key ready for use: AES's key schedule, whose making takes longer than all blocks of a derivation, and CMAC's first
/// subkey. As secret as the key, which it begins with: keep it where keys are kept.
///
/// Wiped where it lies when it is dropped: the cipher by `aes`'s `zeroize` feature, the rest below. Copies that the compiler
/// makes while it is built are not reached (SECURITY.md).
pub struct ExpandedKey {
    cipher: Aes256Enc,
    k1: [u8; 16],
}

impl ExpandedKey {
    /// Expands a data key.
    pub fn new(key: &[u8; 32]) -> Self {
        let cipher = Aes256Enc::new(key.into());
        let mut zero = [Array([0; 16])];
        cipher.encrypt_blocks(&mut zero);
        let k1 = double(&zero[0].0);
        wipe(&mut zero);
        Self { cipher, k1 }
    }

    /// The blocks that depend on nothing but the prefix: the two halves of the message's key, and `C ⊕ K1`.
    #[inline]
    fn of_prefix(&self, prefix: &[u8; 12]) -> (MessageKey, [u8; 16]) {
        let half = |i| Array(xor(&block(&[0, i, b'X', 0], prefix).0, &self.k1));
        let mut blocks = [half(1), half(2), block(b"XCMT", prefix)];
        self.cipher.encrypt_blocks(&mut blocks);
        let made = (message_key(&blocks[0], &blocks[1]), xor(&blocks[2].0, &self.k1));
        wipe(&mut blocks);
        made
    }
}

impl Drop for ExpandedKey {
    fn drop(&mut self) {
        self.k1 = [0; 16];
        optimization_barrier(self);
    }
}

/// The key and the commitment of one message.
pub(crate) fn derive(key: &impl Key, nonce: &[u8; 24]) -> (MessageKey, [u8; 32]) {
    #[inline(never)]
    fn derived(key: &impl Key, nonce: &[u8; 24]) -> (MessageKey, [u8; 32]) {
        let (prefix, suffix) = split(nonce);
        key.expanded(|key| {
            let (message_key, chain) = key.of_prefix(prefix);
            (message_key, commitment(&key.cipher, &chain, suffix))
        })
    }
    let made = derived(key, nonce);
    sweep();
    made
}

/// Overwrites the stack below the caller, where the ciphers that just returned kept round keys: wiping each value where it
/// lies misses the copies that the compiler makes of it.
#[inline(never)]
pub(crate) fn sweep() {
    /// Deeper than a derivation reaches, as the memory drill sees it: 4 KiB were seen to be too little in an optimised build, 8 KiB
    /// in one that is not.
    const DEPTH: usize = 16 * 1024;
    let area = [0u8; DEPTH];
    optimization_barrier(&area);
}

/// What a data key gives for one prefix of nonces, `N[..12]`: shared by a batch's items and a stream's segments. It holds
/// nothing that gives the data key back.
pub(crate) struct PrefixKey {
    /// `C ⊕ K1`
    chain: [u8; 16],
    key: MessageKey,
}

impl PrefixKey {
    pub(crate) fn derive(key: &impl Key, prefix: &[u8; 12]) -> Self {
        #[inline(never)]
        fn derived(key: &impl Key, prefix: &[u8; 12]) -> PrefixKey {
            key.expanded(|expanded| {
                let (key, chain) = expanded.of_prefix(prefix);
                PrefixKey { chain, key }
            })
        }
        let made = derived(key, prefix);
        sweep();
        made
    }

    /// The AES-256-GCM key that all nonces with this prefix share.
    pub(crate) fn message_key(&self) -> &MessageKey {
        &self.key
    }

    /// The commitment to (data key, prefix ‖ suffix), by the data key this was derived from. Public: it stands in the header.
    /// Whoever is done with a batch of them sweeps.
    #[inline(never)]
    pub(crate) fn commitment(&self, key: &impl Key, suffix: &[u8; 12]) -> [u8; 32] {
        key.expanded(|key| commitment(&key.cipher, &self.chain, suffix))
    }
}

/// Wiped where it lies, as an [`ExpandedKey`].
impl Drop for PrefixKey {
    fn drop(&mut self) {
        self.chain = [0; 16];
        optimization_barrier(self);
    }
}

#[inline]
fn commitment(cipher: &Aes256Enc, chain: &[u8; 16], suffix: &[u8; 12]) -> [u8; 32] {
    let mut blocks = [1, 2].map(|i| {
        let mut last = [0; 16];
        last[..12].copy_from_slice(suffix);
        last[12..].copy_from_slice(&[0, 1, 0, i]);
        Array(xor(&last, chain))
    });
    cipher.encrypt_blocks(&mut blocks);
    join(&blocks[0], &blocks[1])
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
