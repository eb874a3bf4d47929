//! Going over to another credential, or back to the platform's app: never without having tried it.

use domain::credential::{CredentialEvent, CredentialRefused, Integration};
use domain::permission::{self, Permit};
use domain::{CredentialId, KeyConfig, Reason, WorkspaceId};
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
        if let Some(config) = &config {
            let registration = &credential.registration;
            if config.left_at.is_none()
                && (registration.tenant != config.tenant || registration.cloud != config.location.cloud())
            {
                return Err(refused(CredentialRefused::OtherDirectory));
            }
            let app = self.open_credential(workspace, credential)?;
            if !untested {
                self.vault_lets_in(workspace, config, &Application::Registered(app)).await?;
            }
        }
        let before = present.active;
        let what = CredentialEvent::Activated { credential: id, before };
        self.go_over(workspace, config.as_ref(), before, what, actor, |found, now| match untested {
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
        if let Some(config) = &config {
            self.vault_lets_in(workspace, config, &Application::Platform).await?;
        }
        let what = CredentialEvent::PlatformAppUsed { before };
        self.go_over(workspace, config.as_ref(), Some(before), what, actor, |found, now| Ok(found.use_platform(now)))
            .await
    }

    /// One transaction: the switch, if what was tried is still what there is.
    async fn go_over(
        &self,
        workspace: &WorkspaceId,
        tried_on: Option<&KeyConfig>,
        before: Option<CredentialId>,
        what: CredentialEvent,
        actor: &str,
        change: impl FnOnce(Integration, domain::Timestamp) -> Result<Integration, CredentialRefused>,
    ) -> Result<Integration, Refusal> {
        let mut tx = self.store.begin("switch_credentials").await?;
        live_workspace(&mut *tx, workspace).await?;
        let found = tx.integration(workspace).await?.ok_or_else(not_found)?;
        let key = |config: &KeyConfig| (config.location.clone(), config.tenant.clone(), config.current_version);
        if tx.key_config(workspace).await?.as_ref().map(key) != tried_on.map(key) || found.active != before {
            return Err(Refusal::because(Reason::ChangedMeanwhile));
        }
        let next = change(found, self.clock.now().wall).map_err(refused)?;
        self.commit_integration(tx, next, actor, vec![what]).await
    }
}
