//! Going over to another credential, or back to the platform's app: never without having tried it.

use std::collections::BTreeSet;

use domain::credential::{CredentialEvent, CredentialRefused, Integration};
use domain::operation::{Operation, OperationState};
use domain::permission::{self, Permit};
use domain::{CredentialId, KeyConfig, KeyVersionId, Reason, WorkspaceId};
use vault::Application;

use super::{live_workspace, not_found, refused, to_the_end, workspace_of};
use crate::core::Core;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

impl Service {
    /// Makes a tested credential the one in use. Where a key is configured, its vault has to let this credential in before the one
    /// before is let go of; that one keeps its slot until it is removed. What is under way ends with the one it began with.
    pub async fn activate_credential(
        &self,
        permit: &Permit<permission::ChangeCredentials>,
        id: CredentialId,
    ) -> Result<Integration, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move { core.activate_credential(&workspace, id, &actor).await }).await
    }

    /// Goes back to the platform's app, which has to be let in first where a key is configured. The credentials stay in their slots.
    pub async fn use_platform_app(
        &self,
        permit: &Permit<permission::ChangeCredentials>,
    ) -> Result<Integration, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move { core.back_to_platform(&workspace, &actor).await }).await
    }
}

/// What the vault let in for.
struct Tried<'a> {
    config: Option<&'a KeyConfig>,
    to_come: BTreeSet<KeyVersionId>,
}

impl Core {
    async fn activate_credential(
        &self,
        workspace: &WorkspaceId,
        id: CredentialId,
        actor: &str,
    ) -> Result<Integration, Refusal> {
        let untested = self.bugs.has(SeededBug::UntestedActivated);
        let present = self.integration_to_read(workspace).await?;
        let credential = present.credential(id).map_err(refused)?;
        if !untested {
            present.may_activate(id, self.clock.now().wall).map_err(refused)?;
        }
        let config = self.store.key_config(workspace).await?;
        let mut tried = BTreeSet::new();
        if let Some(config) = &config {
            let registration = &credential.registration;
            if config.left_at.is_none()
                && (registration.tenant != config.tenant || registration.cloud != config.location.cloud())
            {
                return Err(refused(CredentialRefused::OtherDirectory));
            }
            let app = self.open_credential(workspace, credential)?;
            if !untested {
                tried = self.vault_lets_in_everywhere(workspace, config, &Application::Registered(app)).await?;
            }
        }
        let before = present.active;
        let what = CredentialEvent::Activated { credential: id, before };
        let tried = Tried { config: config.as_ref(), to_come: tried };
        self.go_over(workspace, tried, before, what, actor, |found, now| match untested {
            true => {
                let found = found.tested(id, true, now)?;
                found.activate(id, now).map(|next| Integration { change: next.change - 1, ..next })
            }
            false => found.activate(id, now),
        })
        .await
    }

    async fn back_to_platform(&self, workspace: &WorkspaceId, actor: &str) -> Result<Integration, Refusal> {
        let present = self.integration_to_read(workspace).await?;
        let Some(before) = present.active else { return Ok(present) };
        let config = self.store.key_config(workspace).await?;
        let mut to_come = BTreeSet::new();
        if let Some(config) = &config {
            to_come = self.vault_lets_in_everywhere(workspace, config, &Application::Platform).await?;
        }
        let what = CredentialEvent::PlatformAppUsed { before };
        let tried = Tried { config: config.as_ref(), to_come };
        self.go_over(workspace, tried, Some(before), what, actor, |found, now| Ok(found.use_platform(now))).await
    }

    /// The versions that operations of the workspace are going over to: what is under the one in force follows there, by calls as
    /// whoever is in use then. What nobody has approved yet is looked at again before it begins.
    async fn versions_to_come(&self, workspace: &WorkspaceId) -> Result<BTreeSet<KeyVersionId>, Refusal> {
        if self.bugs.has(SeededBug::OperationOverlooked) {
            return Ok(BTreeSet::new());
        }
        let open = self.store.open_operations().await?;
        let goes =
            |found: &&Operation| found.workspace == *workspace && found.state != OperationState::AwaitingApproval;
        Ok(open.iter().filter(goes).filter_map(|found| Some(found.kind.versions()?.1)).collect())
    }

    /// Asks by every version that is needed now, and by those that will be. Answers the latter.
    async fn vault_lets_in_everywhere(
        &self,
        workspace: &WorkspaceId,
        config: &KeyConfig,
        as_whom: &Application,
    ) -> Result<BTreeSet<KeyVersionId>, Refusal> {
        let to_come = self.versions_to_come(workspace).await?;
        self.vault_lets_in(workspace, config, as_whom).await?;
        for version in &to_come {
            let then = KeyConfig { current_version: *version, ..config.clone() };
            self.vault_lets_in(workspace, &then, as_whom).await?;
        }
        Ok(to_come)
    }

    /// One transaction: the switch, if what was tried is still what there is.
    async fn go_over(
        &self,
        workspace: &WorkspaceId,
        tried: Tried<'_>,
        before: Option<CredentialId>,
        what: CredentialEvent,
        actor: &str,
        change: impl FnOnce(Integration, domain::Timestamp) -> Result<Integration, CredentialRefused>,
    ) -> Result<Integration, Refusal> {
        let mut tx = self.store.begin("switch_credentials").await?;
        live_workspace(&mut *tx, workspace).await?;
        let found = tx.integration(workspace).await?.ok_or_else(not_found)?;
        let key = |config: &KeyConfig| (config.location.clone(), config.tenant.clone(), config.current_version);
        if tx.key_config(workspace).await?.as_ref().map(key) != tried.config.map(key) || found.active != before {
            return Err(Refusal::because(Reason::ChangedMeanwhile));
        }
        // Nothing else is written while this transaction is open: what is read beside it stands until its end.
        if tried.config.is_some() && !self.versions_to_come(workspace).await?.is_subset(&tried.to_come) {
            return Err(Refusal::because(Reason::OperationUnderWay));
        }
        let next = change(found, self.clock.now().wall).map_err(refused)?;
        self.commit_integration(tx, next, actor, vec![what]).await
    }
}
