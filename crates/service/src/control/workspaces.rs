//! Creating, reading and deleting workspaces.

use domain::audit::AuditKind;
use domain::credential::CredentialEvent;
use domain::permission::{self, Permit};
use domain::{Reason, Workspace, WorkspaceId};

use super::{cut, display_name, event, live_workspace, not_found, page_size, to_the_end, workspace_of};
use crate::keys::table::Change;
use crate::{Refusal, Service};

/// Some workspaces, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspacePage {
    /// Live ones only.
    pub workspaces: Vec<Workspace>,
    /// After which one the next page begins; absent on the last.
    pub next: Option<WorkspaceId>,
}

impl Service {
    /// Creates the workspace the permit names. An id that is taken, or was once, is refused: ciphertexts bind it.
    pub async fn create_workspace(
        &self,
        permit: &Permit<permission::CreateWorkspace>,
        name: &str,
    ) -> Result<Workspace, Refusal> {
        let (core, actor) = (self.0.clone(), permit.actor().to_owned());
        let (id, display_name) = (workspace_of(permit)?, display_name(name)?);
        to_the_end(async move {
            let now = core.clock.now().wall;
            let mut tx = core.store.begin("create_workspace").await?;
            if tx.workspace(&id).await?.is_some() {
                return Err(Refusal::because(Reason::AlreadyExists));
            }
            let workspace = Workspace { id, display_name, created_at: now, deleted_at: None };
            tx.put_workspace(&workspace).await?;
            tx.append_audit(event(&workspace.id, now, &actor, AuditKind::WorkspaceCreated)).await?;
            tx.commit().await?;
            Ok(workspace)
        })
        .await
    }

    /// Reads one live workspace.
    pub async fn read_workspace(&self, permit: &Permit<permission::ReadWorkspaces>) -> Result<Workspace, Refusal> {
        let found = self.0.store.workspace(&workspace_of(permit)?).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)
    }

    /// Lists live workspaces by id, from after `after`. `page`: 1 to 1,000 entries, 100 if absent.
    pub async fn list_workspaces(
        &self,
        _permit: &Permit<permission::ReadWorkspaces>,
        after: Option<&WorkspaceId>,
        page: Option<usize>,
    ) -> Result<WorkspacePage, Refusal> {
        let page = page_size(page);
        let (workspaces, more) = cut(self.0.store.workspaces(after, page + 1).await?, page);
        let next = workspaces.last().filter(|_| more).map(|last| last.id.clone());
        Ok(WorkspacePage { workspaces, next })
    }

    /// Deletes a workspace: from the moment this answers nothing of it encrypts or decrypts here, and its data keys are wiped
    /// from memory. Its wrapped keys stay stored; its credentials' secret parts are erased.
    pub async fn delete_workspace(&self, permit: &Permit<permission::DeleteWorkspace>) -> Result<(), Refusal> {
        let (core, actor, id) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move {
            let now = core.clock.now().wall;
            let mut tx = core.store.begin("delete_workspace").await?;
            let live = live_workspace(&mut *tx, &id).await?;
            // Nobody is asked as this workspace any more: what it could be asked with is erased.
            let found = tx.integration(&id).await?.filter(|found| found.live().next().is_some());
            if let Some(found) = found {
                let removed: Vec<_> = found.live().map(|credential| credential.id).collect();
                tx.put_integration(&found.removed_with_workspace(now)).await?;
                for credential in removed {
                    let what = AuditKind::Credential(CredentialEvent::Removed { credential });
                    tx.append_audit(event(&id, now, &actor, what)).await?;
                }
            }
            tx.put_workspace(&Workspace { deleted_at: Some(now), ..live }).await?;
            tx.append_audit(event(&id, now, &actor, AuditKind::WorkspaceDeleted)).await?;
            let outcome = core.announcing(&id, Change::WorkspaceDeleted, tx.commit()).await;
            // In whatever way it ended: what is still needed is read again.
            core.applications.forget(&id);
            outcome?;
            Ok(())
        })
        .await
    }
}
