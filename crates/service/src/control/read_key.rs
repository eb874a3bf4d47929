//! Reading the customer's key configuration and the versions that were seen.

use std::time::Duration;

use domain::key_life::Timing;
use domain::permission::{self, Permit};
use domain::rotation::{Facts, Safety};
use domain::{KeyConfig, KeyVersion, Reason, Timestamp};
use store::StoreError;

use super::rotate_key::USED_TO_LOOK_BACK;
use super::{KeyStatus, not_found, workspace_of};
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// A recorded version of the customer's key, and whether anything needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInUse {
    /// The version.
    pub version: KeyVersion,
    /// Whether it wraps new data keys.
    pub in_force: bool,
    /// Data keys whose current wrapping is under it.
    pub data_keys: u64,
    /// Whether the customer may disable it now.
    pub disable: Safety,
    /// Whether the customer may delete it now, as far as this service knows.
    pub delete: Safety,
}

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
        let life =
            self.0.store.key_life(&config.workspace).await?.ok_or(StoreError::RowForged { table: "key_lives" })?;
        let proof = self.0.proof_of(&config).await?;
        let ownership = self.0.ownership_for_status(&config).await;
        Ok(KeyStatus { config, life, proof, ownership })
    }

    /// The time that a key's phase is told by.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now().wall
    }

    /// The bounds that an enforcement date is kept by.
    pub fn timing(&self) -> Timing {
        self.0.options.timing()
    }

    /// The versions of the customer's key that were recorded, newest first, and for each whether it is still needed.
    pub async fn list_key_versions(&self, permit: &Permit<permission::ReadKey>) -> Result<Vec<VersionInUse>, Refusal> {
        let (store, workspace) = (&self.0.store, workspace_of(permit)?);
        self.read_key(permit).await?;
        // What changes between these readings changes to more need and not to less only if a rotation begins or ends: they are
        // read again until none did.
        let (config, uses, operations) = loop {
            let before = store.operations(&workspace, None, USED_TO_LOOK_BACK).await?;
            let config = self.read_key(permit).await?;
            let uses = store.version_uses(&workspace).await?;
            let after = store.operations(&workspace, None, USED_TO_LOOK_BACK).await?;
            let same = |(a, b): (&domain::Operation, &domain::Operation)| {
                (a.id, a.state, a.switched_at) == (b.id, b.state, b.switched_at)
            };
            if before.len() == after.len() && before.iter().zip(&after).all(same) {
                break (config, uses, after);
            }
        };
        let exports = self.0.exports(&workspace).await?;
        let in_force = config.left_at.is_none().then_some(config.current_version);
        let mut versions = store.key_versions(&workspace).await?;
        let newest = match config.choices.newest_version_counts {
            true => self.0.may_be_newest(&config, &versions).await,
            false => Vec::new(),
        };
        let facts = Facts {
            in_force,
            newest: &newest,
            uses: &uses,
            operations: &operations,
            now: self.0.clock.now().wall,
            // What a slow commit adds is within the deadline of the work it belongs to.
            read_holds_for: match self.0.bugs.has(SeededBug::SafeTooSoon) {
                true => Duration::ZERO,
                false => self.0.options.control_lease + self.0.options.vault_deadline,
            },
        };
        versions.reverse();
        let in_use = |version: KeyVersion| {
            let found = uses.iter().find(|found| found.version == version.id);
            VersionInUse {
                in_force: Some(version.id) == in_force,
                data_keys: found.map_or(0, |found| found.data_keys),
                disable: facts.safe_to_disable(version.id),
                delete: facts.safe_to_delete(version.id, self.0.options.backups_kept, exports),
                version,
            }
        };
        Ok(versions.into_iter().map(in_use).collect())
    }
}
