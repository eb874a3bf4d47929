//! Which bytes of a row are authenticated.

mod codes;
mod numbers;

use domain::operation::Operation;
use domain::row_seal::RowBytes;
use domain::{App, DataKey, KeyConfig, KeyTest, KeyVersion, Timestamp, Workspace, WorkspaceId, Wrapping};

pub(crate) use self::codes::{RowCodes, Stamp};
pub(crate) use self::numbers::{
    KindColumns, app_kind, app_kind_code, lease_micros, operation_kind_columns, operation_state, operation_state_code,
    scheme, scheme_code, state, state_code, wrapping_key, wrapping_key_code,
};
use crate::set::SetSum;
use crate::{Head, RecordedEvent, key_test_steps};

/// A row that carries a code.
pub(crate) trait Row {
    /// Its table.
    const TABLE: &'static str;
    /// Whose it is; empty for the platform's.
    fn workspace(&self) -> &str;
    /// Appends every other column, the key's first.
    fn columns(&self, row: RowBytes) -> RowBytes;
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
