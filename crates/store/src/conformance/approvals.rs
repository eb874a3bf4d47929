//! Promises about what needs a second person: how it is kept, and that a data key is destroyed by nothing less (I-5).

use std::time::Duration;

use domain::operation::{Operation, OperationId, OperationKind};
use domain::{DataKeyState, KeyConfig, KeyVersion, KeyVersionId};

use super::Database;
use super::sample::{app_id, at, customer_key, data_key_id, furnish, key_config, key_version, rotation, workspace_id};
use crate::{Activation, Conflict, Store, StoreError};

/// How long the operations here wait after their approval.
const WAITS: Duration = Duration::from_micros(100);

async fn put(store: &dyn Store, operation: &Operation) -> Result<(), StoreError> {
    let mut tx = store.begin("operation").await.expect("a transaction");
    tx.put_operation(operation).await?;
    tx.commit().await.map(drop)
}

fn asked(n: u8, kind: OperationKind) -> Operation {
    let id = OperationId::new(at(i64::from(n)), [n; 10]);
    Operation::ask(id, workspace_id("acme"), kind, "ann", 1, WAITS, at(10))
}

fn destruction(n: u8) -> Operation {
    asked(n, OperationKind::DestroyDataKey { app: app_id("bot"), data_key: data_key_id(1) })
}

/// Every column of every kind is read back at every step; as many as are asked for may wait, and one at a time is worked on.
pub async fn what_awaits_approval_is_read_back_as_it_moves(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let config = key_config("acme", 1);
    let replacement = OperationKind::ReplaceKey {
        from: KeyVersionId::from_bytes([1; 16]),
        to: KeyVersionId::from_bytes([2; 16]),
        key: config.location.clone(),
        tenant: config.tenant.clone(),
    };
    let all = [asked(1, replacement), asked(2, OperationKind::LeaveCustomerKey), destruction(3)];
    for operation in &all {
        put(&*store, operation).await.unwrap();
        assert_eq!(store.operation(operation.id).await.unwrap().as_ref(), Some(operation));
    }
    put(&*store, &rotation("acme", 1)).await.unwrap();
    assert_eq!(store.open_operations().await.unwrap().len(), 4);
    let [one, two, three] = all;
    let rejected = two.reject("bob", at(20)).unwrap();
    let approved = one.approve("bob", at(20)).unwrap();
    let expired = three.clone().expire(three.approval.as_ref().expect("an approval").approve_by).unwrap();
    for next in [&rejected, &approved, &expired] {
        put(&*store, next).await.unwrap();
        assert_eq!(store.operation(next.id).await.unwrap().as_ref(), Some(next));
    }
    let begun = approved.begin(at(120)).unwrap();
    assert_eq!(put(&*store, &begun).await, Err(Conflict::OperationOpen.into()), "a rotation is worked on");
    put(&*store, &rotation("acme", 1).cancel(at(30)).unwrap()).await.unwrap();
    put(&*store, &begun).await.unwrap();
    assert_eq!(put(&*store, &rejected).await, Err(Conflict::OperationEnded.into()));
    let other_terms = Operation { approval: None, ..begun.clone() };
    assert_eq!(put(&*store, &other_terms).await, Err(Conflict::Exists.into()), "what was asked for stays");
    drop(store);
    let store = db.open().await;
    assert_eq!(store.operation(begun.id).await.unwrap(), Some(begun));
    store.verify().await.unwrap();
}

/// I-5: only in the name of a running destruction that somebody else approved and whose time is over; only a retired key; once.
pub async fn a_data_key_is_destroyed_by_two_people_and_time(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    for n in [1, 2] {
        let (key, wrapping) = customer_key("acme", "bot", n);
        store.insert_data_key(key, wrapping).await.unwrap();
    }
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    store.activate_data_key(&acme, &bot, data_key_id(1), at(5)).await.unwrap();
    let destroy = async |id, time| {
        let mut tx = store.begin("destroy").await.expect("a transaction");
        tx.destroy_data_key(id, time).await?;
        tx.commit().await.map(drop)
    };
    let operation = destruction(1);
    put(&*store, &operation).await.unwrap();
    assert_eq!(destroy(operation.id, at(1_000)).await, Err(Conflict::OperationEnded.into()));
    let approved = operation.approve("bob", at(20)).unwrap();
    put(&*store, &approved).await.unwrap();
    assert_eq!(destroy(approved.id, at(1_000)).await, Err(Conflict::OperationEnded.into()), "not begun");
    put(&*store, &approved.clone().begin(at(120)).unwrap()).await.unwrap();
    assert_eq!(destroy(approved.id, at(119)).await, Err(Conflict::NotApproved.into()), "too early");
    let active = Conflict::State { data_key: data_key_id(1), state: DataKeyState::Active };
    assert_eq!(destroy(approved.id, at(120)).await, Err(active.into()));
    store.retire_data_key(&acme, &bot, data_key_id(1), at(6)).await.unwrap();
    let before = store.revision().await.unwrap();
    assert_eq!(destroy(approved.id, at(120)).await, Ok(()));
    assert_eq!(destroy(approved.id, at(130)).await, Ok(()), "said again");
    let tombstone = store.data_key(&acme, &bot, data_key_id(1)).await.unwrap().expect("the tombstone");
    assert_eq!((tombstone.state, tombstone.destroyed_at), (DataKeyState::Retired, Some(at(120))));
    assert!(store.wrapping(&acme, data_key_id(1)).await.unwrap().expect("a row").sealed_blob.is_empty());
    assert!(!store.wrapping(&acme, data_key_id(2)).await.unwrap().expect("a row").sealed_blob.is_empty());
    let uses = store.version_uses(&acme).await.unwrap();
    assert_eq!(uses.iter().map(|found| found.data_keys).sum::<u64>(), 1);
    let (_, changes) = store.changed_since(before).await.unwrap();
    assert_eq!(changes[0].destroyed, [(bot, data_key_id(1))], "other replicas hear of it");
    store.verify().await.unwrap();
}

/// Leaving takes the next wrap epoch, and which tenant a version belongs to is settled once.
pub async fn leaving_and_tenants_are_kept(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let acme = workspace_id("acme");
    let put_config = async |config: &KeyConfig| {
        let mut tx = store.begin("config").await.expect("a transaction");
        tx.put_key_config(config).await?;
        tx.commit().await.map(drop)
    };
    let config = key_config("acme", 1);
    let left = config.clone().leave(at(50));
    let same_epoch = KeyConfig { wrap_epoch: config.wrap_epoch, ..left.clone() };
    assert!(matches!(put_config(&same_epoch).await, Err(StoreError::Conflict(Conflict::WrapEpoch { .. }))));
    let (born, wrapping) = customer_key("acme", "bot", 2);
    store.insert_data_key(born.clone(), wrapping).await.unwrap();
    put_config(&left).await.unwrap();
    assert_eq!(store.key_config(&acme).await.unwrap(), Some(left));
    // One that was born before and not yet in use never comes into use, however often it is asked.
    for _ in 0..2 {
        let ended = store.activate_data_key(&acme, &born.app, born.id, at(51)).await;
        assert_eq!(ended, Ok(Activation::Left));
    }
    let given_up = store.data_key(&acme, &born.app, born.id).await.unwrap().expect("the row stays");
    assert_eq!(given_up.state, DataKeyState::Abandoned);
    let (key, wrapping) = customer_key("acme", "bot", 1);
    let late = store.insert_data_key(key, wrapping).await;
    assert!(matches!(late, Err(StoreError::Conflict(Conflict::WrapEpoch { .. }))), "{late:?}");

    let add = async |version: &KeyVersion| {
        let mut tx = store.begin("version").await.expect("a transaction");
        tx.add_key_version(version).await?;
        tx.commit().await.map(drop)
    };
    let known = key_version("acme", 1);
    let settled = KeyVersion { tenant: Some(config.tenant.clone()), ..known.clone() };
    add(&settled).await.unwrap();
    add(&known).await.unwrap();
    assert_eq!(store.key_version(&acme, known.id).await.unwrap(), Some(settled.clone()), "settled, it stays so");
    let other = "11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().expect("a well-formed GUID");
    let moved = KeyVersion { tenant: Some(other), ..settled };
    assert_eq!(add(&moved).await, Err(Conflict::KeySubstituted.into()));
    store.verify().await.unwrap();
}
