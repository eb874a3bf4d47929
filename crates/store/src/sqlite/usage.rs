//! What is written and read about usage and validations.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use domain::{
    AppId, BootId, DataKeyId, Hour, HourOfApp, KeyUsage, Protection, StoredCredential, Tally, Timestamp, Traffic,
    WorkspaceId,
};
use rusqlite::{Connection, params};

use super::fields::{Fields, stored};
use super::read::{self, Enough, Kept, Stored};
use super::unit::{Sealed, Step};
use super::write;
use crate::row::{Row, RowCodes};
use crate::usage::{hour, hour_code};
use crate::{Conflict, StoreError, UsageDropped};

/// Hours that are read with one statement. A page is made of whole ones.
const READ_TOGETHER: u32 = 24;

impl Stored for KeyUsage {
    const COLUMNS: &'static str = "workspace, hour, data_key, boot, app, protection, flush, seals, sealed_bytes, opens, \
                                   opened_bytes, first_seal, last_seal, last_open";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        let workspace = fields.parsed()?;
        let hour = fields.code(hour)?;
        let (data_key, boot) = (DataKeyId::from_bytes(fields.array()?), BootId::from_bytes(fields.array()?));
        let app = fields.parsed()?;
        let protection = fields.code(|code| Protection::from_byte(u8::try_from(code).ok()?))?;
        let flush = fields.count()?;
        let tally = Tally {
            seals: fields.count()?,
            sealed_bytes: fields.count()?,
            opens: fields.count()?,
            opened_bytes: fields.count()?,
        };
        let traffic = Traffic {
            tally,
            first_seal: fields.optional_time()?,
            last_seal: fields.optional_time()?,
            last_open: fields.optional_time()?,
        };
        Ok(Self { workspace, app, data_key, protection, hour, boot, flush, traffic })
    }
}

impl Stored for StoredCredential {
    const COLUMNS: &'static str = "workspace, app, data_key, protection, ciphertext, stored_at";
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: fields.parsed()?,
            app: fields.parsed()?,
            data_key: DataKeyId::from_bytes(fields.array()?),
            protection: fields.code(|code| Protection::from_byte(u8::try_from(code).ok()?))?,
            ciphertext: fields.bytes()?.to_owned(),
            stored_at: fields.time()?,
        })
    }
}

/// Adds what was counted to what is there. A flush that was added before adds nothing. What is forged is its own workspace's trouble:
/// answers whose it is, and nobody else's counts are left out with it.
pub(super) fn add(step: &mut Step<'_, '_>, usage: &[KeyUsage]) -> Result<BTreeSet<WorkspaceId>, StoreError> {
    let mut left_out = BTreeSet::new();
    for counted in usage {
        if left_out.contains(&counted.workspace) {
            continue;
        }
        match add_one(step, counted) {
            Err(why) if why.is_forged() => {
                tracing::error!(workspace = %counted.workspace, %why, "counts are not added to rows that are not what was written");
                left_out.insert(counted.workspace.clone());
            }
            outcome => outcome?,
        }
    }
    Ok(left_out)
}

fn add_one(step: &mut Step<'_, '_>, counted: &KeyUsage) -> Result<(), StoreError> {
    let clause = "WHERE workspace = ?1 AND hour = ?2 AND data_key = ?3 AND boot = ?4";
    let key = params![
        counted.workspace.as_str(),
        hour_code(counted.hour),
        counted.data_key.as_bytes(),
        counted.boot.as_bytes()
    ];
    let before: Option<Kept<KeyUsage>> = read::one(step.conn(), step.codes(), clause, key)?;
    let mut row = counted.clone();
    match &before {
        // I-14: counts stay with the key they were made under.
        Some(Kept { row: there, .. }) if (&there.app, there.protection) != (&counted.app, counted.protection) => {
            return Err(Conflict::NoDataKey.into());
        }
        Some(Kept { row: there, .. }) if there.flush >= counted.flush => return Ok(()),
        Some(Kept { row: there, .. }) => row.traffic.add(&there.traffic),
        None => {
            let found = read::wrapped_key(step.conn(), step.codes(), &counted.workspace, counted.data_key)?;
            let its = found
                .filter(|found| (&found.row.key.app, found.row.key.protection) == (&counted.app, counted.protection));
            its.ok_or(Conflict::NoDataKey)?;
        }
    }
    let sealed = step.seal(&row.workspace, &row, before.map(|kept| kept.code))?;
    write_row(step.conn(), &row, &sealed)
}

fn write_row(conn: &Connection, row: &KeyUsage, sealed: &Sealed) -> Result<(), StoreError> {
    let KeyUsage { workspace, app, data_key, protection, hour, boot, flush, traffic } = row;
    let tally = &traffic.tally;
    conn.prepare_cached(
        "INSERT INTO usage (workspace, hour, data_key, boot, app, protection, flush, seals, sealed_bytes, opens,
           opened_bytes, first_seal, last_seal, last_open, epoch, revision, mac_key, mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
         ON CONFLICT (workspace, hour, data_key, boot) DO UPDATE SET flush = ?7, seals = ?8, sealed_bytes = ?9,
           opens = ?10, opened_bytes = ?11, first_seal = ?12, last_seal = ?13, last_open = ?14, epoch = ?15,
           revision = ?16, mac_key = ?17, mac = ?18",
    )?
    .execute(params![
        workspace.as_str(),
        hour_code(*hour),
        data_key.as_bytes(),
        boot.as_bytes(),
        app.as_str(),
        protection.byte(),
        stored("flush", *flush)?,
        stored("seals", tally.seals)?,
        stored("sealed_bytes", tally.sealed_bytes)?,
        stored("opens", tally.opens)?,
        stored("opened_bytes", tally.opened_bytes)?,
        traffic.first_seal.map(Timestamp::micros),
        traffic.last_seal.map(Timestamp::micros),
        traffic.last_open.map(Timestamp::micros),
        sealed.epoch,
        sealed.revision,
        sealed.mac_key,
        sealed.mac,
    ])?;
    Ok(())
}

/// What was sealed and opened in these hours, by hour, app and protection, from after `after`; `limit` of them if there are so
/// many, and perhaps the rest of a day's.
pub(super) fn by_hour(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    app: Option<&AppId>,
    hours: Range<Hour>,
    after: Option<&(Hour, AppId, Protection)>,
    limit: usize,
) -> Result<Vec<HourOfApp>, StoreError> {
    let mut from = after.map_or(hours.start, |(hour, ..)| hours.start.max(*hour)).number();
    let end = hours.end.number();
    let mut found = Vec::new();
    while from < end && found.len() < limit {
        let to = end.min(from.saturating_add(READ_TOGETHER));
        let mut sums: BTreeMap<(Hour, AppId, Protection), Tally> = BTreeMap::new();
        let clause = "WHERE workspace = ?1 AND hour >= ?2 AND hour < ?3";
        read::each(conn, codes, clause, params![workspace.as_str(), from, to], |kept: Kept<KeyUsage>| {
            let KeyUsage { app: its, protection, hour, traffic, .. } = kept.row;
            if let Some(hour) = hour.filter(|_| app.is_none_or(|app| *app == its)) {
                sums.entry((hour, its, protection)).or_default().add(&traffic.tally);
            }
            Ok(())
        })?;
        let rest = sums.into_iter().filter(|(name, _)| after.is_none_or(|after| name > after));
        found.extend(rest.map(|((hour, app, protection), tally)| HourOfApp { hour, app, protection, tally }));
        from = to;
    }
    Ok(found)
}

/// What was ever done under each data key of a workspace.
pub(super) fn by_key(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
) -> Result<Vec<(DataKeyId, Traffic)>, StoreError> {
    let mut sums: BTreeMap<DataKeyId, Traffic> = BTreeMap::new();
    let clause = "WHERE workspace = ?1 AND hour = -1";
    read::each(conn, codes, clause, [workspace.as_str()], |kept: Kept<KeyUsage>| {
        sums.entry(kept.row.data_key).or_default().add(&kept.row.traffic);
        Ok(())
    })?;
    Ok(sums.into_iter().collect())
}

/// Drops at most `limit` rows of hours before `before`, from behind what was looked at so far, of workspaces whose rows are what was
/// written. What was done in all stays.
pub(super) fn drop_before(
    step: &mut Step<'_, '_>,
    before: Hour,
    limit: usize,
    so_far: UsageDropped,
) -> Result<UsageDropped, StoreError> {
    let (conn, codes) = (step.conn(), step.codes());
    let UsageDropped { mut last, mut passed_over, .. } = so_far;
    let (hour, workspace, data_key, boot) = match &last {
        Some((hour, workspace, data_key, boot)) => {
            (i64::from(hour.number()), workspace.as_str(), &data_key.as_bytes()[..], &boot.as_bytes()[..])
        }
        None => (-1, "", &[][..], &[][..]),
    };
    // Its index goes on with the rest of a row's key.
    let clause = "WHERE hour >= 0 AND hour >= ?2 AND hour < ?1 AND (hour, workspace, data_key, boot) > (?2, ?3, ?4, ?5) \
                  ORDER BY hour, workspace, data_key, boot";
    let params = params![before.number(), hour, workspace, data_key, boot];
    let mut old: Vec<Kept<KeyUsage>> = Vec::new();
    read::each_of_all(conn, codes, clause, params, &mut passed_over, |kept: Kept<KeyUsage>| {
        if old.len() < limit {
            // The set without the row is written too: it must be one that can be believed.
            step.head(&Some(kept.row.workspace.clone()))?;
            old.push(kept);
        }
        Ok(Enough(old.len() >= limit))
    })?;
    let more = old.len() >= limit;
    if let Some(Kept { row, .. }) = old.last() {
        last = row.hour.map(|hour| (hour, row.workspace.clone(), row.data_key, row.boot));
    }
    // Met before a forged one of the same workspace.
    old.retain(|kept| !passed_over.contains(&Some(kept.row.workspace.clone())));
    for Kept { row, code } in &old {
        step.unseal(&row.workspace, *code)?;
        step.conn()
            .prepare_cached("DELETE FROM usage WHERE workspace = ?1 AND hour = ?2 AND data_key = ?3 AND boot = ?4")?
            .execute(params![
                row.workspace.as_str(),
                hour_code(row.hour),
                row.data_key.as_bytes(),
                row.boot.as_bytes()
            ])?;
    }
    Ok(UsageDropped { rows: old.len(), more, last, passed_over })
}

pub(super) fn credential(
    conn: &Connection,
    codes: &RowCodes,
    workspace: &WorkspaceId,
    app: &AppId,
) -> Result<Option<Kept<StoredCredential>>, StoreError> {
    read::one(conn, codes, "WHERE workspace = ?1 AND app = ?2", [workspace.as_str(), app.as_str()])
}

/// Stores a live app's credential in the place of the one before.
pub(super) fn put_credential(step: &mut Step<'_, '_>, credential: &StoredCredential) -> Result<(), StoreError> {
    write::live_app(step, &credential.workspace, &credential.app)?;
    let key = read::data_key(step.conn(), step.codes(), &credential.workspace, &credential.app, credential.data_key)?;
    key.filter(|key| key.row.key.protection == credential.protection).ok_or(Conflict::NoDataKey)?;
    let before = self::credential(step.conn(), step.codes(), &credential.workspace, &credential.app)?;
    let sealed = step.seal(&credential.workspace, credential, before.map(|kept| kept.code))?;
    step.conn()
        .prepare_cached(
            "INSERT INTO credentials (workspace, app, data_key, protection, ciphertext, stored_at,
               epoch, revision, mac_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (workspace, app) DO UPDATE SET data_key = ?3, protection = ?4, ciphertext = ?5, stored_at = ?6,
               epoch = ?7, revision = ?8, mac_key = ?9, mac = ?10",
        )?
        .execute(params![
            Row::workspace(credential),
            credential.app.as_str(),
            credential.data_key.as_bytes(),
            credential.protection.byte(),
            credential.ciphertext,
            credential.stored_at.micros(),
            sealed.epoch,
            sealed.revision,
            sealed.mac_key,
            sealed.mac,
        ])?;
    Ok(())
}
