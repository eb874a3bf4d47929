//! What a vault is: its place, its doors and its keys.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::cloud::Cloud;
use crate::keyvault::access::{AccessModel, AccessPolicy, Assignment};
use crate::keyvault::key::{DeletedKey, Key, Recovery};
use crate::limits::Limits;

/// Which keys a vault can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sku {
    /// Software keys.
    #[default]
    Standard,
    /// Software and HSM keys.
    Premium,
}

/// What a vault does with deleted keys. A new vault recovers for 90 days and allows purging, as Azure's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    /// Days a deleted key can be recovered, 7 to 90; 0: no soft delete, as very old vaults have it.
    pub retention_days: u16,
    /// Deleted keys cannot be purged before that.
    pub purge_protection: bool,
}

impl Default for Deletion {
    fn default() -> Self {
        Self { retention_days: 90, purge_protection: false }
    }
}

impl Deletion {
    pub(crate) fn recovery(self) -> Recovery {
        let level = match (self.retention_days, self.purge_protection) {
            (0, _) => "Purgeable",
            (90, true) => "Recoverable",
            (90, false) => "Recoverable+Purgeable",
            (_, true) => "CustomizedRecoverable",
            (_, false) => "CustomizedRecoverable+Purgeable",
        };
        Recovery { level, days: self.retention_days }
    }
}

/// Who reaches a vault at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Off: only private endpoints get in.
    pub public_access: bool,
    /// On: of public addresses, only `allowed` get in.
    pub firewall: bool,
    /// IPv4 or IPv6 addresses or ranges (`203.0.113.0/24`).
    pub allowed: Vec<String>,
    /// The caller's way through a private endpoint is approved here.
    pub private_endpoint: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self { public_access: true, firewall: false, allowed: Vec::new(), private_endpoint: false }
    }
}

impl Network {
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|rule| in_range(address, rule))
    }
}

fn in_range(address: IpAddr, rule: &str) -> bool {
    let (base, length) = match rule.split_once('/') {
        Some((base, length)) => (base, length.parse::<u32>().ok()),
        None => (rule, None),
    };
    let number = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    let ((a, a_len), (b, b_len)) = (number(address), number(base));
    let length = length.unwrap_or(b_len);
    if a_len != b_len || length > b_len {
        return false;
    }
    length == 0 || (a ^ b) >> (128 - length) == 0
}

/// A vault.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Vault {
    pub(crate) name: String,
    pub(crate) cloud: Cloud,
    /// Id of the tenant it belongs to.
    pub(crate) tenant: String,
    pub(crate) sku: Sku,
    pub(crate) model: AccessModel,
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) policies: Vec<AccessPolicy>,
    pub(crate) network: Network,
    pub(crate) deletion: Deletion,
    pub(crate) limits: Limits,
    /// Soft-deleted itself.
    pub(crate) deleted: bool,
    /// Seen by one user and never confirmed: a disabled version refuses unwrap while wrap still succeeds.
    pub(crate) disabled_still_wraps: bool,
    /// By name in lower case.
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) deleted_keys: BTreeMap<String, DeletedKey>,
}

impl Vault {
    pub(crate) fn new(name: &str, cloud: Cloud, tenant: &str) -> Self {
        Self {
            name: name.to_owned(),
            cloud,
            tenant: tenant.to_owned(),
            sku: Sku::default(),
            model: AccessModel::default(),
            assignments: Vec::new(),
            policies: Vec::new(),
            network: Network::default(),
            deletion: Deletion::default(),
            limits: Limits::default(),
            deleted: false,
            disabled_still_wraps: false,
            keys: BTreeMap::new(),
            deleted_keys: BTreeMap::new(),
        }
    }

    pub(crate) fn host(&self) -> String {
        format!("{}.{}", self.name.to_ascii_lowercase(), self.cloud.vault_domain())
    }

    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.get(&name.to_ascii_lowercase())
    }

    pub(crate) fn key_mut(&mut self, name: &str) -> Option<&mut Key> {
        self.keys.get_mut(&name.to_ascii_lowercase())
    }

    pub(crate) fn kid(&self, name: &str, version: &str) -> String {
        format!("https://{}/keys/{name}/{version}", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Firewall rules are addresses or ranges of either family.
    #[test]
    fn a_firewall_rule_admits_its_range_and_no_neighbour() {
        let allowed = ["203.0.113.7".into(), "198.51.100.0/24".into(), "2001:db8::/32".into(), "nonsense/8".into()];
        let network = Network { firewall: true, allowed: allowed.to_vec(), ..Network::default() };
        for (address, inside) in [
            ("203.0.113.7", true),
            ("203.0.113.8", false),
            ("198.51.100.255", true),
            ("198.51.101.0", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(network.allows(address.parse().unwrap()), inside, "{address}");
        }
    }

    /// The recovery level tells whether permanent loss is possible.
    #[test]
    fn the_recovery_level_says_purgeable_exactly_without_purge_protection() {
        for (days, protected, level) in [
            (90, false, "Recoverable+Purgeable"),
            (90, true, "Recoverable"),
            (7, true, "CustomizedRecoverable"),
            (7, false, "CustomizedRecoverable+Purgeable"),
            (0, false, "Purgeable"),
        ] {
            let deletion = Deletion { retention_days: days, purge_protection: protected };
            assert_eq!(deletion.recovery().level, level);
        }
    }
}
