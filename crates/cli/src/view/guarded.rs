//! What the JSON holds of what needs a second person.

use client::pb;
use serde::Serialize;

use super::{Operation, text, time};

/// What another caller than `actor` has to decide.
#[derive(Serialize)]
pub(crate) struct Approval {
    pub(crate) approve_by: Option<String>,
    pub(crate) waits_seconds: i64,
    /// Absent while nobody has.
    pub(crate) decided_by: Option<String>,
    pub(crate) decide_time: Option<String>,
    pub(crate) approved: bool,
    /// From when on it is done.
    pub(crate) not_before: Option<String>,
}

impl From<pb::Approval> for Approval {
    fn from(a: pb::Approval) -> Self {
        Self {
            approve_by: time!(a.approve_by),
            waits_seconds: a.waits.map_or(0, |waits| waits.seconds),
            decide_time: time!(a.decide_time),
            not_before: time!(a.not_before),
            decided_by: text(a.decided_by),
            approved: a.approved,
        }
    }
}

/// What leaving the customer's key answers.
#[derive(Serialize)]
pub(crate) struct Leaving {
    /// Absent if only the list was asked for.
    pub(crate) operation: Option<Operation>,
    pub(crate) still_needed: Vec<StillNeeded>,
}

/// Data keys of one app that only the customer's key opens.
#[derive(Serialize)]
pub(crate) struct StillNeeded {
    pub(crate) app: String,
    pub(crate) data_keys: i64,
}

impl From<pb::LeaveCustomerKeyResponse> for Leaving {
    fn from(l: pb::LeaveCustomerKeyResponse) -> Self {
        let needed = |needed: pb::StillNeeded| StillNeeded { app: needed.app, data_keys: needed.data_keys };
        Self { operation: l.operation.map(Into::into), still_needed: l.still_needed.into_iter().map(needed).collect() }
    }
}
