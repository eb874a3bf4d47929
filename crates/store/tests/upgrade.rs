//! A database written by an earlier schema opens for ever: its schema, its rows' codes and its chains are frozen in a file.

mod fixture;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use domain::key_config::VersionChoices;
use domain::operation::{OperationId, OperationKind};
use domain::{KeyConfig, Operation, Reason};
use rusqlite::Connection;
use store::conformance::Database as _;
use store::conformance::sample::{
    app, app_id, at, customer_key, data_key_id, event, furnish, key_config, key_version, platform_key, rotation,
    workspace_id,
};
use store::{Activation, StoreError, Verified};

use self::fixture::SqliteFile;

const SCHEMA_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture/schema-1.sql");
/// Written by the store that had schema 3, and by the one that had schema 6.
const SCHEMA_3: &str = include_str!("fixture/schema-3.sql");
const SCHEMA_6: &str = include_str!("fixture/schema-6.sql");

fn frozen(sql: &str) -> SqliteFile {
    let file = SqliteFile::new();
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file.path()).unwrap();
    Connection::open(file.path()).unwrap().execute_batch(sql).unwrap();
    file
}

/// What both wrote into `operations`: every state an operation could end in, and one under way.
fn operations() -> [Operation; 4] {
    let kind = OperationKind::RotateDataKeys { app: Some(app_id("bot")), active_before: at(9) };
    let id = OperationId::new(at(2_500_000), [4; 10]);
    let of_data_keys = Operation::plan(id, workspace_id("acme"), kind, "bob", 1, at(6));
    [
        rotation("acme", 1).cancel(at(7)).unwrap(),
        rotation("acme", 2).begin(at(6)).unwrap().fail(Reason::KeyDisabled, at(8)).unwrap(),
        of_data_keys.begin(at(7)).unwrap().finish_data_keys(0, at(8)).unwrap(),
        rotation("acme", 3).begin(at(9)).unwrap(),
    ]
}

/// The rows of `operations` go through the tables that took its place, each as it was, under the code it was written with; and
/// what was under way goes on.
#[tokio::test]
async fn operations_of_older_schemas_are_kept() {
    // One row more than was frozen: a test had seen the tag of its key, which counts as proven since.
    for (sql, rows) in [(SCHEMA_3, 15), (SCHEMA_6, 16)] {
        let file = frozen(sql);
        let before: Vec<_> = codes(&file);
        assert_eq!(before.len(), 4);
        let store = file.open().await;
        assert_eq!(codes(&file), before, "no row was written anew");
        let acme = workspace_id("acme");
        for operation in operations() {
            assert_eq!(store.operation(operation.id).await.unwrap(), Some(operation));
        }
        let [.., under_way] = operations();
        assert_eq!(store.open_operations().await.unwrap(), std::slice::from_ref(&under_way));
        assert_eq!(store.verify().await.unwrap(), Verified { rows, events: 1 });
        let mut tx = store.begin("end").await.unwrap();
        tx.put_operation(&under_way.cancel(at(10)).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = store.begin("next").await.unwrap();
        tx.put_operation(&rotation("acme", 5)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.operations(&acme, None, 10).await.unwrap().len(), 5);
        store.verify().await.unwrap();
    }
}

fn codes(file: &SqliteFile) -> Vec<(Vec<u8>, i64, Vec<u8>)> {
    let conn = Connection::open(file.path()).unwrap();
    let mut rows = conn.prepare("SELECT operation, revision, mac FROM operations ORDER BY operation").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A configuration from before a workspace could choose is one that chose what is usual; it may choose now, and what it chose
/// cannot be taken away behind our back.
#[tokio::test]
async fn configurations_of_older_schemas_chose_what_is_usual() {
    for sql in [SCHEMA_3, SCHEMA_6] {
        let (file, acme) = (frozen(sql), workspace_id("acme"));
        let store = file.open().await;
        let config = store.key_config(&acme).await.unwrap().unwrap();
        assert_eq!(config, key_config("acme", 1));
        assert_eq!(config.choices, VersionChoices::default());
        let off = VersionChoices { follow_new_versions: false, newest_version_counts: false };
        let by_hand = VersionChoices { newest_version_counts: true, ..off };
        for choices in [off, by_hand, VersionChoices::default(), by_hand] {
            let chosen = KeyConfig { choices, ..config.clone() };
            let mut tx = store.begin("choose").await.unwrap();
            tx.put_key_config(&chosen).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(store.key_config(&acme).await.unwrap(), Some(chosen));
            store.verify().await.unwrap();
        }
        drop(store);
        for edit in [
            "follow_new_versions = NULL",
            "newest_version_counts = 0",
            "follow_new_versions = NULL, newest_version_counts = 0",
        ] {
            let copy = SqliteFile::new();
            // All of it, wherever the closing store has it now.
            file.raw().execute("VACUUM INTO ?1", [copy.path().to_str().unwrap()]).unwrap();
            fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o600)).unwrap();
            copy.raw().execute(&format!("UPDATE key_configs SET {edit}"), []).unwrap();
            let found = copy.open().await.key_config(&acme).await;
            assert_eq!(found, Err(StoreError::RowForged { table: "key_configs" }), "{edit}");
        }
    }
}

/// The frozen database's rows pass every check today, and it takes new ones.
#[tokio::test]
async fn a_database_of_the_first_schema_opens() {
    let file = frozen(&fs::read_to_string(SCHEMA_1).unwrap());
    let store = file.open().await;
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    assert_eq!(store.verify().await.unwrap(), Verified { rows: 9, events: 2 });
    assert_eq!(store.app(&acme, &bot).await.unwrap(), Some(app("acme", "bot")));
    assert_eq!(store.key_config(&acme).await.unwrap(), Some(key_config("acme", 1)));
    assert_eq!(store.key_versions(&acme).await.unwrap(), [key_version("acme", 1), key_version("acme", 2)]);
    let (pending, wrapping) = customer_key("acme", "bot", 1);
    let active = store.active_data_key(&acme, &bot, pending.protection).await.unwrap().unwrap();
    assert_eq!((active.id, active.activated_at), (pending.id, Some(at(5))));
    assert_eq!(store.wrapping(&acme, pending.id).await.unwrap(), Some(wrapping));
    let chain = store.audit(Some(&acme), 0, 10).await.unwrap();
    assert!(chain[0].follows(0, &[0; 32]));

    let (key, wrapping) = platform_key("acme", "bot", 9);
    store.insert_data_key(key, wrapping).await.unwrap();
    assert_eq!(store.activate_data_key(&acme, &bot, data_key_id(9), at(7)).await.unwrap(), Activation::Won);
    store.record(event(Some("acme"), 3)).await.unwrap();
    store.verify().await.unwrap();
}

/// Writes the frozen database. Only ever run before a schema's first release, by hand.
#[tokio::test]
#[ignore = "writes the fixture that the other test reads"]
async fn write_the_frozen_database() {
    let file = SqliteFile::new();
    let store = file.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    for (key, wrapping) in [customer_key("acme", "bot", 1), platform_key("acme", "bot", 2)] {
        store.insert_data_key(key, wrapping).await.unwrap();
    }
    store.activate_data_key(&workspace_id("acme"), &app_id("bot"), data_key_id(1), at(5)).await.unwrap();
    store.record(event(None, 1)).await.unwrap();
    drop(store);
    fs::write(SCHEMA_1, dump(&Connection::open(file.path()).unwrap())).unwrap();
}

/// The whole database as statements: header, tables, rows, then what would hinder putting the rows back.
fn dump(conn: &Connection) -> String {
    let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = conn.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let mut dump = String::from("-- A database of schema 1, as the first release wrote it.\n");
    for name in ["application_id", "user_version"] {
        writeln!(dump, "PRAGMA {name} = {};", pragma(name)).unwrap();
    }
    for table in texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid") {
        let sql = texts(&format!("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = '{table}'")).remove(0);
        writeln!(dump, "{sql};").unwrap();
        let columns = texts(&format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')"));
        for row in texts(&format!("SELECT {} FROM {table}", columns.join(" || ', ' || "))) {
            writeln!(dump, "INSERT INTO {table} VALUES ({row});").unwrap();
        }
    }
    for sql in texts("SELECT sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL ORDER BY rowid") {
        writeln!(dump, "{sql};").unwrap();
    }
    dump
}
