//! Creating, renaming, listing and deleting apps and bots.

use domain::audit::AuditKind;
use domain::permission::{self, Permit};
use domain::{App, AppId, AppKind, Reason};

use super::{app_of, cut, display_name, event, live_workspace, not_found, page_size, to_the_end, workspace_of};
use crate::keys::table::Change;
use crate::{Refusal, Service};

/// Some apps and bots of a workspace, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPage {
    /// Live ones only.
    pub apps: Vec<App>,
    /// After which one the next page begins; absent on the last.
    pub next: Option<AppId>,
}

impl Service {
    /// Creates an app or bot, or changes its display name. Its kind cannot change, and an id that was deleted is not given out
    /// again.
    pub async fn upsert_app(
        &self,
        permit: &Permit<permission::ChangeApps>,
        kind: AppKind,
        name: &str,
    ) -> Result<App, Refusal> {
        let (core, actor) = (self.0.clone(), permit.actor().to_owned());
        let ((workspace, id), display_name) = (app_of(permit)?, display_name(name)?);
        to_the_end(async move {
            let now = core.clock.now().wall;
            let mut tx = core.store.begin("upsert_app").await?;
            live_workspace(&mut *tx, &workspace).await?;
            let app = match tx.app(&workspace, &id).await? {
                None => App { workspace, id, kind, display_name, created_at: now, deleted_at: None },
                Some(gone) if gone.deleted_at.is_some() => return Err(Refusal::because(Reason::AlreadyExists)),
                Some(other) if other.kind != kind => {
                    return Err(Refusal::because(Reason::RequestInvalid).detail("the kind of an app cannot change"));
                }
                Some(same) if same.display_name == display_name => return Ok(same),
                Some(renamed) => App { display_name, ..renamed },
            };
            tx.put_app(&app).await?;
            let what = AuditKind::AppUpserted { app: app.id.clone() };
            tx.append_audit(event(&app.workspace, now, &actor, what)).await?;
            tx.commit().await?;
            Ok(app)
        })
        .await
    }

    /// Lists a workspace's live apps and bots by id, from after `after`. `page`: 1 to 1,000 entries, 100 if absent.
    pub async fn list_apps(
        &self,
        permit: &Permit<permission::ReadApps>,
        after: Option<&AppId>,
        page: Option<usize>,
    ) -> Result<AppPage, Refusal> {
        let workspace = workspace_of(permit)?;
        let found = self.0.store.workspace(&workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let page = page_size(page);
        let (apps, more) = cut(self.0.store.apps(&workspace, after, page + 1).await?, page);
        let next = apps.last().filter(|_| more).map(|last| last.id.clone());
        Ok(AppPage { apps, next })
    }

    /// Deletes an app or bot: from the moment this answers it neither encrypts nor decrypts here, and its data keys are wiped
    /// from memory. Its wrapped keys stay stored.
    pub async fn delete_app(&self, permit: &Permit<permission::ChangeApps>) -> Result<(), Refusal> {
        let (core, actor) = (self.0.clone(), permit.actor().to_owned());
        let (workspace, id) = app_of(permit)?;
        to_the_end(async move {
            let now = core.clock.now().wall;
            let mut tx = core.store.begin("delete_app").await?;
            live_workspace(&mut *tx, &workspace).await?;
            let live = tx.app(&workspace, &id).await?.filter(|app| app.deleted_at.is_none()).ok_or_else(not_found)?;
            tx.put_app(&App { deleted_at: Some(now), ..live }).await?;
            let what = AuditKind::AppDeleted { app: id.clone() };
            tx.append_audit(event(&workspace, now, &actor, what)).await?;
            core.announcing(&workspace, Change::AppDeleted(&id), tx.commit()).await?;
            Ok(())
        })
        .await
    }
}
