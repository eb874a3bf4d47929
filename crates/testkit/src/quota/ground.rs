//! Services over one database and one vault that counts.

use std::sync::Arc;
use std::time::Duration;

use domain::permission::{ChangeApps, ConfigureKey as ConfigureAction, CreateWorkspace, Encrypt, Permit, Target};
use domain::{AppId, AppKind, Cloud, KeyLocation, WorkspaceId};
use envelope::Context;
use service::{ConfigureKey, Options, Parts, SeededBug, Service};
use store::Store;
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use tempfile::TempDir;
use tokio::task::JoinSet;
use vault::KeyRef;
use vault::memory::MemoryKeys;
use vault::platform::PlatformRoot;

use super::inline::Inline;
use super::vault::CountingVault;
use crate::SeededEntropy;
use crate::revocation::clock::{ReplicaClock, Time};
use crate::world::allow;

const TENANT: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";

/// What services stand on.
pub(super) struct Ground {
    pub(super) time: Time,
    pub(super) vault: Arc<CountingVault>,
    pub(super) workspace: WorkspaceId,
    pub(super) key: KeyRef,
    store: Arc<Inline>,
    platform: Arc<PlatformRoot>,
    options: Options,
    bug: Option<SeededBug>,
    _dir: TempDir,
}

/// A service and its loops, which end with it.
pub(super) struct Replica {
    pub(super) service: Arc<Service>,
    _loops: JoinSet<()>,
}

impl Ground {
    /// An empty database, and a vault that permits so many operations in ten seconds.
    pub(super) fn new(limit: u32, options: Options, bug: Option<SeededBug>) -> Self {
        let time = Time::begin();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let entropy = SeededEntropy::new(7);
        let root = PlatformRoot::init_file(&dir.path().join("platform.key"), &*entropy);
        let platform = Arc::new(root.expect("a platform key"));
        let database = SqliteStore::create_or_open(SqliteOptions {
            path: dir.path().join("byokd.db"),
            row_seal: platform.row_seal(),
            root_check: platform.check_value(),
            cluster: platform.cluster_id(),
            durability: Durability::Full,
        });
        let store: Arc<dyn Store> = Arc::new(database.expect("a database"));
        let keys = MemoryKeys::new(ReplicaClock::new(time, Duration::ZERO));
        let location = KeyLocation::from_parts(Cloud::Public, "acme", "byok").expect("a vault's name");
        let key = KeyRef::of_platform(TENANT.parse().expect("a tenant"), location);
        keys.create_key(&key);
        Self {
            time,
            vault: CountingVault::new(keys, time, limit, 11),
            workspace: "acme".parse().expect("a well-formed id"),
            key,
            store: Arc::new(Inline(store)),
            platform,
            options,
            bug,
            _dir: dir,
        }
    }

    /// The `n`th process, with nothing in memory.
    pub(super) fn replica(&self, n: u64) -> Replica {
        let parts = Parts {
            store: self.store.clone(),
            customer_keys: self.vault.clone(),
            platform: self.platform.clone(),
            clock: ReplicaClock::new(self.time, Duration::from_secs(3_600 * (n + 1))),
            entropy: SeededEntropy::new(n << 32 | 1),
            options: self.options.clone(),
        };
        let service = match self.bug {
            None => Service::start(parts),
            Some(bug) => Service::start_with_bug(parts, bug),
        };
        let service = service.expect("a service");
        let mut loops = JoinSet::new();
        let tasks = service.clone();
        loops.spawn(async move { match tasks.run_tasks().await {} });
        loops.spawn(service.clone().work_on_operations());
        Replica { service, _loops: loops }
    }

    /// A workspace under its customer's key, with so many apps that have no data key yet.
    pub(super) async fn furnish(&self, service: &Service, apps: u32) -> Vec<AppId> {
        let target = Target::Workspace(self.workspace.clone());
        service.create_workspace(&allow::<CreateWorkspace>(target.clone()), "A customer").await.expect("a workspace");
        let request = ConfigureKey {
            key_identifier: self.key.location.to_string(),
            tenant_id: TENANT.to_owned(),
            ..ConfigureKey::default()
        };
        service.configure_key(&allow::<ConfigureAction>(target), request).await.expect("a connected key");
        crate::put_in_force(&*self.store, &self.workspace).await;
        let ids: Vec<AppId> = (0..apps).map(|n| format!("app-{n}").parse().expect("a well-formed id")).collect();
        for id in &ids {
            let permit = allow::<ChangeApps>(Target::App(self.workspace.clone(), id.clone()));
            service.upsert_app(&permit, AppKind::App, "An app").await.expect("a new app");
        }
        ids
    }

    pub(super) fn may_encrypt(&self, app: &AppId) -> Permit<Encrypt> {
        allow(Target::App(self.workspace.clone(), app.clone()))
    }

    /// Encrypts for an app; waits for its key if that has to be.
    pub(super) async fn encrypt(&self, service: &Service, app: &AppId) -> Result<Vec<u8>, service::Refusal> {
        let mut out = Vec::new();
        service.encrypt(&self.may_encrypt(app), &Context::empty(), b"a credential", &mut out).await.map(|_| out)
    }
}

/// Runs a simulation: one thread, and time that jumps to the next thing anybody waits for.
pub(super) fn simulated<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(run)
}
