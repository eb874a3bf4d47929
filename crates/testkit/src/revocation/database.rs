//! The rows that the replicas share, and each replica's line to them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::audit::{AuditEvent, AuditKind};
use domain::operation::{Operation, OperationId};
use domain::rotation::VersionUse;
use domain::{
    App, AppId, DataKey, DataKeyId, Hour, HourOfApp, KeyConfig, KeyUsage, KeyVersion, KeyVersionId, Protection,
    StoredCredential, Timestamp, Traffic, Workspace, WorkspaceId, Wrapping,
};
use store::{
    Activation, ClusterId, ControlChange, Inserted, Outage, RecordedDenial, RecordedEvent, Store, StoreError,
    Transaction, Verified,
};
use tokio::sync::watch;
use vault::platform::PlatformRoot;

use super::clock::Time;
use super::plan::Trouble;
use crate::World;

/// Apps of the one workspace. The first two are in use all the time.
const APPS: [&str; 4] = ["app-0", "app-1", "app-2", "app-3"];

/// What every run begins with: a workspace under its customer's key, whose apps have a data key each.
pub struct Ground {
    world: World,
    pub(super) key: vault::KeyRef,
    pub(super) version: KeyVersionId,
    pub(super) apps: Vec<AppId>,
    pub(super) workspace: Workspace,
    live: BTreeMap<AppId, App>,
    config: KeyConfig,
    recorded: KeyVersion,
    data_keys: BTreeMap<DataKeyId, (DataKey, Wrapping)>,
}

impl Ground {
    /// Makes it, in a real database.
    ///
    /// # Panics
    /// When that fails.
    pub async fn prepare() -> Self {
        let world = World::start();
        let acme = world.workspace("acme").await;
        let version = acme.connect_key().await;
        for app in APPS {
            acme.app(app).await.encrypt(b"x").await.expect("a first data key");
        }
        let store = world.store.inner();
        let mut data_keys = BTreeMap::new();
        for key in world.data_keys(&acme.id).await {
            let wrapping = store.wrapping(&acme.id, key.id).await.expect("a reading").expect("a wrapping");
            data_keys.insert(key.id, (key, wrapping));
        }
        let apps = store.apps(&acme.id, None, 100).await.expect("a reading");
        Self {
            key: acme.key(),
            version,
            apps: apps.iter().map(|app| app.id.clone()).collect(),
            workspace: store.workspace(&acme.id).await.expect("a reading").expect("a workspace"),
            live: apps.into_iter().map(|app| (app.id.clone(), app)).collect(),
            config: store.key_config(&acme.id).await.expect("a reading").expect("a key"),
            recorded: store.key_version(&acme.id, version).await.expect("a reading").expect("a version"),
            data_keys,
            world,
        }
    }

    pub(super) fn platform(&self) -> Arc<PlatformRoot> {
        self.world.platform()
    }
}

/// What a run changes of it.
pub(super) struct Database {
    pub(super) ground: Arc<Ground>,
    changed: Mutex<Changed>,
}

#[derive(Default)]
struct Changed {
    revision: u64,
    deleted: BTreeMap<AppId, Timestamp>,
    feed: Vec<(u64, ControlChange)>,
}

impl Database {
    pub(super) fn new(ground: Arc<Ground>) -> Arc<Self> {
        Arc::new(Self { ground, changed: Mutex::default() })
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut ControlChange), changed: &mut Changed) {
        changed.revision += 1;
        let mut news = ControlChange::none(self.ground.workspace.id.clone());
        change(&mut news);
        changed.feed.push((changed.revision, news));
    }

    /// Commits an app's deletion.
    pub(super) fn delete(&self, app: &AppId) {
        let changed = &mut *self.changed();
        changed.deleted.insert(app.clone(), Timestamp::from_micros(1));
        self.tell(|change| change.deleted_apps.push(app.clone()), changed);
    }
}

/// One replica's line to the database.
pub(super) struct StoreLine {
    pub(super) database: Arc<Database>,
    pub(super) time: Time,
    pub(super) trouble: Trouble,
    pub(super) awake: watch::Receiver<bool>,
}

impl StoreLine {
    async fn ground(&self) -> Result<&Ground, StoreError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let _ = self.awake.clone().wait_for(|awake| *awake).await;
        match self.trouble {
            Trouble::StoreCut { from } if self.time.passed() >= from => Err(StoreError::Unavailable(Outage::Busy)),
            _ => Ok(&self.database.ground),
        }
    }

    fn others(&self) -> Arc<dyn Store> {
        self.database.ground.world.store.inner()
    }
}

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

    async fn apps(&self, workspace: &WorkspaceId, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError> {
        self.others().apps(workspace, after, limit).await
    }

    async fn key_config(&self, _: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError> {
        Ok(Some(self.ground().await?.config.clone()))
    }

    async fn key_version(&self, _: &WorkspaceId, version: KeyVersionId) -> Result<Option<KeyVersion>, StoreError> {
        Ok(Some(self.ground().await?.recorded.clone()).filter(|found| found.id == version))
    }

    async fn key_versions(&self, _: &WorkspaceId) -> Result<Vec<KeyVersion>, StoreError> {
        Ok(vec![self.ground().await?.recorded.clone()])
    }

    async fn key_tests(&self, _: &WorkspaceId, _: usize) -> Result<Vec<domain::KeyTest>, StoreError> {
        // Nobody tests a configuration here.
        self.ground().await.map(|_| Vec::new())
    }

    async fn data_key(&self, _: &WorkspaceId, app: &AppId, key: DataKeyId) -> Result<Option<DataKey>, StoreError> {
        let found = self.ground().await?.data_keys.get(&key).map(|(row, _)| row.clone());
        Ok(found.filter(|row| row.app == *app))
    }

    async fn active_data_key(
        &self,
        _: &WorkspaceId,
        app: &AppId,
        protection: Protection,
    ) -> Result<Option<DataKey>, StoreError> {
        let mut rows = self.ground().await?.data_keys.values().map(|(row, _)| row);
        Ok(rows.find(|row| row.app == *app && row.protection == protection).cloned())
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
        Ok(self.ground().await?.data_keys.get(&data_key).map(|(_, wrapping)| wrapping.clone()))
    }

    async fn audit(
        &self,
        workspace: Option<&WorkspaceId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        self.others().audit(workspace, after, limit).await
    }

    async fn verify(&self) -> Result<Verified, StoreError> {
        self.others().verify().await
    }

    async fn insert_data_key(&self, key: DataKey, wrapping: Wrapping) -> Result<Inserted, StoreError> {
        self.others().insert_data_key(key, wrapping).await
    }

    async fn activate_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        self.others().activate_data_key(workspace, app, data_key, at).await
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
        self.ground().await?;
        if let AuditKind::VaultDenied { reason, version } = event.what {
            let changed = &mut *self.database.changed();
            self.database.tell(|change| change.denials.push(RecordedDenial { at: event.at, version, reason }), changed);
        }
        Ok(())
    }

    async fn begin(&self, name: &'static str) -> Result<Box<dyn Transaction>, StoreError> {
        self.others().begin(name).await
    }

    async fn add_usage(&self, usage: Vec<KeyUsage>) -> Result<(), StoreError> {
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

    async fn drop_usage(&self, before: Hour, limit: usize) -> Result<usize, StoreError> {
        self.others().drop_usage(before, limit).await
    }

    async fn credential(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<StoredCredential>, StoreError> {
        self.others().credential(workspace, app).await
    }
}
