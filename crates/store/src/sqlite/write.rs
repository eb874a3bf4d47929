//! Every change of a row: the rule is asked first, then the row is sealed and written.

use domain::audit::AuditEvent;
use domain::{
    App, AppId, DataKey, DataKeyId, DataKeyState, KeyConfig, KeyTest, KeyVersion, Protection, Timestamp, Workspace,
    WorkspaceId, WrapScheme, Wrapping, WrappingKey,
};
use rusqlite::params;

use super::fields::stored;
use super::read::{self, Kept};
use super::rows;
use super::unit::Step;
use crate::row::{self, NumberedWrapping, WrappedKey, state_code};
use crate::{Activation, Conflict, Inserted, RecordedEvent, StoreError, key_test_steps};

/// Creates, renames or deletes a workspace.
pub(super) fn put_workspace(step: &mut Step<'_, '_>, workspace: &Workspace) -> Result<(), StoreError> {
    let before = read::workspace(step.conn(), step.codes(), &workspace.id)?;
    if let Some(Kept { row, .. }) = &before {
        check_replaceable(row.deleted_at, row.created_at, workspace.created_at)?;
    }
    step.unit.known.forget();
    let sealed = step.seal(&workspace.id, workspace, before.map(|kept| kept.code))?;
    step.conn()
        .prepare_cached(
            "INSERT INTO workspaces (workspace, display_name, created_at, deleted_at, epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (workspace) DO UPDATE SET display_name = ?2, deleted_at = ?4,
               epoch = ?5, revision = ?6, mac_key = ?7, mac = ?8",
        )?
        .execute(params![
            workspace.id.as_str(),
            workspace.display_name,
            workspace.created_at.micros(),
            workspace.deleted_at.map(Timestamp::micros),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

/// Creates, changes or deletes an app of a live workspace.
pub(super) fn put_app(step: &mut Step<'_, '_>, app: &App) -> Result<(), StoreError> {
    live_workspace(step, &app.workspace)?;
    let before = read::app(step.conn(), step.codes(), &app.workspace, &app.id)?;
    if let Some(Kept { row, .. }) = &before {
        check_replaceable(row.deleted_at, row.created_at, app.created_at)?;
    }
    step.unit.known.forget();
    let sealed = step.seal(&app.workspace, app, before.map(|kept| kept.code))?;
    step.conn()
        .prepare_cached(
            "INSERT INTO apps (workspace, app, kind, display_name, created_at, deleted_at, epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (workspace, app) DO UPDATE SET kind = ?3, display_name = ?4, deleted_at = ?6,
               epoch = ?7, revision = ?8, mac_key = ?9, mac = ?10",
        )?
        .execute(params![
            app.workspace.as_str(),
            app.id.as_str(),
            row::app_kind_code(app.kind),
            app.display_name,
            app.created_at.micros(),
            app.deleted_at.map(Timestamp::micros),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

/// A tombstone stays; and a row with another birth is somebody else's creation, not the one being changed.
fn check_replaceable(deleted: Option<Timestamp>, born: Timestamp, claimed: Timestamp) -> Result<(), Conflict> {
    if deleted.is_some() {
        return Err(Conflict::Tombstone);
    }
    if born == claimed { Ok(()) } else { Err(Conflict::Exists) }
}

/// Sets a live workspace's customer key.
pub(super) fn put_key_config(step: &mut Step<'_, '_>, config: &KeyConfig) -> Result<(), StoreError> {
    live_workspace(step, &config.workspace)?;
    let version = read::key_version(step.conn(), step.codes(), &config.workspace, config.current_version)?;
    let version = version.ok_or(Conflict::NoKeyVersion)?.row;
    if *version.location.key() != config.location {
        return Err(Conflict::NoKeyVersion.into());
    }
    let before = read::key_config(step.conn(), step.codes(), &config.workspace)?;
    if let Some(Kept { row, .. }) = &before {
        let same_key = (&row.location, &row.tenant, row.current_version, row.left_at)
            == (&config.location, &config.tenant, config.current_version, config.left_at);
        let next = if same_key { row.wrap_epoch } else { row.wrap_epoch.saturating_add(1) };
        if config.wrap_epoch != next {
            return Err(Conflict::WrapEpoch { present: Some(row.wrap_epoch) }.into());
        }
    }
    step.unit.known.forget();
    let sealed = step.seal(&config.workspace, config, before.map(|kept| kept.code))?;
    step.conn()
        .prepare_cached(
            "INSERT INTO key_configs (workspace, key, tenant, current_version, wrap_epoch, lease, configured_at,
               epoch, revision, mac_key, mac, left_at, follow_new_versions, newest_version_counts)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (workspace) DO UPDATE SET key = ?2, tenant = ?3, current_version = ?4, wrap_epoch = ?5,
               lease = ?6, configured_at = ?7, epoch = ?8, revision = ?9, mac_key = ?10, mac = ?11, left_at = ?12,
               follow_new_versions = ?13, newest_version_counts = ?14",
        )?
        .execute(params![
            config.workspace.as_str(),
            config.location.to_string(),
            config.tenant.as_str(),
            config.current_version.as_bytes(),
            stored("wrap_epoch", config.wrap_epoch)?,
            stored("lease", row::lease_micros(config.lease))?,
            config.configured_at.micros(),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
            config.left_at.map(Timestamp::micros),
            (!config.choices.follow_new_versions).then_some(0),
            (!config.choices.newest_version_counts).then_some(0),
        ])?;
    Ok(())
}

/// Records a key version once. Recorded again with the tenant that it had none of, it is settled which that is.
pub(super) fn add_key_version(step: &mut Step<'_, '_>, version: &KeyVersion) -> Result<(), StoreError> {
    live_workspace(step, &version.workspace)?;
    let before = read::key_version(step.conn(), step.codes(), &version.workspace, version.id)?;
    let mut row = version.clone();
    if let Some(Kept { row: known, .. }) = &before {
        let same_key = (&known.location, &known.modulus, &known.exponent, &known.thumbprint)
            == (&version.location, &version.modulus, &version.exponent, &version.thumbprint);
        let other_tenant = known.tenant.is_some() && version.tenant.is_some() && known.tenant != version.tenant;
        if !same_key || other_tenant {
            return Err(Conflict::KeySubstituted.into());
        }
        if known.tenant.is_some() || version.tenant.is_none() {
            return Ok(());
        }
        row = KeyVersion { tenant: version.tenant.clone(), ..known.clone() };
    }
    let sealed = step.seal(&row.workspace, &row, before.map(|kept| kept.code))?;
    step.conn()
        .prepare_cached(
            "INSERT INTO key_versions (workspace, version, kid, modulus, exponent, thumbprint, hsm, recorded_at,
               epoch, revision, mac_key, mac, tenant)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (workspace, version) DO UPDATE SET epoch = ?9, revision = ?10, mac_key = ?11, mac = ?12,
               tenant = ?13",
        )?
        .execute(params![
            row.workspace.as_str(),
            row.id.as_bytes(),
            row.location.to_string(),
            row.modulus,
            row.exponent,
            row.thumbprint,
            row.hsm,
            row.recorded_at.micros(),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
            row.tenant.as_ref().map(domain::TenantId::as_str),
        ])?;
    Ok(())
}

/// Adds a test to a live workspace's history.
pub(super) fn add_key_test(step: &mut Step<'_, '_>, test: &KeyTest) -> Result<(), StoreError> {
    live_workspace(step, &test.workspace)?;
    let sealed = step.seal(&test.workspace, test, None)?;
    let inserted = step
        .conn()
        .prepare_cached(
            "INSERT INTO key_tests (workspace, test, config_hash, started_at, finished_at, steps,
               epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (workspace, test) DO NOTHING",
        )?
        .execute(params![
            test.workspace.as_str(),
            test.id.to_string(),
            test.config_hash.0,
            test.started_at.micros(),
            test.finished_at.micros(),
            key_test_steps::text(&test.steps),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    if inserted == 0 { Err(Conflict::Exists.into()) } else { Ok(()) }
}

/// Stores a pending data key with its first wrapping.
pub(super) fn insert_data_key(
    step: &mut Step<'_, '_>,
    key: &DataKey,
    wrapping: &Wrapping,
) -> Result<Inserted, StoreError> {
    if key.state != DataKeyState::Pending {
        return Err(Conflict::State { data_key: key.id, state: key.state }.into());
    }
    check_wrapping(key, wrapping)?;
    live_app(step, &key.workspace, &key.app)?;
    if key.protection == Protection::CustomerKey {
        let (wrap_epoch, version) = config_in_force(step, &key.workspace)?;
        if key.wrap_epoch != wrap_epoch || wrapping.wrapped_by != WrappingKey::Customer(version) {
            return Err(Conflict::WrapEpoch { present: Some(wrap_epoch) }.into());
        }
    }
    let number = step.number_wrapping(&key.workspace)?;
    let row = WrappedKey { key: key.clone(), wrapping: number };
    let sealed = step.seal(&key.workspace, &row, None)?;
    let inserted = step
        .conn()
        .prepare_cached(
            "INSERT INTO data_keys (workspace, data_key, app, protection, state, key_check_value, wrap_epoch, created_at,
               activated_at, retired_at, wrapping, epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT (workspace, data_key) DO NOTHING",
        )?
        .execute(params![
            key.workspace.as_str(),
            key.id.as_bytes(),
            key.app.as_str(),
            key.protection.byte(),
            state_code(key.state),
            key.key_check_value,
            stored("wrap_epoch", key.wrap_epoch)?,
            key.created_at.micros(),
            key.activated_at.map(Timestamp::micros),
            key.retired_at.map(Timestamp::micros),
            stored("wrapping", number)?,
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    if inserted == 0 {
        return Err(Conflict::Exists.into());
    }
    insert_wrapping(step, &NumberedWrapping { number, wrapping: wrapping.clone() })?;
    Ok(Inserted)
}

pub(super) fn insert_wrapping(step: &mut Step<'_, '_>, numbered: &NumberedWrapping) -> Result<(), StoreError> {
    let NumberedWrapping { number, wrapping } = numbered;
    let sealed = step.seal(&wrapping.workspace, numbered, None)?;
    let (kind, wrapping_key) = row::wrapping_key_code(wrapping.wrapped_by);
    step.conn()
        .prepare_cached(
            "INSERT INTO wrappings (workspace, number, data_key, wrapped_by, wrapping_key, scheme, sealed_blob, created_at,
               epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            wrapping.workspace.as_str(),
            stored("number", *number)?,
            wrapping.data_key.as_bytes(),
            kind,
            wrapping_key,
            row::scheme_code(wrapping.scheme),
            wrapping.sealed_blob,
            wrapping.created_at.micros(),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

/// I-15, I-18: a wrapping that is another key's, or made by the other side's key, is never stored beside this one.
pub(super) fn check_wrapping(key: &DataKey, wrapping: &Wrapping) -> Result<(), Conflict> {
    let same_side = match (key.protection, wrapping.wrapped_by, wrapping.scheme) {
        (Protection::CustomerKey, WrappingKey::Customer(_), WrapScheme::RsaOaep256)
        | (Protection::PlatformKey, WrappingKey::Platform(_), WrapScheme::PlatformAesGcm) => true,
        (
            Protection::CustomerKey | Protection::PlatformKey,
            WrappingKey::Customer(_) | WrappingKey::Platform(_),
            WrapScheme::RsaOaep256 | WrapScheme::PlatformAesGcm,
        ) => false,
    };
    let same_key = wrapping.workspace == key.workspace && wrapping.data_key == key.id;
    if same_side && same_key { Ok(()) } else { Err(Conflict::NotItsWrapping) }
}

/// Lets a data key win or lose the race for being its protection's active one (I-19).
pub(super) fn activate_data_key(
    step: &mut Step<'_, '_>,
    workspace: &WorkspaceId,
    app: &AppId,
    id: DataKeyId,
    at: Timestamp,
) -> Result<Activation, StoreError> {
    live_app(step, workspace, app)?;
    let found = read::data_key(step.conn(), step.codes(), workspace, app, id)?.ok_or(Conflict::NoDataKey)?;
    let active = read::active_data_key(step.conn(), step.codes(), workspace, app, found.row.key.protection)?;
    let winner = active.map(|kept| kept.row.key.id);
    match found.row.key.state {
        DataKeyState::Pending | DataKeyState::Staged if was_left(step, &found.row.key)? => {
            move_data_key(step, found, DataKeyState::Abandoned, at)?;
            return Ok(Activation::Left);
        }
        DataKeyState::Abandoned if winner.is_none() && was_left(step, &found.row.key)? => return Ok(Activation::Left),
        DataKeyState::Pending
        | DataKeyState::Staged
        | DataKeyState::Active
        | DataKeyState::Retired
        | DataKeyState::Abandoned => {}
    }
    match (found.row.key.state, winner) {
        (DataKeyState::Active, _) => Ok(Activation::Won),
        (DataKeyState::Abandoned, Some(winner)) => Ok(Activation::Lost { winner }),
        (DataKeyState::Pending | DataKeyState::Staged, Some(winner)) => {
            move_data_key(step, found, DataKeyState::Abandoned, at)?;
            Ok(Activation::Lost { winner })
        }
        (DataKeyState::Pending | DataKeyState::Staged, None) => {
            move_data_key(step, found, DataKeyState::Active, at)?;
            Ok(Activation::Won)
        }
        (state @ (DataKeyState::Retired | DataKeyState::Abandoned), _) => {
            Err(Conflict::State { data_key: id, state }.into())
        }
    }
}

/// Whether the workspace left the customer's key that this data key is under: one that became active after the others were retired
/// would stay so for ever.
fn was_left(step: &Step<'_, '_>, key: &DataKey) -> Result<bool, StoreError> {
    if key.protection == Protection::PlatformKey {
        return Ok(false);
    }
    let config = read::key_config(step.conn(), step.codes(), &key.workspace)?;
    Ok(config.is_some_and(|kept| kept.row.left_at.is_some()))
}

/// Makes the active data key a retired one.
pub(super) fn retire_data_key(
    step: &mut Step<'_, '_>,
    workspace: &WorkspaceId,
    app: &AppId,
    id: DataKeyId,
    at: Timestamp,
) -> Result<(), StoreError> {
    // Of a deleted app too: what it sealed may be kept somewhere, and its data keys end like others.
    live_workspace(step, workspace)?;
    let found = read::data_key(step.conn(), step.codes(), workspace, app, id)?.ok_or(Conflict::NoDataKey)?;
    match found.row.key.state {
        DataKeyState::Retired => Ok(()),
        DataKeyState::Pending | DataKeyState::Staged | DataKeyState::Active | DataKeyState::Abandoned => {
            move_data_key(step, found, DataKeyState::Retired, at)
        }
    }
}

/// Moves a data key forward; the domain says whether it may.
pub(super) fn move_data_key(
    step: &mut Step<'_, '_>,
    found: Kept<WrappedKey>,
    to: DataKeyState,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Kept { mut row, code: before } = found;
    let key = &mut row.key;
    if !key.state.may_become(to) {
        return Err(Conflict::State { data_key: key.id, state: key.state }.into());
    }
    key.state = to;
    match to {
        DataKeyState::Active => key.activated_at = Some(at),
        DataKeyState::Retired => key.retired_at = Some(at),
        DataKeyState::Pending | DataKeyState::Staged | DataKeyState::Abandoned => {}
    }
    let key = &row.key;
    let sealed = step.seal(&key.workspace, &row, Some(before))?;
    step.conn()
        .prepare_cached(
            "UPDATE data_keys SET state = ?3, activated_at = ?4, epoch = ?5, revision = ?6, mac_key = ?7, mac = ?8,
               retired_at = ?9
             WHERE workspace = ?1 AND data_key = ?2",
        )?
        .execute(params![
            key.workspace.as_str(),
            key.id.as_bytes(),
            state_code(key.state),
            key.activated_at.map(Timestamp::micros),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
            key.retired_at.map(Timestamp::micros),
        ])?;
    Ok(())
}

/// Appends an event to its workspace's chain, or to the platform's.
pub(super) fn append_audit(step: &mut Step<'_, '_>, event: &AuditEvent) -> Result<(), StoreError> {
    if let Some(workspace) = &event.workspace {
        known_workspace(step, workspace)?;
    }
    let end = step.head(&event.workspace)?;
    let recorded = RecordedEvent::following(event, end.audit_seq, end.audit_hash);
    let sealed = step.seal_event(&recorded)?;
    step.conn()
        .prepare_cached(
            "INSERT INTO audit (workspace, seq, at, actor, name, details, previous, hash, epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            crate::row::Row::workspace(&recorded),
            stored("seq", recorded.seq)?,
            recorded.at.micros(),
            recorded.actor,
            recorded.name,
            rows::details_text(&recorded.details),
            recorded.previous,
            recorded.hash,
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

/// A workspace that exists, deleted or not: what was done to it last is still recorded.
fn known_workspace(step: &mut Step<'_, '_>, workspace: &WorkspaceId) -> Result<(), StoreError> {
    if step.unit.known.workspaces.contains(workspace) {
        return Ok(());
    }
    read::workspace(step.conn(), step.codes(), workspace)?.ok_or(Conflict::NoWorkspace)?;
    step.unit.known.workspaces.insert(workspace.clone());
    Ok(())
}

pub(super) fn live_workspace(step: &Step<'_, '_>, workspace: &WorkspaceId) -> Result<(), StoreError> {
    let found = read::workspace(step.conn(), step.codes(), workspace)?;
    if found.is_some_and(|found| found.row.deleted_at.is_none()) { Ok(()) } else { Err(Conflict::NoWorkspace.into()) }
}

pub(super) fn live_app(step: &mut Step<'_, '_>, workspace: &WorkspaceId, app: &AppId) -> Result<(), StoreError> {
    let both = (workspace.clone(), app.clone());
    if step.unit.known.live_apps.contains(&both) {
        return Ok(());
    }
    live_workspace(step, workspace).map_err(|error| match error {
        StoreError::Conflict(Conflict::NoWorkspace) => Conflict::NoApp.into(),
        other => other,
    })?;
    let found = read::app(step.conn(), step.codes(), workspace, app)?;
    if found.is_none_or(|found| found.row.deleted_at.is_some()) {
        return Err(Conflict::NoApp.into());
    }
    step.unit.known.live_apps.insert(both);
    Ok(())
}

fn config_in_force(
    step: &mut Step<'_, '_>,
    workspace: &WorkspaceId,
) -> Result<(u64, domain::KeyVersionId), StoreError> {
    if let Some(known) = step.unit.known.configs.get(workspace) {
        return Ok(*known);
    }
    let found = read::key_config(step.conn(), step.codes(), workspace)?;
    let config = found.ok_or(Conflict::WrapEpoch { present: None })?.row;
    let in_force = (config.wrap_epoch, config.current_version);
    step.unit.known.configs.insert(workspace.clone(), in_force);
    Ok(in_force)
}
