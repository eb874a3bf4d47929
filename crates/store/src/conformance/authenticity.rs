//! Promises about whoever can write to the database and does not hold the platform root: it shows.

use domain::Protection;

use super::Database;
use super::sample::{app_id, at, customer_key, data_key_id, event, furnish, key_version, workspace_id};
use crate::{Store, StoreError};

/// Two workspaces, an active data key and a pending one each.
async fn furnished(db: &dyn Database) -> Box<dyn Store> {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    for name in ["acme", "bell"] {
        for n in [1, 2] {
            let (key, wrapping) = customer_key(name, "bot", n);
            store.insert_data_key(key, wrapping).await.unwrap();
        }
        store.activate_data_key(&workspace_id(name), &app_id("bot"), data_key_id(1), at(5)).await.unwrap();
        store.record(event(Some(name), 1)).await.unwrap();
    }
    store.verify().await.unwrap();
    store
}

fn forged<T>(table: &'static str) -> Result<T, StoreError> {
    Err(StoreError::RowForged { table })
}

/// What a person at the database might want to change: a tombstone lifted, a key version replaced, a lease prolonged, an
/// abandoned key revived, a wrapping exchanged, history rewritten. Every reader refuses.
pub async fn an_edited_row_is_refused(db: &dyn Database) {
    drop(furnished(db).await);
    for sql in [
        "UPDATE workspaces SET deleted_at = 1 WHERE workspace = 'acme'",
        "UPDATE apps SET kind = 2 WHERE workspace = 'acme'",
        "UPDATE key_configs SET lease = lease + 1 WHERE workspace = 'acme'",
        "UPDATE key_versions SET hsm = 1 - hsm WHERE workspace = 'acme'",
        "UPDATE data_keys SET created_at = created_at + 1 WHERE workspace = 'acme'",
        "UPDATE wrappings SET created_at = created_at + 1 WHERE workspace = 'bell'",
        "UPDATE audit SET actor = 'bob' WHERE workspace = 'acme'",
    ] {
        db.tamper(sql).await;
    }
    let store = db.open().await;
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    assert_eq!(store.workspace(&acme).await, forged("workspaces"));
    assert_eq!(store.app(&acme, &bot).await, forged("apps"));
    assert_eq!(store.apps(&acme, None, 10).await, forged("apps"));
    assert_eq!(store.key_config(&acme).await, forged("key_configs"));
    assert_eq!(store.key_version(&acme, key_version("acme", 1).id).await, forged("key_versions"));
    assert_eq!(store.key_versions(&acme).await, forged("key_versions"));
    assert_eq!(store.data_key(&acme, &bot, data_key_id(1)).await, forged("data_keys"));
    assert_eq!(store.active_data_key(&acme, &bot, Protection::CustomerKey).await, forged("data_keys"));
    assert_eq!(store.data_keys(&acme, None, 10).await, forged("data_keys"));
    assert_eq!(store.wrapping(&acme, data_key_id(1)).await, forged("data_keys"));
    assert_eq!(store.wrapping(&workspace_id("bell"), data_key_id(1)).await, forged("wrappings"));
    assert_eq!(store.audit(Some(&acme), 0, 10).await, forged("audit"));
    let mut tx = store.begin("read").await.unwrap();
    assert_eq!(tx.workspace(&acme).await, forged("workspaces"));
    assert_eq!(tx.app(&acme, &bot).await, forged("apps"));
    assert_eq!(tx.key_config(&acme).await, forged("key_configs"));
    drop(tx);
    assert!(matches!(store.verify().await, Err(StoreError::RowForged { .. })));
}

/// A row made for one workspace, app or data key and given another's name; a data key sent to another's wrapping.
pub async fn a_row_under_another_name_is_refused(db: &dyn Database) {
    drop(furnished(db).await);
    db.tamper("UPDATE wrappings SET data_key = x'd0d0d0d0d0d0d0d00000000000000002' WHERE workspace = 'acme'").await;
    db.tamper("UPDATE apps SET app = 'crm' WHERE workspace = 'bell'").await;
    db.tamper("UPDATE data_keys SET wrapping = 3 - wrapping WHERE workspace = 'bell'").await;
    let store = db.open().await;
    assert_eq!(store.wrapping(&workspace_id("acme"), data_key_id(1)).await, forged("wrappings"));
    assert_eq!(store.app(&workspace_id("bell"), &app_id("crm")).await, forged("apps"));
    assert_eq!(store.wrapping(&workspace_id("bell"), data_key_id(1)).await, forged("data_keys"));
}

/// Two authentic codes, each on the other's row.
pub async fn exchanged_codes_are_refused(db: &dyn Database) {
    drop(furnished(db).await);
    db.tamper("CREATE TABLE kept AS SELECT data_key, mac FROM data_keys WHERE workspace = 'acme'").await;
    db.tamper(
        "UPDATE data_keys SET mac = (SELECT mac FROM kept WHERE kept.data_key <> data_keys.data_key)
         WHERE workspace = 'acme'",
    )
    .await;
    let store = db.open().await;
    for n in [1, 2] {
        let read = store.data_key(&workspace_id("acme"), &app_id("bot"), data_key_id(n)).await;
        assert_eq!(read, forged("data_keys"));
    }
}

/// A deleted row leaves nothing to refuse; the set it was counted into no longer adds up.
pub async fn a_deleted_row_shows(db: &dyn Database) {
    drop(furnished(db).await);
    db.tamper("DELETE FROM wrappings WHERE workspace = 'acme' AND data_key = x'd0d0d0d0d0d0d0d00000000000000002'")
        .await;
    let store = db.open().await;
    // The data key names its wrapping, so whoever looks for it misses it; what nothing names only the set misses.
    assert_eq!(store.wrapping(&workspace_id("acme"), data_key_id(2)).await, forged("wrappings"));
    let set = Err(StoreError::SetForged { workspace: Some(workspace_id("acme")) });
    assert_eq!(store.verify().await, set);
    drop(store);

    // Nor is it enough to delete everything that tells of a workspace.
    for table in ["wrappings", "data_keys", "key_configs", "key_versions", "apps", "audit", "workspaces", "sets"] {
        db.tamper(&format!("DELETE FROM {table} WHERE workspace = 'acme'")).await;
    }
    let store = db.open().await;
    assert_eq!(store.verify().await, Err(StoreError::SetForged { workspace: None }));
}

/// An older state of a row, authentic in its day and put back: here an abandoned key that is to encrypt again.
pub async fn an_older_row_put_back_shows(db: &dyn Database) {
    drop(furnished(db).await);
    db.tamper("CREATE TABLE kept AS SELECT * FROM data_keys WHERE workspace = 'acme' AND state = 1").await;
    let store = db.open().await;
    let acme = workspace_id("acme");
    store.activate_data_key(&acme, &app_id("bot"), data_key_id(2), at(6)).await.unwrap();
    store.verify().await.unwrap();
    drop(store);
    db.tamper("DELETE FROM data_keys WHERE workspace = 'acme' AND data_key IN (SELECT data_key FROM kept)").await;
    db.tamper("INSERT INTO data_keys SELECT * FROM kept").await;
    let store = db.open().await;
    assert!(store.data_key(&acme, &app_id("bot"), data_key_id(2)).await.unwrap().is_some(), "authentic by itself");
    assert_eq!(store.verify().await, Err(StoreError::SetForged { workspace: Some(acme) }));
}

/// The end of a chain cut off: every event that is left follows, and the set says where the chain ended.
pub async fn a_shortened_chain_shows(db: &dyn Database) {
    drop(furnished(db).await);
    db.tamper("DELETE FROM audit WHERE workspace = 'acme' AND seq = 2").await;
    let store = db.open().await;
    let broken = Err(StoreError::ChainBroken { workspace: Some(workspace_id("acme")), seq: 2 });
    assert_eq!(store.verify().await, broken);
    drop(store);
    db.tamper("DELETE FROM audit WHERE workspace = 'bell' AND seq = 1").await;
    let store = db.open().await;
    assert!(matches!(store.verify().await, Err(StoreError::ChainBroken { .. })));
}

/// One workspace's forged row is that workspace's trouble: commands of the others that share its commit go through.
pub async fn a_forged_row_stops_nobody_else(db: &dyn Database) {
    drop(furnished(db).await);
    db.tamper("UPDATE key_configs SET wrap_epoch = 9 WHERE workspace = 'acme'").await;
    let store = db.open().await;
    let (one, wrapping) = customer_key("acme", "bot", 3);
    let (other, others_wrapping) = customer_key("bell", "bot", 3);
    let (refused, stored) =
        tokio::join!(store.insert_data_key(one, wrapping), store.insert_data_key(other.clone(), others_wrapping));
    assert_eq!(refused, forged("key_configs"));
    stored.unwrap();
    assert_eq!(store.data_key(&other.workspace, &other.app, other.id).await.unwrap(), Some(other));
}
