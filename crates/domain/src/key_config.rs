//! Which customer key a workspace uses.

use std::time::Duration;

use crate::{KeyLocation, KeyVersionId, TenantId, Timestamp, WorkspaceId};

/// The longest time a key may be served after the vault was last *asked* and said yes (H). A workspace may lower it, never raise it.
pub const LONGEST_LEASE: Duration = Duration::from_secs(300);

/// A workspace's customer key, in force for all its apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyConfig {
    /// Whose configuration.
    pub workspace: WorkspaceId,
    /// Vault and key name.
    pub location: KeyLocation,
    /// The Entra tenant the vault belongs to; tokens are asked for it and nothing else.
    pub tenant: TenantId,
    /// The version that wraps new data keys.
    pub current_version: KeyVersionId,
    /// Counts the changes of `current_version`. A data key wrapped in an older epoch is not inserted.
    pub wrap_epoch: u64,
    /// The workspace's own bound H, at most [`LONGEST_LEASE`].
    pub lease: Duration,
    /// When it came into force.
    pub configured_at: Timestamp,
    /// When the workspace left it: new data is under the platform's key since, and what is under this one stays there.
    pub left_at: Option<Timestamp>,
}

impl KeyConfig {
    /// The same, left: new data keys are the platform's, and those begun in the old epoch are not inserted any more.
    pub fn leave(self, now: Timestamp) -> Self {
        match self.left_at {
            Some(_) => self,
            None => Self { wrap_epoch: self.wrap_epoch.saturating_add(1), left_at: Some(now), ..self },
        }
    }
}
