//! How many operations a vault takes, as Microsoft publishes it, and how much of that this service takes (I-27).
//!
//! A vault counts its operations over ten seconds, weighted by the key's size: 2,000 of RSA 2048 in an HSM weigh as much as 250
//! of RSA 4096. The customer's other users share it. Every replica therefore takes its part of a configured share, and whoever
//! says how long something will take reckons with the same share: this is the only place that knows the figures.

use std::time::Duration;

use crate::KeyVersion;

/// Over which a vault counts.
pub const WINDOW: Duration = Duration::from_secs(10);

/// How many operations with a key a vault permits in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultLimit(u32);

impl VaultLimit {
    /// Of an RSA key of so many bits, in an HSM or not, as it is published for a vault and region.
    pub const fn published(bits: usize, hsm: bool) -> Self {
        Self(match (bits, hsm) {
            (..=2048, true) => 2_000,
            (..=2048, false) => 4_000,
            (2049..=3072, true) => 500,
            (2049..=3072, false) => 1_000,
            (3073.., true) => 250,
            (3073.., false) => 500,
        })
    }

    /// Of this version of a key.
    pub fn of(version: &KeyVersion) -> Self {
        Self::published(version.bits(), version.hsm)
    }

    /// Operations in a window.
    pub const fn in_a_window(self) -> u32 {
        self.0
    }
}

/// What one replica may take of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaultShare {
    /// Percent of the vault's limit, over all replicas. 1 to 100.
    pub percent: u32,
    /// Over how many replicas. At least 1.
    pub replicas: u32,
    /// The vault's operations in a window, where an operator knows better than what is published.
    pub limit: Option<u32>,
}

impl VaultShare {
    /// For how long one operation with a key takes up the share.
    pub fn turn(&self, limit: VaultLimit) -> Duration {
        let limit = u128::from(self.limit.unwrap_or(limit.0).max(1)) * u128::from(self.percent.clamp(1, 100));
        let micros = WINDOW.as_micros() * 100 * u128::from(self.replicas.max(1)) / limit;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// For how long a data key's way from one version to another takes it up: an unwrap by the old one, then a wrap and an
    /// unwrap by the new one. Two vaults have a limit each, and are asked side by side.
    pub fn data_key(&self, from: &KeyVersion, to: &KeyVersion) -> Duration {
        let (out, back) = (self.turn(VaultLimit::of(from)), 2 * self.turn(VaultLimit::of(to)));
        let (old, new) = (from.location.key(), to.location.key());
        let same_vault = (old.cloud(), old.vault()) == (new.cloud(), new.vault());
        if same_vault { out + back } else { out.max(back) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cloud, KeyLocation, KeyVersionId, Timestamp};

    fn key(vault: &str, bits: usize, hsm: bool) -> KeyVersion {
        let id = KeyVersionId::from_bytes([1; 16]);
        KeyVersion {
            workspace: "acme".parse().unwrap(),
            id,
            location: KeyLocation::from_parts(Cloud::Public, vault, "byok").unwrap().at(id),
            modulus: vec![0x81; bits / 8],
            exponent: vec![1, 0, 1],
            thumbprint: [0; 32],
            hsm,
            recorded_at: Timestamp::from_micros(0),
            tenant: None,
        }
    }

    /// The published limits.
    #[test]
    fn a_large_key_in_an_hsm_weighs_most() {
        let of = |bits, hsm| VaultLimit::of(&key("acme", bits, hsm)).in_a_window();
        let limits = [2048, 3072, 4096].map(|bits| (of(bits, true), of(bits, false)));
        assert_eq!(limits, [(2_000, 4_000), (500, 1_000), (250, 500)]);
    }

    /// A turn is what the configured share of a window leaves to one operation, and a data key takes three of them.
    #[test]
    fn a_share_says_how_long_a_data_key_takes() {
        let half = VaultShare { percent: 50, replicas: 1, limit: None };
        let (small, large) = (key("acme", 2048, false), key("acme", 4096, true));
        assert_eq!(half.turn(VaultLimit::of(&small)), Duration::from_millis(5));
        assert_eq!(half.turn(VaultLimit::of(&large)), Duration::from_millis(80));
        assert_eq!(VaultShare { replicas: 3, ..half }.turn(VaultLimit::of(&large)), Duration::from_millis(240));
        assert_eq!(VaultShare { limit: Some(100), ..half }.turn(VaultLimit::of(&small)), Duration::from_millis(200));
        assert_eq!(half.data_key(&small, &small), Duration::from_millis(15));
        assert_eq!(half.data_key(&small, &large), Duration::from_millis(5 + 160));
        assert_eq!(half.data_key(&small, &key("other", 4096, true)), Duration::from_millis(160), "two vaults");
    }
}
