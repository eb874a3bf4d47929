//! What a database has to do for the service: the traits and the shapes of their answers.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use domain::audit::AuditEvent;
use domain::credential::Integration;
use domain::key_life::{AppSelection, KeyLife};
use domain::operation::{Operation, OperationId};
use domain::rotation::VersionUse;
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, AppId, BootId, CallerId, DataKey, DataKeyId, Hour, HourOfApp, KeyConfig, KeyTest, KeyUsage, KeyVersion,
    KeyVersionId, Protection, Reason, StoredCaller, StoredCredential, Timestamp, Traffic, Workspace, WorkspaceId,
    Wrapping,
};

use crate::{CallerSet, RecordedEvent, StoreError};

/// Which installation a database belongs to: 16 bytes chosen when the platform root was made, and part of every row's code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl std::fmt::Display for ClusterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

/// A data key and its wrapping are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inserted;

/// How the race for being a protection's active data key ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// This key is the active one. Said again when asked again.
    Won,
    /// Another key is; this one is now `Abandoned` for good.
    Lost {
        /// The active key.
        winner: DataKeyId,
    },
    /// The workspace left its customer's key, so that no more become active under it; this one is `Abandoned` for good.
    Left,
}

/// Whether somebody else wrote into the database since that was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OthersWrote {
    /// Nobody did.
    No,
    /// Somebody did.
    Yes,
    /// They may have: it is asked for the first time, or the count was lost with the connection that kept it.
    NotKnown,
}

/// How far the dropping of old counts came. Handed over again, it goes on there; the default begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageDropped {
    /// How many counts this call dropped.
    pub rows: usize,
    /// Whether there may be more behind.
    pub more: bool,
    /// The last one that was looked at.
    pub(crate) last: Option<(Hour, WorkspaceId, DataKeyId, BootId)>,
    /// Whose counts are passed over since one of them is forged; nobody: those that bear no workspace's name.
    pub(crate) passed_over: BTreeSet<Option<WorkspaceId>>,
}

/// What a full check looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Rows whose codes and whose sets agree.
    pub rows: u64,
    /// Audit events whose chains are unbroken.
    pub events: u64,
}

/// What a look at every row found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// What was looked at.
    pub looked_at: Verified,
    /// How many rows, sets and chains are not as they were written, and tables that cannot be read to their end.
    pub wrongs: u64,
    /// The workspaces of which no row is believed from now on.
    pub distrusted: BTreeSet<WorkspaceId>,
    /// What was found first; absent: everything is as it was written.
    pub first: Option<StoreError>,
}

/// What changed about a workspace of what decides over keys in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlChange {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Its key configuration changed; this is its bound on leases now.
    pub lease: Option<Duration>,
    /// It was deleted.
    pub deleted: bool,
    /// Apps and bots that were deleted.
    pub deleted_apps: Vec<AppId>,
    /// Denials of its vault that were recorded, oldest first.
    pub denials: Vec<RecordedDenial>,
    /// Its key's life changed, or which apps are under the key; whether the key is switched off now.
    pub switched_off: Option<bool>,
    /// Something of it changed and fails its authentication, or none of its rows is believed since a look at the whole.
    pub unreadable: bool,
    /// Data keys that were destroyed.
    pub destroyed: Vec<(AppId, DataKeyId)>,
    /// The credentials of its registration changed, or which of them is in use.
    pub credentials: bool,
}

impl ControlChange {
    /// Nothing yet.
    pub fn none(workspace: WorkspaceId) -> Self {
        let (deleted_apps, denials, destroyed) = (Vec::new(), Vec::new(), Vec::new());
        let (lease, switched_off) = (None, None);
        Self {
            workspace,
            lease,
            deleted: false,
            deleted_apps,
            denials,
            switched_off,
            unreadable: false,
            destroyed,
            credentials: false,
        }
    }

    /// Whether nothing changed.
    pub fn is_none(&self) -> bool {
        *self == Self::none(self.workspace.clone())
    }
}

/// A vault's denial as the audit chain has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedDenial {
    /// When, by the clock of who saw it.
    pub at: Timestamp,
    /// The version that was asked for.
    pub version: KeyVersionId,
    /// Why.
    pub reason: Reason,
}

/// The database. Every row read has had its code checked: [`StoreError::RowForged`] otherwise.
///
/// Writes come in two kinds. The small ones (`insert_data_key`, `activate_data_key`, `retire_data_key`, `record`) may share one commit with
/// others, and one that fails fails alone. Everything else is a named [`Transaction`]. Both answer only when what they
/// wrote survives a power loss. A future that is dropped midway may or may not have written.
///
/// # What is forged
///
/// Rows that somebody else wrote are the trouble of the workspace whose name they bear, and of nobody else:
///
/// - Whoever asks for that workspace is refused: with `RowForged` where a row's own code is wrong; with `SetForged` or `ChainBroken`
///   for all of its rows, from the [`verify`](Self::verify) that found them not to add up to the next one that finds them in order.
/// - What goes over the rows of all workspaces passes over what is forged, with an error in the log, and answers for the others: the lists
///   (`workspaces`, `chains`, `open_operations`, `undecided_lives`), `changed_since`, `callers_changed`, `add_usage` and `drop_usage`.
/// - [`changed_since`](Self::changed_since) tells `unreadable` of a workspace that `verify` distrusts each time it is asked, whatever the
///   revision: being found out is no commit. Of a row that is forged by itself it tells once, if the row was to be told; another
///   one is met by whoever reads it, and by `verify`. Who asks for the first time holds nothing that it could have read before.
/// - What is the platform's own, or cannot be told whose it is, stops everything: `RolledBack` from the `verify` that finds the sets not
///   to be those that the database speaks of, or cannot read either; callers are refused together (`callers_changed`).
/// - A table that `verify` cannot read to its end is the trouble of those who have rows in it: their rows do not add up without.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The installation it belongs to.
    fn cluster(&self) -> ClusterId;

    /// Raised when a backup is put back on purpose; part of every row's code.
    fn epoch(&self) -> u64;

    /// Counts commits; never goes down (I-6).
    async fn revision(&self) -> Result<u64, StoreError>;

    /// The present revision, and what changed since `revision` of what decides over keys in memory: everything that was
    /// committed up to the answer's revision, and perhaps some of what came after (it is then told again). Costs one row
    /// while nothing was committed. Who is distrusted is told every time.
    async fn changed_since(&self, revision: u64) -> Result<(u64, Vec<ControlChange>), StoreError>;

    /// One workspace. Tombstones too: they have `deleted_at`.
    async fn workspace(&self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError>;

    /// The live workspaces in the order of their ids, from after `after`.
    async fn workspaces(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<Workspace>, StoreError>;

    /// One app or bot. Tombstones too.
    async fn app(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<App>, StoreError>;

    /// A workspace's live apps and bots in the order of their ids, from after `after`.
    async fn apps(&self, workspace: &WorkspaceId, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError>;

    /// The workspace's customer key, if one is configured.
    async fn key_config(&self, workspace: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError>;

    /// A version of the workspace's customer key, as it was first seen.
    async fn key_version(
        &self,
        workspace: &WorkspaceId,
        version: KeyVersionId,
    ) -> Result<Option<KeyVersion>, StoreError>;

    /// All recorded versions, oldest first.
    async fn key_versions(&self, workspace: &WorkspaceId) -> Result<Vec<KeyVersion>, StoreError>;

    /// The tests of the workspace's key configurations, newest first.
    async fn key_tests(&self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<KeyTest>, StoreError>;

    /// A data key, in whatever state. `None` when it is another app's.
    async fn data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
    ) -> Result<Option<DataKey>, StoreError>;

    /// The one data key that encrypts for this app under this protection (I-19).
    async fn active_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        protection: Protection,
    ) -> Result<Option<DataKey>, StoreError>;

    /// A workspace's data keys in every state, in the order of their ids, from after `after`.
    async fn data_keys(
        &self,
        workspace: &WorkspaceId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<DataKey>, StoreError>;

    /// The newest wrapping of a data key.
    async fn wrapping(&self, workspace: &WorkspaceId, data_key: DataKeyId) -> Result<Option<Wrapping>, StoreError>;

    /// Events of a workspace's chain, or of the platform's, with a number above `after` (the first is 1), oldest first.
    async fn audit(
        &self,
        workspace: Option<&WorkspaceId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError>;

    /// The newest event with this name in a workspace's chain.
    async fn last_event(&self, workspace: &WorkspaceId, name: &str) -> Result<Option<RecordedEvent>, StoreError>;

    /// The newest event of a workspace's chain or of the platform's: of this name, or (without one) the last, which is then where
    /// the chain is known to end; `ChainBroken` if it is not.
    async fn newest_event(
        &self,
        workspace: Option<&WorkspaceId>,
        name: Option<&str>,
    ) -> Result<Option<RecordedEvent>, StoreError>;

    /// An operation, in whatever state.
    async fn operation(&self, operation: OperationId) -> Result<Option<Operation>, StoreError>;

    /// A workspace's operations, newest first, from before `before`.
    async fn operations(
        &self,
        workspace: &WorkspaceId,
        before: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError>;

    /// The operations of all workspaces that have not ended. One at most of each is worked on; others may await approval.
    async fn open_operations(&self) -> Result<Vec<Operation>, StoreError>;

    /// What is under which version of the workspace's customer key. Reads every wrapping it has ever had.
    async fn version_uses(&self, workspace: &WorkspaceId) -> Result<Vec<VersionUse>, StoreError>;

    /// Data keys of the customer's protection, in every state and of deleted apps too, whose current wrapping is under another
    /// version than `to`, each with that wrapping, in the order of their ids, from after `after`.
    async fn data_keys_left(
        &self,
        workspace: &WorkspaceId,
        to: KeyVersionId,
        after: Option<DataKeyId>,
        limit: usize,
    ) -> Result<Vec<(DataKey, Wrapping)>, StoreError>;

    /// Adds a wrapping, which is its data key's current one from then on; none is taken away (I-4). It must be by the version
    /// that `operation`, an open rotation of the key, goes over to; and the data key's current wrapping must still be `over`:
    /// else `Conflict::WrappingMoved`.
    async fn add_wrapping(&self, operation: OperationId, wrapping: Wrapping, over: Wrapping) -> Result<(), StoreError>;

    /// Retires the `Active` data key `old` and makes `new`, `Pending` or `Staged` and of the same protection, active in its
    /// place: at no time are there two, or none (I-19). Lost, and `Abandoned`, if another took the place before.
    async fn succeed_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        old: DataKeyId,
        new: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError>;

    /// The life of the workspace's customer key: absent only where no key was ever configured.
    async fn key_life(&self, workspace: &WorkspaceId) -> Result<Option<KeyLife>, StoreError>;

    /// The lives of all keys whose date is not decided yet, or was decided against, with that date, soonest first.
    async fn undecided_lives(&self) -> Result<Vec<KeyLife>, StoreError>;

    /// Whether an app was ever selected or taken out by name, and how that stands.
    async fn app_selection(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<AppSelection>, StoreError>;

    /// Every app that was ever selected or taken out by name, in the order of their ids.
    async fn app_selections(&self, workspace: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError>;

    /// Reads everything: every row's code, every workspace's set, every chain. Takes time in proportion to the database.
    async fn verify(&self) -> Result<Verified, StoreError> {
        let Examined { looked_at, first, .. } = self.examine().await?;
        first.map_or(Ok(looked_at), Err)
    }

    /// As [`verify`](Self::verify), and tells how much of it is forged and whose it is. An error: the look did not come to its end.
    async fn examine(&self) -> Result<Examined, StoreError>;

    /// Whether somebody else wrote into the database since this was last asked: whoever writes through the same database engine
    /// shows at once, and nothing that this store does. Bytes that are changed in the file past the engine show only in
    /// [`verify`](Self::verify).
    async fn written_by_others(&self) -> Result<OthersWrote, StoreError>;

    /// Stores a `Pending` data key with its first wrapping. Under a customer key it fails with `Conflict::WrapEpoch` if the
    /// configuration moved on since it was wrapped.
    async fn insert_data_key(&self, key: DataKey, wrapping: Wrapping) -> Result<Inserted, StoreError>;

    /// Makes a `Pending` or `Staged` data key `Active`, or `Abandoned` if another is active already. Retires nothing.
    async fn activate_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<Activation, StoreError>;

    /// Makes an `Active` data key `Retired`: it opens what it sealed and seals no more. Said again when asked again.
    async fn retire_data_key(
        &self,
        workspace: &WorkspaceId,
        app: &AppId,
        data_key: DataKeyId,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Appends one event to its chain.
    async fn record(&self, event: AuditEvent) -> Result<(), StoreError>;

    /// Begins a transaction. The name is for logs and for the message when it is held open too long.
    async fn begin(&self, name: &'static str) -> Result<Box<dyn Transaction>, StoreError>;

    /// Adds what was counted to what is there, by data key, hour and boot. What has been added with the same or a later number
    /// of a flush adds nothing, so that asking again counts once. `Conflict::NoDataKey`: nothing of it was added. Answers the
    /// workspaces whose rows are forged: not all of theirs was added, and asking again with the same numbers adds what is missing.
    async fn add_usage(&self, usage: Vec<KeyUsage>) -> Result<BTreeSet<WorkspaceId>, StoreError>;

    /// What a workspace (or one app of it) sealed and opened in these hours, by hour, app and protection, from after `after`.
    /// `limit` of them or somewhat more, unless there are no more.
    async fn usage_by_hour(
        &self,
        workspace: &WorkspaceId,
        app: Option<&AppId>,
        hours: Range<Hour>,
        after: Option<(Hour, AppId, Protection)>,
        limit: usize,
    ) -> Result<Vec<HourOfApp>, StoreError>;

    /// What was ever done under each of a workspace's data keys, in the order of their ids; those without traffic are left out.
    async fn usage_by_key(&self, workspace: &WorkspaceId) -> Result<Vec<(DataKeyId, Traffic)>, StoreError>;

    /// Drops at most `limit` counts of hours before `before`, oldest first, from where `so_far` came to; what was done in all stays. So
    /// does what is forged, with all of its workspace's that was not dropped by an earlier call.
    async fn drop_usage(&self, before: Hour, limit: usize, so_far: UsageDropped) -> Result<UsageDropped, StoreError>;

    /// The credential that an app's last validation stored.
    async fn credential(&self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<StoredCredential>, StoreError>;

    /// One caller. Tombstones too.
    async fn caller(&self, caller: &CallerId) -> Result<Option<StoredCaller>, StoreError>;

    /// Live callers in the order of their ids, from after `after`.
    async fn callers(&self, after: Option<&CallerId>, limit: usize) -> Result<Vec<StoredCaller>, StoreError>;

    /// Every caller, if one was written after the revision `since`; without `since` in any case. A row that fails its
    /// authentication is left out and counted. `SetForged`: one was deleted, or an older one put back.
    async fn callers_changed(&self, since: Option<u64>) -> Result<Option<CallerSet>, StoreError>;

    /// The workspaces that have a chain, deleted ones too, in the order of their ids, from after `after`.
    async fn chains(&self, after: Option<&WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, StoreError>;

    /// The workspace's own app registration: its credentials, and which is in use. `None`: it has never had one.
    async fn integration(&self, workspace: &WorkspaceId) -> Result<Option<Integration>, StoreError>;

    /// The directories a workspace named, in that order.
    async fn tenants(&self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError>;

    /// The nonces a workspace was given for keys, oldest first.
    async fn tag_nonces(&self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError>;

    /// The keys that were proven a workspace's, those it let go of too.
    async fn proven_keys(&self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError>;
}

/// Several reads and writes that happen together or not at all. Dropped without [`commit`](Transaction::commit), nothing
/// of it ever happened. Nobody else writes while it is open, so it is never held across a call to a vault.
#[async_trait]
pub trait Transaction: Send {
    /// As [`Store::workspace`], with this transaction's own writes.
    async fn workspace(&mut self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError>;

    /// As [`Store::app`], with this transaction's own writes.
    async fn app(&mut self, workspace: &WorkspaceId, app: &AppId) -> Result<Option<App>, StoreError>;

    /// As [`Store::key_config`], with this transaction's own writes.
    async fn key_config(&mut self, workspace: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError>;

    /// As [`Store::key_version`], with this transaction's own writes.
    async fn key_version(
        &mut self,
        workspace: &WorkspaceId,
        version: KeyVersionId,
    ) -> Result<Option<KeyVersion>, StoreError>;

    /// Creates a workspace, or changes its name, or deletes it (`deleted_at`). A tombstone never changes again.
    async fn put_workspace(&mut self, workspace: &Workspace) -> Result<(), StoreError>;

    /// Creates an app of a live workspace, or changes its name or kind, or deletes it. A tombstone never changes again.
    async fn put_app(&mut self, app: &App) -> Result<(), StoreError>;

    /// Sets a live workspace's customer key. Another key, tenant or version needs exactly the next `wrap_epoch`; the
    /// version must have been added before.
    async fn put_key_config(&mut self, config: &KeyConfig) -> Result<(), StoreError>;

    /// Records a version of the customer's key. Recording the same again changes nothing; the same id with another public
    /// key or location is `Conflict::KeySubstituted`.
    async fn add_key_version(&mut self, version: &KeyVersion) -> Result<(), StoreError>;

    /// As [`Store::key_life`], with this transaction's own writes.
    async fn key_life(&mut self, workspace: &WorkspaceId) -> Result<Option<KeyLife>, StoreError>;

    /// As [`Store::app_selections`], with this transaction's own writes.
    async fn app_selections(&mut self, workspace: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError>;

    /// Every live app and bot of a workspace, with this transaction's own writes.
    async fn live_apps(&mut self, workspace: &WorkspaceId) -> Result<Vec<App>, StoreError>;

    /// Writes the life of a live workspace's key. Its `change` is exactly the next: `Conflict::LifeMoved` otherwise.
    async fn put_key_life(&mut self, life: &KeyLife) -> Result<(), StoreError>;

    /// Takes the workspace's customer-protected data keys out of use that nothing was ever encrypted under: all of them are
    /// abandoned. How many. For a configuration that changes before it is in force.
    async fn abandon_staged(&mut self, workspace: &WorkspaceId, at: Timestamp) -> Result<u64, StoreError>;

    /// Writes whether an app, which may have been deleted, is selected.
    async fn put_app_selection(&mut self, selection: &AppSelection) -> Result<(), StoreError>;

    /// As [`Store::key_tests`], with this transaction's own writes.
    async fn key_tests(&mut self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<KeyTest>, StoreError>;

    /// Adds a test of a live workspace's configuration to the history. It never changes; the same id twice is
    /// `Conflict::Exists`.
    async fn add_key_test(&mut self, test: &KeyTest) -> Result<(), StoreError>;

    /// As [`Store::operation`], with this transaction's own writes.
    async fn operation(&mut self, operation: OperationId) -> Result<Option<Operation>, StoreError>;

    /// Writes down a new operation of a live workspace, or moves a known one. `Conflict::OperationOpen`: it would be worked on,
    /// and another of the workspace is; `Conflict::OperationEnded`: this one has ended, or it would move back.
    async fn put_operation(&mut self, operation: &Operation) -> Result<(), StoreError>;

    /// Appends an event to its chain (I-24: in the same transaction as what it tells of).
    async fn append_audit(&mut self, event: AuditEvent) -> Result<(), StoreError>;

    /// Stores the credential of a live app's validation in the place of the one before. `Conflict::NoDataKey`: it names a data
    /// key that is not the app's, or is of another protection.
    async fn put_credential(&mut self, credential: &StoredCredential) -> Result<(), StoreError>;

    /// Destroys the data key that `operation` is about: its wrapped bytes are erased and its row stays. Only in the name of an
    /// operation of that kind that is running, that somebody else approved than asked for it, and whose waiting period is over
    /// at `at`: else `Conflict::NotApproved` (I-5). Only a `Retired` one: else `Conflict::State`.
    async fn destroy_data_key(&mut self, operation: OperationId, at: Timestamp) -> Result<(), StoreError>;

    /// As [`Store::caller`], with this transaction's own writes.
    async fn caller(&mut self, caller: &CallerId) -> Result<Option<StoredCaller>, StoreError>;

    /// Every live caller, with this transaction's own writes.
    async fn live_callers(&mut self) -> Result<Vec<StoredCaller>, StoreError>;

    /// Creates, changes or deletes a caller. A tombstone never changes again. `Conflict::CertificateTaken`: its certificate is
    /// another's.
    async fn put_caller(&mut self, caller: &StoredCaller) -> Result<(), StoreError>;

    /// As [`Store::integration`], with this transaction's own writes.
    async fn integration(&mut self, workspace: &WorkspaceId) -> Result<Option<Integration>, StoreError>;

    /// Writes an integration of a live workspace. Its `change` is exactly the next, and no credential is left out:
    /// `Conflict::CredentialsMoved` otherwise. Of a removed credential the secret part is erased, in the files too.
    async fn put_integration(&mut self, integration: &Integration) -> Result<(), StoreError>;

    /// As [`Store::tenants`], with this transaction's own writes.
    async fn tenants(&mut self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError>;

    /// As [`Store::tag_nonces`], with this transaction's own writes.
    async fn tag_nonces(&mut self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError>;

    /// As [`Store::proven_keys`], with this transaction's own writes.
    async fn proven_keys(&mut self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError>;

    /// Writes where a directory stands with a live workspace.
    async fn put_tenant(&mut self, link: &TenantLink) -> Result<(), StoreError>;

    /// Writes a nonce in the place of the one its workspace had for that key and directory.
    async fn put_tag_nonce(&mut self, nonce: &TagNonce) -> Result<(), StoreError>;

    /// Writes that a key is a live workspace's. `Conflict::KeyBound`: it is another one's; nothing of this step was written.
    async fn put_proven_key(&mut self, proven: &ProvenKey) -> Result<(), StoreError>;

    /// Makes it durable. Answers the revision it made, or the present one if it wrote nothing.
    async fn commit(self: Box<Self>) -> Result<u64, StoreError>;
}
