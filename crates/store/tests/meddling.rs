//! Whether somebody else wrote is known at once, and what the store writes itself is not taken for it.

mod fixture;

use store::conformance::Database as _;
use store::conformance::meddling::meddle;
use store::conformance::sample::{
    app, app_id, at, customer_key, event, furnish, key_test, usage, workspace, workspace_id,
};
use store::{OthersWrote, Store, StoreError};

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

/// What is not known is told as that; the store's own commits, and everybody's reading, never are; somebody else's commit is told
/// once, whatever it was.
#[tokio::test]
async fn only_what_others_write_is_told() {
    let file = SqliteFile::new();
    let store = file.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    assert_eq!(store.written_by_others().await, Ok(OthersWrote::NotKnown), "nobody has looked yet");
    assert_eq!(store.written_by_others().await, Ok(OthersWrote::No));
    write_everything(&*store).await;
    store.verify().await.unwrap();
    rusqlite::Connection::open(file.path()).unwrap().query_row("SELECT count(*) FROM apps", [], |_| Ok(())).unwrap();
    assert_eq!(store.written_by_others().await, Ok(OthersWrote::No), "only we wrote");

    for sql in ["UPDATE apps SET display_name = display_name", "UPDATE workspaces SET display_name = 'x'"] {
        meddle(&file.path(), sql);
        assert_eq!(store.written_by_others().await, Ok(OthersWrote::Yes), "{sql}");
        assert_eq!(store.written_by_others().await, Ok(OthersWrote::No), "{sql}");
    }
    drop(store);
    assert_eq!(
        file.open().await.written_by_others().await,
        Ok(OthersWrote::NotKnown),
        "nobody knows what happened meanwhile"
    );
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

/// A store with three workspaces: of Acme an app was deleted, whose row from before is kept beside; and one of them, Core, has a test.
async fn with_a_row_to_put_back(file: &SqliteFile) -> Box<dyn Store> {
    let store = file.open().await;
    furnish(&*store, &["acme", "bell", "core"], &["bot", "crm"]).await;
    with_kept(file, "CREATE TABLE kept.apps AS SELECT * FROM apps");
    let mut tx = store.begin("a deletion and a test").await.unwrap();
    tx.put_app(&domain::App { deleted_at: Some(at(9)), ..app("acme", "crm") }).await.unwrap();
    tx.add_key_test(&key_test("core", 1)).await.unwrap();
    tx.commit().await.unwrap();
    store.verify().await.unwrap();
    store
}

fn with_kept(file: &SqliteFile, sql: &str) {
    meddle(&file.path(), &format!("ATTACH '{}' AS kept; {sql}", file.dir().join("kept.db").display()));
}

const PUT_BACK: &str = "REPLACE INTO apps SELECT * FROM kept.apps WHERE workspace = 'acme' AND app = 'crm'";

/// Writes zeros over the first page of a table, beside the store.
fn zero(file: &SqliteFile, table: &str) {
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let page: u32 =
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0)).unwrap();
    let bytes = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&bytes, &[0; 4096], u64::from(page - 1) * 4096).unwrap();
    // Whoever has the page in memory reads it again.
    conn.execute_batch("UPDATE workspaces SET display_name = display_name").unwrap();
}

/// Who of the three is served.
async fn served(store: &dyn Store) -> [bool; 3] {
    let mut served = [false; 3];
    for (served, name) in served.iter_mut().zip(["acme", "bell", "core"]) {
        *served = store.workspace(&workspace_id(name)).await.is_ok();
    }
    served
}

/// I-15: whoever put a row back does not go on with it by making another table unreadable, by a statement or by a page of zeros. The row's
/// workspace is refused, and with it whoever had rows in what is missing; the others' rows add up without, and are served.
#[tokio::test]
async fn a_table_that_cannot_be_read_hides_no_row_that_was_put_back() {
    for renamed in [true, false] {
        let file = SqliteFile::new();
        let store = with_a_row_to_put_back(&file).await;
        with_kept(&file, PUT_BACK);
        if renamed {
            meddle(&file.path(), "ALTER TABLE key_tests RENAME TO x");
        } else {
            zero(&file, "key_tests");
        }
        assert_eq!(served(&*store).await, [true; 3], "each row is authentic by itself");
        for _ in 0..2 {
            let found = store.examine().await.unwrap();
            let whose: Vec<_> = found.distrusted.iter().map(|workspace| workspace.as_str()).collect();
            assert_eq!(whose, ["acme", "core"]);
            // The table, and that neither workspace's rows add up.
            assert_eq!(found.wrongs, 3);
            let unreadable = |why: &StoreError| match why {
                StoreError::Refused { .. } => renamed,
                why => !renamed && *why == StoreError::Damaged,
            };
            assert!(found.first.as_ref().is_some_and(unreadable), "{:?}", found.first);
            assert_eq!(served(&*store).await, [false, true, false]);
        }
        if renamed {
            meddle(&file.path(), "ALTER TABLE x RENAME TO key_tests");
            assert_eq!(store.examine().await.unwrap().distrusted, [workspace_id("acme")].into());
            assert_eq!(served(&*store).await, [false, true, true]);
        }
    }
}

/// I-15: nor by a view in the table's place whose rows never end.
#[tokio::test]
async fn a_view_without_an_end_hides_no_row_that_was_put_back() {
    let file = SqliteFile::new();
    let store = with_a_row_to_put_back(&file).await;
    with_kept(&file, PUT_BACK);
    meddle(&file.path(), "ALTER TABLE key_tests RENAME TO x");
    meddle(
        &file.path(),
        "CREATE VIEW key_tests AS SELECT x.* FROM x, (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c)",
    );
    let found = store.examine().await.unwrap();
    assert!(matches!(found.first, Some(StoreError::Refused { .. })), "{:?}", found.first);
    assert_eq!(served(&*store).await, [false, true, false]);
}

/// Without the chains, without the sets, or without what the database says of them, nobody's rows can be held against anything: nobody
/// is served, until they are there again.
#[tokio::test]
async fn without_what_rows_are_held_against_nobody_is_served() {
    for (table, of_all) in [("audit", false), ("sets", true), ("meta", true)] {
        let file = SqliteFile::new();
        let store = with_a_row_to_put_back(&file).await;
        for name in ["acme", "bell", "core"] {
            store.record(event(Some(name), 1)).await.unwrap();
        }
        meddle(&file.path(), &format!("ALTER TABLE {table} RENAME TO x"));
        let found = store.examine().await.unwrap();
        assert!(matches!(found.first, Some(StoreError::Refused { .. })), "{table}: {:?}", found.first);
        assert_eq!(served(&*store).await, [false; 3], "{table}");
        let rolled_back = store.workspace(&workspace_id("bell")).await == Err(StoreError::RolledBack);
        assert_eq!(rolled_back, of_all, "{table}");
        meddle(&file.path(), &format!("ALTER TABLE x RENAME TO {table}"));
        assert_eq!(store.examine().await.unwrap().first, None, "{table}");
        assert_eq!(served(&*store).await, [true; 3], "{table}");
    }
}
