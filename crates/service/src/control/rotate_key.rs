//! Beginning to go over to another version of the customer's key; or, asked to, only saying what that would take.

use std::sync::Arc;

use domain::audit::AuditKind;
use domain::entropy::random;
use domain::operation::{Operation, OperationId, OperationKind};
use domain::permission::{self, Permit};
use domain::rotation::Plan;
use domain::{KeyConfig, KeyVersion, KeyVersionId, Reason, WorkspaceId};
use secmem::Secret;
use store::{Conflict, StoreError};
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use vault::{KeyDescription, KeyRef, KeyUnavailable};

use super::check_key::check;
use super::{event, live_workspace, not_found, to_the_end, workspace_of};
use crate::core::Core;
use crate::keys::Failure;
use crate::keys::lock;
use crate::keys::standing::WorkspaceState;
use crate::keys::vault_call::{At, Budget};
use crate::{Refusal, Service};

/// How many of a workspace's operations are looked at for what became of earlier rotations.
pub(crate) const USED_TO_LOOK_BACK: usize = 1_000;

/// Which version to go over to.
#[derive(Debug, Clone, Default)]
pub struct RotateKey {
    /// A version of the key in force; absent: the newest one in the vault.
    pub version: Option<KeyVersionId>,
    /// Say what it would take, and change nothing.
    pub validate_only: bool,
}

/// What a rotation takes, and its operation if it was begun.
#[derive(Debug, Clone, PartialEq)]
pub struct RotationStarted {
    /// Counts, calls and time, as they were when it was asked for.
    pub plan: Plan,
    /// Absent where only the plan was asked for. One that was under way already is answered again.
    pub operation: Option<Operation>,
}

impl Service {
    /// Begins a rotation to another version of the key in force. The version is read, checked and proven by a wrap and an
    /// unwrap first; the work itself goes on by itself, and is watched by its operation.
    pub async fn rotate_key(
        &self,
        permit: &Permit<permission::RotateKey>,
        request: RotateKey,
    ) -> Result<RotationStarted, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(core.start_rotation(workspace, request, actor)).await
    }
}

impl Core {
    pub(crate) async fn start_rotation(
        self: Arc<Self>,
        id: WorkspaceId,
        request: RotateKey,
        actor: String,
    ) -> Result<RotationStarted, Refusal> {
        let found = self.store.workspace(&id).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let config = self.store.key_config(&id).await?.ok_or_else(|| Refusal::because(Reason::KeyNotConfigured))?;
        if !self.store.key_life(&id).await?.is_some_and(|life| life.rotates()) {
            return Err(Refusal::because(Reason::KeyNotEnforced));
        }
        let (state, budget) = (self.table.existing_workspace(&id), self.budget());
        let key = self.describe_version(&state, &config, request.version, &budget).await?;
        let version = key.record(&id, self.clock.now().wall);
        let plan = self.plan(&id, &config, &version).await?;
        if let Some(open) = self.open_operation(&id).await? {
            return match is_rotation_to(&open, version.id) {
                true => Ok(RotationStarted { plan, operation: (!request.validate_only).then_some(open) }),
                false if request.validate_only => Ok(RotationStarted { plan, operation: None }),
                false => Err(Refusal::because(Reason::OperationUnderWay)),
            };
        }
        if plan.is_empty() {
            return Err(Refusal::because(Reason::NothingToRotate));
        }
        if request.validate_only {
            return Ok(RotationStarted { plan, operation: None });
        }
        self.prove_version(&state, &config, &version, &budget).await?;
        let operation = self.write_rotation(&id, &plan, &version, &actor).await?;
        self.operations.wake();
        Ok(RotationStarted { plan, operation: Some(operation) })
    }

    pub(super) async fn plan(&self, id: &WorkspaceId, config: &KeyConfig, to: &KeyVersion) -> Result<Plan, Refusal> {
        let uses = self.store.version_uses(id).await?;
        let versions = self.store.key_versions(id).await?;
        Ok(Plan::new(config.current_version, to.id, &uses, self.pace(&uses, &versions, to).rate))
    }

    /// The version as its vault describes it, fit to protect data.
    async fn describe_version(
        &self,
        state: &WorkspaceState,
        config: &KeyConfig,
        version: Option<KeyVersionId>,
        budget: &Budget<'_>,
    ) -> Result<KeyDescription, Refusal> {
        let as_whom = self.as_whom(&config.workspace, budget).await?;
        let at = KeyRef::new(config.tenant.clone(), config.location.clone(), as_whom).of(&config.workspace);
        let _place = self.place(state, budget).await?;
        let left = budget.left();
        let answer = timeout(left, self.customer_keys.describe(&at, version, left)).await;
        let key = answer.unwrap_or(Err(KeyUnavailable::TimedOut { waited: left }))?;
        check(&key, &at, version, self.clock.now().wall)?;
        if version.is_none() {
            lock(&state.held).newest_enabled.insert(at.location, key.kid.version());
        }
        Ok(key)
    }

    /// 65 random bytes there and back: a version that wraps and does not unwrap must not get a single data key.
    async fn prove_version(
        &self,
        state: &WorkspaceState,
        config: &KeyConfig,
        version: &KeyVersion,
        budget: &Budget<'_>,
    ) -> Result<(), Refusal> {
        let at = At::of(config, version, self.as_whom(&config.workspace, budget).await?);
        let sent: Secret<65> = Secret::fill(|bytes| self.entropy.fill(bytes)).map_err(Failure::from)?;
        let wrapped = self.ask_wrap(state, &at, &sent, budget).await?;
        let (back, _) = self.ask_unwrap(state, &at, &wrapped.blob, budget).await?;
        if sent.expose(|sent| back.expose(|back| bool::from(sent.ct_eq(back)))) {
            Ok(())
        } else {
            Err(Refusal::because(Reason::VaultAnswerInvalid).detail("it unwrapped another value"))
        }
    }

    /// One transaction: the version, the operation and their record. Of two that begin at once one wins, and the other is
    /// answered with the winner's operation if it is for the same version.
    async fn write_rotation(
        &self,
        id: &WorkspaceId,
        plan: &Plan,
        version: &KeyVersion,
        actor: &str,
    ) -> Result<Operation, Refusal> {
        let now = self.clock.now().wall;
        let kind = OperationKind::RotateKey { from: plan.from, to: plan.to };
        let operation = OperationId::new(now, random(&*self.entropy));
        let operation = Operation::plan(operation, id.clone(), kind, actor, plan.data_keys, now);
        let mut tx = self.store.begin("start_rotation").await?;
        live_workspace(&mut *tx, id).await?;
        if tx.key_config(id).await?.is_none_or(|config| config.current_version != plan.from) {
            return Err(Refusal::because(Reason::OperationUnderWay));
        }
        tx.add_key_version(version).await?;
        match tx.put_operation(&operation).await {
            Err(StoreError::Conflict(Conflict::OperationOpen)) => {
                drop(tx);
                let open = self.open_operation(id).await?.filter(|open| is_rotation_to(open, plan.to));
                return open.ok_or_else(|| Refusal::because(Reason::OperationUnderWay));
            }
            outcome => outcome?,
        }
        let what = AuditKind::KeyRotationStarted { operation: operation.id, version: plan.to };
        tx.append_audit(event(id, now, actor, what)).await?;
        match tx.commit().await {
            // I-3: what is read now is what happened.
            Err(StoreError::OutcomeUnknown) if self.store.operation(operation.id).await?.is_some() => {}
            outcome => {
                outcome?;
            }
        }
        Ok(operation)
    }

    /// The operation of the workspace that is worked on.
    pub(super) async fn open_operation(&self, id: &WorkspaceId) -> Result<Option<Operation>, Refusal> {
        let open = self.store.open_operations().await?;
        Ok(open.into_iter().find(|operation| operation.workspace == *id && operation.state.has_turn()))
    }
}

fn is_rotation_to(operation: &Operation, version: KeyVersionId) -> bool {
    matches!(operation.kind, OperationKind::RotateKey { to, .. } if to == version)
}
