//! Which keys follow from a root key, one for each purpose.

use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use domain::{
    PlatformKeyId,
    row_seal::{RowMac, RowSeal},
};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use secmem::{OutOfLockedMemory, Secret};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::ROOT_KEY_LEN;

/// The keys derived from one root key. `HKDF-SHA-256(salt = cluster id, ikm = root key, info = "byokd/platform/v1/" ‖
/// purpose ‖ 00 ‖ key id)`.
pub(super) struct DerivedKeys {
    pub(super) id: PlatformKeyId,
    /// Wraps data keys that are under no customer key. AES-256-GCM.
    pub(super) wrap: Secret<32>,
    /// The second layer over every stored blob. AES-256-GCM.
    pub(super) blob: Secret<32>,
    /// Authenticates rows. HMAC-SHA-256.
    row_mac: Secret<32>,
    /// Makes the nonces by which owners prove a vault theirs. HMAC-SHA-256.
    ownership: Secret<32>,
    /// Authenticates the database's head, which stands outside of it. HMAC-SHA-256.
    anchor: Secret<32>,
    /// The seed of the key that signs checkpoints of the ledger. Ed25519.
    ledger: Secret<32>,
    /// Seals customers' client secrets and certificate keys. AES-256-GCM.
    pub(super) secrets: Secret<32>,
    /// Recognises the root; not a secret.
    pub(super) check_value: [u8; 16],
}

impl DerivedKeys {
    pub(super) fn from_root(
        cluster: &[u8; 16],
        id: PlatformKeyId,
        root: &Secret<ROOT_KEY_LEN>,
    ) -> Result<Self, OutOfLockedMemory> {
        // Extracted anew for each: what lies between root and key is as secret as they, and stays where it is overwritten.
        let expand = |purpose: &str, out: &mut [u8]| {
            let info = [b"byokd/platform/v1/", purpose.as_bytes(), &[0], id.as_bytes()];
            root.expose(|root| {
                let extracted: Hkdf<Sha256> = Hkdf::new(Some(cluster), root);
                extracted.expand_multi_info(&info, out).expect("HKDF-SHA-256 gives up to 8,160 bytes");
            });
        };
        let mut check_value = [0; 16];
        expand("check", &mut check_value);
        Ok(Self {
            id,
            wrap: Secret::fill(|out| expand("wrap", out))?,
            blob: Secret::fill(|out| expand("blob", out))?,
            row_mac: Secret::fill(|out| expand("row-mac", out))?,
            ownership: Secret::fill(|out| expand("ownership", out))?,
            anchor: Secret::fill(|out| expand("anchor", out))?,
            ledger: Secret::fill(|out| expand("ledger-checkpoint", out))?,
            secrets: Secret::fill(|out| expand("secrets", out))?,
            check_value,
        })
    }

    /// The key that signs checkpoints, made for one use: what is kept is its seed, in locked memory. The library wipes its own
    /// copy when the key goes.
    pub(super) fn checkpoint_key(&self) -> Ed25519KeyPair {
        let pair = self.ledger.expose(|seed| Ed25519KeyPair::from_seed_unchecked(seed));
        pair.expect("any 32 bytes are an Ed25519 seed")
    }

    fn mac_of(&self, what: Sealing, bytes: &[u8]) -> [u8; 32] {
        match what {
            Sealing::Rows => mac(&self.row_mac, bytes),
            Sealing::Heads => mac(&self.anchor, bytes),
        }
    }

    /// 128 bits that only this root's holder can make, for these bytes alone.
    pub(super) fn ownership_nonce(&self, of: &[u8]) -> [u8; 16] {
        let code = mac(&self.ownership, of);
        std::array::from_fn(|i| code[i])
    }
}

/// The whole of it while the key is lent: HMAC's state is as good as the key.
fn mac(key: &Secret<32>, over: &[u8]) -> [u8; 32] {
    key.expose(|key| {
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.chain_update(over).finalize().into_bytes().into()
    })
}

/// What is authenticated: each has a key of its own, so that no row is ever a head.
#[derive(Clone, Copy)]
pub(super) enum Sealing {
    Rows,
    Heads,
}

/// Authenticates rows: the primary makes codes, any key of the root checks them.
pub(super) struct RowKeys {
    pub(super) what: Sealing,
    pub(super) primary: PlatformKeyId,
    pub(super) keys: Arc<[DerivedKeys]>,
}

impl RowKeys {
    fn key(&self, id: PlatformKeyId) -> Option<&DerivedKeys> {
        self.keys.iter().find(|key| key.id == id)
    }
}

impl RowSeal for RowKeys {
    fn seal(&self, row: &[u8]) -> RowMac {
        let key = self.key(self.primary).expect("the file's reader checked that the primary is there");
        RowMac { key: key.id, code: key.mac_of(self.what, row) }
    }

    fn verify(&self, row: &[u8], mac: &RowMac) -> bool {
        // Constant time in the code; which key made it is written beside it anyway.
        self.key(mac.key).is_some_and(|key| bool::from(key.mac_of(self.what, row).ct_eq(&mac.code)))
    }
}
