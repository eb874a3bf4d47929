//! How the customer's key does, as this replica sees it.

use domain::permission::{self, Permit};
use domain::{Reason, Timestamp};

use super::workspace_of;
use crate::{Refusal, Service};

/// What the vault last said of the version in force, and of others that data keys are still under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyHealth {
    /// When the last probe or unwrap that succeeded was asked for; absent where none did since this replica started.
    pub last_success: Option<Timestamp>,
    /// Since when it is refused and why, while it is. The reason says who can fix it, and how.
    pub denied: Option<(Timestamp, Reason)>,
}

impl Service {
    /// What this replica knows of the key. Asks no vault.
    pub async fn key_health(&self, permit: &Permit<permission::ReadKey>) -> Result<KeyHealth, Refusal> {
        let (current, workspace) = (self.read_key(permit).await?.current_version, workspace_of(permit)?);
        let health = self.0.table.health(&workspace, current);
        let mut denied = None;
        for (version, since, why) in health.denied {
            // An older one matters while a data key is under it: afterwards it may be disabled.
            let needed = version == current || {
                let uses = self.0.store.version_uses(&workspace).await?;
                uses.iter().any(|used| used.version == version && used.data_keys > 0)
            };
            if needed {
                // So that it is not said for ever: what was denied is only asked about where somebody wants it.
                self.0.table.ask_on_behalf(&workspace, version);
                denied = Some((since, why.reason()));
                break;
            }
        }
        Ok(KeyHealth { last_success: health.last_success.map(|at| at.wall), denied })
    }
}
