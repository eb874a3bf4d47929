//! The store against a model of it: maps, and the rules said once more in a few lines.

mod fixture;

use std::collections::BTreeMap;

use domain::{App, AppId, DataKey, DataKeyState, KeyConfig, KeyVersion, Protection, Workspace, WorkspaceId};
use proptest::prelude::*;
use store::conformance::Database as _;
use store::conformance::sample::{
    app, app_id, at, customer_key, data_key_id, event, key_config, key_version, platform_key, workspace, workspace_id,
};
use store::{Activation, Conflict, Store, StoreError, Transaction};

use self::fixture::SqliteFile;

/// Something done inside a transaction.
#[derive(Debug, Clone)]
enum Put {
    Workspace { of: usize, name: u8, delete: bool },
    App { of: usize, app: usize, name: u8, delete: bool },
    Version { of: usize, n: u8, substituted: bool },
    Config { of: usize, n: u8, epoch: u64 },
    Audit { of: Option<usize> },
}

/// Something done to the store.
#[derive(Debug, Clone)]
enum Act {
    Transaction { puts: Vec<Put>, commit: bool },
    Insert { of: usize, app: usize, n: u64, customer: bool, epoch: u64 },
    Activate { of: usize, app: usize, n: u64 },
    Record { of: Option<usize> },
    Reopen,
}

const WORKSPACES: [&str; 2] = ["acme", "bell"];
const APPS: [&str; 2] = ["bot", "crm"];

fn put() -> impl Strategy<Value = Put> {
    let of = 0..WORKSPACES.len();
    prop_oneof![
        4 => (of.clone(), 0..3_u8, prop::bool::weighted(0.05))
            .prop_map(|(of, name, delete)| Put::Workspace { of, name, delete }),
        4 => (of.clone(), 0..APPS.len(), 0..3_u8, prop::bool::weighted(0.1))
            .prop_map(|(of, app, name, delete)| Put::App { of, app, name, delete }),
        2 => (of.clone(), 1..4_u8, prop::bool::weighted(0.2))
            .prop_map(|(of, n, substituted)| Put::Version { of, n, substituted }),
        2 => (of.clone(), 1..4_u8, 0..4_u64).prop_map(|(of, n, epoch)| Put::Config { of, n, epoch }),
        1 => prop::option::of(of).prop_map(|of| Put::Audit { of }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let of = 0..WORKSPACES.len();
    prop_oneof![
        4 => (prop::collection::vec(put(), 1..6), prop::bool::weighted(0.8))
            .prop_map(|(puts, commit)| Act::Transaction { puts, commit }),
        4 => (of.clone(), 0..APPS.len(), 0..6_u64, any::<bool>(), 0..4_u64)
            .prop_map(|(of, app, n, customer, epoch)| Act::Insert { of, app, n, customer, epoch }),
        4 => (of.clone(), 0..APPS.len(), 0..6_u64).prop_map(|(of, app, n)| Act::Activate { of, app, n }),
        1 => prop::option::of(of).prop_map(|of| Act::Record { of }),
        1 => Just(Act::Reopen),
    ]
}

/// What the store should hold.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    apps: BTreeMap<(WorkspaceId, AppId), App>,
    versions: BTreeMap<(WorkspaceId, u8), KeyVersion>,
    configs: BTreeMap<WorkspaceId, KeyConfig>,
    data_keys: BTreeMap<(WorkspaceId, u64), DataKey>,
    events: BTreeMap<Option<WorkspaceId>, u64>,
}

impl Model {
    fn live(&self, of: usize) -> Result<WorkspaceId, Conflict> {
        let id = workspace_id(WORKSPACES[of]);
        let live = self.workspaces.get(&id).is_some_and(|found| found.deleted_at.is_none());
        if live { Ok(id) } else { Err(Conflict::NoWorkspace) }
    }

    fn live_app(&self, of: usize, app: usize) -> Result<(WorkspaceId, AppId), Conflict> {
        let key = (self.live(of).map_err(|_| Conflict::NoApp)?, app_id(APPS[app]));
        let live = self.apps.get(&key).is_some_and(|found| found.deleted_at.is_none());
        if live { Ok(key) } else { Err(Conflict::NoApp) }
    }

    fn put(&mut self, put: &Put) -> Result<(), Conflict> {
        match *put {
            Put::Workspace { of, name, delete } => {
                let row = named_workspace(of, name, delete);
                if self.workspaces.get(&row.id).is_some_and(|found| found.deleted_at.is_some()) {
                    return Err(Conflict::Tombstone);
                }
                self.workspaces.insert(row.id.clone(), row);
            }
            Put::App { of, app, name, delete } => {
                let row = named_app(of, app, name, delete);
                let key = (self.live(of)?, row.id.clone());
                if self.apps.get(&key).is_some_and(|found| found.deleted_at.is_some()) {
                    return Err(Conflict::Tombstone);
                }
                self.apps.insert(key, row);
            }
            Put::Version { of, n, substituted } => {
                let row = version(of, n, substituted);
                match self.versions.get(&(self.live(of)?, n)) {
                    Some(known) if known.modulus == row.modulus => {}
                    Some(_) => return Err(Conflict::KeySubstituted),
                    None => drop(self.versions.insert((row.workspace.clone(), n), row)),
                }
            }
            Put::Config { of, n, epoch } => {
                let id = self.live(of)?;
                if !self.versions.contains_key(&(id.clone(), n)) {
                    return Err(Conflict::NoKeyVersion);
                }
                let row = config(of, n, epoch);
                if let Some(known) = self.configs.get(&id) {
                    let step = u64::from(known.current_version != row.current_version);
                    if epoch != known.wrap_epoch + step {
                        return Err(Conflict::WrapEpoch { present: Some(known.wrap_epoch) });
                    }
                }
                self.configs.insert(id, row);
            }
            Put::Audit { of } => return self.record(of),
        }
        Ok(())
    }

    fn record(&mut self, of: Option<usize>) -> Result<(), Conflict> {
        let id = of.map(|of| workspace_id(WORKSPACES[of]));
        if id.as_ref().is_some_and(|id| !self.workspaces.contains_key(id)) {
            return Err(Conflict::NoWorkspace);
        }
        *self.events.entry(id).or_default() += 1;
        Ok(())
    }

    fn insert(&mut self, of: usize, app: usize, row: &DataKey, n: u64) -> Result<(), Conflict> {
        let (id, _) = self.live_app(of, app)?;
        if row.protection == Protection::CustomerKey {
            let config = self.configs.get(&id).ok_or(Conflict::WrapEpoch { present: None })?;
            // The sample's wrapping is always by the first version.
            if config.wrap_epoch != row.wrap_epoch || config.current_version != key_version(WORKSPACES[of], 1).id {
                return Err(Conflict::WrapEpoch { present: Some(config.wrap_epoch) });
            }
        }
        if self.data_keys.contains_key(&(id.clone(), n)) {
            return Err(Conflict::Exists);
        }
        self.data_keys.insert((id, n), row.clone());
        Ok(())
    }

    fn activate(&mut self, of: usize, app: usize, n: u64) -> Result<Activation, Conflict> {
        let (id, app) = self.live_app(of, app)?;
        let found = self.data_keys.get(&(id.clone(), n)).filter(|found| found.app == app).ok_or(Conflict::NoDataKey)?;
        let (state, protection) = (found.state, found.protection);
        let winner = self
            .data_keys
            .range((id.clone(), 0)..=(id.clone(), u64::MAX))
            .map(|(_, key)| key)
            .find(|key| key.app == app && key.protection == protection && key.state == DataKeyState::Active);
        let winner = winner.map(|key| key.id);
        let found = self.data_keys.get_mut(&(id, n)).expect("found before");
        match (state, winner) {
            (DataKeyState::Active, _) => Ok(Activation::Won),
            (_, None) => {
                (found.state, found.activated_at) = (DataKeyState::Active, Some(at(5)));
                Ok(Activation::Won)
            }
            (_, Some(winner)) => {
                found.state = DataKeyState::Abandoned;
                Ok(Activation::Lost { winner })
            }
        }
    }
}

fn named_workspace(of: usize, name: u8, delete: bool) -> Workspace {
    Workspace { display_name: format!("name {name}"), deleted_at: delete.then(|| at(9)), ..workspace(WORKSPACES[of]) }
}

fn named_app(of: usize, id: usize, name: u8, delete: bool) -> App {
    App { display_name: format!("name {name}"), deleted_at: delete.then(|| at(9)), ..app(WORKSPACES[of], APPS[id]) }
}

fn version(of: usize, n: u8, substituted: bool) -> KeyVersion {
    let mut version = key_version(WORKSPACES[of], n);
    version.modulus[9] ^= u8::from(substituted);
    version
}

fn config(of: usize, n: u8, epoch: u64) -> KeyConfig {
    KeyConfig { wrap_epoch: epoch, ..key_config(WORKSPACES[of], n) }
}

async fn do_put(tx: &mut dyn Transaction, put: &Put) -> Result<(), StoreError> {
    match *put {
        Put::Workspace { of, name, delete } => tx.put_workspace(&named_workspace(of, name, delete)).await,
        Put::App { of, app, name, delete } => tx.put_app(&named_app(of, app, name, delete)).await,
        Put::Version { of, n, substituted } => tx.add_key_version(&version(of, n, substituted)).await,
        Put::Config { of, n, epoch } => tx.put_key_config(&config(of, n, epoch)).await,
        Put::Audit { of } => tx.append_audit(event(of.map(|of| WORKSPACES[of]), 1)).await,
    }
}

/// Everything the store holds, through its own reads.
async fn read_all(store: &dyn Store) -> Model {
    let mut read = Model::default();
    for name in WORKSPACES {
        let id = workspace_id(name);
        read.workspaces.extend(store.workspace(&id).await.unwrap().map(|row| (id.clone(), row)));
        for app in APPS {
            let app = app_id(app);
            read.apps.extend(store.app(&id, &app).await.unwrap().map(|row| ((id.clone(), app), row)));
        }
        let versions = store.key_versions(&id).await.unwrap().into_iter();
        read.versions.extend(versions.map(|row| ((id.clone(), row.id.as_bytes()[0]), row)));
        read.configs.extend(store.key_config(&id).await.unwrap().map(|row| (id.clone(), row)));
        for row in store.data_keys(&id, None, 100).await.unwrap() {
            assert!(store.wrapping(&id, row.id).await.unwrap().is_some());
            let n = (0..6).find(|n| data_key_id(*n) == row.id).unwrap();
            read.data_keys.insert((id.clone(), n), row);
        }
    }
    for id in [None, Some(workspace_id("acme")), Some(workspace_id("bell"))] {
        let events = store.audit(id.as_ref(), 0, 1_000).await.unwrap().len() as u64;
        read.events.extend((events > 0).then_some((id, events)));
    }
    read
}

async fn run(acts: Vec<Act>) {
    let file = SqliteFile::new();
    let mut store = file.open().await;
    let mut model = Model::default();
    let mut revision = 0;
    for act in acts {
        match act {
            Act::Transaction { puts, commit } => {
                let mut tx = store.begin("model").await.unwrap();
                let mut after = model.clone();
                for put in &puts {
                    let (does, should) = (do_put(&mut *tx, put).await, after.put(put));
                    assert_eq!(does, should.map_err(StoreError::from), "{put:?}");
                }
                if commit {
                    tx.commit().await.unwrap();
                    model = after;
                }
            }
            Act::Insert { of, app, n, customer, epoch } => {
                let make = if customer { customer_key } else { platform_key };
                let (mut row, wrapping) = make(WORKSPACES[of], APPS[app], n);
                row.wrap_epoch = epoch;
                let does = store.insert_data_key(row.clone(), wrapping).await.map(drop);
                assert_eq!(does, model.insert(of, app, &row, n).map_err(StoreError::from));
            }
            Act::Activate { of, app, n } => {
                let (id, name) = (workspace_id(WORKSPACES[of]), app_id(APPS[app]));
                let does = store.activate_data_key(&id, &name, data_key_id(n), at(5)).await;
                assert_eq!(does, model.activate(of, app, n).map_err(StoreError::from));
            }
            Act::Record { of } => {
                let does = store.record(event(of.map(|of| WORKSPACES[of]), 1)).await;
                assert_eq!(does, model.record(of).map_err(StoreError::from));
            }
            Act::Reopen => {
                drop(store);
                store = file.open().await;
            }
        }
        let now = store.revision().await.unwrap();
        assert!(now >= revision, "the revision fell from {revision} to {now}");
        revision = now;
    }
    assert_eq!(read_all(&*store).await, model);
    let rows = model.workspaces.len()
        + model.apps.len()
        + model.versions.len()
        + model.configs.len()
        + 2 * model.data_keys.len();
    let verified = store.verify().await.unwrap();
    assert_eq!((verified.rows, verified.events), (rows as u64, model.events.values().sum()));
}

/// Acts that make the interesting states likely: both workspaces furnished first.
fn furnished(mut acts: Vec<Act>) -> Vec<Act> {
    let puts = |of| {
        vec![
            Put::Workspace { of, name: 0, delete: false },
            Put::App { of, app: 0, name: 0, delete: false },
            Put::App { of, app: 1, name: 0, delete: false },
            Put::Version { of, n: 1, substituted: false },
            Put::Config { of, n: 1, epoch: 1 },
        ]
    };
    acts.insert(0, Act::Transaction { puts: puts(0), commit: true });
    acts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order, the store answers as the rules say and holds what they leave.
    #[test]
    fn the_store_does_what_the_model_says(acts in prop::collection::vec(act(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(furnished(acts)));
    }
}
