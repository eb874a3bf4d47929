//! How a new data key comes to encrypt: stored while nothing depends on it, opened again the way it will be opened ever
//! after, compared, made the active one, and only then used (I-1, I-2).

use std::sync::Arc;

use domain::entropy::random;
use domain::{DataKey, DataKeyId, DataKeyState, Protection, WrapScheme, Wrapping, WrappingKey};
use envelope::payload;
use secmem::Secret;
use store::{Activation, Conflict, StoreError};

use super::table::NotAdmitted;
use super::unwrap::{Unwrapped, blob_binding, identity_of};
use super::vault_call::{At, Budget};
use super::{AppRef, Failure, OpenKey, Standing};
use crate::core::Core;
use crate::keys::standing::Stamp;
use crate::seeded_bug::SeededBug;

/// How a birth ended well.
pub(crate) enum Born {
    /// The app's active data key is this one: the new one, or another replica's that was quicker (I-19).
    Active(DataKeyId),
    /// The workspace's configuration moved on meanwhile; nothing was encrypted. Read it again.
    Moved,
}

impl Core {
    /// Makes an app's first data key under this protection, the one that was ruled; or, with `over`, one that takes the place of
    /// that.
    pub(crate) async fn give_birth(
        self: &Arc<Self>,
        standing: &Standing,
        protection: Protection,
        app: AppRef<'_>,
        over: Option<DataKeyId>,
        budget: &Budget<'_>,
    ) -> Result<Born, Failure> {
        let _place = match protection {
            Protection::CustomerKey => Some(self.birth_place(app.workspace, budget).await?),
            Protection::PlatformKey => None,
        };
        let (row, wrapping) = self.conceive(standing, protection, app, budget).await?;
        let inserted = self.stored(budget, self.store.insert_data_key(row.clone(), wrapping.clone())).await;
        match inserted {
            Ok(_) => {}
            Err(Failure::Store(StoreError::Conflict(Conflict::WrapEpoch { .. }))) => return Ok(Born::Moved),
            // I-3: whether it happened shows when it is read back below; without an answer there it did not.
            Err(Failure::Store(StoreError::OutcomeUnknown)) => {}
            Err(failure) => return Err(failure),
        }

        if self.bugs.has(SeededBug::UsedBeforeActive) {
            let unwrapped = self.unwrap_row(standing, &row, budget).await?;
            return self.take_in(standing, &row, unwrapped);
        }

        // Everything from here on works with what the store gives back, not with what was handed to it.
        let stored = self.stored(budget, self.store.data_key(app.workspace, app.app, row.id)).await?;
        let stored = stored.ok_or(Failure::Store(StoreError::OutcomeUnknown))?;
        let same_wrapping = self.stored(budget, self.store.wrapping(app.workspace, row.id)).await? == Some(wrapping);
        if stored != row || !same_wrapping {
            return Err(Failure::Corrupt("the store gave back another row than it was given"));
        }
        let unwrapped = self.unwrap_row(standing, &stored, budget).await?;

        match self.activate(app, row.id, over, budget).await? {
            Activation::Won => self.take_in(standing, &stored, unwrapped),
            Activation::Lost { .. } if self.bugs.has(SeededBug::LoserUsed) => {
                self.take_in(standing, &stored, unwrapped)
            }
            Activation::Lost { winner } => Ok(Born::Active(winner)),
            Activation::Left => Ok(Born::Moved),
        }
    }

    /// Draws a key, writes its payload and has it wrapped: the rows to store. The key itself is wiped when this returns.
    async fn conceive(
        self: &Arc<Self>,
        standing: &Standing,
        protection: Protection,
        app: AppRef<'_>,
        budget: &Budget<'_>,
    ) -> Result<(DataKey, Wrapping), Failure> {
        let config = match (protection, &standing.config) {
            (Protection::PlatformKey, _) => return self.conceive_under(standing, app, None, budget).await,
            (Protection::CustomerKey, Some(config)) => config,
            (Protection::CustomerKey, None) => return Err(Failure::Corrupt("a customer's data key without a key")),
        };
        let recorded = self.stored(budget, self.store.key_version(app.workspace, config.current_version)).await?;
        let recorded = recorded.ok_or(Failure::Corrupt("the version in force was never recorded"))?;
        let at = At::of(config, &recorded, self.as_whom(app.workspace, budget).await?);
        self.past_denial(&standing.workspace, at.version).await?;
        self.conceive_under(standing, app, Some(&at), budget).await
    }

    /// As [`Core::conceive`], wrapped by this version of the customer's key, or by the platform's: the protection it is born
    /// under follows from what wraps it, and from nothing else (I-18).
    pub(crate) async fn conceive_under(
        &self,
        standing: &Standing,
        app: AppRef<'_>,
        at: Option<&At>,
        budget: &Budget<'_>,
    ) -> Result<(DataKey, Wrapping), Failure> {
        let (protection, config) = match at {
            None => (Protection::PlatformKey, None),
            Some(_) => (Protection::CustomerKey, standing.config.as_ref()),
        };
        let now = self.clock.now().wall;
        let secret: Secret<32> = Secret::fill(|key| self.entropy.fill(key))?;
        let row = DataKey {
            workspace: app.workspace.clone(),
            app: app.app.clone(),
            id: DataKeyId::from_bytes(random(&*self.entropy)),
            protection,
            state: DataKeyState::Pending,
            key_check_value: secret.expose(payload::key_check_value),
            wrap_epoch: config.map_or(0, |config| config.wrap_epoch),
            created_at: now,
            activated_at: None,
            retired_at: None,
            destroyed_at: None,
        };
        let identity = identity_of(&row);
        let payload = Secret::fill(|out| secret.expose(|key| payload::write(out, key, &identity)))?;
        let (wrapped_by, scheme, blob) = match at {
            None => {
                let binding = blob_binding(&identity, WrappingKey::Platform(self.platform.primary()));
                let (key, blob) = self.platform.wrap(&payload, &binding, &*self.entropy);
                (WrappingKey::Platform(key), WrapScheme::PlatformAesGcm, blob)
            }
            Some(at) => {
                let wrapped = self.ask_wrap(&standing.workspace, at, &payload, budget).await?;
                (WrappingKey::Customer(at.version), WrapScheme::RsaOaep256, wrapped.blob)
            }
        };
        let binding = blob_binding(&identity, wrapped_by);
        let sealed_blob = self.platform.seal_blob(&blob, &binding, &*self.entropy);
        let wrapping = Wrapping {
            workspace: row.workspace.clone(),
            data_key: row.id,
            wrapped_by,
            scheme,
            sealed_blob,
            created_at: now,
        };
        Ok((row, wrapping))
    }

    /// The second transaction. An unknown outcome is resolved by asking again: the store says the same winner as before, and
    /// its answer is a commit that confirms the first (I-3).
    async fn activate(
        &self,
        app: AppRef<'_>,
        id: DataKeyId,
        over: Option<DataKeyId>,
        budget: &Budget<'_>,
    ) -> Result<Activation, Failure> {
        let at = self.clock.now().wall;
        let ask = || {
            self.stored(budget, async move {
                match over {
                    None => self.store.activate_data_key(app.workspace, app.app, id, at).await,
                    Some(old) => self.store.succeed_data_key(app.workspace, app.app, old, id, at).await,
                }
            })
        };
        match ask().await {
            Err(Failure::Store(StoreError::OutcomeUnknown)) => ask().await,
            answer => answer,
        }
    }

    /// Into the table, for those who wait. Not admitted is no loss: the key is durable and will be opened when it is needed.
    fn take_in(&self, standing: &Standing, row: &DataKey, unwrapped: Unwrapped) -> Result<Born, Failure> {
        match self.admit(standing, row, unwrapped) {
            Ok(()) | Err(NotAdmitted::Moved) => Ok(Born::Active(row.id)),
            Err(NotAdmitted::Denied(why)) => Err(Failure::Vault(why)),
        }
    }

    /// Hands an unwrapped key to the table under its row's name.
    pub(crate) fn admit(&self, standing: &Standing, row: &DataKey, unwrapped: Unwrapped) -> Result<(), NotAdmitted> {
        let Unwrapped { secret, version, proof } = unwrapped;
        let name = AppRef { workspace: &row.workspace, app: &row.app }.data_key(row.id);
        let lease = self.table.lease_of(&standing.workspace, version);
        let under: (Protection, _) = (row.protection, version);
        let key = OpenKey::new(row.id, under, secret, lease, standing.workspace.clone(), Stamp::of(standing));
        let key = key.counted_in(self.meters.of(name, row.protection));
        self.table.admit(name, key, proof, standing)
    }
}
