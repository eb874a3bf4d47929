//! When the whole database is looked at: before anybody is answered, at once when somebody else wrote into it, and every quarter of an
//! hour whoever wrote.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Moment;
use store::{Examined, OthersWrote, StoreError};
use tokio::time::{MissedTickBehavior, interval};

use crate::keys::lock;
use crate::{Service, figures};

/// How often it is asked whether somebody else wrote. Costs one number of the connection that writes.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// The time between two looks at the whole that nothing brought about.
const BETWEEN: Duration = Duration::from_secs(15 * 60);
/// As much after a look that did not come to its end.
const UNTIL_AGAIN: Duration = Duration::from_secs(30);
/// The least time between two looks where others write again and again, and how many times the last look's time it is at least: a
/// third of the time goes into looking at most.
const AFTER_WRITING: (Duration, u32) = (Duration::from_secs(1), 2);
/// As much where only the count of who wrote was lost, as happens again and again while the disk is full.
const AFTER_LOSING_COUNT: (Duration, u32) = (Duration::from_secs(30), 10);

/// What is remembered of looks at the whole database.
#[derive(Default)]
pub(crate) struct Looks(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// Whether the last one came to its end.
    ended: bool,
    /// How long the last one took.
    took: Duration,
    /// When the last one that found everything in order was begun.
    good: Option<Moment>,
}

/// When the next look is due. Times since the last one are counted in questions, one every [`ASK_EVERY`].
struct Pace {
    /// How long the last one took.
    took: Duration,
    asked: u32,
    /// How many questions after the last one the next is due, and what brings it about.
    due: u32,
    why: OthersWrote,
}

impl Pace {
    /// After a look that took so long.
    fn after(ended: bool, took: Duration) -> Self {
        let due = questions_in(if ended { BETWEEN } else { UNTIL_AGAIN });
        Self { took, asked: 0, due, why: OthersWrote::No }
    }

    /// Whether it is time to look, after one more answer.
    fn is_due(&mut self, answer: OthersWrote) -> bool {
        self.asked = self.asked.saturating_add(1);
        let soonest = match answer {
            OthersWrote::No => self.due,
            OthersWrote::Yes => self.no_sooner_than(AFTER_WRITING),
            OthersWrote::NotKnown => self.no_sooner_than(AFTER_LOSING_COUNT),
        };
        if soonest < self.due {
            (self.due, self.why) = (soonest, answer);
        }
        self.asked >= self.due
    }

    fn no_sooner_than(&self, (least, times): (Duration, u32)) -> u32 {
        questions_in(least.max(self.took.saturating_mul(times)))
    }
}

/// How many questions it takes for that much time to pass.
fn questions_in(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(ASK_EVERY.as_millis())).unwrap_or(u32::MAX)
}

impl Looks {
    /// How long ago the last look was begun that found everything in order. `None`: there was none.
    pub(crate) fn good_for(&self, now: Moment) -> Option<Duration> {
        lock(&self.0).good.map(|good| now.since(good))
    }
}

impl Service {
    /// Looks at every row before anybody is answered, and takes time in proportion to the database: a row that was deleted or put back
    /// while nobody served is refused from the first call on. Where the database cannot be read to its end the process goes on, and
    /// looks again as soon as it [can](Self::keep_verifying).
    pub async fn verify_before_serving(&self) {
        // From here on what somebody else writes is noticed: what they write during the look may be, or may not, in what it reads.
        let _ = self.0.store.written_by_others().await;
        tracing::info!("every row of the database is looked at before anybody is answered");
        self.verify_database().await;
    }

    /// Looks at every row, tells what it found in the log and in figures, and answers whether all of it could be read. What is found forged
    /// is refused from then on: the workspace, or where that cannot be told, everything.
    pub async fn verify_database(&self) -> bool {
        let begun = self.0.clock.now();
        let examined = self.0.store.examine().await;
        let took = self.0.clock.now().since(begun);
        let remembered = &mut *lock(&self.0.looks.0);
        // What could not be read may be there again soon: whoever is refused for want of it does not wait for long.
        let ended = examined.as_ref().is_ok_and(|examined| examined.first.as_ref().is_none_or(StoreError::is_forged));
        (remembered.ended, remembered.took) = (ended, took);
        match &examined {
            Ok(examined @ Examined { looked_at, first: None, .. }) => {
                remembered.good = Some(begun);
                figures::database_examined(examined);
                tracing::info!(rows = looked_at.rows, events = looked_at.events, ?took, "the database is in order");
            }
            Ok(examined @ Examined { wrongs, distrusted, first: Some(why), .. }) => {
                figures::database_examined(examined);
                let (reason, hint, workspaces) = (why.reason().as_str(), why.remedy(), distrusted.len());
                if why.is_forged() {
                    tracing::error!(%why, reason, hint, wrongs, workspaces, ?took, "somebody else wrote into the database");
                } else {
                    tracing::error!(%why, reason, hint, wrongs, workspaces, ?took, "a part of the database cannot be read");
                }
            }
            Err(why) => tracing::warn!(%why, hint = why.remedy(), "the database could not be verified"),
        }
        remembered.ended
    }

    /// Asks again and again whether somebody else wrote, and looks at every row if so; and every quarter of an hour at any rate, since
    /// bytes that were changed past the database engine show in nothing else. Looks leave one another room: whoever writes again and
    /// again, or fills the disk, does not have the whole read without end.
    pub async fn keep_verifying(self: Arc<Self>) -> Infallible {
        let mut pace = self.pace();
        if !lock(&self.0.looks.0).ended {
            pace.due = 0;
        }
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Where it cannot be asked, what was written is still to be told the next time.
            let answer = self.0.store.written_by_others().await.unwrap_or(OthersWrote::No);
            if pace.is_due(answer) {
                match pace.why {
                    OthersWrote::No => {}
                    OthersWrote::Yes => {
                        tracing::warn!("somebody else wrote into the database: every row is looked at");
                    }
                    OthersWrote::NotKnown => {
                        tracing::warn!(
                            "writing failed, and whether somebody else wrote is not known: every row is looked at"
                        );
                    }
                }
                self.verify_database().await;
                pace = self.pace();
            }
        }
    }

    fn pace(&self) -> Pace {
        let Remembered { ended, took, .. } = *lock(&self.0.looks.0);
        Pace::after(ended, took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many questions the looks of an hour are begun, where every question has this answer and every look takes this long.
    fn looks_of_an_hour(answer: OthersWrote, took: Duration) -> Vec<u32> {
        let mut pace = Pace::after(true, took);
        let mut begun = Vec::new();
        for question in 1..=questions_in(Duration::from_secs(3_600)) {
            if pace.is_due(answer) {
                begun.push(question);
                pace = Pace::after(true, took);
            }
        }
        begun
    }

    /// What others write is looked at with the next question, unless a look has just been; a look that comes by itself, after a quarter of
    /// an hour.
    #[test]
    fn a_write_of_others_is_looked_at_at_once() {
        let mut pace = Pace::after(true, Duration::from_millis(200));
        for _ in 0..2 {
            assert!(!pace.is_due(OthersWrote::No));
        }
        assert!(pace.is_due(OthersWrote::Yes));
        assert_eq!(looks_of_an_hour(OthersWrote::No, Duration::ZERO), [1_800, 3_600, 5_400, 7_200]);
    }

    /// Somebody who writes all the time has the whole read for a third of the time at most, and what they write is looked at all the
    /// same.
    #[test]
    fn who_writes_all_the_time_does_not_have_it_read_without_end() {
        assert_eq!(looks_of_an_hour(OthersWrote::Yes, Duration::ZERO)[..3], [2, 4, 6]);
        assert_eq!(looks_of_an_hour(OthersWrote::Yes, Duration::from_secs(10))[..3], [40, 80, 120]);
        let mut pace = Pace::after(true, Duration::from_secs(10));
        assert!(!pace.is_due(OthersWrote::Yes), "just looked at");
        assert_eq!((2..).find(|_| pace.is_due(OthersWrote::No)), Some(40), "what was written is not forgotten");
    }

    /// A count that is lost at each question, as while the disk is full, is no sign that anybody wrote, and brings about a look in half a
    /// minute, or an eleventh of the time spent looking. One who then writes is looked at as soon as ever.
    #[test]
    fn a_lost_count_has_nothing_read_back_to_back() {
        assert_eq!(looks_of_an_hour(OthersWrote::NotKnown, Duration::ZERO)[..2], [60, 120]);
        assert_eq!(looks_of_an_hour(OthersWrote::NotKnown, Duration::from_secs(10))[..2], [200, 400]);
        let mut pace = Pace::after(true, Duration::from_secs(1));
        for _ in 0..10 {
            assert!(!pace.is_due(OthersWrote::NotKnown));
        }
        assert!(pace.is_due(OthersWrote::Yes));
    }
}
