//! Whether the whole database is what was written: every row, every set, every chain.

use std::collections::BTreeMap;

use domain::key_life::{AppSelection, KeyLife};
use domain::{App, KeyConfig, KeyTest, KeyVersion, Workspace, WorkspaceId};
use rusqlite::Connection;

use super::read::{self, Kept, Stored};
use crate::row::{NumberedWrapping, RowCodes, SetHead, WrappedKey};
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
    let snapshot = conn.unchecked_transaction()?;
    let mut found = Workspaces::new();
    count::<Workspace>(&snapshot, codes, &mut found)?;
    count::<App>(&snapshot, codes, &mut found)?;
    count::<KeyConfig>(&snapshot, codes, &mut found)?;
    count::<KeyVersion>(&snapshot, codes, &mut found)?;
    count::<KeyLife>(&snapshot, codes, &mut found)?;
    count::<AppSelection>(&snapshot, codes, &mut found)?;
    count::<KeyTest>(&snapshot, codes, &mut found)?;
    count::<WrappedKey>(&snapshot, codes, &mut found)?;
    count::<NumberedWrapping>(&snapshot, codes, &mut found)?;
    count::<domain::Operation>(&snapshot, codes, &mut found)?;
    count::<domain::KeyUsage>(&snapshot, codes, &mut found)?;
    count::<domain::StoredCredential>(&snapshot, codes, &mut found)?;
    count::<domain::tenancy::TenantLink>(&snapshot, codes, &mut found)?;
    count::<domain::tenancy::TagNonce>(&snapshot, codes, &mut found)?;
    count::<domain::tenancy::ProvenKey>(&snapshot, codes, &mut found)?;
    follow_chains(&snapshot, codes, &mut found)?;
    let verified = Verified {
        rows: found.values().map(|found| found.rows).sum(),
        events: found.values().map(|found| found.audit_seq).sum(),
    };
    compare(&snapshot, codes, found)?;
    Ok(verified)
}

fn count<R: Stored>(conn: &Connection, codes: &RowCodes, found: &mut Workspaces) -> Result<(), StoreError> {
    read::each(conn, codes, "", [], |kept: Kept<R>| {
        let workspace: WorkspaceId =
            kept.row.workspace().parse().map_err(|_| StoreError::RowForged { table: R::TABLE })?;
        let found = found.entry(Some(workspace)).or_default();
        found.rows += 1;
        found.sum.add(&kept.code);
        Ok(())
    })
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
fn compare(conn: &Connection, codes: &RowCodes, mut found: Workspaces) -> Result<(), StoreError> {
    let mut sum = SetSum::EMPTY;
    read::each(conn, codes, "", [], |Kept { row: set, code }: Kept<SetHead>| {
        sum.add(&code);
        let found = found.remove(&set.workspace).unwrap_or_default();
        if found.rows != set.rows || found.sum != set.sum {
            return Err(StoreError::SetForged { workspace: set.workspace });
        }
        if (found.audit_seq, found.audit_hash) != (set.audit_seq, set.audit_hash) {
            return Err(StoreError::ChainBroken { workspace: set.workspace, seq: found.audit_seq + 1 });
        }
        Ok(())
    })?;
    if let Some((workspace, _)) = found.pop_first() {
        return Err(StoreError::SetForged { workspace });
    }
    if sum != read::meta(conn, codes)?.sum {
        return Err(StoreError::SetForged { workspace: None });
    }
    Ok(())
}
