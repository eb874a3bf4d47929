//! Asking for a data key's destruction: what it sealed can never be opened again, by anybody.
//!
//! It is asked for by one, approved by another, and done after a week in which anybody who may cancel can stop it. It follows
//! from nothing else: not from a revocation, an expiry, a deletion or a crash (I-5).

use std::sync::Arc;

use domain::entropy::random;
use domain::operation::{Operation, OperationId, OperationKind};
use domain::permission::{self, Permit};
use domain::{AppId, DataKeyId, DataKeyState, Reason, WorkspaceId};

use super::{app_of, live_workspace, not_found, to_the_end};
use crate::core::Core;
use crate::{Refusal, Service};

impl Service {
    /// Asks for the destruction of a retired data key. One that is asked for already is answered again.
    pub async fn destroy_data_key(
        &self,
        permit: &Permit<permission::DestroyDataKey>,
        data_key: DataKeyId,
    ) -> Result<Operation, Refusal> {
        let (core, actor, (workspace, app)) = (self.0.clone(), permit.actor().to_owned(), app_of(permit)?);
        to_the_end(core.ask_to_destroy(workspace, app, data_key, actor)).await
    }
}

impl Core {
    async fn ask_to_destroy(
        self: Arc<Self>,
        id: WorkspaceId,
        app: AppId,
        data_key: DataKeyId,
        actor: String,
    ) -> Result<Operation, Refusal> {
        let row = self.store.data_key(&id, &app, data_key).await?.ok_or_else(not_found)?;
        if row.destroyed_at.is_some() {
            return Err(Refusal::because(Reason::DataKeyDestroyed));
        }
        match row.state {
            DataKeyState::Retired => {}
            DataKeyState::Pending | DataKeyState::Staged | DataKeyState::Active | DataKeyState::Abandoned => {
                return Err(Refusal::because(Reason::DataKeyActive));
            }
        }
        let kind = OperationKind::DestroyDataKey { app, data_key };
        if let Some(asked) = self.held_back(&id, |other| *other == kind).await? {
            return Ok(asked);
        }
        let now = self.clock.now().wall;
        let operation = OperationId::new(now, random(&*self.entropy));
        let waits = self.options.before_destroying;
        let operation = Operation::ask(operation, id.clone(), kind, &actor, 1, waits, now);
        let mut tx = self.store.begin("ask_to_destroy").await?;
        live_workspace(&mut *tx, &id).await?;
        self.write_down(tx, &operation, Vec::new()).await?;
        Ok(operation)
    }
}
