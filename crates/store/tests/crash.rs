//! What a crash leaves: the files as they are at some moment, with nobody there to tidy up.

mod fixture;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use store::conformance::Database as _;
use store::conformance::sample::{app_id, at, customer_key, event, furnish, workspace, workspace_id};
use store::{Activation, Store};
use tokio::task::JoinSet;

use self::fixture::SqliteFile;

/// The database and its log as they are now, in a directory of their own: what would be found after a kill.
fn as_a_crash_leaves_it(running: &SqliteFile) -> SqliteFile {
    let left = SqliteFile::new();
    for suffix in ["", "-wal"] {
        let name = format!("byokd.db{suffix}");
        fs::copy(running.dir().join(&name), left.dir().join(&name)).unwrap();
        fs::set_permissions(left.dir().join(&name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    left
}

/// I-1, I-23: killed between any two steps of a transaction, nothing of it is there, and all that was acknowledged is.
#[tokio::test]
async fn a_crash_between_two_steps_leaves_nothing_of_them() {
    let file = SqliteFile::new();
    let store = file.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let (key, wrapping) = customer_key("acme", "bot", 1);
    store.insert_data_key(key.clone(), wrapping).await.unwrap();
    let acknowledged = store.verify().await.unwrap();

    let mut tx = store.begin("interrupted").await.unwrap();
    tx.put_workspace(&workspace("bell")).await.unwrap();
    let after_one = as_a_crash_leaves_it(&file);
    tx.append_audit(event(Some("bell"), 1)).await.unwrap();
    let after_two = as_a_crash_leaves_it(&file);
    tx.commit().await.unwrap();
    let after_commit = as_a_crash_leaves_it(&file);

    for left in [after_one, after_two] {
        let found = left.open().await;
        assert_eq!(found.workspace(&workspace_id("bell")).await.unwrap(), None);
        assert_eq!(found.verify().await.unwrap(), acknowledged);
        assert_eq!(found.data_keys(&key.workspace, None, 10).await.unwrap(), std::slice::from_ref(&key));
    }
    let found = after_commit.open().await;
    assert!(found.workspace(&workspace_id("bell")).await.unwrap().is_some());
    found.verify().await.unwrap();
}

/// I-1, I-2: whenever it is killed under load, each key acknowledged by then is there, in the state that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_under_load_loses_nothing_acknowledged() {
    let file = SqliteFile::new();
    let store: Arc<dyn Store> = file.open().await.into();
    furnish(&*store, &["acme"], &["bot"]).await;
    let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let mut crowd = JoinSet::new();
    for n in 0..400 {
        let (store, acknowledge) = (Arc::clone(&store), acknowledge.clone());
        crowd.spawn(async move {
            let (key, wrapping) = customer_key("acme", "bot", n);
            store.insert_data_key(key.clone(), wrapping).await.unwrap();
            acknowledge.send((key.id, None)).unwrap();
            let how = store.activate_data_key(&key.workspace, &key.app, key.id, at(5)).await.unwrap();
            acknowledge.send((key.id, Some(how))).unwrap();
        });
    }
    let mut known = Vec::new();
    let mut crashes = Vec::new();
    while crashes.len() < 6 {
        for _ in 0..60 {
            known.push(acknowledged.recv().await.unwrap());
        }
        // Copied file by file, the log last: a kill would find both at one moment, or at worst like this.
        crashes.push((as_a_crash_leaves_it(&file), known.clone()));
    }
    crowd.join_all().await;
    drop(store);
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    for (left, known) in crashes {
        let found = left.open().await;
        found.verify().await.unwrap();
        for (id, how) in known {
            let key = found.data_key(&acme, &bot, id).await.unwrap().expect("an acknowledged key");
            assert!(found.wrapping(&acme, id).await.unwrap().is_some());
            let active = found.active_data_key(&acme, &bot, key.protection).await.unwrap();
            match how {
                None => {}
                Some(Activation::Won) => assert_eq!(active.unwrap().id, id),
                Some(Activation::Lost { winner }) => assert_eq!(active.unwrap().id, winner),
                Some(Activation::Left) => panic!("nobody left a key"),
            }
        }
    }
}

/// A store that is dropped with a transaction open and commands waiting rolls the one back and finishes the others.
#[tokio::test]
async fn a_store_dropped_in_the_middle_closes_cleanly() {
    let file = SqliteFile::new();
    let store = file.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut open = store.begin("open").await.unwrap();
    open.put_workspace(&workspace("bell")).await.unwrap();
    drop(store);
    let ended = open.commit().await;
    assert_eq!(ended, Err(store::StoreError::TransactionEnded { name: "open" }));
    let store = file.open().await;
    assert_eq!(store.workspace(&workspace_id("bell")).await.unwrap(), None);
    store.verify().await.unwrap();
}
