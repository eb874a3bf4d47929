//! Under whose key is an app's new data, by what the store said and by this replica's own clock.

use std::collections::BTreeSet;

use domain::key_life::{KeyLife, Ruled, Ruling, Selection, protection_of};
use domain::{KeyConfig, Moment, Protection, Reason};
use store::StoreError;

use super::vault_call::Budget;
use super::{AppRef, Failure, Standing};
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// What the store says of a workspace's key and whether one app is under it.
pub(crate) struct KeyReading {
    pub(crate) config: Option<KeyConfig>,
    pub(crate) life: Option<KeyLife>,
    pub(crate) selected: bool,
}

impl KeyReading {
    /// The rule, as of this clock.
    pub(crate) fn rule(&self, app: AppRef<'_>, now: Moment) -> Ruled {
        let selection = match self.selected {
            true => Selection::Every,
            false => Selection::Only(BTreeSet::new()),
        };
        protection_of(self.config.as_ref(), self.life.as_ref(), &selection, app.app, now.wall)
    }

    /// Whether the customer's key is switched off here: nothing is opened under it either.
    pub(crate) fn is_revoked(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.revoked.is_some())
    }
}

impl Standing {
    /// The side that an app's new data is on, or, where nobody may encrypt it now, waits for.
    pub(crate) fn side_of_new_data(&self) -> Protection {
        match self.ruled.ruling {
            Ruling::PlatformKey => Protection::PlatformKey,
            Ruling::CustomerKey | Ruling::Wait { .. } | Ruling::Refuse(_) => Protection::CustomerKey,
        }
    }
}

impl Core {
    /// Reads what decides under whose key an app's data is.
    pub(crate) async fn key_reading(&self, app: AppRef<'_>, budget: &Budget<'_>) -> Result<KeyReading, Failure> {
        let config = self.stored(budget, self.store.key_config(app.workspace)).await?;
        let life = match &config {
            None => None,
            // Both are written by one commit: without its life, a key's row was taken away, and with it perhaps a "no".
            Some(_) => match self.stored(budget, self.store.key_life(app.workspace)).await? {
                None => return Err(StoreError::RowForged { table: "key_lives" }.into()),
                life => life,
            },
        };
        let selected = match &life {
            Some(life) if !life.every_app => {
                let row = self.stored(budget, self.store.app_selection(app.workspace, app.app)).await?;
                row.is_some_and(|row| row.selected)
            }
            Some(_) | None => true,
        };
        Ok(KeyReading { config, life, selected })
    }

    /// Under whose key new data is to be sealed now. Waits where this clock is too close to the date to say; `None`: it has
    /// waited, and everything is to be read again.
    pub(crate) async fn side(&self, standing: &Standing, budget: &Budget<'_>) -> Result<Option<Protection>, Failure> {
        match standing.ruled.ruling {
            Ruling::CustomerKey => Ok(Some(Protection::CustomerKey)),
            Ruling::PlatformKey => Ok(Some(Protection::PlatformKey)),
            Ruling::Refuse(reason) => Err(Failure::Ruled(reason)),
            Ruling::Wait { until } => {
                let left = self.clock.now().wall.until(until);
                tokio::time::sleep(left.min(budget.left())).await;
                Ok(None)
            }
        }
    }

    /// Refuses a key of the customer's side while that is switched off.
    pub(crate) fn check_switch(&self, standing: &Standing, protection: Protection) -> Result<(), Failure> {
        let off = standing.revoked && protection == Protection::CustomerKey;
        if off && !self.bugs.has(SeededBug::SwitchForgotten) {
            return Err(Failure::Ruled(Reason::KeyRevoked));
        }
        Ok(())
    }
}
