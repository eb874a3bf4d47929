//! What ends a command from outside: an interrupt, a polite kill, a lost terminal.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Exit, Failure};

/// Returns when one of them comes. If they cannot be heard, the system's own handling stays.
pub(crate) async fn interrupted() -> Failure {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    let hint = "run it again; what went into a pipe until now is not whole".into();
    Failure { exit: Exit::Interrupted, message: "interrupted; no file was written".into(), hint }
}
