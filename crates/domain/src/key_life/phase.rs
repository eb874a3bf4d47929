//! How far a customer's key has come, and what holds it back: what a person is shown.

use std::fmt;

use crate::{Reason, Timestamp};

/// How far a customer's key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Connected; nothing proves yet that it works.
    Draft,
    /// A test of exactly this configuration passed within the last 24 hours.
    Tested,
    /// A date is set, and has not come or was not kept.
    Scheduled,
    /// New data of the selected apps is encrypted under it.
    Enforced,
}

impl Phase {
    /// The name in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Tested => "TESTED",
            Self::Scheduled => "SCHEDULED",
            Self::Enforced => "ENFORCED",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What holds a customer's key back, in whatever phase it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// Nothing.
    None,
    /// The date came and the key was not fit for it.
    Held {
        /// What was wrong.
        why: Reason,
    },
    /// It is switched off: nothing is encrypted or decrypted under it.
    Revoked {
        /// By whom or what.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
    /// The workspace was disconnected from its directories: as if switched off, until it is proven anew.
    Disconnected {
        /// Since when.
        since: Timestamp,
    },
}

/// Who or what switched a key off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Somebody, by the switch of this service. Somebody ends it by the same switch.
    KillSwitch,
    /// The workspace was disconnected. It is switched on again when it was proven anew, and not before.
    Disconnected,
}

impl Cause {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitch => "KILL_SWITCH",
            Self::Disconnected => "DISCONNECTED",
        }
    }
}
