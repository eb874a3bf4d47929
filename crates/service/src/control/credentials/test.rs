//! Testing a credential: its directory is asked for a token with exactly this one, and the answer is what the test found.

use domain::audit::AuditKind;
use domain::credential::{CredentialEvent, Integration};
use domain::permission::{self, Permit};
use domain::{CredentialId, WorkspaceId};
use tokio::time::timeout;
use vault::{Class, KeyUnavailable};

use super::{event, live_workspace, not_found, refused, to_the_end, workspace_of};
use crate::core::Core;
use crate::{Refusal, Service};

/// What a test of a credential found.
#[derive(Debug, Clone)]
pub struct CredentialTest {
    /// The workspace's credentials after it.
    pub integration: Integration,
    /// Why it did not pass; absent when it did.
    pub refused: Option<Refusal>,
}

impl Service {
    /// Shows a credential to its directory. What the directory says against it takes back an earlier test; where it could not be
    /// asked, nothing is known and nothing changes.
    pub async fn test_credential(
        &self,
        permit: &Permit<permission::ChangeCredentials>,
        id: CredentialId,
    ) -> Result<CredentialTest, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move { core.test_credential(&workspace, id, &actor).await }).await
    }
}

impl Core {
    async fn test_credential(
        &self,
        workspace: &WorkspaceId,
        id: CredentialId,
        actor: &str,
    ) -> Result<CredentialTest, Refusal> {
        let present = self.integration_to_read(workspace).await?;
        let credential = present.credential(id).map_err(refused)?;
        let app = self.open_credential(workspace, credential)?;
        let (state, budget) = (self.table.existing_workspace(workspace), self.budget());
        let answer = {
            let _place = self.place(&state, &budget).await?;
            let left = budget.left();
            let asked = timeout(left, self.customer_keys.approach().show(&app, left)).await;
            asked.unwrap_or(Err(KeyUnavailable::DirectoryUnreachable))
        };
        drop(app);
        let passed = match &answer {
            Ok(()) => Some(true),
            Err(why) => match (why, why.class()) {
                (KeyUnavailable::RegistrationRefused { .. }, _) | (_, Class::Denied | Class::Gone) => Some(false),
                (_, Class::Transient | Class::Ours) => None,
            },
        };
        let what =
            CredentialEvent::Tested { credential: id, refused: answer.as_ref().err().map(KeyUnavailable::reason) };
        let integration = match passed {
            Some(passed) => {
                self.change_integration(workspace, actor, what, |found, now| found.tested(id, passed, now)).await?
            }
            None => {
                let mut tx = self.store.begin("test_credential").await?;
                live_workspace(&mut *tx, workspace).await?;
                let now = self.clock.now().wall;
                tx.append_audit(event(workspace, now, actor, AuditKind::Credential(what))).await?;
                let found = tx.integration(workspace).await?.ok_or_else(not_found)?;
                tx.commit().await?;
                found
            }
        };
        Ok(CredentialTest { integration, refused: answer.err().map(Refusal::from) })
    }
}
