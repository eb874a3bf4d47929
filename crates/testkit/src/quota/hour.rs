//! Traffic of many apps on several replicas, on a vault with a small quota: first uses, probes, a restart with nothing in memory, and
//! new data keys for all of them at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::permission::{RotateDataKeys as RotateAction, Target};
use envelope::Context;
use service::{Options, RotateDataKeys, SeededBug};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::ground::{Ground, Replica, simulated};
use crate::revocation::plan::Dice;
use crate::world::allow;

/// Requests come in lots.
const TICK: Duration = Duration::from_millis(20);

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct HourPlan {
    /// Apps of one workspace. The `n`th is used in proportion to 1/n.
    pub apps: u32,
    /// Processes, which share the traffic.
    pub replicas: u32,
    /// How long, in simulated time.
    pub lasts: Duration,
    /// All requests together.
    pub requests_per_second: u32,
    /// Of the requests that find their key in memory, one in so many is really made: they never reach the vault. The others
    /// are drawn and counted.
    pub one_warm_in: u32,
    /// The vault's operations in ten seconds.
    pub limit: u32,
    /// A fault put in.
    pub bug: Option<SeededBug>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Hour {
    /// Requests that were drawn.
    pub requests: u64,
    /// Those that were really made.
    pub made: u64,
    /// Those that found no key in memory and waited for one.
    pub cold: u64,
    /// Those that came while the same app's key was being opened on the same replica, and would have waited for it too.
    pub joined: u64,
    /// Cold ones that were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Warm ones that were refused.
    pub failed_warm: u64,
    /// Apps whose key is in memory at the end, on each replica.
    pub served: Vec<usize>,
    /// Vault operations that were let in.
    pub operations: u64,
    /// Vault operations that were answered 429.
    pub throttled: u64,
    /// The most operations in any ten seconds.
    pub most_in_a_window: u64,
}

struct Place {
    replica: Replica,
    /// What is known to be in memory, and what is on its way there.
    warm: Vec<bool>,
    opening: Vec<bool>,
    /// Counts restarts: what was on its way before one says nothing after it.
    life: u64,
}

impl HourPlan {
    /// Runs it.
    ///
    /// # Panics
    /// When something goes wrong that has nothing to do with quotas.
    pub fn run(self) -> Hour {
        simulated(LocalSet::new().run_until(self.simulate()))
    }

    async fn simulate(self) -> Hour {
        let options = Options {
            vault_limit: Some(self.limit),
            replicas: self.replicas,
            look_for_versions: None,
            ..Options::default()
        };
        let ground = Rc::new(Ground::new(self.limit, options, self.bug));
        let apps = {
            let first = ground.replica(100);
            Arc::new(ground.furnish(&first.service, self.apps).await)
        };
        let count = apps.len();
        let place = |n: u32| Place {
            replica: ground.replica(u64::from(n)),
            warm: vec![false; count],
            opening: vec![false; count],
            life: 0,
        };
        let places: Vec<Rc<RefCell<Place>>> = (0..self.replicas).map(|n| Rc::new(RefCell::new(place(n)))).collect();
        let hour = Rc::new(RefCell::new(Hour::default()));
        let zipf = zipf(count);
        let mut dice = Dice::new(3);
        let began = ground.time.passed();
        let (mut owed, mut restarted, mut renewed) = (0.0, false, false);
        loop {
            let passed = ground.time.passed() - began;
            if passed >= self.lasts {
                break;
            }
            if !restarted && passed >= self.lasts / 3 {
                restarted = true;
                let place = &mut *places[0].borrow_mut();
                place.replica = ground.replica(50);
                (place.warm, place.opening) = (vec![false; count], vec![false; count]);
                place.life += 1;
            }
            if !renewed && passed >= self.lasts * 2 / 3 {
                renewed = true;
                let permit = allow::<RotateAction>(Target::Workspace(ground.workspace.clone()));
                let service = places[0].borrow().replica.service.clone();
                service.rotate_data_keys(&permit, RotateDataKeys::default()).await.expect("new data keys");
            }
            owed += f64::from(self.requests_per_second) * TICK.as_secs_f64();
            while owed >= 1.0 {
                owed -= 1.0;
                let drawn = dice.below(1 << 32);
                let app = zipf.partition_point(|upto| *upto <= drawn).min(count - 1);
                let which = usize::try_from(dice.below(u64::from(self.replicas))).unwrap_or(0);
                hour.borrow_mut().requests += 1;
                self.request(&ground, &apps, &places[which], app, &mut dice, &hour);
            }
            sleep(TICK).await;
        }
        let counts = ground.vault.counts();
        let mut hour = hour.borrow().clone();
        hour.served = places.iter().map(|place| place.borrow().warm.iter().filter(|warm| **warm).count()).collect();
        (hour.operations, hour.throttled, hour.most_in_a_window) = (counts.operations, counts.throttled, counts.most);
        hour
    }

    fn request(
        &self,
        ground: &Rc<Ground>,
        apps: &Arc<Vec<domain::AppId>>,
        place: &Rc<RefCell<Place>>,
        app: usize,
        dice: &mut Dice,
        hour: &Rc<RefCell<Hour>>,
    ) {
        let mut here = place.borrow_mut();
        if here.warm[app] {
            if dice.below(u64::from(self.one_warm_in.max(1))) > 0 {
                return;
            }
            hour.borrow_mut().made += 1;
            let permit = ground.may_encrypt(&apps[app]);
            let mut out = Vec::new();
            match here.replica.service.try_encrypt(&permit, &Context::empty(), b"a credential", &mut out) {
                Some(Ok(_)) => return,
                Some(Err(_)) => {
                    hour.borrow_mut().failed_warm += 1;
                    return;
                }
                None => here.warm[app] = false,
            }
        }
        if here.opening[app] {
            hour.borrow_mut().joined += 1;
            return;
        }
        here.opening[app] = true;
        hour.borrow_mut().made += 1;
        hour.borrow_mut().cold += 1;
        let (service, life) = (here.replica.service.clone(), here.life);
        let (ground, apps, place, hour) = (ground.clone(), apps.clone(), place.clone(), hour.clone());
        tokio::task::spawn_local(async move {
            let outcome = ground.encrypt(&service, &apps[app]).await;
            let mut here = place.borrow_mut();
            if here.life != life {
                return;
            }
            here.opening[app] = false;
            match outcome {
                Ok(_) => here.warm[app] = true,
                Err(refusal) => *hour.borrow_mut().refused.entry(refusal.reason().as_str()).or_default() += 1,
            }
        });
    }
}

/// Up to where each app's part of 2³² goes, the `n`th's in proportion to 1/n.
fn zipf(apps: usize) -> Vec<u64> {
    let whole: f64 = (1..=apps).map(|n| 1.0 / n as f64).sum();
    let mut upto = 0.0;
    let part = |n: usize| {
        upto += 1.0 / n as f64 / whole;
        (upto * 4_294_967_296.0) as u64
    };
    (1..=apps).map(part).collect()
}
