//! Looks in customers' vaults for new versions of their keys, and begins the rotation to one that is found.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::operation::{OperationKind, OperationState};
use domain::{KeyConfig, KeyVersionId, WorkspaceId};
use futures::stream::{self, StreamExt};
use tokio::time::{MissedTickBehavior, timeout};
use vault::{KeyRef, KeyUnavailable, VersionListing};

use crate::control::rotate_key::{RotateKey, USED_TO_LOOK_BACK};
use crate::core::Core;
use crate::keys::vault_call::SERVICE;
use crate::options::MOST_PAGE;
use crate::seeded_bug::SeededBug;
use crate::tasks::hints::{Hinted, Hints};
use crate::{Refusal, Service};

/// How many vaults are asked at once.
const AT_ONCE: usize = 16;

impl Service {
    /// Looks for new versions for as long as the process lives, every [`Options::look_for_versions`](crate::Options), and soon
    /// after a [hint](Service::hint_new_version).
    pub async fn keep_following_new_versions(self: Arc<Self>) {
        let Some(every) = self.0.options.look_for_versions else { return };
        let mut turns = tokio::time::interval(every.max(Duration::from_millis(1)));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pace = Hints::pace();
        loop {
            let looked = tokio::select! {
                biased;
                _ = turns.tick() => self.follow_new_versions().await,
                () = self.0.hints.due(&mut pace, self.0.bugs) => self.follow_hints().await,
            };
            if let Err(refusal) = looked {
                tracing::warn!(why = %refusal.for_log(), "new key versions could not be looked for");
            }
        }
    }

    /// One turn: asks the vault of each workspace that follows new versions of its customer key for them, and begins a rotation where the newest
    /// one that is enabled and valid is newer than the one in force. One that somebody cancelled or that failed is not begun
    /// again by itself. A vault that does not answer delays no other.
    pub async fn follow_new_versions(&self) -> Result<(), Refusal> {
        self.look(None).await
    }

    /// As [`follow_new_versions`](Service::follow_new_versions), for the keys that were hinted at since the last time.
    pub async fn follow_hints(&self) -> Result<(), Refusal> {
        let hinted = self.0.hints.take();
        if hinted.is_empty() { Ok(()) } else { self.look(Some(&hinted)).await }
    }

    async fn look(&self, only: Option<&HashSet<Hinted>>) -> Result<(), Refusal> {
        let mut after: Option<WorkspaceId> = None;
        loop {
            let page = self.0.store.workspaces(after.as_ref(), MOST_PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            let look = |workspace: domain::Workspace| async move {
                if let Err(refusal) = self.0.follow(&workspace.id, only).await {
                    let why = refusal.for_log();
                    tracing::warn!(workspace = %workspace.id, %why, "a new key version was not looked for or not followed");
                }
            };
            stream::iter(page).for_each_concurrent(AT_ONCE, look).await;
        }
    }
}

impl Core {
    async fn follow(self: &Arc<Self>, workspace: &WorkspaceId, only: Option<&HashSet<Hinted>>) -> Result<(), Refusal> {
        let Some(config) = self.store.key_config(workspace).await? else { return Ok(()) };
        if only.is_some_and(|only| !only.contains(&Hinted::of(&config.location))) {
            return Ok(());
        }
        // Before it is in force, another version is another configuration, which somebody has to test.
        let follows = config.choices.follow_new_versions || self.bugs.has(SeededBug::ChoicesIgnored);
        if !follows
            || config.left_at.is_some()
            || !self.store.key_life(workspace).await?.is_some_and(|life| life.rotates())
        {
            return Ok(());
        }
        // A key that is about to be replaced is not rotated by itself: the replacement was approved for the version in force.
        let open = self.store.open_operations().await?;
        let replaces = |operation: &&domain::Operation| matches!(operation.kind, OperationKind::ReplaceKey { .. });
        if open.iter().filter(replaces).any(|operation| operation.workspace == *workspace) {
            return Ok(());
        }
        // Nobody asked who could be told: what a vault leads to elsewhere is counted.
        let newest = self.watching(self.newest_version(workspace, &config).await)?;
        let Some(newest) = newest else { return Ok(()) };
        let rotations = self.store.operations(workspace, None, USED_TO_LOOK_BACK).await?;
        let given_up = rotations.iter().any(|operation| {
            let to_it = matches!(operation.kind, OperationKind::RotateKey { to, .. } if to == newest);
            to_it && matches!(operation.state, OperationState::Cancelled | OperationState::Failed)
        });
        if given_up {
            return Ok(());
        }
        let request = RotateKey { version: Some(newest), validate_only: false };
        let started = self.clone().start_rotation(workspace.clone(), request, SERVICE.to_owned()).await?;
        if let Some(operation) = started.operation {
            tracing::info!(%workspace, version = %newest, operation = %operation.id, "a new version of the customer's key was found");
        }
        Ok(())
    }

    /// The newest version that could wrap now, if it is newer than the one in force.
    async fn newest_version(
        &self,
        workspace: &WorkspaceId,
        config: &KeyConfig,
    ) -> Result<Option<KeyVersionId>, Refusal> {
        let budget = self.budget();
        let state = self.table.existing_workspace(workspace);
        let versions = {
            let _place = self.place(&state, &budget).await?;
            let as_whom = self.as_whom(workspace, &budget).await?;
            let at = KeyRef::new(config.tenant.clone(), config.location.clone(), as_whom).of(&config.workspace);
            let left = budget.left();
            let answer = timeout(left, self.customer_keys.versions(&at, left)).await;
            answer.unwrap_or(Err(KeyUnavailable::TimedOut { waited: left }))?
        };
        let now = self.clock.now().wall;
        let in_force = versions.iter().find(|found| found.version == config.current_version);
        let since = in_force.and_then(|found| found.created);
        let usable = |found: &&VersionListing| {
            found.enabled
                && !found.managed
                && found.not_before.is_none_or(|from| from <= now)
                && found.expires.is_none_or(|until| until > now)
        };
        // A version without a time of its making cannot be called newer.
        let newer = versions.iter().filter(usable).filter(|found| found.created.is_some() && found.created > since);
        let newest = newer.max_by_key(|found| found.created);
        Ok(newest.map(|found| found.version).filter(|version| *version != config.current_version))
    }
}
