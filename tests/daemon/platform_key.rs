//! The platform root goes over to another key, a lost machine comes back from its two backups, and a restored database counts only
//! once two people have said so: by the program, as an operator has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use service::{Parts, Service};
use store::Outside;
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use tempfile::TempDir;
use testkit::{TestApp, World};
use vault::platform::PlatformRoot;

const CONFIG: &str = r#"
database = "byokd.db"
state_dir = "state"
memory_lock = "preferred"

[platform_key]
file = "platform.key"

[[listen]]
unix = "byokd.sock"

[azure]
client_id = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01"
client_secret_file = "client-secret"

[[callers]]
name = "platform"
token_sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
grants = ["*"]
"#;

/// A machine's files.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        fs::create_dir(machine.at("state")).unwrap();
        machine.keep("config.toml", CONFIG.as_bytes());
        machine.keep("client-secret", b"s3cret\n");
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn keep(&self, name: &str, bytes: &[u8]) {
        fs::write(self.at(name), bytes).unwrap();
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Told {
        let output = Command::new(env!("CARGO_BIN_EXE_byokd")).args(arguments).current_dir(self.0.path()).output();
        Told(output.unwrap())
    }

    /// One of `platform-key …` or `store …` on this machine's configuration.
    fn command(&self, arguments: &[&str]) -> Told {
        self.run(&[arguments, &["--config", "config.toml"]].concat())
    }

    fn root(&self) -> PlatformRoot {
        PlatformRoot::open_file(&self.at("platform.key")).unwrap()
    }

    fn open(&self) -> SqliteStore {
        let root = self.root();
        let options = SqliteOptions {
            path: self.at("byokd.db"),
            row_seal: root.row_seal(),
            root_check: root.check_value(),
            cluster: root.cluster_id(),
            durability: Durability::Full,
        };
        let outside = Outside { head: self.at("state/head"), seal: root.head_seal(), root_checks: root.check_values() };
        SqliteStore::create_or_open_anchored(options, &outside).unwrap()
    }

    /// A service on this machine's files, with everything else of that world.
    fn service(&self, world: &World) -> Arc<Service> {
        let parts = world.parts(Arc::new(self.open()));
        Service::start(Parts { platform: Arc::new(self.root()), ..parts }).unwrap()
    }

    /// Closes the database as its last user does, who folds the log into the one file that backups keep.
    fn fold(&self) {
        drop(self.open());
        let log = fs::metadata(self.at("byokd.db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "the log is folded into the file");
    }

    /// Another machine with this one's database and root, as backups keep them.
    fn restored(&self) -> Self {
        self.fold();
        let machine = Self::new();
        for name in ["byokd.db", "platform.key"] {
            copy(&self.at(name), &machine.at(name));
        }
        machine
    }
}

struct Told(Output);

impl Told {
    fn good(self) -> String {
        assert!(self.0.status.success(), "{:?}", self.0);
        String::from_utf8(self.0.stdout).unwrap()
    }

    /// Refused by one error and one hint; answers all that was said.
    fn bad(self) -> String {
        let said = String::from_utf8(self.0.stderr).unwrap();
        assert_eq!(self.0.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("hint: ")).count(), 1, "{said}");
        String::from_utf8(self.0.stdout).unwrap() + &said
    }
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A world with data under both protections, and its files on a machine.
async fn machine_with_data() -> (Machine, World, Vec<(TestApp, Vec<u8>)>) {
    let world = World::start();
    let (acme, bell) = (world.workspace("acme").await, world.workspace("bell").await);
    acme.connect_key().await;
    let mut sealed = Vec::new();
    for app in [acme.app("bot").await, bell.app("bot").await] {
        sealed.push((app.clone(), app.encrypt(b"order 42").await.unwrap()));
    }
    let machine = Machine::new();
    for name in ["byokd.db", "byokd.db-wal", "platform.key"] {
        copy(&world.directory().join(name), &machine.at(name));
    }
    machine.command(&["store", "check"]).good();
    (machine, world, sealed)
}

async fn opens(machine: &Machine, world: &World, sealed: &[(TestApp, Vec<u8>)]) {
    let service = machine.service(world);
    for (app, ciphertext) in sealed {
        let app = app.through(&service);
        assert_eq!(app.decrypt(ciphertext).await.unwrap(), b"order 42");
        app.encrypt(b"order 43").await.unwrap();
    }
}

/// Added, promoted, everything sealed anew, removed: at each step the data opens, and the old key is refused to be removed while
/// anything is under it.
#[tokio::test]
async fn the_platform_root_goes_over_to_another_key() {
    let (machine, world, sealed) = machine_with_data().await;
    let old = machine.root();
    let (old_id, old_file) = (old.primary().to_string(), machine.read("platform.key"));
    let listed = machine.command(&["platform-key", "list"]).good();
    assert!(
        listed.contains(&old_id) && listed.contains("primary") && listed.contains("wrappings.sealed_blob"),
        "{listed}"
    );

    let added = machine.command(&["platform-key", "add"]).good();
    let new_id = added.split([' ', ':']).nth(1).unwrap().to_owned();
    assert!(added.contains("back up"), "{added}");
    assert_eq!(machine.root().primary(), old.primary());
    machine.run(&["platform-key", "promote", "--config", "config.toml", "--key", &new_id]).good();
    assert_eq!(machine.root().primary().to_string(), new_id);
    opens(&machine, &world, &sealed).await;
    let remove = ["platform-key", "remove", "--config", "config.toml", "--key"];
    let needed = machine.run(&[&remove[..], &[&old_id]].concat()).bad();
    assert!(needed.contains("still needed") && needed.contains("platform-key reseal"), "{needed}");
    assert!(machine.run(&[&remove[..], &[&new_id]].concat()).bad().contains("still needed"));

    // Nobody seals anew beside a daemon.
    let held = machine.open();
    for command in [&["platform-key", "reseal"][..], &["store", "accept"]] {
        assert!(machine.command(command).bad().contains("in use by another process"));
    }
    drop(held);
    let resealed = machine.command(&["platform-key", "reseal"]).good();
    assert!(resealed.contains("100 %") && resealed.contains(&format!("{old_id}: nothing is under it")), "{resealed}");
    assert!(machine.command(&["platform-key", "reseal"]).good().starts_with("100 %"), "nothing is left to do");
    opens(&machine, &world, &sealed).await;
    // A database that is away says nothing about what is under the key: it stays.
    let both = machine.read("platform.key");
    for name in ["byokd.db", "state/head"] {
        fs::rename(machine.at(name), machine.at(&format!("{name}.away"))).unwrap();
        let away = machine.run(&[&remove[..], &[&old_id]].concat()).bad();
        assert!(away.contains("there is no database at"), "{away}");
        let promoted = machine.run(&["platform-key", "promote", "--config", "config.toml", "--key", &new_id]);
        assert_eq!(
            promoted.0.status.success(),
            name == "state/head",
            "its head says that there is one: {:?}",
            promoted.0
        );
        assert_eq!(machine.root().keys().len(), 2);
    }
    for name in ["byokd.db", "state/head"] {
        fs::rename(machine.at(&format!("{name}.away")), machine.at(name)).unwrap();
    }
    machine.keep("platform.key", &both);
    let gone = machine.run(&[&remove[..], &[&old_id]].concat()).good();
    assert!(gone.contains("backups of the database") && gone.contains("drawn"), "{gone}");
    machine.command(&["store", "check"]).good();
    opens(&machine, &world, &sealed).await;
    assert!(machine.run(&[&remove[..], &[&old_id]].concat()).bad().contains("has no key"));
    // The key that is gone opens nothing any more.
    machine.keep("platform.key", &old_file);
    assert!(machine.command(&["store", "check"]).bad().contains("another platform key"));
}

/// The machine is lost. A copy of the database and a copy of the platform key, kept apart, are a service again; the head is not
/// among them, so that two people say that this database counts.
#[tokio::test]
async fn a_lost_machine_comes_back_from_two_copies() {
    let (machine, world, sealed) = machine_with_data().await;
    let restored = machine.restored();
    drop(machine);
    let missing = restored.command(&["serve"]).bad();
    assert!(missing.contains("head") && missing.contains("is not there"), "{missing}");
    let looked = restored.command(&["store", "accept"]).bad();
    assert!(
        looked.contains("nothing was accepted") && looked.contains("head") && looked.contains("--approved-by"),
        "{looked}"
    );
    restored.run(&accepting(&revision(&looked), &["ann", "bob"])).good();
    opens(&restored, &world, &sealed).await;
    restored.command(&["store", "check"]).good();
}

/// The revision that a look at a database says to type.
fn revision(looked: &str) -> String {
    looked.split("--revision ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

fn accepting<'a>(revision: &'a str, by: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["store", "accept", "--config", "config.toml", "--revision", revision];
    by.iter().for_each(|name| arguments.extend(["--approved-by", name]));
    arguments
}

/// I-6: an older database is refused by `serve` and changed by nothing; it is told what would be missing, and it takes the revision
/// and two names to accept it.
#[tokio::test]
async fn a_restored_database_takes_two_people() {
    let (machine, world, sealed) = machine_with_data().await;
    machine.fold();
    let backup = machine.read("byokd.db");
    opens(&machine, &world, &sealed).await;
    let in_order = machine.command(&["store", "accept"]).bad();
    assert!(in_order.contains("nothing to accept"), "{in_order}");
    let service = machine.service(&world);
    let ours = world.workspace_of(&sealed[1].0).app("crm").await.through(&service);
    drop(ours);
    service.flush_ledger().await.unwrap();
    drop(service);
    let store = machine.open();
    store::Store::record(&store, store::conformance::sample::event(None, 1)).await.unwrap();
    drop(store);
    machine.keep("byokd.db", &backup);
    for stale in ["byokd.db-wal", "byokd.db-shm"] {
        let _ = fs::remove_file(machine.at(stale));
    }
    let refused = machine.command(&["serve"]).bad();
    assert!(refused.contains("an older copy") && refused.contains("byokd store accept"), "{refused}");
    assert!(machine.command(&["store", "check"]).bad().contains("an older copy"));
    assert_eq!(machine.read("byokd.db"), backup, "nothing was changed");
    let looked = machine.command(&["store", "accept"]).bad();
    assert!(looked.contains("commits that were acknowledged") && looked.contains("its newest event"), "{looked}");
    let revision = revision(&looked);
    assert!(machine.run(&accepting("1", &["ann", "bob"])).bad().contains("not 1"));
    assert!(machine.run(&accepting(&revision, &["ann"])).bad().contains("1 names where two belong"));
    assert!(machine.run(&accepting(&revision, &["ann", "ANN"])).bad().contains("one person cannot approve twice"));
    assert!(machine.run(&accepting(&revision, &["ann", "b ob"])).bad().contains("not both names"));
    assert!(machine.command(&["serve"]).bad().contains("an older copy"), "none of these accepted it");
    let accepted = machine.run(&accepting(&revision, &["ann", "bob"])).good();
    assert!(accepted.contains("epoch 2"), "{accepted}");
    opens(&machine, &world, &sealed).await;
    machine.command(&["store", "check"]).good();
}
