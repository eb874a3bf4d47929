//! How one data key gets a wrapping by another version of the customer's key (I-4, I-15).
//!
//! Unwrapped by the version it is under, compared; wrapped by the new one; unwrapped again by that one from what is about to be
//! stored, compared again; and only then added. What was there before stays.

use std::sync::Arc;

use domain::operation::OperationId;
use domain::{DataKey, KeyConfig, KeyVersion, KeyVersionId, Reason, WrapScheme, Wrapping, WrappingKey};
use store::{Conflict, StoreError};

use super::standing::WorkspaceState;
use super::unwrap::{blob_binding, identity_of};
use super::vault_call::At;
use super::{AppRef, Failure};
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// What became of a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rewrapped {
    /// It has one more wrapping, which is durable.
    Added,
    /// Another replica was quicker, or it is under the new version already.
    Before,
    /// The operation has ended meanwhile.
    Ended,
}

/// A data key's failure, and under which version it happened.
pub(crate) struct NotRewrapped {
    pub(crate) at: KeyVersionId,
    pub(crate) why: Failure,
}

/// In whose name and to which version data keys are wrapped.
pub(crate) struct Rewrap<'a> {
    pub(crate) operation: OperationId,
    pub(crate) config: &'a KeyConfig,
    pub(crate) to: &'a KeyVersion,
    pub(crate) workspace: &'a Arc<WorkspaceState>,
}

impl Core {
    /// Gives a data key a wrapping by the new version. `over` is its present one.
    pub(crate) async fn rewrap(
        self: &Arc<Self>,
        rewrap: &Rewrap<'_>,
        row: &DataKey,
        over: &Wrapping,
    ) -> Result<Rewrapped, NotRewrapped> {
        let to = rewrap.to.id;
        let WrappingKey::Customer(from) = over.wrapped_by else {
            return Err(NotRewrapped {
                at: to,
                why: Failure::Corrupt("a customer's data key under the platform's key"),
            });
        };
        let of = |at| move |why: Failure| NotRewrapped { at, why };
        let budget = self.budget();
        let identity = identity_of(row);

        // A key that is switched off here is not used for this either.
        let life = self.stored(&budget, self.store.key_life(&row.workspace)).await.map_err(of(from))?;
        match life {
            None => return Err(of(from)(StoreError::RowForged { table: "key_lives" }.into())),
            Some(life) if life.revoked.is_some() => return Err(of(from)(Failure::Ruled(Reason::KeyRevoked))),
            Some(_) => {}
        }
        // Nor is one that its owner denies: nothing but probes goes to the vault then (I-8).
        for version in [from, to].into_iter().filter(|_| !self.bugs.has(SeededBug::UnwrapReadmits)) {
            self.past_denial(rewrap.workspace, version).await.map_err(of(version))?;
        }
        let recorded = self.stored(&budget, self.store.key_version(&row.workspace, from)).await.map_err(of(from))?;
        let recorded =
            recorded.ok_or(Failure::Corrupt("a wrapping names a version nobody recorded")).map_err(of(from))?;
        let as_whom = self.as_whom(&row.workspace, &budget).await.map_err(of(from))?;
        let at = At::of(rewrap.config, &recorded, as_whom.clone());
        let binding = blob_binding(&identity, over.wrapped_by);
        let blob = self.platform.open_blob(&over.sealed_blob, &binding).map_err(Failure::from).map_err(of(from))?;
        let unwrapped = self.ask_unwrap(rewrap.workspace, &at, &blob, &budget).await;
        let (payload, _) = unwrapped.map_err(Failure::from).map_err(of(from))?;
        self.compare(&payload, &identity, row).map_err(of(from))?;

        let at = At::of(rewrap.config, rewrap.to, as_whom);
        let wrapped = self.ask_wrap(rewrap.workspace, &at, &payload, &budget).await;
        let wrapped = wrapped.map_err(Failure::from).map_err(of(to))?;
        drop(payload);
        let wrapped_by = WrappingKey::Customer(to);
        let binding = blob_binding(&identity, wrapped_by);
        let sealed_blob = self.platform.seal_blob(&wrapped.blob, &binding, &*self.entropy);

        // From what will be read ever after, and not from what the vault gave.
        let mut verified = None;
        if !self.bugs.has(SeededBug::RewrapNotVerified) {
            let blob = self.platform.open_blob(&sealed_blob, &binding).map_err(Failure::from).map_err(of(to))?;
            let unwrapped = self.ask_unwrap(rewrap.workspace, &at, &blob, &budget).await;
            let (again, proof) = unwrapped.map_err(Failure::from).map_err(of(to))?;
            verified = Some((self.compare(&again, &identity, row).map_err(of(to))?, proof));
        }

        let wrapping = Wrapping {
            workspace: row.workspace.clone(),
            data_key: row.id,
            wrapped_by,
            scheme: WrapScheme::RsaOaep256,
            sealed_blob,
            created_at: self.clock.now().wall,
        };
        let added = self.add_wrapping(rewrap.operation, wrapping, over, &budget).await.map_err(of(to))?;
        if let (Rewrapped::Added, Some((secret, proof))) = (added, verified) {
            let name = AppRef { workspace: &row.workspace, app: &row.app }.data_key(row.id);
            self.table.go_under(rewrap.workspace, name, secret, proof);
        }
        Ok(added)
    }

    async fn add_wrapping(
        &self,
        operation: OperationId,
        wrapping: Wrapping,
        over: &Wrapping,
        budget: &super::vault_call::Budget<'_>,
    ) -> Result<Rewrapped, Failure> {
        let added = self.stored(budget, self.store.add_wrapping(operation, wrapping.clone(), over.clone())).await;
        match added {
            Ok(()) => Ok(Rewrapped::Added),
            Err(Failure::Store(StoreError::Conflict(Conflict::WrappingMoved))) => Ok(Rewrapped::Before),
            Err(Failure::Store(StoreError::Conflict(Conflict::OperationEnded))) => Ok(Rewrapped::Ended),
            // I-3: what is read now is what happened.
            Err(Failure::Store(StoreError::OutcomeUnknown)) => {
                let present = self.store.wrapping(&wrapping.workspace, wrapping.data_key);
                let present = self.stored(budget, present).await?;
                if present.as_ref() == Some(&wrapping) {
                    Ok(Rewrapped::Added)
                } else {
                    Err(Failure::Store(StoreError::OutcomeUnknown))
                }
            }
            Err(why) => Err(why),
        }
    }
}
