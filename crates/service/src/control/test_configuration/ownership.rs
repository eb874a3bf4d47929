//! Is the vault this workspace's? Its owner shows it by a tag that only they can set, with a nonce that only we can make.
//!
//! Our application may be let into the vaults of many customers, and a workspace could name another one's. Until the tag was
//! seen, what a vault says to our token is told to nobody: a key that is missing, disabled or another workspace's, a role that
//! is not there and a firewall all read alike. What anybody could find out without us (names, TLS, the tenant, the directory's
//! answers, a vault that does not answer at all) may be told.

use domain::tenancy::{ProvenKey, TagNonce};
use domain::{ConfigHash, KeyTest, Reason};
use subtle::ConstantTimeEq;
use vault::{Class, KeyUnavailable};

use super::run::Run;
use super::verdict::Verdict;
use crate::control::ownership::Tag;
use crate::seeded_bug::SeededBug;

/// The tag that holds the nonce.
pub const TAG: &str = "byok-enrol";

/// What a vault that was not proven is told to be, whatever it answers.
const NOT_PROVEN: &str = "assign our application its role on the key, and set the key's tag byok-enrol to the value in the \
                          command (setting tags replaces those the key has); then test again. If it repeats, look whether \
                          the key is there and enabled and whether the vault's network settings admit us";

/// What was shown before of the very same configuration.
#[derive(Default)]
pub(super) struct Before {
    /// That the key is this workspace's.
    pub(super) proven: Option<ProvenKey>,
    /// Whether an earlier test passed as a whole.
    pub(super) passed: bool,
}

impl Before {
    /// `history` is newest first.
    pub(super) fn of(hash: &ConfigHash, history: &[KeyTest], proven: Option<ProvenKey>) -> Self {
        let passed = history.iter().filter(|test| test.config_hash == *hash).any(KeyTest::passed);
        Self { proven, passed }
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

impl Run<'_> {
    /// Reads the tag off the description that the step before fetched. Seen once, it is a proof that later tests rely on.
    pub(super) async fn ownership(&self) -> Verdict {
        if self.core.bugs.has(SeededBug::OwnershipNotAsked) {
            return Verdict::passed("not asked");
        }
        let described = match &self.described {
            Some(Ok(key)) => Some(key.tags.get(TAG).map_or("", |value| value.trim())),
            Some(Err(_)) => None,
            None => return not_proven(Reason::OwnershipNotProven),
        };
        if let Some(proven) = &self.before.proven {
            return self.proven_before(proven, described);
        }
        match (described, &self.nonce) {
            (Some(tag), Some(nonce)) => self.shown(tag, nonce).await,
            (_, Some(_) | None) => not_proven(Reason::OwnershipNotProven),
        }
    }

    /// Shown before, so that what is wrong with the key now may be told.
    fn proven_before(&self, proven: &ProvenKey, tag: Option<&str>) -> Verdict {
        let seen = match proven.test {
            Some(test) => format!("the tag {TAG} was seen in test {test}"),
            None => format!("the tag {TAG} was seen on {}", proven.at),
        };
        let same = |tag: &str| {
            let is = |of_proof: &String| bool::from(of_proof.as_bytes().ct_eq(tag.as_bytes()));
            self.core.tags_of(proven).iter().any(is)
        };
        Verdict::passed(match tag {
            None => format!("{seen}; the key cannot be read now"),
            Some(tag) if same(tag) => format!("{seen}, and the key shows it still"),
            Some(_) => format!("{seen}; the key shows it no more"),
        })
    }

    async fn shown(&self, tag: &str, nonce: &TagNonce) -> Verdict {
        let judged = match self.core.judge(nonce, tag).await {
            Ok(judged) => judged,
            Err(why) => return Verdict::failed(why.reason(), why.reason().summary()),
        };
        match judged {
            Tag::Other => not_proven(Reason::OwnershipNotProven),
            Tag::Expired => not_proven(Reason::OwnershipNonceExpired),
            Tag::Used => not_proven(Reason::OwnershipNonceUsed),
            Tag::Current => {
                let target = self.target;
                let proved =
                    self.core.prove_key(&target.workspace, &target.key, nonce, Some(self.test), self.actor).await;
                match proved {
                    Ok(Ok(())) => Verdict::passed(format!(
                        "the key shows this workspace's nonce in its tag {TAG}: it is this workspace's from now on"
                    )),
                    Ok(Err(why)) => Verdict::failed(why, why.summary()),
                    Err(why) => Verdict::failed(why.reason(), why.reason().summary()),
                }
            }
        }
    }
}

/// Only its owner can have set one of this workspace's nonces: that it is an old one may be told.
fn not_proven(reason: Reason) -> Verdict {
    let failed = Verdict::failed(reason, reason.summary());
    if reason == Reason::OwnershipNotProven { failed.with_remedy(NOT_PROVEN) } else { failed }
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
