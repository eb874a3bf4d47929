//! How tests authenticate rows: a key that everybody knows.

use domain::PlatformKeyId;
use domain::row_seal::{RowMac, RowSeal};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// HMAC-SHA-256 under a key anybody can read here. For tests and measurements only: it protects nothing.
pub struct TestSeal {
    id: PlatformKeyId,
    keyed: Hmac<Sha256>,
}

impl TestSeal {
    /// The seal of one test installation; another number is another platform root.
    pub fn number(number: u8) -> Self {
        let keyed = Hmac::new_from_slice(&[number; 32]).expect("HMAC takes keys of any length");
        Self { id: PlatformKeyId::from_bytes([number; 16]), keyed }
    }
}

impl Default for TestSeal {
    fn default() -> Self {
        Self::number(1)
    }
}

impl RowSeal for TestSeal {
    fn seal(&self, row: &[u8]) -> RowMac {
        RowMac { key: self.id, code: self.keyed.clone().chain_update(row).finalize().into_bytes().into() }
    }

    fn verify(&self, row: &[u8], mac: &RowMac) -> bool {
        mac.key == self.id && self.keyed.clone().chain_update(row).verify_slice(&mac.code).is_ok()
    }
}
