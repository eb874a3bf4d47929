//! What an event is called, and what it says: the text that a chain hashes and an export prints.

use super::AuditKind;
use crate::ledger::{CalledVault, DataUsed, KeysPurged, KeysUsed, SignedCheckpoint};
use crate::tenancy::ProvenBy;
use crate::{AppId, Reason};

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
