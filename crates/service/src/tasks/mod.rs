//! What runs by itself, beside the requests.
//!
//! Each loop's work is a function that a test calls after it has moved the clock; only the waiting in between is here.

pub(crate) mod enforcement;
pub(crate) mod expiry;
pub(crate) mod feed;
pub(crate) mod hints;
pub(crate) mod ledger;
pub(crate) mod new_versions;
mod probes;
mod refusals;
pub(crate) mod rotation;
mod staging;
pub(crate) mod usage;
pub(crate) mod verifying;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::Service;

/// How often the loops look what is due, and show that this replica is awake.
const TICK: Duration = Duration::from_millis(250);

impl Service {
    /// Runs what runs by itself, until it is dropped: probes of the key versions in use, and the feed of what other replicas
    /// changed. Without it a service is still right, and slower to hear: a lease that ended is asked about when it is used,
    /// and the store is read anew when C has passed.
    pub async fn run_tasks(self: Arc<Self>) -> Infallible {
        let (infallible, _): (Infallible, Infallible) = tokio::join!(self.probe_by_itself(), self.read_by_itself());
        infallible
    }

    /// What the loops would do now, once, to its end: for tests that move a clock by hand.
    pub async fn run_due_tasks(&self) {
        self.0.notice_pause();
        let _ = self.0.read_feed(&self.0.budget()).await;
        futures::future::join_all(self.0.due_probes()).await;
    }

    async fn probe_by_itself(&self) -> Infallible {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.0.notice_pause();
            // Each on its own: a vault that hangs delays no other's probe.
            self.0.due_probes().into_iter().for_each(|probe| drop(tokio::spawn(probe)));
        }
    }

    async fn read_by_itself(&self) -> Infallible {
        let mut ticks = interval(self.0.options.feed_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // What could not be read is noted there, and asked for again at the next tick.
            let _ = self.0.read_feed(&self.0.budget()).await;
        }
    }
}
