//! Makes the data keys that a date will need, before it comes.
//!
//! Each is born like every other: wrapped by the vault, stored, unwrapped again and compared. It is its app's active one of the
//! customer's side then, and nothing is encrypted under it until the ruling says that side (I-20): see `keys/ruled`.

use std::sync::Arc;
use std::time::Duration;

use domain::{AppId, Protection, Reason, WorkspaceId};
use futures::stream::{self, TryStreamExt};

use crate::Refusal;
use crate::control::life::selection_of;
use crate::core::Core;
use crate::keys::birth::Born;
use crate::keys::{AppRef, Failure};
use crate::options::MOST_PAGE;
use crate::seeded_bug::SeededBug;

/// What is still to be made.
pub(crate) struct Staging {
    pub(crate) workspace: WorkspaceId,
    /// Selected apps without a data key on the customer's side.
    pub(crate) apps: Vec<AppId>,
    /// How long making them takes.
    pub(crate) takes: Duration,
}

impl Core {
    /// Which selected apps have no data key on the customer's side yet.
    pub(crate) async fn staging(&self, workspace: &WorkspaceId) -> Result<Staging, Refusal> {
        let not_configured = || Refusal::because(Reason::KeyNotConfigured);
        let config = self.store.key_config(workspace).await?.ok_or_else(not_configured)?;
        let life = self.store.key_life(workspace).await?.ok_or_else(not_configured)?;
        let selection = selection_of(life.every_app, &self.store.app_selections(workspace).await?);
        let (mut apps, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.apps(workspace, after.as_ref(), MOST_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for app in page.into_iter().filter(|app| selection.has(&app.id)) {
                let ready = self.store.active_data_key(workspace, &app.id, Protection::CustomerKey).await?;
                if ready.is_none() {
                    apps.push(app.id);
                }
            }
        }
        let version = self.store.key_version(workspace, config.current_version).await?.ok_or_else(not_configured)?;
        let takes = match self.bugs.has(SeededBug::EtaIgnored) {
            true => Duration::ZERO,
            false => self.births_take(&version, apps.len()),
        };
        Ok(Staging { workspace: workspace.clone(), apps, takes })
    }

    /// Makes them, several at once. How many; or the first failure, after which no other is begun.
    pub(crate) async fn stage(self: &Arc<Self>, staging: Staging) -> Result<usize, Failure> {
        let Staging { workspace, apps, .. } = staging;
        let made = stream::iter(apps.into_iter().map(Ok)).map_ok(|app| {
            let (core, workspace) = (self.clone(), workspace.clone());
            async move { core.stage_one(&workspace, &app).await }
        });
        made.try_buffer_unordered(self.births_at_once()).try_fold(0, |made, one| async move { Ok(made + one) }).await
    }

    /// `0`: it has one already, or was deleted meanwhile.
    async fn stage_one(self: &Arc<Self>, workspace: &WorkspaceId, app: &AppId) -> Result<usize, Failure> {
        let (app, budget) = (AppRef { workspace, app }, self.budget());
        let standing = match self.standing(app, &budget).await {
            Err(Failure::NotFound) => return Ok(0),
            standing => standing?,
        };
        self.check_switch(&standing, Protection::CustomerKey)?;
        let active = self.store.active_data_key(workspace, app.app, Protection::CustomerKey);
        if self.stored(&budget, active).await?.is_some() {
            return Ok(0);
        }
        match self.give_birth(&standing, Protection::CustomerKey, app, None, &budget).await? {
            Born::Active(_) => Ok(1),
            Born::Moved => Err(Failure::Ruled(Reason::ChangedMeanwhile)),
        }
    }
}
