//! What an operator reads in numbers: the one list of names, and the only code that sets them.
//!
//! Nothing here is on the way of a warm call. Counters count what is rare: refusals, calls to vaults, denials. Everything else is
//! read where it already stands when somebody looks ([`Service::tell_figures`]). A label has few values by construction: a reason, a
//! class of answers, a state, and at most a workspace; never an app, a key, a host or a caller.

use std::time::Duration;

use domain::credential::SLOTS;
use domain::ledger::Purpose;
use domain::{OperationState, Reason, Timestamp, WorkspaceId};
use metrics::{counter, gauge, histogram};
use store::{Examined, StoreError};
use vault::Class;

use crate::Service;

/// One name, as docs/metrics.md shows it.
#[derive(Debug)]
pub struct Figure {
    /// The name that Prometheus reads.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static str,
    /// What it is, with its unit.
    pub what: &'static str,
}

macro_rules! figures {
    ($($constant:ident $name:literal $kind:literal $labels:literal $what:literal;)*) => {
        $(const $constant: &str = $name;)*

        /// Every figure there is.
        pub const FIGURES: &[Figure] = &[$(Figure { name: $name, kind: $kind, labels: $labels, what: $what },)*];
    };
}

figures! {
    REFUSED "byokd_requests_refused_total" "counter" "reason" "requests that were refused, by the reason they were told";
    VAULT_CALLS "byokd_vault_calls_total" "counter" "purpose, outcome" "wraps, unwraps and probes that vaults were asked for; the outcome is done, denied, gone, transient or ours";
    VAULT_SECONDS "byokd_vault_call_seconds" "histogram" "purpose" "seconds until a vault had answered, or until nobody waited any longer";
    DENIALS "byokd_denials_total" "counter" "workspace, reason" "how often a customer's yes turned into a no";
    TESTS_FAILED "byokd_key_tests_failed_total" "counter" "reason" "tests of key configurations that did not pass, by the first step's reason";
    REHEARSALS_FAILED "byokd_rehearsals_failed_total" "counter" "workspace" "rehearsals of enforcement dates that would not have been kept";
    DATES_HELD "byokd_enforcement_dates_held_total" "counter" "workspace" "enforcement dates that were not kept";
    EVENTS_LOST "byokd_ledger_events_lost_total" "counter" "" "events that found no room while the ledger could not be written";
    EVENTS_WAITING "byokd_ledger_events_waiting" "gauge" "" "events that wait to be written into the ledger";
    CALLS_WAITING "byokd_ledger_calls_waiting" "gauge" "" "calls to vaults that wait to be written into the ledger";
    LEASE_LEFT "byokd_lease_seconds_left" "gauge" "" "seconds left of the shortest lease in use; +Inf while none is";
    OPEN_KEYS "byokd_open_data_keys" "gauge" "" "data keys in memory";
    IN_FLIGHT "byokd_cold_work_in_flight" "gauge" "" "data keys that are being opened or made, and leases that are being renewed";
    OPERATIONS "byokd_operations_open" "gauge" "state" "operations that have not ended";
    OPERATIONS_STUCK "byokd_operations_blocked" "gauge" "" "operations under way that wait for something to be mended";
    REVISION "byokd_store_revision" "gauge" "" "commits of the database so far";
    FEED_AGE "byokd_feed_age_seconds" "gauge" "" "seconds since this replica last read what changed in the database; +Inf before the first time";
    ROLLED_BACK "byokd_database_rolled_back" "gauge" "" "1: the database is an older copy of itself or another one, and nothing is served from it; 0: it is not";
    DISTRUSTED "byokd_workspaces_distrusted" "gauge" "" "workspaces of which nothing is served, because their rows are not what was written";
    WRONGS "byokd_database_wrongs" "gauge" "" "rows, sets and chains that the last look at the whole database found not to be as they were written, and tables that it could not read";
    GOOD_AGE "byokd_database_good_age_seconds" "gauge" "" "seconds since the last look at the whole database that found all of it in order; +Inf before the first one";
    LOCKED "byokd_locked_memory_bytes" "gauge" "" "bytes of locked pages for keys";
    UNLOCKED "byokd_unlocked_memory_bytes" "gauge" "" "bytes of pages for keys that may be swapped";
    SECRETS "byokd_secrets" "gauge" "" "secrets in that memory";
    CERTIFICATE_LEFT "byokd_certificate_seconds_left" "gauge" "listener" "seconds until the certificate of a place we listen on ends; below zero: it has";
    CREDENTIAL_LEFT "byokd_credential_seconds_left" "gauge" "workspace, slot" "seconds until a credential for a customer's directory ends, as of the last look, once an hour; below zero: it has; +Inf: its slot is free";
    PLATFORM_LEFT "byokd_platform_certificate_seconds_left" "gauge" "" "seconds until the platform's own certificate for customers' directories ends, as of the last look, once an hour; below zero: it has";
}

/// A request was refused.
pub fn refused(reason: Reason) {
    counter!(REFUSED, "reason" => reason.as_str()).increment(1);
}

/// A vault was asked, and answered or not.
pub(crate) fn vault_called(purpose: Purpose, outcome: Result<(), Class>, took: Duration) {
    let purpose = match purpose {
        Purpose::Wrap => "wrap",
        Purpose::Unwrap => "unwrap",
        Purpose::Probe => "probe",
        Purpose::TestWrap => "test-wrap",
        Purpose::TestUnwrap => "test-unwrap",
    };
    let outcome = match outcome {
        Ok(()) => "done",
        Err(Class::Denied) => "denied",
        Err(Class::Gone) => "gone",
        Err(Class::Transient) => "transient",
        Err(Class::Ours) => "ours",
    };
    counter!(VAULT_CALLS, "purpose" => purpose, "outcome" => outcome).increment(1);
    histogram!(VAULT_SECONDS, "purpose" => purpose).record(took.as_secs_f64());
}

/// A customer's yes turned into a no.
pub(crate) fn denied(workspace: &WorkspaceId, reason: Reason) {
    counter!(DENIALS, "workspace" => workspace.to_string(), "reason" => reason.as_str()).increment(1);
}

/// A test of a configuration did not pass.
pub(crate) fn test_failed(reason: Reason) {
    counter!(TESTS_FAILED, "reason" => reason.as_str()).increment(1);
}

/// A rehearsal found that a date would not be kept.
pub(crate) fn rehearsal_failed(workspace: &WorkspaceId) {
    counter!(REHEARSALS_FAILED, "workspace" => workspace.to_string()).increment(1);
}

/// A date was not kept.
pub(crate) fn date_held(workspace: &WorkspaceId) {
    counter!(DATES_HELD, "workspace" => workspace.to_string()).increment(1);
}

/// An event found no room.
pub(crate) fn event_lost() {
    counter!(EVENTS_LOST).increment(1);
}

/// When the certificate of a place we listen on ends. `listener` is the place, as the configuration names it.
pub fn certificate_ends(listener: &str, ends: Timestamp, now: Timestamp) {
    gauge!(CERTIFICATE_LEFT, "listener" => listener.to_owned()).set(seconds_left(ends, now));
}

/// When the credentials for a customer's directory end, those that hold a slot in the order of their adding. A slot without one never
/// ends: what it held before is not told any more.
pub(crate) fn credentials_end(workspace: &WorkspaceId, ends: impl Iterator<Item = Timestamp>, now: Timestamp) {
    let left = ends.map(|ends| seconds_left(ends, now)).chain(std::iter::repeat(f64::INFINITY));
    for (slot, left) in SLOT_NAMES.into_iter().zip(left) {
        gauge!(CREDENTIAL_LEFT, "workspace" => workspace.to_string(), "slot" => slot).set(left);
    }
}

/// When the platform's own certificate ends.
pub(crate) fn platform_certificate_ends(ends: Timestamp, now: Timestamp) {
    gauge!(PLATFORM_LEFT).set(seconds_left(ends, now));
}

/// Somebody looked at the whole database.
pub(crate) fn database_examined(examined: &Examined) {
    gauge!(DISTRUSTED).set(number(examined.distrusted.len()));
    gauge!(WRONGS).set(number(usize::try_from(examined.wrongs).unwrap_or(usize::MAX)));
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a difference of years in microseconds has 52 bits; a figure needs fewer"
)]
fn seconds_left(ends: Timestamp, now: Timestamp) -> f64 {
    (ends.micros() - now.micros()) as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "figures are read by people; 2^53 is beyond what is counted")]
fn number(count: usize) -> f64 {
    count as f64
}

/// The slots of a workspace's credentials, as they are told.
const SLOT_NAMES: [&str; SLOTS] = ["first", "second"];

/// The states an operation can be open in, each of which is told even when no operation is in it.
const OPEN: [(OperationState, &str); 4] = [
    (OperationState::Planned, "planned"),
    (OperationState::Running, "running"),
    (OperationState::AwaitingApproval, "awaiting-approval"),
    (OperationState::Waiting, "waiting"),
];

impl Service {
    /// Sets what is read where it stands. Costs two short readings of the database, and time in proportion to the workspaces in
    /// memory; figures of a database that cannot be read stay as they were.
    pub async fn tell_figures(&self) {
        let (core, now) = (&self.0, self.0.clock.now());
        let infinite = |left: Option<Duration>| left.map_or(f64::INFINITY, |left| left.as_secs_f64());
        gauge!(LEASE_LEFT).set(infinite(core.table.shortest_lease(now)));
        gauge!(OPEN_KEYS).set(number(core.table.count()));
        gauge!(IN_FLIGHT).set(number(core.flights.count()));
        gauge!(FEED_AGE).set(infinite(core.control.age(now)));
        let (events, calls) = core.journal.waiting();
        gauge!(EVENTS_WAITING).set(number(events));
        gauge!(CALLS_WAITING).set(number(calls));
        let memory = secmem::report();
        gauge!(LOCKED).set(number(memory.locked));
        gauge!(UNLOCKED).set(number(memory.unlocked));
        gauge!(SECRETS).set(number(memory.secrets));
        gauge!(GOOD_AGE).set(infinite(core.looks.good_for(now)));
        match core.store.revision().await {
            Ok(revision) => {
                gauge!(REVISION).set(number(usize::try_from(revision).unwrap_or(usize::MAX)));
                gauge!(ROLLED_BACK).set(0.0);
            }
            Err(StoreError::RolledBack) => gauge!(ROLLED_BACK).set(1.0),
            Err(_) => {}
        }
        if let Ok(open) = core.store.open_operations().await {
            for (state, name) in OPEN {
                let count = open.iter().filter(|operation| operation.state == state).count();
                gauge!(OPERATIONS, "state" => name).set(number(count));
            }
            let stuck = open.iter().filter(|operation| operation.reason.is_some()).count();
            gauge!(OPERATIONS_STUCK).set(number(stuck));
        }
    }
}
