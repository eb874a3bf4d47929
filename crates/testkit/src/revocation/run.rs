//! One run, and what must not happen in it.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::permission::{Encrypt, Permit, Target};
use domain::{AppId, key_config::LONGEST_LEASE};
use envelope::Context;
use service::{LONGEST_NAP, Options, Parts, SeededBug, Service};
use tokio::sync::watch;
use vault::memory::MemoryKeys;
use vault::{KeyUnavailable, Trace};

use super::REPLICAS;
use super::clock::{ReplicaClock, Time};
use super::database::{Database, Ground, StoreLine};
use super::plan::{Dice, Event, Plan, Trouble};
use super::vault_line::VaultLine;
use crate::SeededEntropy;
use crate::world::allow;

/// How long a quiet run goes on after the event; the others until every lease must have ended.
const QUIET: Duration = Duration::from_secs(100);
/// A moment more than the longest lease.
const AFTER: Duration = Duration::from_secs(310);
const SECOND: Duration = Duration::from_secs(1);

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Run {
    /// What happened.
    pub plan: Plan,
    /// How long after the event something was last served, on any replica.
    pub last_served: Duration,
    /// How long after a replica heard the denial it last served; absent where none did.
    pub after_seen: Option<Duration>,
    /// Which promises were broken, in words.
    pub broken: Vec<String>,
}

struct Replica {
    service: Arc<Service>,
    line: Arc<VaultLine>,
    clock: Arc<ReplicaClock>,
    awake: watch::Sender<bool>,
    /// When something was last served for each app.
    served: Mutex<[Option<Duration>; 4]>,
    trouble: Trouble,
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
    let database = Database::new(ground.clone());
    let vault = MemoryKeys::new(ReplicaClock::new(time, Duration::ZERO));
    assert_eq!(vault.create_key(&ground.key), ground.version, "the same vault each time");
    let replicas: Vec<Arc<Replica>> =
        (0..REPLICAS).map(|i| Arc::new(replica(ground, &plan, i, time, &database, &vault, bug))).collect();
    for (i, replica) in replicas.iter().enumerate() {
        let dice = Dice::new(plan.seed ^ (i as u64 + 1) << 32);
        tokio::spawn(run_while_awake(replica.service.clone(), replica.awake.subscribe()));
        tokio::spawn(use_it(replica.clone(), ground.clone(), plan.clone(), time, dice));
        tokio::spawn(trouble(replica.clone(), time));
    }
    time.until(plan.at).await;
    match plan.event {
        Event::Disabled => vault.disable(&ground.key, ground.version),
        Event::RoleRemoved => vault.refuse_all(&KeyUnavailable::RoleMissing(Trace::default())),
        Event::AppDeleted => database.delete(&ground.apps[0]),
    }
    time.until(plan.at + if plan.is_quiet() { QUIET } else { AFTER }).await;
    judge(plan, &replicas)
}

fn replica(
    ground: &Arc<Ground>,
    plan: &Plan,
    i: usize,
    time: Time,
    database: &Arc<Database>,
    vault: &Arc<MemoryKeys>,
    bug: Option<SeededBug>,
) -> Replica {
    let (awake, waking) = watch::channel(true);
    let trouble = plan.troubles[i];
    let clock = ReplicaClock::new(time, Duration::from_secs(3_600 * (i as u64 + 1)));
    let line = Arc::new(VaultLine {
        vault: vault.clone(),
        time,
        trouble,
        event: plan.at,
        awake: waking.clone(),
        dice: Mutex::new(Dice::new(plan.seed ^ (i as u64 + 1))),
        denied: Mutex::default(),
    });
    let parts = Parts {
        store: Arc::new(StoreLine { database: database.clone(), time, trouble, awake: waking }),
        customer_keys: line.clone(),
        platform: ground.platform(),
        clock: clock.clone(),
        entropy: SeededEntropy::new(plan.seed ^ (i as u64 + 1) << 48),
        options: Options::default(),
    };
    let service = match bug {
        None => Service::start(parts),
        Some(bug) => Service::start_with_bug(parts, bug),
    };
    Replica { service: service.expect("a service"), line, clock, awake, served: Mutex::default(), trouble }
}

/// The loops of a process, which do nothing while it stands still.
async fn run_while_awake(service: Arc<Service>, mut awake: watch::Receiver<bool>) {
    let mut tasks = pin!(service.run_tasks());
    loop {
        tokio::select! {
            never = &mut tasks => match never {},
            _ = awake.wait_for(|awake| !awake) => {}
        }
        let _ = awake.wait_for(|awake| *awake).await;
    }
}

async fn trouble(replica: Arc<Replica>, time: Time) {
    match replica.trouble {
        Trouble::Paused { from, until } => {
            time.until(from).await;
            replica.awake.send_replace(false);
            time.until(until).await;
            replica.awake.send_replace(true);
        }
        Trouble::Stepped { at, micros } => {
            time.until(at).await;
            replica.clock.step(micros);
        }
        Trouble::Nothing
        | Trouble::Idle
        | Trouble::VaultCut { .. }
        | Trouble::SlowThenCut { .. }
        | Trouble::StoreCut { .. }
        | Trouble::SlowCommits { .. }
        | Trouble::Race { .. } => {}
    }
}

/// The apps of a replica at work.
async fn use_it(replica: Arc<Replica>, ground: Arc<Ground>, plan: Plan, time: Time, mut dice: Dice) {
    if matches!(replica.trouble, Trouble::Race { .. }) {
        let before = plan.at.saturating_sub(dice.between(SECOND / 10, SECOND));
        let after = plan.at + dice.between(SECOND / 20, SECOND / 2);
        tokio::spawn(first_use(replica.clone(), ground.clone(), time, before, 2));
        tokio::spawn(first_use(replica.clone(), ground.clone(), time, after, 3));
    }
    let longest = if replica.trouble == Trouble::Idle { 100 * SECOND } else { SECOND * 9 / 10 };
    loop {
        tokio::time::sleep(dice.between(SECOND / 10, longest)).await;
        let _ = replica.awake.subscribe().wait_for(|awake| *awake).await;
        for app in 0..2 {
            // A request that waits for a vault that hangs does not keep the others from coming.
            seal(&replica, &ground, time, app).await;
        }
        // Warm or not at all: nobody begins to use these by the way.
        for app in 2..4 {
            let permit = permit(&ground, &ground.apps[app]);
            if replica.service.try_encrypt(&permit, &Context::empty(), b"x", &mut Vec::new()).is_some() {
                note(&replica, time, app);
            }
        }
    }
}

async fn first_use(replica: Arc<Replica>, ground: Arc<Ground>, time: Time, at: Duration, app: usize) {
    time.until(at).await;
    seal(&replica, &ground, time, app).await;
}

async fn seal(replica: &Replica, ground: &Ground, time: Time, app: usize) {
    let permit = permit(ground, &ground.apps[app]);
    let (context, mut out) = (Context::empty(), Vec::new());
    let sealing = replica.service.encrypt(&permit, &context, b"x", &mut out);
    if let Ok(Ok(_)) = tokio::time::timeout(12 * SECOND, sealing).await {
        note(replica, time, app);
    }
}

fn permit(ground: &Ground, app: &AppId) -> Permit<Encrypt> {
    allow(Target::App(ground.workspace.id.clone(), app.clone()))
}

fn note(replica: &Replica, time: Time, app: usize) {
    replica.served.lock().unwrap_or_else(PoisonError::into_inner)[app] = Some(time.passed());
}

fn judge(plan: Plan, replicas: &[Arc<Replica>]) -> Run {
    let (mut broken, mut last_served) = (Vec::new(), Duration::ZERO);
    let mut after_seen: Option<Duration> = None;
    for (i, replica) in replicas.iter().enumerate() {
        let served = *replica.served.lock().unwrap_or_else(PoisonError::into_inner);
        let served = match plan.event {
            Event::AppDeleted => served[0],
            Event::Disabled | Event::RoleRemoved => served.into_iter().flatten().max(),
        };
        let Some(served) = served else { continue };
        last_served = last_served.max(served.saturating_sub(plan.at));
        let mut promise = |name: &str, bound: Duration| {
            if served > bound {
                let late = (served - bound).as_secs_f64();
                broken.push(format!("{name}: replica {i} ({:?}) served {late:.1} s too late", replica.trouble));
            }
        };
        promise("I-8, I-13: never above H and C", plan.at + LONGEST_LEASE);
        if plan.event == Event::AppDeleted {
            match replica.trouble {
                Trouble::StoreCut { .. } => {}
                Trouble::Paused { until, .. } => promise("I-13: within a second", until.max(plan.at) + SECOND),
                Trouble::Nothing
                | Trouble::Idle
                | Trouble::VaultCut { .. }
                | Trouble::SlowThenCut { .. }
                | Trouble::SlowCommits { .. }
                | Trouble::Stepped { .. }
                | Trouble::Race { .. } => promise("I-13: within a second", plan.at + SECOND),
            }
            continue;
        }
        if let Some(seen) = replica.line.denied() {
            promise("I-8: within a second of hearing the denial", seen + SECOND);
            let after = served.saturating_sub(seen);
            after_seen = Some(after_seen.unwrap_or_default().max(after));
        }
        // What is shorter is no pause to a replica, and the probes' pace is its bound like any other's.
        if let Trouble::Paused { from, until } = replica.trouble
            && until - from > LONGEST_NAP
        {
            // Not even at the instant at which it goes on.
            let bound = if until > plan.at { until - Duration::from_micros(1) } else { plan.at + LONGEST_LEASE };
            promise("I-8: after a pause the first use asks", bound);
        }
    }
    Run { plan, last_served, after_seen, broken }
}
