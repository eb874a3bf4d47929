//! Sealing one payload.

use std::sync::Arc;

use domain::permission::{self, Permit};
use domain::{DataKeyId, KeyVersionId, Moment, Protection, Reason};
use envelope::Context;

use super::{ATTEMPTS, app_of, binding, nanos, take_back};
use crate::core::Core;
use crate::keys::lease::Right;
use crate::keys::personal_use;
use crate::keys::standing::Stamp;
use crate::keys::{AppRef, Done, Failure, OpenKey};
use crate::options::MOST_PLAINTEXT;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// Under what something was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Under whose key the data key is.
    pub protection: Protection,
    /// The data key.
    pub data_key: DataKeyId,
    /// The version of the customer's key it is under; absent under the platform's.
    pub key_version: Option<KeyVersionId>,
}

impl Sealed {
    pub(super) fn under(key: &OpenKey) -> Self {
        Self { protection: key.protection, data_key: key.id(), key_version: key.version }
    }
}

impl Service {
    /// Seals `plaintext`, at most 4 MiB, and appends the ciphertext to `out`. A refusal leaves `out` as it was.
    pub async fn encrypt(
        &self,
        permit: &Permit<permission::Encrypt>,
        context: &Context,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Sealed, Refusal> {
        let using = self.0.journal.begin_use(permit, 1)?;
        let outcome = async {
            check_size(plaintext)?;
            self.0.seal(app_of(permit)?, context, plaintext, out).await
        }
        .await;
        personal_use::ended(using, &outcome);
        outcome
    }

    /// As [`Service::encrypt`], at once. `None`: the app's key is not ready, and [`Service::encrypt`] would wait for it.
    pub fn try_encrypt(
        &self,
        permit: &Permit<permission::Encrypt>,
        context: &Context,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Result<Sealed, Refusal>> {
        // A person's use is recorded where it is waited for.
        if permit.is_personal() {
            return None;
        }
        if let Err(refusal) = check_size(plaintext) {
            return Some(Err(refusal));
        }
        match app_of(permit) {
            Ok(app) => self.0.seal_now(app, context, plaintext, out).map(Ok),
            Err(refusal) => Some(Err(refusal)),
        }
    }
}

fn check_size(plaintext: &[u8]) -> Result<(), Refusal> {
    if plaintext.len() > MOST_PLAINTEXT { Err(Refusal::because(Reason::PlaintextTooLarge)) } else { Ok(()) }
}

/// What was made may not go out: the right to make it ended meanwhile.
pub(super) struct TooLate;

impl Core {
    pub(crate) async fn seal(
        self: &Arc<Self>,
        app: AppRef<'_>,
        context: &Context,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Sealed, Refusal> {
        for _ in 0..ATTEMPTS {
            if let Some(sealed) = self.seal_now(app, context, plaintext, out) {
                return Ok(sealed);
            }
            self.ready_to_seal(app).await?;
        }
        Err(Failure::TooLate.into())
    }

    pub(super) fn seal_now(
        &self,
        app: AppRef<'_>,
        context: &Context,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Sealed> {
        let from = out.len();
        let outcome = self.with_key_to_seal(app, |key, now| {
            let nonce = envelope::fresh_nonce(nanos(now));
            let binding = binding(app, key, context);
            key.secret.expose(|secret| envelope::seal(secret, key.id().as_bytes(), &nonce, &binding, plaintext, out));
            key.count(1, nonce[0]);
            (Sealed::under(key), Done::sealed(plaintext.len()))
        })?;
        outcome.inspect_err(|_| take_back(out, from)).ok()
    }

    /// Lends the app's key and the time to `f` if it may be used now; says afterwards whether what `f` made may go out: lease, generation
    /// and standing hold when the answer is ready, and not only when it was begun (I-10). Only then is it counted.
    pub(super) fn with_key_to_seal<T>(
        &self,
        app: AppRef<'_>,
        f: impl FnOnce(&OpenKey, Moment) -> (T, Done),
    ) -> Option<Result<T, TooLate>> {
        self.table.with_sealing(app, |key, stamp| {
            let now = self.clock.now();
            let right = self.right_to_seal(key, stamp, now)?;
            let (made, done) = f(key, now);
            if !self.still_seals(key, stamp, right) {
                return Some(Err(TooLate));
            }
            key.has_done(done);
            Some(Ok(made))
        })?
    }

    fn right_to_seal(&self, key: &OpenKey, stamp: &Stamp, now: Moment) -> Option<Right> {
        let right = key.lease.right(now)?;
        (stamp.is_fresh(&key.workspace, now) && self.ruled_so(key, stamp, now) && !self.is_spent(key)).then_some(right)
    }

    fn still_seals(&self, key: &OpenKey, stamp: &Stamp, right: Right) -> bool {
        let now = self.clock.now();
        let still =
            key.lease.still_gives(right, now) && stamp.is_fresh(&key.workspace, now) && self.ruled_so(key, stamp, now);
        still || self.bugs.has(SeededBug::NotCheckedAtReply)
    }

    /// Whether the side this key is on is still the app's, by this clock (I-20).
    fn ruled_so(&self, key: &OpenKey, stamp: &Stamp, now: Moment) -> bool {
        (stamp.rules(now) || self.bugs.has(SeededBug::RulingKept)) && stamp.is_of(key.id())
    }

    /// Whether new data of the app is on this side now, as far as that is known without waiting.
    pub(super) fn is_side_of(&self, app: AppRef<'_>, side: Protection) -> bool {
        let now = self.clock.now();
        let said = self.table.with_sealing(app, |key, stamp| {
            stamp.is_fresh(&key.workspace, now) && self.ruled_so(key, stamp, now) && key.protection == side
        });
        said == Some(true)
    }

    /// Whether a key has sealed as much as one may (I-17).
    pub(crate) fn is_spent(&self, key: &OpenKey) -> bool {
        key.sealed() >= self.options.seals_per_data_key && !self.bugs.has(SeededBug::SpentKeySeals)
    }
}
