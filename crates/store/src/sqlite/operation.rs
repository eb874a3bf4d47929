//! What rotations read and write: operations, further wrappings of data keys, and what is under which version.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use domain::approval::{Approval, Decision};
use domain::operation::{Operation, OperationId, OperationKind, Progress};
use domain::rotation::VersionUse;
use domain::{
    AppId, DataKey, DataKeyId, DataKeyState, KeyVersionId, Protection, Reason, TenantId, Timestamp, WorkspaceId,
    Wrapping, WrappingKey,
};
use rusqlite::{Connection, params};

use super::fields::{Fields, stored};
use super::read::{self, Kept, Stored};
use super::rows;
use super::unit::Step;
use super::write;
use crate::row::{self, NumberedWrapping, Row, RowCodes, WrappedKey};
use crate::{Activation, Conflict, RecordedEvent, StoreError};

/// How many data keys are looked at in one statement while those are sought that a rotation has left.
const LOOKED_AT: i64 = 512;

impl Stored for Operation {
    const COLUMNS: &'static str = "workspace, operation, kind, from_version, to_version, app, active_before, state, total, \
                                   done, failing, cancelling, reason, actor, created_at, updated_at, switched_at, finished_at, \
                                   key, tenant, data_key, approve_by, waits, decided_by, decided_at, approved";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let workspace = fields.parsed()?;
        let id = OperationId::from_bytes(fields.array()?);
        let code = fields.number()?;
        let version = |fields: &mut Fields<'_>| fields.optional_array().map(|id| id.map(KeyVersionId::from_bytes));
        let (from, to) = (version(fields)?, version(fields)?);
        let app = fields.optional_text()?.map(str::parse::<AppId>).transpose().map_err(|_| fields.forged())?;
        let active_before = fields.optional_time()?;
        let state = fields.code(row::operation_state)?;
        let progress = Progress { total: fields.count()?, done: fields.count()?, failing: fields.count()? };
        let cancelling = fields.code(yes_or_no)?;
        let reason = match fields.optional_text()? {
            None => None,
            Some(name) => Some(Reason::named(name).ok_or_else(|| fields.forged())?),
        };
        let actor = fields.text()?.to_owned();
        let (created_at, updated_at) = (fields.time()?, fields.time()?);
        let (switched_at, finished_at) = (fields.optional_time()?, fields.optional_time()?);
        let key = match fields.optional_text()? {
            None => None,
            Some(text) => Some(rows::location_of(text).ok_or_else(|| fields.forged())?),
        };
        let tenant = fields.optional_text()?.map(str::parse::<TenantId>).transpose().map_err(|_| fields.forged())?;
        let data_key = fields.optional_text()?.map(str::parse::<DataKeyId>).transpose().map_err(|_| fields.forged())?;
        let kind = match (code, from, to, app, active_before, key, tenant, data_key) {
            (1, Some(from), Some(to), None, None, None, None, None) => OperationKind::RotateKey { from, to },
            (2, None, None, app, Some(active_before), None, None, None) => {
                OperationKind::RotateDataKeys { app, active_before }
            }
            (3, Some(from), Some(to), None, None, Some(key), Some(tenant), None) => {
                OperationKind::ReplaceKey { from, to, key, tenant }
            }
            (4, None, None, None, None, None, None, None) => OperationKind::LeaveCustomerKey,
            (5, None, None, Some(app), None, None, None, Some(data_key)) => {
                OperationKind::DestroyDataKey { app, data_key }
            }
            _ => return Err(fields.forged()),
        };
        let approval = approval(fields)?;
        Ok(Self {
            workspace,
            id,
            kind,
            state,
            progress,
            cancelling,
            reason,
            actor,
            created_at,
            updated_at,
            switched_at,
            finished_at,
            approval,
        })
    }
}

fn yes_or_no(code: i64) -> Option<bool> {
    match code {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Who has to approve and what was decided: all of it, or nothing.
fn approval(fields: &mut Fields<'_>) -> Result<Option<Approval>, StoreError> {
    let (approve_by, waits) = (fields.optional_time()?, fields.optional_time()?);
    let by = fields.optional_text()?.map(str::to_owned);
    let (at, approved) = (fields.optional_time()?, fields.optional_time()?);
    let decision = match (by, at, approved.map(|code| yes_or_no(code.micros()))) {
        (None, None, None) => None,
        (Some(by), Some(at), Some(Some(approved))) => Some(Decision { by, at, approved }),
        _ => return Err(fields.forged()),
    };
    match (approve_by, waits, decision) {
        (None, None, None) => Ok(None),
        (Some(approve_by), Some(waits), decision) => {
            let waits = u64::try_from(waits.micros()).map_err(|_| fields.forged())?;
            Ok(Some(Approval { approve_by, waits: Duration::from_micros(waits), decision }))
        }
        _ => Err(fields.forged()),
    }
}

pub(super) fn operation(
    conn: &Connection,
    codes: &RowCodes,
    id: OperationId,
) -> Result<Option<Kept<Operation>>, StoreError> {
    read::one(conn, codes, "WHERE operation = ?1", [id.to_bytes()])
}

/// The last event of a kind in a workspace's chain.
pub(super) fn last_event(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    name: &str,
) -> Result<Option<RecordedEvent>, StoreError> {
    let clause = "WHERE workspace = ?1 AND name = ?2 ORDER BY seq DESC LIMIT 1";
    Ok(read::one(conn, codes, clause, [workspace.as_str(), name])?.map(|kept| kept.row))
}

/// Writes down a new operation of a live workspace, or how far a known one is.
pub(super) fn put_operation(step: &mut Step<'_, '_>, operation: &Operation) -> Result<(), StoreError> {
    let before = self::operation(step.conn(), step.codes(), operation.id)?;
    let had_turn = match &before {
        Some(Kept { row, .. }) => {
            let purpose = |of: &Operation| of.approval.as_ref().map(|approval| (approval.approve_by, approval.waits));
            let same = (&row.workspace, &row.kind, &row.actor, row.created_at, purpose(row))
                == (&operation.workspace, &operation.kind, &operation.actor, operation.created_at, purpose(operation));
            if !same {
                return Err(Conflict::Exists.into());
            }
            let moves = row.state == operation.state || row.state.may_become(operation.state);
            if !row.state.is_open() || !moves {
                return Err(Conflict::OperationEnded.into());
            }
            row.state.has_turn()
        }
        None => {
            write::live_workspace(step, &operation.workspace)?;
            false
        }
    };
    if operation.state.has_turn() && !had_turn {
        let open: Option<Kept<Operation>> = read::one(
            step.conn(),
            step.codes(),
            "WHERE workspace = ?1 AND state IN (1, 2)",
            [operation.workspace.as_str()],
        )?;
        if open.is_some() {
            return Err(Conflict::OperationOpen.into());
        }
    }
    let sealed = step.seal(&operation.workspace, operation, before.map(|kept| kept.code))?;
    let columns = row::operation_kind_columns(&operation.kind);
    let row::KindColumns { kind, from, to, app, active_before, key, tenant, data_key } = columns;
    let approval = operation.approval.as_ref();
    let decision = approval.and_then(|approval| approval.decision.as_ref());
    let waits = approval.map(|approval| stored("waits", row::lease_micros(approval.waits))).transpose()?;
    step.conn()
        .prepare_cached(
            "INSERT INTO operations (workspace, operation, kind, from_version, to_version, app, active_before, state, total,
               done, failing, cancelling, reason, actor, created_at, updated_at, switched_at, finished_at,
               epoch, revision, mac_key, mac, key, tenant, data_key, approve_by, waits, decided_by, decided_at, approved)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
               ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)
             ON CONFLICT (workspace, operation) DO UPDATE SET state = ?8, total = ?9, done = ?10, failing = ?11,
               cancelling = ?12, reason = ?13, updated_at = ?16, switched_at = ?17, finished_at = ?18,
               decided_by = ?28, decided_at = ?29, approved = ?30, epoch = ?19, revision = ?20, mac_key = ?21, mac = ?22",
        )?
        .execute(params![
            operation.workspace.as_str(),
            operation.id.to_bytes(),
            kind,
            from.as_ref().map(KeyVersionId::as_bytes),
            to.as_ref().map(KeyVersionId::as_bytes),
            app.as_ref().map(AppId::as_str),
            active_before.map(Timestamp::micros),
            row::operation_state_code(operation.state),
            stored("total", operation.progress.total)?,
            stored("done", operation.progress.done)?,
            stored("failing", operation.progress.failing)?,
            operation.cancelling,
            operation.reason.map(Reason::as_str),
            operation.actor,
            operation.created_at.micros(),
            operation.updated_at.micros(),
            operation.switched_at.map(Timestamp::micros),
            operation.finished_at.map(Timestamp::micros),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
            key.map(|key| key.to_string()),
            tenant.as_ref().map(TenantId::as_str),
            data_key.map(|id| id.to_string()),
            approval.map(|approval| approval.approve_by.micros()),
            waits,
            decision.map(|decision| decision.by.as_str()),
            decision.map(|decision| decision.at.micros()),
            decision.map(|decision| decision.approved),
        ])?;
    Ok(())
}

/// Adds a wrapping to a data key and makes it the current one (I-4). Only for a rotation that is under way and to its version,
/// and only over the wrapping it was made from: whoever was slower than another, or than the rotation's end, adds nothing.
pub(super) fn add_wrapping(
    step: &mut Step<'_, '_>,
    id: OperationId,
    wrapping: &Wrapping,
    over: &Wrapping,
) -> Result<(), StoreError> {
    let operation = operation(step.conn(), step.codes(), id)?.ok_or(Conflict::NoOperation)?.row;
    if !operation.state.has_turn() {
        return Err(Conflict::OperationEnded.into());
    }
    let versions = operation.kind.versions().filter(|_| operation.workspace == wrapping.workspace);
    let (_, to) = versions.ok_or(Conflict::NotItsWrapping)?;
    if wrapping.wrapped_by != WrappingKey::Customer(to) {
        return Err(Conflict::NotItsWrapping.into());
    }
    let Kept { mut row, code: before } =
        read::wrapped_key(step.conn(), step.codes(), &wrapping.workspace, wrapping.data_key)?
            .ok_or(Conflict::NoDataKey)?;
    write::check_wrapping(&row.key, wrapping)?;
    if row.key.destroyed_at.is_some() {
        return Err(Conflict::WrappingMoved.into());
    }
    let present = read::newest_wrapping(step.conn(), step.codes(), &wrapping.workspace, wrapping.data_key)?;
    if present.as_ref() != Some(over) {
        return Err(Conflict::WrappingMoved.into());
    }
    let number = step.number_wrapping(&wrapping.workspace)?;
    row.wrapping = number;
    let sealed = step.seal(&wrapping.workspace, &row, Some(before))?;
    // The wrapping first: the row that names it must find it.
    write::insert_wrapping(step, &NumberedWrapping { number, wrapping: wrapping.clone() })?;
    step.conn()
        .prepare_cached(
            "UPDATE data_keys SET wrapping = ?3, epoch = ?4, revision = ?5, mac_key = ?6, mac = ?7
             WHERE workspace = ?1 AND data_key = ?2",
        )?
        .execute(params![
            wrapping.workspace.as_str(),
            wrapping.data_key.as_bytes(),
            stored("wrapping", number)?,
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

/// Retires `old` and makes `new` the active one, together; loses where another was quicker (I-19).
pub(super) fn succeed_data_key(
    step: &mut Step<'_, '_>,
    workspace: &WorkspaceId,
    app: &AppId,
    (old, new): (DataKeyId, DataKeyId),
    at: Timestamp,
) -> Result<Activation, StoreError> {
    write::live_app(step, workspace, app)?;
    let successor = read::data_key(step.conn(), step.codes(), workspace, app, new)?.ok_or(Conflict::NoDataKey)?;
    let found = read::data_key(step.conn(), step.codes(), workspace, app, old)?.ok_or(Conflict::NoDataKey)?;
    if found.row.key.protection != successor.row.key.protection {
        return Err(Conflict::NotItsWrapping.into());
    }
    let waits = matches!(successor.row.key.state, DataKeyState::Pending | DataKeyState::Staged);
    if waits && found.row.key.state == DataKeyState::Active {
        write::move_data_key(step, found, DataKeyState::Retired, at)?;
    }
    write::activate_data_key(step, workspace, app, new, at)
}

/// What is under which version, from every wrapping there has ever been. Takes time in proportion to those.
pub(super) fn version_uses(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Vec<VersionUse>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let mut current: HashMap<DataKeyId, (u64, KeyVersionId)> = HashMap::new();
    let mut uses: BTreeMap<KeyVersionId, (u64, Option<Timestamp>)> = BTreeMap::new();
    let clause = "WHERE workspace = ?1 AND wrapped_by = 2 ORDER BY number";
    read::each(&snapshot, codes, clause, [workspace.as_str()], |kept: Kept<NumberedWrapping>| {
        let NumberedWrapping { number, wrapping } = kept.row;
        let WrappingKey::Customer(version) = wrapping.wrapped_by else { return Ok(()) };
        uses.entry(version).or_default();
        if let Some((_, before)) = current.insert(wrapping.data_key, (number, version))
            && before != version
        {
            let (_, left_at) = uses.entry(before).or_default();
            *left_at = (*left_at).max(Some(wrapping.created_at));
        }
        Ok(())
    })?;
    let clause = "WHERE workspace = ?1 AND protection = 2";
    read::each(&snapshot, codes, clause, [workspace.as_str()], |kept: Kept<WrappedKey>| {
        // What was destroyed, or given up before it sealed anything, needs no version any more.
        if kept.row.key.destroyed_at.is_some() || kept.row.key.state == DataKeyState::Abandoned {
            return Ok(());
        }
        // The row says which wrapping is its newest: one that was taken away, or put there, is not counted but told.
        match current.get(&kept.row.key.id) {
            Some((number, version)) if *number == kept.row.wrapping => {
                uses.entry(*version).or_default().0 += 1;
                Ok(())
            }
            Some(_) | None => Err(StoreError::RowForged { table: NumberedWrapping::TABLE }),
        }
    })?;
    let found = uses.into_iter().map(|(version, (data_keys, left_at))| VersionUse { version, data_keys, left_at });
    Ok(found.collect())
}

/// Data keys, in whatever state, whose current wrapping is under another version than `to`, in the order of their ids.
pub(super) fn data_keys_left(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    to: KeyVersionId,
    after: Option<DataKeyId>,
    limit: usize,
) -> Result<Vec<(DataKey, Wrapping)>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let (mut after, mut found) = (after.map_or(Vec::new(), |after| after.as_bytes().to_vec()), Vec::new());
    loop {
        let clause = "WHERE workspace = ?1 AND protection = 2 AND data_key > ?2 ORDER BY data_key LIMIT ?3";
        let rows: Vec<WrappedKey> =
            read::many(&snapshot, codes, clause, params![workspace.as_str(), after, LOOKED_AT])?;
        let Some(last) = rows.last() else { return Ok(found) };
        after = last.key.id.as_bytes().to_vec();
        let needed = |row: &WrappedKey| row.key.destroyed_at.is_none() && row.key.state != DataKeyState::Abandoned;
        for row in rows.into_iter().filter(needed) {
            debug_assert_eq!(row.key.protection, Protection::CustomerKey);
            let wrapping = read::newest_wrapping(&snapshot, codes, workspace, row.key.id)?;
            let wrapping = wrapping.ok_or(StoreError::RowForged { table: NumberedWrapping::TABLE })?;
            if wrapping.wrapped_by != WrappingKey::Customer(to) {
                found.push((row.key, wrapping));
                if found.len() >= limit {
                    return Ok(found);
                }
            }
        }
    }
}
