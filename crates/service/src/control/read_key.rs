//! Reading the customer's key configuration and the versions that were seen.

use domain::key_life::KeyLife;
use domain::permission::{self, Permit};
use domain::{KeyConfig, KeyVersion, Reason, Timestamp};

use super::{KeyStatus, not_found, workspace_of};
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

    /// The key and where it stands in its life. Asks no vault.
    pub async fn key_status(&self, permit: &Permit<permission::ReadKey>) -> Result<KeyStatus, Refusal> {
        let config = self.read_key(permit).await?;
        let life = self.0.store.key_life(&config.workspace).await?;
        let life = life.unwrap_or_else(|| KeyLife::in_force(config.workspace.clone(), config.configured_at));
        Ok(KeyStatus { config, life })
    }

    /// The time that a key's phase is told by.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now().wall
    }

    /// The versions of the customer's key that were recorded, newest first.
    pub async fn list_key_versions(&self, permit: &Permit<permission::ReadKey>) -> Result<Vec<KeyVersion>, Refusal> {
        self.read_key(permit).await?;
        let mut versions = self.0.store.key_versions(&workspace_of(permit)?).await?;
        versions.reverse();
        Ok(versions)
    }
}
