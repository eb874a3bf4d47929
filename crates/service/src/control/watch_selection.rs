//! Which apps and bots are under the customer's key, now and whenever that changes.

use std::sync::Arc;
use std::time::Duration;

use domain::key_life::{Cause, KeyLife, Ruling, Selection, protection_of};
use domain::permission::{self, Permit};
use domain::{AppId, Protection, Timestamp, WorkspaceId};

use super::life::selection_of;
use super::{not_found, workspace_of};
use crate::core::Core;
use crate::options::MOST_PAGE;
use crate::{Refusal, Service};

/// How often a watch looks whether something changed.
const LOOK: Duration = Duration::from_millis(500);

/// The selection of a workspace at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionState {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which change of the key's life it shows: later ones have higher numbers. 0: nothing was ever changed.
    pub revision: u64,
    /// From when on every replica that serves goes by it.
    pub effective_at: Timestamp,
    /// Whether every app is selected, future ones too.
    pub every_app: bool,
    /// Every live app and bot, in the order of their ids.
    pub apps: Vec<SelectedApp>,
    /// Set while the customer's key is switched off here.
    pub revoked: Option<Cause>,
}

/// One app in a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedApp {
    /// Which.
    pub app: AppId,
    /// Whether it is selected.
    pub selected: bool,
    /// Under whose key its new data is; absent while it is refused.
    pub protection: Option<Protection>,
}

/// A watch over a workspace's selection.
pub struct SelectionWatch {
    core: Arc<Core>,
    workspace: WorkspaceId,
    last: Option<SelectionState>,
}

impl Service {
    /// Begins to watch: the first answer is the selection as it is.
    pub async fn watch_selection(&self, permit: &Permit<permission::ReadSelection>) -> Result<SelectionWatch, Refusal> {
        let workspace = workspace_of(permit)?;
        let mut watch = SelectionWatch { core: self.0.clone(), workspace, last: None };
        // A workspace that is not there is said before the first answer.
        watch.read().await?;
        Ok(watch)
    }
}

impl SelectionWatch {
    /// The selection when it is another than the one before. Dropped while waiting it loses nothing.
    pub async fn next(&mut self) -> Result<SelectionState, Refusal> {
        loop {
            let now = self.read().await?;
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                return Ok(now);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn read(&mut self) -> Result<SelectionState, Refusal> {
        let Self { core, workspace, .. } = self;
        let store = &core.store;
        store.workspace(workspace).await?.filter(|found| found.deleted_at.is_none()).ok_or_else(not_found)?;
        let config = store.key_config(workspace).await?;
        let life: Option<KeyLife> = store.key_life(workspace).await?;
        let rows = store.app_selections(workspace).await?;
        let every_app = life.as_ref().is_none_or(|life| life.every_app);
        let selection: Selection = selection_of(every_app, &rows);
        let now = core.clock.now().wall;
        let mut apps = Vec::new();
        let mut after: Option<AppId> = None;
        loop {
            let page = store.apps(workspace, after.as_ref(), MOST_PAGE).await?;
            after = page.last().map(|last| last.id.clone());
            let whole = page.len() < MOST_PAGE;
            apps.extend(page.into_iter().map(|app| SelectedApp {
                selected: selection.has(&app.id),
                protection: match protection_of(config.as_ref(), life.as_ref(), &selection, &app.id, now).ruling {
                    Ruling::CustomerKey => Some(Protection::CustomerKey),
                    Ruling::PlatformKey => Some(Protection::PlatformKey),
                    Ruling::Wait { .. } | Ruling::Refuse(_) => None,
                },
                app: app.id,
            }));
            if whole {
                break;
            }
        }
        let begun = Timestamp::from_micros(0);
        let changed_at = life.as_ref().map_or(begun, |life| life.changed_at);
        Ok(SelectionState {
            workspace: workspace.clone(),
            revision: life.as_ref().map_or(0, |life| life.change),
            effective_at: core.effective_at(changed_at),
            every_app,
            apps,
            revoked: life.and_then(|life| life.revoked).map(|revoked| revoked.cause),
        })
    }
}
