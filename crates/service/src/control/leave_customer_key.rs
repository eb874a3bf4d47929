//! Leaving the customer's key: new data goes back under the platform's, and what still needs the key is told by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::entropy::random;
use domain::operation::{Operation, OperationId, OperationKind};
use domain::permission::{self, Permit};
use domain::{AppId, DataKeyId, Protection, Reason, WorkspaceId};

use super::approvals::AT_ONCE;
use super::{live_workspace, not_found, to_the_end, workspace_of};
use crate::core::Core;
use crate::options::MOST_PAGE;
use crate::{Refusal, Service};

/// Data keys of one app that only the customer's key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillNeeded {
    /// Whose. Deleted apps too: what they sealed may be kept somewhere.
    pub app: AppId,
    /// How many.
    pub data_keys: u64,
}

/// Leaving, asked for or only looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Absent where it was only looked at. One that awaits approval already is answered again.
    pub operation: Option<Operation>,
    /// What still needs the customer's key, by app: until it is re-encrypted, or destroyed, the key has to stay enabled.
    pub needed: Vec<StillNeeded>,
}

impl Service {
    /// Asks for leaving the customer's key; somebody else has to approve. Or, with `validate_only`, says what still needs it:
    /// before, meanwhile and after.
    pub async fn leave_customer_key(
        &self,
        permit: &Permit<permission::LeaveCustomerKey>,
        validate_only: bool,
    ) -> Result<Leaving, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(core.ask_to_leave(workspace, validate_only, actor)).await
    }
}

impl Core {
    async fn ask_to_leave(
        self: Arc<Self>,
        id: WorkspaceId,
        validate_only: bool,
        actor: String,
    ) -> Result<Leaving, Refusal> {
        let found = self.store.workspace(&id).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let config = self.store.key_config(&id).await?.ok_or_else(|| Refusal::because(Reason::KeyNotConfigured))?;
        let needed = self.still_needed(&id).await?;
        if validate_only {
            return Ok(Leaving { operation: None, needed });
        }
        if config.left_at.is_some() {
            return Err(Refusal::because(Reason::KeyLeft));
        }
        let leaves = |kind: &OperationKind| matches!(kind, OperationKind::LeaveCustomerKey);
        if let Some(asked) = self.held_back(&id, leaves).await? {
            return Ok(Leaving { operation: Some(asked), needed });
        }
        let now = self.clock.now().wall;
        let operation = OperationId::new(now, random(&*self.entropy));
        let kind = OperationKind::LeaveCustomerKey;
        let operation = Operation::ask(operation, id.clone(), kind, &actor, 0, AT_ONCE, now);
        let mut tx = self.store.begin("ask_to_leave").await?;
        live_workspace(&mut *tx, &id).await?;
        self.write_down(tx, &operation, Vec::new()).await?;
        Ok(Leaving { operation: Some(operation), needed })
    }

    async fn still_needed(&self, id: &WorkspaceId) -> Result<Vec<StillNeeded>, Refusal> {
        let (mut after, mut needed): (Option<DataKeyId>, BTreeMap<AppId, u64>) = (None, BTreeMap::new());
        loop {
            let page = self.store.data_keys(id, after, MOST_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for row in page.iter().filter(|row| row.protection == Protection::CustomerKey && row.opens()) {
                *needed.entry(row.app.clone()).or_default() += 1;
            }
        }
        Ok(needed.into_iter().map(|(app, data_keys)| StillNeeded { app, data_keys }).collect())
    }
}
