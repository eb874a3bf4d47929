//! Databases of older schemas are brought forward, one whole step at a time.

use std::sync::Arc;
use std::time::Duration;

use domain::caller::StoredCaller;
use domain::operation::{Operation, OperationId, OperationKind};
use domain::row_seal::RowBytes;
use domain::{ConfigHash, Hour, KeyConfig, KeyTest, KeyUsage, KeyVersion, KeyVersionId, Protection};

use super::schema::{MIGRATIONS, Migration, newest};
use super::writer::commit_durably;
use super::{Durability, OpenRefused, SqliteOptions, SqliteStore};
use crate::conformance::TestSeal;
use crate::conformance::callers::stored_caller;
use crate::conformance::sample::{
    app_id, app_selection, at, data_key_id, furnish, key_config, key_test, key_version, lives, platform_key, rotation,
    usage, workspace, workspace_id,
};
use crate::row::{Row, RowCodes, Stamp};
use crate::{ClusterId, Store};

const FIRST: Migration = Migration { number: 1, sql: include_str!("schema/0001_first.sql") };

/// Every real step, and made-up ones after them.
fn and_then(made_up: &[&'static str]) -> Vec<Migration> {
    let real = MIGRATIONS.iter().map(|step| Migration { number: step.number, sql: step.sql });
    let next = newest(MIGRATIONS) + 1;
    real.chain((next..).zip(made_up).map(|(number, sql)| Migration { number, sql })).collect()
}

fn options(dir: &tempfile::TempDir) -> SqliteOptions {
    SqliteOptions {
        path: dir.path().join("byokd.db"),
        row_seal: Arc::new(TestSeal::default()),
        root_check: [4; 16],
        cluster: [5; 16],
        durability: Durability::Full,
    }
}

fn open(options: &SqliteOptions, migrations: &[Migration]) -> Result<SqliteStore, OpenRefused> {
    SqliteStore::open_with(options, true, migrations, Box::new(commit_durably))
}

/// Numbers count from 1 without gaps, or a database would skip a step.
#[test]
fn migrations_are_numbered_without_gaps() {
    let numbers: Vec<_> = MIGRATIONS.iter().map(|migration| migration.number).collect();
    assert_eq!(numbers, (1..=newest(MIGRATIONS)).collect::<Vec<_>>());
}

/// A database of the first schema, with data, opened after later steps were added: it has them all and has kept its rows.
#[tokio::test]
async fn an_older_database_is_brought_forward_with_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(&dir);
    let store = open(&options, MIGRATIONS).unwrap();
    furnish(&store, &["acme"], &["bot"]).await;
    let (key, wrapping) = platform_key("acme", "bot", 1);
    store.insert_data_key(key.clone(), wrapping).await.unwrap();
    let before = store.revision().await.unwrap();
    drop(store);

    let later = and_then(&[
        "CREATE TABLE notes (workspace TEXT NOT NULL, note TEXT NOT NULL) STRICT;",
        "ALTER TABLE notes ADD COLUMN written_at INTEGER;",
    ]);
    let steps = u64::from(newest(&later) - newest(MIGRATIONS));
    for _ in 0..2 {
        let store = open(&options, &later).unwrap();
        assert_eq!(store.workspace(&workspace_id("acme")).await.unwrap(), Some(workspace("acme")));
        assert_eq!(store.data_keys(&key.workspace, None, 10).await.unwrap(), std::slice::from_ref(&key));
        assert_eq!(store.revision().await.unwrap(), before + steps, "one for each step, once");
        store.verify().await.unwrap();
    }
    // And there is no way back.
    let refused = open(&options, &[FIRST]).map(drop).unwrap_err();
    assert!(
        matches!(refused, OpenRefused::NewerSchema { found, known: 1, .. } if found == newest(&later)),
        "{refused}"
    );
}

/// A database of the first schema becomes one of today's: its rows are as they were, and it takes tests.
#[tokio::test]
async fn the_first_schema_becomes_todays() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(&dir);
    drop(open(&options, &[FIRST]).unwrap());
    let store = open(&options, MIGRATIONS).unwrap();
    furnish(&store, &["acme"], &["bot"]).await;
    assert_eq!(store.workspace(&workspace_id("acme")).await.unwrap(), Some(workspace("acme")));
    assert_eq!(store.key_tests(&workspace_id("acme"), 10).await.unwrap(), []);
    let mut tx = store.begin("test").await.unwrap();
    tx.add_key_test(&key_test("acme", 1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.key_tests(&workspace_id("acme"), 10).await.unwrap(), [key_test("acme", 1)]);
    store.verify().await.unwrap();
}

/// A step that fails in its middle leaves the database as the step before it left it, and usable by the older release.
#[tokio::test]
async fn a_failing_step_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(&dir);
    furnish(&open(&options, MIGRATIONS).unwrap(), &["acme"], &["bot"]).await;
    let good = "CREATE TABLE notes (note TEXT NOT NULL) STRICT;";
    let broken = and_then(&[good, "DROP TABLE notes; CREATE TABLE audit (x TEXT);"]);
    let refused = open(&options, &broken).map(drop).unwrap_err();
    assert!(matches!(refused, OpenRefused::NotMigrated { to, .. } if to == newest(&broken)), "{refused}");
    let store = open(&options, &and_then(&[good])).unwrap();
    store.verify().await.unwrap();
    let notes: i64 = rusqlite::Connection::open(&options.path)
        .unwrap()
        .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
        .unwrap();
    assert_eq!(notes, 0, "the step before it is there, whole");
}

/// I-2, I-4, I-18, I-19: what the schema itself holds against a slip in our own code, each rule shown to hold.
#[tokio::test]
async fn the_schema_refuses_what_must_never_happen() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(&dir);
    let store = open(&options, MIGRATIONS).unwrap();
    furnish(&store, &["acme"], &["bot"]).await;
    for n in [1, 2] {
        let (key, wrapping) = platform_key("acme", "bot", n);
        store.insert_data_key(key.clone(), wrapping).await.unwrap();
        if n == 1 {
            store.activate_data_key(&key.workspace, &key.app, key.id, key.created_at).await.unwrap();
        }
    }
    let mut tx = store.begin("test").await.unwrap();
    tx.add_key_test(&key_test("acme", 1)).await.unwrap();
    tx.put_key_life(&lives("acme")[4]).await.unwrap();
    tx.put_app_selection(&app_selection("acme", "bot", true)).await.unwrap();
    tx.commit().await.unwrap();
    for operation in [rotation("acme", 1).cancel(at(7)).unwrap(), rotation("acme", 2)] {
        let mut tx = store.begin("operation").await.unwrap();
        tx.put_operation(&operation).await.unwrap();
        tx.commit().await.unwrap();
    }
    let row = KeyUsage { protection: Protection::PlatformKey, ..usage("acme", "bot", 1, 5) };
    let an_hour = KeyUsage { hour: Some(Hour::of_number(490_000)), ..row.clone() };
    store.add_usage(vec![row, an_hour]).await.unwrap();
    let kind = OperationKind::DestroyDataKey { app: app_id("bot"), data_key: data_key_id(1) };
    let waits = Duration::from_secs(100);
    let asked = Operation::ask(OperationId::new(at(9), [9; 10]), workspace_id("acme"), kind, "ann", 1, waits, at(9));
    let mut tx = store.begin("ask").await.unwrap();
    tx.put_operation(&asked).await.unwrap();
    tx.commit().await.unwrap();
    drop(store);
    let conn = rusqlite::Connection::open(&options.path).unwrap();
    conn.pragma_update(None, "foreign_keys", true).unwrap();
    for (statement, why) in [
        ("UPDATE wrappings SET sealed_blob = x'00'", "a wrapping is never overwritten"),
        ("DELETE FROM wrappings", "wrappings stay"),
        ("DELETE FROM data_keys", "data keys stay"),
        ("UPDATE data_keys SET protection = 2", "keeps its identity"),
        ("UPDATE data_keys SET app = 'crm'", "keeps its identity"),
        ("UPDATE data_keys SET state = 3 WHERE state = 1", "UNIQUE constraint failed"),
        ("UPDATE data_keys SET state = 1 WHERE state = 3", "never moves back"),
        ("UPDATE data_keys SET state = 4 WHERE state = 1", "never moves back"),
        (
            "INSERT INTO data_keys SELECT workspace, randomblob(16), app, protection, 3, key_check_value, wrap_epoch, created_at, activated_at, retired_at, wrapping, epoch, revision, mac_key, mac, NULL FROM data_keys WHERE state = 3",
            "born pending",
        ),
        ("UPDATE audit SET actor = 'bob'", "an audit event never changes"),
        ("DELETE FROM audit", "audit events stay"),
        ("UPDATE key_versions SET modulus = x'00'", "recorded once"),
        ("DELETE FROM key_versions", "key versions stay"),
        ("UPDATE key_configs SET wrap_epoch = 0", "only rise"),
        ("UPDATE key_configs SET current_version = zeroblob(16)", "FOREIGN KEY"),
        ("DELETE FROM key_configs", "key configurations stay"),
        ("UPDATE data_keys SET wrapping = wrapping - 1 WHERE state = 1", "never comes back"),
        ("UPDATE usage SET seals = seals - 1", "usage only rises"),
        ("UPDATE usage SET app = 'crm'", "stays with its data key"),
        ("UPDATE usage SET data_key = zeroblob(16)", "stays with its data key"),
        ("DELETE FROM usage", "usage in all stays"),
        ("DELETE FROM operations", "operations stay"),
        ("UPDATE operations SET to_version = from_version", "keeps its purpose"),
        ("UPDATE operations SET state = 3 WHERE state = 1", "never moves back"),
        ("UPDATE operations SET switched_at = 1", "has ended never changes"),
        ("UPDATE operations SET state = 2 WHERE state = 6", "nobody approved the operation"),
        ("UPDATE operations SET state = 7 WHERE state = 6", "nobody approved the operation"),
        ("UPDATE operations SET state = 7, approved = 1, decided_at = 1, decided_by = actor WHERE state = 6", "CHECK"),
        (
            "UPDATE operations SET state = 7, approved = 0, decided_at = 1, decided_by = 'b' WHERE state = 6",
            "nobody approved",
        ),
        ("UPDATE operations SET waits = 0 WHERE state = 6", "keeps its purpose"),
        ("UPDATE operations SET data_key = NULL WHERE state = 6", "keeps its purpose"),
        ("UPDATE data_keys SET destroyed_at = 1", "destroyed once, when it is retired"),
        ("UPDATE wrappings SET sealed_blob = x''", "a wrapping is never overwritten"),
        ("DELETE FROM apps", "never reused"),
        ("DELETE FROM workspaces", "never reused"),
        ("UPDATE key_tests SET steps = '[]'", "a test never changes"),
        ("UPDATE key_tests SET started_at = 0", "a test never changes"),
        ("DELETE FROM key_tests", "tests stay"),
        ("UPDATE key_lives SET change = 0", "only rise"),
        ("UPDATE key_lives SET state = 2", "stays"),
        ("UPDATE key_lives SET plan_at = 7", "stays"),
        ("DELETE FROM key_lives", "key lives stay"),
        ("DELETE FROM app_selections", "selections stay"),
        ("UPDATE meta SET revision = 0", "only rise"),
        ("DELETE FROM meta", "stays"),
        ("DELETE FROM sets", "sets stay"),
    ] {
        let refused = conn.execute_batch(statement).expect_err(statement).to_string();
        assert!(refused.contains(why), "{statement}: {refused}");
    }
    conn.execute_batch("UPDATE workspaces SET deleted_at = 1; UPDATE apps SET deleted_at = 1").unwrap();
    for statement in ["UPDATE workspaces SET deleted_at = NULL", "UPDATE apps SET display_name = 'x'"] {
        let refused = conn.execute_batch(statement).expect_err(statement).to_string();
        assert!(refused.contains("a tombstone never changes"), "{statement}: {refused}");
    }
}

/// Keys that a test had seen the tag of, before proofs were rows, are proven: each its own workspace's, and a key that two had, the
/// first one's. One forged configuration stops nobody else.
#[tokio::test]
async fn what_was_tested_before_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(&dir);
    let seven: Vec<_> =
        MIGRATIONS.iter().take(7).map(|step| Migration { number: step.number, sql: step.sql }).collect();
    let store = open(&options, &seven).unwrap();
    furnish(&store, &["acme", "bell", "carl", "dora", "erin"], &["bot"]).await;
    let mut tx = store.begin("tests").await.unwrap();
    // Bell has Acme's key too, and tested it later; Carl's was never tested; Dora's row is forged below. Acme and Erin have rotated since
    // their tests. Erin's test was of a key in another tenant, which she replaced by her own.
    let config = KeyConfig { workspace: workspace_id("bell"), wrap_epoch: 2, ..key_config("acme", 1) };
    let version = KeyVersion {
        workspace: config.workspace.clone(),
        id: KeyVersionId::from_bytes([5; 16]),
        location: config.location.at(KeyVersionId::from_bytes([5; 16])),
        ..key_version("acme", 1)
    };
    let config = KeyConfig { current_version: version.id, ..config };
    tx.add_key_version(&version).await.unwrap();
    tx.put_key_config(&config).await.unwrap();
    let hash = ConfigHash::of(&config.workspace, &config.location, &config.tenant, Some(config.current_version));
    let later = KeyTest { workspace: config.workspace.clone(), config_hash: hash, ..key_test("acme", 2) };
    tx.add_key_version(&key_version("acme", 2)).await.unwrap();
    tx.put_key_config(&key_config("acme", 2)).await.unwrap();
    let former = key_config("fred", 1).location;
    let elsewhere: domain::TenantId = "11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap();
    let id = KeyVersionId::from_bytes([6; 16]);
    let (location, tenant) = (former.at(id), Some(elsewhere.clone()));
    tx.add_key_version(&KeyVersion { id, location, tenant, ..key_version("erin", 1) }).await.unwrap();
    tx.add_key_version(&key_version("erin", 2)).await.unwrap();
    tx.put_key_config(&key_config("erin", 2)).await.unwrap();
    let hash = ConfigHash::of(&workspace_id("erin"), &former, &elsewhere, Some(id));
    let replaced = KeyTest { config_hash: hash, ..key_test("erin", 3) };
    for test in [key_test("acme", 1), later, key_test("dora", 1), key_test("erin", 1), replaced.clone()] {
        tx.add_key_test(&test).await.unwrap();
    }
    tx.commit().await.unwrap();
    drop(store);
    let conn = rusqlite::Connection::open(&options.path).unwrap();
    conn.execute("UPDATE key_configs SET lease = lease + 1 WHERE workspace = 'dora'", []).unwrap();
    drop(conn);

    let store = open(&options, MIGRATIONS).unwrap();
    let proven = store.proven_keys(&workspace_id("acme")).await.unwrap();
    let test = key_test("acme", 1);
    let [found] = &proven[..] else { panic!("{proven:?}") };
    assert_eq!(
        (&found.key, found.test, found.at, found.nonce),
        (&key_config("acme", 1).location, Some(test.id), test.finished_at, None)
    );
    let proven = store.proven_keys(&workspace_id("erin")).await.unwrap();
    let found: Vec<_> = proven.iter().map(|one| (&one.key, &one.tenant, one.test)).collect();
    let own = key_config("erin", 1);
    let expected =
        [(&own.location, &own.tenant, Some(key_test("erin", 1).id)), (&former, &elsewhere, Some(replaced.id))];
    assert_eq!(found, expected);
    for none in ["bell", "carl", "dora"] {
        assert_eq!(store.proven_keys(&workspace_id(none)).await.unwrap(), [], "{none}");
    }
    let conn = rusqlite::Connection::open(&options.path).unwrap();
    conn.execute("UPDATE key_configs SET lease = lease - 1 WHERE workspace = 'dora'", []).unwrap();
    drop(conn);
    store.verify().await.unwrap();
}

/// Keys that were tested are proven although rows of others are forged: what they need of their own to be written is missing, and
/// that is their own trouble. The database opens.
#[tokio::test]
async fn a_forged_row_keeps_nobody_elses_key_from_being_proven() {
    for (edit, undo) in [
        (
            "UPDATE workspaces SET display_name = 'x' || display_name",
            "UPDATE workspaces SET display_name = substr(display_name, 2)",
        ),
        ("UPDATE sets SET rows = rows + 1", "UPDATE sets SET rows = rows - 1"),
        ("UPDATE key_tests SET finished_at = finished_at + 1", "UPDATE key_tests SET finished_at = finished_at - 1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options = options(&dir);
        let before: Vec<_> =
            MIGRATIONS.iter().take(7).map(|step| Migration { number: step.number, sql: step.sql }).collect();
        let store = open(&options, &before).unwrap();
        furnish(&store, &["acme", "bell"], &["bot"]).await;
        let mut tx = store.begin("tests").await.unwrap();
        for test in [key_test("acme", 1), key_test("bell", 1)] {
            tx.add_key_test(&test).await.unwrap();
        }
        tx.commit().await.unwrap();
        drop(store);
        let tamper = |sql: &str| {
            let conn = rusqlite::Connection::open(&options.path).unwrap();
            conn.execute(&format!("{sql} WHERE workspace = 'bell'"), []).unwrap()
        };
        let triggers = rusqlite::Connection::open(&options.path).unwrap();
        let names: Vec<String> = triggers
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'key_tests'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for name in names {
            triggers.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        drop(triggers);
        assert_eq!(tamper(edit), 1);

        let store = open(&options, MIGRATIONS).expect(edit);
        let proven = store.proven_keys(&workspace_id("acme")).await.unwrap();
        assert_eq!(proven.len(), 1, "{edit}");
        assert_eq!(store.proven_keys(&workspace_id("bell")).await.unwrap(), [], "{edit}");
        assert!(store.verify().await.is_err(), "{edit}");
        assert_eq!(tamper(undo), 1);
        store.verify().await.unwrap();
    }
}

/// A caller's row as the eleventh schema has it, column by column: what was released is never encoded differently.
struct OfSchema11(StoredCaller);

impl Row for OfSchema11 {
    const TABLE: &'static str = "callers";
    fn workspace(&self) -> &str {
        ""
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let StoredCaller { id, certificate, tokens: [None, Some(token)], .. } = &self.0 else { panic!("one token") };
        let certificate = certificate.as_ref().unwrap().to_string();
        let present = |row: RowBytes, value: &[u8]| row.field(&[1]).field(value);
        let time = |row: RowBytes, at: domain::Timestamp| present(row, &at.micros().to_be_bytes());
        let row = present(row.field(id.as_str().as_bytes()), certificate.as_bytes());
        let row = row.field(&[0]).field(&[0]).field(&[0]).field(&[0]);
        let row = present(present(row, &token.sha256), token.issued_by.as_bytes());
        let row = time(time(row, token.issued_at), token.expires.unwrap());
        let row = time(row.field(b"platform-service@*/support-*\nauditor@acme"), self.0.expires.unwrap());
        row.field(&[0]).field(b"root").number(at(1).micros()).field(b"root").number(at(1).micros()).field(&[0])
    }
}

/// Callers of the eleventh schema, in which nobody kept who had a hand in them, are the same rows in the twelfth, and change in it.
#[tokio::test]
async fn callers_of_before_hands_were_kept_are_taken_over_and_change() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(&dir);
    let store = open(&options, MIGRATIONS).unwrap();
    furnish(&store, &["acme"], &["bot"]).await;
    let before = StoredCaller { hands: Vec::new(), ..stored_caller("billing", 1) };
    let put = async |store: &SqliteStore, caller: &StoredCaller| {
        let mut tx = store.begin("a caller").await.unwrap();
        tx.put_caller(caller).await.unwrap();
        tx.commit().await.unwrap();
    };
    put(&store, &before).await;
    drop(store);

    let conn = rusqlite::Connection::open(&options.path).unwrap();
    let codes = RowCodes::new(Arc::clone(&options.row_seal), ClusterId(options.cluster));
    let (epoch, revision, code): (u32, u32, [u8; 32]) = conn
        .query_row("SELECT epoch, revision, mac FROM callers", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    let of_11 = codes.make(&OfSchema11(before.clone()), Stamp { epoch: epoch.into(), revision: revision.into() });
    assert_eq!(code, of_11.code, "it is the row that the eleventh schema has");
    conn.execute_batch(
        "DROP TRIGGER callers_keep_their_hands; ALTER TABLE callers DROP COLUMN hands; PRAGMA user_version = 11",
    )
    .unwrap();
    let mut meta = super::read::meta(&conn, &codes).unwrap();
    meta.schema = 11;
    super::unit::write_meta(&conn, &codes, &meta).unwrap();
    drop(conn);
    let eleven: Vec<_> =
        MIGRATIONS.iter().take(11).map(|step| Migration { number: step.number, sql: step.sql }).collect();
    drop(open(&options, &eleven).expect("it is a database of the eleventh schema"));

    let store = open(&options, MIGRATIONS).unwrap();
    store.verify().await.unwrap();
    assert_eq!(store.caller(&before.id).await.unwrap(), Some(before.clone()));
    let changed = StoredCaller { disabled: true, ..before }.changed("bob", at(5));
    assert_eq!(changed.hands, ["root", "ann", "bob"]);
    put(&store, &changed).await;
    assert_eq!(store.caller(&changed.id).await.unwrap(), Some(changed));
    store.verify().await.unwrap();
}
