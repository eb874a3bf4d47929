//! Who may do what in a vault: roles with their data actions, and access policies.

use serde::{Deserialize, Serialize};

use crate::operation::Operation;

/// A built-in role of Azure RBAC for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Key Vault Crypto Service Encryption User: read, wrap, unwrap.
    CryptoServiceEncryptionUser,
    /// Key Vault Crypto User: also encrypt, decrypt, update, backup, sign, verify.
    CryptoUser,
    /// Key Vault Crypto Officer: everything on keys.
    CryptoOfficer,
}

impl Role {
    /// The role definition's id.
    pub const fn id(self) -> &'static str {
        match self {
            Self::CryptoServiceEncryptionUser => "e147488a-f6f5-4113-8e2d-b22465e65bf6",
            Self::CryptoUser => "12338af0-0e69-4776-bea7-57ae8d297424",
            Self::CryptoOfficer => "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
        }
    }

    fn allows(self, action: &str) -> bool {
        match self {
            Self::CryptoServiceEncryptionUser => {
                matches!(action, "keys/read" | "keys/wrap/action" | "keys/unwrap/action")
            }
            Self::CryptoUser => matches!(
                action,
                "keys/read"
                    | "keys/update/action"
                    | "keys/encrypt/action"
                    | "keys/decrypt/action"
                    | "keys/wrap/action"
                    | "keys/unwrap/action"
            ),
            Self::CryptoOfficer => action.starts_with("keys/") || action.starts_with("keyrotationpolicies/"),
        }
    }
}

/// The data action an operation needs, after `Microsoft.KeyVault/vaults/`.
pub(crate) fn data_action(operation: Operation) -> &'static str {
    match operation {
        Operation::GetKey
        | Operation::ListKeys
        | Operation::ListVersions
        | Operation::GetDeleted
        | Operation::ListDeleted => "keys/read",
        Operation::Create => "keys/create/action",
        Operation::Import => "keys/import/action",
        Operation::Update => "keys/update/action",
        Operation::Rotate => "keys/rotate/action",
        Operation::GetRotationPolicy => "keyrotationpolicies/read",
        Operation::PutRotationPolicy => "keyrotationpolicies/write",
        Operation::Delete => "keys/delete",
        Operation::Recover => "keys/recover/action",
        Operation::Purge => "keys/purge/action",
        Operation::WrapKey => "keys/wrap/action",
        Operation::UnwrapKey => "keys/unwrap/action",
        Operation::Encrypt => "keys/encrypt/action",
        Operation::Decrypt => "keys/decrypt/action",
        Operation::Connect
        | Operation::Challenge
        | Operation::Health
        | Operation::Token
        | Operation::Discovery
        | Operation::Jwks
        | Operation::AdminConsent
        | Operation::Authorize
        | Operation::Unknown => "none",
    }
}

/// A role on a vault, or on one key of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Object id of the service principal.
    pub(crate) principal: String,
    pub(crate) role: Role,
    /// `None`: the whole vault.
    pub(crate) key: Option<String>,
}

/// What a vault asks to let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessModel {
    /// Azure role-based access control: access policies have no effect.
    #[default]
    Rbac,
    /// Vault access policies: roles have no effect.
    Policies,
}

/// Permissions of one principal in the access-policy model, named as in `operation` (`get`, `wrapKey`, …).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessPolicy {
    pub(crate) principal: String,
    pub(crate) permissions: Vec<String>,
}

/// Whether roles admit `principal` to `operation` on `key` (`None`: an operation on the whole vault).
pub(crate) fn role_admits(
    assignments: &[Assignment],
    principal: &str,
    operation: Operation,
    key: Option<&str>,
) -> bool {
    let action = data_action(operation);
    assignments.iter().any(|a| {
        let scope = match (&a.key, key) {
            (None, _) => true,
            (Some(scoped), Some(key)) => scoped.eq_ignore_ascii_case(key),
            (Some(_), None) => false,
        };
        scope && a.principal.eq_ignore_ascii_case(principal) && a.role.allows(action)
    })
}

/// Whether access policies admit `principal` to `operation`.
pub(crate) fn policy_admits(policies: &[AccessPolicy], principal: &str, operation: Operation) -> bool {
    let named = |p: &AccessPolicy| p.permissions.iter().any(|n| n.eq_ignore_ascii_case(operation.vault_name()));
    policies.iter().any(|p| p.principal.eq_ignore_ascii_case(principal) && named(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(role: Role, key: Option<&str>) -> Vec<Assignment> {
        vec![Assignment { principal: "oid".into(), role, key: key.map(str::to_owned) }]
    }

    /// Key Vault Crypto Service Encryption User reads, wraps and unwraps, and nothing else.
    #[test]
    fn the_recommended_role_has_exactly_three_data_actions() {
        use Operation as O;
        let role = assignment(Role::CryptoServiceEncryptionUser, None);
        for yes in [O::GetKey, O::ListVersions, O::WrapKey, O::UnwrapKey] {
            assert!(role_admits(&role, "OID", yes, Some("k")), "{yes:?}");
        }
        for no in [O::Update, O::Encrypt, O::Decrypt, O::Create, O::Rotate, O::Delete, O::GetRotationPolicy] {
            assert!(!role_admits(&role, "oid", no, Some("k")), "{no:?}");
            assert!(role_admits(&assignment(Role::CryptoOfficer, None), "oid", no, Some("k")), "{no:?}");
        }
        assert!(!role_admits(&role, "another", O::WrapKey, Some("k")));
    }

    /// A role on one key opens that key only, and no list of the vault.
    #[test]
    fn a_role_on_a_key_is_no_role_on_its_neighbour() {
        let role = assignment(Role::CryptoServiceEncryptionUser, Some("k1"));
        assert!(role_admits(&role, "oid", Operation::WrapKey, Some("K1")));
        assert!(!role_admits(&role, "oid", Operation::WrapKey, Some("k2")));
        assert!(!role_admits(&role, "oid", Operation::ListKeys, None));
    }
}
