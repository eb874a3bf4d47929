//! The rows that the replicas share, and each replica's line to them.

mod calls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::key_life::{KeyLife, Policy};
use domain::{
    App, AppId, DataKey, DataKeyId, DataKeyState, KeyConfig, KeyTest, KeyVersion, KeyVersionId, Protection, Timestamp,
    Workspace, Wrapping,
};
use service::ScheduleEnforcement;
use store::{ControlChange, Outage, Store, StoreError};
use tokio::sync::{OwnedMutexGuard, watch};
use vault::platform::PlatformRoot;

use super::clock::Time;
use super::plan::Trouble;
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
