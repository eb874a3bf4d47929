//! What the stream calls promise, against a service in this process that behaves badly on demand.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use client::{Client, Endpoint, Options, Progress, StreamError, pb};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

type Answers<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

/// How the service behaves once it has the header.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Gives every byte back, plus one.
    Echo,
    /// Ends with OK while the input is still coming.
    EndsEarly,
    /// Gives back what came and then refuses.
    RefusesAtTheEnd,
}

struct Service {
    manner: Manner,
    /// Whether the input came to its proper end.
    saw_end: Arc<Mutex<Option<bool>>>,
    over: Arc<Notify>,
}

#[tonic::async_trait]
impl pb::encryption_server::Encryption for Service {
    type EncryptStreamStream = Answers<pb::EncryptStreamResponse>;
    type DecryptStreamStream = Answers<pb::DecryptStreamResponse>;

    async fn encrypt_stream(
        &self,
        request: Request<Streaming<pb::EncryptStreamRequest>>,
    ) -> Result<Response<Self::EncryptStreamStream>, Status> {
        let mut asks = request.into_inner();
        let (tx, rx) = tokio::sync::mpsc::channel(1);
        let (manner, saw_end, over) = (self.manner, self.saw_end.clone(), self.over.clone());
        tokio::spawn(async move {
            let mut first = true;
            loop {
                match asks.message().await {
                    Ok(Some(ask)) => {
                        let ciphertext = match ask.message {
                            Some(pb::encrypt_stream_request::Message::Plaintext(bytes)) => bytes,
                            _ => Bytes::new(),
                        };
                        let data_key = if first { "workspaces/w/apps/a/dataKeys/d".to_owned() } else { String::new() };
                        first = false;
                        let answer = pb::EncryptStreamResponse { ciphertext, data_key, ..Default::default() };
                        let _ = tx.send(Ok(answer)).await;
                        if manner == Manner::EndsEarly {
                            return;
                        }
                    }
                    Ok(None) => {
                        *saw_end.lock().unwrap() = Some(true);
                        let last = match manner {
                            Manner::RefusesAtTheEnd => Err(Status::data_loss("the end is missing")),
                            Manner::Echo | Manner::EndsEarly => Ok(pb::EncryptStreamResponse {
                                ciphertext: Bytes::from_static(b"!"),
                                ..Default::default()
                            }),
                        };
                        let _ = tx.send(last).await;
                        over.notify_one();
                        return;
                    }
                    Err(_) => {
                        *saw_end.lock().unwrap() = Some(false);
                        over.notify_one();
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(rx))))
    }

    async fn decrypt_stream(
        &self,
        _: Request<Streaming<pb::DecryptStreamRequest>>,
    ) -> Result<Response<Self::DecryptStreamStream>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }
    async fn encrypt(&self, request: Request<pb::EncryptRequest>) -> Result<Response<pb::EncryptResponse>, Status> {
        match request.metadata().get("authorization").map(|v| v.as_bytes().to_vec()) {
            Some(value) if value == b"Bearer a-token" => Ok(Response::new(pb::EncryptResponse::default())),
            _ => Err(Status::unauthenticated("no token")),
        }
    }
    async fn decrypt(&self, _: Request<pb::DecryptRequest>) -> Result<Response<pb::DecryptResponse>, Status> {
        std::future::pending().await
    }
    async fn batch_encrypt(
        &self,
        _: Request<pb::BatchEncryptRequest>,
    ) -> Result<Response<pb::BatchEncryptResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }
    async fn batch_decrypt(
        &self,
        _: Request<pb::BatchDecryptRequest>,
    ) -> Result<Response<pb::BatchDecryptResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }
    async fn re_encrypt(&self, _: Request<pb::ReEncryptRequest>) -> Result<Response<pb::ReEncryptResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }
}

struct Rig {
    client: Client,
    saw_end: Arc<Mutex<Option<bool>>>,
    over: Arc<Notify>,
}

async fn rig(manner: Manner) -> Rig {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Loopback(listener.local_addr().unwrap());
    let (saw_end, over) = (Arc::new(Mutex::new(None)), Arc::new(Notify::new()));
    let service = Service { manner, saw_end: saw_end.clone(), over: over.clone() };
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(pb::encryption_server::EncryptionServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let timeout = std::time::Duration::from_millis(200);
    let options = Options { token: Some("a-token".into()), timeout, ..Options::default() };
    Rig { client: Client::connect(&endpoint, options).await.unwrap(), saw_end, over }
}

/// Gives some bytes (more than wait on this side, so that the call has begun) and then an error.
struct Breaks(usize);
impl AsyncRead for Breaks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if self.0 == 0 {
            return std::task::Poll::Ready(Err(io::Error::other("the disk is gone")));
        }
        let n = self.0.min(buf.remaining());
        buf.put_slice(&vec![7; n]);
        self.0 -= n;
        std::task::Poll::Ready(Ok(()))
    }
}

/// All of a long input arrives, in order, and progress ends where the data does.
#[tokio::test]
async fn a_long_stream_arrives_whole() {
    let rig = rig(Manner::Echo).await;
    let input: Vec<u8> = (0..3_000_001_u32).map(|i| (i % 251) as u8).collect();
    let mut output = Vec::new();
    let mut last = Progress::default();
    let sealed = rig.client.encrypt_stream("a", HashMap::new(), &input[..], &mut output, |p| last = p).await.unwrap();
    assert_eq!(output.len(), input.len() + 1);
    assert!(output.starts_with(&input));
    assert_eq!(sealed.progress, Progress { read: 3_000_001, written: 3_000_002 });
    assert_eq!(last, sealed.progress);
}

/// An input that cannot be read to its end is cancelled: the service never takes it for one that ended, so that no whole
/// ciphertext of half the data can come to be.
#[tokio::test]
async fn an_unreadable_input_is_never_taken_for_a_short_one() {
    let rig = rig(Manner::Echo).await;
    let reader = Breaks(10_000_000);
    let refused = rig.client.encrypt_stream("a", HashMap::new(), reader, tokio::io::sink(), |_| {}).await.unwrap_err();
    assert!(matches!(refused, StreamError::Read(_)), "{refused}");
    rig.over.notified().await;
    assert_eq!(*rig.saw_end.lock().unwrap(), Some(false), "the service saw a proper end");
}

/// An answer that ends before the input was sent is an error, though the service calls it OK.
#[tokio::test]
async fn an_answer_that_ends_early_is_not_a_success() {
    let rig = rig(Manner::EndsEarly).await;
    let endless = tokio::io::repeat(1).take(u64::MAX);
    let refused = rig.client.encrypt_stream("a", HashMap::new(), endless, tokio::io::sink(), |_| {}).await.unwrap_err();
    assert!(matches!(refused, StreamError::Call(_)), "{refused}");
}

/// A refusal at the very end, after every byte has come, is a refusal.
#[tokio::test]
async fn a_refusal_at_the_end_is_a_refusal() {
    let rig = rig(Manner::RefusesAtTheEnd).await;
    let mut output = Vec::new();
    let refused = rig.client.encrypt_stream("a", HashMap::new(), &b"abc"[..], &mut output, |_| {}).await.unwrap_err();
    let StreamError::Call(client::Error::Refused(refused)) = refused else { panic!("{refused}") };
    assert_eq!(refused.code, tonic::Code::DataLoss);
    assert_eq!(output, b"abc", "provisional output is the caller's to discard");
}

/// The token travels with each call, and a service that does not answer is given up after the deadline.
#[tokio::test]
async fn unary_calls_carry_the_token_and_a_deadline() {
    let rig = rig(Manner::Echo).await;
    rig.client.encrypt("a", HashMap::new(), Bytes::new()).await.unwrap();
    let waited = rig.client.decrypt("a", HashMap::new(), Bytes::new()).await.unwrap_err();
    assert!(matches!(waited, client::Error::NoAnswer { .. }), "{waited:?}");
}

/// A connection that nobody takes is reported with the address and the system's own words.
#[tokio::test]
async fn nobody_listening_is_said_with_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Loopback(listener.local_addr().unwrap());
    drop(listener);
    let Err(refused) = Client::connect(&endpoint, Options::default()).await else { panic!("connected to nobody") };
    assert!(refused.to_string().contains(&endpoint.to_string()), "{refused}");
    assert!(refused.to_string().contains("refused"), "{refused}");
}
