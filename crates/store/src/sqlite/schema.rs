//! Which schema there is, and how an older database becomes a newer one: forward only, one transaction each.

use rusqlite::Connection;

use super::unit::{Unit, write_meta};
use super::{read, tenancy};
use crate::row::{Meta, RowCodes, Stamp};
use crate::set::SetSum;
use crate::{Head, StoreError};

/// Marks the file as ours: "BYOK".
pub(super) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"BYOK");

/// One step of the schema. What has been released never changes; a correction is another step.
pub(super) struct Migration {
    /// From 1, without gaps.
    pub(super) number: u32,
    pub(super) sql: &'static str,
}

/// The step since which proofs of ownership are rows of their own: what earlier tests have shown is written down in it.
const PROOFS: u32 = 11;

/// Every step there has been.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, sql: include_str!("schema/0001_first.sql") },
    Migration { number: 2, sql: include_str!("schema/0002_key_tests.sql") },
    Migration { number: 3, sql: include_str!("schema/0003_operations.sql") },
    Migration { number: 4, sql: include_str!("schema/0004_life.sql") },
    Migration { number: 5, sql: include_str!("schema/0005_usage.sql") },
    Migration { number: 6, sql: include_str!("schema/0006_approvals.sql") },
    Migration { number: 7, sql: include_str!("schema/0007_version_choices.sql") },
    Migration { number: 8, sql: include_str!("schema/0008_head.sql") },
    Migration { number: 9, sql: include_str!("schema/0009_callers.sql") },
    Migration { number: 10, sql: include_str!("schema/0010_credentials.sql") },
    Migration { number: PROOFS, sql: include_str!("schema/0011_tenants.sql") },
    Migration { number: 12, sql: include_str!("schema/0012_hands.sql") },
];

/// The schema a database has after all of `migrations`.
pub(super) fn newest(migrations: &[Migration]) -> u32 {
    migrations.last().map_or(0, |migration| migration.number)
}

/// The number of the last step a file has seen. Kept in its header too, where it can be read whatever the tables are like.
pub(super) fn present(conn: &Connection) -> Result<u32, StoreError> {
    let number: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    u32::try_from(number).map_err(|_| StoreError::Damaged)
}

/// Fills a new file: the first step together with the row that says which installation it belongs to, then the others.
pub(super) fn create(
    conn: &Connection,
    codes: &RowCodes,
    migrations: &[Migration],
    root_check: [u8; 16],
) -> Result<(), StoreError> {
    let Some((first, others)) = migrations.split_first() else { return Err(StoreError::Damaged) };
    apply(conn, first, || {
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        let at = Stamp { epoch: 1, revision: 0 };
        let (schema, sum) = (first.number, SetSum::EMPTY);
        write_meta(conn, codes, &Meta { at, schema, root_check, sum, anchored: None, anchors: false })
    })?;
    others.iter().try_for_each(|migration| step(conn, codes, migration, None))
}

/// Takes the steps the file has not seen. Answers how many. `head`: the one outside, from which each step goes on.
pub(super) fn migrate(
    conn: &Connection,
    codes: &RowCodes,
    migrations: &[Migration],
    head: Option<Head>,
) -> Result<usize, StoreError> {
    let present = present(conn)?;
    let missing = migrations.iter().filter(|migration| migration.number > present);
    missing.map(|migration| step(conn, codes, migration, head)).collect::<Result<Vec<()>, _>>().map(|steps| steps.len())
}

fn step(conn: &Connection, codes: &RowCodes, migration: &Migration, head: Option<Head>) -> Result<(), StoreError> {
    apply(conn, migration, || {
        if migration.number == PROOFS {
            Unit::inside(conn, codes, tenancy::prove_what_was_tested)?;
        }
        let mut meta = read::meta(conn, codes)?;
        meta.schema = migration.number;
        meta.at.revision += 1;
        meta.anchored = head.filter(|_| meta.anchors).or(meta.anchored);
        write_meta(conn, codes, &meta)
    })
}

/// The statements, the numbers and the meta row, together or not at all: in a transaction of their own, or as part of the one that
/// is open.
fn apply(
    conn: &Connection,
    migration: &Migration,
    write_meta: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let own = conn.is_autocommit();
    if own {
        conn.execute_batch("BEGIN IMMEDIATE")?;
    }
    let done = conn
        .execute_batch(migration.sql)
        .and_then(|()| conn.pragma_update(None, "user_version", migration.number))
        .map_err(StoreError::from)
        .and_then(|()| write_meta())
        .and_then(|()| if own { Ok(conn.execute_batch("COMMIT")?) } else { Ok(()) });
    if own && done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    done
}
