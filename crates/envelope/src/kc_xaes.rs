//! The bare construction, without header or binding: what published vectors test.
//!
//! Nothing but vectors and measurements should need it: a ciphertext that carries neither header nor binding can be
//! moved to another app.

use subtle::ConstantTimeEq;

use crate::kdf::{Key, derive, split};
use crate::message::{OpenFailed, TAG_LEN};

/// Seals `in_out` where it stands; returns the tag and the commitment.
///
/// # Panics
/// When `in_out` has 64 GiB or more, GCM's limit.
pub fn seal(key: &impl Key, nonce: &[u8; 24], aad: &[u8], in_out: &mut [u8]) -> ([u8; TAG_LEN], [u8; 32]) {
    let (message_key, commitment) = derive(key, nonce);
    (message_key.seal(split(nonce).1, aad, in_out), commitment)
}

/// Opens `in_out` where it stands. When it fails, `in_out` holds nothing of the plaintext.
pub fn open(
    key: &impl Key,
    nonce: &[u8; 24],
    aad: &[u8],
    tag: &[u8; TAG_LEN],
    commitment: &[u8; 32],
    in_out: &mut [u8],
) -> Result<(), OpenFailed> {
    let (message_key, expected) = derive(key, nonce);
    if !bool::from(expected.ct_eq(commitment)) {
        return Err(OpenFailed);
    }
    message_key.open(split(nonce).1, aad, tag, in_out)
}
