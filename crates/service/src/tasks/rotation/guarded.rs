//! What becomes of an operation that needs a second person: it expires, or its time comes; and how those are done that nothing
//! else does, leaving the customer's key and destroying a data key.

use std::sync::Arc;

use domain::audit::AuditKind;
use domain::operation::{Operation, OperationKind, OperationState, Progress};
use domain::{AppId, DataKeyId, DataKeyState, Protection, Reason, Timestamp};
use store::{Conflict, StoreError};

use super::{PAGE, Stopped, ended};
use crate::control::event;
use crate::core::Core;
use crate::keys::table::Change;
use crate::keys::vault_call::SERVICE;
use crate::seeded_bug::SeededBug;

/// Whether there is anything to do about it at `now`.
pub(super) fn is_its_time(operation: &Operation, now: Timestamp) -> bool {
    match operation.state {
        OperationState::AwaitingApproval => {
            operation.approval.as_ref().is_some_and(|approval| now >= approval.approve_by)
        }
        OperationState::Waiting => operation.not_before().is_some_and(|from| now >= from),
        OperationState::Planned
        | OperationState::Running
        | OperationState::Done
        | OperationState::Cancelled
        | OperationState::Failed
        | OperationState::Rejected
        | OperationState::Expired => true,
    }
}

impl Core {
    /// Now, as waiting periods see it.
    fn now_for_waiting(&self, operation: &Operation) -> Timestamp {
        let now = self.clock.now().wall;
        match operation.not_before() {
            Some(from) if self.bugs.has(SeededBug::WaitingPeriodIgnored) => now.max(from),
            Some(_) | None => now,
        }
    }

    /// One that nothing was done of: ends it if nobody answered, begins it if its time has come.
    pub(super) async fn step_held_back(self: &Arc<Self>, operation: &Operation) -> Result<(), Stopped> {
        let now = self.now_for_waiting(operation);
        if !is_its_time(operation, now) {
            return Err(Stopped::NotYet);
        }
        if operation.state == OperationState::AwaitingApproval {
            return self.end(operation.id, Operation::expire).await;
        }
        if matches!(operation.kind, OperationKind::ReplaceKey { .. }) {
            // Time has passed since it was tested, and whoever owns the keys may have thought better of it.
            self.replacement_still_stands(operation).await?;
        }
        self.begin(operation.id, now).await
    }

    /// New data goes under the platform's key from one commit on. The data keys under the customer's seal nothing any more.
    pub(super) async fn leave(&self, operation: &Operation) -> Result<(), Stopped> {
        let workspace = &operation.workspace;
        let now = self.clock.now().wall;
        let mut tx = self.store.begin("leave_customer_key").await?;
        let present = tx.operation(operation.id).await?.ok_or(Stopped::Ended)?;
        let config = tx.key_config(workspace).await?.ok_or(Stopped::Hopeless(Reason::KeyNotConfigured))?;
        if present.cancelling && config.left_at.is_none() {
            return Err(Stopped::Moved);
        }
        if config.left_at.is_none() {
            let lease = config.lease;
            tx.put_key_config(&config.leave(now)).await?;
            let what = AuditKind::KeyLeft { operation: operation.id };
            tx.append_audit(event(workspace, now, &operation.actor, what)).await?;
            self.announcing(workspace, Change::Key { lease }, tx.commit()).await?;
            tracing::info!(%workspace, operation = %operation.id, "the workspace left its customer key");
        } else {
            drop(tx);
        }
        self.retire_all(operation).await
    }

    /// Retires every data key that encrypts under the customer's key.
    async fn retire_all(&self, operation: &Operation) -> Result<(), Stopped> {
        let workspace = &operation.workspace;
        let (mut after, mut retired): (Option<DataKeyId>, u64) = (None, 0);
        loop {
            let page = self.store.data_keys(workspace, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for row in page.iter().filter(|row| row.protection == Protection::CustomerKey) {
                let now = self.clock.now().wall;
                let settled = match row.state {
                    DataKeyState::Active => {
                        let done = self.store.retire_data_key(workspace, &row.app, row.id, now).await;
                        done.inspect(|()| retired += 1)
                    }
                    // What a birth left behind is given up: nothing was ever sealed under it.
                    DataKeyState::Pending | DataKeyState::Staged => {
                        self.store.activate_data_key(workspace, &row.app, row.id, now).await.map(drop)
                    }
                    DataKeyState::Retired | DataKeyState::Abandoned => Ok(()),
                };
                match settled {
                    // Its app was deleted: nothing encrypts under it.
                    Ok(()) | Err(StoreError::Conflict(Conflict::NoApp)) => {}
                    Err(why) => return Err(why.into()),
                }
            }
        }
        let now = self.clock.now().wall;
        self.move_operation("report_operation", operation.id, |operation| {
            let done = operation.progress.done + retired;
            operation.report(Progress { total: done, done, failing: 0 }, None, now)
        })
        .await?;
        self.end(operation.id, |operation, now| operation.finish_data_keys(0, now)).await
    }

    /// Erases a data key's wrapped bytes: one commit with the operation's end and the records. Then memory, which knows nothing
    /// that the database does not.
    pub(super) async fn destroy(&self, operation: &Operation, app: &AppId, data_key: DataKeyId) -> Result<(), Stopped> {
        let now = self.now_for_waiting(operation);
        let mut tx = self.store.begin("destroy_data_key").await?;
        let present = tx.operation(operation.id).await?.ok_or(Stopped::Ended)?;
        if present.cancelling {
            return Err(Stopped::Moved);
        }
        let next = present.finish_destruction(now)?;
        tx.destroy_data_key(operation.id, now).await?;
        tx.put_operation(&next).await?;
        let what = AuditKind::DataKeyDestroyed { operation: operation.id, app: app.clone(), data_key };
        tx.append_audit(event(&operation.workspace, now, &operation.actor, what)).await?;
        tx.append_audit(event(&operation.workspace, now, SERVICE, ended(&next))).await?;
        let change = Change::DataKeyDestroyed(app, data_key);
        self.announcing(&operation.workspace, change, tx.commit()).await?;
        let workspace = &operation.workspace;
        tracing::warn!(%workspace, %app, %data_key, operation = %operation.id, "a data key was destroyed");
        Ok(())
    }
}
