//! Promises about operations, further wrappings and successors: what a rotation rests on.

use std::sync::Arc;

use domain::operation::{Operation, Progress};
use domain::{DataKeyState, Protection, Reason, WrappingKey};
use tokio::task::JoinSet;

use super::Database;
use super::sample::{
    app_id, at, customer_key, data_key_id, event, furnish, key_config, platform_key, rewrapped, rotation, workspace_id,
};
use crate::{Activation, Conflict, Store, StoreError};

async fn put(store: &dyn Store, operation: &Operation) -> Result<(), StoreError> {
    let mut tx = store.begin("operation").await.unwrap();
    tx.put_operation(operation).await?;
    tx.commit().await.map(drop)
}

/// A workspace with three data keys under version 1, in three states, and a rotation to version 2 that is running.
async fn rotating(db: &dyn Database) -> (Box<dyn Store>, Operation) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    for n in [1, 2, 3] {
        let (key, wrapping) = customer_key("acme", "bot", n);
        store.insert_data_key(key, wrapping).await.unwrap();
    }
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    store.activate_data_key(&acme, &bot, data_key_id(1), at(5)).await.unwrap();
    store.activate_data_key(&acme, &bot, data_key_id(2), at(5)).await.unwrap();
    let operation = rotation("acme", 1).begin(at(6)).unwrap();
    put(&*store, &operation).await.unwrap();
    (store, operation)
}

/// Every column of an operation is read back, and it is found by its id, in its workspace's list and, while open, among those
/// to be gone on with.
pub async fn an_operation_is_read_back_as_it_moves(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    let acme = workspace_id("acme");
    let mut operation = rotation("acme", 1);
    let progress = Progress { total: 9, done: 4, failing: 1 };
    let moves: [fn(Operation) -> Operation; 4] = [
        |operation| operation,
        |operation| operation.begin(at(6)).unwrap(),
        |operation| Operation { switched_at: Some(at(8)), ..operation.ask_to_cancel(at(7)).unwrap() },
        |operation| operation.fail(Reason::WrappedKeyCorrupt, at(9)).unwrap(),
    ];
    for (n, next) in moves.into_iter().enumerate() {
        operation = next(operation);
        if operation.state.is_open() {
            operation = operation.report(progress, Some(Reason::KeyDisabled), at(10)).unwrap();
        }
        put(&*store, &operation).await.unwrap();
        assert_eq!(store.operation(operation.id).await.unwrap(), Some(operation.clone()));
        assert_eq!(store.operations(&acme, None, 10).await.unwrap(), std::slice::from_ref(&operation));
        let open = store.open_operations().await.unwrap();
        assert_eq!(open.len(), usize::from(n < 3), "{open:?}");
    }
    let again = put(&*store, &operation).await;
    assert_eq!(again, Err(Conflict::OperationEnded.into()), "what has ended stays as it ended");
    let next = rotation("acme", 2);
    put(&*store, &next).await.unwrap();
    assert_eq!(store.operations(&acme, None, 10).await.unwrap(), [next.clone(), operation.clone()], "newest first");
    assert_eq!(store.operations(&acme, Some(next.id), 10).await.unwrap(), std::slice::from_ref(&operation));
    assert_eq!(store.operations(&acme, None, 1).await.unwrap(), std::slice::from_ref(&next));
    assert_eq!(store.operations(&workspace_id("bell"), None, 10).await.unwrap(), []);
    let of_another = Operation { workspace: workspace_id("bell"), ..next };
    assert_eq!(put(&*store, &of_another).await, Err(Conflict::Exists.into()));
    drop(store);
    let store = db.open().await;
    assert_eq!(store.operation(operation.id).await.unwrap(), Some(operation));
    store.verify().await.unwrap();
}

/// I-23: of any number begun at once in a workspace one is open; other workspaces have their own.
pub async fn a_workspace_has_one_open_operation(db: &dyn Database) {
    let store: Arc<dyn Store> = db.open().await.into();
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    let mut race = JoinSet::new();
    for n in 0..16 {
        let store = Arc::clone(&store);
        race.spawn(async move { put(&*store, &rotation("acme", n)).await });
    }
    let ended = race.join_all().await;
    assert_eq!(ended.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let open: StoreError = Conflict::OperationOpen.into();
    assert_eq!(ended.iter().filter(|outcome| **outcome == Err(open.clone())).count(), 15);
    put(&*store, &rotation("bell", 99)).await.unwrap();
    assert_eq!(store.open_operations().await.unwrap().len(), 2);
    let gone = put(&*store, &rotation("nowhere", 3)).await;
    assert_eq!(gone, Err(Conflict::NoWorkspace.into()));
    store.verify().await.unwrap();
}

/// I-4: a wrapping that is added is the current one, and the one before it is still there and counted into the set.
pub async fn an_added_wrapping_is_the_current_one(db: &dyn Database) {
    let (store, operation) = rotating(db).await;
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    let rows = store.verify().await.unwrap().rows;
    for n in [1, 2, 3] {
        let (before, (_, over)) =
            (store.data_key(&acme, &bot, data_key_id(n)).await.unwrap(), customer_key("acme", "bot", n));
        let added = rewrapped("acme", n, 20);
        store.add_wrapping(operation.id, added.clone(), over).await.unwrap();
        assert_eq!(store.wrapping(&acme, data_key_id(n)).await.unwrap(), Some(added));
        assert_eq!(store.data_key(&acme, &bot, data_key_id(n)).await.unwrap(), before, "nothing else of it changed");
    }
    assert_eq!(store.verify().await.unwrap().rows, rows + 3, "rows are only added");
    // And what could be done with a data key before can be done with it still.
    store.retire_data_key(&acme, &bot, data_key_id(1), at(21)).await.unwrap();
    let key = store.data_key(&acme, &bot, data_key_id(1)).await.unwrap().unwrap();
    assert_eq!(key.state, DataKeyState::Retired);
    assert_eq!(store.wrapping(&acme, data_key_id(1)).await.unwrap(), Some(rewrapped("acme", 1, 20)));
    drop(store);
    let store = db.open().await;
    assert_eq!(store.wrapping(&acme, data_key_id(3)).await.unwrap(), Some(rewrapped("acme", 3, 20)));
    store.verify().await.unwrap();
}

/// I-4, I-23: a wrapping made from one that is no longer the current one is not added, or a slow replica would put an old
/// version back; nor is one of another data key, version or protection, or in the name of an operation that is not under way.
pub async fn a_wrapping_is_added_only_where_it_belongs(db: &dyn Database) {
    let (store, operation) = rotating(db).await;
    let (_, over) = customer_key("acme", "bot", 1);
    let add = async |wrapping, over: &domain::Wrapping| store.add_wrapping(operation.id, wrapping, over.clone()).await;
    let (_, of_another) = customer_key("acme", "bot", 2);
    assert_eq!(add(rewrapped("acme", 1, 20), &of_another).await, Err(Conflict::WrappingMoved.into()));
    assert_eq!(add(over.clone(), &over).await, Err(Conflict::NotItsWrapping.into()), "not by the version gone over to");
    assert_eq!(add(rewrapped("bell", 1, 20), &over).await, Err(Conflict::NotItsWrapping.into()));
    assert_eq!(add(rewrapped("acme", 9, 20), &over).await, Err(Conflict::NoDataKey.into()));
    let (key, of_the_platform) = platform_key("acme", "bot", 4);
    store.insert_data_key(key, of_the_platform.clone()).await.unwrap();
    assert_eq!(add(rewrapped("acme", 4, 20), &of_the_platform).await, Err(Conflict::NotItsWrapping.into()), "I-18");
    let unknown = store.add_wrapping(rotation("acme", 7).id, rewrapped("acme", 1, 20), over.clone()).await;
    assert_eq!(unknown, Err(Conflict::NoOperation.into()));

    add(rewrapped("acme", 1, 20), &over).await.unwrap();
    assert_eq!(add(rewrapped("acme", 1, 21), &over).await, Err(Conflict::WrappingMoved.into()), "another was quicker");
    put(&*store, &operation.clone().cancel(at(22)).unwrap()).await.unwrap();
    let late = add(rewrapped("acme", 2, 23), &of_another).await;
    assert_eq!(late, Err(Conflict::OperationEnded.into()));
    store.verify().await.unwrap();
}

/// What is under which version is told exactly, with the time the last data key left it: in every state, and nothing else.
pub async fn what_is_under_which_version_is_counted(db: &dyn Database) {
    let (store, operation) = rotating(db).await;
    let acme = workspace_id("acme");
    let (key, wrapping) = platform_key("acme", "bot", 4);
    store.insert_data_key(key, wrapping).await.unwrap();
    let counted = async || {
        let uses = store.version_uses(&acme).await.unwrap();
        uses.iter().map(|found| (found.version.as_bytes()[0], found.data_keys, found.left_at)).collect::<Vec<_>>()
    };
    let version = |n| domain::KeyVersionId::from_bytes([n; 16]);
    let left = async |to, after, limit| {
        let found = store.data_keys_left(&acme, version(to), after, limit).await.unwrap();
        found.into_iter().map(|(key, wrapping)| (key.id, wrapping.wrapped_by)).collect::<Vec<_>>()
    };
    let under = |n, v| (data_key_id(n), WrappingKey::Customer(version(v)));
    assert_eq!(counted().await, [(1, 2, None)], "what was given up needs no version");
    assert_eq!(left(2, None, 10).await, [under(1, 1), under(3, 1)], "pending ones too");
    for (n, time) in [(3, 30), (1, 20)] {
        let (_, over) = customer_key("acme", "bot", n);
        store.add_wrapping(operation.id, rewrapped("acme", n, time), over).await.unwrap();
    }
    assert_eq!(counted().await, [(1, 0, Some(at(30))), (2, 2, None)]);
    assert_eq!(left(2, None, 10).await, []);
    assert_eq!(left(1, None, 1).await, [under(1, 2)]);
    assert_eq!(left(1, Some(data_key_id(1)), 10).await, [under(3, 2)]);
    assert_eq!(left(2, Some(data_key_id(2)), 10).await, []);
    assert_eq!(store.version_uses(&workspace_id("bell")).await.unwrap(), []);
}

/// I-19, I-23: a successor takes its place in one step; of two that would, one does, and the other is abandoned. What was born
/// before a rotation's switch goes on under the new version.
pub async fn a_successor_takes_the_place_of_the_active_key(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    for n in [1, 2, 3] {
        let (key, wrapping) = customer_key("acme", "bot", n);
        store.insert_data_key(key, wrapping).await.unwrap();
    }
    let [first, second, third] = [1, 2, 3].map(data_key_id);
    store.activate_data_key(&acme, &bot, first, at(5)).await.unwrap();
    let (one, other) = tokio::join!(
        store.succeed_data_key(&acme, &bot, first, second, at(6)),
        store.succeed_data_key(&acme, &bot, first, third, at(6))
    );
    assert_eq!((one, other), (Ok(Activation::Won), Ok(Activation::Lost { winner: second })));
    let again = store.succeed_data_key(&acme, &bot, first, second, at(7)).await;
    assert_eq!(again, Ok(Activation::Won), "said again when asked again");
    let states = store.data_keys(&acme, None, 10).await.unwrap();
    let states: Vec<_> = states.iter().map(|key| (key.state, key.retired_at)).collect();
    assert_eq!(
        states,
        [(DataKeyState::Retired, Some(at(6))), (DataKeyState::Active, None), (DataKeyState::Abandoned, None)]
    );
    let (key, wrapping) = platform_key("acme", "bot", 4);
    store.insert_data_key(key, wrapping).await.unwrap();
    let crossing = store.succeed_data_key(&acme, &bot, second, data_key_id(4), at(8)).await;
    assert_eq!(crossing, Err(Conflict::NotItsWrapping.into()), "I-18");
    let active = store.active_data_key(&acme, &bot, Protection::CustomerKey).await.unwrap();
    assert_eq!(active.map(|key| key.id), Some(second), "a refused step leaves the active key");
    store.verify().await.unwrap();
}

/// A switch and the operation's step are one commit: a new wrap epoch without the step, or the step without it, is not seen.
pub async fn a_switch_happens_with_its_operation(db: &dyn Database) {
    let (store, operation) = rotating(db).await;
    let switched = Operation { switched_at: Some(at(9)), ..operation.clone() };
    let mut tx = store.begin("switch").await.unwrap();
    assert_eq!(tx.operation(operation.id).await.unwrap(), Some(operation.clone()));
    tx.put_key_config(&key_config("acme", 2)).await.unwrap();
    tx.put_operation(&switched).await.unwrap();
    tx.append_audit(event(Some("acme"), 1)).await.unwrap();
    assert_eq!(tx.operation(operation.id).await.unwrap(), Some(switched.clone()));
    assert_eq!(store.operation(operation.id).await.unwrap(), Some(operation));
    tx.commit().await.unwrap();
    assert_eq!(store.operation(switched.id).await.unwrap(), Some(switched));
    let last = store.last_event(&workspace_id("acme"), "key.exported").await.unwrap().unwrap();
    assert_eq!(last.details, [("count".to_owned(), "1".to_owned())]);
    assert_eq!(store.last_event(&workspace_id("acme"), "key.rotated").await.unwrap(), None);
    let acme = workspace_id("acme");
    assert_eq!(store.newest_event(Some(&acme), Some("key.exported")).await.unwrap().unwrap(), last);
    assert_eq!(store.newest_event(Some(&acme), Some("key.rotated")).await.unwrap(), None);
    let whole = store.audit(Some(&acme), 0, 1_000).await.unwrap();
    assert_eq!(store.newest_event(Some(&acme), None).await.unwrap().as_ref(), whole.last());
    assert_eq!(store.newest_event(Some(&workspace_id("nobody")), None).await.unwrap(), None);
}

/// Somebody at the database who calls a rotation off, or takes it out of the list, is found out.
pub async fn an_edited_operation_is_refused(db: &dyn Database) {
    let (store, operation) = rotating(db).await;
    drop(store);
    db.tamper("CREATE TABLE kept AS SELECT * FROM operations").await;
    db.tamper("UPDATE operations SET state = 4").await;
    let store = db.open().await;
    let forged = StoreError::RowForged { table: "operations" };
    assert_eq!(store.operation(operation.id).await, Err(forged.clone()));
    assert_eq!(store.operations(&operation.workspace, None, 10).await, Err(forged.clone()));
    assert_eq!(store.verify().await, Err(forged));
    drop(store);
    db.tamper("DELETE FROM operations").await;
    let store = db.open().await;
    let set = StoreError::SetForged { workspace: Some(operation.workspace.clone()) };
    assert_eq!(store.verify().await, Err(set));
    drop(store);
    db.tamper("INSERT INTO operations SELECT * FROM kept").await;
    let store = db.open().await;
    assert_eq!(store.operation(operation.id).await.unwrap(), Some(operation));
    store.verify().await.unwrap();
}
