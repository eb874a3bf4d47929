//! As whom a workspace's directory is asked: the queries and the one change.

use domain::credential::{Credential, Integration, Proof, Registration};
use domain::{Cloud, Timestamp, WorkspaceId};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::fields::{Fields, stored};
use super::read::{self, Kept, Stored};
use super::unit::Step;
use super::write::live_workspace;
use crate::integration::{IntegrationHead, OwnedCredential, proof_columns};
use crate::row::RowCodes;
use crate::{Conflict, StoreError};

/// Both kinds of rows of one workspace, as they were found.
struct Found {
    head: Option<Kept<IntegrationHead>>,
    credentials: Vec<Kept<OwnedCredential>>,
}

fn found(conn: &Connection, codes: &RowCodes, workspace: &WorkspaceId) -> Result<Found, StoreError> {
    let head: Option<Kept<IntegrationHead>> = read::one(conn, codes, "WHERE workspace = ?1", [workspace.as_str()])?;
    let mut credentials: Vec<Kept<OwnedCredential>> = Vec::new();
    read::each(conn, codes, "WHERE workspace = ?1 ORDER BY number", [workspace.as_str()], |kept| {
        credentials.push(kept);
        Ok(())
    })?;
    // Each row leads to the other kind: one that was taken away is missed here, and a workspace is not quietly on the platform's app.
    let numbered = credentials.iter().zip(1..).all(|(kept, number)| kept.row.number == number);
    let forged = match &head {
        None => !credentials.is_empty(),
        Some(head) => {
            let uses = |kept: &Kept<OwnedCredential>| {
                Some(kept.row.credential.id) == head.row.active && kept.row.credential.removed_at.is_none()
            };
            credentials.is_empty() || (head.row.active.is_some() && !credentials.iter().any(uses))
        }
    };
    if forged || !numbered {
        return Err(StoreError::RowForged { table: <IntegrationHead as crate::row::Row>::TABLE });
    }
    Ok(Found { head, credentials })
}

pub(super) fn integration(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Option<Integration>, StoreError> {
    let Found { head, credentials } = found(conn, codes, workspace)?;
    Ok(head.map(|Kept { row: IntegrationHead { workspace, change, active, changed_at }, .. }| {
        let credentials = credentials.into_iter().map(|kept| kept.row.credential).collect();
        Integration { workspace, change, active, changed_at, credentials }
    }))
}

/// Writes an integration that follows the one there is.
pub(super) fn put_integration(step: &mut Step<'_, '_>, next: &Integration) -> Result<(), StoreError> {
    live_workspace(step, &next.workspace)?;
    let Found { head, credentials } = found(step.conn(), step.codes(), &next.workspace)?;
    let present = head.as_ref().map_or(0, |kept| kept.row.change);
    // A credential that is there is never left out, and none comes between.
    let same = |(kept, next): (&Kept<OwnedCredential>, &Credential)| kept.row.credential.id == next.id;
    let follows = next.credentials.len() >= credentials.len() && credentials.iter().zip(&next.credentials).all(same);
    if next.change != present.saturating_add(1) || !follows {
        return Err(Conflict::CredentialsMoved { present }.into());
    }
    let mut before = credentials.into_iter();
    for (credential, number) in next.credentials.iter().zip(1..) {
        let row = OwnedCredential { workspace: next.workspace.clone(), number, credential: credential.clone() };
        put_credential(step, &row, before.next())?;
    }
    let Integration { workspace, change, active, changed_at, .. } = next.clone();
    let row = IntegrationHead { workspace, change, active, changed_at };
    let sealed = step.seal(&row.workspace, &row, head.map(|kept| kept.code))?;
    step.conn()
        .prepare_cached(
            "INSERT INTO integrations (workspace, change, active, changed_at, epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (workspace) DO UPDATE SET change = ?2, active = ?3, changed_at = ?4,
               epoch = ?5, revision = ?6, mac_key = ?7, mac = ?8",
        )?
        .execute(params![
            row.workspace.as_str(),
            stored("change", row.change)?,
            row.active.as_ref().map(|active| active.as_bytes()),
            row.changed_at.micros(),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

fn put_credential(
    step: &mut Step<'_, '_>,
    row: &OwnedCredential,
    before: Option<Kept<OwnedCredential>>,
) -> Result<(), StoreError> {
    if before.as_ref().is_some_and(|before| before.row == *row) {
        return Ok(());
    }
    let erases = before.as_ref().is_some_and(|before| !before.row.credential.sealed.is_empty());
    if erases && row.credential.sealed.is_empty() {
        // What is overwritten is overwritten in the file too, and not only forgotten: there once the log is folded into it.
        step.unit.known.erased = true;
        step.conn().pragma_update(None, "secure_delete", true)?;
    }
    let sealed = step.seal(&row.workspace, row, before.as_ref().map(|kept| kept.code))?;
    let credential = &row.credential;
    if before.is_some() {
        step.conn()
            .prepare_cached(
                "UPDATE registration_credentials SET tested_at = ?3, removed_at = ?4, noticed = ?5, sealed = ?6,
                   epoch = ?7, revision = ?8, mac_key = ?9, mac = ?10
                 WHERE workspace = ?1 AND credential = ?2",
            )?
            .execute(params![
                row.workspace.as_str(),
                credential.id.as_bytes(),
                credential.tested_at.map(Timestamp::micros),
                credential.removed_at.map(Timestamp::micros),
                credential.noticed,
                credential.sealed,
                sealed.epoch,
                sealed.revision,
                sealed.mac_key,
                sealed.mac,
            ])?;
        return Ok(());
    }
    let Registration { cloud, tenant, client_id } = &credential.registration;
    let (kind, told) = proof_columns(&credential.proof);
    step.conn()
        .prepare_cached(
            "INSERT INTO registration_credentials (workspace, credential, number, cloud, tenant, client_id, kind, told,
               created_at, expires_at, added_by, tested_at, removed_at, noticed, sealed, epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            row.workspace.as_str(),
            credential.id.as_bytes(),
            stored("number", row.number)?,
            cloud.as_str(),
            tenant.as_str(),
            client_id.as_str(),
            kind,
            told,
            credential.created_at.micros(),
            credential.expires_at.micros(),
            credential.added_by,
            credential.tested_at.map(Timestamp::micros),
            credential.removed_at.map(Timestamp::micros),
            credential.noticed,
            credential.sealed,
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}

impl Stored for IntegrationHead {
    const COLUMNS: &'static str = "workspace, change, active, changed_at";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let (workspace, change) = (fields.parsed()?, fields.count()?);
        let active = fields.optional_array()?.map(domain::CredentialId::from_bytes);
        Ok(Self { workspace, change, active, changed_at: fields.time()? })
    }
}

impl Stored for OwnedCredential {
    const COLUMNS: &'static str = "workspace, credential, number, cloud, tenant, client_id, kind, told, created_at, expires_at, \
                                   added_by, tested_at, removed_at, noticed, sealed";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let workspace = fields.parsed()?;
        let id = domain::CredentialId::from_bytes(fields.array()?);
        let number = fields.count()?;
        let name = fields.text()?;
        let cloud = Cloud::ALL.into_iter().find(|cloud| cloud.as_str() == name).ok_or_else(|| fields.forged())?;
        let registration = Registration { cloud, tenant: fields.spelled()?, client_id: fields.spelled()? };
        let proof = match (fields.number()?, fields.bytes()?) {
            (1, told) => {
                let last_four = String::from_utf8(told.to_vec()).map_err(|_| fields.forged())?;
                Proof::Secret { last_four }
            }
            (2, der) => Proof::Certificate { der: der.to_vec(), thumbprint: Sha256::digest(der).into() },
            _ => return Err(fields.forged()),
        };
        let (created_at, expires_at) = (fields.time()?, fields.time()?);
        let added_by = fields.text()?.to_owned();
        let (tested_at, removed_at) = (fields.optional_time()?, fields.optional_time()?);
        let noticed = fields.optional_number()?.map(u16::try_from).transpose().map_err(|_| fields.forged())?;
        let sealed = fields.bytes()?.to_vec();
        let credential = Credential {
            id,
            registration,
            proof,
            created_at,
            expires_at,
            added_by,
            tested_at,
            removed_at,
            noticed,
            sealed,
        };
        Ok(Self { workspace, number, credential })
    }
}
