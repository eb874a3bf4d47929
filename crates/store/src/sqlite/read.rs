//! Every query that reads rows. Each row's code is checked before anybody sees it.

use std::collections::BTreeSet;

use domain::row_seal::RowMac;
use domain::{
    App, AppId, DataKeyId, KeyConfig, KeyTest, KeyVersion, KeyVersionId, Protection, Workspace, WorkspaceId, Wrapping,
};
use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::fields::{Fields, stored};
use crate::row::{Meta, NumberedWrapping, Row, RowCodes, SetHead, WrappedKey};
use crate::set::SetSum;
use crate::{Head, StoreError};

/// A row with the code it was found with.
pub(super) struct Kept<R> {
    pub(super) row: R,
    pub(super) code: RowMac,
}

/// A row type and where its columns are.
pub(super) trait Stored: Row + Sized {
    /// Its columns in the order `read` takes them, before the four that every row ends with.
    const COLUMNS: &'static str;
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError>;
}

fn kept<R: Stored>(codes: &RowCodes, row: &rusqlite::Row<'_>) -> Result<Kept<R>, StoreError> {
    let mut fields = Fields::of(row, R::TABLE);
    let read = R::read(&mut fields)?;
    let (stamp, code) = fields.stamp_and_code()?;
    codes.check(&read, stamp, &code)?;
    Ok(Kept { row: read, code })
}

fn select<R: Stored>(clause: &str) -> String {
    format!("SELECT {}, epoch, revision, mac_key, mac FROM {} {clause}", R::COLUMNS, R::TABLE)
}

/// The row the clause names, if there is one.
pub(super) fn one<R: Stored>(
    conn: &Connection,
    codes: &RowCodes,
    clause: &str,
    params: impl Params,
) -> Result<Option<Kept<R>>, StoreError> {
    let mut statement = conn.prepare_cached(&select::<R>(clause))?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(|row| kept(codes, row)).transpose()
}

/// All rows the clause names.
pub(super) fn many<R: Stored>(
    conn: &Connection,
    codes: &RowCodes,
    clause: &str,
    params: impl Params,
) -> Result<Vec<R>, StoreError> {
    let mut found = Vec::new();
    each(conn, codes, clause, params, |kept: Kept<R>| {
        found.push(kept.row);
        Ok(())
    })?;
    Ok(found)
}

/// The rows the clause names of all workspaces, `limit` of them at most. What is forged is its own workspace's trouble, which whoever
/// asks for it meets: it is left out here, and nobody else's row with it.
pub(super) fn of_all<R: Stored>(
    conn: &Connection,
    codes: &RowCodes,
    clause: &str,
    params: impl Params,
    limit: usize,
) -> Result<Vec<R>, StoreError> {
    let mut statement = conn.prepare_cached(&select::<R>(clause))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        match kept::<R>(codes, row) {
            Ok(kept) => found.push(kept.row),
            Err(why) if why.is_forged() => {
                let workspace = name_in(row).map(|workspace| workspace.to_string());
                tracing::error!(workspace, table = R::TABLE, %why, "a row is left out of a list of all workspaces'");
            }
            Err(why) => return Err(why),
        }
    }
    Ok(found)
}

/// Hands the rows the clause names of all workspaces to `visit`, with their codes, until it says that it has enough. Of a workspace
/// of which one row is forged, or whose `visit` meets that, the rest is passed over: told once, and nobody else's trouble. So is what
/// was passed over before; this is added to it.
pub(super) fn each_of_all<R: Stored>(
    conn: &Connection,
    codes: &RowCodes,
    clause: &str,
    params: impl Params,
    passed_over: &mut BTreeSet<Option<WorkspaceId>>,
    mut visit: impl FnMut(Kept<R>) -> Result<Enough, StoreError>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(&select::<R>(clause))?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let workspace = name_in(row);
        if passed_over.contains(&workspace) {
            continue;
        }
        match kept(codes, row).and_then(&mut visit) {
            Ok(Enough(false)) => {}
            Ok(Enough(true)) => return Ok(()),
            Err(why) if why.is_forged() => {
                let name = workspace.as_ref().map(WorkspaceId::as_str);
                tracing::error!(workspace = name, table = R::TABLE, %why, "the rows of a workspace are passed over");
                passed_over.insert(workspace);
            }
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

/// Whether whoever is handed rows needs no more of them.
pub(super) struct Enough(pub(super) bool);

/// Whose name a row bears; nobody's, or one that is none, is the platform's.
fn name_in(row: &rusqlite::Row<'_>) -> Option<WorkspaceId> {
    row.get_ref("workspace").ok()?.as_str().ok()?.parse().ok()
}

/// What is not as it was written.
pub(super) struct Wrong {
    /// Whose trouble it is; absent: the platform's.
    pub(super) workspace: Option<WorkspaceId>,
    pub(super) why: StoreError,
}

/// As [`each`], past what is forged, which is handed to `visit` as that. Where a table cannot be read to its end it is told once, as
/// nobody's: what a workspace had behind that is missing from its sum.
pub(super) fn each_or_wrong<R: Stored>(
    conn: &Connection,
    codes: &RowCodes,
    clause: &str,
    mut visit: impl FnMut(Result<Kept<R>, Wrong>),
) -> Result<(), StoreError> {
    let visit = &mut visit;
    let to_the_end = (|| {
        let mut statement = conn.prepare_cached(&select::<R>(clause))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match kept(codes, row) {
                Ok(kept) => visit(Ok(kept)),
                Err(why) if why.is_forged() => visit(Err(Wrong { workspace: name_in(row), why })),
                Err(why) => return Err(why),
            }
        }
        Ok(())
    })();
    match to_the_end {
        Err(why) if is_unreadable(&why) => {
            tracing::error!(table = R::TABLE, %why, "a table cannot be read to its end");
            visit(Err(Wrong { workspace: None, why }));
            Ok(())
        }
        ended => ended,
    }
}

/// Whether what was to be read is not there, or is no row, however often it is asked for: whoever can write the file brings that about
/// with one statement, or with a page of zeros.
pub(super) fn is_unreadable(why: &StoreError) -> bool {
    match why {
        StoreError::Damaged | StoreError::Refused { .. } => true,
        StoreError::Conflict(_)
        | StoreError::RowForged { .. }
        | StoreError::SetForged { .. }
        | StoreError::ChainBroken { .. }
        | StoreError::OutcomeUnknown
        | StoreError::Unavailable(_)
        | StoreError::TransactionEnded { .. }
        | StoreError::Closed
        | StoreError::TooLarge { .. }
        | StoreError::RolledBack => false,
    }
}

/// Hands each row the clause names to `visit`.
pub(super) fn each<R: Stored>(
    conn: &Connection,
    codes: &RowCodes,
    clause: &str,
    params: impl Params,
    mut visit: impl FnMut(Kept<R>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(&select::<R>(clause))?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        visit(kept(codes, row)?)?;
    }
    Ok(())
}

pub(super) fn workspace(
    conn: &Connection,
    codes: &RowCodes,
    id: &WorkspaceId,
) -> Result<Option<Kept<Workspace>>, StoreError> {
    one(conn, codes, "WHERE workspace = ?1", [id.as_str()])
}

pub(super) fn app(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    app: &AppId,
) -> Result<Option<Kept<App>>, StoreError> {
    one(conn, codes, "WHERE workspace = ?1 AND app = ?2", [workspace.as_str(), app.as_str()])
}

pub(super) fn key_config(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Option<Kept<KeyConfig>>, StoreError> {
    one(conn, codes, "WHERE workspace = ?1", [workspace.as_str()])
}

pub(super) fn key_version(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    version: KeyVersionId,
) -> Result<Option<Kept<KeyVersion>>, StoreError> {
    one(conn, codes, "WHERE workspace = ?1 AND version = ?2", params![workspace.as_str(), version.as_bytes()])
}

/// A workspace's tests, newest first: their ids sort by time.
pub(super) fn key_tests(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    limit: i64,
) -> Result<Vec<KeyTest>, StoreError> {
    many(conn, codes, "WHERE workspace = ?1 ORDER BY test DESC LIMIT ?2", params![workspace.as_str(), limit])
}

pub(super) fn data_key(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    app: &AppId,
    id: DataKeyId,
) -> Result<Option<Kept<WrappedKey>>, StoreError> {
    Ok(wrapped_key(conn, codes, workspace, id)?.filter(|found| found.row.key.app == *app))
}

pub(super) fn wrapped_key(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    id: DataKeyId,
) -> Result<Option<Kept<WrappedKey>>, StoreError> {
    one(conn, codes, "WHERE workspace = ?1 AND data_key = ?2", params![workspace.as_str(), id.as_bytes()])
}

pub(super) fn active_data_key(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    app: &AppId,
    protection: Protection,
) -> Result<Option<Kept<WrappedKey>>, StoreError> {
    one(
        conn,
        codes,
        "WHERE workspace = ?1 AND app = ?2 AND protection = ?3 AND state = 3",
        params![workspace.as_str(), app.as_str(), protection.byte()],
    )
}

/// The wrapping that the data key's row names. One that is not there, or is another key's, was taken away or put there.
pub(super) fn newest_wrapping(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    id: DataKeyId,
) -> Result<Option<Wrapping>, StoreError> {
    let Some(Kept { row: WrappedKey { wrapping: number, .. }, .. }) = wrapped_key(conn, codes, workspace, id)? else {
        return Ok(None);
    };
    let clause = "WHERE workspace = ?1 AND number = ?2";
    let named: Option<Kept<NumberedWrapping>> =
        one(conn, codes, clause, params![workspace.as_str(), stored("wrapping", number)?])?;
    match named {
        Some(named) if named.row.wrapping.data_key == id => Ok(Some(named.row.wrapping)),
        Some(_) | None => Err(StoreError::RowForged { table: NumberedWrapping::TABLE }),
    }
}

/// The set of a workspace, or the platform's.
pub(super) fn set_head(
    conn: &Connection,
    codes: &RowCodes,
    workspace: Option<&WorkspaceId>,
) -> Result<Option<Kept<SetHead>>, StoreError> {
    one(conn, codes, "WHERE workspace = ?1", [workspace.map_or("", |workspace| workspace.as_str())])
}

/// The row about the database itself. Without it, or with another installation's, nothing in here can be believed.
pub(super) fn meta(conn: &Connection, codes: &RowCodes) -> Result<Meta, StoreError> {
    let forged = StoreError::RowForged { table: Meta::TABLE };
    // Older schemas have no head: the last column is missing there.
    let select = |last: &str| {
        let columns = "cluster_id, schema, root_check, sum, epoch, revision, mac_key, mac";
        conn.prepare_cached(&format!("SELECT {columns}{last} FROM meta WHERE id = 1"))
    };
    let (mut statement, anchors) = match select(", anchored") {
        Ok(statement) => (statement, true),
        Err(error) if is_missing_column(&error) => (select("")?, false),
        Err(error) => return Err(error.into()),
    };
    let found = statement
        .query_row([], |row| {
            let mut fields = Fields::of(row, Meta::TABLE);
            Ok((|| {
                let cluster: [u8; 16] = fields.array()?;
                let schema = u32::try_from(fields.number()?).map_err(|_| fields.forged())?;
                let (root_check, sum) = (fields.array()?, SetSum::from_bytes(&fields.array()?));
                let (at, code) = fields.stamp_and_code()?;
                let anchored = if anchors { fields.optional_array()? } else { None };
                let anchored = anchored.as_ref().map(Head::from_bytes);
                Ok::<_, StoreError>((cluster, Meta { at, schema, root_check, sum, anchored, anchors }, code))
            })())
        })
        .optional()?;
    let (cluster, meta, code) = found.ok_or(forged.clone())??;
    if cluster != codes.cluster().0 {
        return Err(forged);
    }
    codes.check(&meta, meta.at, &code)?;
    Ok(meta)
}

/// Whether a statement names a column that the schema has not. Any other trouble says nothing about the schema.
fn is_missing_column(error: &rusqlite::Error) -> bool {
    error.to_string().contains("no such column")
}
