//! Directories, nonces and proven keys: their queries and changes.

use domain::key_test::Step as TestStep;
use domain::row_seal::RowMac;
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{ConfigHash, KeyConfig, KeyTest, KeyVersion, Timestamp, WorkspaceId};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::fields::Fields;
use super::read::{self, Kept, Stored};
use super::rows;
use super::unit::Step;
use super::write::live_workspace;
use crate::row::RowCodes;
use crate::tenancy::{StandingColumns, app_seen, cloud, origin, origin_code};
use crate::{Conflict, StoreError};

/// The most nonces a workspace has: naming keys without end fills no table.
const MOST_NONCES: i64 = 64;

pub(super) fn tenants(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Vec<TenantLink>, StoreError> {
    read::many(conn, codes, "WHERE workspace = ?1 ORDER BY named_at, cloud, tenant", [workspace.as_str()])
}

pub(super) fn tag_nonces(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Vec<TagNonce>, StoreError> {
    read::many(conn, codes, "WHERE workspace = ?1 ORDER BY drawn_at, key, tenant", [workspace.as_str()])
}

pub(super) fn proven_keys(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Vec<ProvenKey>, StoreError> {
    read::many(conn, codes, "WHERE workspace = ?1 ORDER BY at, key", [workspace.as_str()])
}

pub(super) fn put_tenant(step: &mut Step<'_, '_>, link: &TenantLink) -> Result<(), StoreError> {
    live_workspace(step, &link.workspace)?;
    let key = [link.workspace.as_str(), link.cloud.as_str(), link.tenant.as_str()];
    let clause = "WHERE workspace = ?1 AND cloud = ?2 AND tenant = ?3";
    let before: Option<Kept<TenantLink>> = read::one(step.conn(), step.codes(), clause, key)?;
    let sealed = step.seal(&link.workspace, link, before.map(|kept| kept.code))?;
    let standing = StandingColumns::of(&link.standing);
    step.conn()
        .prepare_cached(
            "INSERT INTO tenant_links (workspace, cloud, tenant, typed, origin, named_at, state, state_at, proven_by, admin,
               app_at, app_refused, epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
             ON CONFLICT (workspace, cloud, tenant) DO UPDATE SET typed = ?4, origin = ?5, named_at = ?6, state = ?7,
               state_at = ?8, proven_by = ?9, admin = ?10, app_at = ?11, app_refused = ?12,
               epoch = ?13, revision = ?14, mac_key = ?15, mac = ?16",
        )?
        .execute(params![
            link.workspace.as_str(),
            link.cloud.as_str(),
            link.tenant.as_str(),
            link.typed,
            origin_code(link.origin),
            link.named_at.micros(),
            standing.state,
            standing.at.map(Timestamp::micros),
            standing.proven_by,
            standing.admin,
            link.app.map(|app| app.at.micros()),
            link.app.and_then(|app| app.refused).map(|reason| reason.as_str()),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

pub(super) fn put_tag_nonce(step: &mut Step<'_, '_>, nonce: &TagNonce) -> Result<(), StoreError> {
    live_workspace(step, &nonce.workspace)?;
    let (workspace, key) = (nonce.workspace.as_str(), nonce.key.to_string());
    let clause = "WHERE workspace = ?1 AND key = ?2 AND tenant = ?3";
    let of = params![workspace, key, nonce.tenant.as_str()];
    let before: Option<Kept<TagNonce>> = read::one(step.conn(), step.codes(), clause, of)?;
    if before.is_none() {
        make_room(step, &nonce.workspace)?;
    }
    let sealed = step.seal(&nonce.workspace, nonce, before.map(|kept| kept.code))?;
    step.conn()
        .prepare_cached(
            "INSERT INTO tag_nonces (workspace, key, tenant, value, drawn_at, consumed_at, previous,
               epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (workspace, key, tenant) DO UPDATE SET value = ?4, drawn_at = ?5, consumed_at = ?6, previous = ?7,
               epoch = ?8, revision = ?9, mac_key = ?10, mac = ?11",
        )?
        .execute(params![
            workspace,
            key,
            nonce.tenant.as_str(),
            nonce.value,
            nonce.drawn_at.micros(),
            nonce.consumed_at.map(Timestamp::micros),
            nonce.previous,
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

/// Takes the oldest nonces of a workspace away while it has as many as it may have.
fn make_room(step: &mut Step<'_, '_>, workspace: &WorkspaceId) -> Result<(), StoreError> {
    let mut found: Vec<Kept<TagNonce>> = Vec::new();
    let clause = "WHERE workspace = ?1 ORDER BY drawn_at DESC, key, tenant LIMIT -1 OFFSET ?2";
    read::each(step.conn(), step.codes(), clause, params![workspace.as_str(), MOST_NONCES - 1], |kept| {
        found.push(kept);
        Ok(())
    })?;
    for Kept { row, code } in found {
        step.unseal(workspace, code)?;
        step.conn()
            .prepare_cached("DELETE FROM tag_nonces WHERE workspace = ?1 AND key = ?2 AND tenant = ?3")?
            .execute(params![workspace.as_str(), row.key.to_string(), row.tenant.as_str()])?;
    }
    Ok(())
}

/// Writes that a key is a workspace's. Of two that prove the same key the second is told so: the index decides, and not a reading
/// before.
pub(super) fn put_proven_key(step: &mut Step<'_, '_>, proven: &ProvenKey) -> Result<(), StoreError> {
    live_workspace(step, &proven.workspace)?;
    let (workspace, key) = (proven.workspace.as_str(), proven.key.to_string());
    let before: Option<Kept<ProvenKey>> =
        read::one(step.conn(), step.codes(), "WHERE workspace = ?1 AND key = ?2", params![workspace, key])?;
    let before: Option<RowMac> = before.map(|kept| kept.code);
    let sealed = step.seal(&proven.workspace, proven, before)?;
    let written = step
        .conn()
        .prepare_cached(
            "INSERT INTO proven_keys (workspace, key, tenant, at, test, nonce, void_since, released_at,
               epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (workspace, key) DO UPDATE SET tenant = ?3, at = ?4, test = ?5, nonce = ?6, void_since = ?7,
               released_at = ?8, epoch = ?9, revision = ?10, mac_key = ?11, mac = ?12",
        )?
        .execute(params![
            workspace,
            key,
            proven.tenant.as_str(),
            proven.at.micros(),
            proven.test.map(|test| test.to_string()),
            proven.nonce,
            proven.void_since.map(Timestamp::micros),
            proven.released_at.map(Timestamp::micros),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ]);
    match written {
        Err(rusqlite::Error::SqliteFailure(why, _)) if why.code == ErrorCode::ConstraintViolation => {
            let claimed: Option<String> = step
                .conn()
                .prepare_cached(
                    "SELECT workspace FROM proven_keys WHERE lower(key) = lower(?1) AND released_at IS NULL AND workspace <> ?2",
                )?
                .query_row(params![key, workspace], |row| row.get(0))
                .optional()?;
            match claimed {
                Some(_) => Err(Conflict::KeyBound.into()),
                None => Err(rusqlite::Error::SqliteFailure(why, None).into()),
            }
        }
        written => Ok(written.map(drop)?),
    }
}

/// What a database of before knew as proven: the keys of a workspace, by any of their versions, of which a test saw the tag. Of two
/// workspaces with the same key it is the one's that uses it, and then the first one's.
pub(super) fn prove_what_was_tested(step: &mut Step<'_, '_>) -> Result<(), StoreError> {
    let configs = live_configs(step)?;
    let mut proven: Vec<(bool, ProvenKey)> = Vec::new();
    for config in configs {
        let found = match tested_keys(step, &config) {
            Err(why) if why.is_forged() => {
                tracing::error!(workspace = %config.workspace, %why, "what was tested cannot be believed");
                continue;
            }
            found => found?,
        };
        proven.extend(found.into_iter().map(|one| (one.key != config.location, one)));
    }
    proven.sort_by_key(|(former, one)| (*former, one.at.micros(), one.workspace.clone()));
    let mut claimed = std::collections::HashSet::new();
    for (_, one) in proven.into_iter().filter(|(_, one)| claimed.insert(one.key.clone())) {
        match put_proven_key(step, &one) {
            // Nothing of it was written: rows are read before any is.
            Err(why) if why.is_forged() => {
                tracing::error!(workspace = %one.workspace, %why, "a key that was tested cannot be proven");
            }
            written => written?,
        }
    }
    Ok(())
}

/// The keys of one workspace of which a test saw the tag: the configured one, and those that its versions were of.
fn tested_keys(step: &Step<'_, '_>, config: &KeyConfig) -> Result<Vec<ProvenKey>, StoreError> {
    let workspace = &config.workspace;
    let versions: Vec<KeyVersion> = read::many(
        step.conn(),
        step.codes(),
        "WHERE workspace = ?1 ORDER BY recorded_at, version",
        [workspace.as_str()],
    )?;
    let tests: Vec<KeyTest> = read::key_tests(step.conn(), step.codes(), workspace, i64::MAX)?;
    // A test is of a key and one version, or of a key whose newest version it found out.
    let mut keys = vec![(config.location.clone(), config.tenant.clone(), vec![None, Some(config.current_version)])];
    for version in versions {
        let (key, tenant) = (version.location.key().clone(), version.tenant.unwrap_or_else(|| config.tenant.clone()));
        match keys.iter_mut().find(|(other, of, _)| (other, of) == (&key, &tenant)) {
            Some((_, _, tested)) => tested.push(Some(version.id)),
            None => keys.push((key, tenant, vec![None, Some(version.id)])),
        }
    }
    let mut proven: Vec<ProvenKey> = Vec::new();
    for (key, tenant, tested) in keys {
        let hashes: Vec<_> =
            tested.into_iter().map(|version| ConfigHash::of(workspace, &key, &tenant, version)).collect();
        let saw_tag = |test: &&KeyTest| {
            let shown =
                |result: &domain::key_test::StepResult| result.step == TestStep::Ownership && result.state.goes_on();
            hashes.contains(&test.config_hash) && test.steps.iter().any(shown)
        };
        // Newest first: the last one that saw it is the first that did. A row is a key's, in whichever tenant: the present one's first.
        if let Some(test) = tests.iter().rev().find(saw_tag)
            && proven.iter().all(|one| one.key != key)
        {
            proven.push(ProvenKey {
                workspace: workspace.clone(),
                key,
                tenant,
                at: test.finished_at,
                test: Some(test.id),
                nonce: None,
                void_since: None,
                released_at: None,
            });
        }
    }
    Ok(proven)
}

/// The configurations of live workspaces. The names are not authenticated: each only leads to a row that is. One forged row is its
/// own workspace's trouble, which whoever uses it next meets.
fn live_configs(step: &Step<'_, '_>) -> Result<Vec<KeyConfig>, StoreError> {
    let mut statement = step.conn().prepare(
        "SELECT k.workspace FROM key_configs k JOIN workspaces w USING (workspace) WHERE w.deleted_at IS NULL",
    )?;
    let mut rows = statement.query([])?;
    let mut configs = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let Ok(workspace) = name.parse::<WorkspaceId>() else { continue };
        match read::key_config(step.conn(), step.codes(), &workspace) {
            Ok(config) => configs.extend(config.map(|kept| kept.row)),
            Err(why) if why.is_forged() => {
                tracing::error!(%workspace, %why, "a key's configuration cannot be believed");
            }
            Err(why) => return Err(why),
        }
    }
    Ok(configs)
}

impl Stored for TenantLink {
    const COLUMNS: &'static str =
        "workspace, cloud, tenant, typed, origin, named_at, state, state_at, proven_by, admin, app_at, app_refused";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let workspace = fields.parsed()?;
        let cloud = fields.text().map(cloud)?.ok_or_else(|| fields.forged())?;
        let (tenant, typed) = (fields.spelled()?, fields.text()?.to_owned());
        let (origin, named_at) = (fields.code(origin)?, fields.time()?);
        let (state, at) = (fields.number()?, fields.optional_time()?);
        let proven_by = fields.optional_text()?.map(str::to_owned);
        let admin = match fields.optional_number()? {
            None => None,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) => return Err(fields.forged()),
        };
        let standing = StandingColumns { state, at, proven_by, admin }.read().ok_or_else(|| fields.forged())?;
        let app_at = fields.optional_time()?;
        let app = app_seen(app_at, fields.optional_text()?).ok_or_else(|| fields.forged())?;
        Ok(Self { workspace, cloud, tenant, typed, origin, named_at, standing, app })
    }
}

impl Stored for TagNonce {
    const COLUMNS: &'static str = "workspace, key, tenant, value, drawn_at, consumed_at, previous";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: fields.parsed()?,
            key: rows::location(fields)?,
            tenant: fields.spelled()?,
            value: fields.array()?,
            drawn_at: fields.time()?,
            consumed_at: fields.optional_time()?,
            previous: fields.optional_array()?,
        })
    }
}

impl Stored for ProvenKey {
    const COLUMNS: &'static str = "workspace, key, tenant, at, test, nonce, void_since, released_at";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: fields.parsed()?,
            key: rows::location(fields)?,
            tenant: fields.spelled()?,
            at: fields.time()?,
            test: fields.optional_text()?.map(str::parse).transpose().map_err(|_| fields.forged())?,
            nonce: fields.optional_array()?,
            void_since: fields.optional_time()?,
            released_at: fields.optional_time()?,
        })
    }
}
