//! Operations, and what they take.

use client::pb;
use serde::Serialize;

use super::{Approval, reason, text, time};

/// What a rotation takes.
#[derive(Serialize)]
pub(crate) struct Plan {
    pub(crate) from_version: String,
    pub(crate) to_version: String,
    pub(crate) data_keys: i64,
    pub(crate) vault_calls: i64,
    pub(crate) calls_per_second: f64,
    pub(crate) eta_seconds: f64,
}

impl From<pb::RotationPlan> for Plan {
    fn from(p: pb::RotationPlan) -> Self {
        let eta_seconds = p.eta.map_or(0.0, |eta| eta.seconds as f64 + f64::from(eta.nanos) / 1e9);
        Self {
            from_version: p.from_version,
            to_version: p.to_version,
            data_keys: p.data_keys,
            vault_calls: p.vault_calls,
            calls_per_second: p.calls_per_second,
            eta_seconds,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) workspace: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) actor: String,
    pub(crate) from_version: Option<String>,
    pub(crate) to_version: Option<String>,
    pub(crate) app: Option<String>,
    pub(crate) total: i64,
    pub(crate) done: i64,
    pub(crate) failing: i64,
    pub(crate) cancelling: bool,
    /// Why it waits, or why it failed.
    pub(crate) reason: Option<String>,
    pub(crate) remedy: Option<String>,
    pub(crate) create_time: Option<String>,
    pub(crate) update_time: Option<String>,
    pub(crate) switch_time: Option<String>,
    pub(crate) finish_time: Option<String>,
    /// The last four are absent where nobody has to approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<Approval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_key: Option<String>,
}

impl From<pb::Operation> for Operation {
    fn from(o: pb::Operation) -> Self {
        let kind = pb::OperationKind::try_from(o.kind).map_or_else(
            |_| format!("OPERATION_KIND_{}", o.kind),
            |kind| kind.as_str_name().trim_start_matches("OPERATION_KIND_").to_owned(),
        );
        let state = pb::OperationState::try_from(o.state).map_or_else(
            |_| format!("OPERATION_STATE_{}", o.state),
            |state| state.as_str_name().trim_start_matches("OPERATION_STATE_").to_owned(),
        );
        Self {
            kind,
            state,
            reason: reason(o.reason),
            create_time: time!(o.create_time),
            update_time: time!(o.update_time),
            switch_time: time!(o.switch_time),
            finish_time: time!(o.finish_time),
            approval: o.approval.map(Into::into),
            key_identifier: text(o.key_identifier),
            tenant_id: text(o.tenant_id),
            data_key: text(o.data_key),
            name: o.name,
            workspace: o.workspace,
            actor: o.actor,
            from_version: text(o.from_version),
            to_version: text(o.to_version),
            app: text(o.app),
            total: o.total,
            done: o.done,
            failing: o.failing,
            cancelling: o.cancelling,
            remedy: text(o.remedy),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Operations {
    pub(crate) operations: Vec<Operation>,
}
