//! Which faults can be put in on purpose: a promise's test is only worth something if it fails when the promise is broken.
//!
//! Without the feature `seeded-bugs` every question below is answered "no" at compile time.

/// A fault, named after what it gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeededBug {
    /// A credential becomes active that nobody tested.
    UntestedActivated,
    /// A credential becomes active without having been tried on the version that an operation goes over to.
    OperationOverlooked,
    /// A no to a credential that was let go of shuts the key off for the one that is in use.
    DenialOfAnotherCounts,
    /// A no about the key itself does not count where another credential is in use by now.
    EveryDenialOvertaken,
    /// A key of another directory than the registration in use is configured, or gone over to.
    KeyOutOfReachTaken,
    /// Where a workspace's own registration cannot be used, the platform's app is asked with instead.
    PlatformAppInstead,
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
    /// A test of a configuration does not ask the vault for its tenant.
    TenantStepSkipped,
    /// A test of a configuration takes every vault for the workspace's.
    OwnershipNotAsked,
    /// A test of a configuration tells what a vault says that nobody proved theirs.
    UnprovenAnswersShown,
    /// A test of a configuration does not compare what was unwrapped.
    TestNotCompared,
    /// I-13: the local switch is looked at when data is sealed, and not when it is opened.
    SwitchForgotten,
    /// I-26: every waiter unwraps for itself.
    NoSingleFlight,
    /// I-4: a rewrapped key is stored without having been unwrapped again and compared.
    RewrapNotVerified,
    /// I-23: data keys born before a rotation's switch are left behind.
    StragglersForgotten,
    /// An unknown data key id is not remembered as unknown.
    UnknownNotRemembered,
    /// A vault's hanging calls take a place that all workspaces share.
    SharedBulkhead,
    /// I-8: nobody probes; only a lease that ends asks the vault again.
    NeverProbed,
    /// I-7: whatever a vault answers to a challenge counts.
    ChallengeNotCompared,
    /// I-7: what was in memory before a pause is used after it without asking.
    PauseNotNoticed,
    /// I-9: one success after a denial admits again.
    ReadmittedAtOnce,
    /// I-13: what other replicas changed is not read.
    FeedIgnored,
    /// I-13: a replica that cannot read the store serves on.
    ControlLeaseIgnored,
    /// I-8: a kept token is taken for consent.
    ConsentNotProbed,
    /// I-8: only the version that wraps counts.
    NewestIgnored,
    /// I-8: an unwrap, by whatever token, puts off the next probe.
    UnwrapsCountAsProbes,
    /// I-8: two unwraps, by whatever token, admit a denied version again.
    UnwrapReadmits,
    /// I-23: a data key is asked for under the version it was opened by, wherever it is now.
    OldVersionInsisted,
    /// I-27: calls go out as they come.
    QuotaIgnored,
    /// I-27: a probe waits behind the calls that serve requests.
    ProbesQueue,
    /// I-20: under whose key an app's data is, is asked when its data key is taken out, and not by the clock afterwards.
    RulingKept,
    /// I-21: another key is configured in the freeze.
    FreezeIgnored,
    /// I-20: a date is decided as if every replica heard of it at once.
    ArmedLate,
    /// I-22: a date is armed by the test it was set by.
    ArmedUntested,
    /// I-18: what was made ready for a key stays in use for the one that took its place.
    StagedKeysKept,
    /// Counts whose answer was lost are written once more under another number.
    UsageCountedAgain,
    /// All replicas write their counts into the same rows.
    ReplicasShareCounts,
    /// Data keys that only open are left out of coverage.
    OldKeysNotCovered,
    /// A validation opens what it holds in memory, not what the database gives back.
    CredentialNotReadBack,
    /// A validation takes any key for the customer's.
    AnyProtectionValid,
    /// I-5: whoever asked for an operation approves it themselves.
    OwnRequestApproved,
    /// I-5: an approved operation begins at once.
    WaitingPeriodIgnored,
    /// I-5: a destroyed data key stays in memory where it was not destroyed.
    DestroyedKeyKept,
    /// A key is replaced by one that nobody tested.
    ReplacementUntested,
    /// A key is replaced although nobody proved the old one or the new one theirs.
    ReplacementUnproven,
    /// A vault of another tenant is asked with the tenant of the key in force.
    TenantOfTheOtherKey,
    /// I-27: every hint of a new version is a call to the vault.
    HintsNotSpaced,
    /// What a workspace chose about versions is stored and not gone by.
    ChoicesIgnored,
    /// A checkpoint of the ledger carries no signature.
    CheckpointNotSigned,
    /// A replica gives no receipt for keys it wiped.
    ReceiptForgotten,
    /// A vault's id of a call is not kept.
    RequestIdForgotten,
    /// A key's status says that a test is missing where one has found what is wrong.
    FindingNotTold,
    /// What a date needs is made ready as if that took no time.
    EtaIgnored,
    /// I-6: a database that is older than what was read of it is read on.
    OlderDatabaseTaken,
    /// I-11: an outage takes the keys away.
    OutageWipes,
    /// I-12: what was denied is asked about an hour later.
    NeverAskedAgain,
    /// I-17: a data key seals on however much it has sealed.
    SpentKeySeals,
    /// I-19: a data key that lost the race for its app seals all the same.
    LoserUsed,
    /// I-24: a vault's denial leaves no record.
    DenialNotRecorded,
    /// I-24: a change of a key's life leaves no record.
    ChangeNotRecorded,
    /// I-25: a call that was given up keeps its place at the vault.
    PlaceKept,
    /// A version is called safe to disable as soon as nothing in the database needs it, whatever replicas still act on.
    SafeTooSoon,
    /// I-13: a caller who was taken out of the database is let in for ever.
    CallersNotFollowed,
    /// A caller is given what its giver does not hold.
    GivesWhatIsNotHeld,
    /// What a person does with data leaves no record.
    PersonalUseNotRecorded,
    /// A person's stream is recorded when it ends, and never where the process ends before.
    StreamRecordedAtItsEnd,
    /// Somebody approves what they asked for, as a caller of their own making.
    OwnCallerApproves,
    /// Who made a caller and who changed it last is looked at, and not who did before, nor who made those.
    OnlyTheLastHandCounts,
    /// A tag's nonce proves again after it was used.
    NonceUsedTwice,
    /// A tag's nonce proves however old it is.
    NonceNeverExpires,
    /// A key that is another workspace's is proven all the same.
    TwoWorkspacesOneKey,
    /// A tenant that is not on the workspace's list is asked for its token.
    AnyTenantTaken,
    /// An answer from consent counts again after it was used.
    ConsentReplayed,
    /// An answer from consent counts in whatever browser it comes.
    AnyBrowser,
    /// The browser that comes back from consent has proven the tenant.
    ComingBackProves,
    /// The code that an admin is shown is of the newest consent, whichever they came back from.
    CodeOfTheNewest,
    /// Any code is the one that the admin was shown.
    AnyCode,
    /// A disconnected key is restored by the switch alone.
    RestoredUnproven,
    /// A sign-in that was under way when its workspace was disconnected proves the directory all the same.
    DisconnectionOvertaken,
    /// A sign-in that was under way when its workspace was disconnected proves the directory once somebody has named it again.
    NamingAgainOverlooked,
    /// Of two start pages that a browser has open, only the one that it opened last goes on.
    NewestPageAlone,
    /// Who only asks what a replacement would take claims the keys by that.
    PlanProves,
    /// A workspace on its own registration is told about the platform's app.
    PlatformAppLookedFor,
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
