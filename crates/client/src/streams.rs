//! How a payload of any size goes through the service in constant memory, from a reader to a writer.
//!
//! Nothing written counts before the call returns `Ok`: the writer's content is provisional until then.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use crate::cut_off::Ended;
use crate::{Client, Error, pb};

/// Bytes in one gRPC message: large enough that framing costs nothing, small enough to keep the pipe short.
const CHUNK: usize = 256 * 1024;
/// Chunks that wait for the connection: with the windows this bounds the memory of a stream.
const QUEUED: usize = 4;

/// How far a stream is, in bytes from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken from the reader.
    pub read: u64,
    /// Bytes given to the writer.
    pub written: u64,
}

/// Under which key a stream was sealed, and how long it became.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamSealed {
    /// A `pb::Protection`.
    pub protection: i32,
    /// `workspaces/{workspace}/apps/{app}/dataKeys/{32 hex}`
    pub data_key: String,
    /// `workspaces/{workspace}/key/versions/{32 hex}`; empty under the platform key.
    pub key_version: String,
    /// Bytes read and written in all.
    pub progress: Progress,
}

/// Why a stream did not come to its end. What was written until then is worthless.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The service refused, or the connection broke.
    #[error(transparent)]
    Call(#[from] Error),
    /// The input could not be read.
    #[error("reading the input failed: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written.
    #[error("writing the output failed: {0}")]
    Write(#[source] io::Error),
}

/// The two directions differ in their messages only.
trait Direction {
    type Ask: Send + 'static;
    type Answer;
    fn header(header: pb::StreamHeader) -> Self::Ask;
    fn chunk(bytes: Bytes) -> Self::Ask;
    /// The bytes of an answer; notes in `sealed` what else it says.
    fn bytes(answer: Self::Answer, sealed: &mut StreamSealed) -> Bytes;
    fn open(client: &Client, asks: Request<ReceiverStream<Self::Ask>>) -> impl Future<Output = Call<Self::Answer>>;
}

type Call<T> = Result<tonic::Response<Streaming<T>>, tonic::Status>;

struct Encrypt;
impl Direction for Encrypt {
    type Ask = pb::EncryptStreamRequest;
    type Answer = pb::EncryptStreamResponse;
    fn header(header: pb::StreamHeader) -> Self::Ask {
        Self::Ask { message: Some(pb::encrypt_stream_request::Message::Header(header)) }
    }
    fn chunk(bytes: Bytes) -> Self::Ask {
        Self::Ask { message: Some(pb::encrypt_stream_request::Message::Plaintext(bytes)) }
    }
    fn bytes(answer: Self::Answer, sealed: &mut StreamSealed) -> Bytes {
        if sealed.data_key.is_empty() {
            sealed.protection = answer.protection;
            sealed.data_key = answer.data_key;
            sealed.key_version = answer.key_version;
        }
        answer.ciphertext
    }
    async fn open(client: &Client, asks: Request<ReceiverStream<Self::Ask>>) -> Call<Self::Answer> {
        client.encryption.clone().encrypt_stream(asks).await
    }
}

struct Decrypt;
impl Direction for Decrypt {
    type Ask = pb::DecryptStreamRequest;
    type Answer = pb::DecryptStreamResponse;
    fn header(header: pb::StreamHeader) -> Self::Ask {
        Self::Ask { message: Some(pb::decrypt_stream_request::Message::Header(header)) }
    }
    fn chunk(bytes: Bytes) -> Self::Ask {
        Self::Ask { message: Some(pb::decrypt_stream_request::Message::Ciphertext(bytes)) }
    }
    fn bytes(answer: Self::Answer, _sealed: &mut StreamSealed) -> Bytes {
        answer.plaintext
    }
    async fn open(client: &Client, asks: Request<ReceiverStream<Self::Ask>>) -> Call<Self::Answer> {
        client.encryption.clone().decrypt_stream(asks).await
    }
}

impl Client {
    /// Seals everything `reader` gives and writes the ciphertext, which is whole only if this returns `Ok`.
    pub async fn encrypt_stream<R, W>(
        &self,
        app: &str,
        context: HashMap<String, String>,
        reader: R,
        writer: W,
        progress: impl FnMut(Progress),
    ) -> Result<StreamSealed, StreamError>
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        let header = pb::StreamHeader { app: app.to_owned(), context };
        let sealed = self.run::<Encrypt, _, _>(header, reader, writer, progress).await?;
        if sealed.data_key.is_empty() {
            return Err(Error::Answer("the stream does not say which data key sealed it").into());
        }
        Ok(sealed)
    }

    /// Opens the streamed ciphertext that `reader` gives and writes the plaintext, which is authentic only if this returns
    /// `Ok`: discard it otherwise.
    pub async fn decrypt_stream<R, W>(
        &self,
        app: &str,
        context: HashMap<String, String>,
        reader: R,
        writer: W,
        progress: impl FnMut(Progress),
    ) -> Result<Progress, StreamError>
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        let header = pb::StreamHeader { app: app.to_owned(), context };
        Ok(self.run::<Decrypt, _, _>(header, reader, writer, progress).await?.progress)
    }

    async fn run<D: Direction, R: AsyncRead, W: AsyncWrite>(
        &self,
        header: pb::StreamHeader,
        reader: R,
        writer: W,
        mut progress: impl FnMut(Progress),
    ) -> Result<StreamSealed, StreamError> {
        let (sender, queue) = mpsc::channel(QUEUED);
        // Whatever drops the sender, only this one place says that the input ended: see `cut_off`.
        let ended = Ended::default();
        let mut asks = Request::new(ReceiverStream::new(queue));
        asks.extensions_mut().insert(ended.clone());
        let read = &AtomicU64::new(0);
        let count = || read.load(Ordering::Relaxed);

        let send = async move {
            // A send fails only when the call is over: then the other half has the reason.
            if sender.send(D::header(header)).await.is_ok() {
                let mut reader = pin!(reader);
                loop {
                    let chunk = read_chunk(&mut reader).await.map_err(StreamError::Read)?;
                    if chunk.is_empty() {
                        break;
                    }
                    read.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    if sender.send(D::chunk(chunk)).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            } else {
                std::future::pending::<()>().await;
            }
            ended.say();
            drop(sender);
            Ok::<(), StreamError>(())
        };
        let receive = async {
            let mut writer = pin!(writer);
            let mut sealed = StreamSealed::default();
            let opened = D::open(self, asks).await;
            let mut answers = opened.map_err(|status| self.broken_stream(&status))?.into_inner();
            while let Some(answer) = answers.next().await {
                let bytes = D::bytes(answer.map_err(|status| self.broken_stream(&status))?, &mut sealed);
                writer.write_all(&bytes).await.map_err(StreamError::Write)?;
                sealed.progress.written += bytes.len() as u64;
                sealed.progress.read = count();
                progress(sealed.progress);
            }
            writer.flush().await.map_err(StreamError::Write)?;
            sealed.progress.read = count();
            Ok::<StreamSealed, StreamError>(sealed)
        };

        let (mut send, mut receive) = (pin!(send), pin!(receive));
        let mut sent = false;
        loop {
            tokio::select! {
                outcome = &mut send, if !sent => {
                    outcome?;
                    sent = true;
                }
                outcome = &mut receive => {
                    let sealed = outcome?;
                    return if sent { Ok(sealed) } else { Err(Error::Answer("it ended before all data was sent").into()) };
                }
            }
        }
    }
}

/// Reads until a chunk is full or the input ends; empty at the end.
async fn read_chunk<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Bytes> {
    let mut chunk = BytesMut::with_capacity(CHUNK);
    while chunk.len() < CHUNK {
        let room = CHUNK - chunk.len();
        if reader.take(room as u64).read_buf(&mut chunk).await? == 0 {
            break;
        }
    }
    Ok(chunk.freeze())
}
