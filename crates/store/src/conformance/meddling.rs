//! Somebody else who writes into a database while its store is open, or while it is not.

use std::path::Path;

use rusqlite::Connection;

/// Runs these statements on the file through a connection of its own, held by none of its rules.
///
/// # Panics
/// When a statement is refused.
pub fn meddle(database: &Path, sql: &str) {
    let conn = Connection::open(database).expect("the database opens");
    conn.pragma_update(None, "foreign_keys", false).expect("a connection's own choice");
    let triggers: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .and_then(|mut names| names.query_map([], |row| row.get(0))?.collect())
        .expect("the schema is readable");
    for trigger in triggers {
        conn.execute_batch(&format!("DROP TRIGGER {trigger}")).expect("nothing protects a trigger");
    }
    conn.execute_batch(sql).expect("what was asked for");
}
