//! What each call of the store comes to, where something is to go wrong.

use std::collections::BTreeSet;
use std::ops::Range;

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

use super::{FaultyStore, Step};

#[async_trait]
impl Store for FaultyStore {
    fn cluster(&self) -> ClusterId {
        self.inner().cluster()
    }

    fn epoch(&self) -> u64 {
        self.inner().epoch()
    }

    async fn revision(&self) -> Result<u64, StoreError> {
        self.read()?;
        self.inner().revision().await
    }

    async fn changed_since(&self, revision: u64) -> Result<(u64, Vec<ControlChange>), StoreError> {
        self.read()?;
        self.inner().changed_since(revision).await
    }

    async fn workspace(&self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        self.read()?;
        self.inner().workspace(workspace).await
    }

    async fn workspaces(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<Workspace>, StoreError> {
        self.read()?;
        self.inner().workspaces(after, limit).await
    }

    async fn app(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<App>, StoreError> {
        self.read()?;
        self.inner().app(workspace, app).await
    }

    async fn apps(&self, workspace: &WorkspaceId, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError> {
        self.read()?;
        self.inner().apps(workspace, after, limit).await
    }

    async fn key_config(&self, workspace: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError> {
        self.read()?;
        self.inner().key_config(workspace).await
    }

    async fn key_version(
        &self,
        workspace: &WorkspaceId,
        version: KeyVersionId,
    ) -> Result<Option<KeyVersion>, StoreError> {
        self.read()?;
        self.inner().key_version(workspace, version).await
    }

    async fn key_versions(&self, workspace: &WorkspaceId) -> Result<Vec<KeyVersion>, StoreError> {
        self.read()?;
        self.inner().key_versions(workspace).await
    }

    async fn key_tests(&self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<KeyTest>, StoreError> {
        self.read()?;
        self.inner().key_tests(workspace, limit).await
    }

    async fn data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
    ) -> Result<Option<DataKey>, StoreError> {
        self.read()?;
        let lie = self.plan().data_keys.get(&data_key).cloned();
        match lie {
            Some(lie) => Ok(Some(lie)),
            None => self.inner().data_key(workspace, app, data_key).await,
        }
    }

    async fn active_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        protection: Protection,
    ) -> Result<Option<DataKey>, StoreError> {
        self.read()?;
        self.inner().active_data_key(workspace, app, protection).await
    }

    async fn data_keys(
        &self,
        workspace: &WorkspaceId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<DataKey>, StoreError> {
        self.read()?;
        self.inner().data_keys(workspace, after, limit).await
    }

    async fn wrapping(&self, workspace: &WorkspaceId, data_key: DataKeyId) -> Result<Option<Wrapping>, StoreError> {
        self.read()?;
        let lie = self.plan().wrappings.get(&data_key).cloned();
        match lie {
            Some(lie) => Ok(Some(lie)),
            None => self.inner().wrapping(workspace, data_key).await,
        }
    }

    async fn audit(
        &self,
        workspace: Option<&WorkspaceId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.read()?;
        self.inner().audit(workspace, after, limit).await
    }

    async fn newest_event(
        &self,
        workspace: Option<&WorkspaceId>,
        name: Option<&str>,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        self.read()?;
        self.inner().newest_event(workspace, name).await
    }

    async fn last_event(&self, workspace: &WorkspaceId, name: &str) -> Result<Option<RecordedEvent>, StoreError> {
        self.read()?;
        self.inner().last_event(workspace, name).await
    }

    async fn operation(&self, operation: OperationId) -> Result<Option<Operation>, StoreError> {
        self.read()?;
        self.inner().operation(operation).await
    }

    async fn operations(
        &self,
        workspace: &WorkspaceId,
        before: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        self.read()?;
        self.inner().operations(workspace, before, limit).await
    }

    async fn open_operations(&self) -> Result<Vec<Operation>, StoreError> {
        self.read()?;
        self.inner().open_operations().await
    }

    async fn version_uses(&self, workspace: &WorkspaceId) -> Result<Vec<VersionUse>, StoreError> {
        self.read()?;
        self.inner().version_uses(workspace).await
    }

    async fn data_keys_left(
        &self,
        workspace: &WorkspaceId,
        to: KeyVersionId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<(DataKey, Wrapping)>, StoreError> {
        self.read()?;
        self.inner().data_keys_left(workspace, to, after, limit).await
    }

    async fn add_wrapping(&self, operation: OperationId, wrapping: Wrapping, over: Wrapping) -> Result<(), StoreError> {
        self.step(Step::BeforeAddWrapping)?;
        self.inner().add_wrapping(operation, wrapping, over).await?;
        self.step(Step::AfterAddWrapping)
    }

    async fn succeed_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        old: DataKeyId,
        new: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        self.step(Step::BeforeActivate)?;
        let activation = self.inner().succeed_data_key(workspace, app, old, new, at).await?;
        self.step(Step::AfterActivate)?;
        Ok(activation)
    }

    async fn key_life(&self, workspace: &WorkspaceId) -> Result<Option<KeyLife>, StoreError> {
        self.read()?;
        self.inner().key_life(workspace).await
    }

    async fn undecided_lives(&self) -> Result<Vec<KeyLife>, StoreError> {
        self.read()?;
        self.inner().undecided_lives().await
    }

    async fn app_selection(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<AppSelection>, StoreError> {
        self.read()?;
        self.inner().app_selection(workspace, app).await
    }

    async fn app_selections(&self, workspace: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError> {
        self.read()?;
        self.inner().app_selections(workspace).await
    }

    async fn examine(&self) -> Result<Examined, StoreError> {
        self.read()?;
        self.inner().examine().await
    }

    async fn written_by_others(&self) -> Result<OthersWrote, StoreError> {
        self.read()?;
        self.inner().written_by_others().await
    }

    async fn insert_data_key(&self, key: DataKey, wrapping: Wrapping) -> Result<Inserted, StoreError> {
        self.step(Step::BeforeInsert)?;
        let inserted = self.inner().insert_data_key(key, wrapping).await?;
        self.step(Step::AfterInsert)?;
        Ok(inserted)
    }

    async fn activate_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        self.step(Step::BeforeActivate)?;
        let activation = self.inner().activate_data_key(workspace, app, data_key, at).await?;
        self.step(Step::AfterActivate)?;
        Ok(activation)
    }

    async fn retire_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.read()?;
        self.inner().retire_data_key(workspace, app, data_key, at).await
    }

    async fn record(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.read()?;
        if event.workspace.is_some() && event.workspace == self.plan().forged {
            return Err(StoreError::SetForged { workspace: event.workspace });
        }
        self.inner().record(event).await
    }

    async fn begin(&self, name: &'static str) -> Result<Box<dyn Transaction>, StoreError> {
        self.step(Step::BeforeTransaction(name))?;
        let transaction = self.inner().begin(name).await?;
        let mut plan = self.plan();
        if plan.crash_at == Some(Step::AfterTransaction(name)) {
            plan.last_words = true;
        }
        Ok(transaction)
    }

    async fn add_usage(&self, usage: Vec<KeyUsage>) -> Result<BTreeSet<WorkspaceId>, StoreError> {
        self.step(Step::BeforeAddUsage)?;
        let forged = self.plan().forged.clone();
        let (forged, others): (Vec<_>, Vec<_>) =
            usage.into_iter().partition(|row| Some(&row.workspace) == forged.as_ref());
        let mut left_out = self.inner().add_usage(others).await?;
        left_out.extend(forged.into_iter().map(|row| row.workspace));
        self.step(Step::AfterAddUsage)?;
        Ok(left_out)
    }

    async fn usage_by_hour(
        &self,
        workspace: &WorkspaceId,
        app: Option<&AppId>,
        hours: Range<Hour>,
        after: Option<(Hour, AppId, Protection)>,
        limit: usize,
    ) -> Result<Vec<HourOfApp>, StoreError> {
        self.read()?;
        self.inner().usage_by_hour(workspace, app, hours, after, limit).await
    }

    async fn usage_by_key(&self, workspace: &WorkspaceId) -> Result<Vec<(DataKeyId, Traffic)>, StoreError> {
        self.read()?;
        self.inner().usage_by_key(workspace).await
    }

    async fn drop_usage(&self, before: Hour, limit: usize, so_far: UsageDropped) -> Result<UsageDropped, StoreError> {
        self.read()?;
        self.inner().drop_usage(before, limit, so_far).await
    }

    async fn tenants(&self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError> {
        self.read()?;
        self.inner().tenants(workspace).await
    }

    async fn tag_nonces(&self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError> {
        self.read()?;
        self.inner().tag_nonces(workspace).await
    }

    async fn proven_keys(&self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError> {
        self.read()?;
        self.inner().proven_keys(workspace).await
    }

    async fn credential(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<StoredCredential>, StoreError> {
        self.read()?;
        let lie = self.plan().credential.clone();
        match lie {
            Some(lie) => Ok(Some(lie)),
            None => self.inner().credential(workspace, app).await,
        }
    }

    async fn caller(&self, caller: &CallerId) -> Result<Option<StoredCaller>, StoreError> {
        self.read()?;
        self.inner().caller(caller).await
    }

    async fn callers(&self, after: Option<&CallerId>, limit: usize) -> Result<Vec<StoredCaller>, StoreError> {
        self.read()?;
        self.inner().callers(after, limit).await
    }

    async fn callers_changed(&self, since: Option<u64>) -> Result<Option<CallerSet>, StoreError> {
        self.read()?;
        self.inner().callers_changed(since).await
    }

    async fn chains(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, StoreError> {
        self.read()?;
        self.inner().chains(after, limit).await
    }

    async fn integration(&self, workspace: &WorkspaceId) -> Result<Option<Integration>, StoreError> {
        self.read()?;
        let lie = self.plan().integration.clone();
        match lie {
            Some(lie) if lie.workspace == *workspace => Ok(Some(lie)),
            Some(_) | None => self.inner().integration(workspace).await,
        }
    }
}
