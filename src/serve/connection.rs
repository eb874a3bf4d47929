//! One connection's life: its calls, and the four ways it is told to end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;

use super::transport::Transport;
use super::{Answer, Limits};

/// The length of the bytes every HTTP/2 connection begins with.
const PREFACE: usize = 24;

/// Serves one connection until the peer closes it, it has been idle or alive for too long, or the server stops.
/// `age` is this connection's own age limit; `gone` turns true when the server stops.
pub(super) async fn serve<A: Answer>(
    transport: Transport,
    answer: A,
    limits: &Limits,
    age: Duration,
    mut gone: watch::Receiver<bool>,
) -> End {
    let read = transport.read_so_far();
    let calls = Arc::new(Calls::default());
    let answer = Arc::new(answer);
    let allowed = limits.calls_per_connection;
    let service = {
        let calls = calls.clone();
        service_fn(move |request| {
            let answering = match calls.clone().begin(allowed) {
                Some(held) => Ok((held, answer.clone().answer(request))),
                None => Err(answer.too_many_calls()),
            };
            async move {
                Ok::<_, Infallible>(match answering {
                    Ok((held, answer)) => answer.await.map(|body| Held { body, _call: Some(held) }),
                    Err(refused) => refused.map(|body| Held { body, _call: None }),
                })
            }
        })
    };
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(Limits::HEADER_LIST_BYTES)
        .max_pending_accept_reset_streams(Limits::RESETS_BEFORE_ACCEPT)
        .max_local_error_reset_streams(Limits::RESETS_BY_PEERS_ERRORS)
        .initial_stream_window_size(Limits::STREAM_WINDOW)
        .initial_connection_window_size(Limits::CONNECTION_WINDOW)
        .max_frame_size(Limits::FRAME)
        .max_send_buf_size(Limits::SEND_BUFFER)
        .keep_alive_interval(Limits::PING_EVERY)
        .keep_alive_timeout(Limits::PING_ANSWER)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(transport), service);
    tokio::pin!(connection);

    // Which of these comes first decides how long the calls under way may still take.
    let grace = {
        let too_old = tokio::time::sleep(age);
        let silent = tokio::time::sleep(limits.handshake);
        let idle = calls.idle_for(limits.idle);
        let stop = gone.wait_for(|gone| *gone);
        tokio::pin!(too_old, silent, idle, stop);
        let mut heard = false;
        loop {
            tokio::select! {
                biased;
                // The peer closed it, or broke the protocol: nothing is left to tell it.
                _ = connection.as_mut() => return End::Closed,
                _ = &mut stop => break limits.drain,
                () = &mut too_old => break limits.age_grace,
                () = &mut idle => break limits.age_grace,
                () = &mut silent, if !heard => {
                    heard = read.load(Ordering::Relaxed) >= PREFACE;
                    if !heard {
                        return End::Closed;
                    }
                }
            }
        }
    };
    connection.as_mut().graceful_shutdown();
    // An error is the peer's; at the limit the connection is cut by being dropped.
    match tokio::time::timeout(grace, connection).await {
        Ok(_) => End::Closed,
        Err(_) => End::Cut,
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All its calls were answered, or the peer left.
    Closed,
    /// It still had calls under way at its limit.
    Cut,
}

/// The calls of one connection.
#[derive(Default)]
struct Calls {
    under_way: AtomicUsize,
    begun: AtomicUsize,
}

impl Calls {
    fn begin(self: Arc<Self>, allowed: usize) -> Option<Call> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= allowed {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Call(self))
    }

    /// Completes once no call began or was under way for at least `length` (and at most twice that: it looks only so often,
    /// which spares each call a reading of the clock).
    async fn idle_for(&self, length: Duration) {
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(length).await;
            if self.under_way.load(Ordering::Relaxed) == 0 && self.begun.load(Ordering::Relaxed) == begun {
                return;
            }
        }
    }
}

/// One call's place among those of its connection, given up when dropped.
struct Call(Arc<Calls>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body that counts as a call under way until it was sent or given up.
struct Held {
    body: tonic::body::Body,
    _call: Option<Call>,
}

impl Body for Held {
    type Data = <tonic::body::Body as Body>::Data;
    type Error = <tonic::body::Body as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection in use is never idle; one without calls is, after between one and two lengths.
    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_call_under_way_is_not_idle() {
        let calls = Arc::new(Calls::default());
        let length = Duration::from_secs(10);
        let call = calls.clone().begin(1);
        assert!(tokio::time::timeout(length * 10, calls.idle_for(length)).await.is_err());
        assert!(calls.clone().begin(1).is_none(), "one call more than allowed");
        drop(call);
        assert!(tokio::time::timeout(length * 2, calls.idle_for(length)).await.is_ok());
    }
}
