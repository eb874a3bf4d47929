//! What is recorded of an administrative change or a vault's denial.

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

impl AuditKind {
    /// The event's stable name and its details, in a fixed order: what the chain hashes and an export prints.
    pub fn record(&self) -> (&'static str, Vec<(&'static str, String)>) {
        match self {
            Self::WorkspaceCreated => ("workspace.created", vec![]),
            Self::WorkspaceDeleted => ("workspace.deleted", vec![]),
            Self::AppUpserted { app } => ("app.upserted", vec![("app", app.to_string())]),
            Self::AppDeleted { app } => ("app.deleted", vec![("app", app.to_string())]),
            Self::KeyConfigured(config) => (
                "key.configured",
                vec![
                    ("version", config.current_version.to_string()),
                    ("key", config.location.to_string()),
                    ("tenant", config.tenant.to_string()),
                    ("lease_seconds", config.lease.as_secs().to_string()),
                    ("follow_new_versions", config.choices.follow_new_versions.to_string()),
                    ("newest_version_counts", config.choices.newest_version_counts.to_string()),
                ],
            ),
            Self::WrappedKeysExported { count } => ("key.exported", vec![("count", count.to_string())]),
            Self::ExportFinished { begun_at } => {
                ("key.export_finished", vec![("begun_at_micros", begun_at.micros().to_string())])
            }
            Self::VaultDenied { reason, version } => {
                ("vault.denied", vec![("reason", reason.as_str().to_owned()), ("version", version.to_string())])
            }
            Self::EnforcementScheduled { at, policy } => (
                "enforcement.scheduled",
                vec![
                    ("at", at.instant().to_string()),
                    ("local", at.local()),
                    ("zone", at.zone().to_owned()),
                    ("policy", policy.as_str().to_owned()),
                ],
            ),
            Self::EnforcementArmed { at } => ("enforcement.armed", vec![("at", at.to_string())]),
            Self::EnforcementHeld { at, why } => {
                ("enforcement.held", vec![("at", at.to_string()), ("why", why.as_str().to_owned())])
            }
            Self::EnforcementRehearsed { at, rehearsal, found } => {
                let found = found.map_or("nothing", Reason::as_str);
                let details = vec![
                    ("at", at.to_string()),
                    ("rehearsal", rehearsal.as_str().to_owned()),
                    ("found", found.to_owned()),
                ];
                ("enforcement.rehearsed", details)
            }
            Self::AppsSelected { every, added, removed } => (
                "apps.selected",
                vec![("every", every.to_string()), ("added", listed(added)), ("removed", listed(removed))],
            ),
            Self::KeyRevoked { cause } => ("key.revoked", vec![("cause", cause.as_str().to_owned())]),
            Self::KeyRestored { since } => ("key.restored", vec![("revoked_since", since.to_string())]),
            Self::KeyTested { test, failed } => {
                let mut details = vec![("test", test.to_string())];
                if let Some((step, reason)) = failed {
                    details.push(("failed", step.as_str().to_owned()));
                    details.extend(reason.map(|reason| ("reason", reason.as_str().to_owned())));
                }
                ("key.tested", details)
            }
            Self::KeyRotationStarted { operation, version } => {
                ("key.rotation_started", vec![("operation", operation.to_string()), ("version", version.to_string())])
            }
            Self::KeyRotated { operation, version } => {
                ("key.rotated", vec![("operation", operation.to_string()), ("version", version.to_string())])
            }
            Self::DataKeyRotationStarted { operation } => {
                ("data_keys.rotation_started", vec![("operation", operation.to_string())])
            }
            Self::OperationCancelRequested { operation } => {
                ("operation.cancel_requested", vec![("operation", operation.to_string())])
            }
            Self::OperationEnded { operation, outcome, data_keys } => (
                "operation.ended",
                vec![
                    ("operation", operation.to_string()),
                    ("outcome", (*outcome).to_owned()),
                    ("data_keys", data_keys.to_string()),
                ],
            ),
            Self::CredentialStored { app, data_key } => {
                ("app.credential_stored", vec![("app", app.to_string()), ("data_key", data_key.to_string())])
            }
            Self::AppValidated { app, refused } => {
                let outcome = refused.map_or("successful", Reason::as_str);
                ("app.validated", vec![("app", app.to_string()), ("outcome", outcome.to_owned())])
            }
            Self::ApprovalAsked { operation, kind, approve_by } => (
                "operation.approval_asked",
                vec![
                    ("operation", operation.to_string()),
                    ("kind", (*kind).to_owned()),
                    ("approve_by", approve_by.to_string()),
                ],
            ),
            Self::OperationApproved { operation, not_before } => (
                "operation.approved",
                vec![("operation", operation.to_string()), ("not_before", not_before.to_string())],
            ),
            Self::KeyReplacementStarted { operation, key, version } => (
                "key.replacement_started",
                vec![("operation", operation.to_string()), ("key", key.to_string()), ("version", version.to_string())],
            ),
            Self::KeyLeft { operation } => ("key.left", vec![("operation", operation.to_string())]),
            Self::DataKeyDestroyed { operation, app, data_key } => (
                "data_key.destroyed",
                vec![
                    ("operation", operation.to_string()),
                    ("app", app.to_string()),
                    ("data_key", data_key.to_string()),
                ],
            ),
            Self::VaultCalled(called) => (CalledVault::EVENT, called.details()),
            Self::KeysPurged(purged) => (KeysPurged::EVENT, purged.details()),
            Self::LeaseLost { version, boot, proven_at } => {
                let proven_at = proven_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
                let details = vec![
                    ("version", version.to_string()),
                    ("replica", hex::encode(boot.as_bytes())),
                    ("proven_at", proven_at),
                ];
                ("lease.lost", details)
            }
            Self::LeaseRegained { version, boot } => {
                ("lease.regained", vec![("version", version.to_string()), ("replica", hex::encode(boot.as_bytes()))])
            }
            Self::EventsLost { boot, count } => {
                ("ledger.events_lost", vec![("replica", hex::encode(boot.as_bytes())), ("count", count.to_string())])
            }
            Self::ReplicaCutOff { boot, from } => {
                ("replica.cut_off", vec![("replica", hex::encode(boot.as_bytes())), ("from", from.to_string())])
            }
            Self::KeysUsed(used) => (KeysUsed::EVENT, used.details()),
            Self::DatabaseAccepted(accepted) => (
                "database.accepted",
                vec![
                    ("epoch", accepted.epoch.to_string()),
                    ("revision", accepted.revision.to_string()),
                    ("head", accepted.head.clone()),
                    ("approved_by", accepted.approved_by[0].clone()),
                    ("approved_by", accepted.approved_by[1].clone()),
                ],
            ),
            Self::PlatformKeyInUse { key, rows } => {
                ("platform_key.in_use", vec![("key", key.to_string()), ("rows", rows.to_string())])
            }
            Self::Checkpointed(signed) => (SignedCheckpoint::EVENT, signed.details()),
            Self::CallerChanged(changed) => (changed.event(), changed.details()),
            Self::DataUsed(used) => (DataUsed::EVENT, used.details()),
            Self::Credential(event) => event.record(),
            Self::TenantNamed { tenant, typed } => {
                ("tenant.named", vec![("tenant", tenant.to_string()), ("typed", typed.clone())])
            }
            Self::ConsentStarted { tenant } => ("tenant.consent_started", vec![("tenant", tenant.to_string())]),
            Self::ConsentCameBack { tenant, how } => {
                ("tenant.came_back", vec![("tenant", tenant.to_string()), ("how", (*how).to_owned())])
            }
            Self::ConsentRefused { tenant, why } => {
                ("tenant.consent_refused", vec![("tenant", tenant.to_string()), ("reason", why.as_str().to_owned())])
            }
            Self::RefusalsCounted { counts } => {
                let refused = |(reason, count): &(Reason, u64)| ("refused", format!("{reason} {count}"));
                ("refusals.counted", counts.iter().map(refused).collect())
            }
            Self::TenantProven { tenant, by } => {
                let mut details = vec![("tenant", tenant.to_string()), ("how", by.as_str().to_owned())];
                match by {
                    ProvenBy::SignIn { object_id, admin } => {
                        details.push(("object_id", object_id.clone()));
                        details.push(("admin", admin.to_string()));
                    }
                    ProvenBy::KeyTag { test } => details.extend(test.map(|test| ("test", test.to_string()))),
                }
                ("tenant.proven", details)
            }
            Self::ApplicationSeen { tenant, refused } => {
                let answer = refused.map_or("admitted", Reason::as_str);
                ("tenant.application_seen", vec![("tenant", tenant.to_string()), ("answer", answer.to_owned())])
            }
            Self::Disconnected { tenants } => ("tenant.disconnected", vec![("tenants", tenants.to_string())]),
            Self::KeyProven { key, tenant } => {
                ("key.proven", vec![("key", key.to_string()), ("tenant", tenant.to_string())])
            }
            Self::KeyProofRefused { key, why } => {
                ("key.proof_refused", vec![("key", key.to_string()), ("reason", why.as_str().to_owned())])
            }
            Self::KeyReleased { key } => ("key.released", vec![("key", key.to_string())]),
        }
    }
}

/// Ids hold no spaces.
fn listed(apps: &[AppId]) -> String {
    apps.iter().map(AppId::as_str).collect::<Vec<_>>().join(" ")
}
