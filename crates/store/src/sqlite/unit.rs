//! One SQLite transaction: steps that fail alone, and what every commit has to bring up to date with its rows.
//!
//! A commit raises the revision, and brings the sums of the sets it touched and the sum over all sets along. Both are kept
//! in memory while the unit runs and written once at its end, so that a batch of 512 commands pays for them once.

use std::collections::{HashMap, HashSet};

use domain::row_seal::RowMac;
use domain::{AppId, KeyVersionId, WorkspaceId};
use rusqlite::{Connection, params};

use super::fields::stored;
use super::read::{self, Kept};
use crate::row::{Meta, Row, RowCodes, SetHead, Stamp};
use crate::{Head, Outage, StoreError};

/// How a commit is made. The seam where tests put a disk that fails.
pub(super) type Commit = dyn FnMut(&Connection) -> rusqlite::Result<()> + Send;

/// An open transaction. Dropped without [`Unit::commit`], it is rolled back.
pub(super) struct Unit<'c> {
    pub(super) conn: &'c Connection,
    pub(super) codes: &'c RowCodes,
    meta: Meta,
    sets: HashMap<Option<WorkspaceId>, Touched>,
    /// What this unit has already read and checked, and only a control transaction changes: spares a batch the repetition.
    pub(super) known: Known,
    changed: bool,
    /// Which head outside this unit goes on from, once it writes.
    goes_on_from: Option<Head>,
    /// The stamp this unit gives instead of the usual one: a higher epoch.
    raised: Option<Stamp>,
    /// Why SQLite rolled the whole transaction back under us.
    lost: Option<StoreError>,
    /// Whether the transaction is its own, and ends with it.
    ends: bool,
}

/// Facts that hold until the end of the unit.
#[derive(Default)]
pub(super) struct Known {
    pub(super) workspaces: HashSet<WorkspaceId>,
    pub(super) live_apps: HashSet<(WorkspaceId, AppId)>,
    /// Whether something was erased that is to be gone from the files too.
    pub(super) erased: bool,
    /// Wrap epoch and current version.
    pub(super) configs: HashMap<WorkspaceId, (u64, KeyVersionId)>,
}

impl Known {
    /// What is written changes them; what was erased stays erased.
    pub(super) fn forget(&mut self) {
        *self = Self { erased: self.erased, ..Self::default() };
    }
}

struct Touched {
    /// The code the set's row was found with.
    before: Option<RowMac>,
    now: SetHead,
    dirty: bool,
}

/// How a unit ended.
pub(super) enum Ending {
    /// Durable, with this head; or nothing was written, and this is the present one.
    Done(Head),
    /// Surely not committed, for this reason.
    RolledBack(StoreError),
    /// COMMIT itself failed: the rows may or may not be there. They are if the revision is at least this one.
    Unclear { revision: u64, cause: StoreError },
}

impl<'c> Unit<'c> {
    pub(super) fn begin(conn: &'c Connection, codes: &'c RowCodes) -> Result<Self, StoreError> {
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        match read::meta(conn, codes) {
            Ok(meta) => Ok(Self {
                conn,
                codes,
                meta,
                sets: HashMap::new(),
                known: Known::default(),
                changed: false,
                goes_on_from: None,
                raised: None,
                lost: None,
                ends: true,
            }),
            Err(error) => {
                roll_back(conn);
                Err(error)
            }
        }
    }

    /// Does a step inside a transaction that somebody else began and ends.
    pub(super) fn inside(
        conn: &'c Connection,
        codes: &'c RowCodes,
        work: impl FnOnce(&mut Step<'_, 'c>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let meta = read::meta(conn, codes)?;
        let (sets, known) = (HashMap::new(), Known::default());
        let (goes_on_from, raised, lost) = (None, None, None);
        let mut unit = Self { conn, codes, meta, sets, known, changed: false, goes_on_from, raised, lost, ends: false };
        unit.step(work)?;
        if unit.changed { unit.write_heads() } else { Ok(()) }
    }

    /// Whether SQLite has already rolled everything back, as it does when a disk is full.
    pub(super) fn is_lost(&self) -> bool {
        self.conn.is_autocommit()
    }

    /// Runs `work` in a savepoint: it happens as a whole or leaves nothing behind.
    pub(super) fn step<T>(
        &mut self,
        work: impl FnOnce(&mut Step<'_, 'c>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.conn.prepare_cached("SAVEPOINT step")?.execute([])?;
        let mut step = Step { unit: self, changes: Vec::new() };
        let outcome = work(&mut step);
        let changes = step.changes;
        let outcome = outcome.and_then(|answer| {
            self.conn.prepare_cached("RELEASE step")?.execute([])?;
            Ok(answer)
        });
        match outcome {
            Ok(answer) => {
                for (workspace, change) in changes {
                    self.apply(&workspace, change);
                }
                Ok(answer)
            }
            Err(error) => {
                if self.is_lost() {
                    self.lost = Some(error.clone());
                } else {
                    self.conn.prepare_cached("ROLLBACK TO step")?.execute([])?;
                    self.conn.prepare_cached("RELEASE step")?.execute([])?;
                }
                Err(error)
            }
        }
    }

    fn apply(&mut self, workspace: &Option<WorkspaceId>, change: Change) {
        let touched = self.sets.get_mut(workspace).expect("a step loads a set before it changes it");
        match change {
            Change::Rewritten => {}
            Change::Added { before, code } => {
                match before {
                    Some(before) => touched.now.sum.remove(&before),
                    None => touched.now.rows += 1,
                }
                touched.now.sum.add(&code);
            }
            Change::Removed { before } => {
                // An older set put back may count fewer than there are: the next look at all rows shows it.
                touched.now.rows = touched.now.rows.saturating_sub(1);
                touched.now.sum.remove(&before);
            }
            Change::Numbered { wrapping } => touched.now.wrappings = wrapping,
            Change::Recorded { seq, hash } => (touched.now.audit_seq, touched.now.audit_hash) = (seq, hash),
        }
        touched.dirty = true;
        self.changed = true;
    }

    /// Makes it durable.
    pub(super) fn commit(mut self, commit: &mut Commit) -> Ending {
        if self.is_lost() {
            return Ending::RolledBack(self.lost.take().unwrap_or(StoreError::Unavailable(Outage::Disk)));
        }
        if !self.changed {
            return Ending::Done(self.head());
        }
        if let Err(error) = self.write_heads() {
            return Ending::RolledBack(error);
        }
        let revision = self.meta.at.revision;
        match commit(self.conn) {
            Ok(()) => Ending::Done(self.head()),
            Err(error) => Ending::Unclear { revision, cause: error.into() },
        }
    }

    /// Commits without any row, to find out whether committing works; answers the revision found before, and the head now.
    pub(super) fn commit_nothing(mut self, commit: &mut Commit) -> Result<(u64, Head), StoreError> {
        let found = self.meta.at.revision;
        self.write_heads()?;
        commit(self.conn)?;
        Ok((found, self.head()))
    }

    /// Where the database stands: before the commit as it was found, after it as it is.
    pub(super) fn head(&self) -> Head {
        self.codes.head_of(&self.meta)
    }

    /// The head outside that the database said it goes on from when it was found.
    pub(super) fn named_head(&self) -> Option<Head> {
        self.meta.anchored
    }

    /// Which head outside this unit goes on from.
    pub(super) fn name_head(&mut self, head: Head) {
        self.goes_on_from = Some(head);
    }

    /// The stamp of every row this unit writes.
    fn stamp(&self) -> Stamp {
        self.raised.unwrap_or(Stamp { epoch: self.meta.at.epoch, revision: self.meta.at.revision + 1 })
    }

    /// What this unit writes is of a higher epoch.
    pub(super) fn raise(&mut self, stamp: Stamp) {
        self.raised = Some(stamp);
    }

    /// The check value of another of the root's keys recognises the database from now on.
    pub(super) fn recognise_by(&mut self, root_check: [u8; 16]) {
        self.changed |= self.meta.root_check != root_check;
        self.meta.root_check = root_check;
    }

    fn write_heads(&mut self) -> Result<(), StoreError> {
        let stamp = self.stamp();
        for touched in self.sets.values().filter(|touched| touched.dirty) {
            let code = self.codes.make(&touched.now, stamp);
            write_set(self.conn, &touched.now, stamp, &code)?;
            if let Some(before) = &touched.before {
                self.meta.sum.remove(before);
            }
            self.meta.sum.add(&code);
        }
        self.meta.at = stamp;
        self.meta.anchored = self.goes_on_from.filter(|_| self.meta.anchors).or(self.meta.anchored);
        write_meta(self.conn, self.codes, &self.meta)
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        if self.ends {
            roll_back(self.conn);
        }
    }
}

/// Ends whatever transaction is open. Should that fail too, so does the next BEGIN, and the writer makes a new connection.
fn roll_back(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a rollback failed");
    }
}

enum Change {
    /// The set's own row is to be written anew, and nothing in it changes.
    Rewritten,
    /// A row is there; `before` is the code of the one it replaces.
    Added { before: Option<RowMac>, code: RowMac },
    /// The row with this code is there no more.
    Removed { before: RowMac },
    /// This is the last wrapping's number now.
    Numbered { wrapping: u64 },
    /// The chain now ends here.
    Recorded { seq: u64, hash: [u8; 32] },
}

/// What one command does inside a unit.
pub(super) struct Step<'u, 'c> {
    pub(super) unit: &'u mut Unit<'c>,
    changes: Vec<(Option<WorkspaceId>, Change)>,
}

impl<'c> Step<'_, 'c> {
    pub(super) fn conn(&self) -> &'c Connection {
        self.unit.conn
    }

    pub(super) fn codes(&self) -> &'c RowCodes {
        self.unit.codes
    }

    /// The row's stamp and code, counted into its workspace's set. `before` is the row it replaces.
    pub(super) fn seal<R: Row>(
        &mut self,
        workspace: &WorkspaceId,
        row: &R,
        before: Option<RowMac>,
    ) -> Result<Sealed, StoreError> {
        let stamp = self.unit.stamp();
        let code = self.codes().make(row, stamp);
        let workspace = Some(workspace.clone());
        self.head(&workspace)?;
        self.changes.push((workspace, Change::Added { before, code }));
        Sealed::new(stamp, code)
    }

    /// As [`Step::seal`], for a row that is the platform's.
    pub(super) fn seal_platforms<R: Row>(&mut self, row: &R, before: Option<RowMac>) -> Result<Sealed, StoreError> {
        let stamp = self.unit.stamp();
        let code = self.codes().make(row, stamp);
        self.head(&None)?;
        self.changes.push((None, Change::Added { before, code }));
        Sealed::new(stamp, code)
    }

    /// A row's code under the present platform key, counted into its workspace's set, or the platform's, in the place of the one it had.
    pub(super) fn reseal<R: Row>(
        &mut self,
        workspace: Option<WorkspaceId>,
        row: &R,
        stamp: Stamp,
        before: RowMac,
    ) -> Result<Sealed, StoreError> {
        let code = self.codes().make(row, stamp);
        self.head(&workspace)?;
        self.changes.push((workspace, Change::Added { before: Some(before), code }));
        Sealed::new(stamp, code)
    }

    /// The set's own row is written anew at the end of the unit.
    pub(super) fn rewrite_head(&mut self, workspace: Option<WorkspaceId>) -> Result<(), StoreError> {
        self.head(&workspace)?;
        self.changes.push((workspace, Change::Rewritten));
        Ok(())
    }

    /// Takes a row that is about to be deleted out of its workspace's set.
    pub(super) fn unseal(&mut self, workspace: &WorkspaceId, before: RowMac) -> Result<(), StoreError> {
        let workspace = Some(workspace.clone());
        self.head(&workspace)?;
        self.changes.push((workspace, Change::Removed { before }));
        Ok(())
    }

    /// The number of the workspace's next wrapping. A step takes one.
    pub(super) fn number_wrapping(&mut self, workspace: &WorkspaceId) -> Result<u64, StoreError> {
        let workspace = Some(workspace.clone());
        let wrapping = self.head(&workspace)?.wrappings + 1;
        self.changes.push((workspace, Change::Numbered { wrapping }));
        Ok(wrapping)
    }

    /// The stamp and code of an audit event, which becomes the end of its chain.
    pub(super) fn seal_event(&mut self, event: &crate::RecordedEvent) -> Result<Sealed, StoreError> {
        let stamp = self.unit.stamp();
        let code = self.codes().make(event, stamp);
        self.changes.push((event.workspace.clone(), Change::Recorded { seq: event.seq, hash: event.hash }));
        Sealed::new(stamp, code)
    }

    /// The workspace's set as it stands in this unit.
    pub(super) fn head(&mut self, workspace: &Option<WorkspaceId>) -> Result<&SetHead, StoreError> {
        if !self.unit.sets.contains_key(workspace) {
            let found = read::set_head(self.conn(), self.codes(), workspace.as_ref())?;
            let touched = match found {
                Some(Kept { row, code }) => Touched { before: Some(code), now: row, dirty: false },
                // Somebody took it away: a chain begun anew would be another one.
                None if is_known(self.conn(), workspace)? => {
                    return Err(StoreError::SetForged { workspace: workspace.clone() });
                }
                None => Touched { before: None, now: SetHead::new(workspace.clone()), dirty: false },
            };
            self.unit.sets.insert(workspace.clone(), touched);
        }
        Ok(&self.unit.sets[workspace].now)
    }
}

/// Whether there is a row of this workspace, which then has a set.
fn is_known(conn: &Connection, workspace: &Option<WorkspaceId>) -> Result<bool, StoreError> {
    let Some(workspace) = workspace else { return Ok(false) };
    let known = conn.prepare_cached("SELECT 1 FROM workspaces WHERE workspace = ?1")?.exists([workspace.as_str()])?;
    Ok(known)
}

/// The last four columns of a row about to be written.
pub(super) struct Sealed {
    pub(super) epoch: i64,
    pub(super) revision: i64,
    pub(super) mac_key: [u8; 16],
    pub(super) mac: [u8; 32],
}

impl Sealed {
    pub(super) fn new(stamp: Stamp, code: RowMac) -> Result<Self, StoreError> {
        Ok(Self {
            epoch: stored("epoch", stamp.epoch)?,
            revision: stored("revision", stamp.revision)?,
            mac_key: *code.key.as_bytes(),
            mac: code.code,
        })
    }
}

fn write_set(conn: &Connection, set: &SetHead, stamp: Stamp, code: &RowMac) -> Result<(), StoreError> {
    let sealed = Sealed::new(stamp, *code)?;
    conn.prepare_cached(
        "INSERT INTO sets (workspace, rows, sum, wrappings, audit_seq, audit_hash, epoch, revision, mac_key, mac)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (workspace) DO UPDATE SET rows = ?2, sum = ?3, wrappings = ?4, audit_seq = ?5, audit_hash = ?6,
           epoch = ?7, revision = ?8, mac_key = ?9, mac = ?10",
    )?
    .execute(params![
        Row::workspace(set),
        stored("rows", set.rows)?,
        set.sum.to_bytes(),
        stored("wrappings", set.wrappings)?,
        stored("audit_seq", set.audit_seq)?,
        set.audit_hash,
        sealed.epoch,
        sealed.revision,
        sealed.mac_key,
        sealed.mac,
    ])?;
    Ok(())
}

/// Writes the row about the database itself, made or changed, with its code.
pub(super) fn write_meta(conn: &Connection, codes: &RowCodes, meta: &Meta) -> Result<(), StoreError> {
    let sealed = Sealed::new(meta.at, codes.make(meta, meta.at))?;
    conn.prepare_cached(
        "INSERT INTO meta (id, cluster_id, epoch, revision, schema, root_check, sum, mac_key, mac)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET epoch = ?2, revision = ?3, schema = ?4, root_check = ?5, sum = ?6,
           mac_key = ?7, mac = ?8",
    )?
    .execute(params![
        codes.cluster().0,
        sealed.epoch,
        sealed.revision,
        meta.schema,
        meta.root_check,
        meta.sum.to_bytes(),
        sealed.mac_key,
        sealed.mac,
    ])?;
    if meta.anchors {
        let head = meta.anchored.map(Head::to_bytes);
        conn.prepare_cached("UPDATE meta SET anchored = ?1 WHERE id = 1")?.execute([head])?;
    }
    Ok(())
}
