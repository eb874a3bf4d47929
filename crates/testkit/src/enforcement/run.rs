//! One run, and what must not happen in it.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::key_life::{Enforcement, Policy};
use domain::permission::Target;
use domain::{Clock, Protection, Reason};
use envelope::Context;
use service::{OWNERSHIP_TAG, Options, Parts, SeededBug, Service};
use tokio::sync::watch;
use vault::memory::MemoryKeys;

use super::REPLICAS;
use super::plan::Plan;
use crate::SeededEntropy;
use crate::revocation::clock::{ReplicaClock, Time};
use crate::revocation::database::{Database, StoreLine};
use crate::revocation::plan::Dice;
use crate::revocation::vault_line::VaultLine;
use crate::revocation::{Ground, Trouble};
use crate::world::allow;

/// The date, from the beginning of a run: a minute before its freeze.
pub(super) const DATE: Duration = Duration::from_secs(420);
/// C and the margin of the freeze.
const FREEZE: Duration = Duration::from_secs(360);
/// How long a run goes on after the date.
const AFTER: Duration = Duration::from_secs(20);
/// How far a clock may be off.
const SKEW: Duration = Duration::from_millis(500);
/// How long after the date a replica without any trouble may take to serve.
const SOON: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// What was decided about the date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// For it.
    Armed,
    /// Against it; and why, unless another date was set since.
    Held(Option<Reason>),
    /// Nobody did.
    Nothing,
}

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Run {
    /// What happened.
    pub plan: Plan,
    /// What was decided.
    pub decision: Decision,
    /// What was recorded, by name.
    pub recorded: Vec<&'static str>,
    /// Messages sealed.
    pub sealed: usize,
    /// Those within two seconds of the date.
    pub close: usize,
    /// Which promises were broken, in words.
    pub broken: Vec<String>,
}

/// A message, when it was answered by the clock of who sealed it, and in truth.
struct Sealed {
    replica: usize,
    /// By the replica's own clock, microseconds after the date.
    own: i64,
    truth: Duration,
    protection: Protection,
}

struct Scene {
    ground: Arc<Ground>,
    plan: Plan,
    time: Time,
    database: Arc<Database>,
    vault: Arc<MemoryKeys>,
    bug: Option<SeededBug>,
    sealed: Mutex<Vec<Sealed>>,
}

/// What every run begins with: a tested key with a date ahead.
pub async fn ground(policy: Policy) -> Ground {
    Ground::prepare_scheduled(DATE, policy).await
}

/// Runs what the seed says, with a fault put in or without.
///
/// # Panics
/// When a runtime or a service cannot be made.
pub fn simulate(ground: &Arc<Ground>, seed: u64, bug: Option<SeededBug>) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(run(ground, Plan::draw(seed), bug))
}

async fn run(ground: &Arc<Ground>, plan: Plan, bug: Option<SeededBug>) -> Run {
    let time = Time::begin();
    let vault = MemoryKeys::new(ReplicaClock::new(time, Duration::ZERO));
    assert_eq!(vault.create_key(&ground.key), ground.version, "the same vault each time");
    vault.change(&ground.key, ground.version, |key| {
        key.tags.insert(OWNERSHIP_TAG.to_owned(), ground.nonce.clone());
    });
    let scene = Arc::new(Scene {
        ground: ground.clone(),
        plan: plan.clone(),
        time,
        database: Database::new(ground.clone()),
        vault: vault.clone(),
        bug,
        sealed: Mutex::default(),
    });
    for replica in 0..REPLICAS {
        tokio::spawn(live(scene.clone(), replica));
    }
    if let Some((from, until)) = plan.disabled {
        let (vault, ground) = (vault.clone(), ground.clone());
        tokio::spawn(async move {
            time.until(from).await;
            vault.disable(&ground.key, ground.version);
            time.until(until).await;
            vault.enable(&ground.key, ground.version);
        });
    }
    time.until(DATE + AFTER).await;
    judge(&scene)
}

/// A replica from its start to the end of the run, with its death in between.
async fn live(scene: Arc<Scene>, replica: usize) {
    match scene.plan.crashes[replica] {
        None => serve(scene, replica, 0).await,
        Some(crash) => {
            let died = scene.time.until(crash.at);
            tokio::select! {
                () = serve(scene.clone(), replica, 0) => {}
                () = died => {}
            }
            scene.time.until(crash.back).await;
            serve(scene, replica, 1).await;
        }
    }
}

/// A process: its loops, its requests and its troubles. Dropped, it is dead.
async fn serve(scene: Arc<Scene>, replica: usize, life: u64) {
    let (awake, waking) = watch::channel(true);
    let (plan, time) = (&scene.plan, scene.time);
    let trouble = plan.troubles[replica];
    let place = replica as u64 + 1 + life * 16;
    let clock = ReplicaClock::new(time, Duration::from_secs(3_600 * place));
    clock.step(plan.skew[replica]);
    let line = VaultLine {
        vault: scene.vault.clone(),
        time,
        trouble,
        event: DATE,
        awake: waking.clone(),
        dice: Mutex::new(Dice::new(plan.seed ^ place)),
        denied: Mutex::default(),
    };
    let parts = Parts {
        store: Arc::new(StoreLine { database: scene.database.clone(), time, trouble, awake: waking.clone() }),
        customer_keys: Arc::new(line),
        platform: scene.ground.platform(),
        clock: clock.clone(),
        entropy: SeededEntropy::new(plan.seed ^ place << 48),
        options: Options::default(),
    };
    let service = match scene.bug {
        None => Service::start(parts),
        Some(bug) => Service::start_with_bug(parts, bug),
    };
    let service = service.expect("a service");
    let trouble = async {
        if let Trouble::Paused { from, until } = trouble {
            time.until(from).await;
            awake.send_replace(false);
            time.until(until).await;
            awake.send_replace(true);
        }
        std::future::pending::<()>().await;
    };
    let dice = Dice::new(plan.seed ^ place << 32);
    tokio::join!(
        run_while_awake(service.clone(), waking.clone()),
        use_it(scene.clone(), service, clock, waking, replica, dice),
        trouble
    );
}

/// The loops of a process, which do nothing while it stands still.
async fn run_while_awake(service: Arc<Service>, mut awake: watch::Receiver<bool>) {
    let mut tasks = pin!(async { tokio::join!(service.clone().run_tasks(), service.keep_enforcement_dates()) });
    loop {
        tokio::select! {
            _ = &mut tasks => {}
            _ = awake.wait_for(|awake| !awake) => {}
        }
        let _ = awake.wait_for(|awake| *awake).await;
    }
}

/// Requests: now and then, and close to the date all the time.
async fn use_it(
    scene: Arc<Scene>,
    service: Arc<Service>,
    clock: Arc<ReplicaClock>,
    mut awake: watch::Receiver<bool>,
    replica: usize,
    mut dice: Dice,
) {
    let apps = &scene.ground.apps;
    loop {
        let now = scene.time.passed();
        let close = now + 3 * SECOND > DATE && now < DATE + 3 * SECOND;
        let (least, most) = if close { (5, 50) } else { (2_000, 9_000) };
        tokio::time::sleep(dice.between(Duration::from_millis(least), Duration::from_millis(most))).await;
        let _ = awake.wait_for(|awake| *awake).await;
        let app = &apps[usize::try_from(dice.below(apps.len() as u64)).unwrap_or(0)];
        let permit = allow(Target::App(scene.ground.workspace.id.clone(), app.clone()));
        // By itself: one that waits does not keep the others from coming.
        let (scene, service, clock) = (scene.clone(), service.clone(), clock.clone());
        let mut awake = awake.clone();
        tokio::spawn(async move {
            let (context, mut out) = (Context::empty(), Vec::new());
            let sealing = service.encrypt(&permit, &context, b"x", &mut out);
            let Ok(Ok(sealed)) = tokio::time::timeout(12 * SECOND, sealing).await else { return };
            if !*awake.borrow_and_update() {
                return;
            }
            let date = scene.ground.date.micros();
            let own = clock.now().wall.micros() - date;
            let (truth, protection) = (scene.time.passed(), sealed.protection);
            let seal = Sealed { replica, own, truth, protection };
            scene.sealed.lock().unwrap_or_else(PoisonError::into_inner).push(seal);
        });
    }
}

fn judge(scene: &Scene) -> Run {
    let (life, recorded) = {
        let changed = scene.database.changed();
        (changed.life.clone(), changed.recorded.clone())
    };
    let plan = scene.plan.clone();
    // After a date that was not kept the gate sets another one; this run is about the first.
    let about_it: Vec<&str> = recorded.iter().copied().take_while(|name| *name != "enforcement.scheduled").collect();
    let decision = match &life.enforcement {
        Enforcement::Held(held) => Decision::Held(Some(held.why)),
        _ if about_it.contains(&"enforcement.armed") => Decision::Armed,
        _ if about_it.contains(&"enforcement.held") => Decision::Held(None),
        _ => Decision::Nothing,
    };
    let mut broken = Vec::new();
    let sealed = scene.sealed.lock().unwrap_or_else(PoisonError::into_inner);
    let skew = i64::try_from(SKEW.as_micros()).unwrap_or(0);
    for seal in sealed.iter() {
        let truth = seal.truth.as_secs_f64() - DATE.as_secs_f64();
        let mut found = |what: &str| {
            broken.push(format!(
                "{what}: replica {} sealed at {truth:+.3} s (its clock {:+.3} s)",
                seal.replica,
                seal.own as f64 / 1e6
            ));
        };
        match (decision, seal.protection) {
            (Decision::Armed, Protection::PlatformKey) if seal.own >= skew => {
                found("I-20: the platform's key after the date")
            }
            (Decision::Armed, Protection::CustomerKey) if seal.own < -skew => {
                found("I-20: the customer's key before the date")
            }
            (Decision::Held(_) | Decision::Nothing, Protection::CustomerKey) => {
                found("I-22: the customer's key without a decision for it")
            }
            (_, Protection::PlatformKey | Protection::CustomerKey) => {}
        }
    }
    if let (Enforcement::Armed(armed), Decision::Armed) = (&life.enforcement, decision) {
        // By a clock that is off by at most the skew.
        let tested = armed.test.finished_at().micros() - scene.ground.date.micros();
        let freeze = -i64::try_from(FREEZE.as_micros()).unwrap_or(0);
        if tested < freeze - skew {
            broken.push(format!("I-22: armed by a test from {:.1} s before the date", -(tested as f64) / 1e6));
        }
    }
    let decided = about_it.iter().filter(|name| ["enforcement.armed", "enforcement.held"].contains(name)).count();
    if decided > 1 {
        broken.push(format!("I-20: {decided} decisions about one date"));
    }
    if plan.is_quiet() {
        if decision != Decision::Armed {
            broken.push(format!("nothing was wrong and the date was not armed: {decision:?}"));
        }
        for replica in 0..REPLICAS {
            let late = |seal: &&Sealed| seal.replica == replica && seal.truth > DATE + SOON;
            if !sealed.iter().filter(late).any(|seal| seal.protection == Protection::CustomerKey) {
                broken.push(format!("nothing was wrong and replica {replica} serves nothing {SOON:?} after the date"));
            }
        }
    }
    let close = sealed.iter().filter(|seal| seal.own.abs() < 2_000_000).count();
    Run { plan, decision, recorded, sealed: sealed.len(), close, broken }
}
