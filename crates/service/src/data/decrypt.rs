//! Opening one ciphertext.

use std::sync::Arc;

use domain::permission::{self, Permit};
use domain::{DataKeyId, KeyVersionId, Protection, Reason};
use envelope::{Binding, Context, Kind};

use super::encrypt::TooLate;
use super::{ATTEMPTS, app_of, binding, header_of, take_back};
use crate::core::Core;
use crate::keys::personal_use;
use crate::keys::{AppRef, DataKeyRef, Done, Failure, OpenKey};
use crate::options::MOST_CIPHERTEXT;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// Under what something had been sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Under whose key the data key is.
    pub protection: Protection,
    /// The data key.
    pub data_key: DataKeyId,
    /// The version of the customer's key it is under; absent under the platform's.
    pub key_version: Option<KeyVersionId>,
}

impl Opened {
    fn under(key: &OpenKey) -> Self {
        Self { protection: key.protection, data_key: key.id(), key_version: key.version }
    }
}

impl Service {
    /// Opens a message, at most 4 MiB and 96 bytes, and appends its plaintext to `out`. A refusal leaves `out` as it was.
    ///
    /// Whatever is wrong beyond the public header is one refusal, [`Reason::DecryptionFailed`]: a wrong context, a changed
    /// byte, another app's or an unknown data key (I-16).
    pub async fn decrypt(
        &self,
        permit: &Permit<permission::Decrypt>,
        context: &Context,
        ciphertext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Opened, Refusal> {
        let using = self.0.journal.begin_use(permit, 1)?;
        let outcome = async {
            let key = check(app_of(permit)?, ciphertext)?;
            self.0.open(key, context, ciphertext, out).await
        }
        .await;
        personal_use::ended(using, &outcome);
        outcome
    }

    /// As [`Service::decrypt`], at once. `None`: the key is not ready, and [`Service::decrypt`] would wait for it.
    pub fn try_decrypt(
        &self,
        permit: &Permit<permission::Decrypt>,
        context: &Context,
        ciphertext: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Result<Opened, Refusal>> {
        // A person's use is recorded where it is waited for.
        if permit.is_personal() {
            return None;
        }
        match app_of(permit).and_then(|app| check(app, ciphertext)) {
            Ok(key) => self.0.open_now(key, context, ciphertext, out),
            Err(refusal) => Some(Err(refusal)),
        }
    }
}

/// What can be said of a ciphertext without its key: under which one it claims to be.
pub(super) fn check<'a>(app: AppRef<'a>, ciphertext: &[u8]) -> Result<DataKeyRef<'a>, Refusal> {
    if ciphertext.len() > MOST_CIPHERTEXT {
        return Err(Refusal::because(Reason::PlaintextTooLarge));
    }
    let header = header_of(ciphertext, Kind::Message)?;
    Ok(app.data_key(DataKeyId::from_bytes(header.data_key_id)))
}

impl Core {
    pub(crate) async fn open(
        self: &Arc<Self>,
        key: DataKeyRef<'_>,
        context: &Context,
        ciphertext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Opened, Refusal> {
        for _ in 0..ATTEMPTS {
            if let Some(outcome) = self.open_now(key, context, ciphertext, out) {
                return outcome;
            }
            match self.ready_unless_unknown(key).await {
                Err(Failure::UnknownKey) => return Err(refuse_unknown(key.app, context, ciphertext)),
                outcome => outcome?,
            }
        }
        Err(Failure::TooLate.into())
    }

    /// Waits for the key, unless it is already known not to exist.
    pub(super) async fn ready_unless_unknown(self: &Arc<Self>, key: DataKeyRef<'_>) -> Result<(), Failure> {
        let epoch = self.table.workspace(key.app.workspace).map(|workspace| workspace.epoch());
        if epoch.is_some_and(|epoch| self.unknown.has(key, epoch)) {
            return Err(Failure::UnknownKey);
        }
        self.ready_to_open(key).await
    }

    pub(super) fn open_now(
        &self,
        key: DataKeyRef<'_>,
        context: &Context,
        ciphertext: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Result<Opened, Refusal>> {
        let from = out.len();
        let outcome = self.with_key_to_open(key, |open| {
            let binding = binding(key.app, open, context);
            let opened = open.secret.expose(|secret| envelope::open(secret, &binding, ciphertext, out));
            match opened {
                Ok(()) => (Ok(Opened::under(open)), Done::opened(out.len() - from)),
                Err(_) => (Err(Refusal::because(Reason::DecryptionFailed)), Done::Nothing),
            }
        })?;
        outcome.inspect_err(|_| take_back(out, from)).ok()
    }

    /// Lends an open data key to `f` if it may be used now; says afterwards whether what `f` made may go out (I-10). Only then
    /// is it counted.
    pub(super) fn with_key_to_open<T>(
        &self,
        key: DataKeyRef<'_>,
        f: impl FnOnce(&OpenKey) -> (T, Done),
    ) -> Option<Result<T, TooLate>> {
        self.table.with_open(key, |key| {
            let right = key.right_to_open(self.clock.now())?;
            let (made, done) = f(key);
            let still = key.still_opens(right, self.clock.now()) || self.bugs.has(SeededBug::NotCheckedAtReply);
            if !still {
                return Some(Err(TooLate));
            }
            key.has_done(done);
            Some(Ok(made))
        })?
    }
}

/// Refuses a ciphertext under a key that does not exist by trying to open it under one that opens nothing: the same work and
/// the same words as for a changed byte.
pub(super) fn refuse_unknown(app: AppRef<'_>, context: &Context, ciphertext: &[u8]) -> Refusal {
    let nobody = Binding { workspace: app.workspace.as_str(), app: app.app.as_str(), protection: 0, context };
    let mut out = Vec::new();
    let _ = envelope::open(&[0; 32], &nobody, ciphertext, &mut out);
    take_back(&mut out, 0);
    Refusal::because(Reason::DecryptionFailed)
}
