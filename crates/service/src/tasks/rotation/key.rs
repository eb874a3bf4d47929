//! How every data key goes over to another version of the customer's key, or to another key: wrapped and verified, then the
//! switch, then the late ones.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::audit::AuditKind;
use domain::operation::{NotMoved, Operation};
use domain::rotation::{Rotation, Switched, Wrapping as WrappingStep, left};
use domain::{DataKey, DataKeyId, KeyVersionId, Reason, WorkspaceId, Wrapping};
use futures::stream::{FuturesUnordered, StreamExt};

use super::pass::{Pass, is_away, version_of};
use super::{PAGE, Stopped};
use crate::control::event;
use crate::core::Core;
use crate::keys::rewrap::Rewrap;
use crate::keys::table::Change;
use crate::seeded_bug::SeededBug;

/// Where the next data key to be wrapped comes from.
enum Source {
    /// These, in this order.
    These(VecDeque<(DataKey, Wrapping)>),
    /// What the store has left, read page by page.
    Left { read: VecDeque<(DataKey, Wrapping)>, after: Option<DataKeyId>, over: bool },
}

impl Core {
    /// The compare-and-set that puts the new version in force, the operation's step and the record: one commit.
    pub(super) async fn switch(&self, operation: &Operation, step: WrappingStep) -> Result<(), Stopped> {
        let workspace = &operation.workspace;
        let uses = self.store.version_uses(workspace).await?;
        let now = self.clock.now().wall;
        let mut tx = self.store.begin("switch_key").await?;
        // Another replica may have switched, or somebody asked to end it, since it was read.
        let present = tx.operation(operation.id).await?.ok_or(Stopped::Ended)?;
        if present.switched_at.is_some() || present.cancelling {
            return Err(Stopped::Moved);
        }
        let config = tx.key_config(workspace).await?.ok_or(Stopped::Hopeless(Reason::KeyNotConfigured))?;
        let (next, after) = step.switch(&config, &uses, now)?;
        let next = Operation { progress: present.progress, reason: None, ..next };
        if after != config {
            tx.put_key_config(&after).await?;
        }
        tx.put_operation(&next).await?;
        let what = AuditKind::KeyRotated { operation: operation.id, version: after.current_version };
        tx.append_audit(event(workspace, now, &operation.actor, what)).await?;
        self.announcing(workspace, Change::Key { lease: after.lease }, tx.commit()).await?;
        tracing::info!(%workspace, operation = %operation.id, version = %after.current_version, "a new version of the customer's key is in force");
        Ok(())
    }

    pub(super) async fn finish(&self, operation: &Operation, step: Switched) -> Result<(), Stopped> {
        let uses = match self.bugs.has(SeededBug::StragglersForgotten) {
            true => Vec::new(),
            false => self.store.version_uses(&operation.workspace).await?,
        };
        step.finish(&uses, self.clock.now().wall)?;
        let to_its_end = |present: Operation, now| match Rotation::of(present)? {
            Rotation::Switched(step) => step.finish(&uses, now),
            Rotation::Planned(_) | Rotation::Wrapping(_) => Err(NotMoved::TooEarly),
            Rotation::Ended => Err(NotMoved::Ended),
        };
        self.end(operation.id, to_its_end).await
    }

    /// Wraps every data key that is left by the operation's version; comes back when none is, or something stands in the way.
    pub(super) async fn wrap_all(self: &Arc<Self>, operation: &Operation) -> Result<(), Stopped> {
        let workspace = &operation.workspace;
        let Some((_, to)) = operation.kind.versions() else { return Err(Stopped::Ended) };
        if self.bugs.has(SeededBug::StragglersForgotten) && operation.switched_at.is_some() {
            return Ok(());
        }
        let config = self.store.key_config(workspace).await?.ok_or(Stopped::Hopeless(Reason::KeyNotConfigured))?;
        let versions = self.store.key_versions(workspace).await?;
        let to = versions.iter().find(|version| version.id == to).ok_or(Stopped::Hopeless(Reason::Internal))?;
        let uses = self.store.version_uses(workspace).await?;
        let at_once = self.pace(&uses, &versions, to).at_once;
        let state = self.table.existing_workspace(workspace);
        let rewrap = Rewrap { operation: operation.id, config: &config, to, workspace: &state };
        let mut pass = Pass::new(operation, left(&uses, to.id));

        // Those in use first, and the most used of them before the others: what follows may take long.
        let hot = self.hot(workspace, to.id).await?;
        self.wrap_each(&rewrap, Source::These(hot.into()), at_once, &mut pass).await?;
        let left = Source::Left { read: VecDeque::new(), after: None, over: false };
        self.wrap_each(&rewrap, left, at_once, &mut pass).await?;
        pass.outcome()
    }

    /// Open data keys under another version, most used first.
    async fn hot(&self, workspace: &WorkspaceId, to: KeyVersionId) -> Result<Vec<(DataKey, Wrapping)>, Stopped> {
        let mut hot = Vec::new();
        for (app, id) in self.table.most_used(workspace, to) {
            let row = self.store.data_key(workspace, &app, id).await?;
            let wrapping = self.store.wrapping(workspace, id).await?;
            let elsewhere = |found: &Wrapping| found.wrapped_by != domain::WrappingKey::Customer(to);
            if let (Some(row), Some(wrapping)) = (row, wrapping.filter(elsewhere)) {
                hot.push((row, wrapping));
            }
        }
        Ok(hot)
    }

    /// Wraps the data keys of a source, so many at once. Nothing else slows it down: each call waits its turn at the vault like
    /// any other, and there are always enough under way for the next turn to be used.
    async fn wrap_each(
        self: &Arc<Self>,
        rewrap: &Rewrap<'_>,
        mut source: Source,
        at_once: usize,
        pass: &mut Pass,
    ) -> Result<(), Stopped> {
        let (mut under_way, mut unreported) = (FuturesUnordered::new(), 0);
        let mut stopped: Option<Stopped> = None;
        loop {
            while stopped.is_none() && under_way.len() < at_once {
                let Some((row, over)) = self.next_of(&mut source, rewrap).await? else { break };
                if !pass.is_blocked(version_of(&over)) {
                    under_way.push(async move { self.rewrap(rewrap, &row, &over).await });
                }
            }
            let Some(outcome) = under_way.next().await else { break };
            // A vault that does not answer is not asked once more for each of ten thousand data keys. What is under way ends.
            let away = is_away(&outcome);
            let counted = pass.count(outcome);
            unreported += 1;
            if let Err(stop) = counted.and_then(|()| if away { pass.standstill() } else { Ok(()) }) {
                stopped.get_or_insert(stop);
            }
            if unreported >= PAGE && stopped.is_none() {
                unreported = 0;
                stopped = self.report(rewrap, pass).await.and_then(|()| pass.standstill()).err();
            }
        }
        if unreported > 0 && !matches!(stopped, Some(Stopped::Ended)) {
            self.report(rewrap, pass).await?;
        }
        match stopped {
            Some(stop) => Err(stop),
            None => pass.standstill(),
        }
    }

    async fn next_of(&self, source: &mut Source, rewrap: &Rewrap<'_>) -> Result<Option<(DataKey, Wrapping)>, Stopped> {
        match source {
            Source::These(these) => Ok(these.pop_front()),
            Source::Left { read, after, over } => {
                if read.is_empty() && !*over {
                    let workspace = &rewrap.workspace.id;
                    *read = self.store.data_keys_left(workspace, rewrap.to.id, *after, PAGE).await?.into();
                    *after = read.back().map(|(last, _)| last.id).or(*after);
                    *over = read.is_empty();
                }
                Ok(read.pop_front())
            }
        }
    }

    /// Writes down how far it is, and looks whether somebody wants it to end.
    async fn report(&self, rewrap: &Rewrap<'_>, pass: &Pass) -> Result<(), Stopped> {
        let (progress, now) = (pass.progress, self.clock.now().wall);
        let reported = self
            .move_operation("report_operation", rewrap.operation, |operation| operation.report(progress, None, now));
        if reported.await?.cancelling { Err(Stopped::Moved) } else { Ok(()) }
    }
}
