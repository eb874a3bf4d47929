//! Writing down what was refused that looks like somebody trying something: counted, and once a minute one event in the platform's
//! chain, so that a flood of it does not write the database.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::audit::{AuditEvent, AuditKind, SERVICE};
use store::StoreError;
use tokio::time::{MissedTickBehavior, interval};

use crate::Service;

/// How often the count is written.
const WRITE_EVERY: Duration = Duration::from_secs(60);

impl Service {
    /// Writes the counts, until it is dropped.
    pub async fn keep_counting_refusals(self: Arc<Self>) -> Infallible {
        let mut ticks = interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(why) = self.record_refusals().await {
                tracing::warn!(%why, "what was refused could not be written down");
            }
        }
    }

    /// Writes what was counted since this was last done. What could not be written is counted on.
    pub async fn record_refusals(&self) -> Result<(), StoreError> {
        let core = &self.0;
        let counts = core.refusals.take();
        if counts.is_empty() {
            return Ok(());
        }
        let what = AuditKind::RefusalsCounted { counts: counts.clone() };
        let event = AuditEvent { workspace: None, at: core.clock.now().wall, actor: SERVICE.to_owned(), what };
        core.store.record(event).await.inspect_err(|_| counts.iter().for_each(|(why, n)| core.refusals.add(*why, *n)))
    }
}
