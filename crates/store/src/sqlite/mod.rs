//! The database in one file: SQLite with a write-ahead log that is synced at every commit, one thread that writes, and a few
//! connections that read.
//!
//! Nothing outside this folder knows SQL.

mod anchor;
#[cfg(test)]
mod anchor_tests;
mod callers;
mod chain;
mod changes;
#[cfg(test)]
mod commit_tests;
mod connection;
mod destroy;
mod fault;
mod fields;
mod file;
mod integration;
mod life;
mod offline;
mod open;
mod operation;
mod read;
mod readers;
mod reseal;
mod rows;
mod schema;
#[cfg(test)]
mod schema_tests;
mod store;
mod tables;
mod tenancy;
mod transaction;
mod unit;
mod usage;
mod verify;
mod write;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use domain::row_seal::RowSeal;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use self::anchor::Footing;
pub use self::offline::{AcceptRefused, Acceptance, Left, MoveSealed, NotMoved, Offline, Resealed};
pub use self::open::OpenRefused;
use self::open::{Against, Opened};
use self::readers::Readers;
use self::schema::{MIGRATIONS, Migration};
use self::unit::{Commit, Step};
use self::writer::{Command, Request, Writer};
use crate::row::RowCodes;
use crate::{Outside, StoreError};

/// How many requests may wait for the writer before the next one waits to be let in.
const QUEUE: usize = 1024;

/// The most rows one page of a listing holds, whatever was asked for.
const LONGEST_PAGE: usize = 10_000;

/// Where a database is and what it belongs to.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The file. Beside it: `-wal` and `-shm` (SQLite's) and `.lock` (ours).
    pub path: PathBuf,
    /// Makes and checks the rows' codes.
    pub row_seal: Arc<dyn RowSeal>,
    /// The check value of the platform root; a database written under another root is refused.
    pub root_check: [u8; 16],
    /// The cluster id of the platform root.
    pub cluster: [u8; 16],
    /// [`Durability::Full`], drills aside.
    pub durability: Durability,
}

/// What an acknowledgement is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing is acknowledged before the log has been synced: it survives a power loss.
    #[default]
    Full,
    /// Nothing is ever synced. Exists so that the power-loss drill can be seen to find the losses.
    #[cfg(feature = "drill")]
    LosesAcknowledgedWritesForDrills,
}

/// An open database. Dropping it ends open transactions by rollback, finishes what waits for the writer and closes the file.
pub struct SqliteStore {
    codes: Arc<RowCodes>,
    epoch: u64,
    readers: Arc<Readers>,
    /// Absent: there is no head to hold it against.
    footing: Option<Arc<Footing>>,
    closing: Arc<AtomicBool>,
    /// Taken when it is dropped: the writer ends when it has no more requests to wait for.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the database, or makes a new one if there is no such file. Blocks for as long as a check of its pages takes.
    pub fn create_or_open(options: SqliteOptions) -> Result<Self, OpenRefused> {
        Self::open_with(&options, true, MIGRATIONS, Box::new(writer::commit_durably))
    }

    /// As [`create_or_open`](Self::create_or_open), held against its head outside: refused when it is an older copy of itself or
    /// has another history, and nothing is acknowledged before the head has followed.
    pub fn create_or_open_anchored(options: SqliteOptions, outside: &Outside) -> Result<Self, OpenRefused> {
        Self::open_whole(&options, true, MIGRATIONS, Box::new(writer::commit_durably), Some(outside))
    }

    /// As [`open`](Self::open), held against its head outside.
    pub fn open_anchored(options: SqliteOptions, outside: &Outside) -> Result<Self, OpenRefused> {
        Self::open_whole(&options, false, MIGRATIONS, Box::new(writer::commit_durably), Some(outside))
    }

    /// Opens the database, and refuses if there is none: a path mistyped or a disk not mounted is not an empty database.
    pub fn open(options: SqliteOptions) -> Result<Self, OpenRefused> {
        Self::open_with(&options, false, MIGRATIONS, Box::new(writer::commit_durably))
    }

    fn open_with(
        options: &SqliteOptions,
        create: bool,
        migrations: &[Migration],
        commit: Box<Commit>,
    ) -> Result<Self, OpenRefused> {
        Self::open_whole(options, create, migrations, commit, None)
    }

    fn open_whole(
        options: &SqliteOptions,
        create: bool,
        migrations: &[Migration],
        commit: Box<Commit>,
        outside: Option<&Outside>,
    ) -> Result<Self, OpenRefused> {
        let against = outside.map_or(Against::Nothing, Against::Head);
        let Opened { conn, codes, epoch, lock, anchor } = open::open(options, create, migrations, against)?;
        let footing = anchor.as_ref().map(|anchor| Arc::clone(anchor.footing()));
        let path = &options.path;
        let unusable = |cause| OpenRefused::Unusable { path: path.clone(), cause };
        // Reading once is what makes it share the log's index.
        let keepalive = connection::reader(path).map_err(|error| unusable(error.into()))?;
        read::meta(&keepalive, &codes).map_err(unusable)?;

        let (requests, waiting) = mpsc::channel(QUEUE);
        let closing = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            _keepalive: keepalive,
            conn,
            path: path.clone(),
            durability: options.durability,
            codes: Arc::clone(&codes),
            requests: waiting,
            closing: Arc::clone(&closing),
            commit,
            crowd: 0,
            suspended: false,
            anchor,
            unanchored: None,
            data_version: None,
            _lock: lock,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|cause| OpenRefused::NoThread { cause })?;
        let readers = Readers::of(path.clone());
        Ok(Self { codes, epoch, readers, footing, closing, requests: Some(requests), writer: Some(writer) })
    }

    fn footing_holds(&self) -> Result<(), StoreError> {
        self.footing.as_ref().map_or(Ok(()), |footing| footing.holds())
    }

    async fn ask(&self, request: Request) -> Result<(), StoreError> {
        self.footing_holds()?;
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(request).await.map_err(|_| StoreError::Closed)
    }

    /// Has a small command done with the next commit.
    async fn small<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Step<'_, '_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Small(Box::new(Command { work: Some(work), outcome: None, reply }))).await?;
        // The writer died with it: it may have been in a commit.
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, &RowCodes) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.footing_holds()?;
        let codes = Arc::clone(&self.codes);
        self.readers.read(move |conn| query(conn, &codes)).await
    }

    /// As [`read`](Self::read), after a look whether it is still the same database.
    async fn look_and_read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, &RowCodes) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let footing = self.footing.clone();
        self.read(move |conn, codes| {
            if let Some(footing) = footing {
                footing.look(conn, codes)?;
            }
            query(conn, codes)
        })
        .await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        self.requests = None;
        self.readers.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer's thread panicked");
        }
    }
}

/// A page's length as SQLite takes it.
fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(LONGEST_PAGE)).unwrap_or(i64::MAX)
}
