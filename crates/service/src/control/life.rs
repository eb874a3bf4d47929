//! The life of a workspace's key as a transaction finds it, and what its apps' selection is.

use std::collections::BTreeSet;

use domain::key_life::{AppSelection, KeyLife, PassingTest, Selection, Step};
use domain::{AppId, ConfigHash, KeyConfig, KeyTest, Reason, Timestamp, WorkspaceId};
use store::{StoreError, Transaction};

use super::{event, live_workspace};
use crate::Refusal;
use crate::core::Core;
use crate::keys::table::Change;
use crate::options::MOST_PAGE;
use crate::seeded_bug::SeededBug;

/// The key's configuration and its life.
pub(crate) async fn key_and_life(
    tx: &mut dyn Transaction,
    workspace: &WorkspaceId,
) -> Result<(KeyConfig, KeyLife), Refusal> {
    live_workspace(tx, workspace).await?;
    let config = tx.key_config(workspace).await?.ok_or_else(|| Refusal::because(Reason::KeyNotConfigured))?;
    let life = tx.key_life(workspace).await?.ok_or(StoreError::RowForged { table: "key_lives" })?;
    Ok((config, life))
}

/// The hash of a configuration: what a test is bound to.
pub(crate) fn config_hash(config: &KeyConfig) -> ConfigHash {
    ConfigHash::of(&config.workspace, &config.location, &config.tenant, Some(config.current_version))
}

/// Which apps are under the customer's key, by the life and the rows of those that were ever named.
pub(crate) fn selection_of(every_app: bool, rows: &[AppSelection]) -> Selection {
    if every_app {
        return Selection::Every;
    }
    let selected: BTreeSet<AppId> = rows.iter().filter(|row| row.selected).map(|row| row.app.clone()).collect();
    Selection::Only(selected)
}

impl Core {
    /// The test that proves this configuration now, or what is missing. Where its newest test did not pass, a rehearsal's too: what
    /// that test found.
    pub(crate) async fn proof_of(&self, config: &KeyConfig) -> Result<Result<PassingTest, Reason>, StoreError> {
        let (tests, hash) = (self.store.key_tests(&config.workspace, MOST_PAGE).await?, config_hash(config));
        let newest = tests.iter().find(|test| test.config_hash == hash);
        let found = newest.and_then(KeyTest::first_failure).and_then(|failed| failed.reason);
        let proof = PassingTest::among(&tests, &hash, self.clock.now().wall);
        Ok(proof.map_err(|missing| found.filter(|_| !self.bugs.has(SeededBug::FindingNotTold)).unwrap_or(missing)))
    }

    /// From when on every replica that serves goes by a change: it has read the store at most C ago.
    pub(crate) fn effective_at(&self, changed_at: Timestamp) -> Timestamp {
        changed_at.saturating_add(self.options.control_lease).saturating_add(self.options.commit_slack)
    }

    /// Writes a life and its record and commits; the memory is told, in whatever way the commit ends.
    pub(crate) async fn commit_life(
        &self,
        mut tx: Box<dyn Transaction>,
        step: Step<KeyLife>,
        actor: &str,
        change: Change<'_>,
    ) -> Result<KeyLife, Refusal> {
        let Step { next: life, record } = step;
        tx.put_key_life(&life).await?;
        if !self.bugs.has(SeededBug::ChangeNotRecorded) {
            tx.append_audit(event(&life.workspace, life.changed_at, actor, record)).await?;
        }
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
