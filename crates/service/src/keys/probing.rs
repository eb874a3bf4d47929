//! When a key version is probed next: a rule over two clocks, without any waiting of its own.
//!
//! A version in use is probed every P ± 20 %, so that replicas do not ask in step; one whose last probe did not succeed, every
//! 5 s. One that nobody uses is left alone: its first use after 2P without a success probes first.

use std::time::Duration;

use domain::Moment;

/// How often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// P.
    pub(crate) every: Duration,
    /// Where the last probe did not succeed.
    pub(crate) again: Duration,
}

impl Pace {
    /// Used by a seeded fault only.
    pub(crate) const HOURLY: Self = Self { every: Duration::from_secs(3_600), again: Duration::from_secs(3_600) };
}

/// What is to be done about a version now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Wait,
    /// Probe it.
    Probe,
    /// Nobody uses it and nobody has asked for long: whoever uses it next probes first.
    Doze,
}

/// One version's place in time.
#[derive(Debug, Default)]
pub(crate) struct Probing {
    /// By boot time; absent: nothing was asked yet. Zero: at once.
    due: Option<Duration>,
    /// When the last probe or unwrap that succeeded was asked for.
    succeeded: Option<Moment>,
    /// When the last probe that succeeded was: it asks more than an unwrap does.
    probed: Option<Moment>,
    /// Whether the last probe did not.
    failing: bool,
    /// How often in a row it was asked about while nobody used it.
    unused: u32,
}

/// A version that keeps failing while nobody uses it is asked about so often and no more: its next use asks again.
const ASKED_FOR_NOBODY: u32 = 120;

impl Probing {
    /// What to do at `now`. `used`: since it was last asked.
    pub(crate) fn next(&mut self, now: Moment, used: bool, pace: Pace) -> Next {
        if self.due.is_some_and(|due| now.boot < due) {
            return Next::Wait;
        }
        if used || (self.failing && self.unused < ASKED_FOR_NOBODY) {
            self.unused = if used { 0 } else { self.unused + 1 };
            // Until it is answered; whoever comes meanwhile joins it.
            self.due = Some(now.boot + pace.again);
            return Next::Probe;
        }
        let stale = self.probed.is_none_or(|at| now.since(at) > 2 * pace.every);
        if stale { Next::Doze } else { Next::Wait }
    }

    /// A probe asked at `asked_at` was answered with yes. `chance` spreads the next asking over P ± 20 %.
    pub(crate) fn succeeded(&mut self, asked_at: Moment, pace: Pace, chance: u8) {
        (self.succeeded, self.probed) = (Some(asked_at), Some(asked_at));
        // Somebody's word to ask came while this one was under way: it may not have seen what that was about.
        if self.due != Some(Duration::ZERO) {
            self.due = Some(Self::next_after(asked_at, pace, chance));
            self.failing = false;
        }
    }

    /// An unwrap asked at `asked_at` was. It says nothing of consent and of the newest version, so that it puts off no probe:
    /// the first one only gives the probes their beginning.
    pub(crate) fn unwrapped(&mut self, asked_at: Moment, pace: Pace, chance: u8) {
        self.due.get_or_insert(Self::next_after(asked_at, pace, chance));
        self.succeeded = Some(asked_at);
    }

    fn next_after(asked_at: Moment, pace: Pace, chance: u8) -> Duration {
        let spread = pace.every * 2 / 5 * u32::from(chance) / u32::from(u8::MAX);
        asked_at.boot + pace.every * 4 / 5 + spread
    }

    /// A denied version said yes for the first time: the second asking is not before `pace.again`.
    pub(crate) fn half_admitted(&mut self, asked_at: Moment, pace: Pace) {
        self.due = Some(asked_at.boot + pace.again);
        self.failing = true;
    }

    /// It did not succeed. `wait`: what the vault asked for.
    pub(crate) fn failed(&mut self, now: Moment, pace: Pace, wait: Option<Duration>) {
        let wait = wait.map_or(pace.again, |wait| wait.clamp(pace.again, pace.every));
        self.due = Some(now.boot + wait);
        self.failing = true;
    }

    /// Another replica learnt something: ask at once.
    pub(crate) fn now(&mut self) {
        (self.due, self.failing, self.unused) = (Some(Duration::ZERO), true, 0);
    }

    /// When the last probe that succeeded was asked for.
    pub(crate) fn last_probe(&self) -> Option<Moment> {
        self.probed
    }

    /// Whether the last asking was no success.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }

    /// When the last success was asked for.
    pub(crate) fn last_success(&self) -> Option<Moment> {
        self.succeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    const PACE: Pace = Pace { every: Duration::from_secs(30), again: Duration::from_secs(5) };

    fn at(seconds: u64) -> Moment {
        let wall = Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000);
        Moment { wall, boot: Duration::from_secs(seconds) }
    }

    /// I-8: a version in use is asked every 24 s to 36 s, and every 5 s while it does not say yes.
    #[test]
    fn a_version_in_use_is_asked_every_p_and_sooner_while_failing() {
        for (chance, first) in [(0, 124), (128, 130), (255, 136)] {
            let mut probing = Probing::default();
            assert_eq!(probing.next(at(100), true, PACE), Next::Probe);
            probing.succeeded(at(100), PACE, chance);
            let asked = (101..200).find(|s| probing.next(at(*s), true, PACE) == Next::Probe).unwrap();
            assert!(asked.abs_diff(first) <= 1, "{asked}");
            probing.failed(at(asked), PACE, None);
            assert_eq!(probing.next(at(asked + 4), true, PACE), Next::Wait);
            assert_eq!(probing.next(at(asked + 5), false, PACE), Next::Probe);
        }
    }

    /// I-8: unwraps, however many, put off no probe: only a probe asks for consent and for the newest version's switch.
    #[test]
    fn unwraps_put_off_no_probe() {
        let mut probing = Probing::default();
        for second in 100..124 {
            probing.unwrapped(at(second), PACE, 0);
            assert_eq!(probing.next(at(second), true, PACE), Next::Wait, "{second}");
        }
        probing.unwrapped(at(124), PACE, 0);
        assert_eq!((probing.next(at(124), true, PACE), probing.last_probe()), (Next::Probe, None));
        // Somebody's word to ask now stands until a probe has asked.
        probing.now();
        probing.unwrapped(at(125), PACE, 0);
        assert_eq!(probing.next(at(125), false, PACE), Next::Probe);
    }

    /// A vault that asks for time gets it, within bounds.
    #[test]
    fn a_vault_that_asks_for_time_gets_it() {
        let mut probing = Probing::default();
        for (asked_for, given) in [(1, 5), (17, 17), (4_000, 30)] {
            probing.failed(at(100), PACE, Some(Duration::from_secs(asked_for)));
            assert_eq!(probing.next(at(100 + given - 1), true, PACE), Next::Wait);
            assert_eq!(probing.next(at(100 + given), true, PACE), Next::Probe);
        }
    }

    /// A version that fails is not asked about for ever on nobody's behalf.
    #[test]
    fn a_failing_version_that_nobody_uses_is_left_alone() {
        let mut probing = Probing::default();
        let asked = |probing: &mut Probing, used| {
            (0..1_000).filter(|i| probing.next(at(100 + 5 * i), used, PACE) == Next::Probe).count()
        };
        probing.failed(at(0), PACE, None);
        assert_eq!(asked(&mut probing, false), 120);
        let mut probing = Probing::default();
        assert_eq!(asked(&mut probing, true), 1_000);
    }

    /// What nobody uses is not asked for; after 2P its first use has to.
    #[test]
    fn what_nobody_uses_dozes() {
        let mut probing = Probing::default();
        probing.succeeded(at(100), PACE, 0);
        assert_eq!(probing.next(at(130), false, PACE), Next::Wait);
        assert_eq!(probing.next(at(160), false, PACE), Next::Wait);
        assert_eq!(probing.next(at(161), false, PACE), Next::Doze);
        assert_eq!(probing.next(at(162), true, PACE), Next::Probe);
    }
}
