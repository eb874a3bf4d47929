//! Promises about named transactions: as a whole or not at all, and nobody sees half of one.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

use super::Database;
use super::sample::{
    app, at, customer_key, data_key_id, event, furnish, key_config, key_version, workspace, workspace_id,
};
use crate::{Conflict, StoreError};

/// Everything a transaction wrote is there after its commit, and after a restart; the revision it answers is the store's.
pub async fn a_transaction_happens_as_a_whole(db: &dyn Database) {
    let store = db.open().await;
    let mut tx = store.begin("create").await.unwrap();
    tx.put_workspace(&workspace("acme")).await.unwrap();
    tx.put_app(&app("acme", "bot")).await.unwrap();
    tx.add_key_version(&key_version("acme", 1)).await.unwrap();
    tx.put_key_config(&key_config("acme", 1)).await.unwrap();
    tx.append_audit(event(Some("acme"), 1)).await.unwrap();
    tx.append_audit(event(Some("acme"), 2)).await.unwrap();
    let revision = tx.commit().await.unwrap();
    drop(store);

    let store = db.open().await;
    assert_eq!(store.revision().await.unwrap(), revision);
    let acme = workspace_id("acme");
    assert_eq!(store.key_config(&acme).await.unwrap(), Some(key_config("acme", 1)));
    assert_eq!(store.audit(Some(&acme), 0, 10).await.unwrap().len(), 2);
    assert_eq!(store.verify().await.unwrap().rows, 4);
}

/// Forgotten, returned from early or panicked through: what was not committed never happened.
pub async fn a_dropped_transaction_never_happened(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let before = (store.revision().await.unwrap(), store.verify().await.unwrap());
    let mut tx = store.begin("forgotten").await.unwrap();
    let mut renamed = workspace("acme");
    renamed.display_name = "Renamed".to_owned();
    tx.put_workspace(&renamed).await.unwrap();
    tx.put_workspace(&workspace("bell")).await.unwrap();
    tx.append_audit(event(Some("acme"), 1)).await.unwrap();
    drop(tx);

    // The next writer gets its turn only after the rollback.
    store.begin("next").await.unwrap().commit().await.unwrap();
    assert_eq!((store.revision().await.unwrap(), store.verify().await.unwrap()), before);
    assert_eq!(store.workspace(&renamed.id).await.unwrap(), Some(workspace("acme")));
    assert_eq!(store.workspace(&workspace_id("bell")).await.unwrap(), None);
    drop(store);
    assert_eq!(db.open().await.workspace(&workspace_id("bell")).await.unwrap(), None);
}

/// A step that is refused leaves nothing behind, and the transaction may go on.
pub async fn a_refused_step_leaves_the_others(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut tx = store.begin("mixed").await.unwrap();
    tx.put_app(&app("acme", "crm")).await.unwrap();
    let mut skipping = key_config("acme", 2);
    skipping.wrap_epoch = 7;
    let refused = tx.put_key_config(&skipping).await;
    assert_eq!(refused, Err(StoreError::Conflict(Conflict::WrapEpoch { present: Some(1) })));
    tx.append_audit(event(Some("acme"), 1)).await.unwrap();
    tx.commit().await.unwrap();
    let acme = workspace_id("acme");
    assert_eq!(store.apps(&acme, None, 10).await.unwrap().len(), 2);
    assert_eq!(store.key_config(&acme).await.unwrap(), Some(key_config("acme", 1)));
    store.verify().await.unwrap();
}

/// A transaction reads its own writes; everybody else reads what was committed last, and is not kept waiting for it.
pub async fn nobody_else_sees_a_transaction_before_its_commit(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let (acme, mut renamed) = (workspace_id("acme"), workspace("acme"));
    renamed.display_name = "Renamed".to_owned();
    let mut tx = store.begin("rename").await.unwrap();
    tx.put_workspace(&renamed).await.unwrap();
    tx.put_key_config(&key_config("acme", 2)).await.unwrap();
    tx.put_app(&app("acme", "crm")).await.unwrap();
    assert_eq!(tx.workspace(&acme).await.unwrap(), Some(renamed.clone()));
    assert_eq!(tx.key_config(&acme).await.unwrap(), Some(key_config("acme", 2)));
    assert_eq!(tx.app(&acme, &app("acme", "crm").id).await.unwrap(), Some(app("acme", "crm")));
    let version = key_version("acme", 1);
    assert_eq!(tx.key_version(&acme, version.id).await.unwrap(), Some(version));

    assert_eq!(store.workspace(&acme).await.unwrap(), Some(workspace("acme")));
    assert_eq!(store.key_config(&acme).await.unwrap(), Some(key_config("acme", 1)));
    assert_eq!(store.apps(&acme, None, 10).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    assert_eq!(store.workspace(&acme).await.unwrap(), Some(renamed));
    assert_eq!(store.key_config(&acme).await.unwrap(), Some(key_config("acme", 2)));
}

/// A request cancelled while it waits for its turn takes nobody's turn away, and small commands wait for an open
/// transaction instead of failing.
pub async fn a_transaction_nobody_waits_for_is_rolled_back(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut open = store.begin("open").await.unwrap();
    open.put_app(&app("acme", "crm")).await.unwrap();
    let mut nowhere = Context::from_waker(Waker::noop());
    {
        let mut cancelled = pin!(store.begin("cancelled"));
        assert!(cancelled.as_mut().poll(&mut nowhere).is_pending());
    }
    let (key, wrapping) = customer_key("acme", "crm", 1);
    let mut waiting = pin!(store.insert_data_key(key, wrapping));
    assert!(waiting.as_mut().poll(&mut nowhere).is_pending());
    open.commit().await.unwrap();
    waiting.await.expect("the app it needs was committed before its turn came");
    store.record(event(None, 1)).await.unwrap();
    store.verify().await.unwrap();
}

/// A commit of nothing, and one of what was there already, are no commits: a replica that follows revisions sleeps on.
pub async fn a_transaction_that_wrote_nothing_moves_nothing(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let before = store.revision().await.unwrap();
    let mut tx = store.begin("look").await.unwrap();
    tx.workspace(&workspace_id("acme")).await.unwrap();
    tx.add_key_version(&key_version("acme", 1)).await.unwrap();
    assert_eq!(tx.commit().await.unwrap(), before);
    let (acme, bot) = (workspace_id("acme"), app("acme", "bot").id);
    let unknown = store.activate_data_key(&acme, &bot, data_key_id(1), at(1)).await;
    assert_eq!(unknown, Err(Conflict::NoDataKey.into()));
    assert_eq!(store.revision().await.unwrap(), before);
}
