//! The codes of rows are what their refusals rest on; and what is forged of one workspace is its own trouble, unless it cannot be
//! told whose it is.

#[path = "fixture/mod.rs"]
mod fixture;
#[path = "fixture/whole.rs"]
mod whole;

use std::sync::Arc;
use std::time::Duration;

use domain::row_seal::{RowMac, RowSeal};
use domain::{Hour, KeyUsage};
use rusqlite::Connection;
use store::conformance::sample::{app_id, at, customer_key, data_key_id, event, furnish, usage, workspace_id};
use store::conformance::{Database as _, TestSeal};
use store::sqlite::SqliteStore;
use store::{ControlChange, Store, StoreError, UsageDropped};

use self::fixture::SqliteFile;
use self::whole::fill;

/// Seeded bug: a store that takes every code for good reads the edited row as if nothing had happened. So it is the codes,
/// and nothing else, that the refusals above rest on.
#[tokio::test]
async fn without_its_codes_an_edited_row_would_be_believed() {
    struct Credulous(TestSeal);
    impl RowSeal for Credulous {
        fn seal(&self, row: &[u8]) -> RowMac {
            self.0.seal(row)
        }
        fn verify(&self, _: &[u8], _: &RowMac) -> bool {
            true
        }
    }
    let file = SqliteFile::new();
    furnish(&*file.open().await, &["acme"], &["bot"]).await;
    file.tamper("UPDATE key_configs SET lease = 999 WHERE workspace = 'acme'").await;
    let acme = workspace_id("acme");
    assert_eq!(file.open().await.key_config(&acme).await, Err(StoreError::RowForged { table: "key_configs" }));
    let mut options = file.options();
    options.row_seal = Arc::new(Credulous(TestSeal::default()));
    let believed = SqliteStore::open(options).unwrap().key_config(&acme).await.unwrap().unwrap();
    assert_eq!(believed.lease, Duration::from_micros(999));
}

/// Copies a database into one that is attached to the connection as `old`.
fn keep_all(file: &SqliteFile, raw: &Connection) {
    let old = file.dir().join("old.db");
    raw.execute("VACUUM INTO ?1", [old.to_str().unwrap()]).unwrap();
    raw.execute("ATTACH ?1 AS old", [old.to_str().unwrap()]).unwrap();
}

/// Another row of a workspace that is authentic by itself: its life, changed.
async fn change_life(store: &dyn Store, name: &str) {
    let mut tx = store.begin("life").await.unwrap();
    let mut life = tx.key_life(&workspace_id(name)).await.unwrap().unwrap();
    (life.change, life.changed_at) = (life.change + 1, at(900));
    tx.put_key_life(&life).await.unwrap();
    tx.commit().await.unwrap();
}

/// A workspace that is distrusted as a whole stops nobody else: the feed tells that it cannot be read and goes on, and every list of
/// all workspaces is of the others.
#[tokio::test]
async fn a_distrusted_workspace_stops_nobody_else() {
    let file = SqliteFile::new();
    let store = file.open().await;
    fill(&*store).await;
    let (acme, bell) = (workspace_id("acme"), workspace_id("bell"));
    let open_before = store.open_operations().await.unwrap();
    assert!(["acme", "bell"].iter().all(|name| open_before.iter().any(|one| one.workspace.as_str() == *name)));
    let known = store.revision().await.unwrap();
    change_life(&*store, "bell").await;
    change_life(&*store, "acme").await;
    file.tamper("DELETE FROM app_selections WHERE workspace = 'bell'").await;
    let set = StoreError::SetForged { workspace: Some(bell.clone()) };
    assert_eq!(store.verify().await, Err(set.clone()));

    assert_eq!(store.key_life(&bell).await, Err(set.clone()));
    assert_eq!(store.record(event(Some("bell"), 3)).await, Err(set));
    store.record(event(Some("acme"), 3)).await.unwrap();
    let (_, changes) = store.changed_since(known).await.unwrap();
    let told: Vec<_> = changes.iter().map(|change| (change.workspace.clone(), change.unreadable)).collect();
    assert_eq!(told, [(acme.clone(), false), (bell.clone(), true)]);
    assert_eq!(changes[0].switched_off, Some(false));
    let whose = |of: Vec<domain::Operation>| of.into_iter().map(|one| one.workspace).collect::<Vec<_>>();
    let of_acme: Vec<_> = whose(open_before).into_iter().filter(|one| *one == acme).collect();
    assert_eq!(whose(store.open_operations().await.unwrap()), of_acme);
    let listed = store.workspaces(None, 10).await.unwrap();
    assert_eq!(listed.into_iter().map(|one| one.id).collect::<Vec<_>>(), std::slice::from_ref(&acme));
    assert_eq!(store.chains(None, 1).await.unwrap(), std::slice::from_ref(&acme));
    let lives = store.undecided_lives().await.unwrap();
    assert!(lives.iter().all(|life| life.workspace == acme));
}

/// A page is as long as it was asked for, whoever is left out of it: one that came short would be taken for the last.
#[tokio::test]
async fn a_page_is_full_although_a_row_is_left_out() {
    let file = SqliteFile::new();
    let store = file.open().await;
    furnish(&*store, &["acme", "bell", "carl"], &["bot"]).await;
    file.tamper("UPDATE workspaces SET display_name = 'x' WHERE workspace = 'acme'").await;
    let others = [workspace_id("bell"), workspace_id("carl")];
    assert_eq!(store.chains(None, 2).await.unwrap(), others);
    let listed = store.workspaces(None, 2).await.unwrap();
    assert_eq!(listed.into_iter().map(|one| one.id).collect::<Vec<_>>(), others);
    assert_eq!(store.workspaces(None, 0).await.unwrap(), []);
}

/// An older row put back is found although another workspace's row, which the check meets before, is forged.
#[tokio::test]
async fn a_forged_row_hides_no_older_one() {
    for forgery in [
        "UPDATE workspaces SET display_name = 'x' WHERE workspace = 'acme'",
        "UPDATE audit SET actor = 'bob' WHERE workspace = 'acme' AND seq = 1",
        "DELETE FROM audit WHERE workspace = 'acme' AND seq = 1",
        "UPDATE sets SET rows = rows + 1 WHERE workspace = 'acme'",
        "UPDATE workspaces SET workspace = 'no name' WHERE workspace = 'acme'",
    ] {
        let file = SqliteFile::new();
        let store = file.open().await;
        fill(&*store).await;
        let raw = file.raw();
        keep_all(&file, &raw);
        change_life(&*store, "bell").await;
        store.verify().await.unwrap();
        let bell = workspace_id("bell");
        let older = "INSERT OR REPLACE INTO main.key_lives SELECT * FROM old.key_lives WHERE workspace = 'bell'";
        raw.execute_batch(&format!("{older}; {forgery}")).unwrap();
        assert!(store.key_life(&bell).await.unwrap().is_some(), "authentic by itself");
        let first = store.verify().await.unwrap_err();
        assert!(first.is_forged() && first != StoreError::SetForged { workspace: Some(bell.clone()) }, "{first}");
        let set = StoreError::SetForged { workspace: Some(bell.clone()) };
        assert_eq!(store.key_life(&bell).await, Err(set.clone()), "{forgery}");
        assert_eq!(store.data_key(&bell, &app_id("bot"), data_key_id(1)).await, Err(set), "{forgery}");
        assert!(store.key_life(&workspace_id("acme")).await.is_err(), "{forgery}");
        // The database is itself the one that it was: whoever is not named here is served.
        store.changed_since(0).await.unwrap();
    }
}

/// I-6: a whole workspace put back, set and chain and all, adds up in itself. That its set is not the one which the database speaks of
/// shows, and not whose: nothing is read or written any more, as of a database put back whole.
#[tokio::test]
async fn a_workspace_put_back_whole_stops_the_database() {
    let file = SqliteFile::new();
    let store = file.open().await;
    fill(&*store).await;
    let raw = file.raw();
    keep_all(&file, &raw);
    change_life(&*store, "bell").await;
    store.record(event(Some("bell"), 3)).await.unwrap();
    store.verify().await.unwrap();
    let now = file.dir().join("now.db");
    raw.execute("VACUUM INTO ?1", [now.to_str().unwrap()]).unwrap();
    raw.execute("ATTACH ?1 AS now", [now.to_str().unwrap()]).unwrap();
    let tables: Vec<String> = raw
        .prepare("SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'workspace'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(tables.iter().any(|table| table == "sets") && tables.iter().any(|table| table == "audit"));
    let put = |from: &str| {
        for table in &tables {
            let sql = format!(
                "DELETE FROM main.{table} WHERE workspace = 'bell';
                 INSERT INTO main.{table} SELECT * FROM {from}.{table} WHERE workspace = 'bell'"
            );
            raw.execute_batch(&sql).unwrap();
        }
    };
    put("old");
    let (acme, bell) = (workspace_id("acme"), workspace_id("bell"));
    assert!(store.key_life(&bell).await.unwrap().is_some(), "authentic, and adds up");
    for _ in 0..2 {
        assert_eq!(store.verify().await, Err(StoreError::SetForged { workspace: None }));
        for whose in [&acme, &bell] {
            assert_eq!(store.key_life(whose).await, Err(StoreError::RolledBack));
        }
        assert_eq!(store.revision().await, Err(StoreError::RolledBack));
        assert_eq!(store.changed_since(0).await.map(drop), Err(StoreError::RolledBack));
        assert_eq!(store.record(event(Some("acme"), 4)).await, Err(StoreError::RolledBack));
        assert_eq!(store.workspaces(None, 10).await, Err(StoreError::RolledBack));
    }
    put("now");
    store.verify().await.unwrap();
    assert!(store.key_life(&bell).await.unwrap().is_some());
    store.record(event(Some("acme"), 4)).await.unwrap();
}

/// What is counted and dropped for all workspaces together goes past the one whose rows are forged, and answers whose they are. In order
/// again, the same flush adds what was left out, once.
#[tokio::test]
async fn forged_counts_stop_nobody_elses() {
    for (forgery, back) in [
        (
            "UPDATE usage SET opens = opens + 1 WHERE workspace = 'bell'; UPDATE data_keys SET wrap_epoch = 9 WHERE workspace = 'bell'",
            "UPDATE usage SET opens = opens - 1 WHERE workspace = 'bell'; UPDATE data_keys SET wrap_epoch = 1 WHERE workspace = 'bell'",
        ),
        (
            "UPDATE sets SET rows = rows + 1 WHERE workspace = 'bell'",
            "UPDATE sets SET rows = rows - 1 WHERE workspace = 'bell'",
        ),
        // A set that is not there is not begun anew.
        (
            "CREATE TABLE s AS SELECT * FROM sets WHERE workspace = 'bell'; DELETE FROM sets WHERE workspace = 'bell'",
            "INSERT INTO sets SELECT * FROM s; DROP TABLE s",
        ),
    ] {
        let file = SqliteFile::new();
        let store = file.open().await;
        furnish(&*store, &["acme", "bell"], &["bot"]).await;
        for name in ["acme", "bell"] {
            let (key, wrapping) = customer_key(name, "bot", 1);
            store.insert_data_key(key, wrapping).await.unwrap();
            store.add_usage(vec![counted(name, 1), counted(name, 2)]).await.unwrap();
        }
        file.tamper(forgery).await;
        let bell = workspace_id("bell");
        let flush = || vec![counted("bell", 3), counted("acme", 3), counted("bell", 4), counted("acme", 4)];
        assert_eq!(store.add_usage(flush()).await, Ok([bell.clone()].into()), "{forgery}");
        assert_eq!(hours(&*store, "acme").await, 4, "{forgery}");
        // A page is as full as it was asked for, past whatever is left out.
        let before = Hour::of_number(490_003);
        let first = store.drop_usage(before, 1, UsageDropped::default()).await.unwrap();
        assert_eq!((first.rows, first.more), (1, true), "{forgery}");
        let rest = store.drop_usage(before, 9, first).await.unwrap();
        assert_eq!((rest.rows, rest.more), (1, false), "{forgery}");
        assert_eq!(hours(&*store, "acme").await, 2, "{forgery}");
        let refused = Err(StoreError::SetForged { workspace: Some(bell) });
        assert!(!forgery.starts_with("CREATE") || store.record(event(Some("bell"), 1)).await == refused);
        store.record(event(Some("acme"), 1)).await.unwrap();

        file.tamper(back).await;
        assert_eq!(store.add_usage(flush()).await, Ok([].into()), "{forgery}");
        assert_eq!((hours(&*store, "acme").await, hours(&*store, "bell").await), (2, 4), "{forgery}");
        assert_eq!(store.drop_usage(before, 9, UsageDropped::default()).await.unwrap().rows, 2);
        store.verify().await.unwrap();
    }
}

/// Old counts of a workspace of which one is forged stay: those that are met before it as well as those behind it, in whichever page.
#[tokio::test]
async fn old_counts_of_one_with_a_forged_one_stay() {
    for (forged, pages) in [(2, vec![9]), (1, vec![2, 2, 2])] {
        let file = SqliteFile::new();
        let store = file.open().await;
        furnish(&*store, &["acme", "bell"], &["bot"]).await;
        for name in ["acme", "bell"] {
            let (key, wrapping) = customer_key(name, "bot", 1);
            store.insert_data_key(key, wrapping).await.unwrap();
            store.add_usage((1..=4).map(|hour| counted(name, hour)).collect()).await.unwrap();
        }
        let one = format!("WHERE workspace = 'bell' AND hour = {}", 490_000 + forged);
        file.tamper(&format!("UPDATE usage SET opens = opens + 1 {one}")).await;
        let mut dropped = UsageDropped::default();
        for (n, limit) in pages.iter().enumerate() {
            dropped = store.drop_usage(Hour::of_number(490_005), *limit, dropped).await.unwrap();
            assert_eq!(dropped.more, n + 1 < pages.len(), "{forged}");
        }
        file.tamper(&format!("UPDATE usage SET opens = opens - 1 {one}")).await;
        assert_eq!((hours(&*store, "acme").await, hours(&*store, "bell").await), (0, 4), "{forged}");
        store.verify().await.unwrap();
    }
}

/// A row of one hour, from 490,001 on.
fn counted(name: &str, hour: u32) -> KeyUsage {
    KeyUsage { hour: Some(Hour::of_number(490_000 + hour)), ..usage(name, "bot", 1, 1) }
}

async fn hours(store: &dyn Store, name: &str) -> usize {
    let all = Hour::of_number(490_000)..Hour::of_number(490_100);
    store.usage_by_hour(&workspace_id(name), None, all, None, 100).await.unwrap().len()
}

/// I-13: that a workspace is found out is no commit. Whoever follows the database is told all the same, from whatever revision on, for as
/// long as it is so; then what they know of it is read anew, and is refused.
#[tokio::test]
async fn who_is_distrusted_is_told_from_any_revision_on() {
    let file = SqliteFile::new();
    let store = file.open().await;
    fill(&*store).await;
    let known = store.revision().await.unwrap();
    assert_eq!(store.changed_since(known).await, Ok((known, Vec::new())));
    file.tamper("CREATE TABLE s AS SELECT * FROM app_selections; DELETE FROM app_selections WHERE workspace = 'bell'")
        .await;
    store.verify().await.unwrap_err();
    assert_eq!(store.revision().await, Ok(known), "nothing was committed");
    let told = ControlChange { unreadable: true, ..ControlChange::none(workspace_id("bell")) };
    for _ in 0..2 {
        assert_eq!(store.changed_since(known).await, Ok((known, vec![told.clone()])));
    }
    for since in [0, known - 1] {
        let (_, changes) = store.changed_since(since).await.unwrap();
        assert_eq!(changes.iter().filter(|change| change.unreadable).collect::<Vec<_>>(), [&told], "{since}");
    }
    file.tamper("INSERT INTO app_selections SELECT * FROM s WHERE workspace = 'bell'; DROP TABLE s").await;
    store.verify().await.unwrap();
    assert_eq!(store.changed_since(known).await, Ok((known, Vec::new())));
}
