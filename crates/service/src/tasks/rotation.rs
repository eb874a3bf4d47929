//! Works on operations: takes each open one from the step it is at to its end, whoever began it and whoever died meanwhile.
//!
//! Everything a step rests on is in the database, and every write of it is compared there; so a step may be done again, by this
//! process or by another at the same time, and comes to the same end (I-23). What cannot go on now waits for the next turn.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::audit::AuditKind;
use domain::operation::{NotMoved, Operation, OperationId, OperationKind, OperationState};
use domain::rotation::{CALLS_PER_DATA_KEY, Rate, Rotation, Switched, Wrapping as WrappingStep, left};
use domain::{DataKey, DataKeyId, DataKeyState, KeyVersion, KeyVersionId, Reason, WorkspaceId, Wrapping};
use futures::stream::{FuturesUnordered, StreamExt};
use store::{Conflict, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use vault::Class;

use crate::control::event;
use crate::core::Core;
use crate::keys::birth::Born;
use crate::keys::rewrap::{NotRewrapped, Rewrap, Rewrapped};
use crate::keys::table::Change;
use crate::keys::vault_call::SERVICE;
use crate::keys::{AppRef, Failure, lock};
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// How often operations are looked for that nobody woke us for: left by a crash, or waiting.
const TURN: Duration = Duration::from_secs(2);
/// How long one that waits for its vault is left alone.
const AGAIN: Duration = Duration::from_secs(10);
/// Data keys between two reports of progress, and two looks at whether somebody wants it to end.
const PAGE: usize = 128;
/// Steps in one turn. A rotation has four; more come of births and of others who work on the same operation.
const MOST_STEPS: usize = 1_000;
/// What a call to a vault takes, as measured by others: how many have to be under way for a rate.
const USUAL_CALL: Duration = Duration::from_millis(55);

/// Operations that are being worked on in this process.
#[derive(Default)]
pub(crate) struct Operations {
    under_way: Mutex<HashSet<OperationId>>,
    wake: Notify,
}

impl Operations {
    /// There is something to do.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn take(self: &Arc<Self>, id: OperationId) -> Option<Taken> {
        lock(&self.under_way).insert(id).then(|| Taken { operations: self.clone(), id })
    }
}

/// An operation that this process works on; given back when dropped, by a panic too.
struct Taken {
    operations: Arc<Operations>,
    id: OperationId,
}

impl Drop for Taken {
    fn drop(&mut self) {
        lock(&self.operations.under_way).remove(&self.id);
    }
}

/// Why an operation does not go on now.
enum Stopped {
    /// It has ended.
    Ended,
    /// Waiting may help.
    Waits(Reason),
    /// Waiting does not help.
    Hopeless(Reason),
    /// Something moved under it: read it again.
    Moved,
}

impl From<StoreError> for Stopped {
    fn from(why: StoreError) -> Self {
        match why {
            StoreError::Conflict(Conflict::OperationEnded) => Self::Ended,
            StoreError::Conflict(_) => Self::Moved,
            why => Self::Waits(why.reason()),
        }
    }
}

impl From<NotMoved> for Stopped {
    fn from(why: NotMoved) -> Self {
        match why {
            NotMoved::Ended => Self::Ended,
            NotMoved::TooEarly | NotMoved::Left { .. } => Self::Moved,
            NotMoved::ConfigurationMoved | NotMoved::OtherKind => Self::Hopeless(Reason::KeyAlreadyInForce),
        }
    }
}

impl Service {
    /// Works on operations for as long as the process lives: at once when one is begun here, and every two seconds otherwise.
    pub async fn work_on_operations(self: Arc<Self>) {
        // Each on a task of its own: a workspace whose vault hangs delays no other's. They end with this loop.
        let mut at_work = JoinSet::new();
        loop {
            while at_work.try_join_next().is_some() {}
            let now = self.0.clock.now().wall;
            for operation in self.0.store.open_operations().await.unwrap_or_default() {
                let waits = operation.reason.is_some() && now < operation.updated_at.saturating_add(AGAIN);
                if !waits || operation.cancelling {
                    at_work.spawn(self.0.clone().work_on(operation.id));
                }
            }
            let _ = tokio::time::timeout(TURN, self.0.operations.wake.notified()).await;
        }
    }

    /// One turn: takes every open operation as far as it goes now.
    pub async fn run_operations(&self) -> Result<(), Refusal> {
        let open = self.0.store.open_operations().await?;
        futures::future::join_all(open.into_iter().map(|operation| self.0.clone().work_on(operation.id))).await;
        Ok(())
    }
}

/// How many calls a second a rotation between these makes, with so many calls under way.
pub(crate) fn rate(versions: &[&KeyVersion], calls_under_way: usize) -> Rate {
    let slowest = versions.iter().map(|version| Rate::of_key(version.bits(), version.hsm));
    let at_once = Rate::per_second(calls_under_way as f64 / USUAL_CALL.as_secs_f64());
    slowest.fold(at_once, Rate::min)
}

impl Core {
    /// Of the workspace's places at its vault, those that a rotation takes: the others are left to requests.
    pub(crate) fn rotation_places(&self) -> usize {
        (self.options.vault_calls_per_workspace * 3 / 4).max(1)
    }

    async fn work_on(self: Arc<Self>, id: OperationId) {
        let Some(_taken) = self.operations.take(id) else { return };
        for _ in 0..MOST_STEPS {
            match self.step(id).await {
                Ok(()) | Err(Stopped::Moved) => {}
                Err(Stopped::Ended) => return,
                Err(Stopped::Waits(reason)) => {
                    tracing::warn!(operation = %id, %reason, "an operation waits");
                    if let Err(error) = self.note_waiting(id, reason).await {
                        tracing::error!(operation = %id, %error, "that an operation waits could not be written down");
                    }
                    return;
                }
                Err(Stopped::Hopeless(reason)) => {
                    tracing::error!(operation = %id, %reason, "an operation cannot be done");
                    match self.end(id, |operation, now| operation.fail(reason, now)).await {
                        Ok(()) | Err(Stopped::Ended) => return,
                        Err(Stopped::Moved | Stopped::Waits(_) | Stopped::Hopeless(_)) => return,
                    }
                }
            }
        }
    }

    /// From the step an operation is at to the next.
    async fn step(self: &Arc<Self>, id: OperationId) -> Result<(), Stopped> {
        let operation = self.store.operation(id).await?.ok_or(Stopped::Ended)?;
        if !operation.state.is_open() {
            return Err(Stopped::Ended);
        }
        let workspace = self.store.workspace(&operation.workspace).await?;
        let gone = workspace.is_none_or(|workspace| workspace.deleted_at.is_some());
        if operation.cancelling || gone {
            return self.end(id, Operation::cancel).await;
        }
        match &operation.kind {
            OperationKind::RotateKey { .. } => match Rotation::of(operation.clone())? {
                Rotation::Planned(_) => self.begin(id).await,
                Rotation::Wrapping(step) => {
                    self.wrap_all(&operation).await?;
                    self.switch(&operation, step).await
                }
                Rotation::Switched(step) => {
                    self.wrap_all(&operation).await?;
                    self.finish(&operation, step).await
                }
                Rotation::Ended => Err(Stopped::Ended),
            },
            OperationKind::RotateDataKeys { .. } => match operation.state {
                OperationState::Planned => self.begin(id).await,
                OperationState::Running => self.replace_data_keys(&operation).await,
                OperationState::Done | OperationState::Cancelled | OperationState::Failed => Err(Stopped::Ended),
            },
        }
    }

    /// Changes an operation in a transaction that has read it.
    async fn move_operation(
        &self,
        name: &'static str,
        id: OperationId,
        change: impl FnOnce(Operation) -> Result<Operation, NotMoved>,
    ) -> Result<Operation, Stopped> {
        let mut tx = self.store.begin(name).await?;
        let present = tx.operation(id).await?.ok_or(Stopped::Ended)?;
        let next = change(present.clone())?;
        if next != present {
            tx.put_operation(&next).await?;
            tx.commit().await?;
        }
        Ok(next)
    }

    async fn begin(&self, id: OperationId) -> Result<(), Stopped> {
        let now = self.clock.now().wall;
        self.move_operation("begin_operation", id, |operation| operation.begin(now)).await.map(drop)
    }

    async fn note_waiting(&self, id: OperationId, reason: Reason) -> Result<(), Refusal> {
        let now = self.clock.now().wall;
        let noted = self.move_operation("report_operation", id, |operation| {
            let progress = operation.progress;
            operation.report(progress, Some(reason), now)
        });
        match noted.await {
            Ok(_) | Err(Stopped::Ended) => Ok(()),
            Err(Stopped::Moved) => Err(Refusal::because(Reason::StoreUnavailable)),
            Err(Stopped::Waits(why) | Stopped::Hopeless(why)) => Err(Refusal::because(why)),
        }
    }

    /// Ends an operation before its time, with its record.
    pub(crate) async fn end_operation(
        &self,
        id: OperationId,
        end: impl FnOnce(Operation, domain::Timestamp) -> Result<Operation, NotMoved>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now().wall;
        let mut tx = self.store.begin("end_operation").await?;
        let present = tx.operation(id).await?.ok_or(Conflict::NoOperation)?;
        let Ok(next) = end(present, now) else { return Err(Conflict::OperationEnded.into()) };
        tx.put_operation(&next).await?;
        tx.append_audit(event(&next.workspace, now, SERVICE, ended(&next))).await?;
        tx.commit().await.map(drop)
    }

    async fn end(
        &self,
        id: OperationId,
        end: impl FnOnce(Operation, domain::Timestamp) -> Result<Operation, NotMoved>,
    ) -> Result<(), Stopped> {
        Ok(self.end_operation(id, end).await?)
    }

    /// The compare-and-set that puts the new version in force, the operation's step and the record: one commit.
    async fn switch(&self, operation: &Operation, step: WrappingStep) -> Result<(), Stopped> {
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

    async fn finish(&self, operation: &Operation, step: Switched) -> Result<(), Stopped> {
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
    async fn wrap_all(self: &Arc<Self>, operation: &Operation) -> Result<(), Stopped> {
        let workspace = &operation.workspace;
        let OperationKind::RotateKey { to, .. } = operation.kind else { return Err(Stopped::Ended) };
        if self.bugs.has(SeededBug::StragglersForgotten) && operation.switched_at.is_some() {
            return Ok(());
        }
        let config = self.store.key_config(workspace).await?.ok_or(Stopped::Hopeless(Reason::KeyNotConfigured))?;
        let versions = self.store.key_versions(workspace).await?;
        let to = versions.iter().find(|version| version.id == to).ok_or(Stopped::Hopeless(Reason::Internal))?;
        let uses = self.store.version_uses(workspace).await?;
        let in_use =
            |version: &&KeyVersion| uses.iter().any(|found| found.version == version.id && found.data_keys > 0);
        let mut slow: Vec<&KeyVersion> = versions.iter().filter(in_use).collect();
        slow.push(to);
        let rate = rate(&slow, self.rotation_places());
        let state = self.table.existing_workspace(workspace);
        let rewrap = Rewrap { operation: operation.id, config: &config, to, workspace: &state };
        let mut pass = Pass::new(operation, left(&uses, to.id), rate);

        // Those in use first, and the most used of them before the others: what follows may take long.
        let hot = self.hot(workspace, to.id).await?;
        for page in hot.chunks(PAGE) {
            self.wrap_page(&rewrap, page.to_vec(), &mut pass).await?;
        }
        let mut after: Option<DataKeyId> = None;
        loop {
            let page = self.store.data_keys_left(workspace, to.id, after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.id);
            self.wrap_page(&rewrap, page, &mut pass).await?;
        }
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

    /// Wraps the data keys of one page, several at once and no faster than the rate, then reports.
    async fn wrap_page(
        &self,
        rewrap: &Rewrap<'_>,
        page: Vec<(DataKey, Wrapping)>,
        pass: &mut Pass,
    ) -> Result<(), Stopped> {
        let mut beat = tokio::time::interval(pass.pace);
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let places = self.rotation_places();
        let blocked = |(_, over): &(DataKey, Wrapping)| pass.blocked.contains(&version_of(over));
        let mut waiting: Vec<_> = page.into_iter().filter(|next| !blocked(next)).rev().collect();
        let (mut under_way, mut tried) = (FuturesUnordered::new(), Vec::with_capacity(waiting.len()));
        loop {
            tokio::select! {
                _ = beat.tick(), if under_way.len() < places && !waiting.is_empty() => {
                    if let Some((row, over)) = waiting.pop() {
                        under_way.push(async move { self.rewrap(rewrap, &row, &over).await });
                    }
                }
                Some(outcome) = under_way.next(), if !under_way.is_empty() => {
                    // A vault that does not answer is not asked once more for each of ten thousand data keys.
                    if is_away(&outcome) {
                        waiting.clear();
                    }
                    tried.push(outcome);
                }
                else => break,
            }
        }
        for outcome in tried {
            pass.count(outcome)?;
        }
        let (progress, now) = (pass.progress, self.clock.now().wall);
        let reported = self
            .move_operation("report_operation", rewrap.operation, |operation| operation.report(progress, None, now));
        if reported.await?.cancelling {
            return Err(Stopped::Moved);
        }
        pass.standstill()
    }

    /// Gives each app whose active data key is older than the operation asks for a new one.
    async fn replace_data_keys(self: &Arc<Self>, operation: &Operation) -> Result<(), Stopped> {
        let OperationKind::RotateDataKeys { app, active_before } = &operation.kind else { return Err(Stopped::Ended) };
        let mut progress = operation.progress;
        progress.failing = 0;
        let (mut after, mut trouble) = (None, None);
        loop {
            let page = self.store.data_keys(&operation.workspace, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for row in page.iter().filter(|row| is_due(row, app.as_ref(), *active_before)) {
                match self.replace_data_key(row).await {
                    Ok(true) => progress.done += 1,
                    Ok(false) => {}
                    Err(why) => {
                        progress.failing += 1;
                        trouble = Some(Refusal::from(why).reason());
                    }
                }
            }
            let now = self.clock.now().wall;
            progress.total = progress.total.max(progress.done + progress.failing);
            let report = |operation: Operation| operation.report(progress, None, now);
            if self.move_operation("report_operation", operation.id, report).await?.cancelling {
                return Err(Stopped::Moved);
            }
        }
        // What turned out to be no app's present data key was counted when it was planned.
        let (settled, now) = (domain::operation::Progress { total: progress.done, ..progress }, self.clock.now().wall);
        match trouble {
            Some(reason) => Err(Stopped::Waits(reason)),
            None => {
                self.move_operation("report_operation", operation.id, |operation| operation.report(settled, None, now))
                    .await?;
                self.end(operation.id, |operation, now| operation.finish_data_keys(0, now)).await
            }
        }
    }

    /// A new data key in the place of this one. `false`: the app is gone, or stands under another protection now.
    async fn replace_data_key(self: &Arc<Self>, row: &DataKey) -> Result<bool, Failure> {
        let app = AppRef { workspace: &row.workspace, app: &row.app };
        for _ in 0..4 {
            let budget = self.budget();
            let standing = match self.standing(app, &budget).await {
                Ok(standing) => standing,
                Err(Failure::NotFound) => return Ok(false),
                Err(why) => return Err(why),
            };
            match self.side(&standing, &budget).await? {
                Some(protection) if protection == row.protection => {}
                Some(_) => return Ok(false),
                None => continue,
            }
            match self.give_birth(&standing, row.protection, app, Some(row.id), &budget).await? {
                Born::Active(id) => {
                    self.table.seal_under(app.data_key(id), &standing);
                    return Ok(true);
                }
                Born::Moved => {}
            }
        }
        Err(Failure::TooLate)
    }
}

/// Whether an operation gives this data key's app a new one.
pub(crate) fn is_due(row: &DataKey, app: Option<&domain::AppId>, active_before: domain::Timestamp) -> bool {
    row.state == DataKeyState::Active
        && app.is_none_or(|app| *app == row.app)
        && row.activated_at.is_none_or(|at| at < active_before)
}

fn is_away(outcome: &Result<Rewrapped, NotRewrapped>) -> bool {
    match outcome {
        Err(NotRewrapped { why: Failure::Vault(why), .. }) => why.class() == Class::Transient,
        Err(NotRewrapped { why: Failure::Ruled(_), .. }) => true,
        Ok(_) | Err(_) => false,
    }
}

fn version_of(wrapping: &Wrapping) -> KeyVersionId {
    match wrapping.wrapped_by {
        domain::WrappingKey::Customer(version) => version,
        domain::WrappingKey::Platform(key) => KeyVersionId::from_bytes(*key.as_bytes()),
    }
}

fn ended(operation: &Operation) -> AuditKind {
    let outcome = match operation.state {
        OperationState::Done => "done",
        OperationState::Cancelled => "cancelled",
        OperationState::Failed => "failed",
        OperationState::Planned | OperationState::Running => "open",
    };
    AuditKind::OperationEnded { operation: operation.id, outcome, data_keys: operation.progress.done }
}

/// One pass over the data keys that are left.
struct Pass {
    progress: domain::operation::Progress,
    /// The time from one data key's beginning to the next's.
    pace: Duration,
    /// Versions whose vault said no: the data keys under them are passed over until the next turn.
    blocked: HashSet<KeyVersionId>,
    to: Option<KeyVersionId>,
    waits: Option<Reason>,
    hopeless: Option<Reason>,
    away: bool,
}

impl Pass {
    fn new(operation: &Operation, left: u64, rate: Rate) -> Self {
        let mut progress = operation.progress;
        progress.total = progress.total.max(left);
        progress.done = progress.total - left;
        progress.failing = 0;
        let to = match operation.kind {
            OperationKind::RotateKey { to, .. } => Some(to),
            OperationKind::RotateDataKeys { .. } => None,
        };
        let pace = rate.time_for(CALLS_PER_DATA_KEY).max(Duration::from_micros(1));
        Self { progress, pace, blocked: HashSet::new(), to, waits: None, hopeless: None, away: false }
    }

    fn count(&mut self, outcome: Result<Rewrapped, NotRewrapped>) -> Result<(), Stopped> {
        match outcome {
            Ok(Rewrapped::Added | Rewrapped::Before) => {
                self.progress.done += 1;
                self.progress.total = self.progress.total.max(self.progress.done);
            }
            Ok(Rewrapped::Ended) => return Err(Stopped::Ended),
            Err(NotRewrapped { at, why }) => {
                self.progress.failing += 1;
                match &why {
                    Failure::Vault(denied) => match denied.class() {
                        Class::Denied | Class::Gone => {
                            self.blocked.insert(at);
                        }
                        Class::Transient => self.away = true,
                        Class::Ours => {}
                    },
                    // Switched off here: the next one would be told the same.
                    Failure::Ruled(_) => self.away = true,
                    Failure::Corrupt(_) | Failure::Platform(_) => {
                        self.hopeless = Some(Refusal::from(why).reason());
                        return Ok(());
                    }
                    Failure::NotFound
                    | Failure::UnknownKey
                    | Failure::Store(_)
                    | Failure::StoreSlow
                    | Failure::Adrift(_)
                    | Failure::OutOfMemory
                    | Failure::TooLate
                    | Failure::Crashed => {}
                }
                self.waits = Some(Refusal::from(why).reason());
            }
        }
        Ok(())
    }

    /// Nothing more can be done in this pass: the vault is away, or the new version itself is denied.
    fn standstill(&self) -> Result<(), Stopped> {
        let denied = self.to.is_some_and(|to| self.blocked.contains(&to));
        match self.waits {
            Some(reason) if self.away || denied => Err(Stopped::Waits(reason)),
            Some(_) | None => Ok(()),
        }
    }

    /// What waiting cures is waited for; what it does not ends the operation once everything else is done.
    fn outcome(self) -> Result<(), Stopped> {
        match (self.waits, self.hopeless) {
            (Some(reason), _) => Err(Stopped::Waits(reason)),
            (None, Some(reason)) => Err(Stopped::Hopeless(reason)),
            (None, None) => Ok(()),
        }
    }
}
