//! How is a connection let go of, and when does it count again?
//!
//! Disconnected, a workspace's key is held at once, everywhere, as if it were switched off; nothing is deleted, and the key stays the
//! workspace's: were it free, whoever proved it next would hold what this workspace's ciphertexts need. It comes back when the directory
//! and the key were proven anew, with a nonce that was drawn after, and somebody restores it.

use std::sync::Arc;

use domain::audit::AuditKind;
use domain::permission::{self, Permit};
use domain::tenancy::{Connection, ProvenKey, TagNonce, TenantLink};
use domain::{KeyConfig, Reason, WorkspaceId};
use store::{StoreError, Transaction};

use super::super::{event, live_workspace, to_the_end, workspace_of};
use super::ConnectionStatus;
use crate::core::Core;
use crate::keys::table::Change;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

impl Service {
    /// Lets go of a workspace's directories. Its key is held from the moment this answers; every other replica follows as soon as it has
    /// read it. What is disconnected already stays so.
    pub async fn disconnect(
        &self,
        permit: &Permit<permission::DisconnectTenants>,
    ) -> Result<ConnectionStatus, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move {
            core.clone().disconnect(&workspace, &actor).await?;
            core.connection_status(&workspace, false).await
        })
        .await
    }
}

impl Core {
    async fn disconnect(self: Arc<Self>, workspace: &WorkspaceId, actor: &str) -> Result<(), Refusal> {
        let mut tx = self.store.begin("disconnect").await?;
        live_workspace(&mut *tx, workspace).await?;
        let now = self.clock.now();
        if let Some(config) = tx.key_config(workspace).await? {
            self.imply_tenant(&mut *tx, &config, now.wall).await?;
        }
        let links = tx.tenants(workspace).await?;
        let tenants = links.len() as u64;
        for link in links {
            tx.put_tenant(&link.disconnected(now.wall)).await?;
        }
        for proven in tx.proven_keys(workspace).await? {
            let void_since = Some(proven.void_since.unwrap_or(now.wall));
            tx.put_proven_key(&ProvenKey { void_since, ..proven }).await?;
        }
        // What was drawn before is not what proves anew.
        for nonce in tx.tag_nonces(workspace).await?.into_iter().filter(|nonce| nonce.consumed_at.is_none()) {
            tx.put_tag_nonce(&TagNonce { consumed_at: Some(now.wall), ..nonce }).await?;
        }
        tx.append_audit(event(workspace, now.wall, actor, AuditKind::Disconnected { tenants })).await?;
        let mut held = None;
        if let Some(life) = tx.key_life(workspace).await?
            && let Ok(step) = life.disconnect(now.wall)
        {
            tx.put_key_life(&step.next).await?;
            tx.append_audit(event(workspace, now.wall, actor, step.record)).await?;
            held = Some(step.next);
        }
        match self.announcing(workspace, Change::Revoked, tx.commit()).await {
            // I-3: what a later reading shows is what happened.
            Err(StoreError::OutcomeUnknown) if held.is_some() && self.store.key_life(workspace).await? == held => {}
            outcome => {
                outcome?;
            }
        }
        self.consents.end_all(workspace, now.boot);
        Ok(())
    }

    /// Whether the key's directory and the key itself were proven since the workspace was disconnected; by a sign-in, where one is asked for.
    pub(crate) async fn is_proven_anew(&self, tx: &mut dyn Transaction, config: &KeyConfig) -> Result<(), Refusal> {
        let connection = Connection { tenants: tx.tenants(&config.workspace).await? };
        let link = connection.find(config.location.cloud(), &config.tenant);
        let proven = tx.proven_keys(&config.workspace).await?;
        let key = proven.iter().any(|key| key.key == config.location && key.counts_in(&config.tenant));
        let signed_in = |link: &TenantLink| !self.options.require_sign_in || link.is_signed_in();
        let anew = key && link.is_some_and(|link| link.proof().is_some() && signed_in(link));
        if anew || self.bugs.has(SeededBug::RestoredUnproven) {
            return Ok(());
        }
        Err(Refusal::because(Reason::ReconnectFirst))
    }
}
