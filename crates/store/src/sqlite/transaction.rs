//! A named transaction: its two ends, and the conversation between them.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use async_trait::async_trait;
use domain::audit::AuditEvent;
use domain::credential::Integration;
use domain::key_life::{AppSelection, KeyLife};
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, AppId, CallerId, KeyConfig, KeyTest, KeyVersion, KeyVersionId, Operation, OperationId, StoredCaller,
    StoredCredential, Timestamp, Workspace, WorkspaceId,
};
use tokio::sync::oneshot;

use super::unit::Unit;
use super::writer::is_closing;
use super::{callers, destroy, integration, life, operation, page, read, tenancy, usage, write};
use crate::{StoreError, Transaction};

/// How long a transaction may stay idle between two steps before it is rolled back: everybody else waits for it.
const LONGEST_IDLE: Duration = Duration::from_secs(10);

/// How often an idle transaction looks whether the store is being closed.
const LOOK: Duration = Duration::from_millis(100);

/// One thing a transaction does.
pub(super) enum Message {
    Run(Box<dyn for<'u, 'c> FnOnce(&'u mut Unit<'c>) + Send>),
    Commit(oneshot::Sender<Result<u64, StoreError>>),
}

/// The caller's end.
pub(super) type Steps = mpsc::Sender<Message>;

/// The writer's end: runs steps until the commit is asked for. `None` when it was dropped, idle too long, or lost; the unit
/// is rolled back by then.
pub(super) fn serve<'c>(
    mut unit: Unit<'c>,
    name: &'static str,
    reply: oneshot::Sender<Result<Steps, StoreError>>,
    closing: &AtomicBool,
) -> Option<(Unit<'c>, oneshot::Sender<Result<u64, StoreError>>)> {
    let (steps, messages) = mpsc::channel();
    // Nobody waits any more: they were cancelled while in the queue.
    reply.send(Ok(steps)).ok()?;
    let mut idle = Duration::ZERO;
    loop {
        match messages.recv_timeout(LOOK) {
            Ok(Message::Run(work)) => work(&mut unit),
            Ok(Message::Commit(reply)) => return Some((unit, reply)),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                idle += LOOK;
                if idle >= LONGEST_IDLE || is_closing(closing) {
                    tracing::warn!(transaction = name, ?idle, "rolled back a transaction that was held open");
                    return None;
                }
                continue;
            }
        }
        idle = Duration::ZERO;
        if unit.is_lost() {
            return None;
        }
    }
}

/// A transaction as its user holds it. Dropping it drops `steps`, which the other end takes as a rollback.
pub(super) struct SqliteTransaction {
    pub(super) name: &'static str,
    pub(super) steps: Steps,
}

impl SqliteTransaction {
    async fn run<T: Send + 'static>(
        &mut self,
        work: impl for<'u, 'c> FnOnce(&'u mut Unit<'c>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = StoreError::TransactionEnded { name: self.name };
        let (reply, answer) = oneshot::channel();
        let message = Message::Run(Box::new(move |unit| {
            let _ = reply.send(work(unit));
        }));
        self.steps.send(message).map_err(|_| ended.clone())?;
        answer.await.unwrap_or(Err(ended))
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn workspace(&mut self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| Ok(read::workspace(unit.conn, unit.codes, &workspace)?.map(|kept| kept.row))).await
    }

    async fn app(&mut self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<App>, StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.run(move |unit| Ok(read::app(unit.conn, unit.codes, &workspace, &app)?.map(|kept| kept.row))).await
    }

    async fn key_config(&mut self, workspace: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| Ok(read::key_config(unit.conn, unit.codes, &workspace)?.map(|kept| kept.row))).await
    }

    async fn key_version(
        &mut self,
        workspace: &WorkspaceId,
        version: KeyVersionId,
    ) -> Result<Option<KeyVersion>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| Ok(read::key_version(unit.conn, unit.codes, &workspace, version)?.map(|kept| kept.row)))
            .await
    }

    async fn put_workspace(&mut self, workspace: &Workspace) -> Result<(), StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| unit.step(|step| write::put_workspace(step, &workspace))).await
    }

    async fn put_app(&mut self, app: &App) -> Result<(), StoreError> {
        let app = app.clone();
        self.run(move |unit| unit.step(|step| write::put_app(step, &app))).await
    }

    async fn put_key_config(&mut self, config: &KeyConfig) -> Result<(), StoreError> {
        let config = config.clone();
        self.run(move |unit| unit.step(|step| write::put_key_config(step, &config))).await
    }

    async fn add_key_version(&mut self, version: &KeyVersion) -> Result<(), StoreError> {
        let version = version.clone();
        self.run(move |unit| unit.step(|step| write::add_key_version(step, &version))).await
    }

    async fn key_life(&mut self, workspace: &WorkspaceId) -> Result<Option<KeyLife>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| Ok(life::key_life(unit.conn, unit.codes, &workspace)?.map(|kept| kept.row))).await
    }

    async fn app_selections(&mut self, workspace: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| life::app_selections(unit.conn, unit.codes, &workspace)).await
    }

    async fn live_apps(&mut self, workspace: &WorkspaceId) -> Result<Vec<App>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| {
            let clause = "WHERE workspace = ?1 AND deleted_at IS NULL ORDER BY app";
            read::many(unit.conn, unit.codes, clause, [workspace.as_str()])
        })
        .await
    }

    async fn put_key_life(&mut self, life: &KeyLife) -> Result<(), StoreError> {
        let life = life.clone();
        self.run(move |unit| unit.step(|step| life::put_key_life(step, &life))).await
    }

    async fn abandon_staged(&mut self, workspace: &WorkspaceId, at: Timestamp) -> Result<u64, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| unit.step(|step| life::abandon_staged(step, &workspace, at))).await
    }

    async fn put_app_selection(&mut self, selection: &AppSelection) -> Result<(), StoreError> {
        let selection = selection.clone();
        self.run(move |unit| unit.step(|step| life::put_app_selection(step, &selection))).await
    }

    async fn key_tests(&mut self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<KeyTest>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| read::key_tests(unit.conn, unit.codes, &workspace, page(limit))).await
    }

    async fn add_key_test(&mut self, test: &KeyTest) -> Result<(), StoreError> {
        let test = test.clone();
        self.run(move |unit| unit.step(|step| write::add_key_test(step, &test))).await
    }

    async fn operation(&mut self, operation: OperationId) -> Result<Option<Operation>, StoreError> {
        self.run(move |unit| Ok(operation::operation(unit.conn, unit.codes, operation)?.map(|kept| kept.row))).await
    }

    async fn put_operation(&mut self, operation: &Operation) -> Result<(), StoreError> {
        let operation = operation.clone();
        self.run(move |unit| unit.step(|step| operation::put_operation(step, &operation))).await
    }

    async fn destroy_data_key(&mut self, operation: OperationId, at: Timestamp) -> Result<(), StoreError> {
        self.run(move |unit| unit.step(|step| destroy::destroy_data_key(step, operation, at))).await
    }

    async fn append_audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.run(move |unit| unit.step(|step| write::append_audit(step, &event))).await
    }

    async fn put_credential(&mut self, credential: &StoredCredential) -> Result<(), StoreError> {
        let credential = credential.clone();
        self.run(move |unit| unit.step(|step| usage::put_credential(step, &credential))).await
    }

    async fn caller(&mut self, caller: &CallerId) -> Result<Option<StoredCaller>, StoreError> {
        let caller = caller.clone();
        self.run(move |unit| Ok(callers::caller(unit.conn, unit.codes, &caller)?.map(|kept| kept.row))).await
    }

    async fn live_callers(&mut self) -> Result<Vec<StoredCaller>, StoreError> {
        self.run(|unit| read::many(unit.conn, unit.codes, "WHERE deleted_at IS NULL ORDER BY caller", [])).await
    }

    async fn put_caller(&mut self, caller: &StoredCaller) -> Result<(), StoreError> {
        let caller = caller.clone();
        self.run(move |unit| unit.step(|step| callers::put(step, &caller))).await
    }

    async fn integration(&mut self, workspace: &WorkspaceId) -> Result<Option<Integration>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| integration::integration(unit.conn, unit.codes, &workspace)).await
    }

    async fn put_integration(&mut self, integration: &Integration) -> Result<(), StoreError> {
        let integration = integration.clone();
        self.run(move |unit| unit.step(|step| integration::put_integration(step, &integration))).await
    }

    async fn tenants(&mut self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| tenancy::tenants(unit.conn, unit.codes, &workspace)).await
    }

    async fn tag_nonces(&mut self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| tenancy::tag_nonces(unit.conn, unit.codes, &workspace)).await
    }

    async fn proven_keys(&mut self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError> {
        let workspace = workspace.clone();
        self.run(move |unit| tenancy::proven_keys(unit.conn, unit.codes, &workspace)).await
    }

    async fn put_tenant(&mut self, link: &TenantLink) -> Result<(), StoreError> {
        let link = link.clone();
        self.run(move |unit| unit.step(|step| tenancy::put_tenant(step, &link))).await
    }

    async fn put_tag_nonce(&mut self, nonce: &TagNonce) -> Result<(), StoreError> {
        let nonce = nonce.clone();
        self.run(move |unit| unit.step(|step| tenancy::put_tag_nonce(step, &nonce))).await
    }

    async fn put_proven_key(&mut self, proven: &ProvenKey) -> Result<(), StoreError> {
        let proven = proven.clone();
        self.run(move |unit| unit.step(|step| tenancy::put_proven_key(step, &proven))).await
    }

    async fn commit(self: Box<Self>) -> Result<u64, StoreError> {
        let ended = StoreError::TransactionEnded { name: self.name };
        let (reply, answer) = oneshot::channel();
        self.steps.send(Message::Commit(reply)).map_err(|_| ended)?;
        // The writer died with the commit under way.
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }
}
