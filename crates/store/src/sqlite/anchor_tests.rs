//! What the head outside does when a commit fails: it never says more than the disk has, and never less than somebody was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, ffi};

use super::schema::MIGRATIONS;
use super::writer::commit_durably;
use super::{AcceptRefused, Acceptance, Durability, OpenRefused, SqliteOptions, SqliteStore};
use crate::conformance::TestSeal;
use crate::conformance::sample::{event, furnish};
use crate::head::HeadFile;
use crate::{Outage, Outside, Store, StoreError};

/// How a commit goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The rows are not there.
    Before,
    /// The rows are there, and the error came after.
    After,
}

struct Place(tempfile::TempDir);

impl Place {
    fn options(&self) -> SqliteOptions {
        SqliteOptions {
            path: self.0.path().join("byokd.db"),
            row_seal: Arc::new(TestSeal::default()),
            root_check: [4; 16],
            cluster: [5; 16],
            durability: Durability::Full,
        }
    }

    fn outside(&self) -> Outside {
        let seal = Arc::new(TestSeal::number(9));
        Outside { head: self.0.path().join("head"), seal, root_checks: vec![[4; 16]] }
    }

    /// Its next commits fail in this way, as many as are left.
    fn open(&self, fault: Fault, left: &Arc<AtomicUsize>) -> SqliteStore {
        let left = Arc::clone(left);
        let commit = move |conn: &Connection| {
            let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            let error = Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None));
            match fault {
                _ if !fails => commit_durably(conn),
                Fault::Before => error,
                Fault::After => commit_durably(conn).and(error),
            }
        };
        SqliteStore::open_whole(&self.options(), true, MIGRATIONS, Box::new(commit), Some(&self.outside())).unwrap()
    }

    fn head(&self) -> u64 {
        let Outside { head, seal, .. } = self.outside();
        HeadFile::open(&head, [5; 16], seal).unwrap().0.last().revision
    }
}

/// I-1, I-3, I-6: one commit that fails is found out about, several in a row suspend writing, and in every case the head is where
/// the database is once somebody is told again, and the next start goes on.
#[tokio::test]
async fn the_head_follows_what_a_failed_commit_turned_out_to_be() {
    for fault in [Fault::Before, Fault::After] {
        for failures in [1, 2, 5] {
            let (place, left) = (Place(tempfile::tempdir().unwrap()), Arc::new(AtomicUsize::new(0)));
            let store = place.open(fault, &left);
            furnish(&store, &["acme"], &["bot"]).await;
            assert_eq!(place.head(), store.revision().await.unwrap());
            let before = place.head();
            left.store(failures, Ordering::SeqCst);
            let told = store.record(event(Some("acme"), 1)).await;
            let about = format!("{fault:?} {failures} times: {told:?}");
            match (failures, fault) {
                (1 | 2, Fault::Before) => assert_eq!(told, Err(StoreError::Unavailable(Outage::Disk)), "{about}"),
                (1 | 2, Fault::After) => assert_eq!(told, Ok(()), "{about}"),
                _ => assert_eq!(told, Err(StoreError::OutcomeUnknown), "{about}"),
            }
            if told.is_ok() {
                assert_eq!(place.head(), store.revision().await.unwrap(), "{about}");
            }
            if told == Err(StoreError::OutcomeUnknown) {
                assert_eq!(place.head(), before, "nobody was told: {about}");
            }
            // Ended here, or gone on with: both open.
            let copy = Place(tempfile::tempdir().unwrap());
            for name in ["byokd.db", "byokd.db-wal", "head"] {
                std::fs::copy(place.0.path().join(name), copy.0.path().join(name)).unwrap();
            }
            let reopened = copy.open(fault, &Arc::default());
            reopened.verify().await.unwrap();
            while store.record(event(Some("acme"), 2)).await.is_err() {}
            assert_eq!(place.head(), store.revision().await.unwrap(), "{about}");
            drop(store);
            place.open(fault, &left).verify().await.unwrap();
        }
    }
}

impl Place {
    /// Opens it as the release did whose newest schema was this one.
    fn open_as_of(&self, schema: usize) -> SqliteStore {
        let commit = Box::new(commit_durably);
        SqliteStore::open_whole(&self.options(), true, &MIGRATIONS[..schema], commit, Some(&self.outside())).unwrap()
    }

    fn look(&self) -> Result<Acceptance, AcceptRefused> {
        Acceptance::look(&self.options(), &self.outside())
    }

    /// Its schema and its revision.
    fn stands(&self) -> (u32, i64) {
        let conn = Connection::open(self.options().path).unwrap();
        conn.query_row("SELECT schema, revision FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    /// The copy of another in its place, as it is when it is closed.
    fn put_back(&self, copy: &[u8]) {
        let path = self.options().path;
        std::fs::write(&path, copy).unwrap();
        for left in ["byokd.db-wal", "byokd.db-shm"] {
            let _ = std::fs::remove_file(self.0.path().join(left));
        }
    }
}

async fn with_an_event(store: &SqliteStore, name: &str) {
    let mut tx = store.begin("workspace").await.unwrap();
    tx.put_workspace(&crate::conformance::sample::workspace(name)).await.unwrap();
    tx.commit().await.unwrap();
    store.record(event(Some(name), 1)).await.unwrap();
}

/// Looking at a database of an older release changes nothing: one that is in order opens as before, whether or not its schema
/// could name a head.
#[tokio::test]
async fn looking_at_an_older_schema_changes_nothing() {
    for schema in [7, 8, 10] {
        let place = Place(tempfile::tempdir().unwrap());
        let store = place.open_as_of(schema);
        with_an_event(&store, "acme").await;
        drop(store);
        let before = place.stands();
        assert_eq!(usize::try_from(before.0).unwrap(), schema);
        let told = place.look().map(drop).unwrap_err();
        assert!(matches!(told, AcceptRefused::InOrder(_)), "{schema}: {told}");
        assert_eq!(place.stands(), before, "looking changes nothing");
        drop(place.open(Fault::Before, &Arc::default()));
        let newest = place.stands();
        assert!(newest.0 > before.0);

        // An older copy, of the older release, is refused, looked at, refused as before, and then accepted.
        let place = Place(tempfile::tempdir().unwrap());
        let store = place.open_as_of(schema);
        with_an_event(&store, "acme").await;
        drop(store);
        let copy = std::fs::read(place.options().path).unwrap();
        let store = place.open_as_of(schema);
        with_an_event(&store, "bell").await;
        drop(store);
        place.put_back(&copy);
        let found = place.look().unwrap();
        assert_eq!(found.older_schema, Some((before.0, newest.0)), "{schema}");
        assert!(found.verified.rows > 0 && found.newest_event.is_some());
        drop(found);
        assert_eq!(place.stands(), before, "looking changes nothing");
        let again = SqliteStore::create_or_open_anchored(place.options(), &place.outside()).map(drop).unwrap_err();
        assert!(matches!(again, OpenRefused::RolledBack { other_history: false, .. }), "{schema}: {again}");
        place.look().unwrap().accept(["ann".into(), "bob".into()], crate::conformance::sample::at(9)).unwrap();
        let store = place.open(Fault::Before, &Arc::default());
        assert_eq!((store.epoch(), place.stands().0), (2, newest.0));
        store.verify().await.unwrap();
    }
}

/// A database that has never had a head needs no two people to get one.
#[tokio::test]
async fn a_database_that_has_had_no_head_is_not_accepted() {
    let place = Place(tempfile::tempdir().unwrap());
    drop(SqliteStore::create_or_open(place.options()).unwrap());
    let told = place.look().map(drop).unwrap_err();
    assert!(matches!(told, AcceptRefused::NoHeadYet), "{told}");
    drop(place.open(Fault::Before, &Arc::default()));
}
