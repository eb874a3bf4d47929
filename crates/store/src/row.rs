//! Which bytes of a row are authenticated, and which number stands for which variant: the same in every database.
//!
//! A row's code covers (table, workspace, cluster id, epoch, revision, every column). Cluster id and epoch keep rows of
//! another installation or of a restored backup apart; the revision says at which commit the row was written.

use std::time::Duration;

use domain::operation::{Operation, OperationKind, OperationState};
use domain::row_seal::{RowBytes, RowMac, RowSeal};
use domain::{
    App, AppKind, DataKey, DataKeyState, KeyConfig, KeyTest, KeyVersion, Protection, Timestamp, Workspace, WorkspaceId,
    WrapScheme, Wrapping, WrappingKey,
};

use crate::set::SetSum;
use crate::{ClusterId, Head, RecordedEvent, StoreError, key_test_steps};

/// When a row was written: part of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) epoch: u64,
    pub(crate) revision: u64,
}

/// A row that carries a code.
pub(crate) trait Row {
    /// Its table.
    const TABLE: &'static str;
    /// Whose it is; empty for the platform's.
    fn workspace(&self) -> &str;
    /// Appends every other column, the key's first.
    fn columns(&self, row: RowBytes) -> RowBytes;
}

/// Makes and checks the codes of one database's rows.
pub(crate) struct RowCodes {
    seal: std::sync::Arc<dyn RowSeal>,
    cluster: ClusterId,
    /// The epoch all rows are of; 0 while that is not known.
    epoch: std::sync::atomic::AtomicU64,
    /// Workspaces whose rows do not add up to their sets: no row of theirs is believed, however authentic by itself.
    distrusted: std::sync::RwLock<std::collections::BTreeSet<String>>,
    /// The sets are not the ones that the database speaks of, and which of them is wrong cannot be told: no row is believed.
    disowned: std::sync::atomic::AtomicBool,
}

impl RowCodes {
    pub(crate) fn new(seal: std::sync::Arc<dyn RowSeal>, cluster: ClusterId) -> Self {
        let epoch = std::sync::atomic::AtomicU64::new(0);
        let disowned = std::sync::atomic::AtomicBool::new(false);
        Self { seal, cluster, epoch, distrusted: std::sync::RwLock::default(), disowned }
    }

    /// From now on no row of these workspaces is believed, and of no others.
    pub(crate) fn distrust(&self, workspaces: std::collections::BTreeSet<String>) {
        *self.distrusted.write().unwrap_or_else(std::sync::PoisonError::into_inner) = workspaces;
    }

    /// From now on no row at all is believed, that of the database itself included: some of it is of an older copy. Or, once it is
    /// in order again, they are.
    pub(crate) fn disown(&self, disowned: bool) {
        self.disowned.store(disowned, std::sync::atomic::Ordering::Release);
    }

    /// The same codes without any distrust: for a check of all rows, which decides anew.
    pub(crate) fn without_prejudice(&self) -> Self {
        let anew = Self::new(std::sync::Arc::clone(&self.seal), self.cluster);
        anew.expect_epoch(self.epoch.load(std::sync::atomic::Ordering::Acquire));
        anew
    }

    /// The workspaces of which no row is believed now.
    pub(crate) fn distrusted(&self) -> std::collections::BTreeSet<String> {
        self.distrusted.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn distrusts(&self, workspace: &str) -> bool {
        self.distrusted.read().unwrap_or_else(std::sync::PoisonError::into_inner).contains(workspace)
    }

    /// From now on a row of another epoch is refused: it was written before an older copy of the database was accepted, in a
    /// history that is not this one's, or by a raised one that this is not.
    pub(crate) fn expect_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, std::sync::atomic::Ordering::Release);
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The platform key that codes are made under now.
    pub(crate) fn primary(&self) -> domain::PlatformKeyId {
        self.seal.seal(&[]).key
    }

    /// The head of a database with this row.
    pub(crate) fn head_of(&self, meta: &Meta) -> Head {
        Head::of(&self.bytes(meta, meta.at), meta)
    }

    /// The row's code.
    pub(crate) fn make<R: Row>(&self, row: &R, stamp: Stamp) -> RowMac {
        self.seal.seal(self.bytes(row, stamp).as_bytes())
    }

    /// Refuses a row whose code is not this one, or whose workspace is not believed.
    pub(crate) fn check<R: Row>(&self, row: &R, stamp: Stamp, code: &RowMac) -> Result<(), StoreError> {
        let expected = self.epoch.load(std::sync::atomic::Ordering::Acquire);
        let of_this_epoch = expected == 0 || expected == stamp.epoch;
        let authentic = self.seal.verify(self.bytes(row, stamp).as_bytes(), code);
        if self.disowned.load(std::sync::atomic::Ordering::Acquire) {
            return Err(StoreError::RolledBack);
        }
        if self.distrusts(row.workspace()) {
            let workspace = row.workspace().parse().ok();
            return Err(StoreError::SetForged { workspace });
        }
        if of_this_epoch && authentic { Ok(()) } else { Err(StoreError::RowForged { table: R::TABLE }) }
    }

    fn bytes<R: Row>(&self, row: &R, stamp: Stamp) -> RowBytes {
        let bytes = RowBytes::of(R::TABLE)
            .field(row.workspace().as_bytes())
            .field(&self.cluster.0)
            .field(&stamp.epoch.to_be_bytes())
            .field(&stamp.revision.to_be_bytes());
        row.columns(bytes)
    }
}

/// The one row about the database itself: where it stands, and the sum over the sets of all workspaces. This is the head
/// that can be kept outside the database: nothing in it can change without changing this row.
#[derive(Clone)]
pub(crate) struct Meta {
    /// Epoch and the revision of the last commit; also this row's own stamp.
    pub(crate) at: Stamp,
    pub(crate) schema: u32,
    pub(crate) root_check: [u8; 16],
    pub(crate) sum: SetSum,
    /// The head outside of the database that was known when this row was written; absent: it has had none.
    pub(crate) anchored: Option<Head>,
    /// Whether the schema has a column for it. No part of the row.
    pub(crate) anchors: bool,
}

/// The one row about a workspace's set: how many rows, their sum, and where its audit chain ends.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SetHead {
    /// Whose; absent for the platform's.
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) rows: u64,
    pub(crate) sum: SetSum,
    /// How many wrappings it has ever had: the last one's number.
    pub(crate) wrappings: u64,
    pub(crate) audit_seq: u64,
    pub(crate) audit_hash: [u8; 32],
}

impl SetHead {
    pub(crate) fn new(workspace: Option<WorkspaceId>) -> Self {
        Self { workspace, rows: 0, sum: SetSum::EMPTY, wrappings: 0, audit_seq: 0, audit_hash: crate::event::START }
    }
}

/// A data key with the number of the wrapping to unwrap.
pub(crate) struct WrappedKey {
    pub(crate) key: DataKey,
    pub(crate) wrapping: u64,
}

/// A wrapping with its number among its workspace's, from 1.
pub(crate) struct NumberedWrapping {
    pub(crate) number: u64,
    pub(crate) wrapping: Wrapping,
}

/// A column that older databases do not have: absent it adds nothing, so that the rows of before keep their codes; present it
/// adds its name and its value at the end.
fn added_later<T: AsRef<[u8]>>(row: RowBytes, name: &str, value: Option<T>) -> RowBytes {
    match value {
        Some(value) => row.field(name.as_bytes()).field(value.as_ref()),
        None => row,
    }
}

fn optional_time(row: RowBytes, at: Option<Timestamp>) -> RowBytes {
    row.optional(at.map(|at| at.micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice))
}

impl Row for Meta {
    const TABLE: &'static str = "meta";
    fn workspace(&self) -> &str {
        ""
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let row = row.field(&self.schema.to_be_bytes()).field(&self.root_check).field(&self.sum.to_bytes());
        added_later(row, "anchored", self.anchored.map(Head::to_bytes))
    }
}

impl Row for SetHead {
    const TABLE: &'static str = "sets";
    fn workspace(&self) -> &str {
        self.workspace.as_ref().map_or("", |workspace| workspace.as_str())
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        row.field(&self.rows.to_be_bytes())
            .field(&self.sum.to_bytes())
            .field(&self.wrappings.to_be_bytes())
            .field(&self.audit_seq.to_be_bytes())
            .field(&self.audit_hash)
    }
}

impl Row for Workspace {
    const TABLE: &'static str = "workspaces";
    fn workspace(&self) -> &str {
        self.id.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let row = row.field(self.display_name.as_bytes()).number(self.created_at.micros());
        optional_time(row, self.deleted_at)
    }
}

impl Row for App {
    const TABLE: &'static str = "apps";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let row = row
            .field(self.id.as_str().as_bytes())
            .number(app_kind_code(self.kind))
            .field(self.display_name.as_bytes())
            .number(self.created_at.micros());
        optional_time(row, self.deleted_at)
    }
}

impl Row for KeyConfig {
    const TABLE: &'static str = "key_configs";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let row = row
            .field(self.location.to_string().as_bytes())
            .field(self.tenant.as_str().as_bytes())
            .field(self.current_version.as_bytes())
            .field(&self.wrap_epoch.to_be_bytes())
            .field(&lease_micros(self.lease).to_be_bytes())
            .number(self.configured_at.micros());
        let row = added_later(row, "left_at", self.left_at.map(|at| at.micros().to_be_bytes()));
        // What is usual adds nothing: rows of before are the same rows.
        let chosen_off = |usual: bool| (!usual).then_some([0]);
        let row = added_later(row, "follow_new_versions", chosen_off(self.choices.follow_new_versions));
        added_later(row, "newest_version_counts", chosen_off(self.choices.newest_version_counts))
    }
}

impl Row for KeyVersion {
    const TABLE: &'static str = "key_versions";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let row = row
            .field(self.id.as_bytes())
            .field(self.location.to_string().as_bytes())
            .field(&self.modulus)
            .field(&self.exponent)
            .field(&self.thumbprint)
            .field(&[u8::from(self.hsm)])
            .number(self.recorded_at.micros());
        added_later(row, "tenant", self.tenant.as_ref().map(|tenant| tenant.as_str().as_bytes()))
    }
}

impl Row for KeyTest {
    const TABLE: &'static str = "key_tests";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        row.field(self.id.to_string().as_bytes())
            .field(&self.config_hash.0)
            .number(self.started_at.micros())
            .number(self.finished_at.micros())
            .field(key_test_steps::text(&self.steps).as_bytes())
    }
}

impl Row for WrappedKey {
    const TABLE: &'static str = "data_keys";
    fn workspace(&self) -> &str {
        self.key.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let key = &self.key;
        let row = row
            .field(key.id.as_bytes())
            .field(key.app.as_str().as_bytes())
            .field(&[key.protection.byte()])
            .number(state_code(key.state))
            .field(&key.key_check_value)
            .field(&key.wrap_epoch.to_be_bytes())
            .number(key.created_at.micros());
        let row = optional_time(optional_time(row, key.activated_at), key.retired_at);
        let row = row.field(&self.wrapping.to_be_bytes());
        added_later(row, "destroyed_at", key.destroyed_at.map(|at| at.micros().to_be_bytes()))
    }
}

impl Row for NumberedWrapping {
    const TABLE: &'static str = "wrappings";
    fn workspace(&self) -> &str {
        self.wrapping.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let (kind, key) = wrapping_key_code(self.wrapping.wrapped_by);
        row.field(&self.number.to_be_bytes())
            .field(self.wrapping.data_key.as_bytes())
            .number(kind)
            .field(&key)
            .number(scheme_code(self.wrapping.scheme))
            .field(&self.wrapping.sealed_blob)
            .number(self.wrapping.created_at.micros())
    }
}

impl Row for Operation {
    const TABLE: &'static str = "operations";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let KindColumns { kind, from, to, app, active_before, .. } = operation_kind_columns(&self.kind);
        let version = |row: RowBytes, id: Option<domain::KeyVersionId>| {
            row.optional(id.as_ref().map(|id| id.as_bytes().as_slice()))
        };
        let row = version(version(row.field(&self.id.to_bytes()).number(kind), from), to);
        let row = row.optional(app.as_ref().map(|app| app.as_str().as_bytes()));
        let row = optional_time(row, active_before)
            .number(operation_state_code(self.state))
            .field(&self.progress.total.to_be_bytes())
            .field(&self.progress.done.to_be_bytes())
            .field(&self.progress.failing.to_be_bytes())
            .field(&[u8::from(self.cancelling)])
            .optional(self.reason.map(|reason| reason.as_str().as_bytes()))
            .field(self.actor.as_bytes())
            .number(self.created_at.micros())
            .number(self.updated_at.micros());
        let row = optional_time(optional_time(row, self.switched_at), self.finished_at);
        crate::row_approval::columns(self, row)
    }
}

/// The hash covers the content; whoever reads an event compares both.
impl Row for RecordedEvent {
    const TABLE: &'static str = "audit";
    fn workspace(&self) -> &str {
        self.workspace.as_ref().map_or("", |workspace| workspace.as_str())
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        row.field(&self.seq.to_be_bytes()).field(&self.hash)
    }
}

/// A lease in the microseconds kept in its row.
pub(crate) fn lease_micros(lease: Duration) -> u64 {
    u64::try_from(lease.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) const fn app_kind_code(kind: AppKind) -> i64 {
    match kind {
        AppKind::App => 1,
        AppKind::Bot => 2,
    }
}

pub(crate) const fn app_kind(code: i64) -> Option<AppKind> {
    match code {
        1 => Some(AppKind::App),
        2 => Some(AppKind::Bot),
        _ => None,
    }
}

pub(crate) const fn state_code(state: DataKeyState) -> i64 {
    match state {
        DataKeyState::Pending => 1,
        DataKeyState::Staged => 2,
        DataKeyState::Active => 3,
        DataKeyState::Retired => 4,
        DataKeyState::Abandoned => 5,
    }
}

pub(crate) const fn state(code: i64) -> Option<DataKeyState> {
    match code {
        1 => Some(DataKeyState::Pending),
        2 => Some(DataKeyState::Staged),
        3 => Some(DataKeyState::Active),
        4 => Some(DataKeyState::Retired),
        5 => Some(DataKeyState::Abandoned),
        _ => None,
    }
}

/// The number of its protection and the 16 bytes that name the key.
pub(crate) const fn wrapping_key_code(key: WrappingKey) -> (i64, [u8; 16]) {
    match key {
        WrappingKey::Platform(id) => (Protection::PlatformKey.byte() as i64, *id.as_bytes()),
        WrappingKey::Customer(id) => (Protection::CustomerKey.byte() as i64, *id.as_bytes()),
    }
}

pub(crate) fn wrapping_key(code: i64, key: [u8; 16]) -> Option<WrappingKey> {
    Some(match Protection::from_byte(u8::try_from(code).ok()?)? {
        Protection::PlatformKey => WrappingKey::Platform(domain::PlatformKeyId::from_bytes(key)),
        Protection::CustomerKey => WrappingKey::Customer(domain::KeyVersionId::from_bytes(key)),
    })
}

pub(crate) const fn scheme_code(scheme: WrapScheme) -> i64 {
    match scheme {
        WrapScheme::RsaOaep256 => 1,
        WrapScheme::PlatformAesGcm => 2,
    }
}

pub(crate) const fn scheme(code: i64) -> Option<WrapScheme> {
    match code {
        1 => Some(WrapScheme::RsaOaep256),
        2 => Some(WrapScheme::PlatformAesGcm),
        _ => None,
    }
}

/// The columns that say what an operation does.
#[derive(Default)]
pub(crate) struct KindColumns {
    pub(crate) kind: i64,
    pub(crate) from: Option<domain::KeyVersionId>,
    pub(crate) to: Option<domain::KeyVersionId>,
    pub(crate) app: Option<domain::AppId>,
    pub(crate) active_before: Option<Timestamp>,
    pub(crate) key: Option<domain::KeyLocation>,
    pub(crate) tenant: Option<domain::TenantId>,
    pub(crate) data_key: Option<domain::DataKeyId>,
}

pub(crate) fn operation_kind_columns(kind: &OperationKind) -> KindColumns {
    let (none, versions) = (KindColumns::default(), kind.versions());
    let none = KindColumns { from: versions.map(|(from, _)| from), to: versions.map(|(_, to)| to), ..none };
    match kind {
        OperationKind::RotateKey { .. } => KindColumns { kind: 1, ..none },
        OperationKind::RotateDataKeys { app, active_before } => {
            KindColumns { kind: 2, app: app.clone(), active_before: Some(*active_before), ..none }
        }
        OperationKind::ReplaceKey { key, tenant, .. } => {
            KindColumns { kind: 3, key: Some(key.clone()), tenant: Some(tenant.clone()), ..none }
        }
        OperationKind::LeaveCustomerKey => KindColumns { kind: 4, ..none },
        OperationKind::DestroyDataKey { app, data_key } => {
            KindColumns { kind: 5, app: Some(app.clone()), data_key: Some(*data_key), ..none }
        }
    }
}

pub(crate) const fn operation_state_code(state: OperationState) -> i64 {
    match state {
        OperationState::Planned => 1,
        OperationState::Running => 2,
        OperationState::Done => 3,
        OperationState::Cancelled => 4,
        OperationState::Failed => 5,
        OperationState::AwaitingApproval => 6,
        OperationState::Waiting => 7,
        OperationState::Rejected => 8,
        OperationState::Expired => 9,
    }
}

pub(crate) const fn operation_state(code: i64) -> Option<OperationState> {
    match code {
        1 => Some(OperationState::Planned),
        2 => Some(OperationState::Running),
        3 => Some(OperationState::Done),
        4 => Some(OperationState::Cancelled),
        5 => Some(OperationState::Failed),
        6 => Some(OperationState::AwaitingApproval),
        7 => Some(OperationState::Waiting),
        8 => Some(OperationState::Rejected),
        9 => Some(OperationState::Expired),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored number means one variant for ever: these are what databases in the field hold.
    #[test]
    fn stored_numbers_keep_their_meaning() {
        use DataKeyState::{Abandoned, Active, Pending, Retired, Staged};
        for (number, expected) in (1..).zip([Pending, Staged, Active, Retired, Abandoned]) {
            assert_eq!((state(number), state_code(expected)), (Some(expected), number));
        }
        for (number, expected) in [(1, AppKind::App), (2, AppKind::Bot)] {
            assert_eq!((app_kind(number), app_kind_code(expected)), (Some(expected), number));
        }
        for (number, expected) in [(1, WrapScheme::RsaOaep256), (2, WrapScheme::PlatformAesGcm)] {
            assert_eq!((scheme(number), scheme_code(expected)), (Some(expected), number));
        }
        let states = [
            OperationState::Planned,
            OperationState::Running,
            OperationState::Done,
            OperationState::Cancelled,
            OperationState::Failed,
            OperationState::AwaitingApproval,
            OperationState::Waiting,
            OperationState::Rejected,
            OperationState::Expired,
        ];
        for (number, expected) in (1..).zip(states) {
            assert_eq!((operation_state(number), operation_state_code(expected)), (Some(expected), number));
        }
        assert_eq!((operation_state(0), operation_state(10)), (None, None));
        assert_eq!((state(0), state(6), scheme(3), app_kind(3)), (None, None, None, None));
        assert_eq!((wrapping_key(0, [0; 16]), wrapping_key(257, [0; 16])), (None, None));
    }
}
