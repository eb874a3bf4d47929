//! What this replica has yet to write into the ledger: calls to vaults, receipts for keys it wiped, uses of keys by the hour.
//!
//! Taking something in is a short lock and no more: no request waits for the database, and none fails because something could
//! not be recorded. What is taken in is bounded; what finds no room is counted, and the count is recorded. A process that is
//! killed loses what it had not written: seconds of wraps and unwraps, and minutes of probes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::audit::{AuditEvent, AuditKind};
use domain::ledger::{CalledVault, DataUsed, KeysPurged, KeysUsed, Purpose, VaultCall, WhyPurged};
use domain::{BootId, Clock, DataKeyId, Hour, KeyVersionId, Moment, Reason, Tally, Timestamp, WorkspaceId};
use vault::{KeyUnavailable, Trace};

use super::lock;
use super::vault_call::SERVICE;
use crate::figures;
use crate::seeded_bug::{Bugs, SeededBug};

/// How long a wrap or an unwrap of a data key waits for others that are written with it.
const CALLS_WAIT: Duration = Duration::from_secs(10);
/// How long a probe does: they come by themselves, for ever.
const PROBES_WAIT: Duration = Duration::from_secs(300);
/// Calls of one event.
const CALLS_TOGETHER: usize = 100;
/// Calls that wait to be written, of all workspaces together.
const MOST_CALLS: usize = 20_000;
/// Events that wait to be written.
const MOST_EVENTS: usize = 4_096;
/// Uses of data by persons that wait to be written, or are under way: more are not begun.
const MOST_PERSONAL: usize = 1_024;
/// Events on chains that are not what was written: the oldest of more are lost.
const MOST_HELD: usize = 1_024;
/// How long the oldest of them waits before all are tried again.
const HELD_FOR: Duration = Duration::from_secs(60);
/// Data keys whose hour waits to be written, of all workspaces together.
const MOST_USES: usize = 200_000;
/// How long after an hour its counts are written: they come in with each flush of usage.
const AFTER_AN_HOUR: Duration = Duration::from_secs(120);

/// How much of what waits is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What is due.
    Due,
    /// What is due, and all of one workspace's, whose chain somebody reads; but the hour under way, whose event would otherwise
    /// come in as many parts as there are readers.
    ForReading(WorkspaceId),
    /// All: the process ends.
    Everything,
}

/// What has yet to be written.
pub(crate) struct Journal {
    clock: Arc<dyn Clock>,
    boot: BootId,
    pages: Mutex<Pages>,
    bugs: Bugs,
}

#[derive(Default)]
struct Pages {
    calls: HashMap<(WorkspaceId, KeyVersionId), Calls>,
    /// How many calls there are in all.
    call_count: usize,
    events: VecDeque<AuditEvent>,
    /// What persons did with data. Never given up to make room for something else.
    personal: VecDeque<AuditEvent>,
    /// Places for what they are doing now.
    personal_under_way: usize,
    /// Events that a chain did not take because it is not what was written: apart, so that they are in nobody else's way.
    held: VecDeque<AuditEvent>,
    /// By boot time: when they are tried again.
    held_until: Duration,
    /// Events that found no room.
    lost: u64,
    /// Data keys whose hour found none.
    uses_left_out: u64,
    uses: HashMap<(WorkspaceId, Hour), HashMap<DataKeyId, Tally>>,
    use_count: usize,
}

#[derive(Default)]
struct Calls {
    calls: Vec<VaultCall>,
    left_out: u64,
    /// By boot time: when they have to be written.
    due: Option<Duration>,
}

impl Journal {
    /// An empty one of the replica's life `boot`.
    pub(crate) fn new(clock: Arc<dyn Clock>, boot: BootId, bugs: Bugs) -> Self {
        Self { clock, boot, pages: Mutex::default(), bugs }
    }

    /// Which life of which replica this is.
    pub(crate) fn boot(&self) -> BootId {
        self.boot
    }

    /// How many events and calls wait to be written.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let pages = lock(&self.pages);
        (pages.events.len() + pages.held.len(), pages.call_count)
    }

    /// A call to a vault begins. However it ends, and be it by being dropped, it is recorded.
    pub(crate) fn call<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        version: KeyVersionId,
        purpose: Purpose,
    ) -> Calling<'a> {
        Calling { journal: self, workspace, version, purpose, asked: self.clock.now(), ended: false }
    }

    /// Keys were taken away, at this moment.
    pub(crate) fn purged(
        &self,
        workspace: &WorkspaceId,
        version: Option<KeyVersionId>,
        why: WhyPurged,
        data_keys: u64,
    ) {
        if self.bugs.has(SeededBug::ReceiptForgotten) {
            return;
        }
        let what = AuditKind::KeysPurged(KeysPurged { version, boot: self.boot, why, data_keys });
        self.note(Some(workspace), what);
    }

    /// Something happened, at this moment.
    pub(crate) fn note(&self, workspace: Option<&WorkspaceId>, what: AuditKind) {
        let at = self.clock.now().wall;
        self.put(AuditEvent { workspace: workspace.cloned(), at, actor: SERVICE.to_owned(), what });
    }

    /// Takes a place for the record of a person's use. `false`: too many wait to be written, or the workspace's chain takes none.
    pub(super) fn take_place(&self, workspace: &WorkspaceId) -> bool {
        let mut pages = lock(&self.pages);
        let takes_none = pages.held.iter().any(|event| event.workspace.as_ref() == Some(workspace));
        let room = !takes_none && pages.personal.len() + pages.personal_under_way < MOST_PERSONAL;
        pages.personal_under_way += usize::from(room);
        room
    }

    /// Whether events wait because this workspace's chain takes none: it is not what was written.
    pub(crate) fn holds_of(&self, workspace: &WorkspaceId) -> bool {
        lock(&self.pages).held.iter().any(|event| event.workspace.as_ref() == Some(workspace))
    }

    /// Puts the record in its place.
    pub(super) fn put_in_place(&self, workspace: WorkspaceId, actor: String, used: DataUsed) {
        let at = self.clock.now().wall;
        let what = AuditKind::DataUsed(used);
        let mut pages = lock(&self.pages);
        pages.personal_under_way -= 1;
        pages.personal.push_back(AuditEvent { workspace: Some(workspace), at, actor, what });
    }

    /// Whether this fault was put in.
    pub(super) fn has(&self, bug: SeededBug) -> bool {
        self.bugs.has(bug)
    }

    /// A data key was used in an hour.
    pub(crate) fn used(&self, workspace: &WorkspaceId, hour: Hour, data_key: DataKeyId, tally: &Tally) {
        let mut pages = lock(&self.pages);
        let full = pages.use_count >= MOST_USES;
        let keys = pages.uses.entry((workspace.clone(), hour)).or_default();
        match keys.get_mut(&data_key) {
            Some(counted) => counted.add(tally),
            // Its counts are in the database all the same: only the ledger's copy of them is not.
            None if full => pages.uses_left_out += 1,
            None => {
                keys.insert(data_key, *tally);
                pages.use_count += 1;
            }
        }
    }

    /// What is to be written now.
    pub(crate) fn take(&self, extent: &Extent) -> VecDeque<AuditEvent> {
        let now = self.clock.now();
        let mut pages = lock(&self.pages);
        let mut due = std::mem::take(&mut pages.events);
        due.extend(std::mem::take(&mut pages.personal));
        let tried_again = |event: &AuditEvent| match extent {
            Extent::Due => false,
            Extent::ForReading(read) => event.workspace.as_ref() == Some(read),
            Extent::Everything => true,
        };
        let all = pages.held_until <= now.boot;
        let (again, held) = std::mem::take(&mut pages.held).into_iter().partition(|event| all || tried_again(event));
        pages.held = held;
        due.extend::<VecDeque<_>>(again);
        let event = |workspace: &WorkspaceId, at, what| {
            let (workspace, actor) = (Some(workspace.clone()), SERVICE.to_owned());
            AuditEvent { workspace, at, actor, what }
        };
        let is_due = |(workspace, calls): (&WorkspaceId, &Calls)| {
            let wanted = match extent {
                Extent::Due => false,
                Extent::ForReading(read) => read == workspace,
                Extent::Everything => true,
            };
            wanted || calls.calls.len() >= CALLS_TOGETHER || calls.due.is_some_and(|due| due <= now.boot)
        };
        let ready: Vec<_> = pages
            .calls
            .iter()
            .filter(|((workspace, _), calls)| is_due((workspace, calls)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in ready {
            let Some(Calls { mut calls, mut left_out, .. }) = pages.calls.remove(&name) else { continue };
            pages.call_count -= calls.len();
            let (workspace, version) = name;
            while !calls.is_empty() || left_out > 0 {
                let rest = calls.split_off(calls.len().min(CALLS_TOGETHER));
                let called = CalledVault { version, boot: self.boot, calls, left_out: std::mem::take(&mut left_out) };
                due.push_back(event(&workspace, now.wall, AuditKind::VaultCalled(called)));
                calls = rest;
            }
        }
        let past = Hour::of(now.wall.saturating_sub(AFTER_AN_HOUR));
        let over: Vec<_> =
            pages.uses.keys().filter(|(_, hour)| *extent == Extent::Everything || *hour < past).cloned().collect();
        for name in over {
            let Some(keys) = pages.uses.remove(&name) else { continue };
            pages.use_count -= keys.len();
            let (workspace, hour) = name;
            let used = KeysUsed::of(hour, self.boot, keys.into_iter().collect());
            due.push_back(event(&workspace, now.wall, AuditKind::KeysUsed(used)));
        }
        if pages.lost > 0 {
            let count = std::mem::take(&mut pages.lost);
            let (at, actor) = (now.wall, SERVICE.to_owned());
            let what = AuditKind::EventsLost { boot: self.boot, count };
            due.push_back(AuditEvent { workspace: None, at, actor, what });
        }
        if pages.uses_left_out > 0 {
            let count = std::mem::take(&mut pages.uses_left_out);
            tracing::warn!(count, "an hour's use of data keys finds no room in the ledger; it is in the usage");
        }
        due
    }

    /// An event could not be written: it is written with the next ones.
    pub(crate) fn put(&self, event: AuditEvent) {
        let mut pages = lock(&self.pages);
        if matches!(event.what, AuditKind::DataUsed(_)) {
            pages.personal.push_back(event);
            return;
        }
        if pages.events.len() >= MOST_EVENTS {
            if pages.lost == 0 {
                tracing::error!(
                    "events for the ledger are lost: too many wait to be written; the platform's chain will say how many"
                );
            }
            pages.events.pop_front();
            pages.lost += 1;
            figures::event_lost();
        }
        pages.events.push_back(event);
    }

    /// An event's chain is not what was written: it is tried again later, and takes nobody else's room. What a person did with data is
    /// not given up: there is no more of it than was under way, since no more is begun.
    pub(crate) fn hold(&self, event: AuditEvent) {
        let until = self.clock.now().boot.saturating_add(HELD_FOR);
        let mut pages = lock(&self.pages);
        if pages.held.len() >= MOST_HELD {
            let given_up = pages.held.iter().position(|event| !matches!(event.what, AuditKind::DataUsed(_)));
            if given_up.and_then(|at| pages.held.remove(at)).is_some() {
                pages.lost += 1;
                figures::event_lost();
            }
        }
        if pages.held.is_empty() {
            pages.held_until = until;
        }
        pages.held.push_back(event);
    }

    /// What is held is given up, and counted as lost: nobody will try it again. How many events that are.
    pub(crate) fn give_up_held(&self) -> usize {
        let mut pages = lock(&self.pages);
        let count = std::mem::take(&mut pages.held).len();
        for _ in 0..count {
            pages.lost += 1;
            figures::event_lost();
        }
        count
    }

    fn called(&self, workspace: &WorkspaceId, version: KeyVersionId, call: VaultCall, asked: Moment) {
        let mut pages = lock(&self.pages);
        let full = pages.call_count >= MOST_CALLS;
        let calls = pages.calls.entry((workspace.clone(), version)).or_default();
        let wait = if call.purpose == Purpose::Probe { PROBES_WAIT } else { CALLS_WAIT };
        let due = asked.boot.saturating_add(wait);
        calls.due = Some(calls.due.map_or(due, |present| present.min(due)));
        if full {
            calls.left_out += 1;
            return;
        }
        calls.calls.push(call);
        pages.call_count += 1;
    }
}

/// A call under way.
pub(crate) struct Calling<'a> {
    journal: &'a Journal,
    workspace: &'a WorkspaceId,
    version: KeyVersionId,
    purpose: Purpose,
    asked: Moment,
    ended: bool,
}

impl Calling<'_> {
    /// The vault did it.
    pub(crate) fn done(self, trace: &Trace) {
        self.end(Some(Ok(())), trace);
    }

    /// The vault did not, or nobody knows.
    pub(crate) fn failed(mut self, why: &KeyUnavailable) {
        let nothing = Trace::default();
        let trace = why.trace().unwrap_or(&nothing);
        // The directory's answers carry ids as well: that call never came to the vault.
        let of_the_vault = trace.request_id.is_some() || trace.client_request_id.is_some();
        if of_the_vault && trace.correlation_id.is_none() {
            return self.end(Some(Err(why.reason())), trace);
        }
        match why {
            // It may have arrived.
            KeyUnavailable::TimedOut { .. } | KeyUnavailable::Unreachable | KeyUnavailable::AnswerInvalid { .. } => {
                self.end(None, trace);
            }
            // It was not sent: somebody else than the vault said no.
            _ => self.ended = true,
        }
    }

    /// However it ended.
    pub(crate) fn ended<T>(self, answer: &Result<T, KeyUnavailable>, trace: impl FnOnce(&T) -> &Trace) {
        let took = self.journal.clock.now().since(self.asked);
        figures::vault_called(self.purpose, answer.as_ref().map(drop).map_err(KeyUnavailable::class), took);
        match answer {
            Ok(done) => self.done(trace(done)),
            Err(why) => self.failed(why),
        }
    }

    fn end(mut self, outcome: Option<Result<(), Reason>>, trace: &Trace) {
        self.write(outcome, trace);
    }

    fn write(&mut self, outcome: Option<Result<(), Reason>>, trace: &Trace) {
        self.ended = true;
        let forgotten = self.journal.bugs.has(SeededBug::RequestIdForgotten);
        let request_id = trace.request_id.clone().filter(|_| !forgotten);
        let client_request_id = trace.client_request_id.clone();
        let at: Timestamp = self.asked.wall;
        let call = VaultCall { purpose: self.purpose, at, outcome, request_id, client_request_id };
        self.journal.called(self.workspace, self.version, call, self.asked);
    }
}

/// Whoever asked gave up: the vault may have done it all the same.
impl Drop for Calling<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.write(None, &Trace::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Moment {
            let seconds = self.0.load(Ordering::Relaxed);
            let wall = Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000);
            Moment { wall, boot: Duration::from_secs(seconds) }
        }
    }

    fn journal() -> (Arc<Hand>, Journal) {
        let clock = Arc::new(Hand::default());
        (clock.clone(), Journal::new(clock, BootId::from_bytes([1; 16]), Bugs::default()))
    }

    fn calls(due: &VecDeque<AuditEvent>) -> Vec<&CalledVault> {
        let called = |event| match event {
            &AuditEvent { what: AuditKind::VaultCalled(ref called), .. } => Some(called),
            _ => None,
        };
        due.iter().filter_map(called).collect()
    }

    const VERSION: KeyVersionId = KeyVersionId::from_bytes([9; 16]);

    /// Unwraps are written within seconds and many together; probes alone wait for minutes.
    #[test]
    fn calls_are_written_together_and_in_time() {
        let (clock, journal) = journal();
        let acme = "acme".parse().unwrap();
        for n in 0..20 {
            clock.0.store(n * 20, Ordering::Relaxed);
            journal.call(&acme, VERSION, Purpose::Probe).done(&Trace::of_vault(Some("r")));
            assert_eq!(journal.take(&Extent::Due).len(), usize::from(n == 15), "after {} s", n * 20);
        }
        journal.take(&Extent::Everything);
        clock.0.store(1_000, Ordering::Relaxed);
        journal.call(&acme, VERSION, Purpose::Unwrap).done(&Trace::of_vault(Some("r")));
        assert!(journal.take(&Extent::Due).is_empty());
        clock.0.store(1_010, Ordering::Relaxed);
        assert_eq!(calls(&journal.take(&Extent::Due)).len(), 1);
    }

    /// A flood is bounded in memory and in events, and what was left out is counted.
    #[test]
    fn a_flood_of_calls_is_bounded_and_what_is_left_out_is_counted() {
        let (_, journal) = journal();
        let acme = "acme".parse().unwrap();
        for _ in 0..MOST_CALLS + 7 {
            journal.call(&acme, VERSION, Purpose::Unwrap).done(&Trace::of_vault(Some("r")));
        }
        let due = journal.take(&Extent::Due);
        let called = calls(&due);
        assert_eq!(called.len(), MOST_CALLS / CALLS_TOGETHER);
        assert_eq!(called.iter().map(|called| called.left_out).sum::<u64>(), 7);
        for _ in 0..2 * MOST_EVENTS {
            journal.purged(&acme, None, WhyPurged::Lapsed, 1);
        }
        let due = journal.take(&Extent::Due);
        assert_eq!(due.len(), MOST_EVENTS + 1);
        let Some(AuditEvent { workspace: None, what: AuditKind::EventsLost { count, .. }, .. }) = due.back() else {
            panic!("{:?}", due.back())
        };
        assert_eq!(*count, MOST_EVENTS as u64, "how many were lost is said");
    }

    /// Where one workspace's calls have taken all the room, another's are counted at least.
    #[test]
    fn a_flood_hides_nobodys_calls() {
        let (_, journal) = journal();
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        for _ in 0..MOST_CALLS {
            journal.call(&acme, VERSION, Purpose::Unwrap).done(&Trace::of_vault(Some("r")));
        }
        journal.call(&globex, VERSION, Purpose::Unwrap).done(&Trace::of_vault(Some("r")));
        let due = journal.take(&Extent::Everything);
        let of_globex = due.iter().find(|event| event.workspace.as_ref() == Some(&globex));
        let Some(AuditEvent { what: AuditKind::VaultCalled(called), .. }) = of_globex else { panic!("{of_globex:?}") };
        assert_eq!((called.calls.len(), called.left_out), (0, 1));
    }

    /// What a chain does not take waits apart and is tried again later: it takes nobody else's room. No more of what persons do is begun
    /// where it could not be recorded, and what is given up is counted.
    #[test]
    fn what_a_chain_does_not_take_is_in_nobody_elses_way() {
        let (clock, journal) = journal();
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        journal.purged(&acme, None, WhyPurged::Lapsed, 1);
        let event = journal.take(&Extent::Due).pop_front().unwrap();
        (0..MOST_HELD + 3).for_each(|_| journal.hold(event.clone()));
        assert!(!journal.take_place(&acme) && journal.take_place(&globex));
        let due = journal.take(&Extent::Due);
        let Some(AuditEvent { what: AuditKind::EventsLost { count: 3, .. }, .. }) = due.front() else {
            panic!("{due:?}")
        };
        assert_eq!((due.len(), journal.take(&Extent::ForReading(globex)).len()), (1, 0));
        clock.0.store(HELD_FOR.as_secs(), Ordering::Relaxed);
        assert_eq!(journal.take(&Extent::Due).len(), MOST_HELD);
        assert!(journal.take_place(&acme) && journal.take(&Extent::Everything).is_empty());
    }

    /// Who reads one chain has nothing written into another's before its time.
    #[test]
    fn a_reader_of_one_chain_moves_no_other() {
        let (_, journal) = journal();
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        for workspace in [&acme, &globex] {
            journal.call(workspace, VERSION, Purpose::Probe).done(&Trace::of_vault(Some("r")));
        }
        let read = |workspace: &WorkspaceId| journal.take(&Extent::ForReading(workspace.clone())).len();
        assert_eq!((read(&acme), read(&acme), read(&globex)), (1, 0, 1));
    }

    /// A call that was given up is in the ledger as one without an answer: the vault may have done it. One that was never sent is
    /// not.
    #[test]
    fn a_call_that_was_given_up_is_recorded() {
        let (_, journal) = journal();
        let acme = "acme".parse().unwrap();
        drop(journal.call(&acme, VERSION, Purpose::Unwrap));
        let of_directory = Trace::of_directory(Some("e-1"), Some("c-1"));
        journal.call(&acme, VERSION, Purpose::Wrap).failed(&KeyUnavailable::ConsentMissing(of_directory));
        journal.call(&acme, VERSION, Purpose::Wrap).failed(&KeyUnavailable::ConsentMissing(Trace::default()));
        journal.call(&acme, VERSION, Purpose::Wrap).failed(&KeyUnavailable::Disabled(Trace::of_vault(Some("r-1"))));
        let due = journal.take(&Extent::Everything);
        let outcomes: Vec<_> = calls(&due)[0].calls.iter().map(|call| call.outcome).collect();
        assert_eq!(outcomes, [None, Some(Err(Reason::KeyDisabled))]);
    }

    /// An hour's uses are one event, after the hour.
    #[test]
    fn uses_are_one_event_an_hour() {
        let (clock, journal) = journal();
        let acme = "acme".parse().unwrap();
        let tally = Tally { seals: 3, ..Tally::default() };
        for n in 0..10u8 {
            journal.used(&acme, Hour::of_number(0), DataKeyId::from_bytes([n % 2; 16]), &tally);
        }
        clock.0.store(3_600 + 60, Ordering::Relaxed);
        assert!(journal.take(&Extent::Due).is_empty(), "counts of the hour's end may still come in");
        clock.0.store(3_600 + 121, Ordering::Relaxed);
        let due = journal.take(&Extent::Due);
        let Some(AuditEvent { what: AuditKind::KeysUsed(used), .. }) = due.front().filter(|_| due.len() == 1) else {
            panic!("{due:?}")
        };
        assert_eq!((used.keys.len(), used.keys[0].1.seals), (2, 15));
    }
}
