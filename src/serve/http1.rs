//! The small listener beside gRPC: HTTP/1.1 for few and short requests, in a room of its own.
//!
//! Who fills it keeps nobody from gRPC. It runs on its caller's event loop, has no request worth waiting for at the end, and
//! ends by being dropped.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::listener::{AFTER_A_FAILED_ACCEPT, Accept};
use super::{BindRefused, Listener};

/// What one peer may take of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at once; one more is closed at once.
    pub connections: usize,
    /// How long a peer may take for the TLS handshake, and again for a request's head.
    pub head: Duration,
    /// How long a connection lives at most, whatever is under way.
    pub age: Duration,
}

impl HttpLimits {
    /// The most bytes of a request's head.
    const HEAD_BYTES: usize = 16 * 1024;
    /// The most headers of a request.
    const HEADERS: usize = 64;
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { connections: 64, head: Duration::from_secs(5), age: Duration::from_secs(60) }
    }
}

/// A listener on the caller's runtime, with what answers there.
pub struct Http {
    accept: Accept,
    router: Router,
    limits: HttpLimits,
}

impl Http {
    /// Takes the listener over. Connections wait until it is [run](Http::run).
    pub fn new(listener: Listener, router: Router, limits: HttpLimits) -> Result<Self, BindRefused> {
        Ok(Self { accept: listener.into_accept()?, router, limits })
    }

    /// Serves until it is dropped, and its connections with it.
    pub async fn run(self) -> Infallible {
        let Self { accept, router, limits } = self;
        let room = Arc::new(Semaphore::new(limits.connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept.next() => accepted,
                // Only so that what ended is let go of.
                Some(_) = connections.join_next() => continue,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(kind = %error.kind(), "a connection could not be taken");
                    tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
                    continue;
                }
            };
            // Dropping the stream closes it.
            let Ok(place) = room.clone().try_acquire_owned() else { continue };
            let (router, head, age) = (router.clone(), limits.head, limits.age);
            connections.spawn(async move {
                if let Some(transport) = stream.open(head).await {
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(head)
                        .max_headers(HttpLimits::HEADERS)
                        .max_buf_size(HttpLimits::HEAD_BYTES)
                        .serve_connection(TokioIo::new(transport), TowerToHyperService::new(router));
                    // What the peer did wrong is its own matter.
                    let _ = tokio::time::timeout(age, connection).await;
                }
                drop(place);
            });
        }
    }
}
