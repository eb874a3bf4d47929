//! Where open data keys are found without a lock, and how they are taken away.
//!
//! A reader borrows a key for the time of its closure and writes nothing that another thread reads. Whoever takes keys away
//! empties the cells; each key is then wiped by the last reader that lets go of it, at once if there is none.

mod forget;
mod probed;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use domain::lease::{Generation, KeyLease};
use domain::ledger::WhyPurged;
use domain::{AppId, DataKeyId, KeyVersionId, Moment, WorkspaceId};
use foldhash::fast::RandomState;
use store::RecordedDenial;
use vault::KeyUnavailable;

pub(crate) use self::probed::LeaseNews;
use super::control::ControlLease;
use super::journal::Journal;
use super::lease::VersionLease;
use super::name::{AppLabel, DataKeyLabel};
use super::probing::Pace;
use super::standing::{Denial, Held, Stamp, Version, WorkspaceState};
use super::{AppRef, DataKeyRef, OpenKey, Standing, lock};
use crate::seeded_bug::{Bugs, SeededBug};

/// Open data keys by name, and by the app that encrypts under them.
pub(crate) struct KeyTable {
    open: papaya::HashMap<DataKeyLabel, ArcSwapOption<OpenKey>, RandomState>,
    sealing: papaya::HashMap<AppLabel, Sealing, RandomState>,
    workspaces: papaya::HashMap<WorkspaceId, Arc<WorkspaceState>, RandomState>,
    platform_lease: Arc<VersionLease>,
    vault_calls: usize,
    control: Arc<ControlLease>,
    pace: Pace,
    journal: Arc<Journal>,
    bugs: Bugs,
}

/// The key an app encrypts under, and when the store said so.
struct Sealing {
    key: ArcSwapOption<OpenKey>,
    stamp: Stamp,
}

/// A proof that the owner of a key version let us use it: the lease it gives, and the generation it was asked in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof {
    pub(crate) version: KeyVersionId,
    pub(crate) lease: KeyLease,
    pub(crate) asked_in: Generation,
}

/// What a proof was asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// A data key's unwrap: shows that the token at hand opens the vault.
    Unwrap,
    /// A challenge, and beside it what a kept token and an older version would hide.
    Probe,
}

/// Why a key did not enter the table.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    /// Something changed for the workspace since it was read.
    Moved,
    /// Its version was denied since the unwrap began (I-9).
    Denied(KeyUnavailable),
}

impl KeyTable {
    pub(crate) fn new(
        vault_calls: usize,
        control: Arc<ControlLease>,
        pace: Pace,
        journal: Arc<Journal>,
        bugs: Bugs,
    ) -> Self {
        Self {
            open: map(),
            sealing: map(),
            workspaces: map(),
            platform_lease: Arc::new(VersionLease::unbounded()),
            vault_calls,
            control,
            pace,
            journal,
            bugs,
        }
    }

    /// Lends an open key to `f`. `None`: there is none.
    #[inline]
    pub(crate) fn with_open<T>(&self, key: DataKeyRef<'_>, f: impl FnOnce(&OpenKey) -> T) -> Option<T> {
        let guard = self.open.guard();
        let held = self.open.get(&key, &guard)?.load();
        held.as_deref().map(f)
    }

    /// Lends the key that an app encrypts under, with the stamp that says so.
    #[inline]
    pub(crate) fn with_sealing<T>(&self, app: AppRef<'_>, f: impl FnOnce(&OpenKey, &Stamp) -> T) -> Option<T> {
        let guard = self.sealing.guard();
        let found = if self.bugs.has(SeededBug::WorkspaceForgotten) {
            self.sealing.iter(&guard).find(|(label, _)| label.is_of_app(app.app)).map(|(_, sealing)| sealing)
        } else {
            self.sealing.get(&app, &guard)
        };
        let sealing = found?;
        let held = sealing.key.load();
        held.as_deref().map(|key| f(key, &sealing.stamp))
    }

    /// What is kept of a workspace, if anything is.
    pub(crate) fn workspace(&self, id: &WorkspaceId) -> Option<Arc<WorkspaceState>> {
        self.workspaces.pin().get(id).cloned()
    }

    /// What is kept of a workspace that is known to exist: strangers' names must not fill the memory.
    pub(crate) fn existing_workspace(&self, id: &WorkspaceId) -> Arc<WorkspaceState> {
        let fresh = || Arc::new(WorkspaceState::new(id.clone(), self.vault_calls, self.control.clone()));
        self.workspaces.pin().get_or_insert_with(id.clone(), fresh).clone()
    }

    /// The lease a key is served under: its version's, or the platform's.
    pub(crate) fn lease_of(&self, workspace: &WorkspaceState, version: Option<KeyVersionId>) -> Arc<VersionLease> {
        match version {
            Some(version) => lock(&workspace.held).lease(version),
            None => self.platform_lease.clone(),
        }
    }

    /// Takes in an open key, unless what it rests on has changed. A proof renews the lease of every key under its version.
    pub(crate) fn admit(
        &self,
        name: DataKeyRef<'_>,
        key: OpenKey,
        proof: Option<Proof>,
        standing: &Standing,
    ) -> Result<(), NotAdmitted> {
        let workspace = &standing.workspace;
        let mut held = lock(&workspace.held);
        if workspace.epoch() != standing.epoch {
            return Err(NotAdmitted::Moved);
        }
        if let Some(proof) = proof {
            self.take_proof(&mut held, proof, By::Unwrap)?;
        }
        held.keys.insert((name.app.app.clone(), name.id), key.version);
        let open = self.open.pin();
        let cell = open.get_or_insert_with(name.into(), ArcSwapOption::empty);
        match &*cell.load() {
            // The same key is here already: readers and the count of its messages stay with it.
            Some(present) if present.version == key.version => present.stamp.set(standing),
            // A rotation gave it another version: from now on it is served under that one's lease.
            Some(present) => {
                let key = key.continuing(present);
                key.stamp.set(standing);
                self.replace(name, cell, key);
            }
            None => cell.store(Some(Arc::new(key))),
        }
        Ok(())
    }

    /// Puts an open key in the place of the same one under another version, for those who seal under it too.
    fn replace(&self, name: DataKeyRef<'_>, cell: &ArcSwapOption<OpenKey>, key: OpenKey) {
        let key = Arc::new(key);
        cell.store(Some(key.clone()));
        let sealing = self.sealing.pin();
        if let Some(sealing) = sealing.get(&name.app)
            && sealing.key.load().as_deref().is_some_and(|present| present.id() == name.id)
        {
            sealing.key.store(Some(key));
        }
    }

    /// A data key got a wrapping by another version, which has just unwrapped it: an open one goes on under that version's
    /// lease. One that is not open stays so.
    pub(crate) fn go_under(
        &self,
        workspace: &Arc<WorkspaceState>,
        name: DataKeyRef<'_>,
        secret: secmem::Locked<envelope::ExpandedKey>,
        proof: Proof,
    ) {
        let mut held = lock(&workspace.held);
        if self.take_proof(&mut held, proof, By::Unwrap).is_err() {
            return;
        }
        let open = self.open.pin();
        let Some(cell) = open.get(&name) else { return };
        let Some(present) = cell.load_full().filter(|present| present.version != Some(proof.version)) else { return };
        let under = (present.protection, Some(proof.version));
        let lease = held.lease(proof.version);
        let key = OpenKey::new(name.id, under, secret, lease, workspace.clone(), Stamp::stale()).continuing(&present);
        held.keys.insert((name.app.app.clone(), name.id), Some(proof.version));
        self.replace(name, cell, key);
    }

    /// A workspace's open data keys under another version than `to`, those that sealed most first.
    pub(crate) fn most_used(&self, workspace: &WorkspaceId, to: KeyVersionId) -> Vec<(AppId, DataKeyId)> {
        let Some(state) = self.workspace(workspace) else { return Vec::new() };
        let mut others: Vec<_> = {
            let held = lock(&state.held);
            let others = held.keys.iter().filter(|(_, under)| under.is_some_and(|version| version != to));
            others.map(|(name, _)| name.clone()).collect()
        };
        others.sort_by_cached_key(|(app, id)| {
            let name = AppRef { workspace, app }.data_key(*id);
            std::cmp::Reverse(self.with_open(name, OpenKey::sealed).unwrap_or(0))
        });
        others
    }

    /// Renews a version's lease by a probe's proof, unless it was denied since.
    pub(crate) fn renew(&self, workspace: &WorkspaceState, proof: Proof) -> Result<(), NotAdmitted> {
        self.take_proof(&mut lock(&workspace.held), proof, By::Probe)
    }

    fn take_proof(&self, held: &mut Held, proof: Proof, by: By) -> Result<(), NotAdmitted> {
        let lease = held.lease(proof.version);
        let Some(version) = held.versions.get_mut(&proof.version) else { return Err(NotAdmitted::Moved) };
        if !proof.asked_in.is_still(lease.generation()) && !self.bugs.has(SeededBug::OlderGenerationAdmitted) {
            let denied = version.denial.as_ref().map(|denial| NotAdmitted::Denied(denial.why.clone()));
            // Denied and proven again meanwhile, both while this one was under way: ask anew.
            return Err(denied.unwrap_or(NotAdmitted::Moved));
        }
        let asked_at = proof.lease.asked_at();
        let denial = version.denial.as_mut().filter(|_| !self.bugs.has(SeededBug::OlderGenerationAdmitted));
        if let Some(denial) = denial {
            // A kept token unwraps for an hour after consent was withdrawn: whoever has not asked for it says no yes.
            if by == By::Unwrap && !self.bugs.has(SeededBug::UnwrapReadmits) {
                return Err(NotAdmitted::Denied(denial.why.clone()));
            }
            // One yes may be a replica of the vault that has not heard of the no yet: two of them, some time apart.
            let first = *denial.first_yes.get_or_insert(asked_at);
            let apart = asked_at.boot.saturating_sub(first.boot);
            if apart < self.pace.again && !self.bugs.has(SeededBug::ReadmittedAtOnce) {
                version.probing.half_admitted(first, self.pace);
                denial.asked_at = asked_at;
                return Err(NotAdmitted::Denied(denial.why.clone()));
            }
        }
        lease.renew(proof.lease);
        if let Some(bound) = held.bound {
            lease.shorten(bound);
        }
        if by == By::Probe {
            lease.settle();
        }
        version.denial = None;
        // Any byte of the time in microseconds is as good as chance to keep replicas out of step.
        // A short lease is renewed before it ends, within reason.
        let every = self.pace.every.min((proof.lease.length() / 2).max(Duration::from_secs(1)));
        let pace = Pace { every, ..self.pace };
        let chance = asked_at.boot.as_micros().to_le_bytes()[0];
        match by {
            By::Unwrap if !self.bugs.has(SeededBug::UnwrapsCountAsProbes) => {
                version.probing.unwrapped(asked_at, pace, chance);
            }
            By::Unwrap | By::Probe => version.probing.succeeded(asked_at, pace, chance),
        }
        Ok(())
    }

    /// Notes that the store still has a key's app. `false`: the key is not here, or something changed since the reading.
    pub(crate) fn restamp(&self, key: DataKeyRef<'_>, standing: &Standing) -> bool {
        let _held = lock(&standing.workspace.held);
        standing.workspace.epoch() == standing.epoch && self.with_open(key, |key| key.stamp.set(standing)).is_some()
    }

    /// From now on the app encrypts under this open key. `false`: it is not here any more, or something changed since.
    pub(crate) fn seal_under(&self, key: DataKeyRef<'_>, standing: &Standing) -> bool {
        let _held = lock(&standing.workspace.held);
        if standing.workspace.epoch() != standing.epoch && !self.bugs.has(SeededBug::ProtectionCrosses) {
            return false;
        }
        let open = self.open.pin();
        let Some(present) = open.get(&key).and_then(|cell| cell.load_full()) else { return false };
        let sealing = self.sealing.pin();
        let fresh = || Sealing { key: ArcSwapOption::empty(), stamp: Stamp::stale() };
        let cell = sealing.get_or_insert_with(key.app.into(), fresh);
        let id = present.id();
        cell.key.store(Some(present));
        cell.stamp.set_for(id, standing);
        true
    }

    /// Ends a version's lease, raises its generation and takes away every key under it. `true`: the audit chain does not
    /// have this denial yet. `None`, and nothing done: the workspace changed since the epoch in which the denial was judged.
    pub(crate) fn deny(
        &self,
        workspace: &WorkspaceState,
        version: KeyVersionId,
        why: &KeyUnavailable,
        now: Moment,
        judged_in: Option<u64>,
    ) -> Option<bool> {
        let mut held = lock(&workspace.held);
        if judged_in.is_some_and(|epoch| epoch != workspace.epoch()) {
            return None;
        }
        held.lease(version).deny();
        workspace.denied();
        self.take_away(workspace, &mut held, WhyPurged::Denied, |_, under| under == Some(version));
        let version = held.version(version);
        let pace = if self.bugs.has(SeededBug::NeverAskedAgain) { Pace::HOURLY } else { self.pace };
        version.probing.failed(now, pace, None);
        Some(Self::is_news(&mut version.denial, why, now))
    }

    /// Another replica recorded that the version was denied: about the key itself it is a fact, and holds here as well;
    /// about the way to it, or where the version said yes here since, it is a hint to ask now.
    pub(crate) fn heard_of_denial(
        &self,
        id: &WorkspaceId,
        heard: &RecordedDenial,
        fact: Option<&KeyUnavailable>,
        now: Moment,
    ) {
        let Some(workspace) = self.workspace(id) else { return };
        let (mut held, version) = (lock(&workspace.held), heard.version);
        // The probe that this brings about asks for consent as well, whenever it was asked for last.
        held.consented.clear();
        let Some(known) = held.versions.get_mut(&version) else { return };
        if known.denial.is_some() {
            return; // Its own, most likely.
        }
        known.probing.now();
        let overtaken = known.probing.last_probe().is_some_and(|yes| yes.wall > heard.at);
        let Some(why) = fact.filter(|_| !overtaken) else { return };
        known.lease.deny();
        workspace.denied();
        // Recorded: by who saw it.
        known.denial =
            Some(Denial { why: why.clone(), recorded: true, since: now.wall, asked_at: now, first_yes: None });
        self.take_away(&workspace, &mut held, WhyPurged::Denied, |_, under| under == Some(version));
    }

    /// Why the version is refused, and when it was last asked about, while it is.
    pub(crate) fn denial(&self, workspace: &WorkspaceState, version: KeyVersionId) -> Option<(KeyUnavailable, Moment)> {
        let held = lock(&workspace.held);
        let denial = held.versions.get(&version)?.denial.as_ref()?;
        Some((denial.why.clone(), denial.asked_at))
    }

    /// A version refuses to wrap and goes on unwrapping: its keys stay. `true`: the audit chain does not have it yet.
    pub(crate) fn deny_wrapping(
        &self,
        workspace: &WorkspaceState,
        version: KeyVersionId,
        why: &KeyUnavailable,
        now: Moment,
    ) -> bool {
        Self::is_news(&mut lock(&workspace.held).version(version).wraps_no_more, why, now)
    }

    fn is_news(denial: &mut Option<Denial>, why: &KeyUnavailable, now: Moment) -> bool {
        let news = denial.as_ref().is_none_or(|denial| !denial.recorded);
        let since = denial.as_ref().map_or(now.wall, |denial| denial.since);
        *denial = Some(Denial { why: why.clone(), recorded: true, since, asked_at: now, first_yes: None });
        news
    }

    /// A version wrapped.
    pub(crate) fn wraps(&self, workspace: &WorkspaceState, version: KeyVersionId) {
        if let Some(version) = lock(&workspace.held).versions.get_mut(&version) {
            version.wraps_no_more = None;
        }
    }

    /// The audit chain did not take a denial: the next one is news again.
    pub(crate) fn not_recorded(&self, workspace: &WorkspaceState, version: KeyVersionId) {
        if let Some(Version { denial, wraps_no_more, .. }) = lock(&workspace.held).versions.get_mut(&version) {
            denial.iter_mut().chain(wraps_no_more).for_each(|denial| denial.recorded = false);
        }
    }

    /// Something about the workspace changed, durably: what was read before is stale, and keys of `deleted` are taken away.
    pub(crate) fn changed(&self, workspace: &WorkspaceId, change: Change<'_>) {
        let Some(workspace) = self.workspace(workspace) else { return };
        let mut held = lock(&workspace.held);
        if !self.bugs.has(SeededBug::ProtectionCrosses) || !matches!(change, Change::Key { .. } | Change::Selection) {
            workspace.changed();
        }
        match change {
            Change::Selection => {}
            Change::Revoked => self.take_away(&workspace, &mut held, WhyPurged::Revoked, |_, under| under.is_some()),
            Change::Key { lease } => {
                held.bound = Some(lease);
                held.versions.values().for_each(|version| version.lease.shorten(lease));
            }
            Change::Unknown => {}
            Change::AppDeleted(app) => {
                self.take_away(&workspace, &mut held, WhyPurged::AppDeleted, |key_app, _| key_app == app);
            }
            Change::WorkspaceDeleted => {
                self.take_away(&workspace, &mut held, WhyPurged::WorkspaceDeleted, |_, _| true);
            }
            Change::DataKeyDestroyed(app, id) => self.forget(&workspace, &mut held, app, id),
            // What the directory said of one application says nothing of another.
            Change::Application => held.consented.clear(),
        }
    }

    /// Takes away every key of the customer's side: it is switched off, and another replica was told first.
    pub(crate) fn switch_off(&self, workspace: &WorkspaceState) {
        self.take_away(workspace, &mut lock(&workspace.held), WhyPurged::Revoked, |_, under| under.is_some());
    }

    /// Takes away the keys whose lease ended more than `ago` ago: nobody uses them, and nobody renews them.
    pub(crate) fn take_away_lapsed(&self, now: Moment, ago: Duration) {
        let workspaces: Vec<_> = self.workspaces.pin().values().cloned().collect();
        for workspace in workspaces {
            let mut held = lock(&workspace.held);
            let lapsed: Vec<_> =
                held.versions.iter().filter(|(_, v)| v.lease.lapsed(now, ago)).map(|(id, _)| *id).collect();
            if lapsed.is_empty() {
                continue;
            }
            let under_one = |_: &AppId, under: Option<KeyVersionId>| under.is_some_and(|under| lapsed.contains(&under));
            self.take_away(&workspace, &mut held, WhyPurged::Lapsed, under_one);
        }
    }

    /// What is left of the shortest lease in use.
    pub(crate) fn shortest_lease(&self, now: Moment) -> Option<Duration> {
        let workspaces: Vec<_> = self.workspaces.pin().values().cloned().collect();
        let shortest = |workspace: &Arc<WorkspaceState>| {
            let held = lock(&workspace.held);
            held.versions.values().filter_map(|version| version.lease.left(now)).min()
        };
        workspaces.iter().filter_map(shortest).min()
    }

    /// How many data keys are open.
    pub(crate) fn count(&self) -> usize {
        let workspaces: Vec<_> = self.workspaces.pin().values().cloned().collect();
        workspaces.iter().map(|workspace| lock(&workspace.held).keys.len()).sum()
    }

    fn take_away(
        &self,
        workspace: &WorkspaceState,
        held: &mut Held,
        why: WhyPurged,
        which: impl Fn(&AppId, Option<KeyVersionId>) -> bool,
    ) {
        let mut gone: HashMap<Option<KeyVersionId>, u64> = HashMap::new();
        let (open, sealing) = (self.open.pin(), self.sealing.pin());
        held.keys.retain(|(app, id), under| {
            if !which(app, *under) {
                return true;
            }
            let app = AppRef { workspace: &workspace.id, app };
            // The map frees its own memory when it likes; the secret goes with its cell's content, now.
            if let Some(cell) = sealing.get(&app)
                && cell.key.load().as_deref().is_some_and(|key| key.id() == *id)
            {
                cell.key.store(None);
                sealing.remove(&app);
            }
            if let Some(cell) = open.get(&app.data_key(*id)) {
                cell.store(None);
                open.remove(&app.data_key(*id));
            }
            *gone.entry(*under).or_default() += 1;
            false
        });
        for (version, count) in gone {
            self.journal.purged(&workspace.id, version, why, count);
        }
    }
}

/// A map that grows in one go. Grown bit by bit it would stay half moved until enough is written again, and every look-up
/// would search two tables until then.
fn map<K: Hash + Eq, V>() -> papaya::HashMap<K, V, RandomState> {
    papaya::HashMap::builder().hasher(RandomState::default()).resize_mode(papaya::ResizeMode::Blocking).build()
}

/// What changed about a workspace.
pub(crate) enum Change<'a> {
    /// A key configuration came into force, or its bound on leases changed.
    Key {
        /// The bound from now on.
        lease: Duration,
    },
    /// It changed which apps are under the customer's key, or the key was switched on again.
    Selection,
    /// The customer's key was switched off here.
    Revoked,
    /// An app or bot was deleted.
    AppDeleted(&'a AppId),
    /// The workspace was deleted.
    WorkspaceDeleted,
    /// Something did that could not be read: whoever uses it next reads it anew.
    Unknown,
    /// A data key was destroyed.
    DataKeyDestroyed(&'a AppId, DataKeyId),
    /// It is asked as somebody else from now on, or may be.
    Application,
}
