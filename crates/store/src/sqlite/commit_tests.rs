//! What is told when a commit fails, and what is there afterwards (I-3). The failing disk is put in at the seam where
//! commits are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, ffi};

use super::schema::MIGRATIONS;
use super::writer::commit_durably;
use super::{Durability, SqliteOptions, SqliteStore};
use crate::conformance::TestSeal;
use crate::conformance::sample::{event, furnish, platform_key, workspace_id};
use crate::{OthersWrote, Outage, Store, StoreError};

/// How a commit goes wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// The log is written, its sync fails: the rows are not there.
    Before,
    /// The rows are there, and the error came after.
    After,
    /// Nothing is committed and success is claimed: the bug all of this is there to prevent.
    Pretended,
    /// SQLite itself gives up the transaction, as when a disk is full.
    RolledBack,
}

fn io_error() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None)
}

/// A store whose next commits fail as many times as `faults` says.
struct Failing {
    dir: tempfile::TempDir,
    faults: Arc<AtomicUsize>,
    commits: Arc<AtomicUsize>,
}

impl Failing {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, faults: Arc::default(), commits: Arc::default() }
    }

    fn open(&self, fault: Fault) -> SqliteStore {
        let options = SqliteOptions {
            path: self.dir.path().join("byokd.db"),
            row_seal: Arc::new(TestSeal::default()),
            root_check: [4; 16],
            cluster: [5; 16],
            durability: Durability::Full,
        };
        let (faults, commits) = (Arc::clone(&self.faults), Arc::clone(&self.commits));
        let commit = move |conn: &Connection| {
            commits.fetch_add(1, Ordering::SeqCst);
            let fails = faults.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            match fault {
                _ if !fails => commit_durably(conn),
                Fault::Before => Err(io_error()),
                Fault::After => commit_durably(conn).and(Err(io_error())),
                Fault::Pretended => Ok(()),
                Fault::RolledBack => conn.execute_batch("ROLLBACK").and(Err(io_error())),
            }
        };
        SqliteStore::open_with(&options, true, MIGRATIONS, Box::new(commit)).unwrap()
    }

    fn fail_next(&self, times: usize) {
        self.faults.store(times, Ordering::SeqCst);
    }
}

/// A failed commit is told as a failure only once a later commit has made sure that it did not happen.
#[tokio::test]
async fn a_commit_that_did_not_happen_is_told_so_and_leaves_nothing() {
    for fault in [Fault::Before, Fault::RolledBack] {
        let failing = Failing::new();
        let store = failing.open(fault);
        furnish(&store, &["acme"], &["bot"]).await;
        let (before, commits) = (store.revision().await.unwrap(), failing.commits.load(Ordering::SeqCst));

        failing.fail_next(1);
        let (key, wrapping) = platform_key("acme", "bot", 1);
        let refused = store.insert_data_key(key.clone(), wrapping.clone()).await;
        assert_eq!(refused, Err(StoreError::Unavailable(Outage::Disk)));
        assert_eq!(failing.commits.load(Ordering::SeqCst), commits + 2, "the failed one and the one that proves it");
        assert_eq!(store.data_keys(&key.workspace, None, 10).await.unwrap(), []);
        assert!(store.revision().await.unwrap() > before);

        store.insert_data_key(key.clone(), wrapping).await.unwrap();
        store.verify().await.unwrap();
        drop(store);
        let store = failing.open(fault);
        assert_eq!(store.data_keys(&key.workspace, None, 10).await.unwrap(), [key]);
        store.verify().await.unwrap();
    }
}

/// An error that comes after the rows are there is found out by reading again, and told as the success it was.
#[tokio::test]
async fn a_commit_that_happened_all_the_same_is_told_as_done() {
    let failing = Failing::new();
    let store = failing.open(Fault::After);
    furnish(&store, &["acme"], &["bot"]).await;
    failing.fail_next(1);
    let (key, wrapping) = platform_key("acme", "bot", 1);
    store.insert_data_key(key.clone(), wrapping).await.unwrap();
    assert_eq!(store.data_keys(&key.workspace, None, 10).await.unwrap(), [key]);

    failing.fail_next(1);
    let mut tx = store.begin("after").await.unwrap();
    tx.append_audit(event(Some("acme"), 1)).await.unwrap();
    let committed = tx.commit().await.unwrap();
    assert!(store.revision().await.unwrap() >= committed);
    store.verify().await.unwrap();
}

/// While no test commit succeeds, nobody is told anything but that it is unknown, and then that writing is off; reading
/// goes on, and writing comes back by itself.
#[tokio::test]
async fn writing_is_refused_until_a_commit_succeeds_again() {
    let failing = Failing::new();
    let store = failing.open(Fault::Before);
    furnish(&store, &["acme"], &["bot"]).await;
    let acme = workspace_id("acme");
    failing.fail_next(6);
    let (key, wrapping) = platform_key("acme", "bot", 1);
    assert_eq!(store.insert_data_key(key.clone(), wrapping.clone()).await, Err(StoreError::OutcomeUnknown));
    assert_eq!(store.record(event(None, 1)).await, Err(StoreError::Unavailable(Outage::Disk)));
    let begun = store.begin("refused").await.map(drop);
    assert_eq!(begun, Err(StoreError::Unavailable(Outage::Disk)));
    assert!(store.workspace(&acme).await.unwrap().is_some());

    // The test commit before this one succeeds.
    store.insert_data_key(key, wrapping).await.unwrap();
    assert_eq!(store.data_keys(&acme, None, 10).await.unwrap().len(), 1);
    assert_eq!(store.audit(None, 0, 10).await.unwrap(), []);
    store.verify().await.unwrap();
}

/// Seeded bug: an acknowledgement without a commit is what the look afterwards would find, here and in every other test.
#[tokio::test]
async fn an_acknowledgement_without_a_commit_would_be_noticed() {
    let failing = Failing::new();
    let store = failing.open(Fault::Pretended);
    furnish(&store, &["acme"], &["bot"]).await;
    failing.fail_next(1);
    let (key, wrapping) = platform_key("acme", "bot", 1);
    store.insert_data_key(key.clone(), wrapping).await.expect("claimed");
    assert_eq!(store.data_keys(&key.workspace, None, 10).await.unwrap(), [], "and not there");
}

/// A crowd that shares a failed commit hears of it as one, and none of it is there.
#[tokio::test]
async fn a_shared_commit_fails_for_everybody_in_it() {
    let failing = Failing::new();
    let store: Arc<dyn Store> = Arc::new(failing.open(Fault::Before));
    furnish(&*store, &["acme"], &["bot"]).await;
    // Held up by a transaction, the crowd gathers into one batch.
    let gate = store.begin("gate").await.unwrap();
    let mut crowd = Vec::new();
    for n in 0..100 {
        let (key, wrapping) = platform_key("acme", "bot", n);
        let mut write = store.insert_data_key(key, wrapping);
        // Polled once, a write stands in the writer's queue.
        assert!(futures::poll!(&mut write).is_pending());
        crowd.push(write);
    }
    failing.fail_next(1);
    drop(gate);
    for write in crowd {
        assert_eq!(write.await, Err(StoreError::Unavailable(Outage::Disk)));
    }
    assert_eq!(store.data_keys(&workspace_id("acme"), None, 1_000).await.unwrap(), []);
    store.verify().await.unwrap();
}

/// A writer that panics in the middle of a transaction rolls it back and serves the next.
#[tokio::test]
async fn a_panic_in_the_writer_is_a_rollback() {
    struct Panics(AtomicUsize, TestSeal);
    impl domain::row_seal::RowSeal for Panics {
        fn seal(&self, row: &[u8]) -> domain::row_seal::RowMac {
            assert!(
                self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok(),
                "as asked"
            );
            self.1.seal(row)
        }
        fn verify(&self, row: &[u8], mac: &domain::row_seal::RowMac) -> bool {
            self.1.verify(row, mac)
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let seal = Arc::new(Panics(AtomicUsize::new(1_000), TestSeal::default()));
    let options = SqliteOptions {
        path: dir.path().join("byokd.db"),
        row_seal: Arc::clone(&seal) as Arc<dyn domain::row_seal::RowSeal>,
        root_check: [4; 16],
        cluster: [5; 16],
        durability: Durability::Full,
    };
    let store = SqliteStore::create_or_open(options).unwrap();
    furnish(&store, &["acme"], &["bot"]).await;
    let (key, wrapping) = platform_key("acme", "bot", 1);
    seal.0.store(1, Ordering::SeqCst);
    assert_eq!(store.insert_data_key(key.clone(), wrapping.clone()).await, Err(StoreError::OutcomeUnknown));
    seal.0.store(1_000, Ordering::SeqCst);
    assert_eq!(store.data_keys(&key.workspace, None, 10).await.unwrap(), []);
    store.insert_data_key(key, wrapping).await.unwrap();
    store.verify().await.unwrap();
}

/// A connection that is made anew has lost count of who wrote: that is told, once each time, and nobody is accused. From then on it
/// counts.
#[tokio::test]
async fn a_failing_disk_is_not_taken_for_somebody_who_writes() {
    let failing = Failing::new();
    let store = failing.open(Fault::Before);
    furnish(&store, &["acme"], &["bot"]).await;
    assert_eq!(store.written_by_others().await, Ok(OthersWrote::NotKnown), "asked for the first time");
    // As long as nothing can be committed each write tries anew.
    failing.fail_next(usize::MAX);
    for _ in 0..3 {
        store.record(event(Some("acme"), 1)).await.unwrap_err();
        assert_eq!(store.written_by_others().await, Ok(OthersWrote::NotKnown));
        assert_eq!(store.written_by_others().await, Ok(OthersWrote::No));
    }
    failing.fail_next(0);
    store.record(event(Some("acme"), 1)).await.unwrap();
    assert_eq!(store.written_by_others().await, Ok(OthersWrote::NotKnown));
    crate::conformance::meddling::meddle(&failing.dir.path().join("byokd.db"), "UPDATE apps SET display_name = 'x'");
    assert_eq!(store.written_by_others().await, Ok(OthersWrote::Yes));
}
