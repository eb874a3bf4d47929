//! Where a chain ends.

use domain::WorkspaceId;
use rusqlite::{Connection, params};

use super::read::{self, Kept};
use crate::row::RowCodes;
use crate::{RecordedEvent, StoreError};

/// The newest event of this name, or the last of all: the one that the chain's own head names.
pub(super) fn newest_event(
    conn: &Connection,
    codes: &RowCodes,
    workspace: Option<&WorkspaceId>,
    name: Option<&str>,
) -> Result<Option<RecordedEvent>, StoreError> {
    let chain = workspace.map_or("", WorkspaceId::as_str);
    let read = |found: Option<Kept<RecordedEvent>>| found.map(|kept| kept.row);
    if let Some(name) = name {
        let clause = "WHERE workspace = ?1 AND name = ?2 ORDER BY seq DESC LIMIT 1";
        return Ok(read(read::one(conn, codes, clause, params![chain, name])?));
    }
    // By the head's own number, so that an event that is written meanwhile is not taken for a broken chain.
    let head = read::set_head(conn, codes, workspace)?.map(|kept| (kept.row.audit_seq, kept.row.audit_hash));
    let Some((seq, hash)) = head.filter(|(seq, _)| *seq > 0) else { return Ok(None) };
    let number = super::fields::stored("seq", seq)?;
    let end = read(read::one(conn, codes, "WHERE workspace = ?1 AND seq = ?2", params![chain, number])?);
    match end.filter(|end| end.hash == hash && end.expected_hash() == hash) {
        Some(end) => Ok(Some(end)),
        None => Err(StoreError::ChainBroken { workspace: workspace.cloned(), seq }),
    }
}
