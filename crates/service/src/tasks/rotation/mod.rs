//! Works on operations: takes each open one from the step it is at to its end, whoever began it and whoever died meanwhile.
//!
//! Everything a step rests on is in the database, and every write of it is compared there; so a step may be done again, by this
//! process or by another at the same time, and comes to the same end (I-23). What cannot go on now waits for the next turn.
//!
//! | file | question |
//! |---|---|
//! | `key` | how every data key goes over to another version or key |
//! | `pass` | what came of the data keys that were tried |
//! | `pace` | how fast a rotation may go |
//! | `data_keys` | how apps get new data keys |
//! | `guarded` | what becomes of an operation that needs a second person |

mod data_keys;
mod guarded;
mod key;
mod pace;
mod pass;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Reason;
use domain::audit::AuditKind;
use domain::operation::{NotMoved, Operation, OperationId, OperationKind, OperationState};
use domain::rotation::Rotation;
use store::{Conflict, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::control::event;
use crate::core::Core;
use crate::keys::lock;
use crate::keys::vault_call::SERVICE;
use crate::{Refusal, Service};

pub(crate) use data_keys::is_due;

/// How often operations are looked for that nobody woke us for: left by a crash, or waiting.
const TURN: Duration = Duration::from_secs(2);
/// How long one that waits for its vault is left alone.
const AGAIN: Duration = Duration::from_secs(10);
/// Data keys between two reports of progress, and two looks at whether somebody wants it to end.
const PAGE: usize = 128;
/// Steps in one turn. A rotation has four; more come of births and of others who work on the same operation.
const MOST_STEPS: usize = 1_000;

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
pub(crate) enum Stopped {
    /// It has ended.
    Ended,
    /// Waiting may help.
    Waits(Reason),
    /// Waiting does not help.
    Hopeless(Reason),
    /// Something moved under it: read it again.
    Moved,
    /// It is not its time: somebody has to approve it, or its waiting period is not over.
    NotYet,
}

impl From<StoreError> for Stopped {
    fn from(why: StoreError) -> Self {
        match why {
            StoreError::Conflict(Conflict::OperationEnded) => Self::Ended,
            StoreError::Conflict(Conflict::OperationOpen) => Self::Waits(Reason::OperationUnderWay),
            StoreError::Conflict(Conflict::NotApproved) => Self::Hopeless(Reason::ApprovalNotAwaited),
            StoreError::Conflict(Conflict::State { .. }) => Self::Hopeless(Reason::DataKeyActive),
            StoreError::Conflict(Conflict::NoDataKey) => Self::Hopeless(Reason::NotFound),
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
            NotMoved::ConfigurationMoved | NotMoved::OtherKind => Self::Hopeless(Reason::KeyConfigurationMoved),
            NotMoved::OwnRequest | NotMoved::NotAwaited | NotMoved::Unanswered => Self::NotYet,
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
                if (!waits && guarded::is_its_time(&operation, now)) || operation.cancelling {
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

impl Core {
    async fn work_on(self: Arc<Self>, id: OperationId) {
        let Some(_taken) = self.operations.take(id) else { return };
        for _ in 0..MOST_STEPS {
            match self.step(id).await {
                Ok(()) | Err(Stopped::Moved) => {}
                Err(Stopped::Ended | Stopped::NotYet) => return,
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
                        Err(Stopped::Moved | Stopped::Waits(_) | Stopped::Hopeless(_) | Stopped::NotYet) => return,
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
        // What was left is left: asked to end after that, leaving is finished, so that nothing of it stays behind half.
        let leaves = matches!(operation.kind, OperationKind::LeaveCustomerKey);
        let left = leaves && operation.cancelling && operation.state == OperationState::Running && {
            let config = self.store.key_config(&operation.workspace).await?;
            config.is_some_and(|config| config.left_at.is_some())
        };
        if gone || operation.cancelling && !left {
            return self.end(id, Operation::cancel).await;
        }
        if operation.state.is_held_back() {
            return self.step_held_back(&operation).await;
        }
        if operation.state == OperationState::Planned {
            return self.begin(id, self.clock.now().wall).await;
        }
        match &operation.kind {
            OperationKind::RotateKey { .. } | OperationKind::ReplaceKey { .. } => {
                match Rotation::of(operation.clone())? {
                    Rotation::Planned(_) => Err(Stopped::Moved),
                    Rotation::Wrapping(step) => {
                        self.wrap_all(&operation).await?;
                        self.switch(&operation, step).await
                    }
                    Rotation::Switched(step) => {
                        self.wrap_all(&operation).await?;
                        self.finish(&operation, step).await
                    }
                    Rotation::Ended => Err(Stopped::Ended),
                }
            }
            OperationKind::RotateDataKeys { .. } => self.replace_data_keys(&operation).await,
            OperationKind::LeaveCustomerKey => self.leave(&operation).await,
            OperationKind::DestroyDataKey { app, data_key } => self.destroy(&operation, app, *data_key).await,
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

    async fn begin(&self, id: OperationId, now: domain::Timestamp) -> Result<(), Stopped> {
        self.move_operation("begin_operation", id, |operation| operation.begin(now)).await.map(drop)
    }

    async fn note_waiting(&self, id: OperationId, reason: Reason) -> Result<(), Refusal> {
        let now = self.clock.now().wall;
        let noted = self.move_operation("report_operation", id, |operation| {
            let progress = operation.progress;
            operation.report(progress, Some(reason), now)
        });
        match noted.await {
            Ok(_) | Err(Stopped::Ended | Stopped::NotYet) => Ok(()),
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
}

/// The record of an operation's end.
pub(crate) fn ended(operation: &Operation) -> AuditKind {
    let outcome = operation.state.outcome();
    AuditKind::OperationEnded { operation: operation.id, outcome, data_keys: operation.progress.done }
}
