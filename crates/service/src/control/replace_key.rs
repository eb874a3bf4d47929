//! Going over to another key, with every data key: what an admin's stolen session would do to walk away with all of them.
//!
//! Therefore: both keys show this workspace's tag, which only their owner can set; a test of exactly the new configuration has
//! passed; and where the other key is in another vault or tenant, somebody else approves it and a day goes by in which whoever may
//! cancel can stop it. Only then it runs, as a rotation does.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::AuditKind;
use domain::entropy::random;
use domain::key_life::PassingTest;
use domain::operation::{Operation, OperationId, OperationKind};
use domain::permission::{self, Permit};
use domain::rotation::Plan;
use domain::{ConfigHash, KeyConfig, KeyVersion, KeyVersionId, Reason, WorkspaceId};
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use vault::{Application, KeyDescription, KeyRef, KeyUnavailable};

use super::check_key::check;
use super::configure_key::{ConfigureKey, Wanted};
use super::credentials::within_reach;
use super::ownership::Tag;
use super::test_configuration::OWNERSHIP_TAG;
use super::{live_workspace, not_found, to_the_end, workspace_of};
use crate::core::Core;
use crate::keys::standing::WorkspaceState;
use crate::keys::vault_call::Budget;
use crate::options::MOST_PAGE;
use crate::seeded_bug::SeededBug;
use crate::tasks::rotation::Stopped;
use crate::{Refusal, Service};

/// Which key to go over to, in the words of [`ConfigureKey`].
#[derive(Debug, Clone)]
pub struct ReplaceKey {
    /// A Key Identifier, with or without a version, or a vault's URI together with `key_name`.
    pub key_identifier: String,
    /// With a vault's URI.
    pub key_name: Option<String>,
    /// The Entra tenant, as there.
    pub tenant_id: String,
    /// Say what it would take, and change nothing.
    pub validate_only: bool,
}

/// What a replacement takes, and its operation if it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplacementStarted {
    /// Counts, calls and time, as they were when it was asked for.
    pub plan: Plan,
    /// How long it waits after somebody else approved it; absent where nobody has to: the same vault and tenant.
    pub approval: Option<Duration>,
    /// Absent where only the plan was asked for. One that was asked for already is answered again.
    pub operation: Option<Operation>,
}

/// For whom the keys are looked at, in what time, and whether a tag that is seen proves one.
#[derive(Clone, Copy)]
struct By<'a> {
    budget: &'a Budget<'a>,
    actor: &'a str,
    proves: bool,
}

impl Service {
    /// Begins, or asks for, going over to another key.
    pub async fn replace_key(
        &self,
        permit: &Permit<permission::ReplaceKey>,
        request: ReplaceKey,
    ) -> Result<ReplacementStarted, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        let ReplaceKey { key_identifier, key_name, tenant_id, validate_only } = request;
        let asked = ConfigureKey { key_identifier, key_name, tenant_id, ..Default::default() };
        let wanted = self.0.watching(Wanted::parse(&self.0, &workspace, &asked).await)?;
        self.0.watching(to_the_end(core.start_replacement(workspace, wanted, validate_only, actor)).await)
    }
}

impl Core {
    async fn start_replacement(
        self: Arc<Self>,
        id: WorkspaceId,
        mut wanted: Wanted,
        validate_only: bool,
        actor: String,
    ) -> Result<ReplacementStarted, Refusal> {
        let found = self.store.workspace(&id).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let config = self.store.key_config(&id).await?.ok_or_else(|| Refusal::because(Reason::KeyNotConfigured))?;
        if config.left_at.is_some() {
            return Err(Refusal::because(Reason::KeyLeft));
        }
        // Before its date another key is another configuration.
        if !self.store.key_life(&id).await?.is_some_and(|life| life.rotates()) {
            return Err(Refusal::because(Reason::KeyNotEnforced));
        }
        if config.location == wanted.key.location && config.tenant == wanted.key.tenant {
            return Err(Refusal::because(Reason::KeyIsInForce));
        }
        if config.tenant != wanted.key.tenant {
            self.admits(&self.connection(&id).await?, wanted.key.location.cloud(), &wanted.key.tenant)?;
        }
        within_reach(self.store.integration(&id).await?.as_ref(), &wanted.key, self.bugs)?;
        // Before anything is asked of a vault that may be somebody else's: the test has seen its tag.
        self.was_tested(&id, &wanted).await?;
        let (state, budget) = (self.table.existing_workspace(&id), self.budget());
        let as_whom = self.as_whom(&id, &budget).await?;
        wanted.key.as_whom = as_whom.clone();
        let in_force = in_force(&config, as_whom);
        // Who only asks what it would take claims no key by that.
        let by = By { budget: &budget, actor: &actor, proves: !validate_only || self.bugs.has(SeededBug::PlanProves) };
        self.shows_our_tag(&id, &state, &in_force, Some(config.current_version), by).await?;
        let key = self.is_ours_and_fit(&id, &state, &wanted, by).await?;
        let version = KeyVersion { tenant: Some(wanted.key.tenant.clone()), ..key.record(&id, self.clock.now().wall) };
        let plan = self.plan(&id, &config, &version).await?;
        let approval = is_elsewhere(&config, &wanted.key).then_some(self.options.before_replacing);
        let operation = match validate_only {
            true => None,
            false => {
                self.prove(&state, &wanted, &key, &budget).await?;
                Some(self.ask_to_replace(&config, &wanted.key, version, &plan, approval, &actor).await?)
            }
        };
        Ok(ReplacementStarted { plan, approval, operation })
    }

    /// A passing test of exactly this configuration counts. A key that was named without a version was tested so.
    async fn was_tested(&self, id: &WorkspaceId, wanted: &Wanted) -> Result<(), Refusal> {
        if self.bugs.has(SeededBug::ReplacementUntested) {
            return Ok(());
        }
        let exactly = ConfigHash::of(id, &wanted.key.location, &wanted.key.tenant, wanted.version);
        let (tests, now) = (self.store.key_tests(id, MOST_PAGE).await?, self.clock.now().wall);
        PassingTest::among(&tests, &exactly, now)
            .map(|_| ())
            .map_err(|_| Refusal::because(Reason::KeyReplacementUntested))
    }

    /// The key as its vault describes it, if it shows this workspace's tag.
    async fn shows_our_tag(
        &self,
        id: &WorkspaceId,
        state: &WorkspaceState,
        at: &KeyRef,
        version: Option<KeyVersionId>,
        by: By<'_>,
    ) -> Result<KeyDescription, Refusal> {
        let _place = self.place(state, by.budget).await?;
        let left = by.budget.left();
        let answer = timeout(left, self.customer_keys.describe(at, version, left)).await;
        let key = answer.unwrap_or(Err(KeyUnavailable::TimedOut { waited: left }))?;
        let tag = key.tags.get(OWNERSHIP_TAG).map_or("", |value| value.trim());
        if let Err(why) = self.is_shown(id, at, tag, by).await?
            && !self.bugs.has(SeededBug::ReplacementUnproven)
        {
            return Err(Refusal::because(why).detail(at.location.to_string()));
        }
        Ok(key)
    }

    /// Whether a tag proves this key: it is the one that proved it, or one that proves it now. Where nothing is to change it is
    /// only looked at.
    async fn is_shown(
        &self,
        id: &WorkspaceId,
        at: &KeyRef,
        tag: &str,
        by: By<'_>,
    ) -> Result<Result<(), Reason>, Refusal> {
        if let Some(proven) = self.proof_of_key(id, at).await? {
            let is = |of_proof: &String| bool::from(of_proof.as_bytes().ct_eq(tag.as_bytes()));
            let shown = self.tags_of(&proven).iter().any(is);
            return Ok(if shown { Ok(()) } else { Err(Reason::OwnershipNotProven) });
        }
        let nonce = self.nonce_for(id, at).await?;
        match self.judge(&nonce, tag).await? {
            Tag::Current if !by.proves => Ok(Ok(())),
            Tag::Current => Ok(self.prove_key(id, at, &nonce, None, by.actor).await?),
            Tag::Expired => Ok(Err(Reason::OwnershipNonceExpired)),
            Tag::Used => Ok(Err(Reason::OwnershipNonceUsed)),
            Tag::Other => Ok(Err(Reason::OwnershipNotProven)),
        }
    }

    /// The other key, if it shows the tag and is fit.
    async fn is_ours_and_fit(
        &self,
        id: &WorkspaceId,
        state: &WorkspaceState,
        wanted: &Wanted,
        by: By<'_>,
    ) -> Result<KeyDescription, Refusal> {
        let key = self.shows_our_tag(id, state, &wanted.key, wanted.version, by).await?;
        check(&key, &wanted.key, wanted.version, self.clock.now().wall)?;
        Ok(key)
    }

    /// One transaction: which tenant each version so far belongs to, the other key's version, the operation and its records.
    async fn ask_to_replace(
        &self,
        config: &KeyConfig,
        key: &KeyRef,
        version: KeyVersion,
        plan: &Plan,
        approval: Option<Duration>,
        actor: &str,
    ) -> Result<Operation, Refusal> {
        let id = &config.workspace;
        let to = version.id;
        let replaces =
            |kind: &OperationKind| matches!(kind, OperationKind::ReplaceKey { to: other, .. } if *other == to);
        if let Some(open) = self.open_operation(id).await?.filter(|open| replaces(&open.kind)) {
            return Ok(open);
        }
        if let Some(asked) = self.held_back(id, replaces).await? {
            return Ok(asked);
        }
        let now = self.clock.now().wall;
        let operation = OperationId::new(now, random(&*self.entropy));
        let (location, tenant) = (key.location.clone(), key.tenant.clone());
        let kind = OperationKind::ReplaceKey { from: plan.from, to: plan.to, key: location, tenant };
        let operation = match approval {
            None => Operation::plan(operation, id.clone(), kind, actor, plan.data_keys, now),
            Some(waits) => Operation::ask(operation, id.clone(), kind, actor, plan.data_keys, waits, now),
        };
        let known = self.store.key_versions(id).await?;
        let mut tx = self.store.begin("start_replacement").await?;
        live_workspace(&mut *tx, id).await?;
        if tx.key_config(id).await?.as_ref() != Some(config) {
            return Err(Refusal::because(Reason::KeyConfigurationMoved));
        }
        // A registration may have come into use since the keys were looked at.
        within_reach(tx.integration(id).await?.as_ref(), key, self.bugs)?;
        if !self.bugs.has(SeededBug::TenantOfTheOtherKey) {
            for before in known.into_iter().filter(|before| before.tenant.is_none()) {
                tx.add_key_version(&KeyVersion { tenant: Some(config.tenant.clone()), ..before }).await?;
            }
        }
        tx.add_key_version(&version).await?;
        let what =
            AuditKind::KeyReplacementStarted { operation: operation.id, key: key.location.clone(), version: plan.to };
        self.write_down(tx, &operation, vec![what]).await?;
        Ok(operation)
    }

    /// Whether an approved replacement may begin: the configuration is the one it was asked for, both keys still show the tag,
    /// and the other one wraps and unwraps.
    pub(crate) async fn replacement_still_stands(&self, operation: &Operation) -> Result<(), Stopped> {
        let OperationKind::ReplaceKey { from, to, key, tenant } = &operation.kind else { return Ok(()) };
        let id = &operation.workspace;
        let config = self.store.key_config(id).await?.ok_or(Stopped::Hopeless(Reason::KeyNotConfigured))?;
        if config.current_version != *from || config.left_at.is_some() {
            return Err(Stopped::Hopeless(Reason::KeyConfigurationMoved));
        }
        let (state, budget) = (self.table.existing_workspace(id), self.budget());
        let checked = async {
            let as_whom = self.as_whom(id, &budget).await?;
            let other = Wanted::of(KeyRef::new(tenant.clone(), key.clone(), as_whom.clone()).of(id), *to);
            let by = By { budget: &budget, actor: &operation.actor, proves: true };
            self.shows_our_tag(id, &state, &in_force(&config, as_whom), Some(*from), by).await?;
            let key = self.is_ours_and_fit(id, &state, &other, by).await?;
            self.prove(&state, &other, &key, &budget).await
        };
        checked.await.map_err(|refusal| match refusal.reason() {
            // Whoever owns the key took the tag away: they do not want it.
            why @ (Reason::OwnershipNotProven
            | Reason::OwnershipNonceExpired
            | Reason::OwnershipNonceUsed
            | Reason::KeyBoundElsewhere) => Stopped::Hopeless(why),
            why => Stopped::Waits(why),
        })
    }
}

fn in_force(config: &KeyConfig, as_whom: Application) -> KeyRef {
    KeyRef::new(config.tenant.clone(), config.location.clone(), as_whom).of(&config.workspace)
}

/// Whether a key is in another vault or tenant than the one in force.
fn is_elsewhere(config: &KeyConfig, key: &KeyRef) -> bool {
    let vault = |at: &domain::KeyLocation| (at.cloud(), at.vault().to_owned());
    vault(&config.location) != vault(&key.location) || config.tenant != key.tenant
}
