//! Does the vault wrap, does the same version unwrap to the same bytes, and does it refuse what was tampered with?
//!
//! Wrapping alone proves nothing: whoever can read the public half can wrap. Only a vault that holds the private half gives
//! back what went in, and only one that checks refuses what did not.

use domain::ledger::Purpose;
use domain::{KeyVersionId, Reason};
use secmem::Secret;
use subtle::ConstantTimeEq;
use vault::KeyUnavailable;

use super::run::{Run, Wrapped};
use super::verdict::Verdict;
use crate::seeded_bug::SeededBug;

impl Run<'_> {
    /// The version that wraps: the configuration's, or the newest as it was described.
    pub(super) fn version(&self) -> Option<KeyVersionId> {
        match &self.described {
            Some(Ok(key)) => Some(key.kid.version()),
            Some(Err(_)) | None => self.target.version,
        }
    }

    pub(super) async fn wrap(&mut self) -> Verdict {
        let Some(version) = self.version() else { return out_of_order() };
        let Ok(payload) = Secret::<65>::fill(|bytes| self.core.entropy.fill(bytes)) else {
            return Verdict::from(&KeyUnavailable::OutOfLockedMemory);
        };
        let (keys, key) = (&self.core.customer_keys, &self.target.key);
        let call = self.core.journal.call(&self.target.workspace, version, Purpose::TestWrap);
        let answer = self.ask(|deadline| keys.wrap(key, version, &payload, deadline)).await;
        call.ended(&answer, |wrapped| &wrapped.trace);
        match answer {
            Ok(wrapped) if wrapped.version == key.location.at(version) => {
                self.wrapped = Some(Wrapped { version, payload, blob: wrapped.blob });
                Verdict::passed(format!("65 random bytes were wrapped by version {version}, with RSA-OAEP-256"))
            }
            Ok(_) => Verdict::failed(Reason::VaultAnswerInvalid, "another version than the one asked for wrapped"),
            Err(why) => Verdict::from(&why),
        }
    }

    pub(super) async fn unwrap(&mut self) -> Verdict {
        let Some(Wrapped { version, payload, blob }) = &self.wrapped else { return out_of_order() };
        let (keys, key) = (&self.core.customer_keys, &self.target.key);
        let call = self.core.journal.call(&self.target.workspace, *version, Purpose::TestUnwrap);
        let answer = self.ask(|deadline| keys.unwrap(key, *version, blob, deadline)).await;
        call.ended(&answer, |unwrapped| &unwrapped.trace);
        match answer {
            Ok(back) => {
                let same = payload.expose(|sent| back.payload.expose(|back| bool::from(sent.ct_eq(back))));
                if same || self.core.bugs.has(SeededBug::TestNotCompared) {
                    Verdict::passed("the same version gave the same bytes back")
                } else {
                    Verdict::failed(Reason::VaultAnswerInvalid, "the vault unwrapped other bytes than were wrapped")
                }
            }
            Err(why) => Verdict::from(&why),
        }
    }

    /// One bit in the middle is turned. A vault that opens that checks nothing, and what it opens is anybody's.
    pub(super) async fn tampered_unwrap(&mut self) -> Verdict {
        let Some(Wrapped { version, blob, .. }) = &self.wrapped else { return out_of_order() };
        let mut tampered = blob.clone();
        let middle = tampered.len() / 2;
        match tampered.get_mut(middle) {
            Some(byte) => *byte ^= 1,
            None => return Verdict::failed(Reason::VaultAnswerInvalid, "the vault wrapped to nothing"),
        }
        let (keys, key) = (&self.core.customer_keys, &self.target.key);
        let call = self.core.journal.call(&self.target.workspace, *version, Purpose::TestUnwrap);
        let answer = self.ask(|deadline| keys.unwrap(key, *version, &tampered, deadline)).await;
        call.ended(&answer, |unwrapped| &unwrapped.trace);
        match answer {
            Ok(_) => {
                let reason = Reason::VaultOpensDamaged;
                Verdict::failed(reason, reason.summary())
            }
            Err(KeyUnavailable::BadParameter(_)) => {
                Verdict::passed("with one bit turned, the wrapped bytes were refused")
            }
            Err(why) => Verdict::from(&why),
        }
    }
}

fn out_of_order() -> Verdict {
    Verdict::failed(Reason::Internal, "a step ran before the one it depends on")
}
