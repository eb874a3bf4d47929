//! What would a kept token and an older version hide: asked beside each challenge.
//!
//! A token holds for an hour or more after a consent was withdrawn, so that one issued now is asked for at least every H/2. The
//! switch that a portal shows is the newest version's, also while data is under an older one.

use std::time::Duration;

use domain::{KeyConfig, KeyVersion, KeyVersionId};
use futures::future::join;
use tokio::time::timeout;
use vault::{Class, KeyRef, KeyUnavailable, Trace};

use super::lock;
use super::standing::WorkspaceState;
use super::vault_call::{At, Budget};
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// A directory is not asked for tokens more often than this, however short a workspace sets its leases.
const SOONEST: Duration = Duration::from_secs(10);

impl Core {
    /// Whether consent and the newest version say no. What cannot be found out says nothing, unless the version is `denied`:
    /// then everything has to say yes before it is used again.
    pub(crate) async fn ask_around(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        denied: bool,
        budget: &Budget<'_>,
    ) -> Result<(), KeyUnavailable> {
        // Each by itself: a directory that does not answer must not hide what the vault says.
        let (consent, newest) =
            join(self.ask_consent(workspace, at, denied, budget), self.ask_newest(workspace, at, denied, budget)).await;
        let mut unknown = None;
        for why in [consent.err(), newest.err()].into_iter().flatten() {
            match why.class() {
                Class::Denied | Class::Gone => {
                    match self.not_given(workspace, at, &why, budget).await {
                        None => return Err(why),
                        // It says nothing of whom the workspace calls as: that one is asked about at once.
                        Some(_) => unknown = Some(why),
                    }
                }
                Class::Transient | Class::Ours => unknown = Some(why),
            }
        }
        match unknown {
            Some(why) if denied => Err(why),
            Some(_) | None => Ok(()),
        }
    }

    async fn ask_consent(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        denied: bool,
        budget: &Budget<'_>,
    ) -> Result<(), KeyUnavailable> {
        let (asked_at, epoch) = (self.clock.now(), workspace.epoch());
        // A third: the next probe after that is still within the half.
        let last = lock(&workspace.held).consented.get(&at.key.tenant).copied();
        let due = last.is_none_or(|last| asked_at.since(last) >= (self.lease_within(at.lease) / 3).max(SOONEST));
        if !(due || denied) || self.bugs.has(SeededBug::ConsentNotProbed) {
            return Ok(());
        }
        let left = budget.left();
        let asked = timeout(left, self.customer_keys.prove_consent(&at.key, left)).await;
        asked.unwrap_or(Err(KeyUnavailable::DirectoryUnreachable))?;
        let mut held = lock(&workspace.held);
        // Who is in use may be another one by now, of whom this says nothing.
        if workspace.epoch() == epoch {
            held.consented.insert(at.key.tenant.clone(), asked_at);
        }
        Ok(())
    }

    /// A version that nobody here ever saw enabled was made switched off, and takes nothing back.
    async fn ask_newest(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        denied: bool,
        budget: &Budget<'_>,
    ) -> Result<(), KeyUnavailable> {
        if self.bugs.has(SeededBug::NewestIgnored) {
            return Ok(());
        }
        let left = budget.left();
        let asked = timeout(left, self.customer_keys.describe(&at.key, None, left)).await;
        let newest = match asked.unwrap_or(Err(KeyUnavailable::TimedOut { waited: left })) {
            Ok(newest) => newest,
            // What was denied comes back when everything says yes: a version that cannot be read does not.
            Err(why) => match why.class() {
                Class::Transient | Class::Ours if denied && self.newest_counts(workspace, budget).await => {
                    return Err(why);
                }
                // The right to read is another one than the right to unwrap, which the challenge asks about.
                Class::Transient | Class::Ours | Class::Denied | Class::Gone => return Ok(()),
            },
        };
        let version = newest.kid.version();
        if newest.enabled {
            lock(&workspace.held).newest_enabled.insert(at.key.location.clone(), version);
            return Ok(());
        }
        if version != at.version
            && self.newest_counts(workspace, budget).await
            && self.was_enabled(workspace, at, version, budget).await
        {
            return Err(KeyUnavailable::Disabled(Trace::default()));
        }
        Ok(())
    }

    /// Whether the workspace chose so. A choice that cannot be read says nothing; who cannot read stops within C anyway.
    async fn newest_counts(&self, workspace: &WorkspaceState, budget: &Budget<'_>) -> bool {
        let config = self.stored(budget, self.store.key_config(&workspace.id)).await;
        let counts = matches!(config, Ok(Some(config)) if config.choices.newest_version_counts);
        counts || self.bugs.has(SeededBug::ChoicesIgnored)
    }

    async fn was_enabled(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        version: KeyVersionId,
        budget: &Budget<'_>,
    ) -> bool {
        if lock(&workspace.held).newest_enabled.get(&at.key.location) == Some(&version) {
            return true;
        }
        // Another replica, or this one before a restart, recorded it: only what is enabled is.
        matches!(self.stored(budget, self.store.key_version(&workspace.id, version)).await, Ok(Some(_)))
    }
    /// Which of the recorded versions may be the newest of the key in force: the one that was seen to be, and the one recorded last;
    /// all of them, where the vault does not say.
    pub(crate) async fn may_be_newest(&self, config: &KeyConfig, versions: &[KeyVersion]) -> Vec<KeyVersionId> {
        let of_this_key = versions.iter().filter(|found| *found.location.key() == config.location);
        let last = of_this_key.clone().max_by_key(|found| found.recorded_at).map(|found| found.id);
        let seen = self.table.workspace(&config.workspace);
        let seen = seen.and_then(|workspace| lock(&workspace.held).newest_enabled.get(&config.location).copied());
        let seen = match seen {
            Some(seen) => Some(seen),
            None => {
                let budget = self.budget();
                let ask = async {
                    let as_whom = self.as_whom(&config.workspace, &budget).await.ok()?;
                    let key =
                        KeyRef::new(config.tenant.clone(), config.location.clone(), as_whom).of(&config.workspace);
                    self.customer_keys.describe(&key, None, budget.left()).await.ok()
                };
                let asked = timeout(budget.left(), ask).await;
                asked.ok().flatten().map(|newest| newest.kid.version())
            }
        };
        match seen {
            Some(seen) => last.into_iter().chain([seen]).collect(),
            None => of_this_key.map(|found| found.id).collect(),
        }
    }
}
