//! The load: bare HTTP/2 with frames encoded once, because a full client costs more than the server under test.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use tokio::net::UnixStream;

use crate::stopwatch::Stopwatch;

/// Open connections and the one request they repeat.
pub(super) struct Load {
    senders: Vec<SendRequest<Bytes>>,
    in_flight: usize,
    head: http::Request<()>,
    body: Bytes,
}

impl Load {
    /// Connects. `message` is a whole protobuf message; the gRPC frame is put around it here, once.
    pub(super) async fn connect(socket: &Path, connections: usize, in_flight: usize, message: &[u8]) -> Result<Self> {
        let mut senders = Vec::new();
        for _ in 0..connections {
            let stream = UnixStream::connect(socket).await?;
            let (sender, connection) = h2::client::Builder::new()
                .initial_window_size(4 << 20)
                .initial_connection_window_size(16 << 20)
                .handshake(stream)
                .await?;
            tokio::spawn(connection);
            senders.push(sender.ready().await?);
        }
        let head = http::Request::post("http://localhost/byok.v1.Encryption/Encrypt")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", super::servers::TOKEN))
            .body(())?;
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len())?.to_be_bytes());
        body.extend_from_slice(message);
        Ok(Self { senders, in_flight, head, body: body.into() })
    }

    /// Keeps `in_flight` calls under way for this long. Returns how many were answered with OK, and the seconds they took;
    /// an answer that is not OK ends it with an error.
    pub(super) async fn run(&mut self, turn: Duration) -> Result<(u64, f64)> {
        let per_connection = self.in_flight / self.senders.len();
        let stopwatch = Stopwatch::start();
        let mut tasks = tokio::task::JoinSet::new();
        for sender in &self.senders {
            for _ in 0..per_connection {
                let (sender, head, body) = (sender.clone(), self.head.clone(), self.body.clone());
                tasks.spawn(async move {
                    let own = Stopwatch::start();
                    let mut calls = 0;
                    while own.elapsed() < turn {
                        call(sender.clone(), &head, &body).await?;
                        calls += 1;
                    }
                    anyhow::Ok(calls)
                });
            }
        }
        let mut calls = 0_u64;
        while let Some(done) = tasks.join_next().await {
            calls += done??;
        }
        Ok((calls, stopwatch.elapsed().as_secs_f64()))
    }
}

impl Load {
    /// The answers are held to this: at 1 KiB and up an answer is at least as long as the question.
    fn plausible(received: usize, sent: usize) -> bool {
        received + 256 >= sent
    }
}

async fn call(sender: SendRequest<Bytes>, head: &http::Request<()>, body: &Bytes) -> Result<()> {
    let mut sender = sender.ready().await?;
    let (answer, mut sending) = sender.send_request(head.clone(), false)?;
    sending.send_data(body.clone(), true)?;
    let mut answer = answer.await?.into_body();
    let mut received = 0;
    while let Some(chunk) = answer.data().await {
        let chunk = chunk?;
        received += chunk.len();
        answer.flow_control().release_capacity(chunk.len())?;
    }
    let trailers = answer.trailers().await?.context("the answer has no trailers: it was refused")?;
    ensure!(trailers.get("grpc-status").is_some_and(|status| status == "0"), "the answer is not OK: {trailers:?}");
    ensure!(Load::plausible(received, body.len()), "the answer is shorter than the question");
    Ok(())
}
