//! Whether a customer's key is fit to protect data, and what of it deserves attention.

use std::fmt;

use domain::{KeyVersionId, Reason, Timestamp};
use vault::{KeyDescription, KeyRef};

use crate::Refusal;

/// What deserves the customer's attention but does not prevent use. Displays as one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWarning {
    /// The vault's recovery level has `Purgeable` in it, or is not known.
    Purgeable,
    /// The private half may leave the vault.
    Exportable,
    /// The version expires.
    Expires {
        /// When it stops wrapping. It goes on unwrapping.
        at: Timestamp,
    },
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Purgeable => f.write_str(
                "purge protection is off: a deleted key can be purged, and everything under it is lost for good",
            ),
            Self::Exportable => f.write_str("the key is exportable: its private half may leave the vault"),
            Self::Expires { at } => {
                write!(f, "the key version expires at {at}: from then on it wraps no new data keys, and still unwraps")
            }
        }
    }
}

/// What deserves attention about a key.
pub(super) fn warnings(key: &KeyDescription) -> Vec<KeyWarning> {
    let purgeable = key.recovery_level.as_deref().is_none_or(|level| level.contains("Purgeable"));
    [
        purgeable.then_some(KeyWarning::Purgeable),
        key.exportable.then_some(KeyWarning::Exportable),
        key.expires.map(|at| KeyWarning::Expires { at }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Refuses a key that is not the one asked for, or that cannot protect data now.
pub(super) fn check(
    key: &KeyDescription,
    asked: &KeyRef,
    version: Option<KeyVersionId>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let same_version = version.is_none_or(|version| version == key.kid.version());
    if key.kid.key() != &asked.location || !same_version {
        return Err(Refusal::because(Reason::VaultAnswerInvalid).detail("the vault describes another key"));
    }
    key.check_suitable().map_err(Refusal::because)?;
    if key.expires.is_some_and(|expires| expires <= now) {
        return Err(Refusal::because(Reason::KeyExpired));
    }
    if key.not_before.is_some_and(|not_before| not_before > now) {
        return Err(Refusal::because(Reason::KeyNotYetValid));
    }
    Ok(())
}
