//! An older copy of a database in its own place is noticed: by the head outside of it, before anything is changed.

mod fixture;
#[path = "fixture/place.rs"]
mod place;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use store::conformance::TestSeal;
use store::conformance::sample::{event, furnish, platform_key, workspace_id};
use store::sqlite::{AcceptRefused, Acceptance, OpenRefused, SqliteOptions, SqliteStore};
use store::{HeadRefused, Outage, Outside, Store as _, StoreError};

use self::fixture::SqliteFile;
use self::place::{KINDS, Place, furnished, refusal, write};

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
