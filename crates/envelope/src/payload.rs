//! What does a vault wrap? Not the bare data key: 65 bytes that also say whose key it is.
//!
//! `01 ‖ data key (32) ‖ SHA-256(identity)`. RSA-OAEP binds no context, so the identity goes inside: a wrapped key that
//! was moved to another row unwraps, and is then refused here (I-15).

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

use crate::context::length_prefix;

/// Bytes of a wrapped payload.
pub const LEN: usize = 65;
const VERSION: u8 = 1;

/// Whose data key it is.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Id of the workspace.
    pub workspace: &'a str,
    /// Id of the app.
    pub app: &'a str,
    /// Id of the data key.
    pub data_key_id: &'a [u8; 16],
    /// 1 platform key, 2 customer key: under which it was born (I-18).
    pub protection: u8,
}

impl Identity<'_> {
    /// SHA-256 of `LP("byokd/id/v1") ‖ LP(workspace) ‖ LP(app) ‖ data key id ‖ protection`.
    pub fn hash(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for part in ["byokd/id/v1", self.workspace, self.app] {
            context.update(&length_prefix(part.len()));
            context.update(part.as_bytes());
        }
        context.update(self.data_key_id);
        context.update(&[self.protection]);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

/// What was unwrapped is not the key that was asked for: another version, another identity. Never use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was unwrapped is not the data key that was asked for")]
pub struct NotThisKey;

/// Writes the payload of `data_key` into `out`, which is secret from then on.
pub fn write(out: &mut [u8; LEN], data_key: &[u8; 32], identity: &Identity<'_>) {
    out[0] = VERSION;
    out[1..33].copy_from_slice(data_key);
    out[33..].copy_from_slice(&identity.hash());
}

/// Copies the data key into `out` if the payload is this identity's; compares in constant time and leaves `out` alone
/// otherwise.
pub fn read(payload: &[u8; LEN], identity: &Identity<'_>, out: &mut [u8; 32]) -> Result<(), NotThisKey> {
    let theirs = payload[0].ct_eq(&VERSION) & payload[33..].ct_eq(&identity.hash());
    if !bool::from(theirs) {
        return Err(NotThisKey);
    }
    out.copy_from_slice(&payload[1..33]);
    Ok(())
}

/// `HMAC-SHA-256(data key, "byokd/kcv/v1")`, the first 16 bytes: lets two copies of a key be compared by something
/// that is no secret.
pub fn key_check_value(data_key: &[u8; 32]) -> [u8; 16] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, data_key), b"byokd/kcv/v1");
    let mut value = [0; 16];
    value.copy_from_slice(&tag.as_ref()[..16]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity<'static> =
        Identity { workspace: "acme", app: "support-bot", data_key_id: &[7; 16], protection: 2 };

    fn payload() -> [u8; LEN] {
        let mut payload = [0; LEN];
        write(&mut payload, &[9; 32], &IDENTITY);
        payload
    }

    #[test]
    fn a_payload_reads_back_for_its_own_identity() {
        let mut key = [0; 32];
        read(&payload(), &IDENTITY, &mut key).unwrap();
        assert_eq!(key, [9; 32]);
    }

    /// I-15, I-18: any other workspace, app, key or protection is refused, and nothing is copied.
    #[test]
    fn a_payload_is_refused_for_every_other_identity() {
        let others = [
            Identity { workspace: "acmf", ..IDENTITY },
            Identity { app: "support-bo", ..IDENTITY },
            Identity { workspace: "acmes", app: "upport-bot", ..IDENTITY },
            Identity { data_key_id: &[8; 16], ..IDENTITY },
            Identity { protection: 1, ..IDENTITY },
        ];
        for other in others {
            let mut key = [0; 32];
            assert_eq!(read(&payload(), &other, &mut key), Err(NotThisKey));
            assert_eq!(key, [0; 32]);
        }
    }

    #[test]
    fn every_flipped_bit_outside_the_key_is_refused() {
        for bit in (0..8).chain(33 * 8..65 * 8) {
            let mut payload = payload();
            payload[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&payload, &IDENTITY, &mut [0; 32]), Err(NotThisKey));
        }
    }
}
