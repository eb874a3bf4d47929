//! A vault, as its owner works on it: keys, roles, policies, network, limits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cloud::Cloud;
use crate::handles::Principal;
use crate::keyvault::access::{AccessModel, AccessPolicy, Assignment, Role};
use crate::keyvault::key::{KeyOperation, KeyVersion};
use crate::keyvault::vault::{Deletion, Network, Sku, Vault};
use crate::keyvault::{self, is_key_name};
use crate::limits::Limits;
use crate::rsa_key::{Bits, RsaKey};
use crate::world::World;

/// What a role is given on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleScope {
    /// The whole vault.
    Vault,
    /// One key.
    Key(String),
}

/// A key version that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// The key's name.
    pub name: String,
    /// 32 hex characters.
    pub version: String,
    /// The full key identifier.
    pub kid: String,
}

/// A private key to import, as PKCS#8 DER.
pub struct ImportedKey<'a> {
    /// PKCS#8, unencrypted.
    pub pkcs8: &'a [u8],
    /// Whether it is to live in an HSM.
    pub hsm: bool,
}

/// Why the vault did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The vault was purged.
    #[error("there is no such vault any more")]
    NoVault,
    /// No such key or version.
    #[error("the vault has no such key or version")]
    NoKey,
    /// The name has characters a key cannot have, or is too long.
    #[error("a key's name has 1 to 127 letters, digits and dashes")]
    Name,
    /// The size is not offered.
    #[error("an RSA key has 2048, 3072 or 4096 bits")]
    Size,
    /// The name belongs to a deleted key.
    #[error("the name belongs to a deleted key: recover or purge it")]
    NameIsDeleted,
    /// Not an RSA key of a size offered, or generation failed.
    #[error("not an RSA key of 2048, 3072 or 4096 bits")]
    Material,
    /// Purge protection is on.
    #[error("purge protection is on")]
    PurgeProtected,
}

/// What to change on a key version. What is left out stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyChange {
    /// The version; empty is the latest.
    pub version: String,
    /// Enabled or disabled.
    pub enabled: Option<bool>,
    /// Not before, Unix seconds.
    pub nbf: Option<i64>,
    /// Expiry, Unix seconds.
    pub exp: Option<i64>,
    /// Takes both dates away.
    pub clear_dates: bool,
    /// All tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// All permitted operations.
    pub key_ops: Option<Vec<KeyOperation>>,
    /// Backs a certificate.
    pub managed: Option<bool>,
    /// Can be exported.
    pub exportable: Option<bool>,
    /// A release policy, as the vault would show it.
    pub release_policy: Option<serde_json::Value>,
}

/// A vault. Clones are the same one.
#[derive(Clone)]
pub struct VaultHandle {
    world: Arc<World>,
    host: String,
}

impl fmt::Debug for VaultHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultHandle").field("host", &self.host).finish_non_exhaustive()
    }
}

impl VaultHandle {
    pub(crate) fn find_or_create(world: Arc<World>, cloud: Cloud, tenant: &str, name: &str) -> Self {
        let vault = Vault::new(name, cloud, tenant);
        let host = vault.host();
        if world.read(|s| s.vault(&host).is_none()) {
            world.change(|s| s.vaults.push(vault));
        }
        Self { world, host }
    }

    pub(crate) fn find(world: Arc<World>, host: &str) -> Option<Self> {
        let host = world.read(|s| s.vault(host).map(Vault::host))?;
        Some(Self { world, host })
    }

    /// The vault's host name, lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The vault's URL without a slash at the end.
    pub fn url(&self) -> String {
        format!("https://{}", self.host)
    }

    // -- keys ---------------------------------------------------------------------------------------------------

    /// Makes a key, or a new version of one, of freshly generated RSA material.
    pub async fn create_key(&self, name: &str, bits: u32, key_ops: &[KeyOperation]) -> Result<KeyInfo, NotDone> {
        self.create(name, bits, false, key_ops).await
    }

    /// As [`VaultHandle::create_key`], as a key in an HSM (`RSA-HSM`): only the kind and the limits differ.
    pub async fn create_hsm_key(&self, name: &str, bits: u32, key_ops: &[KeyOperation]) -> Result<KeyInfo, NotDone> {
        self.create(name, bits, true, key_ops).await
    }

    async fn create(&self, name: &str, bits: u32, hsm: bool, ops: &[KeyOperation]) -> Result<KeyInfo, NotDone> {
        let bits = Bits::try_from(bits).map_err(|_| NotDone::Size)?;
        self.check_name(name)?;
        let version = keyvault::new_version(&self.world, bits, hsm, ops.to_vec()).await;
        self.put(name, version.map_err(|_| NotDone::Material)?)
    }

    /// Puts a given private key in the vault, as a new key or version.
    pub fn import_key(&self, name: &str, key: &ImportedKey<'_>) -> Result<KeyInfo, NotDone> {
        self.check_name(name)?;
        let material = Arc::new(RsaKey::from_pkcs8(key.pkcs8).map_err(|_| NotDone::Material)?);
        self.put(name, keyvault::version_of(&self.world, material, key.hsm, KeyOperation::DEFAULT.to_vec()))
    }

    /// A new version with new material, as the vault's own rotation makes it.
    pub async fn rotate_key(&self, name: &str) -> Result<KeyInfo, NotDone> {
        let done = keyvault::rotate(&self.world, &self.host, name).await;
        let version = done.ok().and_then(|d| d.version).ok_or(NotDone::NoKey)?;
        self.info(name, &version)
    }

    fn check_name(&self, name: &str) -> Result<(), NotDone> {
        if !is_key_name(name) {
            return Err(NotDone::Name);
        }
        let deleted = self.read(|v| v.deleted_keys.contains_key(&name.to_ascii_lowercase()))?;
        if deleted { Err(NotDone::NameIsDeleted) } else { Ok(()) }
    }

    fn put(&self, name: &str, version: KeyVersion) -> Result<KeyInfo, NotDone> {
        let id = version.id.clone();
        self.change(|v| keyvault::put_version(v, name, version))?;
        self.info(name, &id)
    }

    fn info(&self, name: &str, version: &str) -> Result<KeyInfo, NotDone> {
        self.read(|v| {
            let key = v.key(name).ok_or(NotDone::NoKey)?;
            let version = key.version(version).ok_or(NotDone::NoKey)?.id.clone();
            Ok(KeyInfo { name: key.name.clone(), kid: v.kid(&key.name, &version), version })
        })?
    }

    /// The latest version of a key.
    pub fn latest(&self, name: &str) -> Result<KeyInfo, NotDone> {
        self.info(name, "")
    }

    /// All versions of a key, oldest first.
    pub fn versions(&self, name: &str) -> Result<Vec<KeyInfo>, NotDone> {
        let ids: Vec<String> = self.read(|v| {
            let key = v.key(name).ok_or(NotDone::NoKey)?;
            Ok::<_, NotDone>(key.versions.iter().map(|v| v.id.clone()).collect())
        })??;
        ids.iter().map(|id| self.info(name, id)).collect()
    }

    /// Changes a key version's attributes.
    pub fn change_key(&self, name: &str, change: KeyChange) -> Result<(), NotDone> {
        let now = self.world.seconds();
        self.change(|v| {
            let key = v.key_mut(name).ok_or(NotDone::NoKey)?;
            let version = key.version_mut(&change.version).ok_or(NotDone::NoKey)?;
            if change.clear_dates {
                (version.nbf, version.exp) = (None, None);
            }
            version.enabled = change.enabled.unwrap_or(version.enabled);
            version.nbf = change.nbf.or(version.nbf);
            version.exp = change.exp.or(version.exp);
            version.managed = change.managed.unwrap_or(version.managed);
            version.exportable = change.exportable.unwrap_or(version.exportable);
            if let Some(tags) = change.tags {
                version.tags = tags;
            }
            if let Some(ops) = change.key_ops {
                version.key_ops = ops;
            }
            version.release_policy = change.release_policy.or(version.release_policy.take());
            version.updated = now;
            Ok(())
        })?
    }

    /// Disables a version (`""`: the latest).
    pub fn disable_key_version(&self, name: &str, version: &str) -> Result<(), NotDone> {
        self.change_key(name, KeyChange { version: version.into(), enabled: Some(false), ..KeyChange::default() })
    }

    /// Enables a version (`""`: the latest).
    pub fn enable_key_version(&self, name: &str, version: &str) -> Result<(), NotDone> {
        self.change_key(name, KeyChange { version: version.into(), enabled: Some(true), ..KeyChange::default() })
    }

    /// Sets one tag of the latest version.
    pub fn set_tag(&self, name: &str, tag: &str, value: &str) -> Result<(), NotDone> {
        let tags = self.read(|v| v.key(name).and_then(|k| k.version("")).map(|v| v.tags.clone()))?;
        let mut tags = tags.ok_or(NotDone::NoKey)?;
        tags.insert(tag.to_owned(), value.to_owned());
        self.change_key(name, KeyChange { tags: Some(tags), ..KeyChange::default() })
    }

    /// Deletes a key with all versions; recoverable while the vault keeps deleted keys.
    pub fn delete_key(&self, name: &str) -> Result<(), NotDone> {
        let now = self.world.seconds();
        let name = name.to_ascii_lowercase();
        self.change(|v| keyvault::delete(v, &name, now))?.map(drop).map_err(|_| NotDone::NoKey)
    }

    /// Recovers a deleted key.
    pub fn recover_key(&self, name: &str) -> Result<(), NotDone> {
        let name = name.to_ascii_lowercase();
        self.change(|v| keyvault::recover(v, &name))?.map(drop).map_err(|_| NotDone::NoKey)
    }

    /// Purges a deleted key.
    pub fn purge_key(&self, name: &str) -> Result<(), NotDone> {
        let name = name.to_ascii_lowercase();
        if self.read(|v| v.deletion.purge_protection && v.deleted_keys.contains_key(&name))? {
            return Err(NotDone::PurgeProtected);
        }
        self.change(|v| keyvault::purge(v, &name))?.map(drop).map_err(|_| NotDone::NoKey)
    }

    // -- who may ------------------------------------------------------------------------------------------------

    /// Assigns a role. It counts at once; Azure takes minutes.
    pub fn assign_role(&self, principal: &Principal, role: Role, scope: RoleScope) {
        let assignment = assignment(principal, role, scope);
        self.quietly(|v| v.assignments.push(assignment));
    }

    /// Removes a role given on exactly this scope.
    pub fn remove_role(&self, principal: &Principal, role: Role, scope: RoleScope) {
        let gone = assignment(principal, role, scope);
        self.quietly(|v| v.assignments.retain(|a| *a != gone));
    }

    /// Removes every role of a principal.
    pub fn remove_roles(&self, principal: &Principal) {
        self.quietly(|v| v.assignments.retain(|a| a.principal != principal.object_id));
    }

    /// Grants exactly these permissions by access policy (`get`, `wrapKey`, …); none removes the policy.
    pub fn set_access_policy(&self, principal: &Principal, permissions: &[&str]) {
        self.quietly(|v| {
            v.policies.retain(|p| p.principal != principal.object_id);
            if !permissions.is_empty() {
                let permissions = permissions.iter().map(|&p| p.to_owned()).collect();
                v.policies.push(AccessPolicy { principal: principal.object_id.clone(), permissions });
            }
        });
    }

    /// Roles, or access policies.
    pub fn set_access_model(&self, model: AccessModel) {
        self.quietly(|v| v.model = model);
    }

    // -- the vault itself ---------------------------------------------------------------------------------------

    /// Public access, firewall, private endpoint.
    pub fn set_network(&self, network: Network) {
        self.quietly(|v| v.network = network);
    }

    /// Soft delete and purge protection.
    pub fn set_deletion(&self, deletion: Deletion) {
        self.quietly(|v| v.deletion = deletion);
    }

    /// Standard or premium.
    pub fn set_sku(&self, sku: Sku) {
        self.quietly(|v| v.sku = sku);
    }

    /// Requests per ten seconds.
    pub fn set_limits(&self, limits: Limits) {
        self.quietly(|v| v.limits = limits);
    }

    /// Whether a disabled version still wraps, which one user reported and nobody confirmed.
    pub fn set_disabled_still_wraps(&self, wraps: bool) {
        self.quietly(|v| v.disabled_still_wraps = wraps);
    }

    /// Moves the vault to another tenant: tokens of the old one are refused (AKV10032).
    pub fn move_to_tenant(&self, tenant_id: &str) {
        self.quietly(|v| v.tenant = tenant_id.to_owned());
    }

    /// Soft-deletes the vault: its name still resolves.
    pub fn delete(&self) {
        self.quietly(|v| v.deleted = true);
    }

    /// Recovers the vault. Its role assignments do not come back.
    pub fn recover(&self) {
        self.quietly(|v| {
            v.deleted = false;
            v.assignments.clear();
        });
    }

    /// Purges the vault: its name is gone.
    pub fn purge(&self) {
        self.world.change(|s| s.vaults.retain(|v| v.host() != self.host));
    }

    fn read<T>(&self, f: impl FnOnce(&Vault) -> T) -> Result<T, NotDone> {
        self.world.read(|s| s.vault(&self.host).map(f)).ok_or(NotDone::NoVault)
    }

    fn change<T>(&self, f: impl FnOnce(&mut Vault) -> T) -> Result<T, NotDone> {
        self.world.change(|s| s.vault_mut(&self.host).map(f)).ok_or(NotDone::NoVault)
    }

    /// For what has no meaning once the vault is purged.
    fn quietly(&self, f: impl FnOnce(&mut Vault)) {
        self.world.change(|s| {
            if let Some(vault) = s.vault_mut(&self.host) {
                f(vault);
            }
        });
    }
}

fn assignment(principal: &Principal, role: Role, scope: RoleScope) -> Assignment {
    let key = match scope {
        RoleScope::Vault => None,
        RoleScope::Key(name) => Some(name),
    };
    Assignment { principal: principal.object_id.clone(), role, key }
}
