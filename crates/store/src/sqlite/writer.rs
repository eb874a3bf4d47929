//! The one thread that writes: it gathers small commands into one commit, and lets one transaction at a time have the file.
//!
//! # When a commit fails
//!
//! An error on COMMIT does not say whether the rows are there (I-3): the log may hold the whole commit, written but not
//! synced. Nor does trying to sync again: after a failed fsync Linux calls the pages clean, and the next fsync succeeds without
//! having written them. So nobody is answered, and no later commit is put behind bytes that may never have reached the disk:
//!
//! 1. The transaction is rolled back, so that this process's index of the log ends before the failed commit.
//! 2. The connection is made anew. Another connection stays open meanwhile, so that the index is not rebuilt from the log,
//!    which would take the failed commit for a good one.
//! 3. A test commit is made. It reads the revision first (was the failed commit taken after all?) and is written to the
//!    same place in the log, over the bytes that may be missing, which makes them dirty again and its own fsync honest.
//!
//! Only when that has succeeded is the outcome known, and durable, and told. Until one does, every write is refused and
//! each one asked for tries again. Should the process die in between, nobody was told anything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::anchor::Anchor;
use super::file::Lock;
use super::transaction::{self, Steps};
use super::unit::{Commit, Ending, Step, Unit};
use super::{Durability, connection};
use crate::row::RowCodes;
use crate::{Head, OthersWrote, Outage, StoreError};

/// The most commands one commit acknowledges.
const BATCH: usize = 512;

/// How often the writer lets others run before it commits fewer commands than last time. Those who were answered then are
/// about to ask again; a commit begun without them would be over, and synced, for the first of them only.
const WAITS: usize = 16;

/// How often a failed commit is followed by a test commit before its callers are told that the outcome is unknown.
const ATTEMPTS: usize = 3;

/// What waits for the writer.
pub(super) enum Request {
    /// A command that may share a commit.
    Small(Box<dyn Small>),
    /// A transaction of its own.
    Begin { name: &'static str, reply: oneshot::Sender<Result<Steps, StoreError>> },
    /// Whether anybody but the writer wrote since this was last asked.
    WrittenByOthers { reply: oneshot::Sender<Result<OthersWrote, StoreError>> },
}

/// A small command on its way through a batch.
pub(super) trait Small: Send {
    /// Does its work in a savepoint and keeps the outcome to itself.
    fn run(&mut self, unit: &mut Unit<'_>);
    /// Tells the outcome: its own, or the commit's failure.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

/// Work in a savepoint, and who wants to know.
pub(super) struct Command<T, F> {
    pub(super) work: Option<F>,
    pub(super) outcome: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&mut Step<'_, '_>) -> Result<T, StoreError> + Send> Small for Command<T, F> {
    fn run(&mut self, unit: &mut Unit<'_>) {
        if let Some(work) = self.work.take() {
            self.outcome = Some(unit.step(work));
        }
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let Self { outcome, reply, .. } = *self;
        let outcome = commit.and_then(|()| outcome.unwrap_or(Err(StoreError::Closed)));
        // Whoever asked may have gone; what was done stays done.
        let _ = reply.send(outcome);
    }
}

/// The writing side of a database.
pub(super) struct Writer {
    /// Keeps the log's index alive while `conn` is made anew, and is closed first, so that closing `conn` tidies up the log.
    pub(super) _keepalive: Connection,
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    pub(super) durability: Durability,
    pub(super) codes: Arc<RowCodes>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) closing: Arc<AtomicBool>,
    pub(super) commit: Box<Commit>,
    /// How many commands the last commit acknowledged.
    pub(super) crowd: usize,
    /// A commit has failed, and no test commit has succeeded since.
    pub(super) suspended: bool,
    /// The head outside; absent: there is none to hold the database against.
    pub(super) anchor: Option<Anchor>,
    /// What was committed, and the head could not follow. Nothing more is committed before it has.
    pub(super) unanchored: Option<Head>,
    /// What `conn` said of the database when it was last asked who wrote. Absent: this connection has not been asked.
    pub(super) data_version: Option<i64>,
    /// Let go of last.
    pub(super) _lock: Lock,
}

/// How a commit is made when nobody is testing its failure.
pub(super) fn commit_durably(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("COMMIT")?.execute([]).map(drop)
}

impl Writer {
    /// Serves requests until the store is closed and none is left.
    pub(super) fn run(mut self) {
        let mut next = None;
        while let Some(request) = next.take().or_else(|| self.requests.blocking_recv()) {
            // A panic rolls back by dropping the unit; those who wait see their reply channel close.
            match catch_unwind(AssertUnwindSafe(|| self.serve(request))) {
                Ok(left_over) => next = left_over,
                Err(_) => tracing::error!("the writer panicked; the transaction was rolled back"),
            }
        }
    }

    fn serve(&mut self, request: Request) -> Option<Request> {
        match request {
            Request::Small(first) => match self.may_write() {
                Ok(()) => self.batch(first),
                Err(error) => {
                    first.answer(Err(error));
                    None
                }
            },
            Request::Begin { name, reply } => {
                match self.may_write() {
                    Ok(()) => self.transaction(name, reply),
                    Err(error) => drop(reply.send(Err(error))),
                }
                None
            }
            Request::WrittenByOthers { reply } => {
                let _ = reply.send(self.written_by_others());
                None
            }
        }
    }

    /// Refuses while a commit before is not settled, after another try to settle it.
    fn may_write(&mut self) -> Result<(), StoreError> {
        if let Some(head) = self.unanchored {
            self.follow(head).map_err(|_| StoreError::Unavailable(Outage::Head))?;
        }
        if self.suspended {
            let (_, head) = self.test_commit().map_err(|cause| {
                tracing::error!(%cause, "writing is still suspended");
                match cause {
                    StoreError::Unavailable(outage) => StoreError::Unavailable(outage),
                    StoreError::RolledBack => StoreError::RolledBack,
                    _ => StoreError::Unavailable(Outage::WritesSuspended),
                }
            })?;
            self.suspended = false;
            self.follow(head).map_err(|_| StoreError::Unavailable(Outage::Head))?;
        }
        Ok(())
    }

    /// SQLite counts for each connection what others committed, and leaves out its own commits.
    fn written_by_others(&mut self) -> Result<OthersWrote, StoreError> {
        let now = self.conn.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        Ok(match self.data_version.replace(now) {
            None => OthersWrote::NotKnown,
            Some(before) if before == now => OthersWrote::No,
            Some(_) => OthersWrote::Yes,
        })
    }

    /// Runs this command and whatever else waits or arrives meanwhile, commits once, then answers. A request that cannot
    /// share the commit is handed back.
    fn batch(&mut self, first: Box<dyn Small>) -> Option<Request> {
        let mut unit = match begin(&self.conn, &self.codes, self.anchor.as_ref(), false) {
            Ok(unit) => unit,
            Err(error) => {
                self.suspended = is_suspicious(&error);
                first.answer(Err(error));
                return None;
            }
        };
        let mut done: Vec<Box<dyn Small>> = Vec::new();
        let mut next = Some(first);
        let mut left_over = None;
        while let Some(mut small) = next.take() {
            small.run(&mut unit);
            done.push(small);
            if done.len() == BATCH || unit.is_lost() {
                break;
            }
            match next_in_crowd(&mut self.requests, done.len() < self.crowd) {
                Some(Request::Small(small)) => next = Some(small),
                Some(other @ (Request::Begin { .. } | Request::WrittenByOthers { .. })) => left_over = Some(other),
                None => {}
            }
        }
        self.crowd = done.len();
        let ending = unit.commit(&mut *self.commit);
        let outcome = self.settle(ending).map(drop);
        for small in done {
            small.answer(outcome.clone());
        }
        left_over
    }

    fn transaction(&mut self, name: &'static str, reply: oneshot::Sender<Result<Steps, StoreError>>) {
        let unit = match begin(&self.conn, &self.codes, self.anchor.as_ref(), false) {
            Ok(unit) => unit,
            Err(error) => {
                self.suspended = is_suspicious(&error);
                let _ = reply.send(Err(error));
                return;
            }
        };
        let Some((unit, commit)) = transaction::serve(unit, name, reply, &self.closing) else { return };
        let erased = unit.known.erased;
        let ending = unit.commit(&mut *self.commit);
        let outcome = self.settle(ending);
        if erased && outcome.is_ok() {
            self.fold_log();
        }
        let _ = commit.send(outcome);
    }

    /// Writes the log's pages over those in the file and empties the log, so that nothing that was erased is left in either.
    fn fold_log(&self) {
        let busy = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        match busy {
            Ok(0) => {}
            Ok(_) => {
                tracing::warn!("somebody reads: what was erased stays in the log until it is next folded into the file")
            }
            Err(cause) => {
                tracing::warn!(%cause, "what was erased stays in the log until it is next folded into the file")
            }
        }
    }

    /// Turns a commit's ending into what its callers may be told.
    fn settle(&mut self, ending: Ending) -> Result<u64, StoreError> {
        let (revision, cause) = match ending {
            Ending::Done(head) => return self.follow(head).map(|()| head.revision),
            Ending::RolledBack(error) => {
                self.suspended = is_suspicious(&error);
                return Err(error);
            }
            Ending::Unclear { revision, cause } => (revision, cause),
        };
        tracing::error!(%cause, revision, "a commit failed; finding out whether it happened");
        for _ in 0..ATTEMPTS {
            match self.test_commit() {
                Ok((found, head)) if found >= revision => return self.follow(head).map(|()| revision),
                Ok((_, head)) => {
                    // Nothing of it is there: what the head is now changes nothing about that.
                    let _ = self.follow(head);
                    return Err(cause);
                }
                Err(error) => tracing::error!(cause = %error, "a test commit failed"),
            }
        }
        self.suspended = true;
        Err(StoreError::OutcomeUnknown)
    }

    /// Makes the connection anew and commits nothing. Answers the revision found before that commit, and the head after it.
    fn test_commit(&mut self) -> Result<(u64, Head), StoreError> {
        self.conn = connection::writer(&self.path, self.durability)?;
        // The new one counts from anew: whether others wrote since it was last asked is not known, and no sign that they did.
        self.data_version = None;
        begin(&self.conn, &self.codes, self.anchor.as_ref(), true)?.commit_nothing(&mut *self.commit)
    }

    /// Has the head outside follow a commit. Until it has, nobody is told that anything was written.
    fn follow(&mut self, head: Head) -> Result<(), StoreError> {
        let Some(anchor) = &mut self.anchor else { return Ok(()) };
        match anchor.advance(&head) {
            Ok(()) => {
                self.unanchored = None;
                Ok(())
            }
            Err(cause) => {
                tracing::error!(%cause, hint = cause.remedy(), "the head outside of the database cannot follow: writing is suspended");
                self.unanchored = Some(head);
                Err(StoreError::OutcomeUnknown)
            }
        }
    }
}

/// Begins a unit on the database that the head was taken of, and on no other. `or_ahead`: an unclear commit may be in it.
fn begin<'c>(
    conn: &'c Connection,
    codes: &'c RowCodes,
    anchor: Option<&Anchor>,
    or_ahead: bool,
) -> Result<Unit<'c>, StoreError> {
    let mut unit = Unit::begin(conn, codes)?;
    if let Some(anchor) = anchor {
        anchor.take(&mut unit, or_ahead)?;
    }
    Ok(unit)
}

/// What waits for a place in a commit. Others are waited for only while `more` are expected than have come.
fn next_in_crowd(requests: &mut mpsc::Receiver<Request>, more: bool) -> Option<Request> {
    for _ in 0..WAITS {
        match requests.try_recv() {
            Ok(request) => return Some(request),
            Err(mpsc::error::TryRecvError::Empty) if more => std::thread::yield_now(),
            Err(mpsc::error::TryRecvError::Empty | mpsc::error::TryRecvError::Disconnected) => return None,
        }
    }
    None
}

/// Whether a failure before the commit is a reason to prove, on a new connection, that commits work before the next one.
fn is_suspicious(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(outage) => *outage != Outage::Busy,
        StoreError::Damaged | StoreError::Refused { .. } => true,
        StoreError::Conflict(_)
        | StoreError::RowForged { .. }
        | StoreError::SetForged { .. }
        | StoreError::ChainBroken { .. }
        | StoreError::OutcomeUnknown
        | StoreError::TransactionEnded { .. }
        | StoreError::Closed
        | StoreError::TooLarge { .. }
        | StoreError::RolledBack => false,
    }
}

/// Whether the store is being closed.
pub(super) fn is_closing(closing: &AtomicBool) -> bool {
    closing.load(Ordering::Acquire)
}
