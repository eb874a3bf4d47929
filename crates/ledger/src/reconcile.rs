//! Does the customer's own Key Vault log say the same as the ledger? Every use of the key is held against the other side.
//!
//! Microsoft documents `correlationId` as an id that the client may pass along, and every call of ours carries one
//! (`x-ms-client-request-id`). Which field, if any, holds the vault's own `x-ms-request-id` is not documented: the ledger keeps
//! both, and an entry of the log is the ledger's call if any of its ids is one of the two.

mod vault_log;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use domain::ledger::{CalledVault, Purpose};
use domain::{KeyVersionId, Timestamp};

use crate::export::Event;
pub use vault_log::{Entry, NotALog, Operation, VaultLog};

/// How far the clocks of the vault and of a replica may differ, and how long an entry may be under way.
pub const SLACK: Duration = Duration::from_secs(60);

/// How far from either end of one side's time the other's calls count: a replica writes its probes of five minutes as one event, so
/// that those of another than the one that exported may not be here yet; what was under way when a side ended, it does not have.
pub const MARGIN: Duration = Duration::from_secs(300 + SLACK.as_secs());

/// A call as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The event it stands in.
    pub event: u64,
    /// Which life of which replica called.
    pub replica: String,
    /// What for.
    pub purpose: Purpose,
    /// When.
    pub at: Timestamp,
    /// Of which version.
    pub version: KeyVersionId,
    /// How it ended.
    pub outcome: String,
    /// The vault's id of it.
    pub request_id: Option<String>,
    /// Our own id of it.
    pub client_request_id: Option<String>,
}

/// A call that one side has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OneSided {
    /// The vault logged a call by our application that the ledger does not have.
    VaultOnly(Entry),
    /// The ledger has a call that the vault did not log.
    LedgerOnly(Called),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// From when until when both sides have all there is to say: the time that both cover, each without a margin at either end.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Calls that both sides have.
    pub matched: u64,
    /// Entries that no answer of ours belongs to, and a call of ours without an answer, of the same kind and time, does.
    pub unanswered: u64,
    /// Calls of ours that were never answered and that the vault never logged: they did not arrive.
    pub never_arrived: u64,
    /// Entries by other applications or people: none of ours.
    pub by_others: u64,
    /// Wraps and unwraps that were refused before the vault knew who called: no key was used.
    pub unauthenticated: u64,
    /// Calls that only the ledger has, before or after the log's time or within the margin of its ends.
    pub outside_log: u64,
    /// Entries that only the vault has, before or after the ledger's time or within the margin of its ends.
    pub outside_ledger: u64,
    /// What one side only has, by time.
    pub one_sided: Vec<OneSided>,
    /// How many calls replicas had no room to write down.
    pub left_out: u64,
}

/// The ledger's calls, gathered from an export that was verified.
#[derive(Debug, Default)]
pub struct Calls {
    calls: Vec<Called>,
    left_out: u64,
    /// The time of the first and of the last event, of whatever kind.
    range: Option<(Timestamp, Timestamp)>,
}

impl Calls {
    /// Takes an event in. `false`: it should hold calls, and does not.
    pub fn take(&mut self, event: &Event) -> bool {
        let at = Timestamp::from_micros(event.time_micros);
        self.range = Some(self.range.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
        if event.event != CalledVault::EVENT {
            return true;
        }
        let Some((version, calls)) = CalledVault::calls(&event.details) else { return false };
        self.left_out += event.detail("left_out").and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        let replica = event.detail("replica").unwrap_or_default();
        for call in calls {
            self.range = self.range.map(|(from, to)| (from.min(call.at), to.max(call.at)));
            self.calls.push(Called {
                event: event.number,
                replica: replica.to_owned(),
                purpose: call.purpose,
                at: call.at,
                version,
                outcome: call.outcome.to_owned(),
                request_id: call.request_id.map(str::to_lowercase),
                client_request_id: call.client_request_id.map(str::to_lowercase),
            });
        }
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Holds them against the vault's log. `application`: our client id, as the customer's directory knows it; `margin`: how far
    /// from the ends of the other side's time a call counts ([`MARGIN`], unless the caller knows better).
    ///
    /// What the vault only has is judged by the ledger's time alone: an hour of a log out of days of a ledger is judged whole.
    pub fn against(mut self, log: VaultLog, application: &str, margin: Duration) -> Reconciled {
        let mut told = Reconciled { left_out: self.left_out, ..Reconciled::default() };
        let (ledger, logged) = (within(self.range, margin), within(log.range, margin));
        told.window = overlap(ledger, logged);
        let inside =
            |time: Option<(Timestamp, Timestamp)>, at: Timestamp| time.is_some_and(|(from, to)| from <= at && at <= to);
        self.drop_repeats();

        let mut by_id: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, call) in self.calls.iter().enumerate() {
            for id in [&call.request_id, &call.client_request_id].into_iter().flatten() {
                by_id.entry(id).or_default().push(index);
            }
        }
        let mut taken = vec![false; self.calls.len()];
        let mut alone: Vec<Entry> = Vec::new();
        for entry in log.entries {
            if !entry.application.eq_ignore_ascii_case(application) {
                if entry.status == Some(401) {
                    told.unauthenticated += 1
                } else {
                    told.by_others += 1
                }
                continue;
            }
            if entry.status == Some(401) {
                told.unauthenticated += 1;
                continue;
            }
            let fits = |index: &usize| !taken[*index] && self.calls[*index].fits(&entry);
            let found = entry.ids.iter().filter_map(|id| by_id.get(id.as_str())).flatten().copied().find(|i| fits(i));
            match found {
                Some(index) => {
                    taken[index] = true;
                    told.matched += 1;
                }
                None => alone.push(entry),
            }
        }
        // A call without an answer has no id of the vault's: kind, version and time have to do.
        let mut waiting: BTreeMap<(Timestamp, usize), ()> = BTreeMap::new();
        for (index, call) in self.calls.iter().enumerate() {
            if !taken[index] && call.request_id.is_none() {
                waiting.insert((call.at, index), ());
            }
        }
        alone.sort_by_key(|entry| entry.at);
        for entry in alone {
            let (early, late) = (entry.at.saturating_sub(SLACK), entry.at.saturating_add(SLACK));
            let near = waiting.range((early, 0)..=(late, usize::MAX)).map(|((_, index), ())| *index);
            let found = near.into_iter().find(|index| self.calls[*index].fits(&entry));
            match found {
                Some(index) => {
                    waiting.remove(&(self.calls[index].at, index));
                    taken[index] = true;
                    told.unanswered += 1;
                }
                None if !inside(ledger, entry.at) => told.outside_ledger += 1,
                None => told.one_sided.push(OneSided::VaultOnly(entry)),
            }
        }
        for (index, call) in self.calls.into_iter().enumerate().filter(|(index, _)| !taken[*index]) {
            if !inside(logged, call.at) {
                told.outside_log += 1;
            } else if waiting.contains_key(&(call.at, index)) {
                told.never_arrived += 1;
            } else {
                told.one_sided.push(OneSided::LedgerOnly(call));
            }
        }
        told.one_sided.sort_by_key(OneSided::at);
        told
    }
}

impl Calls {
    /// A flush that was repeated stands twice: a second copy covers nothing. What it is a copy of says the vault's id; where there
    /// is none, the same call of the same replica in an earlier event.
    fn drop_repeats(&mut self) {
        self.calls.sort_by_key(|call| call.at);
        let mut answered = HashSet::new();
        let mut silent = HashMap::new();
        self.calls.retain(|call| match &call.request_id {
            Some(id) => answered.insert((id.clone(), call.client_request_id.clone())),
            None => {
                let is = (call.replica.clone(), call.version, call.at, call.purpose, call.client_request_id.clone());
                *silent.entry(is).or_insert(call.event) == call.event
            }
        });
    }
}

impl OneSided {
    /// When.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::VaultOnly(entry) => entry.at,
            Self::LedgerOnly(call) => call.at,
        }
    }
}

impl Called {
    /// Whether an entry can be this call, by its kind and, where the log names one, its version.
    fn fits(&self, entry: &Entry) -> bool {
        entry.operation.is(self.purpose) && entry.version.is_none_or(|version| version == self.version)
    }
}

/// What is left of a time without a margin at either end.
fn within(time: Option<(Timestamp, Timestamp)>, margin: Duration) -> Option<(Timestamp, Timestamp)> {
    let (from, to) = time?;
    let (from, to) = (from.saturating_add(margin), to.saturating_sub(margin));
    (from <= to).then_some((from, to))
}

/// The time that both cover.
fn overlap(
    one: Option<(Timestamp, Timestamp)>,
    other: Option<(Timestamp, Timestamp)>,
) -> Option<(Timestamp, Timestamp)> {
    let ((from, to), (its_from, its_to)) = (one?, other?);
    let (from, to) = (from.max(its_from), to.min(its_to));
    (from <= to).then_some((from, to))
}
