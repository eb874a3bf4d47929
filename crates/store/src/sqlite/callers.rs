//! Callers: their queries and changes.

use domain::caller::{StoredCaller, StoredToken};
use domain::row_seal::RowMac;
use domain::{CallerId, PlatformKeyId, Timestamp};
use rusqlite::{Connection, params};

use super::fields::{Fields, stored};
use super::read::{self, Kept, Stored};
use super::unit::Step;
use crate::callers::{CallerSet, grants, grants_text, hands, hands_text};
use crate::row::{RowCodes, SetHead};
use crate::set::SetSum;
use crate::{Conflict, StoreError};

pub(super) fn caller(
    conn: &Connection,
    codes: &RowCodes,
    id: &CallerId,
) -> Result<Option<Kept<StoredCaller>>, StoreError> {
    read::one(conn, codes, "WHERE caller = ?1", [id.as_str()])
}

/// Every caller, if any row was written after `since`; with `None` in any case. They are held against the platform's set: a row
/// that was deleted, or an older one that was put back, makes the whole refused.
pub(super) fn changed(
    conn: &Connection,
    codes: &RowCodes,
    since: Option<u64>,
) -> Result<Option<CallerSet>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    if let Some(since) = since {
        let mut statement = snapshot.prepare_cached("SELECT 1 FROM callers WHERE revision > ?1 LIMIT 1")?;
        if !statement.exists([stored("revision", since)?])? {
            return Ok(None);
        }
    }
    let (mut names, mut sum) = (Vec::new(), SetSum::EMPTY);
    {
        let mut statement = snapshot.prepare_cached("SELECT caller, mac_key, mac FROM callers ORDER BY caller")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut fields = Fields::of(row, "callers");
            names.push(fields.text()?.to_owned());
            sum.add(&RowMac { key: PlatformKeyId::from_bytes(fields.array()?), code: fields.array()? });
        }
    }
    let head = read::set_head(&snapshot, codes, None)?.map_or_else(|| SetHead::new(None), |kept| kept.row);
    if head.rows != names.len() as u64 || head.sum != sum {
        return Err(StoreError::SetForged { workspace: None });
    }
    let mut set = CallerSet::default();
    for name in names {
        match read::one::<StoredCaller>(&snapshot, codes, "WHERE caller = ?1", [name]) {
            Ok(found) => set.callers.extend(found.map(|kept| kept.row)),
            // One forged row is its own caller's trouble.
            Err(StoreError::RowForged { .. }) => set.forged += 1,
            Err(why) => return Err(why),
        }
    }
    Ok(Some(set))
}

/// Creates, changes or deletes a caller.
pub(super) fn put(step: &mut Step<'_, '_>, row: &StoredCaller) -> Result<(), StoreError> {
    let before = caller(step.conn(), step.codes(), &row.id)?;
    if let Some(Kept { row: known, .. }) = &before {
        if known.deleted_at.is_some() {
            return Err(Conflict::Tombstone.into());
        }
        if (&known.created_by, known.created_at) != (&row.created_by, row.created_at) {
            return Err(Conflict::Exists.into());
        }
    }
    if let Some(certificate) = &row.certificate {
        let mut statement =
            step.conn().prepare_cached("SELECT 1 FROM callers WHERE certificate = ?1 AND caller <> ?2")?;
        if statement.exists(params![certificate.to_string(), row.id.as_str()])? {
            return Err(Conflict::CertificateTaken.into());
        }
    }
    let sealed = step.seal_platforms(row, before.map(|kept| kept.code))?;
    let [a, b] = row.tokens.each_ref().map(Option::as_ref);
    let hash = |token: Option<&StoredToken>| token.map(|token| token.sha256);
    let by = |token: Option<&StoredToken>| token.map(|token| token.issued_by.clone());
    let at = |token: Option<&StoredToken>| token.map(|token| token.issued_at.micros());
    let until = |token: Option<&StoredToken>| token.and_then(|token| token.expires).map(Timestamp::micros);
    step.conn()
        .prepare_cached(
            "INSERT INTO callers (caller, certificate, token_a, token_a_by, token_a_at, token_a_expires, token_b, token_b_by,
               token_b_at, token_b_expires, grants, expires, disabled, created_by, created_at, changed_by, changed_at,
               deleted_at, epoch, revision, mac_key, mac, hands)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)
             ON CONFLICT (caller) DO UPDATE SET certificate = ?2, token_a = ?3, token_a_by = ?4, token_a_at = ?5,
               token_a_expires = ?6, token_b = ?7, token_b_by = ?8, token_b_at = ?9, token_b_expires = ?10, grants = ?11,
               expires = ?12, disabled = ?13, changed_by = ?16, changed_at = ?17, deleted_at = ?18,
               epoch = ?19, revision = ?20, mac_key = ?21, mac = ?22, hands = ?23",
        )?
        .execute(params![
            row.id.as_str(),
            row.certificate.as_ref().map(ToString::to_string),
            hash(a),
            by(a),
            at(a),
            until(a),
            hash(b),
            by(b),
            at(b),
            until(b),
            grants_text(&row.grants),
            row.expires.map(Timestamp::micros),
            row.disabled,
            row.created_by,
            row.created_at.micros(),
            row.changed_by,
            row.changed_at.micros(),
            row.deleted_at.map(Timestamp::micros),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
            hands_text(&row.hands),
        ])?;
    Ok(())
}

impl Stored for StoredCaller {
    const COLUMNS: &'static str = "caller, certificate, token_a, token_a_by, token_a_at, token_a_expires, token_b, token_b_by, \
                                   token_b_at, token_b_expires, grants, expires, disabled, created_by, created_at, changed_by, \
                                   changed_at, deleted_at, hands";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let id = fields.parsed()?;
        let certificate = fields.optional_text()?.map(str::parse).transpose().map_err(|_| fields.forged())?;
        let tokens = [token(fields)?, token(fields)?];
        let grants = grants(fields.text()?).ok_or_else(|| fields.forged())?;
        Ok(Self {
            id,
            certificate,
            tokens,
            grants,
            expires: fields.optional_time()?,
            disabled: fields.code(|code| match code {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            })?,
            created_by: fields.text()?.to_owned(),
            created_at: fields.time()?,
            changed_by: fields.text()?.to_owned(),
            changed_at: fields.time()?,
            deleted_at: fields.optional_time()?,
            hands: hands(fields.optional_text()?),
        })
    }
}

fn token(fields: &mut Fields<'_>) -> Result<Option<StoredToken>, StoreError> {
    let (hash, by, at) =
        (fields.optional_array()?, fields.optional_text()?.map(str::to_owned), fields.optional_time()?);
    match (hash, by, at, fields.optional_time()?) {
        (Some(sha256), Some(issued_by), Some(issued_at), expires) => {
            Ok(Some(StoredToken { sha256, issued_by, issued_at, expires }))
        }
        (None, None, None, None) => Ok(None),
        _ => Err(fields.forged()),
    }
}
