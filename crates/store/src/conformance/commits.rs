//! Promises about commits that many share: each command stands alone, and what was acknowledged is there.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Database;
use super::sample::{at, customer_key, event, furnish, platform_key, workspace_id};
use crate::{Activation, Conflict, Store};

/// The crowd that shares commits: more than one batch's worth of waiters on any machine.
const CROWD: u64 = 256;

/// Of commands that share a commit, one that is refused takes no other with it and leaves nothing behind.
pub async fn a_command_that_fails_fails_alone(db: &dyn Database) {
    let store: Arc<dyn Store> = db.open().await.into();
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let store = Arc::clone(&store);
        crowd.spawn(async move {
            // Every fourth has no app to belong to; every fourth has an id that its neighbour has too.
            let (key, wrapping) = match n % 4 {
                0 => customer_key("acme", "missing", n),
                1 => platform_key("acme", "bot", n + 1),
                _ => platform_key("acme", "bot", n),
            };
            (n, store.insert_data_key(key, wrapping).await)
        });
    }
    let mut stored = 0;
    for (n, outcome) in crowd.join_all().await {
        match n % 4 {
            0 => assert_eq!(outcome, Err(Conflict::NoApp.into())),
            1 | 2 => {
                assert!(outcome.is_ok() || outcome == Err(Conflict::Exists.into()));
                stored += u64::from(outcome.is_ok());
            }
            _ => {
                outcome.unwrap();
                stored += 1;
            }
        }
    }
    assert_eq!(stored, CROWD / 2, "of each pair with one id one is stored");
    assert_eq!(store.data_keys(&workspace_id("acme"), None, 1_000).await.unwrap().len() as u64, stored);
    assert_eq!(store.verify().await.unwrap().rows, 5 + 2 * stored);
}

/// I-1: 256 at once, over several workspaces, insert, activate and record; after a restart every one of them is there.
pub async fn every_acknowledged_command_of_a_crowd_is_there_afterwards(db: &dyn Database) {
    let store: Arc<dyn Store> = db.open().await.into();
    let workspaces = ["acme", "bell", "corp"];
    furnish(&*store, &workspaces, &["bot"]).await;
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let store = Arc::clone(&store);
        crowd.spawn(async move {
            let name = workspaces[(n % 3) as usize];
            let (key, wrapping) = customer_key(name, "bot", n);
            store.insert_data_key(key.clone(), wrapping).await.unwrap();
            let activation = store.activate_data_key(&key.workspace, &key.app, key.id, at(5)).await.unwrap();
            store.record(event(Some(name), n)).await.unwrap();
            (key, activation)
        });
    }
    let acknowledged = crowd.join_all().await;
    drop(store);

    let store = db.open().await;
    for (key, activation) in &acknowledged {
        let found = store.data_key(&key.workspace, &key.app, key.id).await.unwrap().expect("an acknowledged key");
        let active = store.active_data_key(&key.workspace, &key.app, key.protection).await.unwrap().unwrap();
        match activation {
            Activation::Won => assert_eq!(found, active),
            Activation::Lost { winner } => assert_eq!(active.id, *winner),
            Activation::Left => panic!("nobody left a key"),
        }
        assert!(store.wrapping(&key.workspace, key.id).await.unwrap().is_some());
    }
    let won = acknowledged.iter().filter(|(_, activation)| *activation == Activation::Won).count();
    assert_eq!(won, workspaces.len());
    let verified = store.verify().await.unwrap();
    assert_eq!((verified.rows, verified.events), (15 + 2 * CROWD, 3 + CROWD));
}

/// I-6: nobody ever reads a revision below one read before, while a crowd writes and over restarts.
pub async fn the_revision_only_rises(db: &dyn Database) {
    let mut seen = 0;
    for round in 0..3 {
        let store: Arc<dyn Store> = db.open().await.into();
        if round == 0 {
            furnish(&*store, &["acme"], &["bot"]).await;
        }
        let mut crowd = JoinSet::new();
        for n in 0..64 {
            let store = Arc::clone(&store);
            crowd.spawn(async move { store.record(event(Some("acme"), n)).await.unwrap() });
        }
        while let Some(recorded) = crowd.join_next().await {
            recorded.unwrap();
            let now = store.revision().await.unwrap();
            assert!(now >= seen, "{now} after {seen}");
            seen = now;
        }
        let mut tx = store.begin("last").await.unwrap();
        tx.append_audit(event(None, round)).await.unwrap();
        let committed = tx.commit().await.unwrap();
        assert!(committed > seen);
        seen = committed;
        assert_eq!(store.epoch(), 1);
    }
}

/// I-24: each chain is its own, numbered without gaps, and each event carries the hash of the one before.
pub async fn audit_chains_have_no_gaps(db: &dyn Database) {
    let store: Arc<dyn Store> = db.open().await.into();
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    let mut crowd = JoinSet::new();
    for n in 0..90 {
        let store = Arc::clone(&store);
        crowd.spawn(async move {
            let whose = [Some("acme"), Some("bell"), None][(n % 3) as usize];
            store.record(event(whose, n)).await.unwrap();
        });
    }
    crowd.join_all().await;
    drop(store);
    let store = db.open().await;
    store.record(event(Some("acme"), 1)).await.unwrap();
    for (whose, length) in [(Some(workspace_id("acme")), 32), (Some(workspace_id("bell")), 31), (None, 30)] {
        let chain = store.audit(whose.as_ref(), 0, 1_000).await.unwrap();
        assert_eq!(chain.len(), length);
        let mut end = (0, [0; 32]);
        for event in &chain {
            assert_eq!(event.workspace, whose);
            assert!(event.follows(end.0, &end.1), "event {} of {whose:?}", event.seq);
            end = (event.seq, event.hash);
        }
    }
}
