//! An older copy of a database in its own place is noticed: by the head outside of it, before anything is changed.

mod fixture;

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::credential::{Credential, Integration};
use domain::row_seal::{RowMac, RowSeal};
use domain::{DataKey, PlatformKeyId, WorkspaceId, Wrapping, WrappingKey};
use store::conformance::TestSeal;
use store::conformance::integrations::registration_of;
use store::conformance::sample::{
    app_id, at, customer_key, data_key_id, event, furnish, platform_key, usage, workspace, workspace_id,
};
use store::sqlite::{
    AcceptRefused, Acceptance, MoveSealed, NotMoved, Offline, OpenRefused, SqliteOptions, SqliteStore,
};
use store::{Head, HeadRefused, Outage, Outside, Store, StoreError};

use self::fixture::{ROOT_CHECK, SqliteFile};

/// A database and the directory of its head.
struct Place {
    file: SqliteFile,
    state: tempfile::TempDir,
}

/// Both as they were at some moment.
#[derive(Clone)]
struct Copy {
    database: Vec<u8>,
    head: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        Self { file: SqliteFile::new(), state: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    fn head(&self) -> PathBuf {
        self.state.path().join("head")
    }

    fn outside(&self) -> Outside {
        Outside { head: self.head(), seal: Arc::new(TestSeal::number(9)), root_checks: vec![ROOT_CHECK] }
    }

    fn try_open(&self) -> Result<SqliteStore, OpenRefused> {
        SqliteStore::create_or_open_anchored(self.file.options(), &self.outside())
    }

    fn open(&self) -> SqliteStore {
        self.try_open().unwrap()
    }

    /// Everything is in the one file once it is closed.
    fn copy(&self) -> Copy {
        Copy { database: fs::read(self.file.path()).unwrap(), head: fs::read(self.head()).unwrap() }
    }

    fn put(&self, database: &[u8], head: &[u8]) {
        for left in ["-wal", "-shm"] {
            let _ = fs::remove_file(self.file.dir().join(format!("byokd.db{left}")));
        }
        for (path, bytes) in [(self.file.path(), database), (self.head(), head)] {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file.path()).unwrap()
    }
}

fn refusal(place: &Place) -> OpenRefused {
    place.try_open().map(drop).unwrap_err()
}

async fn furnished(place: &Place) -> SqliteStore {
    let store = place.open();
    furnish(&store, &["acme"], &["bot"]).await;
    store
}

/// One write of each kind that somebody is answered to.
async fn write(store: &SqliteStore, kind: usize) {
    let (key, wrapping) = customer_key("acme", "bot", 1);
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    match kind {
        0 => {
            store.insert_data_key(key, wrapping).await.unwrap();
        }
        1 => {
            store.activate_data_key(&acme, &bot, key.id, at(5)).await.unwrap();
        }
        2 => store.record(event(Some("acme"), 1)).await.unwrap(),
        3 => assert_eq!(store.add_usage(vec![usage("acme", "bot", 1, 5)]).await, Ok([].into())),
        4 => {
            let mut tx = store.begin("a workspace").await.unwrap();
            tx.put_workspace(&workspace("bell")).await.unwrap();
            tx.commit().await.unwrap();
        }
        _ => store.retire_data_key(&acme, &bot, key.id, at(6)).await.unwrap(),
    }
}
const KINDS: usize = 6;

/// I-1, I-6: whatever was acknowledged last, a data key's birth as well as an admin's change, a copy from before it is refused,
/// and both files stay as they are. Seeded bug: with the head of then put back as well, the same copy opens; so it is the head, and
/// nothing else, that the refusals rest on.
#[tokio::test]
async fn a_copy_from_before_anything_acknowledged_is_refused() {
    let place = Place::new();
    drop(furnished(&place).await);
    for kind in 0..KINDS {
        let before = place.copy();
        let store = place.open();
        write(&store, kind).await;
        drop(store);
        let after = place.copy();
        place.put(&before.database, &after.head);
        let refused = refusal(&place);
        assert!(matches!(refused, OpenRefused::RolledBack { other_history: false, .. }), "{kind}: {refused}");
        assert!(refused.to_string().contains("older copy") && refused.remedy().contains("byokd store accept"));
        assert!(place.copy().database == before.database && place.copy().head == after.head, "nothing was changed");

        place.put(&before.database, &before.head);
        drop(place.open());
        place.put(&after.database, &after.head);
        place.open().verify().await.unwrap();
    }
}

/// The process may end between any two steps of: commit, head, the next commit, its head. Of all pairs of a database and a head
/// from four moments, those that such an end leaves go on, and all others are refused, whichever slot of the head is torn.
#[tokio::test]
async fn every_end_between_two_steps_goes_on_and_nothing_else_does() {
    let place = Place::new();
    drop(furnished(&place).await);
    let mut moments = vec![place.copy()];
    for n in 0..3 {
        let store = place.open();
        let (key, wrapping) = platform_key("acme", "bot", n);
        store.insert_data_key(key, wrapping).await.unwrap();
        drop(store);
        moments.push(place.copy());
    }
    let mut went_on = 0;
    for (d, database) in moments.iter().enumerate() {
        for (h, head) in moments.iter().enumerate() {
            for torn in [None, Some(0), Some(4_096)] {
                let mut bytes = head.head.clone();
                if let Some(slot) = torn {
                    bytes[slot + 40] ^= 1;
                }
                place.put(&database.database, &bytes);
                let opened = place.try_open();
                // What the head says that is left: its newer slot is the second after an odd number of writes.
                let newest_torn = torn.is_some_and(|slot| newest_slot(&head.head) == slot);
                let says = if newest_torn { h.checked_sub(1) } else { Some(h) };
                let expected = match says {
                    Some(says) if says == d => torn.is_none(),
                    Some(says) => says + 1 == d,
                    // Before the first of these moments.
                    None => d == 0,
                };
                assert_eq!(opened.is_ok(), expected, "database {d}, head {h}, torn {torn:?}: {:?}", opened.err());
                if let Ok(store) = opened {
                    went_on += 1;
                    let keys = store.data_keys(&workspace_id("acme"), None, 10).await.unwrap();
                    assert_eq!(keys.len(), d);
                    store.verify().await.unwrap();
                    drop(store);
                    drop(place.open());
                }
            }
        }
    }
    assert!(went_on >= 8, "{went_on}");
}

fn newest_slot(head: &[u8]) -> usize {
    let place = |slot: usize| head[slot + 32..slot + 48].to_vec();
    if place(4_096) > place(0) { 4_096 } else { 0 }
}

/// I-6: a copy that was written to elsewhere is another history, even when it is not older.
#[tokio::test]
async fn a_copy_that_went_its_own_way_is_refused() {
    let place = Place::new();
    drop(furnished(&place).await);
    let fork = place.copy();
    let store = place.open();
    write(&store, 2).await;
    drop(store);
    let ours = place.copy();
    for more in 1..4 {
        place.put(&fork.database, &fork.head);
        let store = place.open();
        for n in 0..more {
            let (key, wrapping) = platform_key("acme", "bot", n);
            store.insert_data_key(key, wrapping).await.unwrap();
        }
        drop(store);
        let elsewhere = place.copy();
        place.put(&elsewhere.database, &ours.head);
        let refused = refusal(&place);
        assert!(matches!(refused, OpenRefused::RolledBack { other_history: true, .. }), "{more}: {refused}");
    }
}

/// A head that is not there, cut, altered, of another installation or under another key is refused by its own name, and never
/// made anew for a database that has had one.
#[tokio::test]
async fn a_head_that_cannot_be_taken_is_refused() {
    let place = Place::new();
    drop(furnished(&place).await);
    let good = place.copy();
    fs::remove_file(place.head()).unwrap();
    assert!(matches!(refusal(&place), OpenRefused::Head(HeadRefused::Missing { .. })));
    assert!(!place.head().exists());
    for at in (0..128).chain([200, 4_095]) {
        // The older slot, and both: one alone that was being written is what a power loss leaves.
        let older = 4_096 - newest_slot(&good.head);
        for slots in [vec![older], vec![0, 4_096]] {
            let mut bytes = good.head.clone();
            slots.iter().for_each(|slot| bytes[slot + at] ^= 1);
            place.put(&good.database, &bytes);
            let refused = refusal(&place);
            let expected =
                matches!(refused, OpenRefused::Head(HeadRefused::Damaged { .. } | HeadRefused::Foreign { .. }));
            assert!(expected, "byte {at} of {slots:?}: {refused}");
        }
    }
    for cut in [0, 1, 4_096, 8_191] {
        place.put(&good.database, &good.head[..cut]);
        assert!(matches!(refusal(&place), OpenRefused::Head(HeadRefused::Damaged { .. })));
    }
    place.put(&good.database, &good.head);
    fs::set_permissions(place.head(), fs::Permissions::from_mode(0o622)).unwrap();
    assert!(matches!(refusal(&place), OpenRefused::Head(HeadRefused::NotOurs { .. })));
    let other = Place::new();
    let foreign = Outside { seal: Arc::new(TestSeal::number(8)), ..other.outside() };
    drop(SqliteStore::create_or_open_anchored(other.file.options(), &foreign).unwrap());
    place.put(&good.database, &other.copy().head);
    assert!(matches!(refusal(&place), OpenRefused::Head(HeadRefused::Damaged { .. })));
    let options = SqliteOptions { cluster: [7; 16], ..other.file.options() };
    for gone in [other.file.path(), other.head()] {
        fs::remove_file(gone).unwrap();
    }
    drop(SqliteStore::create_or_open_anchored(options, &other.outside()).unwrap());
    place.put(&good.database, &other.copy().head);
    assert!(matches!(refusal(&place), OpenRefused::Head(HeadRefused::Foreign { .. })));
    // A database that has a head is not opened without, and a head without its database is no new beginning.
    place.put(&good.database, &good.head);
    let without = SqliteStore::open(place.file.options()).map(drop).unwrap_err();
    assert!(matches!(without, OpenRefused::HeadNeeded { .. }), "{without}");
    fs::remove_file(place.file.path()).unwrap();
    assert!(matches!(refusal(&place), OpenRefused::HeadAlone { .. }));
    assert!(!place.file.path().exists());
}

/// A database of before there were heads gets one when it is first opened, and is held against it from then on.
#[tokio::test]
async fn a_database_without_a_head_gets_one_once() {
    let place = Place::new();
    let store = place.file.try_open().unwrap();
    furnish(&store, &["acme"], &["bot"]).await;
    drop(store);
    drop(place.open());
    place.open().verify().await.unwrap();
    fs::remove_file(place.head()).unwrap();
    assert!(matches!(refusal(&place), OpenRefused::Head(HeadRefused::Missing { .. })));
}

/// While the head cannot follow, nobody is told that anything was written; when it can again, writing goes on by itself.
#[tokio::test]
async fn nothing_is_acknowledged_that_the_head_does_not_cover() {
    let place = Place::new();
    let store = furnished(&place).await;
    let acme = workspace_id("acme");
    let before = store.audit(Some(&acme), 0, 10).await.unwrap().len();
    let aside = place.state.path().join("aside");
    fs::rename(place.head(), &aside).unwrap();
    fs::copy(&aside, place.head()).unwrap();
    assert_eq!(store.record(event(Some("acme"), 1)).await, Err(StoreError::OutcomeUnknown));
    for _ in 0..3 {
        let refused = store.record(event(Some("acme"), 2)).await;
        assert_eq!(refused, Err(StoreError::Unavailable(Outage::Head)));
    }
    let events = store.audit(Some(&acme), 0, 10).await.unwrap();
    assert_eq!(events.len(), before + 1, "the first is there after all");
    fs::rename(&aside, place.head()).unwrap();
    store.record(event(Some("acme"), 3)).await.unwrap();
    drop(store);
    place.open().verify().await.unwrap();
}

/// I-6: put in the place of the one in use, an older state stops reading and writing at once and for good.
#[tokio::test]
async fn an_older_state_under_a_running_store_stops_it() {
    let place = Place::new();
    let store = furnished(&place).await;
    let raw = place.file.raw();
    raw.execute_batch("CREATE TABLE m AS SELECT * FROM meta; CREATE TABLE s AS SELECT * FROM sets").unwrap();
    store.record(event(Some("acme"), 1)).await.unwrap();
    let revision = store.revision().await.unwrap();
    raw.execute_batch(
        "DELETE FROM audit; DELETE FROM meta; DELETE FROM sets;
         INSERT INTO meta SELECT * FROM m; INSERT INTO sets SELECT * FROM s",
    )
    .unwrap();
    let refused = Err(StoreError::RolledBack);
    assert_eq!(store.revision().await, refused.clone().map(|()| 0));
    assert_eq!(store.record(event(Some("acme"), 2)).await, refused);
    assert_eq!(store.workspace(&workspace_id("acme")).await, refused.clone().map(|()| None));
    assert_eq!(store.changed_since(revision).await.map(drop), refused);
    assert_eq!(StoreError::RolledBack.reason(), domain::Reason::DatabaseRolledBack);
    drop(store);
    assert!(matches!(refusal(&place), OpenRefused::RolledBack { .. }));
    // A writer that nobody read before notices as well.
    let place = Place::new();
    let store = furnished(&place).await;
    place.file.raw().execute_batch("UPDATE meta SET revision = revision - 1").unwrap();
    assert!(store.record(event(Some("acme"), 1)).await.is_err());
}

fn names() -> [String; 2] {
    ["ann".to_owned(), "bob".to_owned()]
}

fn accept(place: &Place) -> Result<Head, AcceptRefused> {
    Acceptance::look(&place.file.options(), &place.outside())?.accept(names(), at(9))
}

/// A restored backup counts once two people have said so: in a higher epoch, with all of its rows, and nothing of what came after
/// it ever counts again.
#[tokio::test]
async fn an_older_copy_is_accepted_in_a_higher_epoch() {
    let place = Place::new();
    let store = furnished(&place).await;
    write(&store, 0).await;
    drop(store);
    assert!(matches!(accept(&place), Err(AcceptRefused::InOrder(_))));
    let backup = place.copy();
    let store = place.open();
    write(&store, 1).await;
    write(&store, 2).await;
    drop(store);
    let lost = place.copy();
    place.put(&backup.database, &lost.head);
    let found = Acceptance::look(&place.file.options(), &place.outside()).unwrap();
    let before = found.head.clone().unwrap();
    assert_eq!(before.revision - found.database.revision, 2);
    drop(found);
    assert!(matches!(refusal(&place), OpenRefused::RolledBack { .. }), "looking changes nothing");

    let head = accept(&place).unwrap();
    assert!(head.epoch == 2 && head.revision > before.revision, "{head}");
    let accepted = place.copy();
    assert!(matches!(accept(&place), Err(AcceptRefused::InOrder(_))));
    let store = place.open();
    assert_eq!(store.epoch(), 2);
    store.verify().await.unwrap();
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    let (key, wrapping) = customer_key("acme", "bot", 1);
    assert_eq!(store.data_key(&acme, &bot, key.id).await.unwrap(), Some(key));
    assert_eq!(store.wrapping(&acme, data_key_id(1)).await.unwrap(), Some(wrapping));
    let events = store.audit(None, 0, 10).await.unwrap();
    let told = events.iter().find(|event| event.name == "database.accepted").unwrap();
    assert!(
        told.details.iter().filter(|(name, _)| name == "approved_by").map(|(_, who)| who.as_str()).eq(["ann", "bob"])
    );
    write(&store, 2).await;
    drop(store);

    // Ended between the commit and its head: the next start goes on.
    place.put(&accepted.database, &lost.head);
    place.open().verify().await.unwrap();
    // What was lost, found again, is another history now; and no row of it counts.
    place.put(&lost.database, &accepted.head);
    assert!(matches!(refusal(&place), OpenRefused::RolledBack { .. }));
    place.put(&accepted.database, &accepted.head);
    fs::write(place.state.path().join("lost.db"), &lost.database).unwrap();
    let raw = place.file.raw();
    raw.execute("ATTACH ?1 AS lost", [place.state.path().join("lost.db").to_str().unwrap()]).unwrap();
    raw.execute_batch("DELETE FROM data_keys; INSERT INTO data_keys SELECT * FROM lost.data_keys").unwrap();
    drop(raw);
    let planted = place.open().data_key(&acme, &bot, data_key_id(1)).await;
    assert_eq!(planted, Err(StoreError::RowForged { table: "data_keys" }));
    // Nor is a database accepted that is not in order in itself.
    fs::remove_file(place.head()).unwrap();
    assert!(matches!(accept(&place), Err(AcceptRefused::NotItself(_))));
}

/// A lost head is accepted in the same way, in an epoch that no history before can have had: what was accepted and lost with the
/// head is another history for ever.
#[tokio::test]
async fn a_lost_head_is_accepted_by_two_people() {
    let place = Place::new();
    drop(furnished(&place).await);
    let backup = place.copy();
    let mut epochs = Vec::new();
    for second in 0..3 {
        // Each time from the same backup, whose own epoch is the first.
        place.put(&backup.database, &backup.head);
        fs::remove_file(place.head()).unwrap();
        let found = Acceptance::look(&place.file.options(), &place.outside()).unwrap();
        assert!(found.head.is_err() && found.database.epoch == 1);
        found.accept(names(), at(second * 1_000_000)).unwrap();
        let store = place.open();
        epochs.push(store.epoch());
        store.verify().await.unwrap();
    }
    assert_eq!(epochs, [1_800_000_000, 1_800_000_001, 1_800_000_002]);
    // A clock that stands does not repeat the epoch of the history that is there.
    fs::remove_file(place.head()).unwrap();
    assert_eq!(accept(&place).unwrap().epoch, 1_800_000_003);
}

/// Two copies of one database never have the same head: the second that is opened is refused, as long as the first one is open.
#[tokio::test]
async fn a_head_is_one_process_own() {
    let place = Place::new();
    drop(furnished(&place).await);
    let store = place.open();
    let other = SqliteFile::new();
    place.raw().execute("VACUUM INTO ?1", [other.path().to_str().unwrap()]).unwrap();
    fs::set_permissions(other.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let copy = || SqliteStore::create_or_open_anchored(other.options(), &place.outside()).map(drop);
    let refused = copy().unwrap_err();
    assert!(matches!(refused, OpenRefused::HeadLocked { pid: Some(_), .. }), "{refused}");
    assert!(refused.to_string().contains("in use by another process") && refused.remedy().contains("state_dir"));
    let looked = Acceptance::look(&other.options(), &place.outside()).map(drop).unwrap_err();
    assert!(matches!(looked, AcceptRefused::Open(OpenRefused::HeadLocked { .. })), "{looked}");
    store.record(event(Some("acme"), 1)).await.unwrap();
    drop(store);
    assert!(matches!(copy().unwrap_err(), OpenRefused::RolledBack { .. }));
}

/// Two keys of a platform root: the second makes codes, both check them.
struct TwoKeys(TestSeal, TestSeal);

impl RowSeal for TwoKeys {
    fn seal(&self, row: &[u8]) -> RowMac {
        self.1.seal(row)
    }
    fn verify(&self, row: &[u8], mac: &RowMac) -> bool {
        self.0.verify(row, mac) || self.1.verify(row, mac)
    }
}

/// The ids of both.
const OLD: PlatformKeyId = PlatformKeyId::from_bytes([0xa1; 16]);
const NEW: PlatformKeyId = PlatformKeyId::from_bytes([0xa2; 16]);
/// The check value of the second.
const NEW_CHECK: [u8; 16] = [0x42; 16];

/// Seals by naming a key, and fails after so many.
struct Naming(std::cell::Cell<u64>);

impl Naming {
    fn renamed(&self, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let left = self.0.get().checked_sub(1).ok_or("interrupted")?;
        self.0.set(left);
        Ok(sealed_under(NEW, &sealed[17..].iter().map(|byte| byte ^ 0xff).collect::<Vec<_>>()))
    }
}

impl MoveSealed for Naming {
    fn move_wrapping(&self, _: &DataKey, wrapping: &Wrapping) -> Result<Wrapping, String> {
        let mut moved = Wrapping { sealed_blob: self.renamed(&wrapping.sealed_blob)?, ..wrapping.clone() };
        if let WrappingKey::Platform(_) = moved.wrapped_by {
            moved.wrapped_by = WrappingKey::Platform(NEW);
        }
        Ok(moved)
    }

    fn move_credential(&self, _: &WorkspaceId, credential: &Credential) -> Result<Vec<u8>, String> {
        self.renamed(&credential.sealed)
    }
}

/// A sealed part as it begins everywhere: its version and its key.
fn sealed_under(key: PlatformKeyId, rest: &[u8]) -> Vec<u8> {
    [&[1], key.as_bytes().as_slice(), rest].concat()
}

impl Place {
    /// How one that knows the key of this number alone opens it.
    fn alone(&self, number: u8, check: [u8; 16]) -> (SqliteOptions, Outside) {
        let seal = || Arc::new(TestSeal::number(number));
        let options = SqliteOptions { row_seal: seal(), root_check: check, ..self.file.options() };
        (options, Outside { seal: seal(), root_checks: vec![check], ..self.outside() })
    }

    /// How one that knows both opens it; the new one is the primary.
    fn both(&self) -> (SqliteOptions, Outside) {
        let both = || Arc::new(TwoKeys(TestSeal::number(0xa1), TestSeal::number(0xa2)));
        let options = SqliteOptions { row_seal: both(), ..self.file.options() };
        (options, Outside { seal: both(), root_checks: vec![ROOT_CHECK, NEW_CHECK], ..self.outside() })
    }

    fn offline(&self) -> Offline {
        let (options, outside) = self.both();
        Offline::open(&options, &outside).unwrap()
    }

    /// Wrappings of both kinds, credentials and events, all under the old key.
    async fn under_the_old_key() -> Self {
        let place = Self::new();
        let (options, outside) = place.alone(0xa1, ROOT_CHECK);
        let store = SqliteStore::create_or_open_anchored(options, &outside).unwrap();
        furnish(&store, &["acme"], &["bot"]).await;
        for n in 0..5 {
            let (key, mut wrapping) =
                if n % 2 == 0 { customer_key("acme", "bot", n) } else { platform_key("acme", "bot", n) };
            if let WrappingKey::Platform(_) = wrapping.wrapped_by {
                wrapping.wrapped_by = WrappingKey::Platform(OLD);
            }
            wrapping.sealed_blob = sealed_under(OLD, &wrapping.sealed_blob);
            store.insert_data_key(key, wrapping).await.unwrap();
        }
        for step in registration() {
            put(&store, &step).await;
        }
        store.record(event(Some("acme"), 1)).await.unwrap();
        store.record(event(None, 1)).await.unwrap();
        place
    }

    /// Nothing names the old key, and it opens under the new one alone.
    async fn is_under_the_new_key(&self) {
        assert_eq!(self.offline().left_under(OLD).unwrap(), []);
        let (options, outside) = self.alone(0xa2, NEW_CHECK);
        SqliteStore::open_anchored(options, &outside).unwrap().verify().await.unwrap();
    }
}

/// A registration whose secret parts are under the old key.
fn registration() -> Vec<Integration> {
    let mut steps = registration_of("acme");
    for credential in steps.iter_mut().flat_map(|step| &mut step.credentials) {
        credential.sealed = sealed_under(OLD, &credential.sealed);
    }
    steps
}

async fn put(store: &SqliteStore, step: &Integration) {
    let mut tx = store.begin("registration").await.unwrap();
    tx.put_integration(step).await.unwrap();
    tx.commit().await.unwrap();
}

fn reseal(database: &mut Offline, moves: u64) -> Result<u64, NotMoved> {
    database.reseal(NEW, NEW_CHECK, &Naming(moves.into()), at(9), &mut |_| {})
}

/// A root goes over to another key: interrupted anywhere it goes on where it stopped, both keys open in between, and at the end
/// nothing names the old one: the database opens under the new key alone.
#[tokio::test]
async fn everything_goes_over_to_another_platform_key() {
    let place = Place::under_the_old_key().await;
    let (options, outside) = place.both();
    let mut database = place.offline();
    assert!(!database.left_under(OLD).unwrap().is_empty());
    let interrupted = reseal(&mut database, 3);
    assert!(matches!(interrupted, Err(NotMoved::Sealed { .. })), "{interrupted:?}");
    drop(database);
    SqliteStore::open_anchored(options, &outside).unwrap().verify().await.unwrap();

    let mut database = place.offline();
    let mut told = Vec::new();
    let rows = database.reseal(NEW, NEW_CHECK, &Naming(7.into()), at(9), &mut |so_far| told.push(so_far)).unwrap();
    assert!(rows > 10 && told.last().unwrap().done == rows && told[0].of == rows, "{told:?}");
    assert_eq!(reseal(&mut database, 0).unwrap(), 0);
    drop(database);

    place.is_under_the_new_key().await;
    let (options, outside) = place.alone(0xa2, NEW_CHECK);
    let store = SqliteStore::open_anchored(options, &outside).unwrap();
    let moved = store.wrapping(&workspace_id("acme"), data_key_id(1)).await.unwrap().unwrap();
    assert_eq!(moved.wrapped_by, WrappingKey::Platform(NEW));
    assert_eq!(in_use(&store).await, 1);
    drop(store);
    // Not even in a page that nothing points to any more.
    place.raw().execute_batch("VACUUM").unwrap();
    assert!(!holds(&place.file.path(), OLD.as_bytes()) && !holds(&place.head(), OLD.as_bytes()));
}

/// How often the platform's chain says that a key is in use.
async fn in_use(store: &SqliteStore) -> usize {
    let events = store.audit(None, 0, 10).await.unwrap();
    events.iter().filter(|event| event.name == "platform_key.in_use").count()
}

/// A service under both keys makes codes under the new one and leaves the sealed parts of what it writes: what it wrote is sealed
/// anew all the same.
#[tokio::test]
async fn what_was_written_after_the_promotion_goes_over_as_well() {
    let place = Place::under_the_old_key().await;
    let (options, outside) = place.both();
    let store = SqliteStore::open_anchored(options, &outside).unwrap();
    let found = store.integration(&workspace_id("acme")).await.unwrap().unwrap();
    let mut noticed = Integration { change: found.change + 1, ..found };
    noticed.credentials.iter_mut().for_each(|credential| credential.noticed = Some(30));
    put(&store, &noticed).await;
    drop(store);
    // Half of it: the codes are the new key's, and what is sealed the old one's.
    let halves = "SELECT count(*) FROM registration_credentials WHERE mac_key = ?1 AND instr(sealed, ?2) > 0";
    let halves: i64 = place.raw().query_row(halves, [NEW.as_bytes(), OLD.as_bytes()], |row| row.get(0)).unwrap();
    assert_eq!(halves, 2);
    reseal(&mut place.offline(), 7).unwrap();
    place.is_under_the_new_key().await;
}

/// So is a database that two people accepted in between, all of whose rows have new codes and their old sealed parts.
#[tokio::test]
async fn what_was_accepted_after_the_promotion_goes_over_as_well() {
    let place = Place::under_the_old_key().await;
    let (options, outside) = place.both();
    fs::remove_file(place.head()).unwrap();
    Acceptance::look(&options, &outside).unwrap().accept(names(), at(9)).unwrap();
    // I-4: a sealed part changes hands only towards the key of its row's code, with its length, and by itself.
    for forged in [
        "sealed_blob = zeroblob(length(sealed_blob))",
        "sealed_blob = CAST(x'01' || mac_key || x'00' AS BLOB)",
        "sealed_blob = CAST(x'01' || mac_key || substr(sealed_blob, 18) AS BLOB), created_at = created_at + 1",
        "wrapping_key = mac_key",
        "sealed_blob = CAST(x'01' || mac_key || substr(sealed_blob, 18) AS BLOB), wrapping_key = zeroblob(16)",
    ] {
        let told = place.raw().execute(&format!("UPDATE wrappings SET {forged}"), []).unwrap_err();
        assert!(told.to_string().contains("never overwritten"), "{forged}: {told}");
    }
    let mut database = place.offline();
    let interrupted = reseal(&mut database, 3);
    assert!(matches!(interrupted, Err(NotMoved::Sealed { .. })), "{interrupted:?}");
    assert_eq!(reseal(&mut database, 7).unwrap(), 7);
    drop(database);
    place.is_under_the_new_key().await;
    // Once there, it is not overwritten again.
    let again =
        "UPDATE wrappings SET sealed_blob = CAST(x'01' || mac_key || zeroblob(length(sealed_blob) - 17) AS BLOB)";
    assert!(place.raw().execute(again, []).unwrap_err().to_string().contains("never overwritten"));
}

/// What comes back under another key than the primary is not stored: it would be taken over for ever.
#[tokio::test]
async fn what_does_not_come_back_under_the_primary_is_told() {
    struct Idle;
    impl MoveSealed for Idle {
        fn move_wrapping(&self, _: &DataKey, wrapping: &Wrapping) -> Result<Wrapping, String> {
            Ok(wrapping.clone())
        }
        fn move_credential(&self, _: &WorkspaceId, credential: &Credential) -> Result<Vec<u8>, String> {
            Ok(credential.sealed.clone())
        }
    }
    let place = Place::under_the_old_key().await;
    let told = place.offline().reseal(NEW, NEW_CHECK, &Idle, at(9), &mut |_| {}).unwrap_err();
    assert!(matches!(told, NotMoved::Sealed { .. }), "{told}");
}

/// Ended after its last rows and before it is written down which key recognises the database, it goes on from there.
#[tokio::test]
async fn a_reseal_that_ended_before_its_last_commit_is_gone_on_with() {
    let place = Place::under_the_old_key().await;
    let mut database = place.offline();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut end = |so_far: store::sqlite::Resealed| assert!(so_far.done < so_far.of, "ended here");
        database.reseal(NEW, NEW_CHECK, &Naming(7.into()), at(9), &mut end)
    }));
    assert!(ended.is_err());
    drop(database);
    let (options, outside) = place.alone(0xa2, NEW_CHECK);
    assert!(matches!(
        Offline::open(&options, &outside).map(drop),
        Err(OpenRefused::Head(_) | OpenRefused::OtherRoot { .. })
    ));
    let mut database = place.offline();
    assert_eq!(database.root_check().unwrap(), ROOT_CHECK);
    assert_eq!(reseal(&mut database, 0).unwrap(), 0, "no row is left");
    assert_eq!(database.root_check().unwrap(), NEW_CHECK);
    drop(database);
    place.is_under_the_new_key().await;
    assert_eq!(reseal(&mut place.offline(), 0).unwrap(), 0);
    let (options, outside) = place.alone(0xa2, NEW_CHECK);
    assert_eq!(in_use(&SqliteStore::open_anchored(options, &outside).unwrap()).await, 1, "said once");
}

/// The older half of a head may still be under the old key; renewed, nothing in it is.
#[tokio::test]
async fn a_renewed_head_is_under_the_primary_alone() {
    let place = Place::under_the_old_key().await;
    let mut database = place.offline();
    assert!(holds(&place.head(), OLD.as_bytes()));
    database.renew_head().unwrap();
    assert!(!holds(&place.head(), OLD.as_bytes()));
    // And it is the one that is written from now on.
    reseal(&mut database, 7).unwrap();
    drop(database);
    place.is_under_the_new_key().await;
}

fn holds(path: &Path, id: &[u8; 16]) -> bool {
    let file = fs::File::open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes.windows(16).any(|window| window == id)
}
