//! What the owner of a key sets as its tag, and what it proves: a nonce is drawn, seen once, and then the proof is a row.
//!
//! A proof claims the key: no other workspace can prove the same one, whoever drafted it first. The claim outlives replacement,
//! leaving, disconnection and the workspace itself, since ciphertexts and backups may need the key, and so that nobody who comes
//! after is handed what was another customer's. Only a key that was changed for another before it protected anything is let go.

use domain::audit::AuditKind;
use domain::entropy::random;
use domain::tenancy::{Connection, Proof, ProvenBy, ProvenKey, TagNonce};
use domain::{KeyConfig, KeyLocation, KeyTestId, Reason, TenantId, Timestamp, WorkspaceId};
use store::{Conflict, StoreError, Transaction};
use subtle::ConstantTimeEq;
use vault::KeyRef;

use super::{event, live_workspace};
use crate::core::Core;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// What a key's owner is asked to show, or has shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    /// The tag's value: the nonce to set, or the one that was seen. Empty where none could be drawn now.
    pub nonce: String,
    /// Until when it counts; absent once it was seen.
    pub expires_at: Option<Timestamp>,
    /// When it was seen.
    pub proven_at: Option<Timestamp>,
}

/// What a key's tag is to a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The nonce that counts.
    Current,
    /// A nonce of this workspace that is too old.
    Expired,
    /// One that was used before.
    Used,
    /// Something else, or nothing.
    Other,
}

impl Service {
    /// What the owner of this key sets as its tag [`OWNERSHIP_TAG`](crate::OWNERSHIP_TAG) to prove it the workspace's, or how that
    /// was proven. A nonce that is too old is replaced by another.
    pub async fn ownership(&self, config: &KeyConfig) -> Result<Ownership, Refusal> {
        self.0.ownership(config).await
    }

    /// The tag's value alone: 32 hexadecimal digits, bound to workspace, key and tenant.
    pub async fn ownership_nonce(&self, config: &KeyConfig) -> Result<String, Refusal> {
        Ok(self.0.ownership(config).await?.nonce)
    }
}

impl Core {
    async fn ownership(&self, config: &KeyConfig) -> Result<Ownership, Refusal> {
        let key = KeyRef::of_platform(config.tenant.clone(), config.location.clone()).of(&config.workspace);
        if let Some(proven) = self.proof_of_key(&config.workspace, &key).await? {
            let nonce = self.tags_of(&proven).into_iter().next().unwrap_or_default();
            return Ok(Ownership { nonce, expires_at: None, proven_at: Some(proven.at) });
        }
        let nonce = self.nonce_for(&config.workspace, &key).await?;
        Ok(Ownership { nonce: nonce.text(), expires_at: Some(nonce.expires_at()), proven_at: None })
    }

    /// As [`Core::ownership`], for a status: a database that takes no writes now still tells the rest.
    pub(super) async fn ownership_for_status(&self, config: &KeyConfig) -> Ownership {
        self.ownership(config).await.unwrap_or_else(|why| {
            tracing::warn!(why = %why.for_log(), "no nonce could be drawn");
            Ownership::default()
        })
    }

    /// The proof that this key is this workspace's, if it counts.
    pub(crate) async fn proof_of_key(
        &self,
        workspace: &WorkspaceId,
        key: &KeyRef,
    ) -> Result<Option<ProvenKey>, StoreError> {
        let found = self.store.proven_keys(workspace).await?;
        Ok(found.into_iter().find(|proven| proven.key == key.location && proven.counts_in(&key.tenant)))
    }

    /// The tag by which a key was proven. Before nonces were drawn it followed from the platform root, by any of its keys.
    pub(crate) fn tags_of(&self, proven: &ProvenKey) -> Vec<String> {
        if let Some(nonce) = proven.nonce {
            return vec![hex(&nonce)];
        }
        let mut of = Vec::with_capacity(256);
        for part in ["byokd/ownership/v1", proven.workspace.as_str(), &proven.key.to_string(), proven.tenant.as_str()] {
            of.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            of.extend_from_slice(part.as_bytes());
        }
        self.platform.ownership_nonces(&of).iter().map(hex).collect()
    }

    /// The nonce that counts now for this key: the one there is, or a new one.
    pub(crate) async fn nonce_for(&self, workspace: &WorkspaceId, key: &KeyRef) -> Result<TagNonce, Refusal> {
        let now = self.clock.now().wall;
        if let Some(present) = find(self.store.tag_nonces(workspace).await?, &key.location, &key.tenant)
            && (present.counts_at(now) || self.bugs.has(SeededBug::NonceNeverExpires) && present.consumed_at.is_none())
        {
            return Ok(present);
        }
        let mut tx = self.store.begin("draw_nonce").await?;
        live_workspace(&mut *tx, workspace).await?;
        let before = find(tx.tag_nonces(workspace).await?, &key.location, &key.tenant);
        // Somebody else drew one meanwhile.
        if let Some(present) = before.clone().filter(|present| present.counts_at(now)) {
            return Ok(present);
        }
        let (location, tenant) = (key.location.clone(), key.tenant.clone());
        let value = random(&*self.entropy);
        let nonce = TagNonce::drawn(workspace.clone(), location, tenant, value, before.as_ref(), now);
        tx.put_tag_nonce(&nonce).await?;
        tx.commit().await?;
        Ok(nonce)
    }

    /// What a tag is, by the nonces that this workspace has and had for the key.
    pub(crate) async fn judge(&self, nonce: &TagNonce, tag: &str) -> Result<Tag, StoreError> {
        let tag = tag.trim();
        let is = |value: &[u8; 16]| bool::from(hex(value).as_bytes().ct_eq(tag.as_bytes()));
        let now = self.clock.now().wall;
        if is(&nonce.value) {
            return Ok(match nonce.consumed_at {
                Some(_) => Tag::Used,
                None if now >= nonce.expires_at() && !self.bugs.has(SeededBug::NonceNeverExpires) => Tag::Expired,
                None => Tag::Current,
            });
        }
        // The one that proved the key before a disconnection.
        let used = |proven: &ProvenKey| proven.key == nonce.key && proven.nonce.as_ref().is_some_and(is);
        if self.store.proven_keys(&nonce.workspace).await?.iter().any(used) {
            return Ok(if self.bugs.has(SeededBug::NonceUsedTwice) { Tag::Current } else { Tag::Used });
        }
        Ok(if nonce.previous.as_ref().is_some_and(is) { Tag::Expired } else { Tag::Other })
    }

    /// One transaction: the nonce is used, the key is this workspace's and nobody else's, and so is its directory; or it is recorded
    /// why not. The inner error is what its owner is told.
    pub(crate) async fn prove_key(
        &self,
        workspace: &WorkspaceId,
        key: &KeyRef,
        nonce: &TagNonce,
        test: Option<KeyTestId>,
        actor: &str,
    ) -> Result<Result<(), Reason>, StoreError> {
        let mut tx = self.store.begin("prove_key").await?;
        let now = self.clock.now().wall;
        let present = find(tx.tag_nonces(workspace).await?, &key.location, &key.tenant);
        let unused = present.as_ref().is_some_and(|present| present == nonce && present.consumed_at.is_none());
        if !unused && !self.bugs.has(SeededBug::NonceUsedTwice) {
            return Ok(Err(Reason::OwnershipNonceUsed));
        }
        let proven = ProvenKey {
            workspace: workspace.clone(),
            key: key.location.clone(),
            tenant: key.tenant.clone(),
            at: now,
            test,
            nonce: Some(nonce.value),
            void_since: None,
            released_at: None,
        };
        match tx.put_proven_key(&proven).await {
            Err(StoreError::Conflict(Conflict::KeyBound)) if self.bugs.has(SeededBug::TwoWorkspacesOneKey) => {
                return Ok(Ok(()));
            }
            Err(StoreError::Conflict(Conflict::KeyBound)) => {
                let why = Reason::KeyBoundElsewhere;
                let what = AuditKind::KeyProofRefused { key: key.location.clone(), why };
                tx.append_audit(event(workspace, now, actor, what)).await?;
                tx.commit().await?;
                return Ok(Err(why));
            }
            written => written?,
        }
        tx.put_tag_nonce(&TagNonce { consumed_at: Some(now), ..nonce.clone() }).await?;
        let what = AuditKind::KeyProven { key: key.location.clone(), tenant: key.tenant.clone() };
        tx.append_audit(event(workspace, now, actor, what)).await?;
        let connection = Connection { tenants: tx.tenants(workspace).await? };
        if let Some(link) = connection.find(key.location.cloud(), &key.tenant) {
            let by = ProvenBy::KeyTag { test };
            let next = link.clone().proven(Proof { at: now, by: by.clone() });
            if next != *link {
                tx.put_tenant(&next).await?;
                let what = AuditKind::TenantProven { tenant: key.tenant.clone(), by };
                tx.append_audit(event(workspace, now, actor, what)).await?;
            }
        }
        match tx.commit().await {
            // I-3: what a later reading shows is what happened.
            Err(StoreError::OutcomeUnknown) if self.proof_of_key(workspace, key).await?.as_ref() == Some(&proven) => {}
            outcome => {
                outcome?;
            }
        }
        Ok(Ok(()))
    }
}

/// Lets go of a key that is exchanged for another before its date: nothing was ever encrypted under it.
pub(super) async fn release(
    tx: &mut dyn Transaction,
    workspace: &WorkspaceId,
    key: &KeyLocation,
    actor: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let held = |proven: &ProvenKey| proven.key == *key && proven.released_at.is_none();
    if let Some(proven) = tx.proven_keys(workspace).await?.into_iter().find(held) {
        tx.put_proven_key(&ProvenKey { released_at: Some(now), ..proven }).await?;
        let what = AuditKind::KeyReleased { key: key.clone() };
        tx.append_audit(event(workspace, now, actor, what)).await?;
    }
    Ok(())
}

fn find(nonces: Vec<TagNonce>, key: &KeyLocation, tenant: &TenantId) -> Option<TagNonce> {
    nonces.into_iter().find(|nonce| nonce.key == *key && nonce.tenant == *tenant)
}

fn hex(bytes: &[u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
