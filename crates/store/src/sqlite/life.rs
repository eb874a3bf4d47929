//! A key's life and the apps under it: their queries and changes.

use domain::key_life::{AppSelection, KeyLife};
use domain::row_seal::RowMac;
use domain::{AppId, DataKeyState, Protection, Timestamp, WorkspaceId};
use rusqlite::{Connection, params};

use super::fields::{Fields, stored};
use super::read::{self, Kept, Stored};
use super::unit::Step;
use super::write::{live_workspace, move_data_key};
use crate::life::{LifeColumns, PlanColumns, TestColumns};
use crate::row::{RowCodes, WrappedKey, state_code};
use crate::{Conflict, StoreError};

pub(super) fn key_life(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Option<Kept<KeyLife>>, StoreError> {
    read::one(conn, codes, "WHERE workspace = ?1", [workspace.as_str()])
}

/// The names are not authenticated: each only leads to a row that is. What is forged is its own workspace's trouble.
pub(super) fn undecided(conn: &Connection, codes: &RowCodes) -> Result<Vec<KeyLife>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT k.workspace FROM key_lives k JOIN workspaces w USING (workspace)
         WHERE k.state IN (1, 2, 3) AND k.plan_at IS NOT NULL AND w.deleted_at IS NULL ORDER BY k.plan_at",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let Ok(workspace) = name.parse::<WorkspaceId>() else { continue };
        match key_life(conn, codes, &workspace) {
            Ok(life) => found.extend(life.map(|kept| kept.row)),
            Err(why) if why.is_forged() => tracing::error!(%workspace, %why, "a key's life cannot be believed"),
            Err(why) => return Err(why),
        }
    }
    Ok(found)
}

pub(super) fn app_selection(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    app: &AppId,
) -> Result<Option<Kept<AppSelection>>, StoreError> {
    read::one(conn, codes, "WHERE workspace = ?1 AND app = ?2", [workspace.as_str(), app.as_str()])
}

pub(super) fn app_selections(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Vec<AppSelection>, StoreError> {
    read::many(conn, codes, "WHERE workspace = ?1 ORDER BY app", [workspace.as_str()])
}

/// Writes a life that follows the one there is.
pub(super) fn put_key_life(step: &mut Step<'_, '_>, life: &KeyLife) -> Result<(), StoreError> {
    live_workspace(step, &life.workspace)?;
    let before = key_life(step.conn(), step.codes(), &life.workspace)?;
    let present = before.as_ref().map_or(0, |kept| kept.row.change);
    if life.change != present.saturating_add(1) {
        return Err(Conflict::LifeMoved { present }.into());
    }
    let columns = LifeColumns::of(life);
    let (plan, test) = (columns.plan.as_ref(), columns.test.as_ref());
    let sealed = step.seal(&life.workspace, life, before.map(|kept| kept.code))?;
    step.conn()
        .prepare_cached(
            "INSERT INTO key_lives (workspace, change, state, plan_at, plan_local, plan_zone, plan_policy, test, test_config,
               tested_at, rehearsed, held_why, since, revoked_by, revoked_since, every_app, changed_at,
               epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
             ON CONFLICT (workspace) DO UPDATE SET change = ?2, state = ?3, plan_at = ?4, plan_local = ?5, plan_zone = ?6,
               plan_policy = ?7, test = ?8, test_config = ?9, tested_at = ?10, rehearsed = ?11, held_why = ?12, since = ?13,
               revoked_by = ?14, revoked_since = ?15, every_app = ?16, changed_at = ?17,
               epoch = ?18, revision = ?19, mac_key = ?20, mac = ?21",
        )?
        .execute(params![
            life.workspace.as_str(),
            stored("change", life.change)?,
            columns.state,
            plan.map(|plan| plan.at.micros()),
            plan.map(|plan| plan.local.as_str()),
            plan.map(|plan| plan.zone.as_str()),
            plan.map(|plan| plan.policy),
            test.map(|test| test.id),
            test.map(|test| test.config),
            test.map(|test| test.at.micros()),
            columns.rehearsed,
            columns.held_why,
            columns.since.map(Timestamp::micros),
            columns.revoked.map(|(cause, _)| cause),
            columns.revoked.map(|(_, since)| since.micros()),
            life.every_app,
            life.changed_at.micros(),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

/// Takes the customer's data keys out of use. The caller knows that nothing was encrypted under them.
pub(super) fn abandon_staged(
    step: &mut Step<'_, '_>,
    workspace: &WorkspaceId,
    at: Timestamp,
) -> Result<u64, StoreError> {
    live_workspace(step, workspace)?;
    let mut found: Vec<Kept<WrappedKey>> = Vec::new();
    let clause = "WHERE workspace = ?1 AND protection = ?2 AND state IN (?3, ?4, ?5)";
    let states = [DataKeyState::Pending, DataKeyState::Staged, DataKeyState::Active].map(state_code);
    let of = params![workspace.as_str(), Protection::CustomerKey.byte(), states[0], states[1], states[2]];
    read::each(step.conn(), step.codes(), clause, of, |kept| {
        found.push(kept);
        Ok(())
    })?;
    let mut moved = 0;
    for kept in found {
        move_data_key(step, kept, DataKeyState::Abandoned, at)?;
        moved += 1;
    }
    Ok(moved)
}

/// Writes whether an app is selected. A deleted app may still be taken out.
pub(super) fn put_app_selection(step: &mut Step<'_, '_>, selection: &AppSelection) -> Result<(), StoreError> {
    live_workspace(step, &selection.workspace)?;
    read::app(step.conn(), step.codes(), &selection.workspace, &selection.app)?.ok_or(Conflict::NoApp)?;
    let before: Option<RowMac> =
        app_selection(step.conn(), step.codes(), &selection.workspace, &selection.app)?.map(|kept| kept.code);
    let sealed = step.seal(&selection.workspace, selection, before)?;
    step.conn()
        .prepare_cached(
            "INSERT INTO app_selections (workspace, app, selected, changed_at, epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (workspace, app) DO UPDATE SET selected = ?3, changed_at = ?4,
               epoch = ?5, revision = ?6, mac_key = ?7, mac = ?8",
        )?
        .execute(params![
            selection.workspace.as_str(),
            selection.app.as_str(),
            selection.selected,
            selection.changed_at.micros(),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

impl Stored for KeyLife {
    const COLUMNS: &'static str = "workspace, change, state, plan_at, plan_local, plan_zone, plan_policy, test, test_config, \
                                   tested_at, rehearsed, held_why, since, revoked_by, revoked_since, every_app, changed_at";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let (workspace, change, state) = (fields.parsed()?, fields.count()?, fields.number()?);
        let (at, local, zone) = (fields.optional_time()?, fields.optional_text()?, fields.optional_text()?);
        let plan = match (at, local, zone, fields.optional_number()?) {
            (Some(at), Some(local), Some(zone), Some(policy)) => {
                Some(PlanColumns { at, local: local.to_owned(), zone: zone.to_owned(), policy })
            }
            (None, None, None, None) => None,
            _ => return Err(fields.forged()),
        };
        let test = match (fields.optional_array()?, fields.optional_array()?, fields.optional_time()?) {
            (Some(id), Some(config), Some(at)) => Some(TestColumns { id, config, at }),
            (None, None, None) => None,
            _ => return Err(fields.forged()),
        };
        let rehearsed = fields.optional_number()?;
        let held_why = fields.optional_text()?.map(str::to_owned);
        let since = fields.optional_time()?;
        let revoked = match (fields.optional_number()?, fields.optional_time()?) {
            (Some(cause), Some(since)) => Some((cause, since)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(fields.forged()),
        };
        let columns = LifeColumns { state, plan, test, rehearsed, held_why, since, revoked };
        let (enforcement, revoked) = columns.read().ok_or_else(|| fields.forged())?;
        let every_app = fields.code(yes_or_no)?;
        Ok(Self { workspace, change, enforcement, revoked, every_app, changed_at: fields.time()? })
    }
}

impl Stored for AppSelection {
    const COLUMNS: &'static str = "workspace, app, selected, changed_at";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: fields.parsed()?,
            app: fields.parsed()?,
            selected: fields.code(yes_or_no)?,
            changed_at: fields.time()?,
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
