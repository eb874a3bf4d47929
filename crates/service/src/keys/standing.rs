//! What the store last said of an app and its workspace, and whether that is fresh enough to act on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::key_life::Ruled;
use domain::{AppId, DataKeyId, KeyConfig, KeyLocation, KeyVersionId, Moment, TenantId, Timestamp, WorkspaceId};
use tokio::sync::Semaphore;
use vault::KeyUnavailable;

use super::control::ControlLease;
use super::lease::VersionLease;
use super::probe::Target;
use super::probing::Probing;

/// What this process keeps of one workspace.
pub(crate) struct WorkspaceState {
    pub(crate) id: WorkspaceId,
    /// Counts what changed for it by this process: a deletion, a configuration. Whatever was read before is stale then.
    epoch: AtomicU64,
    /// Counts its vault's denials, of any version: work begun before one is not joined after it.
    denials: AtomicU64,
    /// Its share of calls to its vault. A hanging vault uses up its own workspace's and no other's.
    pub(crate) vault_calls: Semaphore,
    /// Probes have places of their own: they never wait behind what serves requests.
    pub(crate) probe_lane: Semaphore,
    /// The replica's own lease, beside which no reading is good.
    pub(crate) control: Arc<ControlLease>,
    pub(crate) held: Mutex<Held>,
}

/// Which keys are in memory, by what can take them away.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) versions: HashMap<KeyVersionId, Version>,
    /// Each open data key, and the version it is under.
    pub(crate) keys: HashMap<(AppId, DataKeyId), Option<KeyVersionId>>,
    /// When a token that was issued then was last asked for with success, in each tenant.
    pub(crate) consented: HashMap<TenantId, Moment>,
    /// The newest version of each key that was seen enabled.
    pub(crate) newest_enabled: HashMap<KeyLocation, KeyVersionId>,
    /// The workspace's bound on leases, once it was changed: proofs that were asked for under the one before keep to it too.
    pub(crate) bound: Option<Duration>,
}

/// A version of the customer's key.
pub(crate) struct Version {
    pub(crate) lease: Arc<VersionLease>,
    /// Set while the last answer was a denial.
    pub(crate) denial: Option<Denial>,
    /// Set while the last answer to a wrap was one that stops wrapping only: the version expired, and still unwraps.
    pub(crate) wraps_no_more: Option<Denial>,
    /// When it is asked about next.
    pub(crate) probing: Probing,
    /// Where and with which public half.
    pub(crate) target: Option<Arc<Target>>,
    /// Whether the ledger has it that its lease was lost and has not come back.
    pub(crate) lost: bool,
}

/// A denial, and whether the audit chain has it.
pub(crate) struct Denial {
    pub(crate) why: KeyUnavailable,
    pub(crate) recorded: bool,
    /// When it began.
    pub(crate) since: Timestamp,
    /// When the version was last asked about.
    pub(crate) asked_at: Moment,
    /// When the first success after it was asked for, if there was one.
    pub(crate) first_yes: Option<Moment>,
}

/// Probes of one workspace that may be under way at once. A workspace has few key versions in use.
const PROBE_LANE: usize = 4;

impl WorkspaceState {
    pub(crate) fn new(id: WorkspaceId, vault_calls: usize, control: Arc<ControlLease>) -> Self {
        Self {
            id,
            epoch: AtomicU64::new(0),
            denials: AtomicU64::new(0),
            vault_calls: Semaphore::new(vault_calls),
            probe_lane: Semaphore::new(PROBE_LANE),
            control,
            held: Mutex::default(),
        }
    }

    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Makes everything read before stale. Called under the lock on `held`, after the change is durable.
    pub(crate) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn denials(&self) -> u64 {
        self.denials.load(Ordering::Acquire)
    }

    pub(crate) fn denied(&self) {
        self.denials.fetch_add(1, Ordering::AcqRel);
    }
}

impl Held {
    /// The lease of a version, made when it is first asked for.
    pub(crate) fn lease(&mut self, version: KeyVersionId) -> Arc<VersionLease> {
        self.version(version).lease.clone()
    }

    /// What is kept of a version, made when it is first asked for.
    pub(crate) fn version(&mut self, version: KeyVersionId) -> &mut Version {
        let fresh = || Version {
            lease: Arc::new(VersionLease::unproven()),
            denial: None,
            wraps_no_more: None,
            probing: Probing::default(),
            target: None,
            lost: false,
        };
        self.versions.entry(version).or_insert_with(fresh)
    }
}

/// What the store said of a live app: in which epoch of its workspace, when it was asked, and under which key its new data is.
#[derive(Clone)]
pub(crate) struct Standing {
    pub(crate) workspace: Arc<WorkspaceState>,
    pub(crate) epoch: u64,
    pub(crate) asked_at: Moment,
    pub(crate) config: Option<KeyConfig>,
    /// Under whose key its new data is, and from when until when by this replica's clock.
    pub(crate) ruled: Ruled,
    /// Whether the customer's key is switched off here.
    pub(crate) revoked: bool,
}

/// Epoch and time of a reading, as something many threads read and few renew.
pub(crate) struct Stamp {
    epoch: AtomicU64,
    boot: AtomicU64,
    wall: AtomicI64,
    /// The real time within which what was ruled holds.
    from: AtomicI64,
    until: AtomicI64,
    /// The data key that it says this of, where it says it of one.
    of: [AtomicU64; 2],
}

impl Stamp {
    /// Of nothing: never fresh.
    pub(crate) fn stale() -> Self {
        let (epoch, boot, wall) = (AtomicU64::new(u64::MAX), AtomicU64::new(0), AtomicI64::new(0));
        let (from, until) = (AtomicI64::new(i64::MAX), AtomicI64::new(i64::MIN));
        Self { epoch, boot, wall, from, until, of: Default::default() }
    }

    pub(crate) fn of(standing: &Standing) -> Self {
        let stamp = Self::stale();
        stamp.set(standing);
        stamp
    }

    /// Takes over a newer reading. Called under the workspace's lock.
    pub(crate) fn set(&self, standing: &Standing) {
        let boot = u64::try_from(standing.asked_at.boot.as_micros()).unwrap_or(0);
        self.boot.store(boot, Ordering::Release);
        self.wall.store(standing.asked_at.wall.micros(), Ordering::Release);
        self.from.store(standing.ruled.from.micros(), Ordering::Release);
        self.until.store(standing.ruled.until.micros(), Ordering::Release);
        // Last: a reader that sees the new epoch sees the new times.
        self.epoch.store(standing.epoch, Ordering::Release);
    }

    /// As [`Stamp::set`], of this data key. Another may have been in its place, and may still be in somebody's hands: whoever
    /// sees what is said now sees of which key.
    pub(crate) fn set_for(&self, key: DataKeyId, standing: &Standing) {
        for (half, value) in self.of.iter().zip(halves(key)) {
            half.store(value, Ordering::Release);
        }
        self.set(standing);
    }

    /// Whether it speaks of this data key. Asked after everything else it says.
    #[inline]
    pub(crate) fn is_of(&self, key: DataKeyId) -> bool {
        self.of.iter().zip(halves(key)).all(|(half, value)| half.load(Ordering::Acquire) == value)
    }

    /// Takes over what another says. Called under the workspace's lock.
    pub(crate) fn take_over(&self, other: &Self) {
        self.boot.store(other.boot.load(Ordering::Acquire), Ordering::Release);
        self.wall.store(other.wall.load(Ordering::Acquire), Ordering::Release);
        self.from.store(other.from.load(Ordering::Acquire), Ordering::Release);
        self.until.store(other.until.load(Ordering::Acquire), Ordering::Release);
        self.epoch.store(other.epoch.load(Ordering::Acquire), Ordering::Release);
    }

    /// Whether what was ruled about the app's new data holds at `now` (I-20). A key goes on opening what it sealed.
    #[inline]
    pub(crate) fn rules(&self, now: Moment) -> bool {
        let now = now.wall.micros();
        self.from.load(Ordering::Acquire) <= now && now < self.until.load(Ordering::Acquire)
    }

    /// Whether nothing changed since, as far as this process knows; whether the reading is at most C old (I-2), and this
    /// replica knows of every change older than C (I-13).
    #[inline]
    pub(crate) fn is_fresh(&self, workspace: &WorkspaceState, now: Moment) -> bool {
        let control = &*workspace.control;
        self.epoch.load(Ordering::Acquire) == workspace.epoch() && control.holds(now) && {
            let wall = Timestamp::from_micros(self.wall.load(Ordering::Acquire));
            let boot = Duration::from_micros(self.boot.load(Ordering::Acquire));
            now.since(Moment { wall, boot }) <= control.length() || control.ignored()
        }
    }
}

#[inline]
fn halves(key: DataKeyId) -> [u64; 2] {
    let whole = u128::from_be_bytes(*key.as_bytes());
    [(whole >> 64) as u64, whole as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded_bug::Bugs;
    use domain::key_life::Ruling;

    /// I-2: what the store said is acted on for C and until something changes, and no longer.
    #[test]
    fn a_reading_ends_with_a_change_and_with_time() {
        let at = |seconds: u64| Moment {
            wall: Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000),
            boot: Duration::from_secs(seconds),
        };
        let control = Arc::new(ControlLease::new(Duration::from_secs(300), Bugs::default()));
        let workspace = Arc::new(WorkspaceState::new("acme".parse().unwrap(), 1, control.clone()));
        let fresh = |stamp: &Stamp, seconds| {
            control.was_read(at(seconds));
            stamp.is_fresh(&workspace, at(seconds))
        };
        assert!(!fresh(&Stamp::stale(), 0));
        let ruled = Ruled::always(Ruling::PlatformKey);
        let reading = |epoch, asked| Standing {
            workspace: workspace.clone(),
            epoch,
            asked_at: at(asked),
            config: None,
            ruled,
            revoked: false,
        };
        let (one, other) = (DataKeyId::from_bytes([1; 16]), DataKeyId::from_bytes([2; 16]));
        let sealing = Stamp::stale();
        sealing.set_for(one, &reading(0, 100));
        // I-20: whoever still holds the key that was there before does not take what is said of the new one for its own.
        assert!(sealing.is_of(one) && !sealing.is_of(other));
        let stamp = Stamp::of(&reading(0, 100));
        assert!(fresh(&stamp, 400) && !fresh(&stamp, 401));
        workspace.changed();
        assert!(!fresh(&stamp, 101));
        stamp.set(&reading(1, 102));
        assert!(fresh(&stamp, 103));
        assert!(!stamp.is_fresh(&workspace, at(404)), "a replica that has not read for longer than C");
    }
}
