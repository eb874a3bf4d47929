//! Until when a date may change, when it is decided, and around it, who waits.
//!
//! ```text
//! ── may change ──┬── freeze ─────────────┬── decided, nobody may decide any more ──┬── date
//!                 date − (C + margin)     date − C                                  E
//! ```
//! A replica that serves has read the store at most C ago. What is committed before `date − C` is therefore known to every
//! replica that serves at the date: that is all the agreement the flip needs.

use std::time::Duration;

use crate::Timestamp;

/// How far a replica's clock may be off. Closer than this to the date nobody encrypts a selected app's data (I-20).
pub const LONGEST_SKEW: Duration = Duration::from_millis(500);

/// How long before the last moment to decide the date stops changing.
pub const FREEZE_MARGIN: Duration = Duration::from_secs(60);

/// The bounds that a date is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timing {
    /// How long a reading of the store is acted on (C).
    pub control_lease: Duration,
    /// The length of the freeze before `date − C`.
    pub margin: Duration,
    /// How much of the margin a decision for the date leaves unused: the longest that its commit may take.
    pub slack: Duration,
}

impl Timing {
    /// From when on the date and the configuration do not change any more.
    pub fn freeze(self, date: Timestamp) -> Timestamp {
        date.saturating_sub(self.control_lease.saturating_add(self.margin))
    }

    /// Before when a decision for the date has to be made, to be committed before `date − C` and so known to every replica
    /// that serves at the date.
    pub fn decide_before(self, date: Timestamp) -> Timestamp {
        date.saturating_sub(self.control_lease.saturating_add(self.slack))
    }

    /// The soonest date that can be asked for at `now`: its freeze has not begun.
    pub fn soonest(self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.control_lease.saturating_add(self.margin)).saturating_add(Duration::from_micros(1))
    }
}
