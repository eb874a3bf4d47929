//! Is the key fit? Type, size, operations, dates and protection, in the order in which a person would mend them.

use domain::{Owner, Reason};
use vault::KeyDescription;

use super::run::Run;
use super::verdict::Verdict;
use crate::control::check_key::{KeyWarning, warnings};

impl Run<'_> {
    pub(super) fn key(&self) -> Verdict {
        let key = match &self.described {
            Some(Ok(key)) => key,
            Some(Err(why)) => return Verdict::from(why),
            None => return Verdict::failed(Reason::Internal, "the key was not read"),
        };
        let asked_version = self.target.version.is_none_or(|version| version == key.kid.version());
        if key.kid.key() != &self.target.key.location || !asked_version {
            return Verdict::failed(Reason::VaultAnswerInvalid, "the vault describes another key");
        }
        self.unfit(key).unwrap_or_else(|| fit(key))
    }

    /// What prevents use.
    fn unfit(&self, key: &KeyDescription) -> Option<Verdict> {
        let now = self.core.clock.now().wall;
        let bits = key.modulus.len() * 8;
        let lacks = |operation: &str| !key.key_ops.iter().any(|permitted| permitted.eq_ignore_ascii_case(operation));
        let failed = |reason, finding: String| Some(Verdict::failed(reason, finding));
        if key.managed {
            return failed(Reason::KeyManaged, Reason::KeyManaged.summary().to_owned());
        }
        if !matches!(bits, 2048 | 3072 | 4096) {
            return failed(
                Reason::KeyUnsuitable,
                format!("the key is RSA of {bits} bits; 2048, 3072 and 4096 are taken"),
            );
        }
        if lacks("wrapKey") || lacks("unwrapKey") {
            let permitted: Vec<&str> = key.key_ops.iter().map(String::as_str).filter(|op| is_operation(op)).collect();
            let finding = format!("the version permits {}, and not both wrapKey and unwrapKey", listed(&permitted));
            return failed(Reason::KeyOperationForbidden, finding);
        }
        if !key.enabled {
            return failed(Reason::KeyDisabled, format!("version {} is disabled", key.kid.version()));
        }
        if let Some(expires) = key.expires.filter(|expires| *expires <= now) {
            return failed(
                Reason::KeyExpired,
                format!("the version expired at {expires}; it unwraps and no longer wraps"),
            );
        }
        if let Some(from) = key.not_before.filter(|from| now < *from) {
            return failed(
                Reason::KeyNotYetValid,
                format!("the version is valid from {from} on, and does not wrap before"),
            );
        }
        // Whatever the checks above do not know of: the one rule by which a key is taken.
        key.check_suitable().err().and_then(|reason| failed(reason, reason.summary().to_owned()))
    }
}

/// What was seen, and what of it deserves attention.
fn fit(key: &KeyDescription) -> Verdict {
    let place = if key.hsm { "in an HSM" } else { "in software" };
    let seen = format!("RSA of {} bits {place}, version {}, enabled", key.modulus.len() * 8, key.kid.version());
    let warnings = warnings(key);
    let Some(first) = warnings.first() else { return Verdict::passed(seen) };
    let reason = match first {
        KeyWarning::Purgeable => Reason::KeyPurgeable,
        KeyWarning::Exportable => Reason::KeyExportable,
        KeyWarning::Expires { .. } => Reason::KeyExpires,
    };
    debug_assert_eq!(reason.owner(), Owner::Customer);
    let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    Verdict::warning(reason, format!("{seen}; {}", told.join("; ")))
}

/// A vault's own word is shown only if it is one: it comes from outside.
fn is_operation(text: &str) -> bool {
    !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn listed(permitted: &[&str]) -> String {
    if permitted.is_empty() { "nothing".to_owned() } else { permitted.join(", ") }
}
