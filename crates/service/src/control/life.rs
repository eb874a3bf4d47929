//! The life of a workspace's key as a transaction finds it, and what its apps' selection is.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::key_life::{AppSelection, KeyLife, Selection, Step};
use domain::{AppId, KeyConfig, Reason, Timestamp, WorkspaceId};
use store::{StoreError, Transaction};

use super::{event, live_workspace};
use crate::Refusal;
use crate::core::Core;
use crate::keys::table::Change;
use crate::options::CONTROL_LEASE;

/// The key's configuration and life; a key that was put in force before there were dates has one from now on.
pub(super) async fn key_and_life(
    tx: &mut dyn Transaction,
    workspace: &WorkspaceId,
) -> Result<(KeyConfig, KeyLife), Refusal> {
    live_workspace(tx, workspace).await?;
    let config = tx.key_config(workspace).await?.ok_or_else(|| Refusal::because(Reason::KeyNotConfigured))?;
    let life = tx.key_life(workspace).await?;
    let life = life.unwrap_or_else(|| KeyLife::in_force(workspace.clone(), config.configured_at));
    Ok((config, life))
}

/// Which apps are under the customer's key, by the life and the rows of those that were ever named.
pub(super) fn selection_of(every_app: bool, rows: &[AppSelection]) -> Selection {
    if every_app {
        return Selection::Every;
    }
    let selected: BTreeSet<AppId> = rows.iter().filter(|row| row.selected).map(|row| row.app.clone()).collect();
    Selection::Only(selected)
}

/// The longest that a commit is taken to last after the time its change is stamped with.
const LONGEST_COMMIT: Duration = Duration::from_secs(15);

/// From when on every replica that serves goes by a change: it has read the store at most C ago.
pub(super) fn effective_at(changed_at: Timestamp) -> Timestamp {
    changed_at.saturating_add(CONTROL_LEASE).saturating_add(LONGEST_COMMIT)
}

impl Core {
    /// Writes a life and its record and commits; the memory is told, in whatever way the commit ends.
    pub(super) async fn commit_life(
        &self,
        mut tx: Box<dyn Transaction>,
        step: Step<KeyLife>,
        actor: &str,
        change: Change<'_>,
    ) -> Result<KeyLife, Refusal> {
        let Step { next: life, record } = step;
        tx.put_key_life(&life).await?;
        tx.append_audit(event(&life.workspace, life.changed_at, actor, record)).await?;
        match self.announcing(&life.workspace, change, tx.commit()).await {
            // I-3: what a later reading shows is what happened.
            Err(StoreError::OutcomeUnknown) if self.store.key_life(&life.workspace).await?.as_ref() == Some(&life) => {}
            outcome => {
                outcome?;
            }
        }
        Ok(life)
    }
}
