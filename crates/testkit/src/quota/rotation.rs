//! Many data keys go over to another version of the customer's key while their apps are at work.

use std::sync::Arc;
use std::time::Duration;

use domain::operation::OperationState;
use domain::permission::{Decrypt, ReadOperations, RotateKey as RotateAction, Target};
use domain::rotation::Plan;
use envelope::Context;
use futures::stream::StreamExt;
use service::{Options, RotateKey, SeededBug};
use tokio::time::{sleep, timeout};

use super::ground::{Ground, simulated};
use crate::revocation::plan::Dice;
use crate::world::allow;

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct RotationPlan {
    /// Data keys, one an app, all of them held in memory.
    pub data_keys: u32,
    /// The vault's operations in ten seconds; absent: what is published for its key.
    pub limit: Option<u32>,
    /// Requests a second by apps whose key is held, meanwhile.
    pub requests_per_second: u32,
    /// A fault put in.
    pub bug: Option<SeededBug>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct RotationRun {
    /// As it was planned.
    pub plan: Plan,
    /// From the answer to the call that began it until it was done, in simulated time.
    pub took: Duration,
    /// Vault operations meanwhile, probes too.
    pub operations: u64,
    /// Those that this service may make in that time.
    pub budget: f64,
    /// Operations that the vault answered 429.
    pub throttled: u64,
    /// The most operations in any ten seconds.
    pub most_in_a_window: u64,
    /// Requests by apps whose key was held.
    pub first_tries: u64,
    /// Those that were refused, or had to wait.
    pub failed_first_tries: u64,
}

impl RotationRun {
    /// How much of its budget it used.
    pub fn used(&self) -> f64 {
        self.operations as f64 / self.budget
    }

    /// How long it took, of what it had said.
    pub fn of_eta(&self) -> f64 {
        self.took.as_secs_f64() / self.plan.eta.as_secs_f64()
    }
}

/// A key of MemoryKeys: RSA 2048, not in an HSM.
const PUBLISHED: u32 = domain::VaultLimit::published(2048, false).in_a_window();

impl RotationPlan {
    /// Runs it.
    ///
    /// # Panics
    /// When something goes wrong that has nothing to do with quotas.
    pub fn run(self) -> RotationRun {
        simulated(self.simulate())
    }

    async fn simulate(self) -> RotationRun {
        let options = Options { vault_limit: self.limit, look_for_versions: None, ..Options::default() };
        let share = f64::from(options.vault_share_percent) / 100.0;
        let limit = self.limit.unwrap_or(PUBLISHED);
        let ground = Arc::new(Ground::new(limit, options, self.bug));
        let replica = ground.replica(1);
        let service = replica.service.clone();
        let apps = ground.furnish(&service, self.data_keys).await;
        let sealed: Vec<Vec<u8>> = futures::stream::iter(&apps)
            .map(|app| async { until_it_is_given(&ground, &service, app).await })
            .buffered(8)
            .collect()
            .await;
        sleep(Duration::from_secs(20)).await;
        ground.vault.keys.create_key(&ground.key);

        let target = Target::Workspace(ground.workspace.clone());
        let (may_rotate, may_read) = (allow::<RotateAction>(target.clone()), allow::<ReadOperations>(target));
        let started = service.rotate_key(&may_rotate, RotateKey::default()).await.expect("a rotation begins");
        let id = started.operation.expect("an operation").id;
        let (before, began) = (ground.vault.counts(), ground.time.passed());

        let (mut first_tries, mut failed) = (0u64, 0u64);
        let (mut dice, every) = (Dice::new(5), Duration::from_secs(1) / self.requests_per_second.max(1));
        let done = loop {
            sleep(every).await;
            let n = usize::try_from(dice.below(apps.len() as u64)).unwrap_or(0);
            first_tries += 1;
            let target = Target::App(ground.workspace.clone(), apps[n].clone());
            let served = if first_tries.is_multiple_of(2) {
                timeout(Duration::from_millis(20), ground.encrypt(&service, &apps[n])).await.is_ok_and(|it| it.is_ok())
            } else {
                let (permit, context, mut out) = (allow::<Decrypt>(target), Context::empty(), Vec::new());
                let opening = service.decrypt(&permit, &context, &sealed[n], &mut out);
                timeout(Duration::from_millis(20), opening).await.is_ok_and(|it| it.is_ok())
            };
            failed += u64::from(!served);
            if first_tries.is_multiple_of(8) {
                let now = service.read_operation(&may_read, id).await.expect("an operation");
                if !now.state.is_open() {
                    break now;
                }
            }
        };
        assert_eq!(done.state, OperationState::Done, "{done:?}");
        let took = ground.time.passed() - began;
        let after = ground.vault.counts();
        RotationRun {
            plan: started.plan,
            took,
            operations: after.operations - before.operations,
            budget: f64::from(limit) / 10.0 * share * took.as_secs_f64(),
            throttled: after.throttled,
            most_in_a_window: after.most,
            first_tries,
            failed_first_tries: failed,
        }
    }
}

/// An app's first ciphertext. What the vault throttles or the quota makes wait too long is asked again.
async fn until_it_is_given(ground: &Ground, service: &service::Service, app: &domain::AppId) -> Vec<u8> {
    loop {
        match ground.encrypt(service, app).await {
            Ok(sealed) => return sealed,
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    }
}
