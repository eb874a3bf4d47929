//! Work on all rows of a database that nobody serves from: the platform root goes over to another key, and a database that is not
//! where its head says is accepted.
//!
//! Both hold the database's lock: the process that serves has read its platform root when it began, and would refuse, or lose,
//! what is done beside it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use domain::audit::{AuditEvent, AuditKind, DatabaseAccepted};
use domain::credential::Credential;
use domain::{CredentialId, DataKey, DataKeyId, PlatformKeyId, Timestamp, WorkspaceId, Wrapping};
use rusqlite::Connection;

use super::anchor::Anchor;
use super::file::Lock;
use super::open::{self, Against, Opened};
use super::reseal::{self, Pass, Reached};
use super::schema::{self, MIGRATIONS};
use super::unit::{Ending, Unit};
use super::writer::commit_durably;
use super::{OpenRefused, SqliteOptions, chain, read, verify, write};
use crate::head::{HeadFile, Stands};
use crate::row::{RowCodes, Stamp};
use crate::{Head, HeadRefused, Outside, StoreError};

/// Rows in one commit: a pass that ends in the middle is gone on with.
const BATCH: NonZeroUsize = NonZeroUsize::new(1_000).expect("1,000 is not 0");

/// Takes what is sealed over to the primary platform key. Told why not, nothing of its batch is written.
pub trait MoveSealed {
    /// The wrapping as it is to be stored: the same data key under the same customer's key, opened again and compared.
    fn move_wrapping(&self, key: &DataKey, wrapping: &Wrapping) -> Result<Wrapping, String>;

    /// The secret part of a credential as it is to be stored.
    fn move_credential(&self, workspace: &WorkspaceId, credential: &Credential) -> Result<Vec<u8>, String>;
}

/// Why rows were not sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum NotMoved {
    /// A sealed blob could not be opened, or not be opened again.
    #[error("the wrapping of data key {data_key} of {workspace} could not be taken over: {why}")]
    Sealed {
        /// Whose.
        workspace: WorkspaceId,
        /// Of which data key.
        data_key: DataKeyId,
        /// Why.
        why: String,
    },
    /// A credential's secret part could not be opened.
    #[error("the credential {credential} of {workspace} could not be taken over: {why}")]
    Credential {
        /// Whose.
        workspace: WorkspaceId,
        /// Which.
        credential: CredentialId,
        /// Why.
        why: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The head outside.
    #[error(transparent)]
    Head(#[from] HeadRefused),
}

impl NotMoved {
    /// The operator's next step.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Sealed { .. } | Self::Credential { .. } => {
                "restore the platform key file that has all of its keys, and run it again: it goes on where it stopped"
            }
            Self::Store(why) => why.remedy(),
            Self::Head(why) => why.remedy(),
        }
    }
}

/// How far a re-sealing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resealed {
    /// Rows sealed anew until now.
    pub done: u64,
    /// Rows that were under other keys when it began.
    pub of: u64,
}

/// Rows and sealed blobs that a key is still needed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// `table.column`.
    pub place: String,
    /// How many rows.
    pub rows: u64,
}

/// A database under its lock, with all of its head.
pub struct Offline {
    conn: Connection,
    codes: Arc<RowCodes>,
    anchor: Anchor,
    outside: Outside,
    _lock: Lock,
}

impl Offline {
    /// Opens it as [`open_anchored`](super::SqliteStore::open_anchored) does, with the same refusals.
    pub fn open(options: &SqliteOptions, outside: &Outside) -> Result<Self, OpenRefused> {
        let Opened { conn, codes, lock, anchor, .. } = open::open(options, false, MIGRATIONS, Against::Head(outside))?;
        let anchor = anchor.expect("what is held against its head comes with an anchor");
        Ok(Self { conn, codes, anchor, outside: outside.clone(), _lock: lock })
    }

    /// What has this key's id in it, in any column of any table that holds bytes: its code, its sealed layer, its wrapping.
    pub fn left_under(&self, key: PlatformKeyId) -> Result<Vec<Left>, StoreError> {
        left_under(&self.conn, key)
    }

    /// The check value of the root that recognises the database.
    pub fn root_check(&self) -> Result<[u8; 16], StoreError> {
        Ok(read::meta(&self.conn, &self.codes)?.root_check)
    }

    /// Seals every row, every set and every wrapping anew under `primary`, a thousand rows a commit; what was done stays done.
    /// `root_check`: the primary's own. Records it in the platform's chain at the end. Answers how many rows it were.
    pub fn reseal(
        &mut self,
        primary: PlatformKeyId,
        root_check: [u8; 16],
        sealed: &dyn MoveSealed,
        at: Timestamp,
        told: &mut dyn FnMut(Resealed),
    ) -> Result<u64, NotMoved> {
        let of = rows_not_under(&self.conn, primary)?;
        let pass = Pass { primary, epoch: None, sealed: Some(sealed), most: BATCH };
        let (mut done, mut reached) = (0, Reached::default());
        told(Resealed { done, of });
        loop {
            let rows = self.unit(|unit| in_step(unit, |step| reseal::go_over(step, &pass, &mut reached)))?;
            if rows == 0 {
                break;
            }
            done += rows;
            told(Resealed { done, of });
        }
        // It may have ended before between the last rows and this.
        if done > 0 || !self.recognised_by(primary, root_check)? {
            self.unit(|unit| {
                unit.recognise_by(root_check);
                let what = AuditKind::PlatformKeyInUse { key: primary, rows: done };
                let event = AuditEvent { workspace: None, at, actor: domain::audit::SERVICE.to_owned(), what };
                in_step(unit, |step| {
                    reseal::rewrite_heads(step)?;
                    Ok(write::append_audit(step, &event)?)
                })
            })?;
        }
        self.renew_head()?;
        // Out of the log too: an older page of it would still be under the old key.
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(StoreError::from)?;
        Ok(done)
    }

    /// Writes the head anew as it is, both of its slots: nothing in it is under another key than the primary then.
    pub fn renew_head(&mut self) -> Result<(), NotMoved> {
        let head = self.codes.head_of(&read::meta(&self.conn, &self.codes)?);
        let Outside { head: path, seal, .. } = &self.outside;
        self.anchor.renew(HeadFile::create(path, self.codes.cluster().0, Arc::clone(seal), &head)?);
        Ok(())
    }

    /// Whether the rows about the sets and the database are the primary's too.
    fn recognised_by(&self, primary: PlatformKeyId, root_check: [u8; 16]) -> Result<bool, StoreError> {
        let others =
            "SELECT (SELECT count(*) FROM sets WHERE mac_key <> ?1) + (SELECT count(*) FROM meta WHERE mac_key <> ?1)";
        let others: i64 = self.conn.query_row(others, [primary.as_bytes()], |row| row.get(0))?;
        Ok(others == 0 && self.root_check()? == root_check)
    }

    fn unit<T>(&mut self, work: impl FnOnce(&mut Unit<'_>) -> Result<T, NotMoved>) -> Result<T, NotMoved> {
        let mut unit = Unit::begin(&self.conn, &self.codes)?;
        self.anchor.take(&mut unit, false)?;
        let done = work(&mut unit)?;
        match unit.commit(&mut commit_durably) {
            Ending::Done(head) => self.anchor.advance(&head)?,
            Ending::RolledBack(cause) | Ending::Unclear { cause, .. } => return Err(cause.into()),
        }
        Ok(done)
    }
}

/// A step whose failures are not only the store's.
fn in_step<T>(
    unit: &mut Unit<'_>,
    work: impl FnOnce(&mut super::unit::Step<'_, '_>) -> Result<T, NotMoved>,
) -> Result<T, NotMoved> {
    let mut why = None;
    let done = unit.step(|step| {
        work(step).map_err(|refused| match refused {
            NotMoved::Store(cause) => cause,
            other @ (NotMoved::Sealed { .. } | NotMoved::Credential { .. } | NotMoved::Head(_)) => {
                why = Some(other);
                StoreError::Closed
            }
        })
    });
    done.map_err(|cause| why.unwrap_or(NotMoved::Store(cause)))
}

/// Every table and its columns that hold bytes.
fn columns_of_bytes(conn: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = conn.prepare(
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND c.type = 'BLOB' ORDER BY 1, c.cid",
    )?;
    let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(columns)
}

fn left_under(conn: &Connection, key: PlatformKeyId) -> Result<Vec<Left>, StoreError> {
    let mut left = Vec::new();
    for (table, column) in columns_of_bytes(conn)? {
        let count = format!("SELECT count(*) FROM \"{table}\" WHERE instr(\"{column}\", ?1) > 0");
        let rows: i64 = conn.query_row(&count, [key.as_bytes()], |row| row.get(0))?;
        if rows > 0 {
            left.push(Left { place: format!("{table}.{column}"), rows: u64::try_from(rows).unwrap_or(u64::MAX) });
        }
    }
    Ok(left)
}

/// Rows that are not all under this key.
fn rows_not_under(conn: &Connection, primary: PlatformKeyId) -> Result<u64, StoreError> {
    let mut sum = 0;
    for (table, column) in columns_of_bytes(conn)? {
        if column == "mac_key" && table != "meta" && table != "sets" {
            let count = format!("SELECT count(*) FROM \"{table}\" WHERE {}", reseal::not_under(&table));
            let rows: i64 = conn.query_row(&count, [primary.as_bytes()], |row| row.get(0))?;
            sum += u64::try_from(rows).unwrap_or(0);
        }
    }
    Ok(sum)
}

/// Why a database is not accepted. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum AcceptRefused {
    /// It cannot be opened at all.
    #[error(transparent)]
    Open(#[from] OpenRefused),
    /// It is where its head says.
    #[error("the database is where its head says ({0}): there is nothing to accept")]
    InOrder(Head),
    /// It has never had a head, and there is none.
    #[error("the database has had no head until now: there is nothing to accept")]
    NoHeadYet,
    /// Somebody wrote into it who does not hold the platform root, or it is damaged.
    #[error("the database is not in order in itself: {0}")]
    NotItself(StoreError),
    /// The head cannot be used, and not because it is lost.
    #[error(transparent)]
    Head(#[from] HeadRefused),
    /// Rows could not be taken into the new epoch.
    #[error(transparent)]
    NotMoved(#[from] NotMoved),
}

impl AcceptRefused {
    /// The operator's next step.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Open(why) => why.remedy(),
            Self::InOrder(_) => "start the service",
            Self::NoHeadYet => "start the service: it makes the head",
            Self::NotItself(why) => why.remedy(),
            Self::Head(why) => why.remedy(),
            Self::NotMoved(why) => why.remedy(),
        }
    }
}

/// A database that is not where its head says, looked at whole and not changed.
pub struct Acceptance {
    conn: Connection,
    codes: Arc<RowCodes>,
    outside: Outside,
    _lock: Lock,
    /// Where the database stands.
    pub database: Head,
    /// Where its head stands; absent with the reason, when it is lost.
    pub head: Result<Head, String>,
    /// What the newest event in the database is called, and when it was recorded.
    pub newest_event: Option<(Timestamp, String)>,
    /// Rows and events that were verified.
    pub verified: crate::Verified,
    /// Its schema and the newest, if that is another: accepting brings it there.
    pub older_schema: Option<(u32, u32)>,
}

impl Acceptance {
    /// Opens a database that is refused otherwise, and verifies all of it. Nothing in it is changed: one of an older schema is
    /// verified as it would be in the newest.
    pub fn look(options: &SqliteOptions, outside: &Outside) -> Result<Self, AcceptRefused> {
        let Opened { conn, codes, lock, .. } = open::open(options, false, MIGRATIONS, Against::Afterwards(outside))?;
        let meta = read::meta(&conn, &codes).map_err(AcceptRefused::NotItself)?;
        let database = codes.head_of(&meta);
        let head = match HeadFile::open(&outside.head, codes.cluster().0, Arc::clone(&outside.seal)) {
            Ok((file, torn)) => {
                let last = file.last();
                match Stands::of(&database, meta.anchored.as_ref(), &last) {
                    Stands::There if torn => Err("damaged".to_owned()),
                    Stands::There | Stands::Ahead => return Err(AcceptRefused::InOrder(last)),
                    Stands::Behind | Stands::Elsewhere => Ok(last),
                }
            }
            Err(HeadRefused::Missing { .. }) if meta.anchored.is_none() => return Err(AcceptRefused::NoHeadYet),
            Err(HeadRefused::Missing { .. }) => Err("lost".to_owned()),
            Err(HeadRefused::Damaged { .. }) => Err("damaged".to_owned()),
            Err(other @ (HeadRefused::NotOurs { .. } | HeadRefused::Foreign { .. } | HeadRefused::Io { .. })) => {
                return Err(other.into());
            }
        };
        let known = schema::newest(MIGRATIONS);
        let older_schema = (meta.schema < known).then_some((meta.schema, known));
        let (verified, newest_event) = looked_at(&conn, &codes).map_err(AcceptRefused::NotItself)?;
        let outside = outside.clone();
        Ok(Self { conn, codes, outside, _lock: lock, database, head, newest_event, verified, older_schema })
    }

    /// Accepts it: every row in one commit under a higher epoch, so that no row of what came after it counts again; recorded in
    /// the platform's chain; then the head. Ended in between, the next start goes on, or this is asked for again.
    pub fn accept(self, approved_by: [String; 2], at: Timestamp) -> Result<Head, AcceptRefused> {
        schema::migrate(&self.conn, &self.codes, MIGRATIONS, None).map_err(NotMoved::from)?;
        let meta = read::meta(&self.conn, &self.codes).map_err(NotMoved::from)?;
        let (epoch, revision) = match &self.head {
            Ok(head) => (head.epoch.max(meta.at.epoch) + 1, head.revision.max(meta.at.revision) + 1),
            // An earlier acceptance may be in the history that is lost: an epoch that none can have had.
            Err(_) => ((meta.at.epoch + 1).max(seconds(at)), meta.at.revision + 1),
        };
        let key = self.codes.primary();
        let pass = Pass { primary: key, epoch: Some(epoch), sealed: None, most: BATCH };
        let told = match &self.head {
            Ok(head) => head.to_string(),
            Err(why) => why.clone(),
        };
        let Head { epoch: from_epoch, revision: from_revision, .. } = self.database;
        let what = DatabaseAccepted { epoch: from_epoch, revision: from_revision, head: told, approved_by };
        let what = AuditKind::DatabaseAccepted(Box::new(what));
        let event = AuditEvent { workspace: None, at, actor: domain::audit::SERVICE.to_owned(), what };
        // Rows of both epochs are read until the commit.
        self.codes.expect_epoch(0);
        let mut unit = Unit::begin(&self.conn, &self.codes).map_err(NotMoved::from)?;
        unit.raise(Stamp { epoch, revision });
        // A start that finds this and the head as it is now knows that the one goes on from the other.
        unit.name_head(self.head.clone().unwrap_or(self.database));
        in_step(&mut unit, |step| {
            let mut reached = Reached::default();
            while reseal::go_over(step, &pass, &mut reached)? > 0 {}
            reseal::rewrite_heads(step)?;
            Ok(write::append_audit(step, &event)?)
        })?;
        let head = match unit.commit(&mut commit_durably) {
            Ending::Done(head) => head,
            Ending::RolledBack(cause) | Ending::Unclear { cause, .. } => return Err(NotMoved::Store(cause).into()),
        };
        self.codes.expect_epoch(epoch);
        verify::verify(&self.conn, &self.codes).map_err(AcceptRefused::NotItself)?;
        let seal = Arc::clone(&self.outside.seal);
        HeadFile::create(&self.outside.head, self.codes.cluster().0, seal, &head)?;
        Ok(head)
    }
}

/// Whole seconds since 1970.
fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.micros() / 1_000_000).unwrap_or(0)
}

/// Verifies all of it and finds the newest event, in the newest schema; the transaction that brings it there is not committed.
fn looked_at(
    conn: &Connection,
    codes: &RowCodes,
) -> Result<(crate::Verified, Option<(Timestamp, String)>), StoreError> {
    let unmade = conn.unchecked_transaction()?;
    schema::migrate(&unmade, codes, MIGRATIONS, None)?;
    let found = (verify::verify(&unmade, codes)?, newest(&unmade, codes)?);
    unmade.rollback()?;
    Ok(found)
}

/// The newest event of any chain.
fn newest(conn: &Connection, codes: &RowCodes) -> Result<Option<(Timestamp, String)>, StoreError> {
    let mut names = vec![None];
    let mut statement = conn.prepare("SELECT workspace FROM sets WHERE workspace <> ''")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        names.extend(row.get::<_, String>(0)?.parse::<WorkspaceId>().ok().map(Some));
    }
    let mut newest: Option<(Timestamp, String)> = None;
    for workspace in names {
        let event = chain::newest_event(conn, codes, workspace.as_ref(), None)?;
        let event = event.map(|event| (event.at, event.name));
        newest = newest.into_iter().chain(event).max_by_key(|(at, _)| *at);
    }
    Ok(newest)
}
