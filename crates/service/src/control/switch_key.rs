//! The local kill switch: the customer's key off, and on again.

use domain::key_life::{Cause, Draft, Enforcement, KeyLife, PassingTest, Phase};
use domain::permission::{self, Permit};
use domain::{KeyConfig, Reason, Timestamp, WorkspaceId};

use super::life::key_and_life;
use super::{Ownership, to_the_end, workspace_of};
use crate::core::Core;
use crate::keys::table::Change;
use crate::{Refusal, Service};

/// A workspace's key: which it is, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// Which key.
    pub config: KeyConfig,
    /// How far it has come, what holds it back, and which apps are under it.
    pub life: KeyLife,
    /// The test that proves this configuration, or what is missing.
    pub proof: Result<PassingTest, Reason>,
    /// What its owner is asked to show, or has shown.
    pub ownership: Ownership,
}

impl KeyStatus {
    /// How far it has come at `now`.
    pub fn phase(&self, now: Timestamp) -> Phase {
        self.life.phase(self.proof.as_ref().ok(), now)
    }

    /// What will keep the date from being kept, as far as it is known before it is decided.
    pub fn trouble(&self) -> Option<Reason> {
        match &self.life.enforcement {
            // A test that is only old is repeated in time by the service itself.
            Enforcement::Scheduled(_) => self.proof.err().filter(|reason| *reason != Reason::TestOutdated),
            Enforcement::Draft(Draft { kept: Some(_) }) => Some(self.proof.err().unwrap_or(Reason::KeyNotTested)),
            Enforcement::Draft(Draft { kept: None })
            | Enforcement::Held(_)
            | Enforcement::Armed(_)
            | Enforcement::InForce { .. } => None,
        }
    }
}

impl Service {
    /// Switches the customer's key off: from the moment this answers nothing is encrypted or decrypted under it here, its data
    /// keys are wiped, and every other replica follows as soon as it has read it, at the latest after C. Apps that are not
    /// selected go on. Nothing is deleted. A key that is off stays as it is.
    pub async fn revoke_key(&self, permit: &Permit<permission::RevokeKey>) -> Result<KeyStatus, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move { core.switch_key(&workspace, Switch::Off, &actor).await }).await
    }

    /// Switches it on again. A key that is on stays as it is. After a disconnection the tenant and the key have to be proven anew first.
    pub async fn restore_key(&self, permit: &Permit<permission::RestoreKey>) -> Result<KeyStatus, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move { core.switch_key(&workspace, Switch::On, &actor).await }).await
    }
}

/// A position of the switch.
#[derive(Clone, Copy)]
enum Switch {
    Off,
    On,
}

impl Core {
    async fn switch_key(&self, workspace: &WorkspaceId, to: Switch, actor: &str) -> Result<KeyStatus, Refusal> {
        let mut tx = self.store.begin("switch_key").await?;
        let (config, life) = key_and_life(&mut *tx, workspace).await?;
        let now = self.clock.now().wall;
        let (step, change) = match to {
            Switch::Off => (life.revoke(Cause::KillSwitch, now), Change::Revoked),
            Switch::On if life.revoked.is_some_and(|revoked| revoked.cause == Cause::Disconnected) => {
                self.is_proven_anew(&mut *tx, &config).await?;
                (life.reconnect(now), Change::Selection)
            }
            Switch::On => (life.restore(now), Change::Selection),
        };
        let life = match step {
            Ok(step) => self.commit_life(tx, step, actor, change).await?,
            Err(unchanged) => {
                // Another replica was told first, and this one may not have read it yet: it answers for itself.
                drop(tx);
                self.table.changed(workspace, change);
                *unchanged
            }
        };
        let proof = self.proof_of(&config).await?;
        let ownership = self.ownership_for_status(&config).await;
        Ok(KeyStatus { config, life, proof, ownership })
    }
}
