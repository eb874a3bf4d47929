//! How is a payload of any size sealed and opened in constant memory?
//!
//! ```text
//! header (80), nonce = P (12) ‖ R (7) ‖ 00000000 ‖ 02
//! opening tag (16): over an empty plaintext, nonce R ‖ 00000000 ‖ 02, with the AAD
//! segment i: 65,536 bytes of ciphertext ‖ tag, nonce R ‖ i ‖ 00, with SHA-256(AAD)
//! last segment: 1 … 65,536 bytes (0 only when alone) ‖ tag, nonce R ‖ i ‖ 01
//! ```
//!
//! All of it is sealed under the key derived from P. The opening tag makes a wrong key, app or context fail before the
//! first byte; the last byte of the nonce makes a cut, a longer, a reordered stream fail.

mod open;
mod seal;

pub use open::StreamOpener;
pub use seal::{StreamSealer, StreamTooLong};

use aws_lc_rs::digest::{SHA256, digest};

use crate::header::{HEADER_LEN, STREAM_NONCE_TAIL};
use crate::kdf::PrefixKey;
use crate::message::TAG_LEN;

/// Bytes before the first segment: header and opening tag.
pub const PROLOGUE_LEN: usize = HEADER_LEN + TAG_LEN;
/// Bytes of plaintext in every segment but the last.
pub const SEGMENT_LEN: usize = 65_536;
/// Most segments of a stream: 1 TiB of plaintext.
pub const SEGMENT_LIMIT: u32 = 1 << 24;
const SEALED_SEGMENT_LEN: usize = SEGMENT_LEN + TAG_LEN;

/// What both directions keep between segments.
struct Segments {
    derived: PrefixKey,
    random: [u8; 7],
    aad: [u8; 32],
    next: u32,
}

impl Segments {
    fn new(derived: PrefixKey, random: [u8; 7], aad: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, aad).as_ref());
        Self { derived, random, aad: hash, next: 0 }
    }

    /// The nonce of the segment whose turn it is.
    fn nonce(&self, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(&self.random);
        nonce[7..11].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = u8::from(last);
        nonce
    }
}

/// `R ‖ 00000000 ‖ 02`, at which the opening tag is made.
fn opening_nonce(random: &[u8; 7]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..7].copy_from_slice(random);
    nonce[7..].copy_from_slice(&STREAM_NONCE_TAIL);
    nonce
}
