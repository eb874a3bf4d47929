//! How a connection to the database file is set up: what makes a commit durable, and what a reader may not do.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Durability;

/// How long a statement waits for a lock that another program holds. Within this process nobody waits: there is one writer.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// How many pages (4 KiB) the log gathers before they go into the file: 32 MiB. SQLite's own 1,000 would be reached by every
/// second full batch, since new data keys land on pages all over the file; gathered longer, a page goes over once for many
/// changes. A crash has that much to read through when it is opened again, about 0.1 s.
const CHECKPOINT_AT: u32 = 8_192;

/// The writer's memory for pages, in KiB: more than a batch touches, so that none is written out before its commit.
const WRITER_CACHE_KIB: i32 = 32 * 1024;

/// Every statement of this crate, so that none is prepared twice.
const CACHED_STATEMENTS: usize = 64;

/// The connection that writes. It is given an existing file and never makes one.
pub(super) fn writer(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Foreign keys are off by default. Defensive: no statement can write to the file's own structures.
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_AT)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    set_durability(&conn, durability)?;
    Ok(conn)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // Functions named in a schema somebody else wrote are not run; damage in a page is noticed when it is read.
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // There is none of ours: one in a table's place could go on for ever, and with it the look that would find it out.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    Ok(conn)
}

/// FULL: the log is synced at every commit, before anybody is told. NORMAL would sync only at checkpoints, and lose the
/// commits since the last one with the power. `fullfsync` is for macOS, where fsync alone does not reach the medium.
fn set_durability(conn: &Connection, durability: Durability) -> rusqlite::Result<()> {
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    let level = match durability {
        Durability::Full => "FULL",
        #[cfg(feature = "drill")]
        Durability::LosesAcknowledgedWritesForDrills => "OFF",
    };
    conn.pragma_update(None, "synchronous", level)
}

/// Switches the file to write-ahead logging. Answers the mode it has afterwards: `wal`, unless its file system cannot share
/// memory between connections.
pub(super) fn use_wal(conn: &Connection) -> rusqlite::Result<String> {
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
}
