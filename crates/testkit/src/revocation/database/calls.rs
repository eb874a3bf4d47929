//! What each call of a replica comes to on its line to the rows.

use std::collections::BTreeSet;
use std::ops::Range;

use async_trait::async_trait;
use domain::audit::{AuditEvent, AuditKind};
use domain::credential::Integration;
use domain::key_life::{AppSelection, Enforcement, KeyLife};
use domain::operation::{Operation, OperationId};
use domain::rotation::VersionUse;
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, AppId, CallerId, DataKey, DataKeyId, DataKeyState, Hour, HourOfApp, KeyConfig, KeyTest, KeyUsage, KeyVersion,
    KeyVersionId, Protection, StoredCaller, StoredCredential, Timestamp, Traffic, Workspace, WorkspaceId, Wrapping,
};
use store::{
    Activation, CallerSet, ClusterId, Conflict, ControlChange, Examined, Inserted, OthersWrote, RecordedDenial,
    RecordedEvent, Store, StoreError, Transaction, UsageDropped,
};

use super::super::transaction::MemoryTransaction;
use super::StoreLine;

/// What the simulated replicas read is in memory; whatever else there is goes to the real database.
#[async_trait]
impl Store for StoreLine {
    fn cluster(&self) -> ClusterId {
        self.others().cluster()
    }

    fn epoch(&self) -> u64 {
        self.others().epoch()
    }

    async fn revision(&self) -> Result<u64, StoreError> {
        self.ground().await?;
        Ok(self.database.changed().revision)
    }

    async fn changed_since(&self, revision: u64) -> Result<(u64, Vec<ControlChange>), StoreError> {
        self.ground().await?;
        let changed = self.database.changed();
        let news = changed.feed.iter().filter(|(at, _)| *at > revision).map(|(_, change)| change.clone());
        Ok((changed.revision, news.collect()))
    }

    async fn workspace(&self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let ground = self.ground().await?;
        Ok(Some(ground.workspace.clone()).filter(|found| found.id == *workspace))
    }

    async fn workspaces(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<Workspace>, StoreError> {
        self.others().workspaces(after, limit).await
    }

    async fn app(&self, _: &WorkspaceId, app: &AppId) -> Result<Option<App>, StoreError> {
        let found = self.ground().await?.live.get(app).cloned();
        let deleted_at = self.database.changed().deleted.get(app).copied();
        Ok(found.map(|found| App { deleted_at, ..found }))
    }

    async fn apps(&self, _: &WorkspaceId, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError> {
        let live = self.ground().await?.live.values().filter(|app| after.is_none_or(|after| app.id > *after));
        Ok(live.take(limit).cloned().collect())
    }

    async fn key_config(&self, _: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError> {
        Ok(Some(self.ground().await?.config.clone()))
    }

    async fn key_life(&self, _: &WorkspaceId) -> Result<Option<KeyLife>, StoreError> {
        self.ground().await?;
        Ok(Some(self.database.changed().life.clone()))
    }

    async fn undecided_lives(&self) -> Result<Vec<KeyLife>, StoreError> {
        self.ground().await?;
        let life = self.database.changed().life.clone();
        let undecided = match life.enforcement {
            Enforcement::Draft(_) | Enforcement::Scheduled(_) | Enforcement::Held(_) => life.plan().is_some(),
            Enforcement::Armed(_) | Enforcement::InForce { .. } => false,
        };
        Ok(if undecided { vec![life] } else { Vec::new() })
    }

    async fn app_selection(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<AppSelection>, StoreError> {
        // Every app is selected.
        let _ = (workspace, app);
        self.ground().await.map(|_| None)
    }

    async fn app_selections(&self, workspace: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError> {
        let _ = workspace;
        self.ground().await.map(|_| Vec::new())
    }

    async fn key_version(&self, _: &WorkspaceId, version: KeyVersionId) -> Result<Option<KeyVersion>, StoreError> {
        Ok(Some(self.ground().await?.recorded.clone()).filter(|found| found.id == version))
    }

    async fn key_versions(&self, _: &WorkspaceId) -> Result<Vec<KeyVersion>, StoreError> {
        Ok(vec![self.ground().await?.recorded.clone()])
    }

    async fn key_tests(&self, _: &WorkspaceId, _: usize) -> Result<Vec<KeyTest>, StoreError> {
        self.ground().await?;
        Ok(self.database.changed().tests.clone())
    }

    async fn data_key(&self, _: &WorkspaceId, app: &AppId, key: DataKeyId) -> Result<Option<DataKey>, StoreError> {
        self.ground().await?;
        let found = self.database.changed().data_keys.get(&key).map(|(row, _)| row.clone());
        Ok(found.filter(|row| row.app == *app))
    }

    async fn active_data_key(
        &self,
        _: &WorkspaceId,
        app: &AppId,
        protection: Protection,
    ) -> Result<Option<DataKey>, StoreError> {
        self.ground().await?;
        Ok(self.database.changed().active(app, protection).cloned())
    }

    async fn data_keys(
        &self,
        workspace: &WorkspaceId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<DataKey>, StoreError> {
        self.others().data_keys(workspace, after, limit).await
    }

    async fn wrapping(&self, _: &WorkspaceId, data_key: DataKeyId) -> Result<Option<Wrapping>, StoreError> {
        self.ground().await?;
        Ok(self.database.changed().data_keys.get(&data_key).map(|(_, wrapping)| wrapping.clone()))
    }

    async fn audit(
        &self,
        workspace: Option<&WorkspaceId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.others().audit(workspace, after, limit).await
    }

    async fn examine(&self) -> Result<Examined, StoreError> {
        self.others().examine().await
    }

    async fn written_by_others(&self) -> Result<OthersWrote, StoreError> {
        self.others().written_by_others().await
    }

    async fn insert_data_key(&self, key: DataKey, wrapping: Wrapping) -> Result<Inserted, StoreError> {
        let _turn = self.committing().await?;
        let changed = &mut *self.database.changed();
        changed.data_keys.insert(key.id, (key, wrapping));
        changed.revision += 1;
        Ok(Inserted)
    }

    async fn activate_data_key(
        &self,
        _: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        let _turn = self.committing().await?;
        let changed = &mut *self.database.changed();
        let protection = changed.data_keys.get(&data_key).map(|(row, _)| row.protection);
        let Some(protection) = protection else { return Err(Conflict::NoDataKey.into()) };
        let winner = changed.active(app, protection).map(|row| row.id);
        let Some((row, _)) = changed.data_keys.get_mut(&data_key) else { return Err(Conflict::NoDataKey.into()) };
        changed.revision += 1;
        Ok(match winner {
            Some(winner) if winner != data_key => {
                row.state = DataKeyState::Abandoned;
                Activation::Lost { winner }
            }
            Some(_) | None => {
                (row.state, row.activated_at) = (DataKeyState::Active, Some(at));
                Activation::Won
            }
        })
    }

    async fn retire_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.others().retire_data_key(workspace, app, data_key, at).await
    }

    async fn newest_event(
        &self,
        workspace: Option<&WorkspaceId>,
        name: Option<&str>,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        self.others().newest_event(workspace, name).await
    }

    async fn last_event(&self, workspace: &WorkspaceId, name: &str) -> Result<Option<RecordedEvent>, StoreError> {
        self.others().last_event(workspace, name).await
    }

    async fn operation(&self, operation: OperationId) -> Result<Option<Operation>, StoreError> {
        self.others().operation(operation).await
    }

    async fn operations(
        &self,
        workspace: &WorkspaceId,
        before: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        self.others().operations(workspace, before, limit).await
    }

    async fn open_operations(&self) -> Result<Vec<Operation>, StoreError> {
        self.others().open_operations().await
    }

    async fn version_uses(&self, workspace: &WorkspaceId) -> Result<Vec<VersionUse>, StoreError> {
        self.others().version_uses(workspace).await
    }

    async fn data_keys_left(
        &self,
        workspace: &WorkspaceId,
        to: KeyVersionId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<(DataKey, Wrapping)>, StoreError> {
        self.others().data_keys_left(workspace, to, after, limit).await
    }

    async fn add_wrapping(&self, operation: OperationId, wrapping: Wrapping, over: Wrapping) -> Result<(), StoreError> {
        self.others().add_wrapping(operation, wrapping, over).await
    }

    async fn succeed_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        old: DataKeyId,
        new: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        self.others().succeed_data_key(workspace, app, old, new, at).await
    }

    async fn record(&self, event: AuditEvent) -> Result<(), StoreError> {
        let _turn = self.committing().await?;
        if let AuditKind::VaultDenied { reason, version } = event.what {
            let changed = &mut *self.database.changed();
            self.database.tell(|change| change.denials.push(RecordedDenial { at: event.at, version, reason }), changed);
        }
        Ok(())
    }

    async fn begin(&self, _: &'static str) -> Result<Box<dyn Transaction>, StoreError> {
        MemoryTransaction::begin(self).await
    }

    async fn add_usage(&self, usage: Vec<KeyUsage>) -> Result<BTreeSet<WorkspaceId>, StoreError> {
        self.others().add_usage(usage).await
    }

    async fn usage_by_hour(
        &self,
        workspace: &WorkspaceId,
        app: Option<&AppId>,
        hours: Range<Hour>,
        after: Option<(Hour, AppId, Protection)>,
        limit: usize,
    ) -> Result<Vec<HourOfApp>, StoreError> {
        self.others().usage_by_hour(workspace, app, hours, after, limit).await
    }

    async fn usage_by_key(&self, workspace: &WorkspaceId) -> Result<Vec<(DataKeyId, Traffic)>, StoreError> {
        self.others().usage_by_key(workspace).await
    }

    async fn drop_usage(&self, before: Hour, limit: usize, so_far: UsageDropped) -> Result<UsageDropped, StoreError> {
        self.others().drop_usage(before, limit, so_far).await
    }

    async fn tenants(&self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError> {
        self.others().tenants(workspace).await
    }

    async fn tag_nonces(&self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError> {
        self.others().tag_nonces(workspace).await
    }

    async fn proven_keys(&self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError> {
        self.others().proven_keys(workspace).await
    }

    async fn credential(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<StoredCredential>, StoreError> {
        self.others().credential(workspace, app).await
    }

    async fn caller(&self, caller: &CallerId) -> Result<Option<StoredCaller>, StoreError> {
        self.others().caller(caller).await
    }

    async fn callers(&self, after: Option<&CallerId>, limit: usize) -> Result<Vec<StoredCaller>, StoreError> {
        self.others().callers(after, limit).await
    }

    /// The simulation has no callers: nothing is read that would take simulated time.
    async fn callers_changed(&self, _: Option<u64>) -> Result<Option<CallerSet>, StoreError> {
        Ok(None)
    }

    async fn chains(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, StoreError> {
        self.others().chains(after, limit).await
    }

    async fn integration(&self, _: &WorkspaceId) -> Result<Option<Integration>, StoreError> {
        // Everybody is on the platform's app.
        Ok(None)
    }
}
