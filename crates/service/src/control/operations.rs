//! Reading, watching and cancelling operations.

use domain::audit::AuditKind;
use domain::operation::{Operation, OperationId};
use domain::permission::{self, Action, Permit};
use domain::{Reason, WorkspaceId};

use super::{cut, event, not_found, page_size, to_the_end, workspace_of};
use crate::tasks::rotation::ended;
use crate::{Refusal, Service};

/// Some operations, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationPage {
    /// Open and ended ones.
    pub operations: Vec<Operation>,
    /// Before which one the next page begins; absent on the last.
    pub next: Option<OperationId>,
}

impl Service {
    /// Whose an operation is: what a permission to see it has to be for.
    pub async fn workspace_of_operation(&self, id: OperationId) -> Result<WorkspaceId, Refusal> {
        let found = self.0.store.operation(id).await?.ok_or_else(not_found)?;
        Ok(found.workspace)
    }

    /// One operation as it stands.
    pub async fn read_operation(
        &self,
        permit: &Permit<permission::ReadOperations>,
        id: OperationId,
    ) -> Result<Operation, Refusal> {
        self.own_operation(permit, id).await
    }

    /// A workspace's operations, newest first, from before `before`. `page`: 1 to 1,000 entries, 100 if absent.
    pub async fn list_operations(
        &self,
        permit: &Permit<permission::ReadOperations>,
        before: Option<OperationId>,
        page: Option<usize>,
    ) -> Result<OperationPage, Refusal> {
        let workspace = workspace_of(permit)?;
        self.0.store.workspace(&workspace).await?.ok_or_else(not_found)?;
        let page = page_size(page);
        let (operations, more) = cut(self.0.store.operations(&workspace, before, page + 1).await?, page);
        let next = operations.last().filter(|_| more).map(|last| last.id);
        Ok(OperationPage { operations, next })
    }

    /// Asks an operation to end. What it has done stays and is whole; it ends at its next whole step. One that awaits approval,
    /// or waits after it, ends at once: so whoever may cancel can stop what somebody else approved.
    pub async fn cancel_operation(
        &self,
        permit: &Permit<permission::CancelOperation>,
        id: OperationId,
    ) -> Result<Operation, Refusal> {
        self.own_operation(permit, id).await?;
        let (core, actor) = (self.0.clone(), permit.actor().to_owned());
        to_the_end(async move {
            let now = core.clock.now().wall;
            let mut tx = core.store.begin("cancel_operation").await?;
            let present = tx.operation(id).await?.ok_or_else(not_found)?;
            if present.cancelling {
                return Ok(present);
            }
            let asked = present.ask_to_cancel(now).map_err(|_| Refusal::because(Reason::OperationEnded))?;
            tx.put_operation(&asked).await?;
            let what = AuditKind::OperationCancelRequested { operation: id };
            tx.append_audit(event(&asked.workspace, now, &actor, what)).await?;
            if !asked.state.is_open() {
                tx.append_audit(event(&asked.workspace, now, &actor, ended(&asked))).await?;
            }
            tx.commit().await?;
            core.operations.wake();
            Ok(asked)
        })
        .await
    }

    /// An operation of the workspace the permission is for; another's is not there.
    pub(super) async fn own_operation<A: Action>(
        &self,
        permit: &Permit<A>,
        id: OperationId,
    ) -> Result<Operation, Refusal> {
        let workspace = workspace_of(permit)?;
        let found = self.0.store.operation(id).await?;
        found.filter(|operation| operation.workspace == workspace).ok_or_else(not_found)
    }
}
