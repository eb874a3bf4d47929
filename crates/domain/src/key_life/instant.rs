//! Which instant a local date, time and zone name: exactly one, or a reason why none.

use std::fmt;
use std::str::FromStr;

use chrono::{Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

use crate::{Reason, Timestamp};

/// A point in time as it was asked for, in somebody's local time, and the instant that this is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnforceAt {
    instant: Timestamp,
    local: NaiveDateTime,
    zone: Tz,
}

/// Why a local date and time is not an instant that a key can be enforced from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInstant {
    /// Not one of the forms.
    #[error("a date looks like 2027-03-01 or 2027-03-01T09:00, without an offset")]
    Form,
    /// No zone was named.
    #[error("name the time zone, such as Europe/Berlin or UTC")]
    NoZone,
    /// There is no such zone.
    #[error("there is no such time zone; name one such as Europe/Berlin or UTC")]
    UnknownZone,
    /// Clocks there skip this time.
    #[error("clocks in that zone skip this time when daylight saving begins")]
    Gap,
    /// Clocks there show this time twice.
    #[error("clocks in that zone show this time twice when daylight saving ends")]
    Ambiguous,
    /// It is over.
    #[error("that moment is past")]
    Past,
}

impl InvalidInstant {
    /// The reason that clients switch on.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Form => Reason::EnforcementDateInvalid,
            Self::NoZone => Reason::EnforcementZoneMissing,
            Self::UnknownZone => Reason::EnforcementZoneUnknown,
            Self::Gap => Reason::EnforcementDateInGap,
            Self::Ambiguous => Reason::EnforcementDateAmbiguous,
            Self::Past => Reason::EnforcementDatePast,
        }
    }
}

impl EnforceAt {
    /// Reads `2027-03-01` (its first instant), `2027-03-01T09:00` or `2027-03-01T09:00:00` in an IANA zone. It must lie after
    /// `now`.
    pub fn parse(local: &str, zone: &str, now: Timestamp) -> Result<Self, InvalidInstant> {
        let at = Self::read(local, zone)?;
        if at.instant > now { Ok(at) } else { Err(InvalidInstant::Past) }
    }

    /// The instant `at` as UTC shows it: for a date that nobody typed.
    pub fn utc(at: Timestamp) -> Option<Self> {
        // Whole seconds, as every stored local time: never earlier than asked for.
        let seconds = at.micros().div_euclid(1_000_000) + i64::from(at.micros().rem_euclid(1_000_000) > 0);
        let local = chrono::DateTime::from_timestamp(seconds, 0)?.naive_utc();
        Some(Self { instant: Timestamp::from_micros(seconds.checked_mul(1_000_000)?), local, zone: Tz::UTC })
    }

    /// As it was kept: the local time in the form of [`EnforceAt::local`], the zone, and the instant that was derived then. It
    /// stays that instant even if the zone's rules have changed since; `None`: these were never kept together.
    pub fn kept(local: &str, zone: &str, instant: Timestamp) -> Option<Self> {
        let at = NaiveDateTime::from_str(local).ok()?;
        let zone = Tz::from_str(zone).ok()?;
        let kept = Self { instant, local: at, zone };
        (kept.local() == local).then_some(kept)
    }

    fn read(local: &str, zone: &str) -> Result<Self, InvalidInstant> {
        let (date, time) = form(local.trim()).ok_or(InvalidInstant::Form)?;
        let zone = zone.trim();
        if zone.is_empty() {
            return Err(InvalidInstant::NoZone);
        }
        let zone = Tz::from_str(zone).map_err(|_| InvalidInstant::UnknownZone)?;
        let (local, instant) = match time {
            Some(time) => {
                let local = date.and_time(time);
                match zone.from_local_datetime(&local) {
                    LocalResult::Single(at) => (local, at),
                    LocalResult::Ambiguous(..) => return Err(InvalidInstant::Ambiguous),
                    LocalResult::None => return Err(InvalidInstant::Gap),
                }
            }
            None => first_of(date, zone).ok_or(InvalidInstant::Gap)?,
        };
        Ok(Self { instant: Timestamp::from_micros(instant.timestamp_micros()), local, zone })
    }

    /// The instant.
    pub fn instant(&self) -> Timestamp {
        self.instant
    }

    /// The local time, as `2027-03-01T09:00:00`.
    pub fn local(&self) -> String {
        self.local.format("%Y-%m-%dT%H:%M:%S").to_string()
    }

    /// The zone's IANA name.
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }
}

/// As a person reads it: `2027-03-01T09:00:00 Europe/Berlin`.
impl fmt::Display for EnforceAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.local(), self.zone())
    }
}

/// Digits in their places and nothing else: chrono's own parser lets through signs, spaces and years of any length.
fn form(text: &str) -> Option<(NaiveDate, Option<NaiveTime>)> {
    let has_form = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(c, f)| if f == b'0' { c.is_ascii_digit() } else { c == f })
    };
    if has_form(text, "0000-00-00") {
        return Some((NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?, None));
    }
    let format = if has_form(text, "0000-00-00T00:00") {
        "%Y-%m-%dT%H:%M"
    } else if has_form(text, "0000-00-00T00:00:00") && !text.ends_with("60") {
        "%Y-%m-%dT%H:%M:%S"
    } else {
        return None;
    };
    let at = NaiveDateTime::parse_from_str(text, format).ok()?;
    Some((at.date(), Some(at.time())))
}

/// The first instant of a local day, and what clocks there show then. Where daylight saving begins at midnight, that is not
/// midnight; a day that a zone skipped has none.
fn first_of(date: NaiveDate, zone: Tz) -> Option<(NaiveDateTime, chrono::DateTime<Tz>)> {
    let midnight = date.and_time(NaiveTime::MIN);
    // Zones have moved by quarters of an hour, never by less.
    (0..24 * 4).map(|quarter| midnight + Duration::minutes(15 * quarter)).find_map(|local| {
        let at = zone.from_local_datetime(&local).earliest()?;
        Some((local, at))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn at(local: &str, zone: &str) -> Result<String, InvalidInstant> {
        EnforceAt::parse(local, zone, NOW).map(|at| at.instant().to_string())
    }

    /// A local time is read in its zone, summer and winter; a bare date means its first instant, wherever that is.
    #[test]
    fn a_local_time_names_one_instant() {
        for (local, zone, instant) in [
            ("2027-03-01T09:00", "Europe/Berlin", "2027-03-01T08:00:00.000Z"),
            ("2027-07-01T09:00:30", "Europe/Berlin", "2027-07-01T07:00:30.000Z"),
            ("2027-03-01", "UTC", "2027-03-01T00:00:00.000Z"),
            ("2027-03-01", "Asia/Kolkata", "2027-02-28T18:30:00.000Z"),
            // Daylight saving begins at midnight there: that day begins at one.
            ("2027-04-30", "Africa/Cairo", "2027-04-29T22:00:00.000Z"),
        ] {
            assert_eq!(at(local, zone).as_deref(), Ok(instant), "{local} {zone}");
        }
        assert_eq!(EnforceAt::parse("2027-04-30", "Africa/Cairo", NOW).unwrap().local(), "2027-04-30T01:00:00");
        assert_eq!(EnforceAt::read("2011-12-30", "Pacific/Apia"), Err(InvalidInstant::Gap), "a day that never was");
    }

    /// What names no instant, or two, or one that is over, is refused, each with its own reason.
    #[test]
    fn what_is_not_one_instant_ahead_is_refused() {
        for (local, zone, why) in [
            ("2027-03-28T02:30", "Europe/Berlin", InvalidInstant::Gap),
            ("2027-10-31T02:30", "Europe/Berlin", InvalidInstant::Ambiguous),
            ("2023-01-01", "UTC", InvalidInstant::Past),
            ("2027-03-01T09:00", "", InvalidInstant::NoZone),
            ("2027-03-01T09:00", "  ", InvalidInstant::NoZone),
            ("2027-03-01T09:00", "Mars/Olympus", InvalidInstant::UnknownZone),
            ("2027-03-01T09:00", "+01:00", InvalidInstant::UnknownZone),
            ("2027-03-01T09:00Z", "UTC", InvalidInstant::Form),
            ("2027-03-01T09:00+01:00", "UTC", InvalidInstant::Form),
            ("2027-02-29", "UTC", InvalidInstant::Form),
            ("2027-03-01T24:00", "UTC", InvalidInstant::Form),
            ("2027-03-01T23:59:60", "UTC", InvalidInstant::Form),
            ("2027-3-1", "UTC", InvalidInstant::Form),
            ("+2027-03-01", "UTC", InvalidInstant::Form),
            ("02027-03-01", "UTC", InvalidInstant::Form),
            ("２０２７-03-01", "UTC", InvalidInstant::Form),
            ("tomorrow", "UTC", InvalidInstant::Form),
            ("", "UTC", InvalidInstant::Form),
        ] {
            assert_eq!(at(local, zone), Err(why), "{local:?} {zone:?}");
        }
    }

    fn zones() -> impl Strategy<Value = Tz> {
        proptest::sample::select(chrono_tz::TZ_VARIANTS.to_vec())
    }

    proptest! {
        /// Whatever is typed never panics, and what is taken is shown by that zone's clocks at that instant, and kept as it was.
        #[test]
        fn what_is_taken_is_what_clocks_show_then(
            year in 2024..2100, month in 1..=12u32, day in 1..=31u32, hour in 0..=23u32, minute in 0..=59u32, zone in zones(),
        ) {
            let local = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}");
            if let Ok(at) = EnforceAt::read(&local, zone.name()) {
                let instant = chrono::DateTime::from_timestamp_micros(at.instant().micros()).unwrap();
                let shown = instant.with_timezone(&zone).naive_local();
                prop_assert_eq!(shown.format("%Y-%m-%dT%H:%M").to_string(), local);
                prop_assert_eq!(EnforceAt::kept(&at.local(), at.zone(), at.instant()), Some(at));
            }
        }

        /// A bare date is the first of its day: a microsecond before, clocks there show another date.
        #[test]
        fn a_date_is_its_first_instant(year in 2024..2100, day in 1..=365u32, zone in zones()) {
            let date = NaiveDate::from_yo_opt(year, day).unwrap();
            if let Ok(at) = EnforceAt::read(&date.to_string(), zone.name()) {
                let shown = |micros| chrono::DateTime::from_timestamp_micros(micros).unwrap().with_timezone(&zone).date_naive();
                prop_assert_eq!(shown(at.instant().micros()), date);
                prop_assert_ne!(shown(at.instant().micros() - 1), date);
            }
        }

        /// No text at all makes it panic.
        #[test]
        fn no_text_is_too_strange(local in ".{0,40}", zone in ".{0,20}") {
            let _ = EnforceAt::parse(&local, &zone, NOW);
            let _ = EnforceAt::kept(&local, &zone, NOW);
        }
    }
}
