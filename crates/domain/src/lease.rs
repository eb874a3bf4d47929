//! How long a key may be served after its owner last said yes.

use std::time::Duration;

use crate::{Moment, key_config::LONGEST_LEASE};

/// The bounded right to use the data keys under one key version. It runs from the moment the proof was **asked for**,
/// and use never extends it (I-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLease {
    asked_at: Moment,
    length: Duration,
}

impl KeyLease {
    /// A lease from a proof asked for at `asked_at` that has since succeeded. `length` above H counts as H.
    pub fn from_proof(asked_at: Moment, length: Duration) -> Self {
        Self { asked_at, length: length.min(LONGEST_LEASE) }
    }

    /// Whether a key may be served at `now`, by both clocks.
    pub fn holds(&self, now: Moment) -> bool {
        now.since(self.asked_at) <= self.length
    }

    /// When the proof was asked for.
    pub fn asked_at(&self) -> Moment {
        self.asked_at
    }

    /// How long it lasts from then.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// The later proof of two: a slow old answer never shortens or replaces a newer one.
    pub fn or_newer(self, other: Self) -> Self {
        if other.asked_at.boot > self.asked_at.boot { other } else { self }
    }
}

/// Counts the denials of a key version. An unwrap begun under an older generation never enters the cache (I-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after a denial.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Whether an answer to what was asked in this generation may be taken in the present one.
    pub fn is_still(self, present: Self) -> bool {
        self == present
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn at(seconds: u64) -> Moment {
        Moment {
            wall: Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000),
            boot: Duration::from_secs(seconds),
        }
    }

    /// I-7: a lease is counted from the asking, not from the answer, and is never longer than H.
    #[test]
    fn a_lease_runs_from_the_asking_and_ends_at_h() {
        let lease = KeyLease::from_proof(at(100), Duration::from_secs(4_000));
        assert!(lease.holds(at(100)) && lease.holds(at(400)));
        assert!(!lease.holds(at(401)));
    }

    /// I-7, I-11: an old answer that arrives late neither shortens nor extends a newer lease.
    #[test]
    fn a_late_answer_changes_nothing() {
        let newer = KeyLease::from_proof(at(200), Duration::from_secs(60));
        let older = KeyLease::from_proof(at(100), Duration::from_secs(60));
        assert_eq!(newer.or_newer(older), newer);
        assert_eq!(older.or_newer(newer), newer);
    }
}
