//! What happens in a run, drawn from its seed.

use std::time::Duration;

use super::REPLICAS;
use super::run::DATE;
use crate::revocation::Trouble;
use crate::revocation::plan::Dice;

/// The death of a replica: when, and when another takes its place with nothing in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// When it dies.
    pub at: Duration,
    /// When the next one starts.
    pub back: Duration,
}

/// What happens in a run. Times are from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// From which it was drawn.
    pub seed: u64,
    /// By how many microseconds each replica's clock is off.
    pub skew: [i64; REPLICAS],
    /// What goes wrong on each.
    pub troubles: [Trouble; REPLICAS],
    /// Which die.
    pub crashes: [Option<Crash>; REPLICAS],
    /// When the customer disables the key, and when they enable it again.
    pub disabled: Option<(Duration, Duration)>,
}

impl Plan {
    /// A fifth of the runs have nothing but clocks that are off: their date has to be kept. The others have everything.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x00e4_f04c_ed00_0000);
        let skew = std::array::from_fn(|_| i64::try_from(dice.below(998_000)).unwrap_or(0) - 499_000);
        let quiet =
            Self { seed, skew, troubles: [Trouble::Nothing; REPLICAS], crashes: [None; REPLICAS], disabled: None };
        if dice.below(5) == 0 {
            return quiet;
        }
        let troubles = std::array::from_fn(|_| trouble(&mut dice));
        let crashes = std::array::from_fn(|_| (dice.below(4) == 0).then(|| crash(&mut dice)));
        let disabled = (dice.below(3) == 0).then(|| {
            let from = some_time(&mut dice);
            (from, from + Duration::from_millis(dice.below(400_000)))
        });
        Self { troubles, crashes, disabled, ..quiet }
    }

    /// Whether nothing but the clocks is wrong.
    pub fn is_quiet(&self) -> bool {
        self.troubles == [Trouble::Nothing; REPLICAS] && self.crashes == [None; REPLICAS] && self.disabled.is_none()
    }
}

/// Any time, the freeze and the date more often than the others.
fn some_time(dice: &mut Dice) -> Duration {
    let millis = Duration::from_millis;
    match dice.below(3) {
        0 => millis(dice.below(440_000)),
        1 => DATE - millis(300_000 + dice.below(65_000)),
        _ => DATE + millis(2_000) - millis(dice.below(6_000)),
    }
}

fn trouble(dice: &mut Dice) -> Trouble {
    let from = some_time(dice);
    let millis = Duration::from_millis;
    match dice.below(8) {
        0 | 1 => Trouble::VaultCut { from, hang: dice.below(2) == 0 },
        2 | 3 => Trouble::StoreCut { from },
        4 => Trouble::Paused { from, until: from + millis(100 + dice.below(200_000)) },
        5 => Trouble::SlowCommits { longest: millis(dice.below(9_000)) },
        _ => Trouble::Nothing,
    }
}

fn crash(dice: &mut Dice) -> Crash {
    let at = some_time(dice);
    Crash { at, back: at + Duration::from_millis(100 + dice.below(60_000)) }
}
