//! Sealing and opening one payload of any size, piece by piece. The right to the key is asked for anew at every segment.

use std::sync::Arc;

use domain::permission::{self, Permit};
use domain::{DataKeyId, Protection, Reason};
use envelope::{
    Binding, Context, ExpandedKey, Header, Kind, OpenFailed, PROLOGUE_LEN, SEGMENT_LEN, StreamOpener, StreamSealer,
};

use super::decrypt::{Opened, refuse_unknown};
use super::encrypt::TooLate;
use super::{ATTEMPTS, Sealed, app_of, binding, header_of, nanos, take_back};
use crate::core::Core;
use crate::keys::personal_use::{self, PersonalUse};
use crate::keys::{DataKeyName, Done, Failure};
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// A stream being sealed. Dropped unfinished, what it gave out so far is no ciphertext.
pub struct EncryptStream {
    at: Place,
    sealed: Sealed,
    sealer: Option<StreamSealer>,
    using: Option<PersonalUse>,
}

/// A stream being opened. What it gives out is provisional until [`DecryptStream::finish`] says yes.
pub struct DecryptStream {
    at: Place,
    opened: Opened,
    opener: Option<StreamOpener>,
    using: Option<PersonalUse>,
}

impl Service {
    /// Begins a stream under the app's present data key, and appends its first 96 bytes to `out`.
    pub async fn encrypt_stream(
        &self,
        permit: &Permit<permission::Encrypt>,
        context: &Context,
        out: &mut Vec<u8>,
    ) -> Result<EncryptStream, Refusal> {
        let using = self.0.journal.begin_use(permit, 1)?;
        let from = out.len();
        let begun = async {
            let stream = self.begin_sealing(permit, context, out).await?;
            personal_use::begins(using.as_ref(), &self.0).await?;
            Ok(stream)
        };
        match begun.await {
            Ok(stream) => Ok(EncryptStream { using, ..stream }),
            Err(why) => {
                take_back(out, from);
                personal_use::refused(using, &why);
                Err(why)
            }
        }
    }

    async fn begin_sealing(
        &self,
        permit: &Permit<permission::Encrypt>,
        context: &Context,
        out: &mut Vec<u8>,
    ) -> Result<EncryptStream, Refusal> {
        let app = app_of(permit)?;
        for _ in 0..ATTEMPTS {
            let begun = self.0.with_key_to_seal(app, |key, now| {
                let nonce = envelope::fresh_nonce(nanos(now));
                let (mut p, mut r) = ([0; 12], [0; 7]);
                p.copy_from_slice(&nonce[..12]);
                // From the end: that is where the time is mixed in.
                r.copy_from_slice(&nonce[17..]);
                let binding = binding(app, key, context);
                let begin = |secret: &ExpandedKey| StreamSealer::new(secret, key.id().as_bytes(), p, r, &binding);
                let (sealer, prologue) = key.secret.expose(begin);
                key.count(1, nonce[0]);
                ((sealer, prologue, Sealed::under(key)), Done::sealed(0))
            });
            if let Some(Ok((sealer, prologue, sealed))) = begun {
                out.extend_from_slice(&prologue);
                let at = Place { core: self.0.clone(), key: app.data_key(sealed.data_key).to_owned() };
                return Ok(EncryptStream { at, sealed, sealer: Some(sealer), using: None });
            }
            self.0.ready_to_seal(app).await?;
        }
        Err(Failure::TooLate.into())
    }

    /// Begins to open a stream by its first 96 bytes. A wrong context or a foreign stream is refused here, before a byte of
    /// plaintext; fewer bytes are refused as malformed.
    pub async fn decrypt_stream(
        &self,
        permit: &Permit<permission::Decrypt>,
        context: &Context,
        prologue: &[u8],
    ) -> Result<DecryptStream, Refusal> {
        let using = self.0.journal.begin_use(permit, 1)?;
        let begun = async {
            let stream = self.begin_opening(permit, context, prologue).await?;
            personal_use::begins(using.as_ref(), &self.0).await?;
            Ok(stream)
        };
        match begun.await {
            Ok(stream) => Ok(DecryptStream { using, ..stream }),
            refused => refused.inspect_err(|why| personal_use::refused(using, why)),
        }
    }

    async fn begin_opening(
        &self,
        permit: &Permit<permission::Decrypt>,
        context: &Context,
        prologue: &[u8],
    ) -> Result<DecryptStream, Refusal> {
        let app = app_of(permit)?;
        let Header { data_key_id, .. } = header_of(prologue, Kind::Stream)?;
        let prologue: &[u8; PROLOGUE_LEN] = prologue
            .first_chunk()
            .ok_or_else(|| Refusal::because(Reason::CiphertextMalformed).detail("a stream begins with 96 bytes"))?;
        let key = app.data_key(DataKeyId::from_bytes(data_key_id));
        for _ in 0..ATTEMPTS {
            let begun = self.0.with_key_to_open(key, |open| {
                let binding: Binding<'_> = binding(app, open, context);
                let opened = Opened { protection: open.protection, data_key: open.id(), key_version: open.version };
                let begun = open.secret.expose(|secret| StreamOpener::new(secret, &binding, prologue));
                let done = if begun.is_ok() { Done::opened(0) } else { Done::Nothing };
                (begun.map(|opener| (opener, opened)), done)
            });
            match begun {
                Some(Ok(Ok((opener, opened)))) => {
                    let at = Place { core: self.0.clone(), key: key.to_owned() };
                    return Ok(DecryptStream { at, opened, opener: Some(opener), using: None });
                }
                Some(Ok(Err(OpenFailed))) => return Err(Refusal::because(Reason::DecryptionFailed)),
                Some(Err(_)) | None => {}
            }
            match self.0.ready_unless_unknown(key).await {
                Err(Failure::UnknownKey) => return Err(refuse_unknown(app, context, prologue)),
                outcome => outcome?,
            }
        }
        Err(Failure::TooLate.into())
    }
}

impl EncryptStream {
    /// Under what it is sealed.
    pub fn sealed(&self) -> Sealed {
        self.sealed
    }

    /// Takes any number of bytes and appends what of the ciphertext is complete to `out`. After a refusal every call is
    /// refused.
    pub async fn push(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let pushed = self.seal(plaintext, out).await;
        pushed.inspect_err(|why| personal_use::refused(self.using.take(), why))
    }

    async fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let from = out.len();
        let mut sealer = self.sealer.take().ok_or_else(over)?;
        self.at.keeps_to(self.sealed.protection).await?;
        for segment in plaintext.chunks(SEGMENT_LEN) {
            let sealed = Done::Sealed(0, segment.len() as u64);
            let pushed = self.at.step(|| (sealer.push(segment, out), sealed)).await;
            let pushed = pushed.and_then(|pushed| pushed.map_err(|long| too_long().caused_by(long)));
            pushed.inspect_err(|_| take_back(out, from))?;
        }
        self.sealer = Some(sealer);
        Ok(())
    }

    /// Seals the last segment. Only now is the ciphertext whole.
    pub async fn finish(mut self, out: &mut Vec<u8>) -> Result<Sealed, Refusal> {
        let using = self.using.take();
        let finished = self.seal_last(out).await;
        personal_use::ended(using, &finished);
        finished
    }

    async fn seal_last(mut self, out: &mut Vec<u8>) -> Result<Sealed, Refusal> {
        let from = out.len();
        let sealer = self.sealer.take().ok_or_else(over)?;
        // Its bytes were counted as they came.
        let finished = self.at.step(|| (sealer.finish(out), Done::Nothing)).await;
        let finished = finished.and_then(|finished| finished.map_err(|long| too_long().caused_by(long)));
        finished.inspect_err(|_| take_back(out, from))?;
        // After the last segment: without it nothing before it opens as a whole.
        self.at.keeps_to(self.sealed.protection).await.inspect_err(|_| take_back(out, from))?;
        Ok(self.sealed)
    }
}

impl DecryptStream {
    /// Under what it was sealed.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// Takes any number of bytes and appends the plaintext of the segments that are complete to `out`. After a refusal every
    /// call is refused.
    pub async fn push(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let pushed = self.open(ciphertext, out).await;
        pushed.inspect_err(|why| personal_use::refused(self.using.take(), why))
    }

    async fn open(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let from = out.len();
        let mut opener = self.opener.take().ok_or_else(over)?;
        for segment in ciphertext.chunks(SEGMENT_LEN) {
            let push = || {
                let before = out.len();
                let pushed = opener.push(segment, out);
                (pushed, Done::Opened(0, (out.len() - before) as u64))
            };
            let pushed = self.at.step(push).await;
            let pushed = pushed.and_then(|pushed| pushed.map_err(|OpenFailed| changed()));
            pushed.inspect_err(|_| take_back(out, from))?;
        }
        self.opener = Some(opener);
        Ok(())
    }

    /// Opens the last segment. Only now is the plaintext known to be whole; a refusal here means: discard all of it.
    pub async fn finish(mut self, out: &mut Vec<u8>) -> Result<Opened, Refusal> {
        let using = self.using.take();
        let finished = self.open_last(out).await;
        personal_use::ended(using, &finished);
        finished
    }

    async fn open_last(mut self, out: &mut Vec<u8>) -> Result<Opened, Refusal> {
        let from = out.len();
        let opener = self.opener.take().ok_or_else(over)?;
        let finish = || {
            let finished = opener.finish(out);
            (finished, Done::Opened(0, (out.len() - from) as u64))
        };
        let finished = self.at.step(finish).await;
        finished.and_then(|finished| finished.map_err(|OpenFailed| changed())).inspect_err(|_| take_back(out, from))?;
        Ok(self.opened)
    }
}

fn over() -> Refusal {
    Refusal::because(Reason::StreamInvalid).detail("the stream has ended with a refusal")
}

fn too_long() -> Refusal {
    Refusal::because(Reason::PlaintextTooLarge).detail("a stream holds at most 1 TiB")
}

fn changed() -> Refusal {
    Refusal::because(Reason::DecryptionFailed)
}

/// Which key a stream lives by. It does not hold the key: a denial takes that away from streams too, at their next segment.
struct Place {
    core: Arc<Core>,
    key: DataKeyName,
}

impl Place {
    /// Whether new data of the app is still on the side that the stream was begun on (I-20). Close to a date it waits; once it
    /// is on the other side, the stream has to be begun again.
    async fn keeps_to(&self, side: Protection) -> Result<(), Refusal> {
        let app = self.key.borrow().app;
        if self.core.is_side_of(app, side) || self.core.bugs.has(SeededBug::RulingKept) {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let budget = self.core.budget();
            let standing = self.core.standing(app, &budget).await?;
            match self.core.side(&standing, &budget).await? {
                Some(now) if now == side => return Ok(()),
                Some(_) => {
                    let what = "the app's data went over to another key; begin the stream again";
                    return Err(Refusal::because(Reason::ChangedMeanwhile).detail(what));
                }
                None => {}
            }
        }
        Err(Failure::TooLate.into())
    }

    /// One step of a stream, made only with the right to the key, and given out only with it (I-10). Where the lease merely
    /// ran out, before the step or during it, it is renewed first; a denial is the answer.
    async fn step<T>(&self, step: impl FnOnce() -> (T, Done)) -> Result<T, Refusal> {
        let key = self.key.borrow();
        let mut step = Some(step);
        let mut made: Option<(T, Done)> = None;
        for _ in 0..ATTEMPTS {
            let outcome = self.core.with_key_to_open(key, |_| {
                // It cannot be made twice. Made under a lease that ended meanwhile, it waits for the next one.
                if let Some(step) = step.take() {
                    made = Some(step());
                }
                ((), made.as_ref().map_or(Done::Nothing, |(_, done)| *done))
            });
            match (outcome, made.take()) {
                (Some(Ok(())), Some((out, _))) => return Ok(out),
                (Some(Ok(()) | Err(TooLate)) | None, waiting) => made = waiting,
            }
            self.core.ready_to_open(key).await?;
        }
        Err(Failure::TooLate.into())
    }
}
