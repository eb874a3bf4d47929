//! A whole service in one value: SQLite in a directory of its own, vaults in memory, clocks moved by hand.

use std::path::Path;
use std::sync::Arc;

use domain::permission::{Action, Caller, Permit, Target, permit};
use domain::{Clock, DataKeyId, WorkspaceId};
use service::{Options, Parts, SeededBug, Service};
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use store::{RecordedEvent, Store};
use tempfile::TempDir;
use vault::CustomerKeys;
use vault::memory::MemoryKeys;
use vault::platform::PlatformRoot;

use crate::{FaultyStore, HandClock, SeededEntropy, TestWorkspace};

/// A service and everything around it.
pub struct World {
    /// Both clocks.
    pub clock: Arc<HandClock>,
    /// The customers' vaults.
    pub vault: Arc<MemoryKeys>,
    /// The database, and what goes wrong with it.
    pub store: Arc<FaultyStore>,
    /// The service.
    pub service: Arc<Service>,
    platform: Arc<PlatformRoot>,
    entropy: Arc<SeededEntropy>,
    options: Options,
    dir: TempDir,
}

const DATABASE: &str = "byokd.db";

fn database(platform: &PlatformRoot, dir: &Path) -> Arc<dyn Store> {
    let database = SqliteStore::create_or_open(SqliteOptions {
        path: dir.join(DATABASE),
        row_seal: platform.row_seal(),
        root_check: platform.check_value(),
        cluster: platform.cluster_id(),
        durability: Durability::Full,
    });
    Arc::new(database.expect("a database"))
}

/// How a world differs from the usual one.
#[derive(Default)]
pub struct WorldBuilder {
    options: Options,
    bug: Option<SeededBug>,
}

impl WorldBuilder {
    /// Other limits.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// A fault put in on purpose.
    pub fn bug(mut self, bug: SeededBug) -> Self {
        self.bug = Some(bug);
        self
    }

    /// Builds it.
    ///
    /// # Panics
    /// When a directory, a platform key or a database cannot be made: there is no test without them.
    pub fn start(self) -> World {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (clock, entropy) = (HandClock::new(), SeededEntropy::new(42));
        let root = PlatformRoot::init_file(&dir.path().join("platform.key"), &*entropy);
        let platform = Arc::new(root.expect("a platform key"));
        let store = FaultyStore::new(database(&platform, dir.path()));
        let vault = MemoryKeys::new(clock.clone());
        let parts = Parts {
            store: store.clone(),
            customer_keys: vault.clone(),
            platform: platform.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            options: self.options.clone(),
        };
        let service = match self.bug {
            None => Service::start(parts),
            Some(bug) => Service::start_with_bug(parts, bug),
        };
        let service = service.expect("a service");
        World { clock, vault, store, service, platform, entropy, options: self.options, dir }
    }
}

impl World {
    /// Where the database and the platform key are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The usual one.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The usual one with a fault put in.
    pub fn with_bug(bug: SeededBug) -> Self {
        Self::builder().bug(bug).start()
    }

    /// One that differs.
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// Another service over the same database and vaults, with nothing in memory: the process after a crash, or a replica.
    /// It sees the store without its faults.
    ///
    /// # Panics
    /// When it does not start.
    pub fn another_service(&self) -> Arc<Service> {
        self.another_service_on(self.store.inner())
    }

    /// As [`World::another_service`], over this store.
    ///
    /// # Panics
    /// When it does not start.
    pub fn another_service_on(&self, store: Arc<dyn Store>) -> Arc<Service> {
        Service::start(self.parts(store)).expect("a service")
    }

    /// The parts of this world's service, over this store: for a test that changes one of them.
    pub fn parts(&self, store: Arc<dyn Store>) -> Parts {
        Parts {
            store,
            customer_keys: self.vault.clone() as Arc<dyn CustomerKeys>,
            platform: self.platform.clone(),
            clock: self.clock.clone() as Arc<dyn Clock>,
            entropy: self.entropy.clone(),
            options: self.options.clone(),
        }
    }

    /// A copy of the database as it is now, opened: what whoever restores a backup puts in place.
    ///
    /// # Panics
    /// When it cannot be copied or opened.
    pub fn copy_of_database(&self) -> Arc<dyn Store> {
        let copy = self.dir.path().join("copy");
        std::fs::create_dir(&copy).expect("one copy of a world");
        for file in self.dir.path().read_dir().expect("the directory") {
            let file = file.expect("a file");
            if file.file_name().to_string_lossy().starts_with(DATABASE) {
                std::fs::copy(file.path(), copy.join(file.file_name())).expect("a copy");
            }
        }
        database(&self.platform, &copy)
    }

    /// Where its database (`byokd.db`) and its platform root (`platform.key`) are.
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// The platform root.
    pub(crate) fn platform(&self) -> Arc<PlatformRoot> {
        self.platform.clone()
    }

    /// Creates a workspace without a customer key.
    pub async fn workspace(&self, id: &str) -> TestWorkspace {
        TestWorkspace::create(self, id).await
    }

    /// The time, by the clock on the wall.
    pub fn now(&self) -> domain::Timestamp {
        self.clock.now().wall
    }

    /// The workspace of an app.
    pub fn workspace_of(&self, app: &crate::TestApp) -> TestWorkspace {
        TestWorkspace::of(self, app.workspace.clone())
    }

    /// The audit chain of a workspace.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn audit(&self, workspace: &WorkspaceId) -> Vec<RecordedEvent> {
        self.store.inner().audit(Some(workspace), 0, 10_000).await.expect("the audit chain")
    }

    /// The real time.
    pub fn wall(&self) -> domain::Timestamp {
        self.clock.now().wall
    }

    /// The names of the events in a workspace's audit chain.
    pub async fn audit_names(&self, workspace: &WorkspaceId) -> Vec<String> {
        self.audit(workspace).await.into_iter().map(|event| event.name).collect()
    }

    /// Every data key of a workspace, in every state.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn data_keys(&self, workspace: &WorkspaceId) -> Vec<domain::DataKey> {
        self.store.inner().data_keys(workspace, None, 100_000).await.expect("the data keys")
    }

    /// The id of the data key that a ciphertext names.
    ///
    /// # Panics
    /// When it is no ciphertext.
    pub fn data_key_of(ciphertext: &[u8]) -> DataKeyId {
        DataKeyId::from_bytes(envelope::Header::parse(ciphertext).expect("a ciphertext").data_key_id)
    }
}

/// Permits `A` to the holder of the platform's token.
pub(crate) fn allow<A: Action>(target: Target) -> Permit<A> {
    allow_as("tester", target)
}

/// Permits `A` to a holder of the platform's token with this name.
pub(crate) fn allow_as<A: Action>(name: &str, target: Target) -> Permit<A> {
    permit(&Caller::platform(name), target).expect("the platform's token may do everything")
}
