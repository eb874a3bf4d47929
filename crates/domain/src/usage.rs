//! What was sealed and opened under a data key: counts by the hour, as each replica kept them, and how they add up.

use std::fmt;

use crate::{AppId, DataKeyId, Protection, Timestamp, WorkspaceId};

const MICROS: i64 = 3_600_000_000;

/// One hour of UTC, by the number of hours since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hour(u32);

impl Hour {
    /// From its number.
    pub const fn of_number(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The hour a moment lies in. Before 1970 it is the first one.
    pub fn of(at: Timestamp) -> Self {
        // Time as we count it ends long before these numbers do.
        Self(u32::try_from(at.micros().div_euclid(MICROS)).unwrap_or(0))
    }

    /// The hour that a moment ends, or the one it lies in: where a range ends that must hold it.
    pub fn at_or_after(at: Timestamp) -> Self {
        let hour = Self::of(at);
        if hour.start() < at { Self(hour.0.saturating_add(1)) } else { hour }
    }

    /// When it begins.
    pub fn start(self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.0) * MICROS)
    }

    /// So many hours before it.
    pub fn minus(self, hours: u32) -> Self {
        Self(self.0.saturating_sub(hours))
    }
}

/// A moment as people type it: RFC 3339, with its offset, such as `2026-11-01T00:00:00Z`.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| Timestamp::from_micros(at.timestamp_micros()))
}

/// One life of one process: counts of two lives, or of two replicas, are rows of their own and never written over each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BootId([u8; 16]);

impl BootId {
    /// From 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({})", hex::encode(self.0))
    }
}

/// Messages and bytes of plaintext. A stream is one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Messages sealed.
    pub seals: u64,
    /// Their bytes.
    pub sealed_bytes: u64,
    /// Messages opened.
    pub opens: u64,
    /// Their bytes.
    pub opened_bytes: u64,
}

impl Tally {
    /// Whether nothing was done.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another to it; at the end of numbers it stays there.
    pub fn add(&mut self, other: &Self) {
        self.seals = self.seals.saturating_add(other.seals);
        self.sealed_bytes = self.sealed_bytes.saturating_add(other.sealed_bytes);
        self.opens = self.opens.saturating_add(other.opens);
        self.opened_bytes = self.opened_bytes.saturating_add(other.opened_bytes);
    }
}

/// What was done under a data key, and when first and last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// How much.
    pub tally: Tally,
    /// Not later than the first seal; absent if there was none.
    pub first_seal: Option<Timestamp>,
    /// Not earlier than the last seal.
    pub last_seal: Option<Timestamp>,
    /// Not earlier than the last time something was opened.
    pub last_open: Option<Timestamp>,
}

impl Traffic {
    /// What a replica counted between two looks at its counters.
    pub fn between(before: Timestamp, now: Timestamp, tally: Tally) -> Self {
        let (sealed, opened) = (tally.seals > 0 || tally.sealed_bytes > 0, tally.opens > 0 || tally.opened_bytes > 0);
        Self {
            tally,
            // A clock that was set back between them must not make the first seal later than the last.
            first_seal: sealed.then_some(before.min(now)),
            last_seal: sealed.then_some(now),
            last_open: opened.then_some(now),
        }
    }

    /// Adds another to it. The order does not matter.
    pub fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.first_seal = match (self.first_seal, other.first_seal) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_seal = self.last_seal.max(other.last_seal);
        self.last_open = self.last_open.max(other.last_open);
    }
}

/// What one life of one replica counted under one data key: in an hour, or (without `hour`) in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUsage {
    /// Whose data key.
    pub workspace: WorkspaceId,
    /// Which app's.
    pub app: AppId,
    /// Which.
    pub data_key: DataKeyId,
    /// Its protection.
    pub protection: Protection,
    /// In which hour; absent: since this life began.
    pub hour: Option<Hour>,
    /// Whose life.
    pub boot: BootId,
    /// The number, in that life, of the flush that was added last: the same one again adds nothing.
    pub flush: u64,
    /// What was counted.
    pub traffic: Traffic,
}

/// What an app sealed and opened under one protection in one hour, all replicas together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HourOfApp {
    /// The hour.
    pub hour: Hour,
    /// The app.
    pub app: AppId,
    /// Under whose key.
    pub protection: Protection,
    /// How much.
    pub tally: Tally,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hours are UTC's own, whatever the moment within them, and a moment on the hour begins it.
    #[test]
    fn a_moment_lies_in_the_hour_that_it_or_an_earlier_moment_began() {
        let at = |hour: i64, micros: i64| Timestamp::from_micros(hour * MICROS + micros);
        assert_eq!(Hour::of(at(495_000, 0)), Hour::of_number(495_000));
        assert_eq!(Hour::of(at(495_000, MICROS - 1)), Hour::of_number(495_000));
        assert_eq!(Hour::of(at(495_001, 0)), Hour::of_number(495_001));
        assert_eq!(Hour::of_number(495_000).start().to_string(), "2026-06-21T00:00:00.000Z");
        assert_eq!(Hour::at_or_after(at(7, 0)), Hour::of_number(7));
        assert_eq!(Hour::at_or_after(at(7, 1)), Hour::of_number(8));
        let end = Hour::of(Timestamp::from_micros(i64::MAX));
        assert_eq!((Hour::of(at(-3, 0)), end.number()), (Hour::of_number(0), 2_562_047_788));
    }

    /// A time has a zone; without one it is nobody's hour.
    #[test]
    fn a_time_is_read_with_its_zone() {
        let nine = parse_time("2026-11-01T09:00:00Z").unwrap();
        assert_eq!(parse_time("2026-11-01T10:00:00+01:00"), Some(nine));
        for bad in ["2026-11-01", "2026-11-01T09:00:00", "2026-02-30T00:00:00Z", "", "now"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    /// Whatever is counted where and added in whatever order, the sum is the same: the first seal is the earliest.
    #[test]
    fn traffic_adds_up_in_any_order() {
        let at = Timestamp::from_micros;
        let seals = |before, now, seals| {
            Traffic::between(at(before), at(now), Tally { seals, sealed_bytes: 10 * seals, ..Tally::default() })
        };
        let opens = Traffic::between(at(5), at(50), Tally { opens: 1, opened_bytes: 7, ..Tally::default() });
        let parts = [seals(10, 20, 3), opens, seals(4, 6, 1), Traffic::default()];
        let sum = |order: [usize; 4]| {
            let mut sum = Traffic::default();
            order.iter().for_each(|i| sum.add(&parts[*i]));
            sum
        };
        let expected = Traffic {
            tally: Tally { seals: 4, sealed_bytes: 40, opens: 1, opened_bytes: 7 },
            first_seal: Some(at(4)),
            last_seal: Some(at(20)),
            last_open: Some(at(50)),
        };
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            assert_eq!(sum(order), expected);
        }
        assert_eq!(seals(30, 20, 1).first_seal, Some(at(20)), "a clock set back");
        assert_eq!(Traffic::between(at(1), at(2), Tally::default()), Traffic::default());
    }
}
