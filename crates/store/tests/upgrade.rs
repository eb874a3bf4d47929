//! A database written by the first release opens for ever: its schema, its rows' codes and its chains are frozen in a file.

mod fixture;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;

use rusqlite::Connection;
use store::conformance::Database as _;
use store::conformance::sample::{
    app, app_id, at, customer_key, data_key_id, event, furnish, key_config, key_version, platform_key, workspace_id,
};
use store::{Activation, Verified};

use self::fixture::SqliteFile;

const SCHEMA_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture/schema-1.sql");

/// The frozen database's rows pass every check today, and it takes new ones.
#[tokio::test]
async fn a_database_of_the_first_schema_opens() {
    let file = SqliteFile::new();
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file.path()).unwrap();
    Connection::open(file.path()).unwrap().execute_batch(&fs::read_to_string(SCHEMA_1).unwrap()).unwrap();

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
