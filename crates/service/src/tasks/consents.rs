//! Writing down what was refused to browsers that belong to no consent: counted, and once a minute one event in the platform's chain, so
//! that a flood of forged answers does not write the database.

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
    pub async fn keep_counting_consents(self: Arc<Self>) -> Infallible {
        let mut ticks = interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(why) = self.record_refused_consents().await {
                tracing::warn!(%why, "what was refused to browsers could not be written down");
            }
        }
    }

    /// Writes what was counted since this was last done. What could not be written is counted on.
    pub async fn record_refused_consents(&self) -> Result<(), StoreError> {
        let core = &self.0;
        let Some((count, why)) = core.consents.counted() else { return Ok(()) };
        let what = AuditKind::ConsentsRefused { count, why };
        let event = AuditEvent { workspace: None, at: core.clock.now().wall, actor: SERVICE.to_owned(), what };
        core.store.record(event).await.inspect_err(|_| core.consents.count_again(count, why))
    }
}
