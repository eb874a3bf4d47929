//! How the customer's key does, as this replica sees it.

use domain::permission::{self, Permit};
use domain::{Reason, Timestamp};

use super::workspace_of;
use crate::{Refusal, Service};

/// What the vault last said of the version in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyHealth {
    /// When the last probe or unwrap that succeeded was asked for; absent where none did since this replica started.
    pub last_success: Option<Timestamp>,
    /// Since when it is refused and why, while it is. The reason says who can fix it, and how.
    pub denied: Option<(Timestamp, Reason)>,
}

impl Service {
    /// What this replica knows of the version in force. Asks no vault.
    pub async fn key_health(&self, permit: &Permit<permission::ReadKey>) -> Result<KeyHealth, Refusal> {
        let version = self.read_key(permit).await?.current_version;
        let health = self.0.table.health(&workspace_of(permit)?, version);
        Ok(KeyHealth {
            last_success: health.last_success.map(|at| at.wall),
            denied: health.denied.map(|(since, why)| (since, why.reason())),
        })
    }
}
