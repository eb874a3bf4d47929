//! What a test has planned: faults, held calls, and the count of what arrived.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::KeyUnavailable;

/// What may be asked of a vault, and of its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Public half and attributes.
    Describe,
    /// The list of versions.
    Versions,
    /// Wrap.
    Wrap,
    /// Unwrap.
    Unwrap,
    /// Where the vault's name leads.
    Resolve,
    /// A connection, and how the vault sees us.
    Reach,
    /// The tenant the vault names.
    Challenge,
    /// A token of the directory.
    SignIn,
    /// A token issued now.
    Consent,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Describe,
        Self::Versions,
        Self::Wrap,
        Self::Unwrap,
        Self::Resolve,
        Self::Reach,
        Self::Challenge,
        Self::SignIn,
        Self::Consent,
    ];
}

/// What goes wrong with a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is refused for this reason: a denial, an outage, anything.
    Refuse(KeyUnavailable),
    /// No answer comes, ever; the deadline ends it.
    Hang,
    /// The answer names another version.
    WrongKid,
    /// Unwrap answers with another data key in a well-formed payload.
    WrongPlaintext,
    /// Unwrap answers with fewer bytes.
    WrongLength,
}

/// How many calls have arrived, refused and held ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Describes.
    pub describe: u64,
    /// Lists.
    pub versions: u64,
    /// Wraps.
    pub wrap: u64,
    /// Unwraps.
    pub unwrap: u64,
    /// Tokens asked for by who tests a configuration.
    pub sign_in: u64,
    /// Tokens.
    pub consent: u64,
}

#[derive(Default)]
pub(super) struct Script(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    next: BTreeMap<Operation, VecDeque<Fault>>,
    standing: BTreeMap<Operation, Fault>,
    gates: BTreeMap<Operation, Gate>,
    calls: Calls,
}

impl Script {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fail_next(&self, operation: Operation, fault: Fault) {
        self.plan().next.entry(operation).or_default().push_back(fault);
    }

    pub(super) fn fail(&self, operation: Operation, fault: Fault) {
        self.plan().standing.insert(operation, fault);
    }

    pub(super) fn heal(&self) {
        let mut plan = self.plan();
        plan.next.clear();
        plan.standing.clear();
    }

    pub(super) fn hold(&self, operation: Operation) -> Held {
        let gate = Gate::closed();
        self.plan().gates.insert(operation, gate.clone());
        Held { gate }
    }

    pub(super) fn calls(&self) -> Calls {
        self.plan().calls
    }

    /// Counts a call and says what becomes of it.
    pub(super) fn arrive(&self, operation: Operation) -> (Option<Fault>, Gate) {
        let mut plan = self.plan();
        match operation {
            Operation::Describe => plan.calls.describe += 1,
            Operation::Versions => plan.calls.versions += 1,
            Operation::Wrap => plan.calls.wrap += 1,
            Operation::Unwrap => plan.calls.unwrap += 1,
            Operation::SignIn => plan.calls.sign_in += 1,
            Operation::Resolve | Operation::Reach | Operation::Challenge => {}
            Operation::Consent => plan.calls.consent += 1,
        }
        let planned = plan.next.get_mut(&operation).and_then(VecDeque::pop_front);
        let fault = planned.or_else(|| plan.standing.get(&operation).cloned());
        (fault, plan.gates.get(&operation).cloned().unwrap_or_else(Gate::open))
    }
}

/// Where held calls wait.
#[derive(Clone)]
pub(super) struct Gate {
    open: Arc<watch::Sender<bool>>,
    waiting: Arc<watch::Sender<usize>>,
}

impl Gate {
    fn open() -> Self {
        Self { open: Arc::new(watch::Sender::new(true)), waiting: Arc::new(watch::Sender::new(0)) }
    }

    fn closed() -> Self {
        let gate = Self::open();
        gate.open.send_replace(false);
        gate
    }

    pub(super) async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        // The sender is held by `self`, so the wait cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// Calls held in flight. Dropping it lets them go.
pub struct Held {
    gate: Gate,
}

impl Held {
    /// Waits until `count` calls have arrived at the gate.
    pub async fn arrived(&self, count: usize) {
        let _ = self.gate.waiting.subscribe().wait_for(|waiting| *waiting >= count).await;
    }

    /// How many calls have arrived at the gate.
    pub fn waiting(&self) -> usize {
        *self.gate.waiting.borrow()
    }

    /// Lets them go, and those that come later.
    pub fn release(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gate.open.send_replace(true);
    }
}
