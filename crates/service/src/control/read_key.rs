//! Reading the customer's key configuration and the versions that were seen.

use domain::permission::{self, Permit};
use domain::{KeyConfig, KeyVersion, Reason};
use vault::KeyRef;

use super::{not_found, workspace_of};
use crate::{Refusal, Service};

impl Service {
    /// The key that is in force. Asks no vault.
    pub async fn read_key(&self, permit: &Permit<permission::ReadKey>) -> Result<KeyConfig, Refusal> {
        let workspace = workspace_of(permit)?;
        let found = self.0.store.workspace(&workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let config = self.0.store.key_config(&workspace).await?;
        config.ok_or_else(|| Refusal::because(Reason::KeyNotConfigured))
    }

    /// What the owner of this key sets as its tag [`OWNERSHIP_TAG`](crate::OWNERSHIP_TAG) to prove it the workspace's: 32
    /// hexadecimal digits, bound to workspace, key and tenant.
    pub fn ownership_nonce(&self, config: &KeyConfig) -> String {
        let key = KeyRef { tenant: config.tenant.clone(), location: config.location.clone() };
        self.0.ownership_nonces(&config.workspace, &key).swap_remove(0)
    }

    /// The versions of the customer's key that were recorded, newest first.
    pub async fn list_key_versions(&self, permit: &Permit<permission::ReadKey>) -> Result<Vec<KeyVersion>, Refusal> {
        self.read_key(permit).await?;
        let mut versions = self.0.store.key_versions(&workspace_of(permit)?).await?;
        versions.reverse();
        Ok(versions)
    }
}
