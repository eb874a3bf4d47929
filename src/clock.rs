//! What time it is on this host.

use std::time::Duration;

use domain::{Clock, Moment, Timestamp};

/// The system's clocks: real time, and time since boot with suspended time counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        use rustix::time::{ClockId, clock_gettime};
        let wall = clock_gettime(ClockId::Realtime);
        let boot = clock_gettime(ClockId::Boottime);
        let micros = wall.tv_sec.saturating_mul(1_000_000).saturating_add(wall.tv_nsec / 1_000);
        Moment {
            wall: Timestamp::from_micros(micros),
            boot: Duration::new(u64::try_from(boot.tv_sec).unwrap_or(0), u32::try_from(boot.tv_nsec).unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both clocks advance, and real time is this century's.
    #[test]
    fn the_clocks_go_forward() {
        let first = SystemClock.now();
        let second = SystemClock.now();
        assert!(second.boot >= first.boot);
        assert!(first.wall > Timestamp::from_micros(1_700_000_000_000_000), "{}", first.wall);
    }
}
