//! How apps get new data keys: each is wrapped, proven and stored first, and then takes the old one's place in one step.

use std::sync::Arc;

use domain::operation::{Operation, OperationKind, Progress};
use domain::{DataKey, DataKeyState};

use super::{PAGE, Stopped};
use crate::Refusal;
use crate::core::Core;
use crate::keys::birth::Born;
use crate::keys::vault_call::Budget;
use crate::keys::{AppRef, Failure};

impl Core {
    /// Gives each app whose active data key is older than the operation asks for a new one.
    pub(super) async fn replace_data_keys(self: &Arc<Self>, operation: &Operation) -> Result<(), Stopped> {
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
        let (settled, now) = (Progress { total: progress.done, ..progress }, self.clock.now().wall);
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
                // Of a deleted app: it rests, so that it can be destroyed one day like any other.
                Err(Failure::NotFound) => return self.lay_to_rest(row).await,
                Err(why) => return Err(why),
            };
            match self.side(&standing, &budget).await? {
                Some(protection) if protection == row.protection => {}
                Some(_) if self.was_taken_out(app, &budget).await? => return self.lay_to_rest(row).await,
                // Made ready for a date that has not come.
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

impl Core {
    /// Whether the workspace left its key, or the app was taken out from under it.
    async fn was_taken_out(&self, app: AppRef<'_>, budget: &Budget<'_>) -> Result<bool, Failure> {
        let reading = self.key_reading(app, budget).await?;
        Ok(!reading.selected || reading.config.is_some_and(|config| config.left_at.is_some()))
    }

    async fn lay_to_rest(&self, row: &DataKey) -> Result<bool, Failure> {
        self.store.retire_data_key(&row.workspace, &row.app, row.id, self.clock.now().wall).await?;
        Ok(true)
    }
}

/// Whether an operation gives this data key's app a new one.
pub(crate) fn is_due(row: &DataKey, app: Option<&domain::AppId>, active_before: domain::Timestamp) -> bool {
    row.state == DataKeyState::Active
        && app.is_none_or(|app| *app == row.app)
        && row.activated_at.is_none_or(|at| at < active_before)
}
