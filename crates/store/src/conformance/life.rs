//! Promises about the life of a key and the selection of its apps.

use domain::DataKeyState;
use domain::key_life::KeyLife;

use super::Database;
use super::sample::{app, app_id, app_selection, at, customer_key, furnish, lives, platform_key, workspace_id};
use crate::{Conflict, StoreError};

/// A life in each of its states is read back as it was written, also after a restart and beside another workspace's.
pub async fn a_life_is_read_back_in_every_state(db: &dyn Database) {
    let names: Vec<String> = (0..lives("acme").len()).map(|n| format!("acme-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let store = db.open().await;
    furnish(&*store, &names, &["bot"]).await;
    let written: Vec<KeyLife> = names.iter().enumerate().map(|(n, name)| lives(name)[n].clone()).collect();
    assert_eq!(store.key_life(&workspace_id(names[0])).await, Ok(None));
    let mut tx = store.begin("lives").await.unwrap();
    for life in &written {
        tx.put_key_life(life).await.unwrap();
        assert_eq!(tx.key_life(&life.workspace).await.unwrap().as_ref(), Some(life));
    }
    tx.commit().await.unwrap();
    store.verify().await.unwrap();
    drop(store);
    let store = db.open().await;
    for life in &written {
        assert_eq!(store.key_life(&life.workspace).await.unwrap().as_ref(), Some(life));
    }
}

/// A life changes one step at a time: of two decisions made from the same reading the second finds it moved, and fails.
pub async fn a_life_changes_one_step_at_a_time(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let first = lives("acme")[0].clone();
    let put = async |life: KeyLife| {
        let mut tx = store.begin("life").await.unwrap();
        tx.put_key_life(&life).await?;
        tx.commit().await.map(|_| ())
    };
    let moved = |present| Err(StoreError::Conflict(Conflict::LifeMoved { present }));
    assert_eq!(put(KeyLife { change: 2, ..first.clone() }).await, moved(0));
    assert_eq!(put(first.clone()).await, Ok(()));
    assert_eq!(put(first.clone()).await, moved(1));
    assert_eq!(put(KeyLife { change: 3, ..first.clone() }).await, moved(1));
    let second = KeyLife { change: 2, every_app: false, changed_at: at(20), ..first.clone() };
    assert_eq!(put(second.clone()).await, Ok(()));
    assert_eq!(store.key_life(&first.workspace).await, Ok(Some(second)));
    let nowhere = KeyLife { workspace: workspace_id("nowhere"), ..first };
    assert_eq!(put(nowhere).await, Err(Conflict::NoWorkspace.into()));
}

/// Whoever keeps the dates finds those that are not decided, and those decided against, and no other key's life.
pub async fn undecided_dates_are_found_soonest_first(db: &dyn Database) {
    let names: Vec<String> = (0..lives("acme").len()).map(|n| format!("acme-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let store = db.open().await;
    furnish(&*store, &names, &["bot"]).await;
    let mut tx = store.begin("lives").await.unwrap();
    for (n, name) in names.iter().enumerate() {
        tx.put_key_life(&lives(name)[n]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let found: Vec<_> = store.undecided_lives().await.unwrap().into_iter().map(|life| life.workspace).collect();
    // A draft with a date kept over an edit, a scheduled one and one that was held.
    assert_eq!(found, [workspace_id("acme-1"), workspace_id("acme-2"), workspace_id("acme-3")]);
}

/// A configuration that changes before it is in force takes the data keys with it that were made ready for it: none of them
/// can be made active any more, and the platform's stay.
pub async fn staged_data_keys_go_out_of_use_together(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot", "crm"]).await;
    let acme = workspace_id("acme");
    let (active, pending) = (customer_key("acme", "bot", 1), customer_key("acme", "crm", 2));
    let platform = platform_key("acme", "bot", 3);
    for (key, wrapping) in [active.clone(), pending.clone(), platform.clone()] {
        store.insert_data_key(key, wrapping).await.unwrap();
    }
    for (key, app) in [(&active.0, "bot"), (&platform.0, "bot")] {
        store.activate_data_key(&acme, &app_id(app), key.id, at(20)).await.unwrap();
    }
    let mut tx = store.begin("edit").await.unwrap();
    assert_eq!(tx.abandon_staged(&acme, at(30)).await, Ok(2));
    assert_eq!(tx.abandon_staged(&acme, at(30)).await, Ok(0));
    tx.commit().await.unwrap();
    let state = async |app: &str, id| store.data_key(&acme, &app_id(app), id).await.unwrap().unwrap().state;
    assert_eq!(state("bot", active.0.id).await, DataKeyState::Abandoned);
    assert_eq!(state("crm", pending.0.id).await, DataKeyState::Abandoned);
    assert_eq!(state("bot", platform.0.id).await, DataKeyState::Active);
    assert!(store.activate_data_key(&acme, &app_id("crm"), pending.0.id, at(40)).await.is_err());
    store.verify().await.unwrap();
}

/// A selection is read back app by app and as a whole, may be changed, also for an app that was deleted, and not for one that
/// never was; what is live is listed inside the transaction.
pub async fn a_selection_is_kept_app_by_app(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot", "crm"]).await;
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    let mut tx = store.begin("select").await.unwrap();
    for selection in [app_selection("acme", "bot", true), app_selection("acme", "crm", false)] {
        tx.put_app_selection(&selection).await.unwrap();
    }
    let missing = tx.put_app_selection(&app_selection("acme", "nobody", true)).await;
    assert_eq!(missing, Err(Conflict::NoApp.into()));
    tx.commit().await.unwrap();
    assert_eq!(store.app_selection(&acme, &bot).await.unwrap(), Some(app_selection("acme", "bot", true)));
    assert_eq!(store.app_selections(&acme).await.unwrap().len(), 2);
    assert_eq!(store.app_selections(&workspace_id("bell")).await.unwrap(), []);

    let mut tx = store.begin("delete and take out").await.unwrap();
    let mut gone = app("acme", "bot");
    gone.deleted_at = Some(at(30));
    tx.put_app(&gone).await.unwrap();
    tx.put_app_selection(&app_selection("acme", "bot", false)).await.unwrap();
    let live: Vec<_> = tx.live_apps(&acme).await.unwrap().into_iter().map(|app| app.id).collect();
    assert_eq!(live, [app_id("crm")]);
    assert_eq!(tx.app_selections(&acme).await.unwrap()[0], app_selection("acme", "bot", false));
    tx.commit().await.unwrap();
    store.verify().await.unwrap();
}

/// Whoever can write to the database moves no date, arms nothing, switches nothing on and selects no app: each shows.
pub async fn a_forged_life_or_selection_is_refused(db: &dyn Database) {
    for sql in [
        "UPDATE key_lives SET state = 2 WHERE workspace = 'acme'",
        "UPDATE key_lives SET plan_at = plan_at + 1 WHERE workspace = 'acme'",
        "UPDATE key_lives SET every_app = 0 WHERE workspace = 'acme'",
        "UPDATE key_lives SET revoked_by = 1, revoked_since = 1 WHERE workspace = 'acme'",
    ] {
        let store = db.open().await;
        if store.workspace(&workspace_id("acme")).await.unwrap().is_none() {
            furnish(&*store, &["acme"], &["bot"]).await;
            let mut tx = store.begin("life").await.unwrap();
            tx.put_key_life(&lives("acme")[4]).await.unwrap();
            tx.put_app_selection(&app_selection("acme", "bot", false)).await.unwrap();
            tx.commit().await.unwrap();
        }
        drop(store);
        let before = "CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM key_lives";
        db.tamper(before).await;
        db.tamper(sql).await;
        let store = db.open().await;
        let read = store.key_life(&workspace_id("acme")).await;
        assert_eq!(read, Err(StoreError::RowForged { table: "key_lives" }), "{sql}");
        drop(store);
        db.tamper("DELETE FROM key_lives; INSERT INTO key_lives SELECT * FROM kept").await;
    }
    db.tamper("UPDATE app_selections SET selected = 1").await;
    let store = db.open().await;
    let read = store.app_selection(&workspace_id("acme"), &app_id("bot")).await;
    assert_eq!(read, Err(StoreError::RowForged { table: "app_selections" }));
    drop(store);
    // The life taken away whole is no forged row; the set shows that it is missing.
    db.tamper("DELETE FROM key_lives; UPDATE app_selections SET selected = 0").await;
    assert!(matches!(db.open().await.verify().await, Err(StoreError::SetForged { .. })));
}
