//! Is the vault this workspace's? Its owner shows it by a tag that only they can set, with a nonce that only we can make.
//!
//! Our application may be let into the vaults of many customers, and a workspace could name another one's. Until the tag was
//! seen, what a vault says to our token is told to nobody: a key that is missing, disabled or another workspace's, a role that
//! is not there and a firewall all read alike. What anybody could find out without us (names, TLS, the tenant, the directory's
//! answers, a vault that does not answer at all) may be told.

use domain::key_test::Step;
use domain::{ConfigHash, KeyTest, KeyTestId, Reason, WorkspaceId};
use subtle::ConstantTimeEq;
use vault::{Class, KeyRef, KeyUnavailable};

use super::run::Run;
use super::verdict::Verdict;
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// The tag that holds the nonce.
pub const TAG: &str = "byok-enrol";

/// What a vault that was not proven is told to be, whatever it answers.
const NOT_PROVEN: &str = "assign our application its role on the key, and set the key's tag byok-enrol to the value in the \
                          command (setting tags replaces those the key has); then test again. If it repeats, look whether \
                          the key is there and enabled and whether the vault's network settings admit us";

/// What earlier tests of the very same configuration have shown.
#[derive(Default)]
pub(super) struct Before {
    /// The last one in which the tag was seen.
    pub(super) proven: Option<KeyTestId>,
    /// Whether one of them passed as a whole.
    pub(super) passed: bool,
}

impl Before {
    /// `history` is newest first.
    pub(super) fn of(hash: &ConfigHash, history: &[KeyTest]) -> Self {
        let same = || history.iter().filter(|test| test.config_hash == *hash);
        let saw_tag =
            |test: &&KeyTest| test.steps.iter().any(|result| result.step == Step::Ownership && result.state.goes_on());
        Self { proven: same().find(saw_tag).map(|test| test.id), passed: same().any(KeyTest::passed) }
    }
}

/// Whether this answer may be told to somebody who has not shown that the vault is theirs.
pub(super) fn may_be_told(why: &KeyUnavailable) -> bool {
    let found_out_without_us = matches!(why, KeyUnavailable::TenantMismatch(_)) || of_the_directory(why);
    // A vault throttles only those it has let in.
    let no_answer = why.class() == Class::Transient && !matches!(why, KeyUnavailable::Throttled { .. });
    let our_own = matches!(
        why,
        KeyUnavailable::OutOfLockedMemory | KeyUnavailable::AddressForbidden | KeyUnavailable::AddressNotApproved
    );
    found_out_without_us || no_answer || our_own
}

/// Whether the directory said it, or could not be asked.
fn of_the_directory(why: &KeyUnavailable) -> bool {
    let name = why.reason().as_str();
    name.starts_with("ENTRA_") || name.starts_with("REGISTRATION_") || why.reason() == Reason::CredentialUnusable
}

impl Core {
    /// What the owner of this key sets as its tag to prove it this workspace's: 32 hexadecimal digits. Others that count too
    /// follow, from older keys of the platform root.
    pub(crate) fn ownership_nonces(&self, workspace: &WorkspaceId, key: &KeyRef) -> Vec<String> {
        let mut of = Vec::with_capacity(256);
        for part in ["byokd/ownership/v1", workspace.as_str(), &key.location.to_string(), key.tenant.as_str()] {
            of.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            of.extend_from_slice(part.as_bytes());
        }
        let hex = |nonce: [u8; 16]| nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        self.platform.ownership_nonces(&of).into_iter().map(hex).collect()
    }
}

impl Run<'_> {
    /// Reads the tag off the description that the step before fetched.
    pub(super) fn ownership(&self) -> Verdict {
        if self.core.bugs.has(SeededBug::OwnershipNotAsked) {
            return Verdict::passed("not asked");
        }
        let not_proven = || {
            let reason = Reason::OwnershipNotProven;
            Verdict::failed(reason, reason.summary()).with_remedy(NOT_PROVEN)
        };
        match (&self.described, self.before.proven) {
            (Some(Ok(key)), _) => {
                let tag = key.tags.get(TAG).map_or("", |value| value.trim());
                let mine = self.nonces.iter().any(|nonce| bool::from(nonce.as_bytes().ct_eq(tag.as_bytes())));
                if mine {
                    Verdict::passed(format!("the key shows this workspace's nonce in its tag {TAG}"))
                } else {
                    not_proven()
                }
            }
            // Shown before, by the same configuration: so what is wrong with the key now may be told.
            (Some(Err(_)), Some(test)) => {
                Verdict::passed(format!("the tag {TAG} was seen in test {test}; the key cannot be read now"))
            }
            (Some(Err(_)) | None, _) => not_proven(),
        }
    }
}

#[cfg(test)]
mod tests {
    use vault::Trace;

    use super::*;

    /// What only our token could find out is not told; what anybody can find out, and what is no answer, is.
    #[test]
    fn what_our_token_found_out_is_not_told() {
        let t = Trace::default;
        for hidden in [
            KeyUnavailable::RoleMissing(t()),
            KeyUnavailable::AccessPolicyMissing(t()),
            KeyUnavailable::Firewall(t()),
            KeyUnavailable::PublicAccessOff(t()),
            KeyUnavailable::Denied(t()),
            KeyUnavailable::Disabled(t()),
            KeyUnavailable::NotFound(t()),
            KeyUnavailable::NotRsa(t()),
            KeyUnavailable::Throttled { retry_after: None, trace: t() },
            KeyUnavailable::Refused { status: 418, trace: t() },
        ] {
            assert!(!may_be_told(&hidden), "{hidden:?}");
        }
        for told in [
            KeyUnavailable::TenantMismatch(t()),
            KeyUnavailable::AppNotInDirectory(t()),
            KeyUnavailable::SecretExpired(t()),
            KeyUnavailable::DirectoryUnreachable,
            KeyUnavailable::Unreachable,
            KeyUnavailable::TimedOut { waited: std::time::Duration::from_secs(1) },
        ] {
            assert!(may_be_told(&told), "{told:?}");
        }
    }
}
