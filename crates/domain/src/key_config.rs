//! Which customer key a workspace uses.

use std::time::Duration;

use crate::{KeyLocation, KeyVersionId, TenantId, Timestamp, WorkspaceId};

/// The longest time a key may be served after the vault was last *asked* and said yes (H). A workspace may lower it, never raise it.
pub const LONGEST_LEASE: Duration = Duration::from_secs(300);

/// What a workspace chose about the versions of its key that are made and switched in its vault. Like the bound on leases it is
/// no part of what a test proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionChoices {
    /// Whether a new version that is found is rotated to by itself. Usual: yes.
    pub follow_new_versions: bool,
    /// Whether the newest version, seen enabled and then switched off, counts as the key taken back while data is under an older
    /// one. That is what the switch of portal and command line does. Usual: yes.
    pub newest_version_counts: bool,
}

impl Default for VersionChoices {
    fn default() -> Self {
        Self { follow_new_versions: true, newest_version_counts: true }
    }
}

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
    /// What the workspace chose about versions that its vault makes.
    pub choices: VersionChoices,
    /// When the workspace left it: new data is under the platform's key since, and what is under this one stays there.
    pub left_at: Option<Timestamp>,
}

impl KeyConfig {
    /// Whether the key could be served for longer by `next` than by this one after the customer took it back. A change that
    /// only ever makes the service let go sooner, or that is about rotation, is taken at any time; this one is not (I-21).
    pub fn is_loosened_by(&self, next: &Self) -> bool {
        let unheard = self.choices.newest_version_counts && !next.choices.newest_version_counts;
        next.lease > self.lease || unheard
    }

    /// The same, left: new data keys are the platform's, and those begun in the old epoch are not inserted any more.
    pub fn leave(self, now: Timestamp) -> Self {
        match self.left_at {
            Some(_) => self,
            None => Self { wrap_epoch: self.wrap_epoch.saturating_add(1), left_at: Some(now), ..self },
        }
    }
}
