//! How a database is opened, and every way in which it is refused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::anchor::{self, Anchor};
use super::file::{self, Lock};
use super::schema::{self, Migration};
use super::{SqliteOptions, connection, read};
use crate::row::{Meta, Row as _, RowCodes};
use crate::{ClusterId, Head, HeadRefused, Outage, Outside, StoreError};

/// The oldest SQLite this runs on: before it, a race could corrupt a database in WAL mode.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Files up to this size are checked page by page when they are opened (about 0.2 s). In larger ones damage shows when a page
/// is read, and every row's code is checked then anyway; a whole check is `Store::verify`.
const CHECKED_WHEN_OPENED: u64 = 256 * 1024 * 1024;

/// Why a database is not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenRefused {
    /// The SQLite linked in is too old.
    #[error("SQLite {found} is too old")]
    SqliteTooOld {
        /// Its version.
        found: &'static str,
    },
    /// There is no such file, and none was to be made.
    #[error("there is no database at {path}", path = path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// A new database could not be made.
    #[error("the database {path} could not be created: {cause}", path = path.display())]
    NotCreated {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The lock file could not be made or locked.
    #[error("the lock file {path} cannot be used: {cause}", path = path.display())]
    LockFile {
        /// The lock file.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// Another daemon serves from it, or another program holds it.
    #[error("the database {path} is in use by another process{holder}", path = path.display(),
        holder = pid.map_or(String::new(), |pid| format!(" ({pid})")))]
    Locked {
        /// The database.
        path: PathBuf,
        /// The other daemon's process id, if it said.
        pid: Option<u32>,
    },
    /// A directory or a device.
    #[error("{path} is not a regular file", path = path.display())]
    NotAFile {
        /// What.
        path: PathBuf,
    },
    /// The file is another user's.
    #[error("the database {path} belongs to another user (uid {owner})", path = path.display())]
    OwnedByAnother {
        /// The database.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others than its owner may read or write it.
    #[error("the database {path} is open to others (mode {mode:04o})", path = path.display())]
    TooWidelyReadable {
        /// The database.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be read or written.
    #[error("the database {path} cannot be read and written: {cause}", path = path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// A file of no bytes: a database is never left like that, so its content is gone.
    #[error("the database {path} is an empty file", path = path.display())]
    Empty {
        /// The database.
        path: PathBuf,
    },
    /// Not an SQLite file.
    #[error("{path} is not a database", path = path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// Another program's SQLite file.
    #[error("{path} is a database of another program", path = path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Its pages do not fit together.
    #[error("the database {path} is damaged: {finding}", path = path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The first thing found.
        finding: String,
    },
    /// A newer release has been here.
    #[error("the database {path} has schema {found}; this release knows {known}", path = path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest this release knows.
        known: u32,
    },
    /// It belongs to another installation.
    #[error("the database {path} belongs to cluster {found}, the platform key to {expected}", path = path.display())]
    OtherCluster {
        /// The database.
        path: PathBuf,
        /// The cluster it says it is of.
        found: ClusterId,
        /// The cluster of the platform root in use.
        expected: ClusterId,
    },
    /// It was written under another platform root.
    #[error("the database {path} was written under another platform key", path = path.display())]
    OtherRoot {
        /// The database.
        path: PathBuf,
    },
    /// The row about the database itself fails its authentication.
    #[error("the row that describes the database {path} fails its authentication", path = path.display())]
    Forged {
        /// The database.
        path: PathBuf,
    },
    /// Its file system cannot keep a write-ahead log that several connections share.
    #[error("the database {path} cannot use a write-ahead log (mode {mode})", path = path.display())]
    NoWal {
        /// The database.
        path: PathBuf,
        /// The mode SQLite fell back to.
        mode: String,
    },
    /// A step to the newest schema failed; the database is as it was before that step.
    #[error("the database {path} could not be brought to schema {to}: {cause}", path = path.display())]
    NotMigrated {
        /// The database.
        path: PathBuf,
        /// The schema it was to get.
        to: u32,
        /// Why.
        cause: StoreError,
    },
    /// It could not be used at all.
    #[error("the database {path}: {cause}", path = path.display())]
    Unusable {
        /// The database.
        path: PathBuf,
        /// Why.
        cause: StoreError,
    },
    /// The writer's thread could not be started.
    #[error("no thread for the database's writer could be started: {cause}")]
    NoThread {
        /// What the operating system says.
        cause: io::Error,
    },
    /// It is an older copy of itself, or a copy that was written to elsewhere.
    #[error("the database {path} is {}: it stands at {database}, its head at {outside}", if *other_history { "not the one its head was taken of" } else { "an older copy" }, path = path.display())]
    RolledBack {
        /// The database.
        path: PathBuf,
        /// Where it stands.
        database: Box<Head>,
        /// Where it stood when somebody was last told that something was written.
        outside: Box<Head>,
        /// It is not older: its history is another one.
        other_history: bool,
    },
    /// Its head outside is not there or cannot be taken.
    #[error(transparent)]
    Head(#[from] HeadRefused),
    /// It has a head outside, and none was named.
    #[error("the database {path} has a head outside of it, and was opened without", path = path.display())]
    HeadNeeded {
        /// The database.
        path: PathBuf,
    },
    /// Another process writes the head: a copy of the database at another path has the same one.
    #[error("the database's head {head} is in use by another process{holder}", head = head.display(),
        holder = pid.map_or(String::new(), |pid| format!(" ({pid})")))]
    HeadLocked {
        /// The head.
        head: PathBuf,
        /// The other process's id, if it said.
        pid: Option<u32>,
    },
    /// There is a head and no database.
    #[error("there is no database at {path}, but its head is at {head}", path = path.display(), head = head.display())]
    HeadAlone {
        /// Where the database belongs.
        path: PathBuf,
        /// The head.
        head: PathBuf,
    },
}

impl OpenRefused {
    /// The operator's next step.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::SqliteTooOld { .. } => "build with the bundled SQLite, or link 3.51.3 or newer",
            Self::Missing { .. } => {
                "check the path and that its disk is mounted; restore a backup, or create a new database"
            }
            Self::NotCreated { .. } | Self::LockFile { .. } => {
                "check that the directory exists, that this user may write to it and that its disk has room"
            }
            Self::Locked { .. } => "stop the other process, or give this daemon a database of its own",
            Self::NotAFile { .. } => "name a file; it is created if it does not exist",
            Self::OwnedByAnother { .. } => "chown it to the user this daemon runs as",
            Self::TooWidelyReadable { .. } => "chmod 600 it, and find out who has read or changed it",
            Self::Unreadable { .. } => "check the permissions and that its disk is mounted writable",
            Self::Empty { .. } => "restore a backup; remove the file only if it never held anything",
            Self::NotADatabase { .. } | Self::NotOurs { .. } => "check the path; nothing in the file was changed",
            Self::Damaged { .. } => "keep a copy of the file and its -wal and restore a backup",
            Self::NewerSchema { .. } => "run the newer release again; a database does not go back",
            Self::OtherCluster { .. } | Self::OtherRoot { .. } => {
                "use the platform key file that belongs to this database, or the other way round"
            }
            Self::Forged { .. } => "keep a copy, compare with a backup and look for who wrote to it",
            Self::NoWal { .. } => "put the database on a local disk, not on a network file system",
            Self::NotMigrated { .. } => "run the older release, which still can; keep this message for a report",
            Self::Unusable { cause, .. } => cause.remedy(),
            Self::NoThread { .. } => "raise the limit on threads or memory",
            Self::RolledBack { .. } => {
                "put the newer database back; if it is lost, two people accept this one: byokd store accept --config FILE shows what would be lost and what to type"
            }
            Self::Head(why) => why.remedy(),
            Self::HeadLocked { .. } => {
                "stop the other process, or give this database a state_dir of its own: two copies of one database never share a head"
            }
            Self::HeadNeeded { .. } => "name its head: state_dir in the configuration",
            Self::HeadAlone { .. } => {
                "check the path and that its disk is mounted, or restore a backup; remove the head only to begin with nothing"
            }
        }
    }
}

/// What a database is held against while it is opened.
#[derive(Clone, Copy)]
pub(super) enum Against<'o> {
    /// Nothing: it has never had a head outside.
    Nothing,
    /// Its head.
    Head(&'o Outside),
    /// Nothing yet: whoever opens it does so because it does not stand where its head says. Its schema stays as it is too.
    Afterwards(&'o Outside),
}

/// A database that has passed every check, under its lock.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) codes: Arc<RowCodes>,
    pub(super) epoch: u64,
    pub(super) lock: Lock,
    pub(super) anchor: Option<Anchor>,
}

/// Opens the file, making it first if that is wanted, and brings its schema up to date.
pub(super) fn open(
    options: &SqliteOptions,
    create: bool,
    migrations: &[Migration],
    against: Against<'_>,
) -> Result<Opened, OpenRefused> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenRefused::SqliteTooOld { found: rusqlite::version() });
    }
    let path = options.path.as_path();
    let cluster = ClusterId(options.cluster);
    let codes = Arc::new(RowCodes::new(Arc::clone(&options.row_seal), cluster));

    let exists = || path.symlink_metadata().is_ok();
    if !exists() && !create {
        return Err(OpenRefused::Missing { path: path.to_owned() });
    }
    let lock = match against {
        Against::Nothing => Lock::take(path)?,
        Against::Head(outside) | Against::Afterwards(outside) => Lock::take(path)?.and(lock_head(&outside.head)?),
    };
    let is_new = !exists();
    if let Against::Head(outside) = against
        && is_new
        && outside.head.symlink_metadata().is_ok()
    {
        return Err(OpenRefused::HeadAlone { path: path.to_owned(), head: outside.head.clone() });
    }
    if is_new {
        file::create(path, |unfinished| {
            let conn = connection::writer(unfinished, options.durability).map_err(|e| refused(path, e.into()))?;
            schema::create(&conn, &codes, migrations, options.root_check).map_err(|cause| refused(path, cause))
        })?;
    }
    file::check(path, schema::APPLICATION_ID)?;

    let conn = connection::writer(path, options.durability).map_err(|e| refused(path, e.into()))?;
    let refused_here = |cause: StoreError| refused(path, cause);
    let found = schema::present(&conn).map_err(refused_here)?;
    let known = schema::newest(migrations);
    if found > known {
        return Err(OpenRefused::NewerSchema { path: path.to_owned(), found, known });
    }
    check_pages(&conn, path)?;
    let root_checks = match against {
        Against::Nothing => std::slice::from_ref(&options.root_check),
        Against::Head(outside) | Against::Afterwards(outside) => &outside.root_checks,
    };
    check_belonging(&conn, path, cluster, root_checks)?;
    use_wal(&conn, path)?;
    let meta = read::meta(&conn, &codes).map_err(refused_here)?;
    if meta.schema != found {
        return Err(OpenRefused::Forged { path: path.to_owned() });
    }
    let head = match against {
        Against::Nothing if meta.anchored.is_some() => {
            return Err(OpenRefused::HeadNeeded { path: path.to_owned() });
        }
        Against::Nothing | Against::Afterwards(_) => None,
        Against::Head(outside) => anchor::find(path, outside, &codes, &meta)?,
    };
    match against {
        Against::Nothing | Against::Head(_) => {
            let before = head.as_ref().map(|head| head.last());
            schema::migrate(&conn, &codes, migrations, before).map_err(|cause| OpenRefused::NotMigrated {
                path: path.to_owned(),
                to: known,
                cause,
            })?;
        }
        Against::Afterwards(_) => {}
    }
    let anchor = match against {
        Against::Nothing | Against::Afterwards(_) => None,
        Against::Head(outside) => Some(anchor::take_up(head, outside, &conn, &codes, is_new)?),
    };
    codes.expect_epoch(meta.at.epoch);
    Ok(Opened { conn, codes, epoch: meta.at.epoch, lock, anchor })
}

/// One process writes a head, wherever the database is that it has it from.
fn lock_head(head: &Path) -> Result<Lock, OpenRefused> {
    Lock::take(head).map_err(|refused| match refused {
        OpenRefused::Locked { path: head, pid } => OpenRefused::HeadLocked { head, pid },
        other => other,
    })
}

/// Switches to write-ahead logging and takes the write lock once: the log's shared index has to work for both.
fn use_wal(conn: &Connection, path: &Path) -> Result<(), OpenRefused> {
    let without = |mode: &str| OpenRefused::NoWal { path: path.to_owned(), mode: mode.to_owned() };
    let failed = |error: rusqlite::Error| match error.into() {
        // That the file itself can be written was seen before.
        StoreError::Unavailable(Outage::Disk | Outage::ReadOnly) => without("unavailable"),
        cause => refused(path, cause),
    };
    let mode = connection::use_wal(conn).map_err(failed)?;
    if mode != "wal" {
        return Err(without(&mode));
    }
    conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(failed)
}

fn check_pages(conn: &Connection, path: &Path) -> Result<(), OpenRefused> {
    let size = path.metadata().map_err(|cause| OpenRefused::Unreadable { path: path.to_owned(), cause })?.len();
    if size > CHECKED_WHEN_OPENED {
        tracing::info!(bytes = size, "the database is too large to check page by page when it is opened");
        return Ok(());
    }
    let finding: String =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| refused(path, error.into()))?;
    if finding == "ok" {
        return Ok(());
    }
    // It speaks of each database file in a line of its own.
    let finding = finding.lines().last().unwrap_or_default().to_owned();
    Err(OpenRefused::Damaged { path: path.to_owned(), finding })
}

/// Says which of the two does not fit before the row's code is asked, which would only say that something does not.
fn check_belonging(
    conn: &Connection,
    path: &Path,
    expected: ClusterId,
    root_checks: &[[u8; 16]],
) -> Result<(), OpenRefused> {
    let (found, root): ([u8; 16], [u8; 16]) = conn
        .query_row("SELECT cluster_id, root_check FROM meta WHERE id = 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => OpenRefused::Forged { path: path.to_owned() },
            other => refused(path, other.into()),
        })?;
    if found != expected.0 {
        return Err(OpenRefused::OtherCluster { path: path.to_owned(), found: ClusterId(found), expected });
    }
    if !root_checks.contains(&root) {
        return Err(OpenRefused::OtherRoot { path: path.to_owned() });
    }
    Ok(())
}

/// A failure while opening, as what it means for the whole file.
fn refused(path: &Path, cause: StoreError) -> OpenRefused {
    let path = path.to_owned();
    match cause {
        StoreError::Damaged => {
            OpenRefused::Damaged { path, finding: "a page is not what the file's structure asks for".to_owned() }
        }
        StoreError::RowForged { table } if table == Meta::TABLE => OpenRefused::Forged { path },
        StoreError::Unavailable(Outage::Busy) => OpenRefused::Locked { path, pid: None },
        cause => OpenRefused::Unusable { path, cause },
    }
}
