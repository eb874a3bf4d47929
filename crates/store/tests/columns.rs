//! Every column of every row that decides something is covered, of tables that nobody has thought of here as well: they are asked
//! of the database itself.

#[path = "fixture/mod.rs"]
mod fixture;
#[path = "fixture/whole.rs"]
mod whole;

use std::collections::BTreeMap;

use domain::row_seal::{RowMac, RowSeal};
use domain::{Hour, Protection};
use rusqlite::Connection;
use rusqlite::types::Value;
use store::conformance::sample::{app_id, data_key_id, event, workspace_id};
use store::conformance::{Database as _, TestSeal};
use store::sqlite::SqliteStore;
use store::{Store, StoreError};

use self::fixture::SqliteFile;
use self::whole::{HOUR, WORKSPACES, fill};

/// Tables that decide nothing, each with the reason. A table that stands in no list is taken for one that decides.
const TABLES_THAT_DECIDE_NOTHING: &[(&str, &str)] = &[];

/// Columns that decide nothing, each with the reason.
const COLUMNS_THAT_DECIDE_NOTHING: &[(&str, &str, &str)] =
    &[("meta", "id", "the one row of `meta` is found by this number, and nothing else is in it")];

type Seen = Result<(), StoreError>;

/// What the store's users ask it, of both workspaces, until something is refused. Answers what that was.
async fn read_everything(store: &dyn Store) -> Option<(&'static str, StoreError)> {
    macro_rules! ask {
        ($($name:literal: $call:expr;)*) => {$(
            let seen: Seen = $call.await.map(drop);
            if let Err(why) = seen {
                return Some(($name, why));
            }
        )*};
    }
    let bot = app_id("bot");
    for name in WORKSPACES {
        let id = workspace_id(name);
        let versions = store.key_versions(&id).await.unwrap_or_default();
        ask! {
            "revision": store.revision();
            "workspace": store.workspace(&id);
            "app": store.app(&id, &bot);
            "key_config": store.key_config(&id);
            "key_versions": store.key_versions(&id);
            "key_tests": store.key_tests(&id, 10);
            "key_life": store.key_life(&id);
            "app_selection": store.app_selection(&id, &bot);
            "active_data_key": store.active_data_key(&id, &bot, Protection::CustomerKey);
            "active_data_key": store.active_data_key(&id, &bot, Protection::PlatformKey);
            "data_keys": store.data_keys(&id, None, 10);
            "wrapping": store.wrapping(&id, data_key_id(1));
            "wrapping": store.wrapping(&id, data_key_id(2));
            "wrapping": store.wrapping(&id, data_key_id(3));
            "audit": store.audit(Some(&id), 0, 100);
            "newest_event": store.newest_event(Some(&id), None);
            "operations": store.operations(&id, None, 10);
            "open_operations": store.open_operations();
            "version_uses": store.version_uses(&id);
            "usage_by_hour": store.usage_by_hour(&id, None, Hour::of_number(HOUR)..Hour::of_number(HOUR + 1), None, 100);
            "usage_by_key": store.usage_by_key(&id);
            "credential": store.credential(&id, &bot);
            "integration": store.integration(&id);
            "tenants": store.tenants(&id);
            "tag_nonces": store.tag_nonces(&id);
            "proven_keys": store.proven_keys(&id);
            "workspaces": store.workspaces(None, 10);
            "apps": store.apps(&id, None, 10);
            "changed_since": store.changed_since(0);
        }
        for version in versions {
            ask! { "data_keys_left": store.data_keys_left(&id, version.id, None, 10); }
        }
    }
    ask! {
        "audit of the platform": store.audit(None, 0, 100);
        "newest_event of the platform": store.newest_event(None, None);
        "callers": store.callers(None, 10);
        "caller": store.caller(&"billing".parse().unwrap());
        "caller": store.caller(&"search".parse().unwrap());
    }
    // A write that is rolled back: it reads what only writes read.
    let mut tx = match store.begin("a look").await {
        Ok(tx) => tx,
        Err(why) => return Some(("begin", why)),
    };
    for chain in [None, Some(WORKSPACES[0]), Some(WORKSPACES[1])] {
        ask! { "a write": tx.append_audit(event(chain, 9)); }
    }
    None
}

fn is_refusal(seen: &StoreError) -> bool {
    matches!(seen, StoreError::RowForged { .. } | StoreError::SetForged { .. } | StoreError::ChainBroken { .. })
}

fn names(raw: &Connection, sql: &str, of: &[&str]) -> Vec<String> {
    let mut statement = raw.prepare(sql).unwrap();
    let of = rusqlite::params_from_iter(of);
    statement.query_map(of, |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn tables(raw: &Connection) -> Vec<String> {
    let all =
        names(raw, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1", &[]);
    let decides = |table: &String| !TABLES_THAT_DECIDE_NOTHING.iter().any(|(known, _)| known == table);
    all.into_iter().filter(decides).collect()
}

fn columns(raw: &Connection, table: &str) -> Vec<String> {
    names(raw, "SELECT name FROM pragma_table_info(?1)", &[table])
}

fn primary_key(raw: &Connection, table: &str) -> Vec<String> {
    names(raw, "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", &[table])
}

fn count(raw: &Connection, table: &str) -> i64 {
    raw.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn keep(raw: &Connection, table: &str) {
    raw.execute_batch(&format!("CREATE TEMP TABLE kept AS SELECT * FROM {table}")).unwrap();
}

fn put_back(raw: &Connection, table: &str) {
    raw.execute_batch(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept")).unwrap();
}

/// Another value of the same type, as near as can be.
fn another(was: &Value, kind: &str) -> Option<Value> {
    Some(match was {
        Value::Null if kind == "TEXT" => Value::Text("abc".to_owned()),
        Value::Null if kind == "BLOB" => Value::Blob(vec![7; 48]),
        Value::Null => Value::Integer(1),
        Value::Integer(number) => Value::Integer(number ^ 1),
        Value::Text(text) if text.is_empty() => Value::Text("abc".to_owned()),
        Value::Text(text) => {
            let mut changed = text.clone().into_bytes();
            // The last letter or digit: well formed still, wherever ids and JSON allow it.
            let at = changed.iter().rposition(u8::is_ascii_alphanumeric)?;
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            Value::Text(String::from_utf8(changed).unwrap())
        }
        Value::Blob(bytes) => {
            let mut changed = bytes.clone();
            *changed.last_mut()? ^= 1;
            Value::Blob(changed)
        }
        Value::Real(_) => panic!("no column holds a fraction"),
    })
}

/// Changes one column of the nth row; false where its neighbour has that key already, as with two event numbers.
fn change(raw: &Connection, table: &str, column: &str, nth: i64) -> bool {
    let keys = primary_key(raw, table).join(", ");
    let read = format!("SELECT {column} FROM {table} ORDER BY {keys} LIMIT 1 OFFSET {nth}");
    let was: Value = raw.query_row(&read, [], |row| row.get(0)).unwrap();
    let kind = names(raw, "SELECT type FROM pragma_table_info(?1) WHERE name = ?2", &[table, column]);
    let Some(now) = another(&was, &kind[0]) else { return false };
    let place = format!("SELECT {keys} FROM {table} ORDER BY {keys} LIMIT 1 OFFSET {nth}");
    match raw.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE ({keys}) = ({place})"), [&now]) {
        Ok(1) => true,
        Err(error) if error.to_string().contains("UNIQUE") => false,
        other => panic!("{table}.{column}: {other:?}"),
    }
}

/// Each column of each row of each table, changed in the least way its type allows, is refused by whoever reads the row next; where
/// the change hides the row from who looks for it, by the sum over all rows. Put back, all is well again.
#[expect(clippy::print_stdout, reason = "the table says what found each change; shown with --nocapture")]
#[tokio::test]
async fn every_column_of_every_row_is_covered() {
    let file = SqliteFile::new();
    let store = file.open().await;
    fill(&*store).await;
    store.verify().await.unwrap();
    assert_eq!(read_everything(&*store).await, None);
    let raw = file.raw();
    let mut found: BTreeMap<(String, String), BTreeMap<&str, usize>> = BTreeMap::new();
    for table in tables(&raw) {
        let rows = count(&raw, &table);
        assert!(rows > 0, "{table} is empty: put rows into it in fixture/whole.rs, and let its reads be asked here");
        keep(&raw, &table);
        let keys = primary_key(&raw, &table);
        for column in columns(&raw, &table) {
            if COLUMNS_THAT_DECIDE_NOTHING.iter().any(|(of, known, _)| (*of, *known) == (&table, &column)) {
                continue;
            }
            for nth in 0..rows {
                if !change(&raw, &table, &column, nth) {
                    continue;
                }
                let place = format!("{table}.{column} of row {nth}");
                // A write that fails for another reason does not say what is wrong.
                let read = read_everything(&*store).await.filter(|(by, why)| *by != "a write" || is_refusal(why));
                let verified = store.verify().await;
                assert!(verified.as_ref().is_err_and(is_refusal), "{place}: a whole check says {verified:?}");
                let by = match read {
                    Some((by, why)) => {
                        assert!(is_refusal(&why), "{place}: {by} says {why:?}");
                        by
                    }
                    None => {
                        // Under another key the row is not there for whoever asks for it by the old one.
                        assert!(keys.contains(&column), "{place}: nobody who reads it notices");
                        "verify"
                    }
                };
                *found.entry((table.clone(), column.clone())).or_default().entry(by).or_default() += 1;
                put_back(&raw, &table);
                // Nobody is distrusted any more: the next change is refused for what it is.
                store.verify().await.unwrap();
            }
        }
        raw.execute_batch("DROP TABLE kept").unwrap();
    }
    for ((table, column), by) in &found {
        let by: Vec<_> = by.iter().map(|(by, rows)| format!("{by} {rows}")).collect();
        println!("{table:<16} {column:<22} {}", by.join(", "));
    }
    assert!(found.len() > 150, "{} columns", found.len());
    store.verify().await.unwrap();
    assert_eq!(read_everything(&*store).await, None);
}

/// Rows that are authentic each by itself: deleted, of an older copy of the same database, or of another workspace. The sum over
/// the workspace's rows shows it, and from then on nothing of that workspace is believed, however authentic, until it adds up again.
#[expect(clippy::print_stdout, reason = "the table says what found each change; shown with --nocapture")]
#[tokio::test]
async fn a_row_that_is_authentic_and_out_of_place_is_found() {
    let file = SqliteFile::new();
    let store = file.open().await;
    fill(&*store).await;
    let raw = file.raw();
    let old = file.dir().join("old.db");
    raw.execute("VACUUM INTO ?1", [old.to_str().unwrap()]).unwrap();
    raw.execute("ATTACH ?1 AS old", [old.to_str().unwrap()]).unwrap();
    touch_everything(&raw, &*store).await;
    store.verify().await.unwrap();
    let (mut deleted, mut rolled_back, mut planted) = (0, 0, 0);
    for table in tables(&raw).into_iter().filter(|table| table != "meta") {
        keep(&raw, &table);
        let keys = primary_key(&raw, &table).join(", ");
        for nth in 0..count(&raw, &table) {
            let place = format!("(SELECT {keys} FROM {table} ORDER BY {keys} LIMIT 1 OFFSET {nth})");
            raw.execute_batch(&format!("DELETE FROM {table} WHERE ({keys}) = {place}")).unwrap();
            refused(&*store, &format!("{table}: row {nth} deleted")).await;
            put_back(&raw, &table);
            deleted += 1;

            let older = format!(
                "CREATE TEMP TABLE older AS SELECT * FROM old.{table} WHERE ({keys}) = {place}
                   AND revision <> (SELECT revision FROM main.{table} WHERE ({keys}) = {place})"
            );
            raw.execute_batch(&older).unwrap();
            if count(&raw, "older") == 1 {
                raw.execute_batch(&format!("INSERT OR REPLACE INTO main.{table} SELECT * FROM older")).unwrap();
                refused(&*store, &format!("{table}: row {nth} of the older copy")).await;
                put_back(&raw, &table);
                rolled_back += 1;
            }
            raw.execute_batch("DROP TABLE older").unwrap();
        }
        // Every row of acme under bell's name, as far as bell has no such row; of the platform's, a row under another name.
        let (whose, name) = match columns(&raw, &table).iter().any(|column| column == "workspace") {
            true => ("workspace = 'acme'", "workspace = 'bell'".to_owned()),
            false => ("true LIMIT 1", format!("{keys} = 'planted'")),
        };
        let copy = format!(
            "CREATE TEMP TABLE planted AS SELECT * FROM {table} WHERE {whose}; UPDATE planted SET {name};
             INSERT OR REPLACE INTO main.{table} SELECT * FROM planted; DROP TABLE planted"
        );
        raw.execute_batch(&copy).unwrap();
        refused(&*store, &format!("{table}: acme's rows as bell's")).await;
        put_back(&raw, &table);
        planted += 1;
        raw.execute_batch("DROP TABLE kept").unwrap();
    }
    println!("{deleted} rows deleted, {rolled_back} put back as they were, {planted} tables planted: all found");
    assert!(deleted > 40 && rolled_back > 8 && planted > 12, "{deleted} {rolled_back} {planted}");
    store.verify().await.unwrap();

    // What was only found among all rows is refused to who reads one, from then on; the other workspace is served.
    keep(&raw, "key_lives");
    raw.execute_batch("DELETE FROM key_lives WHERE workspace = 'bell'").unwrap();
    let (acme, bell, bot) = (workspace_id("acme"), workspace_id("bell"), app_id("bot"));
    assert!(store.data_key(&bell, &bot, data_key_id(1)).await.is_ok());
    assert_eq!(store.verify().await, Err(StoreError::SetForged { workspace: Some(bell.clone()) }));
    let distrusted = store.data_key(&bell, &bot, data_key_id(1)).await;
    assert_eq!(distrusted, Err(StoreError::SetForged { workspace: Some(bell.clone()) }));
    assert!(store.data_key(&acme, &bot, data_key_id(1)).await.is_ok());
    put_back(&raw, "key_lives");
    store.verify().await.unwrap();
    assert!(store.data_key(&bell, &bot, data_key_id(1)).await.is_ok());
}

/// Another value of what may change, so that the older copy's rows are older.
async fn touch_everything(raw: &Connection, store: &dyn Store) {
    for name in WORKSPACES {
        let (id, bot) = (workspace_id(name), app_id("bot"));
        let mut tx = store.begin("touch").await.unwrap();
        let mut workspace = tx.workspace(&id).await.unwrap().unwrap();
        workspace.display_name.push('!');
        tx.put_workspace(&workspace).await.unwrap();
        let mut app = tx.app(&id, &bot).await.unwrap().unwrap();
        app.display_name.push('!');
        tx.put_app(&app).await.unwrap();
        let mut config = tx.key_config(&id).await.unwrap().unwrap();
        config.choices.follow_new_versions = !config.choices.follow_new_versions;
        tx.put_key_config(&config).await.unwrap();
        tx.put_credential(&store::conformance::sample::credential(name, "bot", 2)).await.unwrap();
        tx.commit().await.unwrap();
        store.record(event(Some(name), 7)).await.unwrap();
    }
    let _ = store
        .retire_data_key(&workspace_id("bell"), &app_id("bot"), data_key_id(2), store::conformance::sample::at(9))
        .await;
    assert!(count(raw, "audit") > count(raw, "old.audit"));
}

async fn refused(store: &dyn Store, what: &str) {
    let verified = store.verify().await;
    assert!(verified.as_ref().is_err_and(is_refusal), "{what}: {verified:?}");
}

/// Seeded bugs: codes that everybody can make are no codes, and without them not one of the changes above would be refused as
/// forged; a table that nobody put rows into is told by name.
#[tokio::test]
async fn the_checks_above_can_fail() {
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
    drop({
        let store = file.open().await;
        fill(&*store).await;
        store
    });
    let mut options = file.options();
    options.row_seal = std::sync::Arc::new(Credulous(TestSeal::default()));
    let store = SqliteStore::open(options).unwrap();
    let raw = file.raw();
    let mut believed = 0;
    for (table, column) in
        [("key_configs", "lease"), ("key_lives", "changed_at"), ("operations", "total"), ("apps", "created_at")]
    {
        keep(&raw, table);
        assert!(change(&raw, table, column, 0));
        believed += usize::from(read_everything(&store).await.is_none());
        put_back(&raw, table);
        raw.execute_batch("DROP TABLE kept").unwrap();
    }
    assert_eq!(believed, 4);
    raw.execute_batch("CREATE TABLE thought_of_later (workspace TEXT)").unwrap();
    let new: Vec<_> = tables(&raw).into_iter().filter(|table| count(&raw, table) == 0).collect();
    assert_eq!(new, ["thought_of_later"]);
}
