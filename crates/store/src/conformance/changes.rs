//! What other replicas hear of a change.

use std::time::Duration;

use domain::audit::{AuditEvent, AuditKind};
use domain::{KeyConfig, KeyVersionId, Reason};

use super::Database;
use super::sample::{app, app_id, at, customer_key, event, furnish, key_config, workspace, workspace_id};
use crate::{ControlChange, RecordedDenial, Store};

async fn changes(store: &dyn Store, since: &mut u64) -> Vec<ControlChange> {
    let (revision, changes) = store.changed_since(*since).await.unwrap();
    assert!(revision >= *since, "I-6");
    *since = revision;
    changes
}

/// I-13: every deletion, configuration and denial is told once to who asks by revision, with its workspace.
pub async fn every_change_that_decides_is_told_by_revision(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot", "app"]).await;
    let mut seen = 0;
    let first = changes(&*store, &mut seen).await;
    assert_eq!(first.iter().map(|change| change.workspace.as_str()).collect::<Vec<_>>(), ["acme", "bell"]);
    assert_eq!(changes(&*store, &mut seen).await, []);

    let mut tx = store.begin("a deletion").await.unwrap();
    tx.put_app(&domain::App { deleted_at: Some(at(9)), ..app("acme", "bot") }).await.unwrap();
    tx.commit().await.unwrap();
    let expected = ControlChange { deleted_apps: vec![app_id("bot")], ..ControlChange::none(workspace_id("acme")) };
    assert_eq!(changes(&*store, &mut seen).await, [expected]);

    let mut tx = store.begin("a configuration").await.unwrap();
    let lowered = KeyConfig { lease: Duration::from_secs(7), ..key_config("bell", 1) };
    tx.put_key_config(&lowered).await.unwrap();
    tx.commit().await.unwrap();
    let expected = ControlChange { lease: Some(lowered.lease), ..ControlChange::none(workspace_id("bell")) };
    assert_eq!(changes(&*store, &mut seen).await, [expected]);

    let version = KeyVersionId::from_bytes([1; 16]);
    let reason = Reason::KeyDisabled;
    let what = AuditKind::VaultDenied { reason, version };
    let denied = AuditEvent { workspace: Some(workspace_id("acme")), at: at(9), actor: "service".to_owned(), what };
    store.record(event(Some("acme"), 3)).await.unwrap();
    store.record(denied).await.unwrap();
    store.record(event(Some("acme"), 4)).await.unwrap();
    let denials = vec![RecordedDenial { at: at(9), version, reason }];
    let expected = ControlChange { denials, ..ControlChange::none(workspace_id("acme")) };
    assert_eq!(changes(&*store, &mut seen).await, [expected]);

    let mut tx = store.begin("a deletion").await.unwrap();
    tx.put_workspace(&domain::Workspace { deleted_at: Some(at(9)), ..workspace("acme") }).await.unwrap();
    tx.commit().await.unwrap();
    let expected = ControlChange { deleted: true, ..ControlChange::none(workspace_id("acme")) };
    assert_eq!(changes(&*store, &mut seen).await, [expected]);
    assert_eq!(changes(&*store, &mut seen).await, []);
}

/// What happens all the time and decides nothing about keys in memory is not told: it would make every replica read anew.
pub async fn what_decides_nothing_is_not_told(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut seen = store.revision().await.unwrap();
    let (key, wrapping) = customer_key("acme", "bot", 1);
    store.insert_data_key(key.clone(), wrapping).await.unwrap();
    store.activate_data_key(&key.workspace, &key.app, key.id, at(5)).await.unwrap();
    let mut tx = store.begin("a name").await.unwrap();
    tx.put_app(&domain::App { display_name: "Another name".to_owned(), ..app("acme", "bot") }).await.unwrap();
    tx.put_workspace(&domain::Workspace { display_name: "Another name".to_owned(), ..workspace("acme") })
        .await
        .unwrap();
    tx.commit().await.unwrap();
    store.record(event(Some("acme"), 1)).await.unwrap();
    let before = seen;
    assert_eq!(changes(&*store, &mut seen).await, []);
    assert!(seen > before);
}

/// A forged row is its own workspace's trouble: the others' changes are told all the same.
pub async fn a_forged_row_hides_no_other_change(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    drop(store);
    db.tamper("UPDATE key_configs SET lease = 299000000 WHERE workspace = 'acme'").await;
    let store = db.open().await;
    let (_, changes) = store.changed_since(0).await.unwrap();
    assert_eq!(changes.iter().map(|change| change.unreadable).collect::<Vec<_>>(), [true, false]);
    assert_eq!(changes[1].lease, Some(key_config("bell", 1).lease));
}
