//! What the store last said of an app and its workspace, and whether that is fresh enough to act on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::key_life::Ruled;
use domain::{AppId, DataKeyId, KeyConfig, KeyVersionId, Moment, Timestamp, WorkspaceId};
use tokio::sync::Semaphore;
use vault::KeyUnavailable;

use super::lease::VersionLease;
use crate::options::CONTROL_LEASE;

/// What this process keeps of one workspace.
pub(crate) struct WorkspaceState {
    pub(crate) id: WorkspaceId,
    /// Counts what changed for it by this process: a deletion, a configuration. Whatever was read before is stale then.
    epoch: AtomicU64,
    /// Counts its vault's denials, of any version: work begun before one is not joined after it.
    denials: AtomicU64,
    /// Its share of calls to its vault. A hanging vault uses up its own workspace's and no other's.
    pub(crate) vault_calls: Semaphore,
    pub(crate) held: Mutex<Held>,
}

/// Which keys are in memory, by what can take them away.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) versions: HashMap<KeyVersionId, Version>,
    /// Each open data key, and the version it is under.
    pub(crate) keys: HashMap<(AppId, DataKeyId), Option<KeyVersionId>>,
}

/// A version of the customer's key.
pub(crate) struct Version {
    pub(crate) lease: Arc<VersionLease>,
    /// Set while the last answer was a denial.
    pub(crate) denial: Option<Denial>,
    /// Set while the last answer to a wrap was one that stops wrapping only: the version expired, and still unwraps.
    pub(crate) wraps_no_more: Option<Denial>,
}

/// A denial, and whether the audit chain has it.
pub(crate) struct Denial {
    pub(crate) why: KeyUnavailable,
    pub(crate) recorded: bool,
}

impl WorkspaceState {
    pub(crate) fn new(id: WorkspaceId, vault_calls: usize) -> Self {
        Self {
            id,
            epoch: AtomicU64::new(0),
            denials: AtomicU64::new(0),
            vault_calls: Semaphore::new(vault_calls),
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
        let fresh = || Version { lease: Arc::new(VersionLease::unproven()), denial: None, wraps_no_more: None };
        self.versions.entry(version).or_insert_with(fresh).lease.clone()
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
}

impl Stamp {
    /// Of nothing: never fresh.
    pub(crate) fn stale() -> Self {
        let (epoch, boot, wall) = (AtomicU64::new(u64::MAX), AtomicU64::new(0), AtomicI64::new(0));
        Self { epoch, boot, wall, from: AtomicI64::new(i64::MAX), until: AtomicI64::new(i64::MIN) }
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

    /// Whether what was ruled about the app's new data holds at `now` (I-20). A key goes on opening what it sealed.
    #[inline]
    pub(crate) fn rules(&self, now: Moment) -> bool {
        let now = now.wall.micros();
        self.from.load(Ordering::Acquire) <= now && now < self.until.load(Ordering::Acquire)
    }

    /// Whether nothing changed since, as far as this process knows, and the reading is at most C old (I-2).
    #[inline]
    pub(crate) fn is_fresh(&self, workspace: &WorkspaceState, now: Moment) -> bool {
        self.epoch.load(Ordering::Acquire) == workspace.epoch() && {
            let wall = Timestamp::from_micros(self.wall.load(Ordering::Acquire));
            let boot = Duration::from_micros(self.boot.load(Ordering::Acquire));
            now.since(Moment { wall, boot }) <= CONTROL_LEASE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::key_life::Ruling;

    /// I-2: what the store said is acted on for C and until something changes, and no longer.
    #[test]
    fn a_reading_ends_with_a_change_and_with_time() {
        let at = |seconds: u64| Moment {
            wall: Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000),
            boot: Duration::from_secs(seconds),
        };
        let workspace = Arc::new(WorkspaceState::new("acme".parse().unwrap(), 1));
        assert!(!Stamp::stale().is_fresh(&workspace, at(0)));
        let ruled = Ruled::always(Ruling::PlatformKey);
        let reading = |epoch, asked| Standing {
            workspace: workspace.clone(),
            epoch,
            asked_at: at(asked),
            config: None,
            ruled,
            revoked: false,
        };
        let stamp = Stamp::of(&reading(0, 100));
        assert!(stamp.is_fresh(&workspace, at(400)) && !stamp.is_fresh(&workspace, at(401)));
        workspace.changed();
        assert!(!stamp.is_fresh(&workspace, at(101)));
        stamp.set(&reading(1, 102));
        assert!(stamp.is_fresh(&workspace, at(103)));
    }
}
