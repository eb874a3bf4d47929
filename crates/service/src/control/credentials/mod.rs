//! The customer's own app registration: its credentials are added, tested, switched and removed, and shown without their secrets.

mod activate;
mod add;
mod probe;
mod test;

use domain::credential::{CredentialEvent, CredentialRefused, Integration};
use domain::permission::{self, Permit};
use domain::{CredentialId, Reason, WorkspaceId};
use store::{StoreError, Transaction};
use vault::KeyRef;

pub use self::add::{AddSecret, MadeHere, MakeCertificate};
pub use self::test::CredentialTest;
use super::{event, live_workspace, not_found, to_the_end, workspace_of};
use crate::core::Core;
use crate::keys::table::Change;
use crate::seeded_bug::{Bugs, SeededBug};
use crate::{Refusal, Service};
use domain::audit::AuditKind;

impl Service {
    /// The workspace's credentials, without their secrets; those that were removed too. Empty where it has never had one.
    pub async fn list_credentials(&self, permit: &Permit<permission::ReadCredentials>) -> Result<Integration, Refusal> {
        let workspace = workspace_of(permit)?;
        self.0.integration_to_read(&workspace).await
    }

    /// As [`list_credentials`](Service::list_credentials), to who may see the key: what of the credential in use needs attention.
    pub async fn credential_notice(
        &self,
        permit: &Permit<permission::ReadKey>,
    ) -> Result<Option<CredentialWarning>, Refusal> {
        let workspace = workspace_of(permit)?;
        let now = self.0.clock.now().wall;
        let Some(integration) = self.0.store.integration(&workspace).await? else { return Ok(None) };
        let active = integration.active.and_then(|id| integration.credential(id).ok());
        Ok(active.filter(|active| active.notice(now).is_some()).map(|active| CredentialWarning {
            kind: active.proof.kind(),
            expires_at: active.expires_at,
            expired: active.has_expired(now),
        }))
    }

    /// Removes a credential that is not in use, and erases its secret part.
    pub async fn remove_credential(
        &self,
        permit: &Permit<permission::ChangeCredentials>,
        id: CredentialId,
    ) -> Result<Integration, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move {
            let what = CredentialEvent::Removed { credential: id };
            core.change_integration(&workspace, &actor, what, |found, now| found.remove(id, now)).await
        })
        .await
    }
}

/// The credential in use will expire, or has. Displays as one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialWarning {
    /// `secret` or `certificate`.
    pub kind: &'static str,
    /// When it expires.
    pub expires_at: domain::Timestamp,
    /// Whether that was before now.
    pub expired: bool,
}

impl std::fmt::Display for CredentialWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, expires_at, expired } = self;
        let verb = if *expired { "expired" } else { "expires" };
        write!(
            f,
            "the {kind} of the customer's app registration {verb} at {expires_at}: add another credential, test and activate it"
        )
    }
}

pub(super) fn refused(why: CredentialRefused) -> Refusal {
    let refusal = Refusal::because(why.reason());
    match why.reason() {
        Reason::NotFound => refusal,
        _ => refusal.detail(why.to_string()),
    }
}

/// Refuses a key of another directory than that of the registration in use: nobody could ask for it.
pub(super) fn within_reach(integration: Option<&Integration>, key: &KeyRef, bugs: Bugs) -> Result<(), Refusal> {
    let reaches = integration.is_none_or(|found| found.reaches(key.location.cloud(), &key.tenant));
    if reaches || bugs.has(SeededBug::KeyOutOfReachTaken) {
        return Ok(());
    }
    Err(Refusal::because(Reason::RegistrationElsewhere)
        .detail("the app registration in use is of another directory than the key that is named"))
}

impl Core {
    async fn integration_to_read(&self, workspace: &WorkspaceId) -> Result<Integration, Refusal> {
        let found = self.store.workspace(workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let found = self.store.integration(workspace).await?;
        Ok(found.unwrap_or_else(|| Integration::new(workspace.clone(), self.clock.now().wall)))
    }

    /// One transaction: the change, decided on what is there now, and its audit record (I-24). Memory follows.
    pub(super) async fn change_integration(
        &self,
        workspace: &WorkspaceId,
        actor: &str,
        what: CredentialEvent,
        change: impl FnOnce(Integration, domain::Timestamp) -> Result<Integration, CredentialRefused>,
    ) -> Result<Integration, Refusal> {
        let mut tx = self.store.begin("change_credentials").await?;
        live_workspace(&mut *tx, workspace).await?;
        let now = self.clock.now().wall;
        let found = tx.integration(workspace).await?;
        let found = found.unwrap_or_else(|| Integration::new(workspace.clone(), now));
        let next = change(found, now).map_err(refused)?;
        self.commit_integration(tx, next, actor, vec![what]).await
    }

    /// Writes an integration down, commits, and has the memory follow.
    pub(crate) async fn commit_integration(
        &self,
        mut tx: Box<dyn Transaction>,
        next: Integration,
        actor: &str,
        what: Vec<CredentialEvent>,
    ) -> Result<Integration, Refusal> {
        let workspace = next.workspace.clone();
        tx.put_integration(&next).await?;
        for what in what {
            tx.append_audit(event(&workspace, next.changed_at, actor, AuditKind::Credential(what))).await?;
        }
        let outcome = tx.commit().await;
        // Also where it may or may not have been written: what is read next is what counts.
        self.applications.changed(&workspace);
        self.table.changed(&workspace, Change::Application);
        match outcome {
            // I-3: what a later reading shows is what happened.
            Err(StoreError::OutcomeUnknown) => match self.store.integration(&workspace).await? {
                Some(stored) if stored == next => Ok(next),
                Some(_) | None => Err(StoreError::OutcomeUnknown.into()),
            },
            outcome => Ok(outcome.map(|_| next)?),
        }
    }
}
