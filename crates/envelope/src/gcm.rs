//! AES-256-GCM under one derived key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::message::{OpenFailed, TAG_LEN};

/// The key of one message, one batch prefix or one stream, expanded.
///
/// The expansion lives in one allocation of AWS-LC, which overwrites an allocation before freeing it: dropping this
/// wipes it.
pub(crate) struct MessageKey(LessSafeKey);

impl MessageKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key).expect("AES-256-GCM takes every key of 32 bytes");
        Self(LessSafeKey::new(unbound))
    }

    /// Turns plaintext into ciphertext where it stands and returns the tag.
    pub(crate) fn seal(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), in_out)
            .expect("GCM seals every buffer of less than 64 GiB");
        let mut bytes = [0; TAG_LEN];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Turns ciphertext into plaintext where it stands. A buffer that does not open is zeroed.
    pub(crate) fn open(&self, nonce: &[u8; 12], aad: &[u8], tag: &[u8], in_out: &mut [u8]) -> Result<(), OpenFailed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, in_out).map(drop).map_err(|_| OpenFailed)
    }
}
