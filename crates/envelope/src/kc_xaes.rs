//! The bare construction, without header or binding: what published vectors test.
//!
//! Nothing but vectors and measurements should need it: a ciphertext that carries neither header nor binding can be
//! moved to another app.

use subtle::ConstantTimeEq;

use crate::kdf::{PrefixKey, split};
use crate::message::{OpenFailed, TAG_LEN};

/// Seals `in_out` where it stands; returns the tag and the commitment.
///
/// # Panics
/// When `in_out` has 64 GiB or more, GCM's limit.
pub fn seal(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], in_out: &mut [u8]) -> ([u8; TAG_LEN], [u8; 32]) {
    let (prefix, suffix) = split(nonce);
    let derived = PrefixKey::derive(key, prefix);
    let commitment = derived.commitment(suffix);
    (derived.message_key().seal(suffix, aad, in_out), commitment)
}

/// Opens `in_out` where it stands. When it fails, `in_out` holds nothing of the plaintext.
pub fn open(
    key: &[u8; 32],
    nonce: &[u8; 24],
    aad: &[u8],
    tag: &[u8; TAG_LEN],
    commitment: &[u8; 32],
    in_out: &mut [u8],
) -> Result<(), OpenFailed> {
    let (prefix, suffix) = split(nonce);
    let derived = PrefixKey::derive(key, prefix);
    if !bool::from(derived.commitment(suffix).ct_eq(commitment)) {
        return Err(OpenFailed);
    }
    derived.message_key().open(suffix, aad, tag, in_out)
}
