//! What happens when the hot path finds nothing: from the name of an app or a data key to an open key in the table.

use std::sync::Arc;

use domain::{DataKeyState, KeyVersionId, WrappingKey};

use super::birth::Born;
use super::flight::Flight;
use super::table::NotAdmitted;
use super::vault_call::Budget;
use super::{AppName, AppRef, DataKeyName, DataKeyRef, Failure, Standing};
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// How often work begins anew because something changed under it.
const ATTEMPTS: usize = 4;

impl Core {
    /// Waits until the app's present data key is open.
    pub(crate) async fn ready_to_seal(self: &Arc<Self>, app: AppRef<'_>) -> Result<(), Failure> {
        let work = || {
            let (core, app) = (self.clone(), app.to_owned());
            async move { core.open_for_sealing(app).await }
        };
        self.flights.join(Flight::Seal(app.to_owned()), self.denials(app), || self.is_ready_to_seal(app), work).await
    }

    /// Waits until this data key is open.
    pub(crate) async fn ready_to_open(self: &Arc<Self>, key: DataKeyRef<'_>) -> Result<(), Failure> {
        let work = || {
            let (core, key) = (self.clone(), key.to_owned());
            async move { core.open_data_key(key).await }
        };
        if self.bugs.has(SeededBug::NoSingleFlight) {
            return work().await;
        }
        let flight = Flight::Open(key.to_owned());
        self.flights.join(flight, self.denials(key.app), || self.is_ready_to_open(key), work).await
    }

    /// What the store says of an app now. [`Failure::NotFound`]: it, or its workspace, is not there or was deleted.
    pub(crate) async fn standing(&self, app: AppRef<'_>, budget: &Budget<'_>) -> Result<Standing, Failure> {
        self.know_the_store(budget).await?;
        let workspace = match self.table.workspace(app.workspace) {
            Some(workspace) => workspace,
            None => {
                self.find_live_app(app, budget).await?;
                self.table.existing_workspace(app.workspace)
            }
        };
        // Before reading: a change that commits during the reading makes it stale.
        let (epoch, asked_at) = (workspace.epoch(), self.clock.now());
        self.find_live_app(app, budget).await?;
        let reading = self.key_reading(app, budget).await?;
        let (ruled, revoked) = (reading.rule(app, self.clock.now()), reading.is_revoked());
        Ok(Standing { workspace, epoch, asked_at, config: reading.config, ruled, revoked })
    }

    async fn find_live_app(&self, app: AppRef<'_>, budget: &Budget<'_>) -> Result<(), Failure> {
        let workspace = self.stored(budget, self.store.workspace(app.workspace)).await?;
        workspace.filter(|workspace| workspace.deleted_at.is_none()).ok_or(Failure::NotFound)?;
        let found = self.stored(budget, self.store.app(app.workspace, app.app)).await?;
        found.filter(|app| app.deleted_at.is_none()).ok_or(Failure::NotFound)?;
        Ok(())
    }

    fn denials(&self, app: AppRef<'_>) -> u64 {
        self.table.workspace(app.workspace).map_or(0, |workspace| workspace.denials())
    }

    fn is_ready_to_seal(&self, app: AppRef<'_>) -> bool {
        let now = self.clock.now();
        let ready = self.table.with_sealing(app, |key, stamp| {
            key.lease.right(now).is_some()
                && stamp.is_fresh(&key.workspace, now)
                && stamp.rules(now)
                && !self.is_spent(key)
        });
        ready == Some(true)
    }

    /// Whether a data key is open and may open now.
    pub(crate) fn is_ready_to_open(&self, key: DataKeyRef<'_>) -> bool {
        let now = self.clock.now();
        self.table.with_open(key, |key| key.right_to_open(now).is_some()) == Some(true)
    }

    /// Finds the app's active data key under the protection it stands under, or makes it, and opens it. One that has sealed as
    /// many messages as it may is retired first (I-17).
    async fn open_for_sealing(self: Arc<Self>, app: AppName) -> Result<(), Failure> {
        let (app, budget) = (app.borrow(), self.budget());
        for _ in 0..ATTEMPTS {
            let standing = self.standing(app, &budget).await?;
            let Some(protection) = self.side(&standing, &budget).await? else { continue };
            let active = self.store.active_data_key(app.workspace, app.app, protection);
            let id = match self.stored(&budget, active).await? {
                Some(active) if self.is_old(&active) => {
                    match self.give_birth(&standing, protection, app, Some(active.id), &budget).await {
                        Ok(Born::Active(id)) => id,
                        Ok(Born::Moved) => continue,
                        // Age is no reason to stop: the old one seals on until a new one can be made.
                        Err(why) => {
                            tracing::warn!(workspace = %app.workspace, app = %app.app, %why, "an old data key could not be replaced yet");
                            active.id
                        }
                    }
                }
                Some(active) => active.id,
                None => match self.give_birth(&standing, protection, app, None, &budget).await? {
                    Born::Active(id) => id,
                    Born::Moved => continue,
                },
            };
            let key = app.data_key(id);
            if !self.is_ready_to_open(key) {
                self.ready_to_open(key).await?;
            }
            if self.table.with_open(key, |key| self.is_spent(key)) == Some(true) {
                // It goes on opening. The next one is made like the first; where others do so too, one wins (I-19).
                let now = self.clock.now().wall;
                self.stored(&budget, self.store.retire_data_key(app.workspace, app.app, id, now)).await?;
                tracing::info!(workspace = %app.workspace, app = %app.app, data_key = %id, "a data key has sealed enough and rests");
                continue;
            }
            if self.table.seal_under(key, &standing) {
                return Ok(());
            }
        }
        Err(Failure::TooLate)
    }

    /// Whether a data key has been active for longer than it should.
    fn is_old(&self, active: &domain::DataKey) -> bool {
        let limit = active.activated_at.map(|at| at.saturating_add(self.options.data_key_age));
        limit.is_some_and(|limit| self.clock.now().wall > limit)
    }

    /// Opens a data key, or renews what makes an open one stale.
    async fn open_data_key(self: Arc<Self>, name: DataKeyName) -> Result<(), Failure> {
        let (key, budget) = (name.borrow(), self.budget());
        for _ in 0..ATTEMPTS {
            let standing = self.standing(key.app, &budget).await?;
            if let Some(protection) = self.table.with_open(key, |key| key.protection) {
                self.check_switch(&standing, protection).inspect_err(|_| self.table.switch_off(&standing.workspace))?;
            }
            let now = self.clock.now();
            let lapsed = self.table.with_open(key, |key| key.version.filter(|_| key.lease.right(now).is_none()));
            match lapsed {
                None => {}
                Some(None) => {
                    if self.table.restamp(key, &standing) {
                        self.go_over_if_rotated(key, &standing, &budget).await;
                        return Ok(());
                    }
                    continue;
                }
                // Another replica rotated meanwhile: the version it is open under is nobody's any more, and may be disabled.
                Some(Some(version)) if self.has_moved_on(key, version, &budget).await => {}
                // One probe renews the lease for all keys under the version. Where it brings no answer, what is left of the
                // lease decides.
                Some(Some(version)) => {
                    let asked = self.ask_about(&standing.workspace, version, || self.is_lease_good(key)).await;
                    if self.is_lease_good(key) {
                        if self.table.restamp(key, &standing) {
                            return Ok(());
                        }
                        continue;
                    }
                    asked?;
                }
            }
            match self.unwrap_and_admit(key, &standing, &budget).await? {
                Ok(()) => return Ok(()),
                Err(NotAdmitted::Moved) => {}
                Err(NotAdmitted::Denied(why)) => return Err(Failure::Vault(why)),
            }
        }
        Err(Failure::TooLate)
    }

    /// Whether a data key's current wrapping is by another version than the one it is open under. A store that does not answer
    /// says no: the version itself can still be asked.
    async fn has_moved_on(&self, key: DataKeyRef<'_>, version: KeyVersionId, budget: &Budget<'_>) -> bool {
        if self.bugs.has(SeededBug::OldVersionInsisted) {
            return false;
        }
        let current = self.stored(budget, self.store.wrapping(key.app.workspace, key.id)).await;
        matches!(current, Ok(Some(wrapping)) if wrapping.wrapped_by != WrappingKey::Customer(version))
    }

    /// Another replica may have rotated the key while this one held it open: it goes over to its new wrapping beside the requests,
    /// so that the old version can be disabled when it is said to be safe. Looked at whenever a reading ends, which is C at most.
    async fn go_over_if_rotated(self: &Arc<Self>, key: DataKeyRef<'_>, standing: &Standing, budget: &Budget<'_>) {
        let version = self.table.with_open(key, |key| key.version).flatten();
        let Some(version) = version else { return };
        if !self.has_moved_on(key, version, budget).await {
            return;
        }
        let (core, name, standing) = (self.clone(), key.to_owned(), standing.clone());
        tokio::spawn(async move {
            // A few at once, and behind nobody's request. What does not succeed is tried again after the next reading.
            let Ok(_place) = core.going_over.acquire().await else { return };
            if let Err(why) = core.unwrap_and_admit(name.borrow(), &standing, &core.budget()).await {
                tracing::warn!(workspace = %standing.workspace.id, %why, "a data key could not go over to its new wrapping yet");
            }
        });
    }

    fn is_lease_good(&self, key: DataKeyRef<'_>) -> bool {
        let now = self.clock.now();
        self.table.with_open(key, |key| key.lease.right(now).is_some()) == Some(true)
    }

    async fn unwrap_and_admit(
        self: &Arc<Self>,
        key: DataKeyRef<'_>,
        standing: &Standing,
        budget: &Budget<'_>,
    ) -> Result<Result<(), NotAdmitted>, Failure> {
        let row = self.stored(budget, self.store.data_key(key.app.workspace, key.app.app, key.id)).await?;
        let Some(row) = row else {
            if !self.bugs.has(SeededBug::UnknownNotRemembered) {
                self.unknown.add(key.to_owned(), standing.epoch);
            }
            return Err(Failure::UnknownKey);
        };
        if !row.opens() {
            // It has sealed nothing that was acknowledged, or was destroyed. A pending one may yet become active, so it is not
            // remembered.
            let pending = matches!(row.state, DataKeyState::Pending | DataKeyState::Abandoned);
            debug_assert!(pending || row.destroyed_at.is_some());
            return Err(Failure::UnknownKey);
        }
        self.check_switch(standing, row.protection)?;
        let unwrapped = self.unwrap_row(standing, &row, budget).await?;
        Ok(self.admit(standing, &row, unwrapped))
    }
}
