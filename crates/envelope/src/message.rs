//! How is one message sealed and opened?
//!
//! `header (80) ‖ ciphertext ‖ tag (16)`; the ciphertext is as long as the plaintext.

use subtle::ConstantTimeEq;

use crate::aad::Aad;
use crate::context::Binding;
use crate::gcm::MessageKey;
use crate::header::{AUTHENTICATED_LEN, HEADER_LEN, Header, Kind, authenticated};
use crate::kdf::{Key, derive, split};

/// Bytes of a GCM tag.
pub const TAG_LEN: usize = 16;
/// Bytes by which a message is longer than its plaintext.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// It did not open: wrong key, wrong binding, foreign, damaged or truncated. Deliberately not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext does not open under this key and binding")]
pub struct OpenFailed;

/// Seals `plaintext` and appends the message to `out`: [`OVERHEAD`] bytes more than the plaintext.
///
/// The nonce must never repeat under a key (I-17): take it from [`crate::fresh_nonce`]. Beyond room in `out` and the
/// cipher's own state nothing is allocated.
///
/// # Panics
/// When `plaintext` has 64 GiB or more, GCM's limit.
pub fn seal(
    key: &impl Key,
    data_key_id: &[u8; 16],
    nonce: &[u8; 24],
    binding: &Binding<'_>,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) {
    let (message_key, commitment) = derive(key, nonce);
    seal_under(&message_key, &commitment, data_key_id, nonce, binding, plaintext, out);
}

/// Opens `ciphertext`, one whole message, and appends its plaintext to `out`; when it fails, `out` is as before.
pub fn open(key: &impl Key, binding: &Binding<'_>, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), OpenFailed> {
    let message = Message::parse(ciphertext)?;
    let (message_key, commitment) = derive(key, &message.header.nonce);
    message.open_under(&message_key, &commitment, binding, out)
}

/// Seals under a key and with a commitment that were derived for this nonce.
pub(crate) fn seal_under(
    message_key: &MessageKey,
    commitment: &[u8; 32],
    data_key_id: &[u8; 16],
    nonce: &[u8; 24],
    binding: &Binding<'_>,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) {
    let suffix = split(nonce).1;
    let header = authenticated(Kind::Message, data_key_id, nonce);
    let mut aad = Aad::new();
    let aad = aad.write(&header, binding);

    out.reserve(OVERHEAD + plaintext.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(commitment);
    let body = out.len();
    out.extend_from_slice(plaintext);
    let tag = message_key.seal(suffix, aad, &mut out[body..]);
    out.extend_from_slice(&tag);
}

/// A message whose header is in order; nothing of it is authenticated yet.
pub(crate) struct Message<'a> {
    pub(crate) header: Header,
    authenticated: &'a [u8; AUTHENTICATED_LEN],
    body: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> Message<'a> {
    pub(crate) fn parse(ciphertext: &'a [u8]) -> Result<Self, OpenFailed> {
        let header = Header::parse(ciphertext).map_err(|_| OpenFailed)?;
        match header.kind {
            Kind::Message => {}
            Kind::Stream => return Err(OpenFailed),
        }
        let (body, tag) = ciphertext[HEADER_LEN..].split_last_chunk().ok_or(OpenFailed)?;
        let authenticated = ciphertext.first_chunk().ok_or(OpenFailed)?;
        Ok(Self { header, authenticated, body, tag })
    }

    /// Opens under a key and against a commitment that were derived for this message's nonce.
    pub(crate) fn open_under(
        &self,
        message_key: &MessageKey,
        commitment: &[u8; 32],
        binding: &Binding<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailed> {
        let suffix = split(&self.header.nonce).1;
        // All 32 bytes, in constant time, and before GCM: GCM alone opens one ciphertext under many keys (F-24).
        if !bool::from(commitment.ct_eq(&self.header.commitment)) {
            return Err(OpenFailed);
        }
        let mut aad = Aad::new();
        let aad = aad.write(self.authenticated, binding);
        let before = out.len();
        out.extend_from_slice(self.body);
        let opened = message_key.open(suffix, aad, self.tag, &mut out[before..]);
        if opened.is_err() {
            out.truncate(before);
        }
        opened
    }
}
