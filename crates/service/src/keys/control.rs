//! Has this replica read the store a short while ago, and has it been awake since.
//!
//! One value for the whole replica, read on every request and written twice a second. Two fields of a time are written one
//! after the other: whatever mixture a reader sees, the *longer* of both clocks' readings counts, so that it only ever sees
//! less than the newer one grants.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::key_config::LONGEST_LEASE;
use domain::{Moment, Timestamp};

use crate::seeded_bug::{Bugs, SeededBug};

/// Never yet.
const NEVER: u64 = u64::MAX;
/// The loops tick four times a second. One that is later than this was not running: the process or the host stood still, or
/// a clock was stepped. Less is taken for a busy machine: then the probes' own pace is the bound.
pub const LATE: Duration = Duration::from_secs(3);

/// The right of a replica to act on what it read: until C after its last successful reading was asked for (I-13).
pub(crate) struct ControlLease {
    length: Duration,
    read: Time,
    beat: Time,
    bugs: Bugs,
}

impl ControlLease {
    /// Of a replica that has read nothing yet. `length` above H counts as H.
    pub(crate) fn new(length: Duration, bugs: Bugs) -> Self {
        Self { length: length.min(LONGEST_LEASE), read: Time::never(), beat: Time::never(), bugs }
    }

    /// C.
    #[inline]
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// Whether what was read may be acted on.
    #[inline]
    pub(crate) fn holds(&self, now: Moment) -> bool {
        self.is_read(now) && !self.overslept(now)
    }

    /// Whether the store was read at most C ago.
    #[inline]
    pub(crate) fn is_read(&self, now: Moment) -> bool {
        self.ignored() || self.read.ago(now).is_some_and(|ago| ago <= self.length)
    }

    /// Whether a lease on what was read is to be left aside: a seeded fault.
    #[inline]
    pub(crate) fn ignored(&self) -> bool {
        self.bugs.has(SeededBug::ControlLeaseIgnored)
    }

    /// How long ago the store was read; none: never.
    pub(crate) fn age(&self, now: Moment) -> Option<Duration> {
        self.read.ago(now)
    }

    /// Whether it was ever read.
    pub(crate) fn was_ever_read(&self) -> bool {
        self.read.boot.load(Ordering::Acquire) != NEVER
    }

    /// Everything committed before `asked_at` is known here.
    pub(crate) fn was_read(&self, asked_at: Moment) {
        self.read.set(asked_at);
    }

    /// What was read is not what the store holds: nothing is acted on until it is read again.
    pub(crate) fn end(&self) {
        self.read.forget();
    }

    /// Whether this replica stood still. Where no loop runs, nothing can tell, and nothing is.
    #[inline]
    pub(crate) fn overslept(&self, now: Moment) -> bool {
        self.beat.ago(now).is_some_and(|ago| ago > LATE) && !self.bugs.has(SeededBug::PauseNotNoticed)
    }

    /// This replica is awake.
    pub(crate) fn beat(&self, now: Moment) {
        self.beat.set(now);
    }
}

/// One reading of both clocks that many threads read and one writes.
struct Time {
    wall: AtomicI64,
    boot: AtomicU64,
}

impl Time {
    fn never() -> Self {
        Self { wall: AtomicI64::new(0), boot: AtomicU64::new(NEVER) }
    }

    fn set(&self, at: Moment) {
        self.wall.store(at.wall.micros(), Ordering::Release);
        self.boot.store(u64::try_from(at.boot.as_micros()).unwrap_or(NEVER - 1), Ordering::Release);
    }

    fn forget(&self) {
        self.boot.store(NEVER, Ordering::Release);
    }

    #[inline]
    fn ago(&self, now: Moment) -> Option<Duration> {
        let boot = self.boot.load(Ordering::Acquire);
        let wall = Timestamp::from_micros(self.wall.load(Ordering::Acquire));
        (boot != NEVER).then(|| now.since(Moment { wall, boot: Duration::from_micros(boot) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        let wall = Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000);
        Moment { wall, boot: Duration::from_secs(seconds) }
    }

    /// I-13: nothing before the first reading; then until C after it was asked for, and C is never above H.
    #[test]
    fn a_control_lease_ends_c_after_the_reading() {
        let lease = ControlLease::new(Duration::from_secs(4_000), Bugs::default());
        assert!(!lease.holds(at(1)));
        lease.was_read(at(100));
        assert!(lease.holds(at(400)) && !lease.holds(at(401)));
        lease.was_read(at(200));
        lease.end();
        assert!(!lease.holds(at(200)), "and at once when what was read turns out not to be so");
    }

    /// A replica that stood still does not act on what it knew; one whose loops do not run cannot tell.
    #[test]
    fn a_replica_that_stood_still_notices() {
        let lease = ControlLease::new(Duration::from_secs(300), Bugs::default());
        lease.was_read(at(100));
        assert!(lease.holds(at(110)));
        lease.beat(at(110));
        assert!(lease.holds(at(113)));
        assert!(lease.overslept(at(114)) && !lease.holds(at(114)));
        lease.beat(at(114));
        assert!(lease.holds(at(114)));
        let stepped = Moment { wall: at(200).wall, boot: at(115).boot };
        assert!(lease.overslept(stepped), "a clock stepped forward");
    }
}
