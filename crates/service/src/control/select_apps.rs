//! Choosing which apps and bots are under the customer's key.

use std::collections::BTreeSet;

use domain::key_life::{AppSelection, Preview, Selection, Wish};
use domain::permission::{self, Permit};
use domain::{AppId, Protection, Timestamp, WorkspaceId};

use super::life::{key_and_life, selection_of};
use super::{to_the_end, workspace_of};
use crate::core::Core;
use crate::keys::table::Change;
use crate::{Refusal, Service};

/// What a change of the selection did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// What changes.
    pub preview: Preview,
    /// How many data keys will be made for it, one for each app that has none on the side it goes to, when it first
    /// encrypts there.
    pub data_keys: usize,
    /// Which change of the key's life it is, or would follow.
    pub revision: u64,
    /// From when on every replica that serves goes by it; each does as soon as it has read it. Absent for a preview.
    pub effective_at: Option<Timestamp>,
}

impl Service {
    /// Changes which apps and bots are under the customer's key, before or after its date. Their new data goes over; their old
    /// data stays readable under the key it has (I-18). `only_preview` says what would happen and changes nothing.
    pub async fn select_apps(
        &self,
        permit: &Permit<permission::SelectApps>,
        wish: Wish,
        only_preview: bool,
    ) -> Result<Selected, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move { core.select(&workspace, &wish, only_preview, &actor).await }).await
    }
}

impl Core {
    async fn select(
        &self,
        workspace: &WorkspaceId,
        wish: &Wish,
        only_preview: bool,
        actor: &str,
    ) -> Result<Selected, Refusal> {
        let mut tx = self.store.begin("select_apps").await?;
        let (_, life) = key_and_life(&mut *tx, workspace).await?;
        let rows = tx.app_selections(workspace).await?;
        let apps: BTreeSet<AppId> = tx.live_apps(workspace).await?.into_iter().map(|app| app.id).collect();
        let present = selection_of(life.every_app, &rows);
        let preview = Preview::of(&present, wish, &apps).map_err(Refusal::because)?;
        let (revision, effective_at) = if only_preview {
            drop(tx);
            (life.change, None)
        } else if preview.selection == present {
            drop(tx);
            (life.change, Some(self.effective_at(life.changed_at)))
        } else {
            let now = self.clock.now().wall;
            for row in changed_rows(workspace, &rows, &preview.selection, now) {
                tx.put_app_selection(&row).await?;
            }
            let life = self.commit_life(tx, life.select(&preview, now), actor, Change::Selection).await?;
            (life.change, Some(self.effective_at(life.changed_at)))
        };
        let mut data_keys = self.missing(workspace, &preview.to_customer_key, Protection::CustomerKey).await?;
        data_keys += self.missing(workspace, &preview.to_platform_key, Protection::PlatformKey).await?;
        Ok(Selected { preview, data_keys, revision, effective_at })
    }

    /// How many of these apps have no data key on that side yet.
    async fn missing(&self, workspace: &WorkspaceId, apps: &[AppId], protection: Protection) -> Result<usize, Refusal> {
        let mut missing = 0;
        for app in apps {
            missing += usize::from(self.store.active_data_key(workspace, app, protection).await?.is_none());
        }
        Ok(missing)
    }
}

/// The rows that have to change for them to say what the selection says. Where every app is selected they say nothing.
fn changed_rows(
    workspace: &WorkspaceId,
    rows: &[AppSelection],
    selection: &Selection,
    now: Timestamp,
) -> Vec<AppSelection> {
    let Selection::Only(apps) = selection else { return Vec::new() };
    let says = |app: &AppId| rows.iter().any(|row| row.selected && row.app == *app);
    let row = |app: &AppId, selected| {
        let (workspace, app) = (workspace.clone(), app.clone());
        AppSelection { workspace, app, selected, changed_at: now }
    };
    let come = apps.iter().filter(|app| !says(app)).map(|app| row(app, true));
    let go = rows.iter().filter(|of| of.selected && !apps.contains(&of.app)).map(|of| row(&of.app, false));
    come.chain(go).collect()
}
