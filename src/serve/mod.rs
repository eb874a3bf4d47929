//! How connections are taken, bounded, dealt out and let go.
//!
//! [`Server`] takes any number of [`Listener`]s and an [`Answer`], which is the gRPC part or, in a benchmark, an echo. The
//! accept loop is our own because the library's has no cap on connections, no idle limit and no jitter on their age.

mod connection;
mod http1;
mod limits;
mod listener;
mod peer;
mod tls;
mod transport;
mod unix;
mod workers;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::Entropy;
use tokio::sync::{Semaphore, watch};

use connection::End;
pub use http1::{Http, HttpLimits};
pub use limits::Limits;
pub use listener::{Address, BindRefused, Listener};
pub use peer::Peer;
pub use tls::{ClientCertificates, ServerTls, TlsFiles, TlsRefused};
pub use workers::Workers;

/// A request as it arrives.
pub type Incoming = http::Request<hyper::body::Incoming>;
/// An answer as it leaves.
pub type Outgoing = http::Response<tonic::body::Body>;

/// Answers the requests of connections. Cloned once for each connection and shared by that connection's requests only, so
/// that requests of different connections write no counter in common.
pub trait Answer: Clone + Send + Sync + 'static {
    /// Answers one request. It must not panic: what does, ends only its own stream, but without a proper status.
    fn answer(self: Arc<Self>, request: Incoming) -> impl Future<Output = Outgoing> + Send + 'static;

    /// For a connection that was opened with a certificate: told once, before its first request.
    fn opened_by(self, peer: Option<Arc<Peer>>) -> Self {
        drop(peer);
        self
    }

    /// What a connection is told that has more calls under way than it may.
    fn too_many_calls(&self) -> Outgoing;
}

/// Serves connections until told to stop, then lets the calls under way finish.
pub struct Server {
    limits: Limits,
    workers: Workers,
    entropy: Arc<dyn Entropy>,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that still had calls under way when the limit was reached, and were cut.
    pub cut: u64,
    /// Connections that were turned away in the server's life because it was full.
    pub turned_away: u64,
}

impl Server {
    /// A server with these bounds, whose connections run on `workers`. `entropy` spreads the ends of long connections.
    pub fn new(limits: Limits, workers: Workers, entropy: Arc<dyn Entropy>) -> Self {
        Self { limits, workers, entropy }
    }

    /// Serves until `stop` completes, then refuses new connections, tells the present ones to go away and waits for their
    /// calls, at most [`Limits::drain`].
    pub async fn run(
        self,
        listeners: Vec<Listener>,
        answer: impl Answer,
        stop: impl Future<Output = ()>,
    ) -> Result<Drained, BindRefused> {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let turned_away = Arc::new(AtomicU64::new(0));
        let cut = Arc::new(AtomicU64::new(0));
        let (going, gone) = watch::channel(false);
        let mut accepting = tokio::task::JoinSet::new();
        let door = Arc::new(Door {
            answer,
            limits: self.limits.clone(),
            workers: self.workers,
            entropy: self.entropy,
            room: room.clone(),
            turned_away: turned_away.clone(),
            cut: cut.clone(),
            gone,
        });
        for listener in listeners {
            let accept = listener.into_accept()?;
            let door = door.clone();
            accepting.spawn(async move { accept_all(accept, &door).await });
        }
        stop.await;
        accepting.shutdown().await; // closes the listeners
        going.send_replace(true);
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        // Each connection cuts itself at the limit and then gives up its place; one that does not is dropped with its thread.
        let _ = tokio::time::timeout(self.limits.drain + SLACK, room.acquire_many(all)).await;
        Ok(Drained { cut: cut.load(Ordering::Relaxed), turned_away: turned_away.load(Ordering::Relaxed) })
    }
}

/// How much later than a connection the server looks at the drain's limit.
const SLACK: Duration = Duration::from_secs(1);

/// What the accept loops share.
struct Door<A> {
    answer: A,
    limits: Limits,
    workers: Workers,
    entropy: Arc<dyn Entropy>,
    room: Arc<Semaphore>,
    turned_away: Arc<AtomicU64>,
    cut: Arc<AtomicU64>,
    gone: watch::Receiver<bool>,
}

async fn accept_all<A: Answer>(accept: listener::Accept, door: &Door<A>) -> Infallible {
    loop {
        let stream = match accept.next().await {
            Ok(stream) => stream,
            // Out of file descriptors, or the peer went away at once: neither ends the server.
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a connection could not be taken");
                tokio::time::sleep(listener::AFTER_A_FAILED_ACCEPT).await;
                continue;
            }
        };
        let Ok(place) = door.room.clone().try_acquire_owned() else {
            let count = door.turned_away.fetch_add(1, Ordering::Relaxed) + 1;
            // The first, the second, the fourth …: a flood must not fill the log.
            if count.is_power_of_two() {
                tracing::warn!(count, limit = door.limits.connections, "full: connections are turned away");
            }
            continue; // dropping it closes it
        };
        let answer = door.answer.clone();
        let limits = door.limits.clone();
        let mut gone = door.gone.clone();
        let cut = door.cut.clone();
        let age = limits.jittered_age(&*door.entropy);
        door.workers.next().spawn(async move {
            let opened = tokio::select! {
                opened = stream.open(limits.handshake) => opened,
                _ = gone.wait_for(|gone| *gone) => None,
            };
            if let Some(transport) = opened {
                let peer = transport.peer().cloned();
                let answer = answer.opened_by(peer.clone());
                let distrusted = async {
                    match peer {
                        Some(peer) => peer.no_longer_trusted().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    end = connection::serve(transport, answer, &limits, age, gone) => if end == End::Cut {
                        cut.fetch_add(1, Ordering::Relaxed);
                    },
                    // Cut by being dropped, with the streams it has: whoever it was may not go on.
                    () = distrusted => tracing::warn!("a connection was ended: its certificate is good no more"),
                }
            }
            drop(place);
        });
    }
}
