//! What the platform's keys seal: data keys under no customer key, and every stored blob once more. AES-256-GCM.
//!
//! A wrapped data key is `nonce 12 ‖ ciphertext 65 ‖ tag 16`; its key's id stands in the row. A sealed blob is
//! `01 ‖ key id 16 ‖ nonce 12 ‖ ciphertext ‖ tag 16`. Nonces are random: each key seals one message for each data key and
//! wrapping, far from the 2³² at which random 96-bit nonces become a risk.

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce, Tag,
    aead::{AeadInOut, inout::InOutBuf},
};
use domain::{Entropy, PlatformKeyId, entropy::random};
use secmem::{OutOfLockedMemory, Secret};

use super::derive::DerivedKeys;
use crate::PAYLOAD_LEN;

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const BLOB_VERSION: u8 = 1;
const BLOB_HEADER_LEN: usize = 1 + 16 + NONCE_LEN;
/// How much longer a sealed blob is than the blob.
pub const SEALED_OVERHEAD: usize = BLOB_HEADER_LEN + TAG_LEN;

/// Why something sealed was not opened. One error for every way in which it does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The root has no key of this id: its file is older than the row.
    #[error("the platform root has no key of this id")]
    KeyUnknown,
    /// Altered, of another row, or of another root.
    #[error("this was not sealed here for this place")]
    NotAuthentic,
    /// No locked memory for the result.
    #[error("there is no locked memory")]
    OutOfLockedMemory,
}

impl NotOpened {
    /// The reason as clients see it.
    pub const fn reason(self) -> domain::Reason {
        match self {
            Self::KeyUnknown => domain::Reason::PlatformKeyUnavailable,
            Self::NotAuthentic => domain::Reason::WrappedKeyCorrupt,
            Self::OutOfLockedMemory => domain::Reason::Internal,
        }
    }
}

impl From<OutOfLockedMemory> for NotOpened {
    fn from(_: OutOfLockedMemory) -> Self {
        Self::OutOfLockedMemory
    }
}

/// Binds the purpose and the key beside what the caller binds. The first two parts have fixed lengths.
fn bound(purpose: &[u8; 8], key: PlatformKeyId, aad: &[u8]) -> Vec<u8> {
    [purpose.as_slice(), key.as_bytes(), aad].concat()
}

/// Encrypts in place; the key schedule is wiped when it goes, and its copies while the key is lent.
fn encrypt(key: &Secret<32>, nonce: &[u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]) -> [u8; TAG_LEN] {
    key.expose(|key| {
        let cipher = Aes256Gcm::new(key.into());
        let sealed = cipher.encrypt_inout_detached(&Nonce::from(*nonce), aad, InOutBuf::from(buffer));
        sealed.expect("AES-GCM takes up to 64 GiB").into()
    })
}

fn decrypt(
    key: &Secret<32>,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), NotOpened> {
    let opened = key.expose(|key| {
        let cipher = Aes256Gcm::new(key.into());
        cipher.decrypt_inout_detached(&Nonce::from(*nonce), aad, InOutBuf::from(buffer), &Tag::from(*tag))
    });
    opened.map_err(|_| NotOpened::NotAuthentic)
}

pub(super) fn wrap(key: &DerivedKeys, payload: &Secret<PAYLOAD_LEN>, aad: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = random(entropy);
    let mut out = vec![0; NONCE_LEN + PAYLOAD_LEN + TAG_LEN];
    let (head, rest) = out.split_at_mut(NONCE_LEN);
    let (body, tail) = rest.split_at_mut(PAYLOAD_LEN);
    head.copy_from_slice(&nonce);
    // The payload stands in this buffer only until it is encrypted where it stands.
    payload.expose(|payload| body.copy_from_slice(payload));
    tail.copy_from_slice(&encrypt(&key.wrap, &nonce, &bound(b"wrap/v1\0", key.id, aad), body));
    out
}

pub(super) fn unwrap(key: &DerivedKeys, blob: &[u8], aad: &[u8]) -> Result<Secret<PAYLOAD_LEN>, NotOpened> {
    let blob: &[u8; NONCE_LEN + PAYLOAD_LEN + TAG_LEN] = blob.try_into().map_err(|_| NotOpened::NotAuthentic)?;
    let (nonce, rest) = blob.split_first_chunk::<NONCE_LEN>().ok_or(NotOpened::NotAuthentic)?;
    let (body, tag) = rest.split_first_chunk::<PAYLOAD_LEN>().ok_or(NotOpened::NotAuthentic)?;
    let tag = tag.try_into().map_err(|_| NotOpened::NotAuthentic)?;
    let aad = bound(b"wrap/v1\0", key.id, aad);
    Secret::try_fill(|out: &mut [u8; PAYLOAD_LEN]| {
        out.copy_from_slice(body);
        decrypt(&key.wrap, nonce, &aad, out, tag)
    })?
}

pub(super) fn seal_blob(key: &DerivedKeys, blob: &[u8], aad: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
    seal_for(Purpose::Blob, key, blob, aad, entropy)
}

/// What a sealed blob holds: each kind has its key and its label, so that neither is ever opened as the other.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// A wrapped data key.
    Blob,
    /// The secret part of a customer's credential.
    Secret,
}

impl Purpose {
    fn key(self, of: &DerivedKeys) -> &Secret<32> {
        match self {
            Self::Blob => &of.blob,
            Self::Secret => &of.secrets,
        }
    }

    const fn label(self) -> &'static [u8; 8] {
        match self {
            Self::Blob => b"blob/v1\0",
            Self::Secret => b"secrt/v1",
        }
    }
}

pub(super) fn seal_for(purpose: Purpose, key: &DerivedKeys, blob: &[u8], aad: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = random(entropy);
    let mut out = Vec::with_capacity(SEALED_OVERHEAD + blob.len());
    out.push(BLOB_VERSION);
    out.extend_from_slice(key.id.as_bytes());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(blob);
    // The capacity was reserved: the plaintext never stood in a buffer that was left behind.
    let aad = bound(purpose.label(), key.id, aad);
    let tag = encrypt(purpose.key(key), &nonce, &aad, &mut out[BLOB_HEADER_LEN..]);
    out.extend_from_slice(&tag);
    out
}

/// Which key a sealed blob names.
pub(super) fn key_of(sealed: &[u8]) -> Result<PlatformKeyId, NotOpened> {
    match sealed.split_first() {
        Some((&BLOB_VERSION, rest)) => rest.first_chunk().copied().map(PlatformKeyId::from_bytes),
        Some(_) | None => None,
    }
    .ok_or(NotOpened::NotAuthentic)
}

pub(super) fn open_blob(key: &DerivedKeys, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, NotOpened> {
    open_for(Purpose::Blob, key, sealed, aad)
}

pub(super) fn open_for(purpose: Purpose, key: &DerivedKeys, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, NotOpened> {
    let (nonce, rest) = sealed
        .get(BLOB_HEADER_LEN - NONCE_LEN..)
        .and_then(<[u8]>::split_first_chunk::<NONCE_LEN>)
        .ok_or(NotOpened::NotAuthentic)?;
    let (body, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(NotOpened::NotAuthentic)?;
    let mut blob = body.to_vec();
    decrypt(purpose.key(key), nonce, &bound(purpose.label(), key.id, aad), &mut blob, tag)?;
    Ok(blob)
}
