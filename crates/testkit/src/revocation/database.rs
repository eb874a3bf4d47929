//! The rows that the replicas share, and each replica's line to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::audit::{AuditEvent, AuditKind};
use domain::credential::Integration;
use domain::key_life::{AppSelection, Enforcement, KeyLife, Policy};
use domain::operation::{Operation, OperationId};
use domain::rotation::VersionUse;
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, AppId, CallerId, DataKey, DataKeyId, DataKeyState, Hour, HourOfApp, KeyConfig, KeyTest, KeyUsage, KeyVersion,
    KeyVersionId, Protection, StoredCaller, StoredCredential, Timestamp, Traffic, Workspace, WorkspaceId, Wrapping,
};
use service::ScheduleEnforcement;
use store::{
    Activation, CallerSet, ClusterId, Conflict, ControlChange, Examined, Inserted, Outage, RecordedDenial,
    RecordedEvent, Store, StoreError, Transaction,
};
use tokio::sync::{OwnedMutexGuard, watch};
use vault::platform::PlatformRoot;

use super::clock::Time;
use super::plan::Trouble;
use super::transaction::MemoryTransaction;
use crate::{TestWorkspace, World};

/// Apps of the one workspace. The first two are in use all the time.
const APPS: [&str; 4] = ["app-0", "app-1", "app-2", "app-3"];

/// What every run begins with: a workspace under its customer's key, whose apps have a data key each.
pub struct Ground {
    world: World,
    pub(crate) key: vault::KeyRef,
    pub(crate) version: KeyVersionId,
    pub(crate) apps: Vec<AppId>,
    pub(crate) workspace: Workspace,
    live: BTreeMap<AppId, App>,
    pub(crate) config: KeyConfig,
    life: KeyLife,
    tests: Vec<KeyTest>,
    /// When the key is to come into force, if that is ahead; otherwise when it did.
    pub(crate) date: Timestamp,
    /// What the key's tag has to show.
    pub(crate) nonce: String,
    recorded: KeyVersion,
    data_keys: BTreeMap<DataKeyId, (DataKey, Wrapping)>,
}

impl Ground {
    /// Makes it, in a real database: a key in force.
    ///
    /// # Panics
    /// When that fails.
    pub async fn prepare() -> Self {
        let world = World::start();
        let acme = world.workspace("acme").await;
        acme.connect_key().await;
        for app in APPS {
            acme.app(app).await.encrypt(b"x").await.expect("a first data key");
        }
        Self::of(world, acme).await
    }

    /// Makes it, in a real database: a key that passed its test and has a date so much ahead; data under the platform's key.
    ///
    /// # Panics
    /// When that fails.
    pub async fn prepare_scheduled(ahead: Duration, policy: Policy) -> Self {
        let world = World::start();
        let acme = world.workspace("acme").await;
        for app in APPS {
            acme.app(app).await.encrypt(b"x").await.expect("a first data key");
        }
        world.vault.create_key(&acme.key());
        acme.configure(acme.request()).await.expect("a connected key");
        acme.prove_ownership().await;
        assert!(acme.test_key().await.expect("a test").passed(), "the key passes its test");
        let local = world.wall().saturating_add(ahead).to_string().chars().take(19).collect();
        let date = ScheduleEnforcement { local, zone: "UTC".to_owned(), policy };
        world.service.schedule_enforcement(&acme.may_schedule(), date).await.expect("a date");
        Self::of(world, acme).await
    }

    async fn of(world: World, acme: TestWorkspace) -> Self {
        let store = world.store.inner();
        let mut data_keys = BTreeMap::new();
        for key in world.data_keys(&acme.id).await {
            let wrapping = store.wrapping(&acme.id, key.id).await.expect("a reading").expect("a wrapping");
            data_keys.insert(key.id, (key, wrapping));
        }
        let apps = store.apps(&acme.id, None, 100).await.expect("a reading");
        let config = store.key_config(&acme.id).await.expect("a reading").expect("a key");
        let recorded = store.key_version(&acme.id, config.current_version).await.expect("a reading");
        let life = store.key_life(&acme.id).await.expect("a reading").expect("a key's life");
        Self {
            date: life.plan().map_or(life.changed_at, |plan| plan.at.instant()),
            key: acme.key(),
            version: config.current_version,
            apps: apps.iter().map(|app| app.id.clone()).collect(),
            workspace: store.workspace(&acme.id).await.expect("a reading").expect("a workspace"),
            live: apps.into_iter().map(|app| (app.id.clone(), app)).collect(),
            life,
            tests: store.key_tests(&acme.id, 100).await.expect("a reading"),
            nonce: world.service.ownership_nonce(&config).await.expect("a nonce"),
            recorded: recorded.expect("a version"),
            config,
            data_keys,
            world,
        }
    }

    pub(crate) fn platform(&self) -> Arc<PlatformRoot> {
        self.world.platform()
    }
}

/// What a run changes of it.
pub(crate) struct Database {
    pub(crate) ground: Arc<Ground>,
    changed: Mutex<Changed>,
    /// One writes at a time.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
pub(crate) struct Changed {
    pub(crate) revision: u64,
    deleted: BTreeMap<AppId, Timestamp>,
    feed: Vec<(u64, ControlChange)>,
    pub(crate) life: KeyLife,
    /// Newest first.
    pub(crate) tests: Vec<KeyTest>,
    pub(crate) data_keys: BTreeMap<DataKeyId, (DataKey, Wrapping)>,
    /// The names of what was recorded.
    pub(crate) recorded: Vec<&'static str>,
}

impl Database {
    pub(crate) fn new(ground: Arc<Ground>) -> Arc<Self> {
        let changed = Changed {
            revision: 0,
            deleted: BTreeMap::new(),
            feed: Vec::new(),
            life: ground.life.clone(),
            tests: ground.tests.clone(),
            data_keys: ground.data_keys.clone(),
            recorded: Vec::new(),
        };
        Arc::new(Self { ground, changed: Mutex::new(changed), turn: Arc::default() })
    }

    pub(crate) fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut ControlChange), changed: &mut Changed) {
        changed.revision += 1;
        let mut news = ControlChange::none(self.ground.workspace.id.clone());
        change(&mut news);
        changed.feed.push((changed.revision, news));
    }

    /// Commits an app's deletion.
    pub(crate) fn delete(&self, app: &AppId) {
        let changed = &mut *self.changed();
        changed.deleted.insert(app.clone(), Timestamp::from_micros(1));
        self.tell(|change| change.deleted_apps.push(app.clone()), changed);
    }
}

impl Changed {
    fn active(&self, app: &AppId, protection: Protection) -> Option<&DataKey> {
        let mut rows = self.data_keys.values().map(|(row, _)| row);
        rows.find(|row| row.app == *app && row.protection == protection && row.state == DataKeyState::Active)
    }
}

/// One replica's line to the database.
#[derive(Clone)]
pub(crate) struct StoreLine {
    pub(crate) database: Arc<Database>,
    pub(crate) time: Time,
    pub(crate) trouble: Trouble,
    pub(crate) awake: watch::Receiver<bool>,
}

impl StoreLine {
    pub(super) async fn ground(&self) -> Result<&Ground, StoreError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let _ = self.awake.clone().wait_for(|awake| *awake).await;
        match self.trouble {
            Trouble::StoreCut { from } if self.time.passed() >= from => Err(StoreError::Unavailable(Outage::Busy)),
            _ => Ok(&self.database.ground),
        }
    }

    /// The turn to write, when a commit has taken what it takes here.
    pub(super) async fn committing(&self) -> Result<OwnedMutexGuard<()>, StoreError> {
        let turn = self.database.turn.clone().lock_owned().await;
        self.commit_takes().await?;
        Ok(turn)
    }

    pub(super) async fn commit_takes(&self) -> Result<(), StoreError> {
        if let Trouble::SlowCommits { longest } = self.trouble {
            // As good as chance: what the microseconds of the run say.
            let part = self.time.passed().subsec_micros() % 1_000;
            tokio::time::sleep(longest * part / 1_000).await;
        }
        self.ground().await.map(drop)
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

    async fn written_by_others(&self) -> Result<bool, StoreError> {
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

    async fn drop_usage(&self, before: Hour, limit: usize) -> Result<usize, StoreError> {
        self.others().drop_usage(before, limit).await
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
