//! What each call of the store is here: a query of a connection that reads, a small command, or a transaction of its own.

use std::collections::BTreeSet;
use std::ops::Range;

use async_trait::async_trait;
use domain::audit::AuditEvent;
use domain::credential::Integration;
use domain::key_life::{AppSelection, KeyLife};
use domain::operation::{Operation, OperationId};
use domain::rotation::VersionUse;
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, AppId, CallerId, DataKey, DataKeyId, Hour, HourOfApp, KeyConfig, KeyTest, KeyUsage, KeyVersion, KeyVersionId,
    Protection, StoredCaller, StoredCredential, Timestamp, Traffic, Workspace, WorkspaceId, Wrapping,
};
use rusqlite::params;
use tokio::sync::oneshot;

use super::transaction::SqliteTransaction;
use super::writer::Request;
use super::{
    LONGEST_PAGE, SqliteStore, callers, chain, changes, integration, life, operation, page, read, tenancy, usage,
    verify, write,
};
use crate::row::WrappedKey;
use crate::{
    Activation, CallerSet, ClusterId, ControlChange, Examined, Inserted, OthersWrote, RecordedEvent, Store, StoreError,
    Transaction, UsageDropped,
};

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

    async fn written_by_others(&self) -> Result<OthersWrote, StoreError> {
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

    async fn drop_usage(&self, before: Hour, limit: usize, so_far: UsageDropped) -> Result<UsageDropped, StoreError> {
        self.small(move |step| usage::drop_before(step, before, limit.min(LONGEST_PAGE), so_far)).await
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
