//! Which faults can be put in on purpose: a promise's test is only worth something if it fails when the promise is broken.
//!
//! Without the feature `seeded-bugs` every question below is answered "no" at compile time.

/// A fault, named after what it gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeededBug {
    /// I-2: a new data key encrypts before it is `ACTIVE`.
    UsedBeforeActive,
    /// I-7: a lease is counted from the answer.
    LeaseFromAnswer,
    /// I-9: an unwrap begun before a denial still enters the cache.
    OlderGenerationAdmitted,
    /// I-10: lease, generation and standing are looked at on admission only.
    NotCheckedAtReply,
    /// I-11: an outage renews the lease.
    OutageRenews,
    /// I-14: the cache forgets the workspace.
    WorkspaceForgotten,
    /// I-15: an unwrapped value is used without comparing its identity and check value.
    IdentityNotCompared,
    /// I-18: a configured key does not make new data keys.
    ProtectionCrosses,
    /// I-13: the local switch is looked at when data is sealed, and not when it is opened.
    SwitchForgotten,
    /// I-26: every waiter unwraps for itself.
    NoSingleFlight,
    /// An unknown data key id is not remembered as unknown.
    UnknownNotRemembered,
    /// A vault's hanging calls take a place that all workspaces share.
    SharedBulkhead,
}

/// The faults of one service: none, or one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bugs {
    #[cfg(feature = "seeded-bugs")]
    pub(crate) seeded: Option<SeededBug>,
}

impl Bugs {
    /// Whether this fault was put in.
    #[inline]
    pub(crate) fn has(self, bug: SeededBug) -> bool {
        #[cfg(feature = "seeded-bugs")]
        return self.seeded == Some(bug);
        #[cfg(not(feature = "seeded-bugs"))]
        {
            let _ = bug;
            false
        }
    }
}
