//! In which order the steps run, how long they may take, and what is kept of them.
//!
//! Each step depends on those before it: after the first that does not pass the others are not run. The whole has a deadline,
//! and so has every call: a vault that hangs is a step that failed, not an error.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::audit::AuditKind;
use domain::entropy::random;
use domain::key_test::{Step, StepResult, StepState};
use domain::tenancy::{TagNonce, TenantLink};
use domain::{KeyTest, KeyTestId, KeyVersionId, Reason};
use secmem::Secret;
use store::StoreError;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use vault::{KeyDescription, KeyUnavailable};

use super::TestEvent;
use super::command::Names;
use super::ownership::Before;
use super::target::Target;
use super::verdict::Verdict;
use crate::Refusal;
use crate::control::{event, live_workspace};
use crate::core::Core;
use crate::figures;
use crate::keys::standing::WorkspaceState;
use crate::keys::vault_call::Budget;
use crate::options::MOST_PAGE;

/// Who hears of a test while it runs. Nobody is waited for.
type Events = mpsc::Sender<Result<TestEvent, Refusal>>;

/// What the steps of one test share: what is tested, and what was learned on the way.
pub(super) struct Run<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) target: &'a Target,
    pub(super) state: Arc<WorkspaceState>,
    pub(super) before: Before,
    /// What the key's tag has to hold; absent once it was proven, or where none could be drawn.
    pub(super) nonce: Option<TagNonce>,
    /// Whether somebody signed in to the tenant, or nobody has to.
    pub(super) signed_in: bool,
    /// This test's id.
    pub(super) test: KeyTestId,
    /// Who asked for it.
    pub(super) actor: &'a str,
    /// The address the vault sees us under.
    pub(super) seen_as: Option<IpAddr>,
    /// What the vault says of the key, once it was asked.
    pub(super) described: Option<Result<KeyDescription, KeyUnavailable>>,
    pub(super) wrapped: Option<Wrapped>,
}

/// What was wrapped, and by which version.
pub(super) struct Wrapped {
    pub(super) version: KeyVersionId,
    pub(super) payload: Secret<65>,
    pub(super) blob: Vec<u8>,
}

impl Core {
    /// Runs every step and records what came of it.
    pub(super) async fn run_test(
        self: &Arc<Self>,
        target: Target,
        history: &[KeyTest],
        actor: &str,
        events: &Events,
    ) -> Result<TestEvent, Refusal> {
        let started = self.clock.now().wall;
        let id = KeyTestId::new(started, random(&*self.entropy));
        let steps = self.run_steps(&target, history, (id, actor), events).await?;
        let test = KeyTest {
            id,
            workspace: target.workspace.clone(),
            config_hash: target.hash,
            started_at: started,
            finished_at: self.clock.now().wall,
            steps,
        };
        if let Some(failed) = test.first_failure() {
            figures::test_failed(failed.reason.unwrap_or(Reason::KeyNotTested));
        }
        self.record_test(&test, actor).await.map(|()| TestEvent::Finished(test))
    }

    async fn run_steps(
        self: &Arc<Self>,
        target: &Target,
        history: &[KeyTest],
        (test, actor): (KeyTestId, &str),
        events: &Events,
    ) -> Result<Vec<StepResult>, Refusal> {
        let proven = self.proof_of_key(&target.workspace, &target.key).await?;
        let nonce = match &proven {
            Some(_) => None,
            None => Some(self.nonce_for(&target.workspace, &target.key).await?),
        };
        let connection = self.connection(&target.workspace).await?;
        let link = connection.find(target.key.location.cloud(), &target.key.tenant);
        let mut run = Run {
            core: self,
            target,
            state: self.table.existing_workspace(&target.workspace),
            before: Before::of(&target.hash, history, proven),
            nonce,
            signed_in: !self.options.require_sign_in || link.is_some_and(TenantLink::is_signed_in),
            test,
            actor,
            seen_as: None,
            described: None,
            wrapped: None,
        };
        let end = tokio::time::sleep(self.options.test_deadline).deadline();
        let mut results: Vec<StepResult> = Vec::with_capacity(Step::ALL.len());
        for step in Step::ALL {
            let goes_on = results.iter().all(|before| before.state.goes_on());
            let result = if goes_on {
                let _ = events.try_send(Ok(TestEvent::Started(*step)));
                run.timed(*step, end).await
            } else {
                StepResult::not_run(*step)
            };
            let _ = events.try_send(Ok(TestEvent::Ended(result.clone())));
            results.push(result);
        }
        Ok(results)
    }

    /// One transaction: the test and its audit record (I-24).
    async fn record_test(&self, test: &KeyTest, actor: &str) -> Result<(), Refusal> {
        let mut tx = self.store.begin("test_configuration").await?;
        live_workspace(&mut *tx, &test.workspace).await?;
        tx.add_key_test(test).await?;
        let failed = test.first_failure().map(|first| (first.step, first.reason));
        let what = AuditKind::KeyTested { test: test.id, failed };
        tx.append_audit(event(&test.workspace, test.finished_at, actor, what)).await?;
        match tx.commit().await {
            // I-3: what a later reading shows is what happened.
            Err(StoreError::OutcomeUnknown) => {
                let stored = self.store.key_tests(&test.workspace, MOST_PAGE).await?;
                if stored.contains(test) { Ok(()) } else { Err(StoreError::OutcomeUnknown.into()) }
            }
            outcome => Ok(outcome.map(drop)?),
        }
    }
}

impl Run<'_> {
    /// Runs one step within the time of the whole, and says what it took and what mends it.
    async fn timed(&mut self, step: Step, end: Instant) -> StepResult {
        let began = self.core.clock.now();
        let asked = async {
            match step {
                // It asks no vault, and what it writes down is written whole or not at all.
                Step::Ownership => Ok(self.ownership().await),
                other => timeout_at(end, self.step(other)).await,
            }
        };
        let verdict = match asked.await {
            Ok(verdict) => self.perhaps_pending(verdict),
            Err(_) => {
                let whole = self.core.options.test_deadline.as_secs();
                Verdict::failed(Reason::VaultTimeout, format!("the whole test may take {whole} s, and they are over"))
            }
        };
        let took = self.core.clock.now().boot.saturating_sub(began.boot);
        let names = Names {
            key: &self.target.key,
            // Which version is the newest is the vault's answer too, and not told before the vault is proven.
            version: if verdict.reason == Some(Reason::OwnershipNotProven) {
                self.target.version
            } else {
                self.version()
            },
            application: match &self.target.key.as_whom {
                vault::Application::Platform => self.core.customer_keys.approach().application(),
                vault::Application::Registered(app) => app.registration().client_id.as_str(),
            },
            seen_as: self.seen_as,
            nonce: self.nonce.as_ref().map(TagNonce::text).unwrap_or_default(),
        };
        StepResult {
            step,
            state: verdict.state,
            // As it is kept: so a test is equal to what is read back of it.
            duration: Duration::from_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
            remedy: verdict.remedy(),
            command: verdict.reason.and_then(|reason| names.mend(reason)),
            reason: verdict.reason,
            finding: verdict.finding,
        }
    }

    async fn step(&mut self, step: Step) -> Verdict {
        match step {
            Step::NameResolution => self.name_resolution().await,
            Step::Network => self.network().await,
            Step::Tenant => self.tenant().await,
            Step::Authentication => self.authentication().await,
            Step::Ownership => self.ownership().await,
            Step::Key => self.key(),
            Step::Wrap => self.wrap().await,
            Step::Unwrap => self.unwrap().await,
            Step::TamperedUnwrap => self.tampered_unwrap().await,
            Step::DataPath => self.data_path().await,
        }
    }

    /// A role that has never worked may have been assigned minutes ago: Azure takes a while to tell its vaults.
    fn perhaps_pending(&self, verdict: Verdict) -> Verdict {
        let missing = verdict.reason == Some(Reason::VaultRoleMissing) && verdict.state == StepState::Failed;
        if missing && !self.before.passed {
            let remedy = "if the role was assigned in the last ten minutes, wait and test again; otherwise assign Key Vault \
                          Crypto Service Encryption User to our application on the key or vault";
            return Verdict { state: StepState::PendingPropagation, ..verdict }.with_remedy(remedy);
        }
        verdict
    }

    /// One call to a provider: in one of the workspace's places, within the time of a call, and never longer. It purges nothing
    /// and records no denial: the configuration that is tested may not be in force, and the vault not even the workspace's.
    pub(super) async fn ask<T, F: Future<Output = Result<T, KeyUnavailable>>>(
        &self,
        call: impl FnOnce(Duration) -> F,
    ) -> Result<T, KeyUnavailable> {
        let budget = Budget::new(&*self.core.clock, self.core.options.vault_deadline);
        let _place = self.core.place(&self.state, &budget).await?;
        let left = budget.left();
        timeout(left, call(left)).await.unwrap_or(Err(KeyUnavailable::TimedOut { waited: left }))
    }
}
