//! Whether the whole database is what was written: every row, every set, every chain.
//!
//! One look is one transaction. It costs time in proportion to the database, and room: while it reads, the log is not begun anew, grows by
//! whatever is committed meanwhile, and keeps that size. A set could be held against its workspace's rows in a transaction of its own; not
//! so all sets against what the database says of them, nor the rows that bear the name of no set.

use std::collections::{BTreeMap, BTreeSet};

use domain::row_seal::RowMac;
use domain::{PlatformKeyId, WorkspaceId};
use rusqlite::Connection;

use super::fields::Fields;
use super::read::{self, Kept, Stored, Wrong};
use super::tables::{EachTable, each_table, set_of};
use crate::row::{Row as _, RowCodes, SetHead};
use crate::set::SetSum;
use crate::{Examined, RecordedEvent, StoreError, Verified, event};

/// What the rows of a workspace add up to.
struct Found {
    rows: u64,
    sum: SetSum,
    audit_seq: u64,
    audit_hash: [u8; 32],
}

impl Default for Found {
    fn default() -> Self {
        Self { rows: 0, sum: SetSum::EMPTY, audit_seq: 0, audit_hash: event::START }
    }
}

type Workspaces = BTreeMap<Option<WorkspaceId>, Found>;

/// What is not as it was written: the first of it, and whose it is.
#[derive(Default)]
struct Wrongs {
    first: Option<StoreError>,
    count: u64,
    whose: BTreeSet<Option<WorkspaceId>>,
}

impl Wrongs {
    fn count(&mut self, wrong: Wrong) {
        self.first.get_or_insert(wrong.why);
        self.count += 1;
        self.whose.insert(wrong.workspace);
    }
}

/// Reads everything in one transaction, so that a writer beside it changes nothing about what is compared. What is forged is counted
/// against its workspace and does not end the check: behind it may be another workspace's older row. Nor does a table that cannot be
/// read: whoever put a row back could rename another table, and would be believed. Whose sums hold without it had nothing in it.
pub(super) fn examine(conn: &Connection, codes: &RowCodes) -> Result<Examined, StoreError> {
    let (told, codes) = (codes, &codes.without_prejudice());
    // Its own transaction, or the one that is open.
    let own = if conn.is_autocommit() { Some(conn.unchecked_transaction()?) } else { None };
    let snapshot = own.as_deref().unwrap_or(conn);
    let (mut found, mut wrongs) = (Workspaces::new(), Wrongs::default());
    let read = (|| {
        each_table(&mut Count { conn: snapshot, codes, found: &mut found, wrongs: &mut wrongs })?;
        follow_chains(snapshot, codes, &mut found, &mut wrongs)?;
        let looked_at = Verified {
            rows: found.values().map(|found| found.rows).sum(),
            events: found.values().map(|found| found.audit_seq).sum(),
        };
        compare(snapshot, codes, found, &mut wrongs)?;
        Ok(looked_at)
    })();
    // Which of a workspace's rows is the wrong one cannot be told: none of them counts until they add up again.
    for workspace in wrongs.whose.iter().flatten() {
        tracing::error!(%workspace, "the workspace's rows are not what was written: none of them is believed");
    }
    let distrusted = wrongs.whose.iter().flatten().map(|workspace| workspace.as_str().to_owned());
    let looked_at = match read {
        Ok(looked_at) => {
            told.distrust(distrusted.collect());
            looked_at
        }
        // Whoever was not come to is as they were before.
        Err(why) => {
            told.distrust(told.distrusted().into_iter().chain(distrusted).collect());
            return Err(why);
        }
    };
    // Which of the sets is the wrong one cannot be told either, nor whether it is put back with all of its rows.
    let sets = sets_are_the_ones_spoken_of(snapshot, codes);
    match &sets {
        Err(why) if is_wrong(why) => {
            tracing::error!(
                %why, reason = domain::Reason::DatabaseRolledBack.as_str(),
                "a part of the database is of an older copy, or cannot be told from one: nothing is read from it or written to it"
            );
            told.disown(true);
        }
        Err(_) => {}
        Ok(()) => told.disown(false),
    }
    let of_all = sets.err();
    let counted = u64::from(of_all.as_ref().is_some_and(is_wrong));
    let Wrongs { first, count, whose } = wrongs;
    match first.or(of_all) {
        // It could not be read to its end.
        Some(why) if !is_wrong(&why) => Err(why),
        first => {
            let distrusted = whose.into_iter().flatten().collect();
            Ok(Examined { looked_at, wrongs: count + counted, distrusted, first })
        }
    }
}

/// Whether it counts as wrong, so that the look goes on; anything else ends it, and may be gone the next time.
fn is_wrong(why: &StoreError) -> bool {
    why.is_forged() || read::is_unreadable(why)
}

/// As [`examine`], and refuses with what was found first.
pub(super) fn verify(conn: &Connection, codes: &RowCodes) -> Result<Verified, StoreError> {
    let Examined { looked_at, first, .. } = examine(conn, codes)?;
    first.map_or(Ok(looked_at), Err)
}

/// Adds up the rows of a table.
struct Count<'f> {
    conn: &'f Connection,
    codes: &'f RowCodes,
    found: &'f mut Workspaces,
    wrongs: &'f mut Wrongs,
}

impl EachTable for Count<'_> {
    fn table<R: Stored>(&mut self) -> Result<(), StoreError> {
        let (found, wrongs) = (&mut *self.found, &mut *self.wrongs);
        read::each_or_wrong(self.conn, self.codes, "", |row: Result<Kept<R>, Wrong>| {
            let set = row.and_then(|kept| match set_of(&kept.row) {
                Ok(workspace) => Ok((workspace, kept.code)),
                Err(why) => Err(Wrong { workspace: None, why }),
            });
            match set {
                Ok((workspace, code)) => {
                    let found = found.entry(workspace).or_default();
                    found.rows += 1;
                    found.sum.add(&code);
                }
                Err(wrong) => wrongs.count(wrong),
            }
        })
    }
}

/// Follows each chain to its end, or to where it breaks.
fn follow_chains(
    conn: &Connection,
    codes: &RowCodes,
    found: &mut Workspaces,
    wrongs: &mut Wrongs,
) -> Result<(), StoreError> {
    let mut broken = BTreeSet::new();
    read::each_or_wrong(conn, codes, "ORDER BY workspace, seq", |event: Result<Kept<RecordedEvent>, Wrong>| {
        let wrong = match event {
            Ok(Kept { row: event, .. }) if broken.contains(&event.workspace) => return,
            Ok(Kept { row: event, .. }) => {
                let end = found.entry(event.workspace.clone()).or_default();
                if event.follows(end.audit_seq, &end.audit_hash) {
                    (end.audit_seq, end.audit_hash) = (event.seq, event.hash);
                    return;
                }
                let why = StoreError::ChainBroken { workspace: event.workspace.clone(), seq: end.audit_seq + 1 };
                Wrong { workspace: event.workspace, why }
            }
            Err(wrong) => wrong,
        };
        broken.insert(wrong.workspace.clone());
        wrongs.count(wrong);
    })
}

/// Holds what was found against what each set says of itself.
fn compare(conn: &Connection, codes: &RowCodes, mut found: Workspaces, wrongs: &mut Wrongs) -> Result<(), StoreError> {
    read::each_or_wrong(conn, codes, "", |set: Result<Kept<SetHead>, Wrong>| {
        let set = match set {
            Ok(kept) => kept.row,
            Err(wrong) => return wrongs.count(wrong),
        };
        let found = found.remove(&set.workspace).unwrap_or_default();
        let workspace = set.workspace.clone();
        if found.rows != set.rows || found.sum != set.sum {
            wrongs.count(Wrong { why: StoreError::SetForged { workspace: set.workspace }, workspace });
        } else if (found.audit_seq, found.audit_hash) != (set.audit_seq, set.audit_hash) {
            let why = StoreError::ChainBroken { workspace: set.workspace, seq: found.audit_seq + 1 };
            wrongs.count(Wrong { why, workspace });
        }
    })?;
    for workspace in found.into_keys() {
        wrongs.count(Wrong { why: StoreError::SetForged { workspace: workspace.clone() }, workspace });
    }
    Ok(())
}

/// Holds the sets against what the row about the database says of them: by their codes alone, so that one with an edited column is
/// its own workspace's trouble.
fn sets_are_the_ones_spoken_of(conn: &Connection, codes: &RowCodes) -> Result<(), StoreError> {
    let mut sum = SetSum::EMPTY;
    let mut statement = conn.prepare_cached("SELECT mac_key, mac FROM sets")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut fields = Fields::of(row, SetHead::TABLE);
        sum.add(&RowMac { key: PlatformKeyId::from_bytes(fields.array()?), code: fields.array()? });
    }
    if sum == read::meta(conn, codes)?.sum { Ok(()) } else { Err(StoreError::SetForged { workspace: None }) }
}
