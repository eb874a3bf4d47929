//! Reading how far an app's data is under the key it should be under: its data keys, what was done under each, and what a
//! bulk re-encryption has left.

use std::collections::{BTreeMap, HashMap};

use domain::permission::{self, Permit};
use domain::{App, AppId, DataKey, DataKeyId, DataKeyState, Protection, Reason, Tally, Traffic, WorkspaceId};

use super::{cut, not_found, page_size, workspace_of};
use crate::core::Core;
use crate::keys::AppRef;
use crate::options::MOST_PAGE;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// The data keys of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCoverage {
    /// The app or bot.
    pub app: App,
    /// Under whose key its new data is.
    pub protection: Protection,
    /// Every data key that has been in use or may be, oldest first.
    pub data_keys: Vec<DataKeyCoverage>,
}

/// One data key, and what was done under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyCoverage {
    /// The data key.
    pub key: DataKey,
    /// What was done under it since counts are kept.
    pub traffic: Traffic,
    /// Whether the app's new data is sealed under it.
    pub present: bool,
}

impl DataKeyCoverage {
    /// Whether what is stored under it has to be encrypted again to be under the present key: it opens, and is not the present.
    pub fn is_left(&self) -> bool {
        !self.present && self.key.opens()
    }
}

impl AppCoverage {
    /// How many data keys there are under a protection, and what was done under them.
    pub fn under(&self, protection: Protection) -> (usize, Tally) {
        let mut sum = (0, Tally::default());
        for found in self.data_keys.iter().filter(|found| found.key.protection == protection) {
            sum.0 += 1;
            sum.1.add(&found.traffic.tally);
        }
        sum
    }
}

/// Some apps of a workspace, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoveragePage {
    /// Live ones only.
    pub apps: Vec<AppCoverage>,
    /// After which one the next page begins; absent on the last.
    pub next: Option<AppId>,
}

impl Service {
    /// The data keys of a workspace's live apps (or of one), by app: which protection each is under, what was done under it,
    /// and whether data under it has to be encrypted again. Asks no vault. `page`: 1 to 1,000 apps, 100 if absent.
    pub async fn read_coverage(
        &self,
        permit: &Permit<permission::ReadUsage>,
        one: Option<&AppId>,
        after: Option<&AppId>,
        page: Option<usize>,
    ) -> Result<CoveragePage, Refusal> {
        let (core, workspace) = (&self.0, workspace_of(permit)?);
        let found = core.store.workspace(&workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let (apps, next) = match one {
            Some(app) => {
                let found = core.store.app(&workspace, app).await?;
                (vec![found.filter(|app| app.deleted_at.is_none()).ok_or_else(not_found)?], None)
            }
            None => {
                let page = page_size(page);
                let (apps, more) = cut(core.store.apps(&workspace, after, page + 1).await?, page);
                let next = apps.last().filter(|_| more).map(|last| last.id.clone());
                (apps, next)
            }
        };
        core.flush_for_reading().await;
        let traffic: HashMap<DataKeyId, Traffic> = core.store.usage_by_key(&workspace).await?.into_iter().collect();
        let mut keys = core.data_keys_of(&workspace, &apps).await?;
        let mut covered = Vec::with_capacity(apps.len());
        for app in apps {
            let keys = keys.remove(&app.id).unwrap_or_default();
            match core.coverage(app, keys, &traffic).await {
                Ok(coverage) => covered.push(coverage),
                // Deleted while this was read.
                Err(refusal) if refusal.reason() == Reason::NotFound && one.is_none() => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(CoveragePage { apps: covered, next })
    }
}

impl Core {
    /// The data keys of these apps, oldest first.
    async fn data_keys_of(
        &self,
        workspace: &WorkspaceId,
        apps: &[App],
    ) -> Result<BTreeMap<AppId, Vec<DataKey>>, Refusal> {
        let mut found: BTreeMap<AppId, Vec<DataKey>> = apps.iter().map(|app| (app.id.clone(), Vec::new())).collect();
        let mut after = None;
        loop {
            let page = self.store.data_keys(workspace, after, MOST_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for key in page {
                if let Some(keys) = found.get_mut(&key.app) {
                    keys.push(key);
                }
            }
        }
        found.values_mut().for_each(|keys| keys.sort_by_key(|key| (key.created_at, key.id)));
        Ok(found)
    }

    async fn coverage(
        &self,
        app: App,
        keys: Vec<DataKey>,
        traffic: &HashMap<DataKeyId, Traffic>,
    ) -> Result<AppCoverage, Refusal> {
        let budget = self.budget();
        let standing = self.standing(AppRef { workspace: &app.workspace, app: &app.id }, &budget).await?;
        let protection = standing.side_of_new_data();
        // What was never made active and is given up has sealed nothing.
        let counts = |key: &DataKey| match key.state {
            DataKeyState::Active => true,
            DataKeyState::Retired => !self.bugs.has(SeededBug::OldKeysNotCovered),
            DataKeyState::Pending | DataKeyState::Staged | DataKeyState::Abandoned => false,
        };
        let covered = |key: DataKey| DataKeyCoverage {
            traffic: traffic.get(&key.id).copied().unwrap_or_default(),
            present: key.state == DataKeyState::Active && key.protection == protection,
            key,
        };
        Ok(AppCoverage { data_keys: keys.into_iter().filter(counts).map(covered).collect(), app, protection })
    }
}
