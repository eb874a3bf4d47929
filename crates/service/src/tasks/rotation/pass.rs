//! What came of the data keys that a rotation tried: how many, and what stands in the way of the others.

use std::collections::HashSet;

use domain::operation::{Operation, Progress};
use domain::{KeyVersionId, Reason, Wrapping};
use vault::Class;

use super::Stopped;
use crate::Refusal;
use crate::keys::Failure;
use crate::keys::rewrap::{NotRewrapped, Rewrapped};

/// One pass over the data keys that are left.
pub(super) struct Pass {
    pub(super) progress: Progress,
    /// Versions whose vault said no: the data keys under them are passed over until the next turn.
    blocked: HashSet<KeyVersionId>,
    to: Option<KeyVersionId>,
    waits: Option<Reason>,
    hopeless: Option<Reason>,
    away: bool,
}

impl Pass {
    pub(super) fn new(operation: &Operation, left: u64) -> Self {
        let mut progress = operation.progress;
        progress.total = progress.total.max(left);
        progress.done = progress.total - left;
        progress.failing = 0;
        let to = operation.kind.versions().map(|(_, to)| to);
        Self { progress, blocked: HashSet::new(), to, waits: None, hopeless: None, away: false }
    }

    /// Whether the version's vault said no in this pass.
    pub(super) fn is_blocked(&self, version: KeyVersionId) -> bool {
        self.blocked.contains(&version)
    }

    pub(super) fn count(&mut self, outcome: Result<Rewrapped, NotRewrapped>) -> Result<(), Stopped> {
        match outcome {
            Ok(Rewrapped::Added | Rewrapped::Before) => {
                self.progress.done += 1;
                self.progress.total = self.progress.total.max(self.progress.done);
            }
            Ok(Rewrapped::Ended) => return Err(Stopped::Ended),
            Err(NotRewrapped { at, why }) => {
                self.progress.failing += 1;
                match &why {
                    Failure::Vault(denied) => match denied.class() {
                        Class::Denied | Class::Gone => {
                            self.blocked.insert(at);
                        }
                        Class::Transient => self.away = true,
                        Class::Ours => {}
                    },
                    // Switched off here: the next one would be told the same.
                    Failure::Ruled(_) => self.away = true,
                    Failure::Corrupt(_) | Failure::Platform(_) => {
                        self.hopeless = Some(Refusal::from(why).reason());
                        return Ok(());
                    }
                    Failure::NotFound
                    | Failure::UnknownKey
                    | Failure::Store(_)
                    | Failure::StoreSlow
                    | Failure::Adrift(_)
                    | Failure::OutOfMemory
                    | Failure::TooLate
                    | Failure::Crashed => {}
                }
                self.waits = Some(Refusal::from(why).reason());
            }
        }
        Ok(())
    }

    /// Nothing more can be done in this pass: the vault is away, or the new version itself is denied.
    pub(super) fn standstill(&self) -> Result<(), Stopped> {
        let denied = self.to.is_some_and(|to| self.blocked.contains(&to));
        match self.waits {
            Some(reason) if self.away || denied => Err(Stopped::Waits(reason)),
            Some(_) | None => Ok(()),
        }
    }

    /// What waiting cures is waited for; what it does not ends the operation once everything else is done.
    pub(super) fn outcome(self) -> Result<(), Stopped> {
        match (self.waits, self.hopeless) {
            (Some(reason), _) => Err(Stopped::Waits(reason)),
            (None, Some(reason)) => Err(Stopped::Hopeless(reason)),
            (None, None) => Ok(()),
        }
    }
}

/// Whether the others need not be tried: the vault gave no answer, or the key is switched off here.
pub(super) fn is_away(outcome: &Result<Rewrapped, NotRewrapped>) -> bool {
    match outcome {
        Err(NotRewrapped { why: Failure::Vault(why), .. }) => why.class() == Class::Transient,
        Err(NotRewrapped { why: Failure::Ruled(_), .. }) => true,
        Ok(_) | Err(_) => false,
    }
}

/// The version a wrapping is by.
pub(super) fn version_of(wrapping: &Wrapping) -> KeyVersionId {
    match wrapping.wrapped_by {
        domain::WrappingKey::Customer(version) => version,
        domain::WrappingKey::Platform(key) => KeyVersionId::from_bytes(*key.as_bytes()),
    }
}
