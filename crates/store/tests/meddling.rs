//! Whether somebody else wrote is known at once, and what the store writes itself is not taken for it.

mod fixture;

use store::conformance::Database as _;
use store::conformance::meddling::meddle;
use store::conformance::sample::{app_id, at, customer_key, event, furnish, usage, workspace, workspace_id};
use store::{Store, StoreError};

use self::fixture::SqliteFile;

/// Everything that a store commits: shared commits, transactions, a destruction's folded log.
async fn write_everything(store: &dyn Store) {
    let (key, wrapping) = customer_key("acme", "bot", 1);
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    store.insert_data_key(key.clone(), wrapping).await.unwrap();
    store.activate_data_key(&acme, &bot, key.id, at(5)).await.unwrap();
    store.record(event(Some("acme"), 1)).await.unwrap();
    store.add_usage(vec![usage("acme", "bot", 1, 5)]).await.unwrap();
    store.begin("dropped").await.map(drop).unwrap();
    let mut tx = store.begin("a workspace").await.unwrap();
    tx.put_workspace(&workspace("bell")).await.unwrap();
    tx.commit().await.unwrap();
    for n in 2..200 {
        let (key, wrapping) = customer_key("acme", "bot", n);
        store.insert_data_key(key, wrapping).await.unwrap();
    }
}

/// What is not known is taken for a yes; the store's own commits, and everybody's reading, never are; somebody else's commit is told
/// once, whatever it was.
#[tokio::test]
async fn only_what_others_write_is_told() {
    let file = SqliteFile::new();
    let store = file.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    assert_eq!(store.written_by_others().await, Ok(true), "nobody has looked yet");
    assert_eq!(store.written_by_others().await, Ok(false));
    write_everything(&*store).await;
    store.verify().await.unwrap();
    rusqlite::Connection::open(file.path()).unwrap().query_row("SELECT count(*) FROM apps", [], |_| Ok(())).unwrap();
    assert_eq!(store.written_by_others().await, Ok(false), "only we wrote");

    for sql in ["UPDATE apps SET display_name = display_name", "UPDATE workspaces SET display_name = 'x'"] {
        meddle(&file.path(), sql);
        assert_eq!(store.written_by_others().await, Ok(true), "{sql}");
        assert_eq!(store.written_by_others().await, Ok(false), "{sql}");
    }
    drop(store);
    assert_eq!(file.open().await.written_by_others().await, Ok(true), "nobody knows what happened meanwhile");
}

/// A look tells how much is wrong and whose it is, beside what it found first; in order again, nothing is.
#[tokio::test]
async fn a_look_tells_how_much_is_wrong_and_whose_it_is() {
    let file = SqliteFile::new();
    let store = file.open().await;
    furnish(&*store, &["acme", "bell", "core"], &["bot", "crm"]).await;
    let good = store.examine().await.unwrap();
    assert_eq!((good.wrongs, good.distrusted.len(), good.first.clone()), (0, 0, None));
    let kept = file.dir().join("kept.db");
    meddle(&file.path(), &format!("ATTACH '{}' AS kept; CREATE TABLE kept.apps AS SELECT * FROM apps", kept.display()));
    // Two rows that are each forged, and one that is missing.
    meddle(
        &file.path(),
        "UPDATE apps SET display_name = 'x' WHERE workspace = 'acme'; DELETE FROM apps WHERE workspace || app = 'bellbot'",
    );
    let found = store.examine().await.unwrap();
    let whose: Vec<_> = found.distrusted.iter().map(|workspace| workspace.as_str()).collect();
    assert_eq!(whose, ["acme", "bell"]);
    // The two rows, and that neither workspace's rows add up.
    assert_eq!(found.wrongs, 4);
    assert_eq!(found.first, Some(StoreError::RowForged { table: "apps" }));
    assert_eq!(store.verify().await, Err(StoreError::RowForged { table: "apps" }));
    meddle(&file.path(), &format!("ATTACH '{}' AS kept; REPLACE INTO apps SELECT * FROM kept.apps", kept.display()));
    assert_eq!(store.examine().await, Ok(good));
}
