//! What time it is, as an argument.

use std::fmt;
use std::time::Duration;

/// A point in real time: microseconds since 1970-01-01T00:00:00Z. This is also how the store keeps time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This instant moved forward; saturates at the end of time rather than wrapping into the past.
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This instant moved back; saturates at the beginning of time.
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long it is from here to `later`: nothing if that has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with milliseconds, as logs and tables print it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_micros(self.0) {
            Some(at) => f.write_str(&at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
            None => write!(f, "{}µs", self.0),
        }
    }
}

/// One reading of both clocks. Real time can be stepped; boot time cannot, and it counts while the host sleeps.
/// A lease holds only while **both** say so (I-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Real time (CLOCK_REALTIME).
    pub wall: Timestamp,
    /// Time since boot, suspended time included (CLOCK_BOOTTIME).
    pub boot: Duration,
}

impl Moment {
    /// How long ago `earlier` was, by the clock that says *longer*. A wall clock set back counts as no time passed,
    /// which the boot clock then corrects.
    pub fn since(self, earlier: Self) -> Duration {
        earlier.wall.until(self.wall).max(self.boot.saturating_sub(earlier.boot))
    }
}

/// Reads the time. The system's is in the daemon; tests have one they move by hand.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, read together.
    fn now(&self) -> Moment;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I-7: setting the wall clock back does not lengthen a lease, and setting it forward only shortens it.
    #[test]
    fn the_longer_of_both_clocks_counts() {
        let at = |wall_s: i64, boot_s| Moment {
            wall: Timestamp::from_micros(wall_s * 1_000_000),
            boot: Duration::from_secs(boot_s),
        };
        let start = at(1_000, 50);
        assert_eq!(at(1_010, 60).since(start), Duration::from_secs(10));
        assert_eq!(at(400, 60).since(start), Duration::from_secs(10), "wall clock set back");
        assert_eq!(at(5_000, 60).since(start), Duration::from_secs(4_000), "wall clock set forward");
    }
}
