//! A database that takes no simulated time: every call is over when it returns.
//!
//! SQLite works on threads of its own. Simulated time would run ahead while a task waits for one; here nobody waits: the whole
//! simulation stands still until the answer is there.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use domain::audit::AuditEvent;
use domain::credential::Integration;
use domain::key_life::{AppSelection, KeyLife};
use domain::operation::{Operation, OperationId};
use domain::rotation::VersionUse;
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, AppId, CallerId, DataKey, DataKeyId, Hour, HourOfApp, KeyConfig, KeyTest, KeyUsage, KeyVersion, KeyVersionId,
    Protection, StoredCaller, StoredCredential, Timestamp, Traffic, Workspace, WorkspaceId, Wrapping,
};
use store::{
    Activation, CallerSet, ClusterId, ControlChange, Examined, Inserted, OthersWrote, RecordedEvent, Store, StoreError,
    Transaction, UsageDropped,
};

/// A database, asked at once.
pub(super) struct Inline(pub(super) Arc<dyn Store>);

/// A transaction, asked at once.
struct InlineTransaction(Box<dyn Transaction>);

/// Waits on this thread. Not as a task, whose share of the thread may be used up.
fn at_once<T>(call: impl Future<Output = T>) -> T {
    futures::executor::block_on(tokio::task::unconstrained(call))
}

#[async_trait]
impl Store for Inline {
    fn cluster(&self) -> ClusterId {
        self.0.cluster()
    }

    fn epoch(&self) -> u64 {
        self.0.epoch()
    }

    async fn revision(&self) -> Result<u64, StoreError> {
        at_once(self.0.revision())
    }

    async fn changed_since(&self, revision: u64) -> Result<(u64, Vec<ControlChange>), StoreError> {
        at_once(self.0.changed_since(revision))
    }

    async fn workspace(&self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        at_once(self.0.workspace(workspace))
    }

    async fn workspaces(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<Workspace>, StoreError> {
        at_once(self.0.workspaces(after, limit))
    }

    async fn app(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<App>, StoreError> {
        at_once(self.0.app(workspace, app))
    }

    async fn apps(&self, workspace: &WorkspaceId, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError> {
        at_once(self.0.apps(workspace, after, limit))
    }

    async fn key_config(&self, workspace: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError> {
        at_once(self.0.key_config(workspace))
    }

    async fn key_version(
        &self,
        workspace: &WorkspaceId,
        version: KeyVersionId,
    ) -> Result<Option<KeyVersion>, StoreError> {
        at_once(self.0.key_version(workspace, version))
    }

    async fn key_versions(&self, workspace: &WorkspaceId) -> Result<Vec<KeyVersion>, StoreError> {
        at_once(self.0.key_versions(workspace))
    }

    async fn key_tests(&self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<KeyTest>, StoreError> {
        at_once(self.0.key_tests(workspace, limit))
    }

    async fn data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
    ) -> Result<Option<DataKey>, StoreError> {
        at_once(self.0.data_key(workspace, app, data_key))
    }

    async fn active_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        protection: Protection,
    ) -> Result<Option<DataKey>, StoreError> {
        at_once(self.0.active_data_key(workspace, app, protection))
    }

    async fn data_keys(
        &self,
        workspace: &WorkspaceId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<DataKey>, StoreError> {
        at_once(self.0.data_keys(workspace, after, limit))
    }

    async fn wrapping(&self, workspace: &WorkspaceId, data_key: DataKeyId) -> Result<Option<Wrapping>, StoreError> {
        at_once(self.0.wrapping(workspace, data_key))
    }

    async fn audit(
        &self,
        workspace: Option<&WorkspaceId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        at_once(self.0.audit(workspace, after, limit))
    }

    async fn newest_event(
        &self,
        workspace: Option<&WorkspaceId>,
        name: Option<&str>,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        at_once(self.0.newest_event(workspace, name))
    }

    async fn last_event(&self, workspace: &WorkspaceId, name: &str) -> Result<Option<RecordedEvent>, StoreError> {
        at_once(self.0.last_event(workspace, name))
    }

    async fn operation(&self, operation: OperationId) -> Result<Option<Operation>, StoreError> {
        at_once(self.0.operation(operation))
    }

    async fn operations(
        &self,
        workspace: &WorkspaceId,
        before: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        at_once(self.0.operations(workspace, before, limit))
    }

    async fn open_operations(&self) -> Result<Vec<Operation>, StoreError> {
        at_once(self.0.open_operations())
    }

    async fn version_uses(&self, workspace: &WorkspaceId) -> Result<Vec<VersionUse>, StoreError> {
        at_once(self.0.version_uses(workspace))
    }

    async fn data_keys_left(
        &self,
        workspace: &WorkspaceId,
        to: KeyVersionId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<(DataKey, Wrapping)>, StoreError> {
        at_once(self.0.data_keys_left(workspace, to, after, limit))
    }

    async fn add_wrapping(&self, operation: OperationId, wrapping: Wrapping, over: Wrapping) -> Result<(), StoreError> {
        at_once(self.0.add_wrapping(operation, wrapping, over))
    }

    async fn succeed_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        old: DataKeyId,
        new: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        at_once(self.0.succeed_data_key(workspace, app, old, new, at))
    }

    async fn examine(&self) -> Result<Examined, StoreError> {
        at_once(self.0.examine())
    }

    async fn written_by_others(&self) -> Result<OthersWrote, StoreError> {
        at_once(self.0.written_by_others())
    }

    async fn insert_data_key(&self, key: DataKey, wrapping: Wrapping) -> Result<Inserted, StoreError> {
        at_once(self.0.insert_data_key(key, wrapping))
    }

    async fn activate_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        at_once(self.0.activate_data_key(workspace, app, data_key, at))
    }

    async fn retire_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        at_once(self.0.retire_data_key(workspace, app, data_key, at))
    }

    async fn record(&self, event: AuditEvent) -> Result<(), StoreError> {
        at_once(self.0.record(event))
    }

    async fn key_life(&self, workspace: &WorkspaceId) -> Result<Option<KeyLife>, StoreError> {
        at_once(self.0.key_life(workspace))
    }

    async fn undecided_lives(&self) -> Result<Vec<KeyLife>, StoreError> {
        at_once(self.0.undecided_lives())
    }

    async fn app_selection(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<AppSelection>, StoreError> {
        at_once(self.0.app_selection(workspace, app))
    }

    async fn app_selections(&self, workspace: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError> {
        at_once(self.0.app_selections(workspace))
    }

    async fn add_usage(&self, usage: Vec<KeyUsage>) -> Result<BTreeSet<WorkspaceId>, StoreError> {
        at_once(self.0.add_usage(usage))
    }

    async fn usage_by_hour(
        &self,
        workspace: &WorkspaceId,
        app: Option<&AppId>,
        hours: Range<Hour>,
        after: Option<(Hour, AppId, Protection)>,
        limit: usize,
    ) -> Result<Vec<HourOfApp>, StoreError> {
        at_once(self.0.usage_by_hour(workspace, app, hours, after, limit))
    }

    async fn usage_by_key(&self, workspace: &WorkspaceId) -> Result<Vec<(DataKeyId, Traffic)>, StoreError> {
        at_once(self.0.usage_by_key(workspace))
    }

    async fn drop_usage(&self, before: Hour, limit: usize, so_far: UsageDropped) -> Result<UsageDropped, StoreError> {
        at_once(self.0.drop_usage(before, limit, so_far))
    }

    async fn credential(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<StoredCredential>, StoreError> {
        at_once(self.0.credential(workspace, app))
    }

    async fn integration(&self, workspace: &WorkspaceId) -> Result<Option<Integration>, StoreError> {
        at_once(self.0.integration(workspace))
    }

    async fn tenants(&self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError> {
        at_once(self.0.tenants(workspace))
    }

    async fn tag_nonces(&self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError> {
        at_once(self.0.tag_nonces(workspace))
    }

    async fn proven_keys(&self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError> {
        at_once(self.0.proven_keys(workspace))
    }

    async fn begin(&self, name: &'static str) -> Result<Box<dyn Transaction>, StoreError> {
        at_once(self.0.begin(name)).map(|inner| Box::new(InlineTransaction(inner)) as Box<dyn Transaction>)
    }

    async fn caller(&self, caller: &CallerId) -> Result<Option<StoredCaller>, StoreError> {
        at_once(self.0.caller(caller))
    }

    async fn callers(&self, after: Option<&CallerId>, limit: usize) -> Result<Vec<StoredCaller>, StoreError> {
        at_once(self.0.callers(after, limit))
    }

    async fn callers_changed(&self, since: Option<u64>) -> Result<Option<CallerSet>, StoreError> {
        at_once(self.0.callers_changed(since))
    }

    async fn chains(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, StoreError> {
        at_once(self.0.chains(after, limit))
    }
}

#[async_trait]
impl Transaction for InlineTransaction {
    async fn workspace(&mut self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        at_once(self.0.workspace(workspace))
    }

    async fn app(&mut self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<App>, StoreError> {
        at_once(self.0.app(workspace, app))
    }

    async fn key_config(&mut self, workspace: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError> {
        at_once(self.0.key_config(workspace))
    }

    async fn key_version(
        &mut self,
        workspace: &WorkspaceId,
        version: KeyVersionId,
    ) -> Result<Option<KeyVersion>, StoreError> {
        at_once(self.0.key_version(workspace, version))
    }

    async fn put_workspace(&mut self, workspace: &Workspace) -> Result<(), StoreError> {
        at_once(self.0.put_workspace(workspace))
    }

    async fn put_app(&mut self, app: &App) -> Result<(), StoreError> {
        at_once(self.0.put_app(app))
    }

    async fn put_key_config(&mut self, config: &KeyConfig) -> Result<(), StoreError> {
        at_once(self.0.put_key_config(config))
    }

    async fn add_key_version(&mut self, version: &KeyVersion) -> Result<(), StoreError> {
        at_once(self.0.add_key_version(version))
    }

    async fn key_tests(&mut self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<KeyTest>, StoreError> {
        at_once(self.0.key_tests(workspace, limit))
    }

    async fn add_key_test(&mut self, test: &KeyTest) -> Result<(), StoreError> {
        at_once(self.0.add_key_test(test))
    }

    async fn operation(&mut self, operation: OperationId) -> Result<Option<Operation>, StoreError> {
        at_once(self.0.operation(operation))
    }

    async fn put_operation(&mut self, operation: &Operation) -> Result<(), StoreError> {
        at_once(self.0.put_operation(operation))
    }

    async fn append_audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        at_once(self.0.append_audit(event))
    }

    async fn destroy_data_key(&mut self, operation: OperationId, at: Timestamp) -> Result<(), StoreError> {
        at_once(self.0.destroy_data_key(operation, at))
    }

    async fn key_life(&mut self, workspace: &WorkspaceId) -> Result<Option<KeyLife>, StoreError> {
        at_once(self.0.key_life(workspace))
    }

    async fn app_selections(&mut self, workspace: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError> {
        at_once(self.0.app_selections(workspace))
    }

    async fn live_apps(&mut self, workspace: &WorkspaceId) -> Result<Vec<App>, StoreError> {
        at_once(self.0.live_apps(workspace))
    }

    async fn put_key_life(&mut self, life: &KeyLife) -> Result<(), StoreError> {
        at_once(self.0.put_key_life(life))
    }

    async fn abandon_staged(&mut self, workspace: &WorkspaceId, at: Timestamp) -> Result<u64, StoreError> {
        at_once(self.0.abandon_staged(workspace, at))
    }

    async fn put_app_selection(&mut self, selection: &AppSelection) -> Result<(), StoreError> {
        at_once(self.0.put_app_selection(selection))
    }

    async fn put_credential(&mut self, credential: &StoredCredential) -> Result<(), StoreError> {
        at_once(self.0.put_credential(credential))
    }

    async fn integration(&mut self, workspace: &WorkspaceId) -> Result<Option<Integration>, StoreError> {
        at_once(self.0.integration(workspace))
    }

    async fn put_integration(&mut self, integration: &Integration) -> Result<(), StoreError> {
        at_once(self.0.put_integration(integration))
    }

    async fn tenants(&mut self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError> {
        at_once(self.0.tenants(workspace))
    }

    async fn tag_nonces(&mut self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError> {
        at_once(self.0.tag_nonces(workspace))
    }

    async fn proven_keys(&mut self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError> {
        at_once(self.0.proven_keys(workspace))
    }

    async fn put_tenant(&mut self, link: &TenantLink) -> Result<(), StoreError> {
        at_once(self.0.put_tenant(link))
    }

    async fn put_tag_nonce(&mut self, nonce: &TagNonce) -> Result<(), StoreError> {
        at_once(self.0.put_tag_nonce(nonce))
    }

    async fn put_proven_key(&mut self, proven: &ProvenKey) -> Result<(), StoreError> {
        at_once(self.0.put_proven_key(proven))
    }

    async fn commit(self: Box<Self>) -> Result<u64, StoreError> {
        at_once(self.0.commit())
    }

    async fn caller(&mut self, caller: &CallerId) -> Result<Option<StoredCaller>, StoreError> {
        at_once(self.0.caller(caller))
    }

    async fn live_callers(&mut self) -> Result<Vec<StoredCaller>, StoreError> {
        at_once(self.0.live_callers())
    }

    async fn put_caller(&mut self, caller: &StoredCaller) -> Result<(), StoreError> {
        at_once(self.0.put_caller(caller))
    }
}
