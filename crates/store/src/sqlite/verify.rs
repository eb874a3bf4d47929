//! Whether the whole database is what was written: every row, every set, every chain.

use std::collections::BTreeMap;

use domain::WorkspaceId;
use rusqlite::Connection;

use super::read::{self, Kept, Stored};
use super::tables::{EachTable, each_table, set_of};
use crate::row::{RowCodes, SetHead};
use crate::set::SetSum;
use crate::{RecordedEvent, StoreError, Verified, event};

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

/// Reads everything in one transaction, so that a writer beside it changes nothing about what is compared.
pub(super) fn verify(conn: &Connection, codes: &RowCodes) -> Result<Verified, StoreError> {
    let (told, codes) = (codes, &codes.without_prejudice());
    let snapshot = conn.unchecked_transaction()?;
    let mut found = Workspaces::new();
    each_table(&mut Count { conn: &snapshot, codes, found: &mut found })?;
    follow_chains(&snapshot, codes, &mut found)?;
    let verified = Verified {
        rows: found.values().map(|found| found.rows).sum(),
        events: found.values().map(|found| found.audit_seq).sum(),
    };
    let (wrong, platform) = compare(&snapshot, codes, found)?;
    // Which of a workspace's rows is the wrong one cannot be told: none of them counts until they add up again.
    told.distrust(wrong.iter().filter_map(workspace_of).collect());
    match wrong.into_iter().next() {
        Some(why) => Err(why),
        None => platform.map(|()| verified),
    }
}

/// Adds up the rows of a table.
struct Count<'f> {
    conn: &'f Connection,
    codes: &'f RowCodes,
    found: &'f mut Workspaces,
}

impl EachTable for Count<'_> {
    fn table<R: Stored>(&mut self) -> Result<(), StoreError> {
        read::each(self.conn, self.codes, "", [], |kept: Kept<R>| {
            let found = self.found.entry(set_of(&kept.row)?).or_default();
            found.rows += 1;
            found.sum.add(&kept.code);
            Ok(())
        })
    }
}

fn follow_chains(conn: &Connection, codes: &RowCodes, found: &mut Workspaces) -> Result<(), StoreError> {
    read::each(conn, codes, "ORDER BY workspace, seq", [], |Kept { row: event, .. }: Kept<RecordedEvent>| {
        let end = found.entry(event.workspace.clone()).or_default();
        if !event.follows(end.audit_seq, &end.audit_hash) {
            return Err(StoreError::ChainBroken { workspace: event.workspace, seq: end.audit_seq + 1 });
        }
        (end.audit_seq, end.audit_hash) = (event.seq, event.hash);
        Ok(())
    })
}

/// Holds what was found against what each set says of itself, and the sets against what the meta row says of them.
/// Answers what is wrong with each workspace, and whether the sets are the ones that the meta row speaks of.
fn compare(
    conn: &Connection,
    codes: &RowCodes,
    mut found: Workspaces,
) -> Result<(Vec<StoreError>, Result<(), StoreError>), StoreError> {
    let (mut sum, mut wrong) = (SetSum::EMPTY, Vec::new());
    read::each(conn, codes, "", [], |Kept { row: set, code }: Kept<SetHead>| {
        sum.add(&code);
        let found = found.remove(&set.workspace).unwrap_or_default();
        if found.rows != set.rows || found.sum != set.sum {
            wrong.push(StoreError::SetForged { workspace: set.workspace });
        } else if (found.audit_seq, found.audit_hash) != (set.audit_seq, set.audit_hash) {
            wrong.push(StoreError::ChainBroken { workspace: set.workspace, seq: found.audit_seq + 1 });
        }
        Ok(())
    })?;
    wrong.extend(found.into_keys().map(|workspace| StoreError::SetForged { workspace }));
    let as_the_meta_row_says = sum == read::meta(conn, codes)?.sum;
    let platform = if as_the_meta_row_says { Ok(()) } else { Err(StoreError::SetForged { workspace: None }) };
    Ok((wrong, platform))
}

/// Whose rows do not add up.
fn workspace_of(wrong: &StoreError) -> Option<String> {
    let (StoreError::SetForged { workspace } | StoreError::ChainBroken { workspace, .. }) = wrong else { return None };
    workspace.as_ref().map(|workspace| workspace.as_str().to_owned())
}
