//! When the whole database is looked at: before anybody is answered, at once when somebody else wrote into it, and every quarter of an
//! hour whoever wrote.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Moment;
use store::Examined;
use tokio::time::{MissedTickBehavior, interval};

use crate::keys::lock;
use crate::{Service, figures};

/// How often it is asked whether somebody else wrote. Costs one number of the connection that writes.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How many times that is asked between two looks at the whole that nobody else's writing brought about: a quarter of an hour.
const ASKED_BETWEEN: u32 = 15 * 60 * 2;
/// As many after a look that did not come to its end: half a minute.
const ASKED_UNTIL_AGAIN: u32 = 30 * 2;

/// What is remembered of looks at the whole database.
#[derive(Default)]
pub(crate) struct Looks(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// Whether the last one came to its end.
    ended: bool,
    /// When the last one that found everything in order was begun.
    good: Option<Moment>,
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
        self.verify_database().await;
    }

    /// Looks at every row, tells what it found in the log and in figures, and answers whether it came to the end. What is found forged
    /// is refused from then on: the workspace, or where that cannot be told, everything.
    pub async fn verify_database(&self) -> bool {
        let begun = self.0.clock.now();
        let examined = self.0.store.examine().await;
        let took = self.0.clock.now().since(begun);
        let remembered = &mut *lock(&self.0.looks.0);
        remembered.ended = examined.is_ok();
        match &examined {
            Ok(examined @ Examined { looked_at, first: None, .. }) => {
                remembered.good = Some(begun);
                figures::database_examined(examined);
                tracing::info!(rows = looked_at.rows, events = looked_at.events, ?took, "the database is in order");
            }
            Ok(examined @ Examined { wrongs, distrusted, first: Some(why), .. }) => {
                figures::database_examined(examined);
                let (reason, hint, workspaces) = (why.reason().as_str(), why.remedy(), distrusted.len());
                tracing::error!(%why, reason, hint, wrongs, workspaces, ?took, "somebody else wrote into the database");
            }
            Err(why) => tracing::warn!(%why, hint = why.remedy(), "the database could not be verified"),
        }
        remembered.ended
    }

    /// Asks again and again whether somebody else wrote, and looks at every row if so; and every quarter of an hour at any rate, since
    /// bytes that were changed past the database engine show in nothing else.
    pub async fn keep_verifying(self: Arc<Self>) -> Infallible {
        let mut left = if lock(&self.0.looks.0).ended { ASKED_BETWEEN } else { 0 };
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            left = left.saturating_sub(1);
            // Where it cannot be asked, what was written is still to be told the next time.
            if let Ok(true) = self.0.store.written_by_others().await {
                tracing::warn!("somebody else may have written into the database: every row is looked at");
                left = 0;
            }
            if left == 0 {
                left = if self.verify_database().await { ASKED_BETWEEN } else { ASKED_UNTIL_AGAIN };
            }
        }
    }
}
