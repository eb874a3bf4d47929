//! What changed since a revision of what decides over keys in memory.
//!
//! Every commit stamps the sets of the workspaces it touched, so that one look at the sets says whose rows to look at. What
//! happens all the time and decides nothing here (a data key is born, an app is renamed) is left out.

use std::collections::BTreeSet;

use domain::audit::AuditKind;
use domain::key_life::KeyLife;
use domain::{App, KeyConfig, KeyVersionId, Reason, Workspace, WorkspaceId};
use rusqlite::{Connection, params};

use super::fields::stored;
use super::read;
use crate::integration::IntegrationHead;
use crate::row::{RowCodes, WrappedKey};
use crate::{ControlChange, RecordedDenial, RecordedEvent, StoreError};

/// The present revision, and the changes after `revision`. A workspace that is distrusted is told each time: that it was found to be
/// is no commit, so that no revision says who has heard of it.
pub(super) fn since(
    conn: &Connection,
    codes: &RowCodes,
    revision: u64,
) -> Result<(u64, Vec<ControlChange>), StoreError> {
    // Before the rows: what is committed in between is told now and once more the next time, and never missed.
    let present = read::meta(conn, codes)?.at.revision;
    let distrusted: BTreeSet<WorkspaceId> = codes.distrusted().iter().filter_map(|name| name.parse().ok()).collect();
    let unreadable = |workspace| ControlChange { unreadable: true, ..ControlChange::none(workspace) };
    let after = stored("revision", revision)?;
    let touched = if present <= revision { Vec::new() } else { touched(conn, after)? };
    let mut changes = Vec::new();
    for workspace in touched.into_iter().filter(|workspace| !distrusted.contains(workspace)) {
        let change = match of_workspace(conn, codes, &workspace, after) {
            // What is forged is its own workspace's trouble. Whoever uses it next meets it.
            Err(why) if why.is_forged() => unreadable(workspace),
            change => change?,
        };
        if !change.is_none() {
            changes.push(change);
        }
    }
    changes.extend(distrusted.into_iter().map(unreadable));
    Ok((present, changes))
}

/// The names are not authenticated: each only leads to rows that are.
fn touched(conn: &Connection, after: i64) -> Result<Vec<WorkspaceId>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT workspace FROM sets WHERE revision > ?1 AND workspace <> ''")?;
    let mut rows = statement.query([after])?;
    let mut touched = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        touched.extend(name.parse::<WorkspaceId>());
    }
    Ok(touched)
}

fn of_workspace(
    conn: &Connection,
    codes: &RowCodes,
    id: &WorkspaceId,
    after: i64,
) -> Result<ControlChange, StoreError> {
    let mut change = ControlChange::none(id.clone());
    let recent = params![id.as_str(), after];
    let config: Option<read::Kept<KeyConfig>> =
        read::one(conn, codes, "WHERE workspace = ?1 AND revision > ?2", recent)?;
    change.lease = config.map(|config| config.row.lease);
    let clause = "WHERE workspace = ?1 AND revision > ?2 AND deleted_at IS NOT NULL";
    change.deleted = read::one::<Workspace>(conn, codes, clause, params![id.as_str(), after])?.is_some();
    let apps: Vec<App> = read::many(conn, codes, clause, params![id.as_str(), after])?;
    change.deleted_apps = apps.into_iter().map(|app| app.id).collect();
    // Every change of the selection is a change of the life as well.
    let life: Option<read::Kept<KeyLife>> =
        read::one(conn, codes, "WHERE workspace = ?1 AND revision > ?2", params![id.as_str(), after])?;
    change.switched_off = life.map(|life| life.row.revoked.is_some());
    // Revisions rise along a chain, so that this reads from the end and stops.
    let clause = "WHERE workspace = ?1 AND revision > ?2 AND name = 'vault.denied' AND seq > \
                  coalesce((SELECT seq FROM audit WHERE workspace = ?1 AND revision <= ?2 ORDER BY seq DESC LIMIT 1), 0) \
                  ORDER BY seq";
    let events: Vec<RecordedEvent> = read::many(conn, codes, clause, params![id.as_str(), after])?;
    change.denials = events.iter().filter_map(denial).collect();
    let clause = "WHERE workspace = ?1 AND revision > ?2 AND destroyed_at IS NOT NULL";
    let destroyed: Vec<WrappedKey> = read::many(conn, codes, clause, params![id.as_str(), after])?;
    change.destroyed = destroyed.into_iter().map(|row| (row.key.app, row.key.id)).collect();
    // Every change of a credential is a change of the integration as well.
    let integration: Option<read::Kept<IntegrationHead>> =
        read::one(conn, codes, "WHERE workspace = ?1 AND revision > ?2", params![id.as_str(), after])?;
    change.credentials = integration.is_some();
    Ok(change)
}

fn denial(event: &RecordedEvent) -> Option<RecordedDenial> {
    let detail = |name: &str| event.details.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let version: KeyVersionId = detail("version")?.parse().ok()?;
    let reason = *Reason::ALL.iter().find(|reason| Some(reason.as_str()) == detail("reason"))?;
    let (name, _) = AuditKind::VaultDenied { reason, version }.record();
    (event.name == name).then_some(RecordedDenial { at: event.at, version, reason })
}
