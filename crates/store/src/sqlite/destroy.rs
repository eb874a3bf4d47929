//! How a data key is destroyed: its wrapped bytes are erased, every wrapping it ever had, and its row stays as the tombstone.
//!
//! The one way in is an operation that somebody asked for and somebody else approved, begun after its waiting period (I-5). The
//! operation's row is authenticated, so that this rests on nobody's word.

use domain::operation::{OperationId, OperationKind, OperationState};
use domain::{AppId, DataKeyId, DataKeyState, Timestamp, WorkspaceId};
use rusqlite::params;

use super::fields::stored;
use super::operation::operation;
use super::read::{self, Kept};
use super::unit::Step;
use crate::row::NumberedWrapping;
use crate::{Conflict, StoreError};

/// Destroys the data key that the operation is about. Said again when asked again.
pub(super) fn destroy_data_key(step: &mut Step<'_, '_>, id: OperationId, at: Timestamp) -> Result<(), StoreError> {
    let operation = operation(step.conn(), step.codes(), id)?.ok_or(Conflict::NoOperation)?.row;
    let OperationKind::DestroyDataKey { app, data_key } = &operation.kind else {
        return Err(Conflict::NotApproved.into());
    };
    if operation.state != OperationState::Running {
        return Err(Conflict::OperationEnded.into());
    }
    // Two people, and the time between.
    let decision = operation.approval.as_ref().and_then(|approval| approval.decision.as_ref());
    let two_people = decision.is_some_and(|decision| decision.approved && decision.by != operation.actor);
    let needed = operation.approval.is_some();
    if !two_people || !needed || operation.not_before().is_none_or(|from| at < from) {
        return Err(Conflict::NotApproved.into());
    }
    entomb(step, &operation.workspace, app, *data_key, at)
}

fn entomb(
    step: &mut Step<'_, '_>,
    workspace: &WorkspaceId,
    app: &AppId,
    id: DataKeyId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let found = read::data_key(step.conn(), step.codes(), workspace, app, id)?.ok_or(Conflict::NoDataKey)?;
    let Kept { mut row, code: before } = found;
    if row.key.destroyed_at.is_some() {
        return Ok(());
    }
    if row.key.state != DataKeyState::Retired {
        return Err(Conflict::State { data_key: id, state: row.key.state }.into());
    }
    row.key.destroyed_at = Some(at);
    let sealed = step.seal(workspace, &row, Some(before))?;
    // What is overwritten is overwritten in the file too, and not only forgotten: there once the log is folded into it.
    step.unit.known.erased = true;
    step.conn().pragma_update(None, "secure_delete", true)?;
    step.conn()
        .prepare_cached(
            "UPDATE data_keys SET destroyed_at = ?3, epoch = ?4, revision = ?5, mac_key = ?6, mac = ?7
             WHERE workspace = ?1 AND data_key = ?2",
        )?
        .execute(params![
            workspace.as_str(),
            id.as_bytes(),
            at.micros(),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    let clause = "WHERE workspace = ?1 AND data_key = ?2";
    let mut wrappings: Vec<Kept<NumberedWrapping>> = Vec::new();
    read::each(step.conn(), step.codes(), clause, params![workspace.as_str(), id.as_bytes()], |kept| {
        wrappings.push(kept);
        Ok(())
    })?;
    for Kept { mut row, code: before } in wrappings {
        row.wrapping.sealed_blob = Vec::new();
        let sealed = step.seal(workspace, &row, Some(before))?;
        step.conn()
            .prepare_cached(
                "UPDATE wrappings SET sealed_blob = x'', epoch = ?3, revision = ?4, mac_key = ?5, mac = ?6
                 WHERE workspace = ?1 AND number = ?2",
            )?
            .execute(params![
                workspace.as_str(),
                stored("number", row.number)?,
                sealed.epoch,
                sealed.revision,
                sealed.mac_key,
                sealed.mac,
            ])?;
    }
    Ok(())
}
