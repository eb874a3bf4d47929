//! May keys under this key version be served now: one lease for all of them, read without a lock.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::lease::{Generation, KeyLease};
use domain::{Moment, Timestamp};

/// No proof yet, or none since the last denial.
const NEVER: u64 = u64::MAX;

/// The lease of one version of a customer's key, shared by every data key under it. The platform's own key has one that
/// always holds.
///
/// Written only under the workspace's lock. Read on every request, field by field: whatever mixture of an older and a newer
/// proof a reader sees, the *longer* of both clocks' readings counts, so it only ever sees less than the newer one grants.
pub(crate) struct VersionLease {
    bounded: bool,
    asked_boot: AtomicU64,
    asked_wall: AtomicI64,
    length: AtomicU64,
    generation: AtomicU64,
    /// Whether a right was given or asked for since the version was last asked about.
    used: AtomicBool,
    /// Set where nobody has asked for long or this replica stood still: its first use probes first.
    doubtful: AtomicBool,
}

/// A lease that held once. [`VersionLease::still_gives`] says whether it does yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right(Generation);

impl VersionLease {
    /// Of a customer's key version that nobody has proven yet.
    pub(crate) fn unproven() -> Self {
        Self::new(true)
    }

    /// Of the platform's own key.
    pub(crate) fn unbounded() -> Self {
        Self::new(false)
    }

    fn new(bounded: bool) -> Self {
        Self {
            bounded,
            asked_boot: AtomicU64::new(NEVER),
            asked_wall: AtomicI64::new(0),
            length: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            used: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
        }
    }

    /// The right to serve at `now`, if there is one (I-7).
    #[inline]
    pub(crate) fn right(&self, now: Moment) -> Option<Right> {
        let generation = self.generation();
        if self.bounded {
            self.use_it();
            if self.doubtful.load(Ordering::Acquire) {
                return None;
            }
        }
        self.holds(now).then_some(Right(generation))
    }

    /// Somebody wants to use it. Written once for each time it is asked about, and only read in between.
    #[inline]
    pub(crate) fn use_it(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody wanted to use it since this was last forgotten.
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// From now on only what comes later counts as a use.
    pub(crate) fn forget_use(&self) {
        self.used.store(false, Ordering::Relaxed);
    }

    /// The next use probes first.
    pub(crate) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Release);
    }

    /// It was asked about, whatever the answer: from here on the lease alone decides.
    pub(crate) fn settle(&self) {
        self.doubtful.store(false, Ordering::Release);
    }

    /// Whether a right given before is good when the answer is ready (I-10).
    #[inline]
    pub(crate) fn still_gives(&self, right: Right, now: Moment) -> bool {
        self.generation() == right.0 && self.holds(now)
    }

    /// How often it was denied.
    #[inline]
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Whether it was proven recently enough, whatever doubts there are.
    #[inline]
    pub(crate) fn holds(&self, now: Moment) -> bool {
        !self.bounded || self.lease().is_some_and(|lease| lease.holds(now))
    }

    /// How long it lasts, if it is in use; nothing, if it has ended.
    pub(crate) fn left(&self, now: Moment) -> Option<Duration> {
        let lease = self.lease().filter(|_| self.is_used())?;
        Some(lease.length().saturating_sub(now.since(lease.asked_at())))
    }

    fn lease(&self) -> Option<KeyLease> {
        let boot = self.asked_boot.load(Ordering::Acquire);
        if boot == NEVER {
            return None;
        }
        let wall = Timestamp::from_micros(self.asked_wall.load(Ordering::Acquire));
        let asked_at = Moment { wall, boot: Duration::from_micros(boot) };
        Some(KeyLease::from_proof(asked_at, Duration::from_micros(self.length.load(Ordering::Acquire))))
    }

    /// Takes a newer proof; an older one changes nothing.
    pub(crate) fn renew(&self, proof: KeyLease) {
        let kept = self.lease().map_or(proof, |held| held.or_newer(proof));
        // Cut down to whole microseconds: a lease may seem older than it is, never younger.
        let boot = u64::try_from(kept.asked_at().boot.as_micros()).unwrap_or(NEVER - 1);
        self.asked_wall.store(kept.asked_at().wall.micros(), Ordering::Release);
        self.length.store(micros(kept.length()), Ordering::Release);
        self.asked_boot.store(boot, Ordering::Release);
    }

    /// Cuts it down to at most `length` from its proof.
    pub(crate) fn shorten(&self, length: Duration) {
        self.length.fetch_min(micros(length), Ordering::AcqRel);
    }

    /// Whether it ended more than `ago` ago, or was never given.
    pub(crate) fn lapsed(&self, now: Moment, ago: Duration) -> bool {
        self.bounded
            && self.lease().is_none_or(|lease| now.since(lease.asked_at()) > lease.length().saturating_add(ago))
    }

    /// Ends it, and with it every unwrap under way (I-9).
    pub(crate) fn deny(&self) {
        self.asked_boot.store(NEVER, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        let wall = Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000);
        Moment { wall, boot: Duration::from_secs(seconds) }
    }

    fn minute(asked: u64) -> KeyLease {
        KeyLease::from_proof(at(asked), Duration::from_secs(60))
    }

    /// I-7, I-9, I-10: nothing before a proof; then until H after the asking; a denial ends it and every right given before.
    #[test]
    fn a_denial_ends_the_lease_and_all_rights_under_it() {
        let lease = VersionLease::unproven();
        assert_eq!(lease.right(at(0)), None);
        lease.renew(minute(100));
        let right = lease.right(at(160)).unwrap();
        assert_eq!(lease.right(at(161)), None);
        assert!(lease.still_gives(right, at(160)) && !lease.still_gives(right, at(161)));
        lease.deny();
        assert_eq!(lease.right(at(101)), None);
        lease.renew(minute(102));
        assert!(!lease.still_gives(right, at(103)), "a right from before the denial");
    }

    /// A late old answer shortens nothing; a lowered bound holds at once.
    #[test]
    fn a_lease_is_cut_but_never_stretched() {
        let lease = VersionLease::unproven();
        lease.renew(minute(100));
        lease.renew(minute(50));
        assert!(lease.right(at(160)).is_some());
        lease.shorten(Duration::from_secs(10));
        assert!(lease.right(at(110)).is_some() && lease.right(at(111)).is_none());
        lease.shorten(Duration::from_secs(40));
        assert!(lease.right(at(111)).is_none());
    }

    /// A lease in doubt gives no right until it was asked about; then what is left of it does.
    #[test]
    fn a_lease_in_doubt_waits_for_an_answer() {
        let lease = VersionLease::unproven();
        lease.renew(minute(100));
        assert!(lease.right(at(110)).is_some() && lease.is_used());
        lease.forget_use();
        lease.doubt();
        assert!(lease.right(at(110)).is_none() && lease.is_used());
        lease.settle();
        assert!(lease.right(at(160)).is_some() && lease.right(at(161)).is_none());
    }

    /// The platform's key has no owner who could say no.
    #[test]
    fn the_platform_key_needs_no_lease() {
        let lease = VersionLease::unbounded();
        let right = lease.right(at(1)).unwrap();
        assert!(lease.still_gives(right, at(1_000_000)));
    }
}
