//! What is recorded of an administrative change or a vault's denial.

mod record;

use crate::caller::CallerChanged;
use crate::credential::CredentialEvent;
use crate::key_life::{Cause, EnforceAt, Policy, Rehearsal};
use crate::key_test::Step;
use crate::ledger::{CalledVault, DataUsed, KeysPurged, KeysUsed, SignedCheckpoint};
use crate::tenancy::ProvenBy;
use crate::{
    AppId, BootId, DataKeyId, KeyConfig, KeyLocation, KeyTestId, KeyVersionId, OperationId, Reason, TenantId,
    Timestamp, WorkspaceId,
};

/// The name under which the service itself stands in a chain. No caller has it.
pub const SERVICE: &str = "service";

/// One event in a chain: the workspace's, or the platform's when `workspace` is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Whose chain it belongs to; absent for the platform's own.
    pub workspace: Option<WorkspaceId>,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: a caller's name, or `service` for the service itself.
    pub actor: String,
    /// What happened.
    pub what: AuditKind,
}

/// Which database was accepted in the place of the one that its head was taken of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseAccepted {
    /// Where the accepted one stood.
    pub epoch: u64,
    /// At which of its revisions.
    pub revision: u64,
    /// Where the head stood, or why there was none.
    pub head: String,
    /// Who accepted it.
    pub approved_by: [String; 2],
}

/// What can happen. Serialised with a stable name, because chains are kept for years.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditKind {
    /// A workspace was created.
    WorkspaceCreated,
    /// A workspace was deleted; its id stays taken.
    WorkspaceDeleted,
    /// An app or bot was created or its name changed.
    AppUpserted {
        /// Which.
        app: AppId,
    },
    /// An app or bot was deleted; its id stays taken.
    AppDeleted {
        /// Which.
        app: AppId,
    },
    /// A customer key was configured, or the terms under which it is used.
    KeyConfigured(Box<KeyConfig>),
    /// Wrapped keys were handed out.
    WrappedKeysExported {
        /// How many.
        count: u64,
    },
    /// An export was handed out whole.
    ExportFinished {
        /// When it was begun: what it says of each data key was so then or later.
        begun_at: Timestamp,
    },
    /// The customer's vault or directory refused.
    VaultDenied {
        /// Why, as far as it said.
        reason: Reason,
        /// The version asked for.
        version: KeyVersionId,
    },
    /// A date was set from which the customer's key is to be used.
    EnforcementScheduled {
        /// The date.
        at: EnforceAt,
        /// What happens if it cannot be kept.
        policy: Policy,
    },
    /// It was decided for a date: from it on the selected apps are under the customer's key.
    EnforcementArmed {
        /// The date.
        at: Timestamp,
    },
    /// It was decided against a date.
    EnforcementHeld {
        /// The date.
        at: Timestamp,
        /// What was wrong.
        why: Reason,
    },
    /// A day or an hour before a date it was tried whether it can be kept.
    EnforcementRehearsed {
        /// The date.
        at: Timestamp,
        /// Which rehearsal.
        rehearsal: Rehearsal,
        /// What stands in the way, if something does.
        found: Option<Reason>,
    },
    /// It was changed which apps are under the customer's key.
    AppsSelected {
        /// Whether every app is now, future ones too.
        every: bool,
        /// Which ones came.
        added: Vec<AppId>,
        /// Which ones went.
        removed: Vec<AppId>,
    },
    /// The customer's key was switched off here.
    KeyRevoked {
        /// By whom or what.
        cause: Cause,
    },
    /// It was switched on again.
    KeyRestored {
        /// Since when it had been off.
        since: Timestamp,
    },
    /// The configuration was tested.
    KeyTested {
        /// Which test; its steps are in the history.
        test: KeyTestId,
        /// The first step that did not pass, and why; absent when all passed.
        failed: Option<(Step, Option<Reason>)>,
    },
    /// A rotation to a version of the customer's key was begun.
    KeyRotationStarted {
        /// The operation.
        operation: OperationId,
        /// The version it goes over to.
        version: KeyVersionId,
    },
    /// From now on this version wraps new data keys.
    KeyRotated {
        /// The operation.
        operation: OperationId,
        /// The version.
        version: KeyVersionId,
    },
    /// Apps are being given new data keys.
    DataKeyRotationStarted {
        /// The operation.
        operation: OperationId,
    },
    /// Somebody asked to end an operation.
    OperationCancelRequested {
        /// The operation.
        operation: OperationId,
    },
    /// An operation ended.
    OperationEnded {
        /// The operation.
        operation: OperationId,
        /// `done`, `cancelled` or `failed`.
        outcome: &'static str,
        /// How many data keys it did.
        data_keys: u64,
    },
    /// A credential was stored to validate an app.
    CredentialStored {
        /// Which app.
        app: AppId,
        /// The data key it is under.
        data_key: DataKeyId,
    },
    /// An app was validated.
    AppValidated {
        /// Which app.
        app: AppId,
        /// Why it is not; absent when the credential came back from under the customer's key.
        refused: Option<Reason>,
    },
    /// Somebody asked for what another has to approve.
    ApprovalAsked {
        /// The operation.
        operation: OperationId,
        /// What it does: [`OperationKind::name`](crate::OperationKind::name).
        kind: &'static str,
        /// Until when somebody may decide.
        approve_by: Timestamp,
    },
    /// Somebody else approved it.
    OperationApproved {
        /// The operation.
        operation: OperationId,
        /// From when on it is done.
        not_before: Timestamp,
    },
    /// A replacement of the customer's key was begun, or asked for.
    KeyReplacementStarted {
        /// The operation.
        operation: OperationId,
        /// The other key.
        key: KeyLocation,
        /// Its version.
        version: KeyVersionId,
    },
    /// The workspace left its customer's key: new data is under the platform's.
    KeyLeft {
        /// The operation.
        operation: OperationId,
    },
    /// A data key was destroyed.
    DataKeyDestroyed {
        /// The operation.
        operation: OperationId,
        /// Whose it was.
        app: AppId,
        /// Which.
        data_key: DataKeyId,
    },
    /// A version of the customer's key was called, each call with the vault's own id of it.
    VaultCalled(CalledVault),
    /// A replica wiped keys from its memory.
    KeysPurged(KeysPurged),
    /// A replica served no more under a version: no answer that counts came in time.
    LeaseLost {
        /// The version.
        version: KeyVersionId,
        /// Which life of which replica.
        boot: BootId,
        /// When the last success was asked for.
        proven_at: Option<Timestamp>,
    },
    /// It serves under it again.
    LeaseRegained {
        /// The version.
        version: KeyVersionId,
        /// Which life of which replica.
        boot: BootId,
    },
    /// A replica could not read the store, and served nothing.
    ReplicaCutOff {
        /// Which life of which replica.
        boot: BootId,
        /// When it noticed.
        from: Timestamp,
    },
    /// A replica had no room or no database for what it had to write down.
    EventsLost {
        /// Which life of which replica.
        boot: BootId,
        /// How many events.
        count: u64,
    },
    /// What a replica sealed and opened in an hour.
    KeysUsed(KeysUsed),
    /// A database that does not stand where its head says was accepted as it is, by two people.
    DatabaseAccepted(Box<DatabaseAccepted>),
    /// Every row and every sealed blob is under this platform key now.
    PlatformKeyInUse {
        /// Which.
        key: crate::PlatformKeyId,
        /// How many rows were sealed anew.
        rows: u64,
    },
    /// It was signed how far the chain had come.
    Checkpointed(SignedCheckpoint),
    /// A caller was created, changed or deleted.
    CallerChanged(CallerChanged),
    /// A person, and none of the platform's services, used data keys.
    DataUsed(DataUsed),
    /// Something happened to a credential of the customer's registration, or to the platform's own.
    Credential(CredentialEvent),
    /// A directory came onto the workspace's list, or was named again.
    TenantNamed {
        /// The directory.
        tenant: TenantId,
        /// As it was typed.
        typed: String,
    },
    /// Consent was asked for: an address was handed out.
    ConsentStarted {
        /// The directory.
        tenant: TenantId,
    },
    /// A browser came back from consent, or the code that another admin was shown was read back.
    ConsentCameBack {
        /// The directory.
        tenant: TenantId,
        /// `owner` or `read_back`.
        how: &'static str,
    },
    /// An answer about a consent of this workspace was refused.
    ConsentRefused {
        /// The directory it was begun for.
        tenant: TenantId,
        /// Why.
        why: Reason,
    },
    /// What was refused to browsers and callers that looks like somebody trying something, counted.
    RefusalsCounted {
        /// How often each reason was given.
        counts: Vec<(Reason, u64)>,
    },
    /// A directory was proven the workspace's.
    TenantProven {
        /// The directory.
        tenant: TenantId,
        /// How and by whom.
        by: ProvenBy,
    },
    /// A directory said something else of our application than before.
    ApplicationSeen {
        /// The directory.
        tenant: TenantId,
        /// Why it gives us no token; absent where it does.
        refused: Option<Reason>,
    },
    /// The workspace was disconnected from its directories.
    Disconnected {
        /// How many directories.
        tenants: u64,
    },
    /// A key was proven the workspace's, and is nobody else's from now on.
    KeyProven {
        /// The key.
        key: KeyLocation,
        /// In which directory.
        tenant: TenantId,
    },
    /// A key showed the workspace's tag and was refused all the same.
    KeyProofRefused {
        /// The key.
        key: KeyLocation,
        /// Why.
        why: Reason,
    },
    /// The workspace let go of a key with which it had protected nothing.
    KeyReleased {
        /// The key.
        key: KeyLocation,
    },
}
