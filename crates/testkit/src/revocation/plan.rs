//! What happens in a run, drawn from its seed.

use std::time::Duration;

use super::REPLICAS;

/// What the customer or an admin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The customer disables the key version.
    Disabled,
    /// The customer takes our role away.
    RoleRemoved,
    /// An admin deletes an app, on a replica that is not in the picture.
    AppDeleted,
}

/// What goes wrong on a replica. Times are in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    Nothing,
    /// Nothing, and hardly anybody uses it.
    Idle,
    /// The vault cannot be reached from then on; calls hang, or fail at once.
    VaultCut {
        /// Since when.
        from: Duration,
        /// Whether calls hang.
        hang: bool,
    },
    /// The vault's answers take long, and from the event on there are none.
    SlowThenCut {
        /// How long an answer is on its way back.
        back: Duration,
    },
    /// The database cannot be reached from then on.
    StoreCut {
        /// Since when.
        from: Duration,
    },
    /// The process stands still.
    Paused {
        /// Since when.
        from: Duration,
        /// Until when.
        until: Duration,
    },
    /// Real time is stepped.
    Stepped {
        /// When.
        at: Duration,
        /// By how many microseconds.
        micros: i64,
    },
    /// The first answer for an app is on its way back while another app hears the denial.
    Race {
        /// How long that answer takes.
        back: Duration,
    },
}

/// What happens in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// From which it was drawn.
    pub seed: u64,
    /// What is done.
    pub event: Event,
    /// When.
    pub at: Duration,
    /// What goes wrong, on each replica.
    pub troubles: [Trouble; REPLICAS],
}

impl Plan {
    /// Half the runs are a version disabled and nothing wrong: they give the figures. The others have everything.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let at = Duration::from_millis(40_000 + dice.below(50_000));
        if dice.below(2) == 0 {
            return Self { seed, event: Event::Disabled, at, troubles: [Trouble::Nothing; REPLICAS] };
        }
        let event = [Event::Disabled, Event::Disabled, Event::RoleRemoved, Event::AppDeleted][dice.pick(4)];
        let troubles = std::array::from_fn(|_| trouble(&mut dice, at));
        Self { seed, event, at, troubles }
    }

    /// Whether nothing goes wrong.
    pub fn is_quiet(&self) -> bool {
        self.event == Event::Disabled && self.troubles == [Trouble::Nothing; REPLICAS]
    }
}

fn trouble(dice: &mut Dice, at: Duration) -> Trouble {
    let millis = Duration::from_millis;
    let around = at.saturating_sub(millis(dice.below(30_000)));
    match dice.below(9) {
        0 => Trouble::Idle,
        1 | 2 => Trouble::VaultCut { from: around, hang: dice.below(2) == 0 },
        3 => Trouble::SlowThenCut { back: millis(5_000 + dice.below(4_000)) },
        4 => Trouble::StoreCut { from: around },
        5 => Trouble::Paused { from: around, until: at + millis(100 + dice.below(120_000)) },
        6 => {
            let micros = i64::try_from(dice.below(7_200_000_000)).unwrap_or(0) - 3_600_000_000;
            Trouble::Stepped { at: around, micros }
        }
        7 => Trouble::Race { back: millis(3_000 + dice.below(5_000)) },
        _ => Trouble::Nothing,
    }
}

/// Numbers that a seed repeats (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is small: the bias does not matter here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick(&mut self, end: u64) -> usize {
        usize::try_from(self.below(end)).unwrap_or(0)
    }

    /// From `low` to below `high`.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from((high - low).as_micros()).unwrap_or(1).max(1);
        low + Duration::from_micros(self.below(span))
    }
}
