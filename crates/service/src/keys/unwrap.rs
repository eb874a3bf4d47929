//! From a data key's row to the key itself: unwrapped by the version that wrapped it, and compared (I-15).

use std::sync::Arc;

use domain::{DataKey, KeyVersionId, Protection, WrapScheme, Wrapping, WrappingKey};
use envelope::ExpandedKey;
use envelope::payload::{self, Identity};
use secmem::{Locked, Secret};
use subtle::ConstantTimeEq;
use vault::KeyUnavailable;

use super::table::Proof;
use super::vault_call::{At, Budget};
use super::{Failure, Standing};
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// A data key in the clear that was compared with its row, and the proof by which its owner let us have it.
pub(crate) struct Unwrapped {
    pub(crate) secret: Locked<ExpandedKey>,
    pub(crate) version: Option<KeyVersionId>,
    pub(crate) proof: Option<Proof>,
}

/// Whose data key a row is, as it stands inside the wrapped payload.
pub(crate) fn identity_of(row: &DataKey) -> Identity<'_> {
    Identity {
        workspace: row.workspace.as_str(),
        app: row.app.as_str(),
        data_key_id: row.id.as_bytes(),
        protection: row.protection.byte(),
    }
}

/// What the second layer around a stored blob is bound to: the data key's identity and the key that wrapped it. A blob that
/// was moved to another row, or under another version, does not open.
pub(crate) fn blob_binding(identity: &Identity<'_>, wrapped_by: WrappingKey) -> [u8; 49] {
    let (kind, key) = match &wrapped_by {
        WrappingKey::Customer(version) => (2, version.as_bytes()),
        WrappingKey::Platform(key) => (1, key.as_bytes()),
    };
    let mut binding = [0; 49];
    binding[..32].copy_from_slice(&identity.hash());
    binding[32] = kind;
    binding[33..].copy_from_slice(key);
    binding
}

/// Whether a wrapping is this row's, by what both say in the clear.
fn belongs_to(wrapping: &Wrapping, row: &DataKey) -> bool {
    let of_its_protection = matches!(
        (row.protection, wrapping.wrapped_by, wrapping.scheme),
        (Protection::CustomerKey, WrappingKey::Customer(_), WrapScheme::RsaOaep256)
            | (Protection::PlatformKey, WrappingKey::Platform(_), WrapScheme::PlatformAesGcm)
    );
    of_its_protection && wrapping.workspace == row.workspace && wrapping.data_key == row.id
}

impl Core {
    /// Reads a row's newest wrapping and takes both layers off.
    pub(crate) async fn unwrap_row(
        self: &Arc<Self>,
        standing: &Standing,
        row: &DataKey,
        budget: &Budget<'_>,
    ) -> Result<Unwrapped, Failure> {
        let wrapping = self.stored(budget, self.store.wrapping(&row.workspace, row.id)).await?;
        let wrapping = wrapping.ok_or(Failure::Corrupt("a data key has no wrapping"))?;
        if !belongs_to(&wrapping, row) {
            return Err(Failure::Corrupt("a wrapping belongs to another data key"));
        }
        let identity = identity_of(row);
        let binding = blob_binding(&identity, wrapping.wrapped_by);
        let blob = self.platform.open_blob(&wrapping.sealed_blob, &binding)?;
        let (payload, version, proof) = match wrapping.wrapped_by {
            WrappingKey::Platform(key) => (self.platform.unwrap(key, &blob, &binding)?, None, None),
            WrappingKey::Customer(version) => {
                let config = standing.config.as_ref().ok_or(Failure::Corrupt("a customer's data key without a key"))?;
                let recorded = self.stored(budget, self.store.key_version(&row.workspace, version)).await?;
                let recorded = recorded.ok_or(Failure::Corrupt("a wrapping names a version nobody recorded"))?;
                let as_whom = self.as_whom(&row.workspace, budget).await?;
                let at = At::of(config, &recorded, as_whom);
                self.remember_target(standing, &at, &recorded);
                self.past_denial(&standing.workspace, version).await?;
                let asked = self.ask_unwrap(&standing.workspace, &at, &blob, budget).await;
                let (payload, proof) = match asked {
                    Ok(answer) => answer,
                    Err(why) => return Err(self.is_it_this_one(standing, version, why).await),
                };
                (payload, Some(version), Some(proof))
            }
        };
        let secret = self.compare(&payload, &identity, row).inspect_err(|failure| {
            tracing::error!(workspace = %row.workspace, data_key = %row.id, %failure, "a wrapped key opened to something else");
        })?;
        Ok(Unwrapped { secret, version, proof })
    }

    /// A vault that calls a wrapping malformed and answers a challenge means that one wrapping: it is damaged, and nobody
    /// revoked anything.
    async fn is_it_this_one(
        self: &Arc<Self>,
        standing: &Standing,
        version: KeyVersionId,
        why: KeyUnavailable,
    ) -> Failure {
        if !matches!(why, KeyUnavailable::BadParameter(_)) {
            return Failure::Vault(why);
        }
        match self.ask_about(&standing.workspace, version, || false).await {
            Ok(()) => Failure::Corrupt("the vault refuses this wrapping and answers a challenge"),
            Err(_) => Failure::Vault(why),
        }
    }

    /// Takes the data key out of a payload that is exactly this row's, by identity and by check value, and makes it ready for use.
    pub(crate) fn compare(
        &self,
        payload: &Secret<65>,
        identity: &Identity<'_>,
        row: &DataKey,
    ) -> Result<Locked<ExpandedKey>, Failure> {
        if self.bugs.has(SeededBug::IdentityNotCompared) {
            let secret = Secret::fill(|key| payload.expose(|payload| key.copy_from_slice(&payload[1..33])))?;
            return Ok(Locked::new(|| secret.expose(ExpandedKey::new))?);
        }
        let read = Secret::try_fill(|key| payload.expose(|payload| payload::read(payload, identity, key)))?;
        let secret = read.map_err(|_| Failure::Corrupt("what was unwrapped has another identity"))?;
        let value = secret.expose(payload::key_check_value);
        if !bool::from(value.ct_eq(&row.key_check_value)) {
            return Err(Failure::Corrupt("what was unwrapped is another key"));
        }
        Ok(Locked::new(|| secret.expose(ExpandedKey::new))?)
    }
}
