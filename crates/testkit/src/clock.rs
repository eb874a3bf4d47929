//! Both clocks, moved by hand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Clock, Moment, Timestamp};

/// Stands still until it is told to move.
pub struct HandClock(Mutex<Hands>);

struct Hands {
    now: Moment,
    jump: Option<(usize, Duration)>,
}

impl HandClock {
    /// 2027-03-01T09:00:00Z, an hour after boot.
    pub fn new() -> Arc<Self> {
        let wall = Timestamp::from_micros(1_803_891_600_000_000);
        Arc::new(Self(Mutex::new(Hands { now: Moment { wall, boot: Duration::from_secs(3_600) }, jump: None })))
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        hands.now = later(hands.now, by);
    }

    /// Steps real time alone, backwards with a negative number; boot time cannot be stepped.
    pub fn step_wall(&self, micros: i64) {
        let mut hands = self.hands();
        hands.now.wall = Timestamp::from_micros(hands.now.wall.micros() + micros);
    }

    /// After `readings` more readings, both clocks jump forward: something takes long in between.
    pub fn jump_after(&self, readings: usize, by: Duration) {
        self.hands().jump = Some((readings, by));
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(now: Moment, by: Duration) -> Moment {
    Moment { wall: now.wall.saturating_add(by), boot: now.boot + by }
}

impl Clock for HandClock {
    fn now(&self) -> Moment {
        let mut hands = self.hands();
        match hands.jump {
            None => {}
            Some((0, by)) => {
                hands.jump = None;
                hands.now = later(hands.now, by);
            }
            Some((readings, by)) => hands.jump = Some((readings - 1, by)),
        }
        hands.now
    }
}
