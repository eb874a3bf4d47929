//! What is looked at again and again while the daemon serves: certificates, the database, and keys that have lapsed.

use std::sync::Arc;
use std::time::Duration;

use service::Service;
use store::{Store, StoreError};

use crate::serve::ServerTls;

/// How often keys whose lease has lapsed are wiped from memory.
const WIPE_EVERY: Duration = Duration::from_secs(5);
/// How often the files of certificates are read again.
const READ_CERTIFICATES_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether the database is still the one that was opened.
const LOOK_AT_DATABASE_EVERY: Duration = Duration::from_secs(1);

/// Reads a listener's certificates again and again. What cannot be used is told each time, and changes nothing.
pub(super) async fn keep_reading(certificates: Arc<ServerTls>) {
    let mut ticks = tokio::time::interval(READ_CERTIFICATES_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reading = certificates.clone();
        let file = certificates.certificate().display();
        match tokio::task::spawn_blocking(move || reading.read_again()).await {
            Ok(Ok(true)) => tracing::info!(%file, "certificates were read again, and count from now on"),
            Ok(Ok(false)) => {}
            Ok(Err(why)) => {
                let hint = why.hint();
                tracing::error!(%file, %why, hint, "new certificates cannot be used: those from before still count");
            }
            Err(why) => tracing::error!(%file, %why, "certificates could not be read again"),
        }
    }
}

/// The database turned out not to be the one that was opened.
pub(super) struct Rolled;

/// Ends when the database has turned out to be an older copy of itself, or another.
pub(super) async fn rolled_back(store: Arc<dyn Store>) -> Rolled {
    let mut ticks = tokio::time::interval(LOOK_AT_DATABASE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if store.revision().await == Err(StoreError::RolledBack) {
            return Rolled;
        }
    }
}

/// Wipes keys whose lease has lapsed, again and again.
pub(super) async fn wipe_lapsed_keys(service: Arc<Service>) {
    let mut ticks = tokio::time::interval(WIPE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.wipe_lapsed_keys();
    }
}
