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
mod schema;
#[cfg(test)]
mod schema_tests;
mod tables;
mod tenancy;
mod transaction;
mod unit;
mod usage;
mod verify;
mod write;
mod writer;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use async_trait::async_trait;
use domain::audit::AuditEvent;
use domain::credential::Integration;
use domain::key_life::{AppSelection, KeyLife};
use domain::operation::{Operation, OperationId};
use domain::rotation::VersionUse;
use domain::row_seal::RowSeal;
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, AppId, CallerId, DataKey, DataKeyId, Hour, HourOfApp, KeyConfig, KeyTest, KeyUsage, KeyVersion, KeyVersionId,
    Protection, StoredCaller, StoredCredential, Timestamp, Traffic, Workspace, WorkspaceId, Wrapping,
};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};

use self::anchor::Footing;
pub use self::offline::{AcceptRefused, Acceptance, Left, MoveSealed, NotMoved, Offline, Resealed};
pub use self::open::OpenRefused;
use self::open::{Against, Opened};
use self::readers::Readers;
use self::schema::{MIGRATIONS, Migration};
use self::transaction::SqliteTransaction;
use self::unit::{Commit, Step};
use self::writer::{Command, Request, Writer};
use crate::row::{RowCodes, WrappedKey};
use crate::{
    Activation, CallerSet, ClusterId, ControlChange, Examined, Inserted, Outside, RecordedEvent, Store, StoreError,
    Transaction,
};

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

#[async_trait]
impl Store for SqliteStore {
    fn cluster(&self) -> ClusterId {
        self.codes.cluster()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn revision(&self) -> Result<u64, StoreError> {
        self.look_and_read(|conn, codes| Ok(read::meta(conn, codes)?.at.revision)).await
    }

    async fn changed_since(&self, revision: u64) -> Result<(u64, Vec<ControlChange>), StoreError> {
        self.look_and_read(move |conn, codes| changes::since(conn, codes, revision)).await
    }

    async fn workspace(&self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| Ok(read::workspace(conn, codes, &workspace)?.map(|kept| kept.row))).await
    }

    async fn workspaces(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<Workspace>, StoreError> {
        let after = after.map_or(String::new(), |after| after.as_str().to_owned());
        self.read(move |conn, codes| {
            let clause = "WHERE workspace > ?1 AND deleted_at IS NULL ORDER BY workspace";
            read::of_all(conn, codes, clause, [after], limit.min(LONGEST_PAGE))
        })
        .await
    }

    async fn app(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<App>, StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.read(move |conn, codes| Ok(read::app(conn, codes, &workspace, &app)?.map(|kept| kept.row))).await
    }

    async fn apps(&self, workspace: &WorkspaceId, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError> {
        let (workspace, after) = (workspace.clone(), after.map_or(String::new(), |after| after.as_str().to_owned()));
        self.read(move |conn, codes| {
            let clause = "WHERE workspace = ?1 AND app > ?2 AND deleted_at IS NULL ORDER BY app LIMIT ?3";
            read::many(conn, codes, clause, params![workspace.as_str(), after, page(limit)])
        })
        .await
    }

    async fn key_config(&self, workspace: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| Ok(read::key_config(conn, codes, &workspace)?.map(|kept| kept.row))).await
    }

    async fn key_version(
        &self,
        workspace: &WorkspaceId,
        version: KeyVersionId,
    ) -> Result<Option<KeyVersion>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| Ok(read::key_version(conn, codes, &workspace, version)?.map(|kept| kept.row)))
            .await
    }

    async fn key_versions(&self, workspace: &WorkspaceId) -> Result<Vec<KeyVersion>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| {
            read::many(conn, codes, "WHERE workspace = ?1 ORDER BY recorded_at, version", [workspace.as_str()])
        })
        .await
    }

    async fn key_tests(&self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<KeyTest>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| read::key_tests(conn, codes, &workspace, page(limit))).await
    }

    async fn data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
    ) -> Result<Option<DataKey>, StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.read(move |conn, codes| {
            Ok(read::data_key(conn, codes, &workspace, &app, data_key)?.map(|kept| kept.row.key))
        })
        .await
    }

    async fn active_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        protection: Protection,
    ) -> Result<Option<DataKey>, StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.read(move |conn, codes| {
            Ok(read::active_data_key(conn, codes, &workspace, &app, protection)?.map(|kept| kept.row.key))
        })
        .await
    }

    async fn data_keys(
        &self,
        workspace: &WorkspaceId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<DataKey>, StoreError> {
        let workspace = workspace.clone();
        // An empty blob sorts before every id.
        let after = after.map_or(Vec::new(), |after| after.as_bytes().to_vec());
        self.read(move |conn, codes| {
            let clause = "WHERE workspace = ?1 AND data_key > ?2 ORDER BY data_key LIMIT ?3";
            let found: Vec<WrappedKey> =
                read::many(conn, codes, clause, params![workspace.as_str(), after, page(limit)])?;
            Ok(found.into_iter().map(|found| found.key).collect())
        })
        .await
    }

    async fn wrapping(&self, workspace: &WorkspaceId, data_key: DataKeyId) -> Result<Option<Wrapping>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| read::newest_wrapping(conn, codes, &workspace, data_key)).await
    }

    async fn audit(
        &self,
        workspace: Option<&WorkspaceId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let workspace = workspace.map_or(String::new(), |workspace| workspace.as_str().to_owned());
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.read(move |conn, codes| {
            let clause = "WHERE workspace = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
            read::many(conn, codes, clause, params![workspace, after, page(limit)])
        })
        .await
    }

    async fn last_event(&self, workspace: &WorkspaceId, name: &str) -> Result<Option<RecordedEvent>, StoreError> {
        let (workspace, name) = (workspace.clone(), name.to_owned());
        self.read(move |conn, codes| operation::last_event(conn, codes, &workspace, &name)).await
    }

    async fn newest_event(
        &self,
        workspace: Option<&WorkspaceId>,
        name: Option<&str>,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        let (workspace, name) = (workspace.cloned(), name.map(str::to_owned));
        self.read(move |conn, codes| chain::newest_event(conn, codes, workspace.as_ref(), name.as_deref())).await
    }

    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        self.read(move |conn, codes| Ok(operation::operation(conn, codes, id)?.map(|kept| kept.row))).await
    }

    async fn operations(
        &self,
        workspace: &WorkspaceId,
        before: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        let workspace = workspace.clone();
        let before = before.map_or([0xff; 16], OperationId::to_bytes);
        self.read(move |conn, codes| {
            let clause = "WHERE workspace = ?1 AND operation < ?2 ORDER BY operation DESC LIMIT ?3";
            read::many(conn, codes, clause, params![workspace.as_str(), before, page(limit)])
        })
        .await
    }

    async fn open_operations(&self) -> Result<Vec<Operation>, StoreError> {
        self.read(|conn, codes| {
            read::of_all(conn, codes, "WHERE state IN (1, 2, 6, 7) ORDER BY workspace, operation", [], usize::MAX)
        })
        .await
    }

    async fn version_uses(&self, workspace: &WorkspaceId) -> Result<Vec<VersionUse>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| operation::version_uses(conn, codes, &workspace)).await
    }

    async fn data_keys_left(
        &self,
        workspace: &WorkspaceId,
        to: KeyVersionId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<(DataKey, Wrapping)>, StoreError> {
        let (workspace, limit) = (workspace.clone(), limit.min(LONGEST_PAGE));
        self.read(move |conn, codes| operation::data_keys_left(conn, codes, &workspace, to, after, limit)).await
    }

    async fn add_wrapping(&self, operation: OperationId, wrapping: Wrapping, over: Wrapping) -> Result<(), StoreError> {
        self.small(move |step| operation::add_wrapping(step, operation, &wrapping, &over)).await
    }

    async fn succeed_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        old: DataKeyId,
        new: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.small(move |step| operation::succeed_data_key(step, &workspace, &app, (old, new), at)).await
    }

    async fn key_life(&self, workspace: &WorkspaceId) -> Result<Option<KeyLife>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| Ok(life::key_life(conn, codes, &workspace)?.map(|kept| kept.row))).await
    }

    async fn undecided_lives(&self) -> Result<Vec<KeyLife>, StoreError> {
        self.read(life::undecided).await
    }

    async fn app_selection(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<AppSelection>, StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.read(move |conn, codes| Ok(life::app_selection(conn, codes, &workspace, &app)?.map(|kept| kept.row))).await
    }

    async fn app_selections(&self, workspace: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| life::app_selections(conn, codes, &workspace)).await
    }

    async fn examine(&self) -> Result<Examined, StoreError> {
        self.read(verify::examine).await
    }

    async fn written_by_others(&self) -> Result<bool, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::WrittenByOthers { reply }).await?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn insert_data_key(&self, key: DataKey, wrapping: Wrapping) -> Result<Inserted, StoreError> {
        self.small(move |step| write::insert_data_key(step, &key, &wrapping)).await
    }

    async fn activate_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.small(move |step| write::activate_data_key(step, &workspace, &app, data_key, at)).await
    }

    async fn retire_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.small(move |step| write::retire_data_key(step, &workspace, &app, data_key, at)).await
    }

    async fn record(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.small(move |step| write::append_audit(step, &event)).await
    }

    async fn begin(&self, name: &'static str) -> Result<Box<dyn Transaction>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Begin { name, reply }).await?;
        let steps = answer.await.unwrap_or(Err(StoreError::Closed))?;
        Ok(Box::new(SqliteTransaction { name, steps }))
    }

    async fn add_usage(&self, usage: Vec<KeyUsage>) -> Result<BTreeSet<WorkspaceId>, StoreError> {
        self.small(move |step| usage::add(step, &usage)).await
    }

    async fn usage_by_hour(
        &self,
        workspace: &WorkspaceId,
        app: Option<&AppId>,
        hours: Range<Hour>,
        after: Option<(Hour, AppId, Protection)>,
        limit: usize,
    ) -> Result<Vec<HourOfApp>, StoreError> {
        let (workspace, app, limit) = (workspace.clone(), app.cloned(), limit.min(LONGEST_PAGE));
        self.read(move |conn, codes| {
            usage::by_hour(conn, codes, &workspace, app.as_ref(), hours, after.as_ref(), limit)
        })
        .await
    }

    async fn usage_by_key(&self, workspace: &WorkspaceId) -> Result<Vec<(DataKeyId, Traffic)>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| usage::by_key(conn, codes, &workspace)).await
    }

    async fn drop_usage(&self, before: Hour, limit: usize) -> Result<usize, StoreError> {
        self.small(move |step| usage::drop_before(step, before, limit.min(LONGEST_PAGE))).await
    }

    async fn credential(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<StoredCredential>, StoreError> {
        let (workspace, app) = (workspace.clone(), app.clone());
        self.read(move |conn, codes| Ok(usage::credential(conn, codes, &workspace, &app)?.map(|kept| kept.row))).await
    }

    async fn caller(&self, caller: &CallerId) -> Result<Option<StoredCaller>, StoreError> {
        let caller = caller.clone();
        self.read(move |conn, codes| Ok(callers::caller(conn, codes, &caller)?.map(|kept| kept.row))).await
    }

    async fn callers(&self, after: Option<&CallerId>, limit: usize) -> Result<Vec<StoredCaller>, StoreError> {
        let after = after.map_or(String::new(), |after| after.as_str().to_owned());
        self.read(move |conn, codes| {
            let clause = "WHERE caller > ?1 AND deleted_at IS NULL ORDER BY caller LIMIT ?2";
            read::many(conn, codes, clause, params![after, page(limit)])
        })
        .await
    }

    async fn callers_changed(&self, since: Option<u64>) -> Result<Option<CallerSet>, StoreError> {
        self.read(move |conn, codes| callers::changed(conn, codes, since)).await
    }

    async fn chains(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, StoreError> {
        let after = after.map_or(String::new(), |after| after.as_str().to_owned());
        self.read(move |conn, codes| {
            let clause = "WHERE workspace > ?1 ORDER BY workspace";
            let found: Vec<Workspace> = read::of_all(conn, codes, clause, [after], limit.min(LONGEST_PAGE))?;
            Ok(found.into_iter().map(|workspace| workspace.id).collect())
        })
        .await
    }

    async fn integration(&self, workspace: &WorkspaceId) -> Result<Option<Integration>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| {
            // Two kinds of rows, as they were at one time.
            let snapshot = conn.unchecked_transaction()?;
            integration::integration(&snapshot, codes, &workspace)
        })
        .await
    }

    async fn tenants(&self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| tenancy::tenants(conn, codes, &workspace)).await
    }

    async fn tag_nonces(&self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| tenancy::tag_nonces(conn, codes, &workspace)).await
    }

    async fn proven_keys(&self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError> {
        let workspace = workspace.clone();
        self.read(move |conn, codes| tenancy::proven_keys(conn, codes, &workspace)).await
    }
}
