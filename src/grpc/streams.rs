//! Answers the calls that stream, in constant memory: a small piece is read, worked on and handed over before the next is read.
//!
//! Each stream is a task with a channel of one place to its answer, and not part of the answer itself: so its time and its
//! pauses are counted even while nobody reads, and then it lets go of its key.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use api::byok::v1 as pb;
use bytes::{Bytes, BytesMut};
use domain::{Reason, permission};
use envelope::PROLOGUE_LEN;
use futures::{FutureExt, Stream};
use service::Refusal;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};
use tracing::Instrument;

use super::call::{Call, Standing};
use super::refuse;
use super::text::Under;

/// How much is worked on at once: large enough that what a message costs does not matter, small enough for thousands of streams.
const PIECE: usize = 256 * 1024;
/// What the envelope adds to a piece, at most: a tag for each segment.
const ADDED: usize = 16 * (PIECE / envelope::SEGMENT_LEN + 2) + PROLOGUE_LEN;

/// A stream that has nothing to tell looks this often whether its caller would still be let in.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The answers of a stream, as they come.
pub(super) struct Answers<T>(mpsc::Receiver<Result<T, Status>>);

impl<T> Stream for Answers<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// Why a stream ends early.
pub(super) enum Ended {
    /// It is refused, and the caller is told.
    Refused(Refusal),
    /// Whoever called is gone.
    Alone,
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The sending side of a stream, with its clock.
pub(super) struct Sender<T> {
    answers: mpsc::Sender<Result<T, Status>>,
    /// When the whole call has to be over, if its caller said so.
    end: Option<Instant>,
    /// How long it may stand still.
    pause: Duration,
    standing: Standing,
    stopping: watch::Receiver<()>,
}

impl<T> Sender<T> {
    /// Hands an answer over to a caller who is still let in; waits for a slow reader, though not for ever.
    pub(super) async fn send(&self, answer: T) -> Result<(), Ended> {
        self.standing.holds()?;
        let sent = tokio::time::timeout_at(self.until(), self.answers.send(Ok(answer))).await;
        sent.map_err(|_| too_late())?.map_err(|_| Ended::Alone)
    }

    /// Waits for `work`, though not for ever, and not when nobody is there to read its result.
    pub(super) async fn within<V>(&self, work: impl Future<Output = Result<V, Refusal>>) -> Result<V, Ended> {
        self.standing.holds()?;
        let until = self.until();
        tokio::select! {
            biased;
            done = tokio::time::timeout_at(until, work) => Ok(done.map_err(|_| too_late())??),
            () = self.answers.closed() => Err(Ended::Alone),
        }
    }

    /// Waits for `work` for as long as the caller stays, or said it will: there may be nothing to tell for days.
    pub(super) async fn while_wanted<V>(&self, work: impl Future<Output = Result<V, Refusal>>) -> Result<V, Ended> {
        let over = async {
            match self.end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done?),
            () = self.answers.closed() => Err(Ended::Alone),
            () = over => Err(too_late().into()),
            refusal = self.shut_out() => Err(refusal.into()),
            () = self.stopped() => Err(Refusal::because(Reason::ShuttingDown).into()),
        }
    }

    async fn shut_out(&self) -> Refusal {
        loop {
            if let Err(refusal) = self.standing.holds() {
                return refusal;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        while stopping.changed().await.is_ok() {}
    }

    fn until(&self) -> Instant {
        let pause = tokio::time::sleep(self.pause).deadline();
        self.end.map_or(pause, |end| end.min(pause))
    }
}

fn too_late() -> Refusal {
    Refusal::because(Reason::DeadlineExceeded)
}

/// Runs a stream as a task of its own, in a span with a request id. It ends by itself, refused, panicking, too late or alone;
/// in each case but the last its caller is told.
pub(super) fn spawn<T, F>(call: &Call, method: &'static str, work: impl FnOnce(Sender<T>) -> F) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Ended>> + Send + 'static,
{
    let (answers, receiver) = mpsc::channel(1);
    let request = call.new_request();
    let pause = call.longest_pause();
    let (end, standing, stopping) = (call.stream_end(), call.standing(), call.stopping());
    let sender = Sender { answers: answers.clone(), end, pause, standing, stopping };
    let work = work(sender);
    let stream = async move {
        let refusal = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(()) | Err(Ended::Alone)) => return,
            Ok(Err(Ended::Refused(refusal))) => refusal,
            Err(_) => Refusal::because(Reason::Internal),
        };
        let status = refuse::answer(&refusal, request, method);
        // A reader that stands still is not waited for much longer.
        let _ = answers.send_timeout(Err(status), pause).await;
    };
    tokio::spawn(stream.instrument(call.span(request, method)));
    Answers(receiver)
}

/// Answers EncryptStream.
pub(super) async fn encrypt(
    call: &Call,
    incoming: Streaming<pb::EncryptStreamRequest>,
) -> Result<Answers<pb::EncryptStreamResponse>, Status> {
    const METHOD: &str = "Encryption/EncryptStream";
    let mut incoming = Reader { incoming, rest: Bytes::new() };
    let mut out = Vec::with_capacity(PROLOGUE_LEN);
    let begin = async {
        let header = incoming.header().await?;
        let (permit, context) = call.app_and_context::<permission::Encrypt>(&header.app, &header.context)?;
        let stream = call.service().encrypt_stream(&permit, &context, &mut out).await?;
        let under = Under::sealed(&permit, &stream.sealed());
        Ok((stream, under))
    };
    let (mut stream, Under { protection, data_key, key_version }) = call.attend(METHOD, begin).await?;
    Ok(spawn(call, METHOD, |answers| async move {
        answers.send(pb::EncryptStreamResponse { ciphertext: out.into(), protection, data_key, key_version }).await?;
        while let Some(piece) = answers.within(incoming.piece()).await? {
            let mut out = Vec::with_capacity(piece.len() + ADDED);
            answers.within(stream.push(&piece, &mut out)).await?;
            if !out.is_empty() {
                answers.send(pb::EncryptStreamResponse { ciphertext: out.into(), ..Default::default() }).await?;
            }
        }
        let mut out = Vec::with_capacity(envelope::SEGMENT_LEN + ADDED);
        answers.within(stream.finish(&mut out)).await?;
        answers.send(pb::EncryptStreamResponse { ciphertext: out.into(), ..Default::default() }).await
    }))
}

/// Answers DecryptStream.
pub(super) async fn decrypt(
    call: &Call,
    incoming: Streaming<pb::DecryptStreamRequest>,
) -> Result<Answers<pb::DecryptStreamResponse>, Status> {
    const METHOD: &str = "Encryption/DecryptStream";
    let mut incoming = Reader { incoming, rest: Bytes::new() };
    let begin = async {
        let header = incoming.header().await?;
        let (permit, context) = call.app_and_context::<permission::Decrypt>(&header.app, &header.context)?;
        let prologue = incoming.exactly(PROLOGUE_LEN).await?;
        call.service().decrypt_stream(&permit, &context, &prologue).await
    };
    let mut stream = call.attend(METHOD, begin).await?;
    Ok(spawn(call, METHOD, |answers| async move {
        while let Some(piece) = answers.within(incoming.piece()).await? {
            let mut out = Vec::with_capacity(piece.len());
            answers.within(stream.push(&piece, &mut out)).await?;
            if !out.is_empty() {
                answers.send(pb::DecryptStreamResponse { plaintext: out.into() }).await?;
            }
        }
        let mut out = Vec::with_capacity(envelope::SEGMENT_LEN);
        answers.within(stream.finish(&mut out)).await?;
        if out.is_empty() { Ok(()) } else { answers.send(pb::DecryptStreamResponse { plaintext: out.into() }).await }
    }))
}

/// A message of a stream: its header or some of its bytes.
enum Part {
    Header(pb::StreamHeader),
    Bytes(Bytes),
}

trait Message {
    fn part(self) -> Option<Part>;
}

impl Message for pb::EncryptStreamRequest {
    fn part(self) -> Option<Part> {
        use pb::encrypt_stream_request::Message;
        Some(match self.message? {
            Message::Header(header) => Part::Header(header),
            Message::Plaintext(bytes) => Part::Bytes(bytes),
        })
    }
}

impl Message for pb::DecryptStreamRequest {
    fn part(self) -> Option<Part> {
        use pb::decrypt_stream_request::Message;
        Some(match self.message? {
            Message::Header(header) => Part::Header(header),
            Message::Ciphertext(bytes) => Part::Bytes(bytes),
        })
    }
}

/// Reads a stream's header, then its bytes in pieces.
struct Reader<M> {
    incoming: Streaming<M>,
    rest: Bytes,
}

impl<M: Message> Reader<M> {
    async fn next(&mut self) -> Result<Option<Part>, Refusal> {
        let Some(message) = self.incoming.message().await.map_err(|status| unreadable(&status))? else {
            return Ok(None);
        };
        message.part().map(Some).ok_or_else(|| invalid("a message of the stream is empty"))
    }

    async fn header(&mut self) -> Result<pb::StreamHeader, Refusal> {
        match self.next().await? {
            Some(Part::Header(header)) => Ok(header),
            Some(Part::Bytes(_)) => Err(invalid("the first message must be the header")),
            None => Err(invalid("the stream has no header")),
        }
    }

    /// The next bytes, at most [`PIECE`]; `None` at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        let more = self.has_more().await?;
        Ok(more.then(|| self.rest.split_to(self.rest.len().min(PIECE))))
    }

    /// The next `count` bytes, or fewer if the stream ends before.
    async fn exactly(&mut self, count: usize) -> Result<BytesMut, Refusal> {
        let mut read = BytesMut::with_capacity(count);
        while read.len() < count && self.has_more().await? {
            let wanted = (count - read.len()).min(self.rest.len());
            read.extend_from_slice(&self.rest.split_to(wanted));
        }
        Ok(read)
    }

    /// Reads on until there are bytes, or the end.
    async fn has_more(&mut self) -> Result<bool, Refusal> {
        while self.rest.is_empty() {
            match self.next().await? {
                Some(Part::Bytes(bytes)) => self.rest = bytes,
                Some(Part::Header(_)) => return Err(invalid("the header may only come first")),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn invalid(what: &'static str) -> Refusal {
    Refusal::because(Reason::StreamInvalid).detail(what)
}

/// What the library says of a message it could not take.
fn unreadable(status: &Status) -> Refusal {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => {
            Refusal::because(Reason::PlaintextTooLarge).detail("a message of a stream holds at most 4 MiB")
        }
        _ => invalid("the stream ended or broke before its end was sent"),
    }
}
