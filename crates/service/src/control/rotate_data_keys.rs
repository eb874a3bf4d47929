//! Beginning to give apps new data keys, because somebody wants it; those before go on opening what they sealed.

use std::time::Duration;

use domain::audit::AuditKind;
use domain::entropy::random;
use domain::operation::{Operation, OperationId, OperationKind};
use domain::permission::{self, Permit};
use domain::{AppId, DataKeyId, Reason, Timestamp, WorkspaceId};
use store::{Conflict, StoreError};

use super::{event, live_workspace, not_found, to_the_end, workspace_of};
use crate::core::Core;
use crate::options::MOST_PAGE;
use crate::tasks::rotation::is_due;
use crate::{Refusal, Service};

/// Which apps get a new data key.
#[derive(Debug, Clone, Default)]
pub struct RotateDataKeys {
    /// One app; absent: all of the workspace.
    pub app: Option<AppId>,
    /// Only where the present one has been active for longer than this.
    pub older_than: Duration,
}

impl Service {
    /// Begins to give apps new data keys, under the protection each stands under.
    pub async fn rotate_data_keys(
        &self,
        permit: &Permit<permission::RotateDataKeys>,
        request: RotateDataKeys,
    ) -> Result<Operation, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move { core.start_data_key_rotation(workspace, request, &actor).await }).await
    }
}

impl Core {
    async fn start_data_key_rotation(
        &self,
        id: WorkspaceId,
        request: RotateDataKeys,
        actor: &str,
    ) -> Result<Operation, Refusal> {
        let now = self.clock.now().wall;
        if let Some(app) = &request.app {
            let found = self.store.app(&id, app).await?;
            found.filter(|app| app.deleted_at.is_none()).ok_or_else(not_found)?;
        }
        let older = i64::try_from(request.older_than.as_micros()).unwrap_or(i64::MAX);
        let active_before = Timestamp::from_micros(now.micros().saturating_sub(older));
        let total = self.count_due(&id, request.app.as_ref(), active_before).await?;
        let kind = OperationKind::RotateDataKeys { app: request.app, active_before };
        let operation = OperationId::new(now, random(&*self.entropy));
        let operation = Operation::plan(operation, id.clone(), kind, actor, total, now);
        let mut tx = self.store.begin("start_data_key_rotation").await?;
        live_workspace(&mut *tx, &id).await?;
        match tx.put_operation(&operation).await {
            Err(StoreError::Conflict(Conflict::OperationOpen)) => {
                return Err(Refusal::because(Reason::OperationUnderWay));
            }
            outcome => outcome?,
        }
        let what = AuditKind::DataKeyRotationStarted { operation: operation.id };
        tx.append_audit(event(&id, now, actor, what)).await?;
        match tx.commit().await {
            Err(StoreError::OutcomeUnknown) if self.store.operation(operation.id).await?.is_some() => {}
            outcome => {
                outcome?;
            }
        }
        self.operations.wake();
        Ok(operation)
    }

    async fn count_due(&self, id: &WorkspaceId, app: Option<&AppId>, before: Timestamp) -> Result<u64, Refusal> {
        let (mut after, mut count): (Option<DataKeyId>, u64) = (None, 0);
        loop {
            let page = self.store.data_keys(id, after, MOST_PAGE).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after = Some(last.id);
            count += page.iter().filter(|row| is_due(row, app, before)).count() as u64;
        }
    }
}
