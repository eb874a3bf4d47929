//! Promises about tests of key configurations: they come back whole, in order, and stay as they were found (I-22).

use domain::KeyTest;

use super::Database;
use super::sample::{at, event, furnish, key_test, workspace, workspace_id};
use crate::{Conflict, Store, StoreError};

async fn add(store: &dyn Store, tests: &[KeyTest]) {
    let mut tx = store.begin("test").await.unwrap();
    for test in tests {
        tx.add_key_test(test).await.unwrap();
    }
    tx.append_audit(event(Some("acme"), 1)).await.unwrap();
    tx.commit().await.unwrap();
}

/// Every test is read back as it was written, newest first, also after a restart and inside a transaction; another
/// workspace's are not among them.
pub async fn tests_are_read_back_newest_first(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    let mut all = [key_test("acme", 3), key_test("acme", 1), key_test("acme", 2)];
    add(&*store, &all).await;
    add(&*store, &[key_test("bell", 9)]).await;
    drop(store);

    let store = db.open().await;
    all.sort_by_key(|test| std::cmp::Reverse(test.id));
    let acme = workspace_id("acme");
    assert_eq!(store.key_tests(&acme, 10).await.unwrap(), all);
    assert_eq!(store.key_tests(&acme, 1).await.unwrap(), all[..1]);
    assert_eq!(store.key_tests(&acme, 0).await.unwrap(), []);
    assert_eq!(store.key_tests(&workspace_id("nobody"), 10).await.unwrap(), []);
    let mut tx = store.begin("read").await.unwrap();
    let newest = key_test("acme", 4);
    tx.add_key_test(&newest).await.unwrap();
    assert_eq!(tx.key_tests(&acme, 2).await.unwrap(), [newest, all[0].clone()]);
    drop(tx);
    assert_eq!(store.key_tests(&acme, 10).await.unwrap(), all, "a dropped transaction never happened");
    store.verify().await.unwrap();
}

/// I-22: a test is added once and never replaced; none is added to a workspace that is not there or was deleted.
pub async fn a_test_is_added_once(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    let first = key_test("acme", 1);
    add(&*store, std::slice::from_ref(&first)).await;
    let mut tx = store.begin("again").await.unwrap();
    let mut better = first.clone();
    better.finished_at = at(99);
    assert_eq!(tx.add_key_test(&better).await, Err(StoreError::Conflict(Conflict::Exists)));
    assert_eq!(tx.add_key_test(&first).await, Err(StoreError::Conflict(Conflict::Exists)));
    let nowhere = Err(StoreError::Conflict(Conflict::NoWorkspace));
    assert_eq!(tx.add_key_test(&key_test("nobody", 1)).await, nowhere);
    let mut closed = workspace("bell");
    closed.deleted_at = Some(at(9));
    tx.put_workspace(&closed).await.unwrap();
    assert_eq!(tx.add_key_test(&key_test("bell", 1)).await, nowhere);
    tx.commit().await.unwrap();
    assert_eq!(store.key_tests(&first.workspace, 10).await.unwrap(), [first]);
    store.verify().await.unwrap();
}

/// I-22: whoever can write to the database and does not hold the platform root cannot turn a failed test into a passed one,
/// make it count longer, give it to another configuration or workspace, or take one away.
pub async fn a_forged_test_is_refused(db: &dyn Database) {
    for sql in [
        "UPDATE key_tests SET steps = replace(steps, '[6,3,', '[6,1,')",
        "UPDATE key_tests SET started_at = started_at + 86400000000",
        "UPDATE key_tests SET finished_at = finished_at + 1",
        "UPDATE key_tests SET config_hash = zeroblob(32)",
        "UPDATE key_tests SET workspace = 'bell'",
        "UPDATE key_tests SET test = '7ZZZZZZZZZZZZZZZZZZZZZZZZZ'",
        "UPDATE key_tests SET steps = 'x'",
    ] {
        let store = db.open().await;
        if store.workspace(&workspace_id("acme")).await.unwrap().is_none() {
            furnish(&*store, &["acme", "bell"], &["bot"]).await;
            add(&*store, &[key_test("acme", 1)]).await;
        }
        store.verify().await.unwrap();
        drop(store);
        db.tamper("CREATE TABLE kept AS SELECT * FROM key_tests").await;
        db.tamper(sql).await;
        let store = db.open().await;
        let owner = if sql.contains("bell") { "bell" } else { "acme" };
        let read = store.key_tests(&workspace_id(owner), 10).await;
        assert_eq!(read, Err(StoreError::RowForged { table: "key_tests" }), "{sql}");
        assert!(store.verify().await.is_err(), "{sql}");
        drop(store);
        db.tamper("DELETE FROM key_tests; INSERT INTO key_tests SELECT * FROM kept; DROP TABLE kept").await;
    }
    db.tamper("DELETE FROM key_tests").await;
    let store = db.open().await;
    let set = Err(StoreError::SetForged { workspace: Some(workspace_id("acme")) });
    assert_eq!(store.verify().await, set);
}
