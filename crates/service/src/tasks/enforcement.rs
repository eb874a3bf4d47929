//! Keeps the dates from which customers' keys are to be used: rehearses, makes ready, decides, and tries again what was held.
//!
//! ```text
//! date − 24 h, − 1 h   rehearsal: a test, and what it found
//! date − (C + 60 s)    freeze: nothing about the date or the configuration changes any more
//!    before that       a data key of the customer's side is made for every selected app, in time for the last to be ready
//!    within the freeze tested again, every data key there: ARMED. Otherwise tried until the time is up: HELD
//! date                 each replica flips by its own clock: see keys/ruled
//! ```
//! Every replica does this. Of two that decide at once the first commit wins, and the other finds that the life has moved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::key_life::LONGEST_SKEW;
use domain::key_life::{EnforceAt, Enforcement, KeyLife, PassingTest, Plan, Rehearsal, Step, Timing};
use domain::{Reason, Timestamp, WorkspaceId};
use store::{Conflict, StoreError};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::control::life::{config_hash, key_and_life};
use crate::core::Core;
use crate::figures;
use crate::keys::Failure;
use crate::keys::lock;
use crate::keys::table::Change;
use crate::keys::vault_call::SERVICE;
use crate::options::MOST_PAGE;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// How often the dates are looked at.
const TURN: Duration = Duration::from_millis(250);
/// How soon what did not work for a date is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long data keys are made ready before it is looked again what else is due.
const LONGEST_PASS: Duration = Duration::from_secs(60);
/// How early it is looked whether data keys have to be made ready: the longest that making them is taken to last.
const LONGEST_STAGING: Duration = Duration::from_secs(4 * 3_600);

/// Which dates this process is busy with, and which it leaves alone for a while.
#[derive(Default)]
pub(crate) struct Dates(Mutex<HashMap<WorkspaceId, Attention>>);

#[derive(Clone, Copy)]
enum Attention {
    Busy,
    NotBefore(Timestamp),
}

/// A workspace's turn; it ends when this is dropped, in a panic too.
struct Turn<'a> {
    dates: &'a Dates,
    workspace: WorkspaceId,
    next: Timestamp,
}

impl Dates {
    fn begin(&self, workspace: &WorkspaceId, now: Timestamp) -> Option<Turn<'_>> {
        let mut all = lock(&self.0);
        match all.get(workspace) {
            Some(Attention::Busy) => return None,
            Some(Attention::NotBefore(until)) if now < *until => return None,
            Some(Attention::NotBefore(_)) | None => {}
        }
        all.insert(workspace.clone(), Attention::Busy);
        Some(Turn { dates: self, workspace: workspace.clone(), next: now })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.dates.0).insert(self.workspace.clone(), Attention::NotBefore(self.next));
    }
}

impl Service {
    /// Keeps the dates for as long as the process lives.
    pub async fn keep_enforcement_dates(self: Arc<Self>) {
        // Each on a task of its own: a workspace whose vault hangs delays no other's date. They end with this loop.
        let mut at_work = JoinSet::new();
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            while at_work.try_join_next().is_some() {}
            match self.0.store.undecided_lives().await {
                Ok(lives) => {
                    for life in lives {
                        let core = self.0.clone();
                        at_work.spawn(async move { core.keep(life).await });
                    }
                }
                Err(why) => tracing::warn!(%why, "the enforcement dates could not be read"),
            }
        }
    }

    /// What the loop would do now, once, to its end: for tests that move a clock by hand.
    pub async fn keep_dates_now(&self) {
        let lives = self.0.store.undecided_lives().await.unwrap_or_default();
        futures::future::join_all(lives.into_iter().map(|life| self.0.clone().keep(life))).await;
    }
}

impl Core {
    /// The bounds that a date is decided by.
    fn decision_timing(&self) -> Timing {
        match self.bugs.has(SeededBug::ArmedLate) {
            true => Timing { control_lease: Duration::ZERO, ..self.options.timing() },
            false => self.options.timing(),
        }
    }

    /// Does what is due for one date.
    async fn keep(self: Arc<Self>, life: KeyLife) {
        let Some(mut turn) = self.dates.begin(&life.workspace, self.clock.now().wall) else { return };
        let workspace = life.workspace.clone();
        match self.attend(life).await {
            Ok(pause) => turn.next = self.clock.now().wall.saturating_add(pause),
            Err(refusal) => {
                turn.next = self.clock.now().wall.saturating_add(AGAIN);
                tracing::warn!(%workspace, why = %refusal.for_log(), "an enforcement date could not be attended to");
            }
        }
    }

    /// What is due, and how long to leave it alone afterwards.
    async fn attend(self: &Arc<Self>, life: KeyLife) -> Result<Duration, Refusal> {
        let (now, timing) = (self.clock.now().wall, self.decision_timing());
        let Some(at) = life.plan().map(|plan| plan.at.instant()) else { return Ok(AGAIN) };
        let workspace = life.workspace.clone();
        // A workspace that left its key has no use for a date.
        let config = self.store.key_config(&workspace).await?;
        if config.is_none_or(|config| config.left_at.is_some()) {
            return Ok(AGAIN);
        }
        match &life.enforcement {
            Enforcement::Scheduled(_) if now >= timing.decide_before(at) => {
                self.hold(&life, Reason::EnforcementMissed).await?;
            }
            Enforcement::Scheduled(_) if now >= timing.freeze(at) => return self.decide_date(&life, at).await,
            Enforcement::Scheduled(scheduled) => {
                if let Some(rehearsal) = scheduled.due(now)
                    && !self.rehearse(&workspace, rehearsal, at).await?
                {
                    return Ok(AGAIN);
                }
                if now >= timing.freeze(at).saturating_sub(LONGEST_STAGING) {
                    return self.make_ready(&workspace, timing.freeze(at)).await;
                }
                // Nothing is due for a while. It is looked at again well before the soonest date that could be set meanwhile.
                let pause = LONGEST_PASS.min((timing.control_lease + timing.margin) / 6);
                let next = at.saturating_sub(LONGEST_STAGING);
                let next = [Rehearsal::Day, Rehearsal::Hour]
                    .into_iter()
                    .map(|due| at.saturating_sub(due.before()))
                    .chain([next]);
                let soonest = next.filter(|due| *due > now).min().unwrap_or(now);
                let left = now.until(soonest);
                return Ok(left.min(pause));
            }
            Enforcement::Draft(_) if now >= timing.freeze(at) => self.hold(&life, Reason::KeyNotTested).await?,
            // Edited, and tested again since: the date that was kept over the edit stands.
            Enforcement::Draft(_) if !self.take_up_again(&life).await? => return Ok(AGAIN),
            Enforcement::Draft(_) => {}
            Enforcement::Held(_) if now >= at.saturating_add(LONGEST_SKEW) => return self.try_again(&life).await,
            Enforcement::Held(_) | Enforcement::Armed(_) | Enforcement::InForce { .. } => {}
        }
        Ok(Duration::ZERO)
    }

    /// Writes the step that `decide` makes of the life as it is now; nothing, where it moved meanwhile.
    async fn step_life(
        &self,
        name: &'static str,
        seen: &KeyLife,
        decide: impl FnOnce(KeyLife, Timestamp) -> Result<Step<KeyLife>, Reason>,
    ) -> Result<Option<KeyLife>, Refusal> {
        let mut tx = self.store.begin(name).await?;
        let (_, present) = key_and_life(&mut *tx, &seen.workspace).await?;
        if present != *seen {
            return Ok(None);
        }
        let step = decide(present, self.clock.now().wall).map_err(Refusal::because)?;
        match self.commit_life(tx, step, SERVICE, Change::Selection).await {
            Ok(life) => Ok(Some(life)),
            Err(refusal) if refusal.reason() == moved() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    async fn hold(&self, life: &KeyLife, why: Reason) -> Result<(), Refusal> {
        let timing = self.options.timing();
        if self.step_life("hold_enforcement", life, |life, now| life.hold_back(why, now, timing)).await?.is_some() {
            figures::date_held(&life.workspace);
            tracing::error!(workspace = %life.workspace, %why, "an enforcement date will not be kept");
        }
        Ok(())
    }

    /// A day or an hour before: a test, so that there is time to mend what it shows. `false`: somebody else's test is under way,
    /// which says nothing of the date.
    async fn rehearse(
        self: &Arc<Self>,
        workspace: &WorkspaceId,
        rehearsal: Rehearsal,
        at: Timestamp,
    ) -> Result<bool, Refusal> {
        let found = match self.test_again(workspace).await? {
            Err(Reason::QuotaExceeded) => return Ok(false),
            tested => tested.err(),
        };
        let Some(life) = self.store.key_life(workspace).await? else { return Ok(true) };
        let same_date = life.plan().is_some_and(|plan| plan.at.instant() == at);
        if !same_date {
            return Ok(true);
        }
        match self.step_life("rehearse_enforcement", &life, |life, now| life.rehearse(rehearsal, found, now)).await {
            // Another replica was quicker.
            Err(refusal) if refusal.reason() == Reason::EnforcementNotDue => return Ok(true),
            outcome => drop(outcome?),
        }
        match found {
            None => tracing::info!(%workspace, rehearsal = rehearsal.as_str(), "an enforcement date was rehearsed"),
            Some(why) => {
                figures::rehearsal_failed(workspace);
                tracing::warn!(%workspace, rehearsal = rehearsal.as_str(), %why, "an enforcement date would not be kept as things are");
            }
        }
        Ok(true)
    }

    /// A test of the configuration as it is, and what it proves.
    async fn test_again(self: &Arc<Self>, workspace: &WorkspaceId) -> Result<Result<PassingTest, Reason>, Refusal> {
        let Some(test) = self.test_own_configuration(workspace).await? else {
            // Somebody else's is under way.
            return Ok(Err(Reason::QuotaExceeded));
        };
        if let Some(failed) = test.first_failure() {
            return Ok(Err(failed.reason.unwrap_or(Reason::KeyNotTested)));
        }
        let config =
            self.store.key_config(workspace).await?.ok_or_else(|| Refusal::because(Reason::KeyNotConfigured))?;
        Ok(PassingTest::among(&[test], &config_hash(&config), self.clock.now().wall))
    }

    /// Makes the data keys that the date will need, as soon as the time they take says so. How long until the next look.
    async fn make_ready(self: &Arc<Self>, workspace: &WorkspaceId, freeze: Timestamp) -> Result<Duration, Refusal> {
        let staging = self.staging(workspace).await?;
        let now = self.clock.now().wall;
        // Half as long again: requests come first, and some calls are repeated.
        let begin = freeze.saturating_sub(staging.takes.saturating_mul(3) / 2).saturating_sub(AGAIN);
        if now < begin {
            let left = now.until(begin);
            // Apps come and go until then.
            return Ok(left.min(Duration::from_secs(60)));
        }
        // Looked at again now and then, as apps come and go; and in time for the freeze.
        let left = now.until(freeze);
        if staging.apps.is_empty() {
            return Ok(left.min(AGAIN));
        }
        // Not for ever: rehearsals and the decision come in between.
        let made = timeout(left.clamp(Duration::from_millis(1), LONGEST_PASS), self.stage(staging)).await;
        match made.unwrap_or(Err(Failure::Ruled(Reason::VaultTimeout))) {
            Ok(made) => tracing::info!(%workspace, made, "data keys were made ready for an enforcement date"),
            Err(why) => {
                tracing::warn!(%workspace, %why, "a data key could not be made ready for an enforcement date");
                return Ok(left.min(AGAIN));
            }
        }
        Ok(Duration::ZERO)
    }

    /// Within the freeze: for the date, if everything is there; otherwise tried again until the time is up, and then against it.
    async fn decide_date(self: &Arc<Self>, life: &KeyLife, at: Timestamp) -> Result<Duration, Refusal> {
        let (timing, workspace) = (self.decision_timing(), &life.workspace);
        let now = self.clock.now().wall;
        let left = now.until(timing.decide_before(at));
        // A vault that hangs must not hang the decision.
        if let (Enforcement::Scheduled(scheduled), true) = (&life.enforcement, self.bugs.has(SeededBug::ArmedUntested))
        {
            let test = scheduled.test;
            self.step_life("arm_enforcement", life, |life, now| life.arm(test, now, timing)).await?;
            return Ok(Duration::ZERO);
        }
        let fit = timeout(left * 9 / 10, self.fit_for(workspace)).await.unwrap_or(Ok(Err(Reason::VaultTimeout)))?;
        let why = match fit {
            Ok(test) => match self.step_life("arm_enforcement", life, |life, now| life.arm(test, now, timing)).await {
                Ok(armed) => {
                    if armed.is_some() {
                        tracing::info!(%workspace, at = %at, "an enforcement date is armed");
                    }
                    return Ok(Duration::ZERO);
                }
                Err(refusal) => refusal.reason(),
            },
            Err(why) => why,
        };
        // The last quarter of the freeze is for saying no in good time.
        let last = timing.margin.saturating_sub(timing.slack) / 4;
        if self.clock.now().wall.saturating_add(last) < timing.decide_before(at) {
            tracing::warn!(%workspace, %why, "an enforcement date cannot be armed yet");
            return Ok(AGAIN.min(last));
        }
        self.hold(life, why).await?;
        Ok(Duration::ZERO)
    }

    /// Whether the key is fit for its date: it passes a test now, and every selected app's data key is ready.
    async fn fit_for(self: &Arc<Self>, workspace: &WorkspaceId) -> Result<Result<PassingTest, Reason>, Refusal> {
        let test = match self.test_again(workspace).await? {
            Ok(test) => test,
            Err(why) => return Ok(Err(why)),
        };
        let staging = self.staging(workspace).await?;
        if let Err(why) = self.stage(staging).await {
            return Ok(Err(Refusal::from(why).reason()));
        }
        Ok(Ok(test))
    }

    async fn take_up_again(&self, life: &KeyLife) -> Result<bool, Refusal> {
        let Some(plan) = life.plan().cloned() else { return Ok(false) };
        let Some(config) = self.store.key_config(&life.workspace).await? else { return Ok(false) };
        let tests = self.store.key_tests(&life.workspace, MOST_PAGE).await?;
        let Ok(test) = PassingTest::among(&tests, &config_hash(&config), self.clock.now().wall) else {
            return Ok(false);
        };
        let timing = self.options.timing();
        self.step_life("take_up_enforcement", life, |life, now| life.schedule(test, plan, now, timing)).await?;
        Ok(true)
    }

    /// A date that was not kept: as soon as the key is fit, another one is set, and decided like every other.
    async fn try_again(self: &Arc<Self>, life: &KeyLife) -> Result<Duration, Refusal> {
        let (timing, workspace) = (self.options.timing(), &life.workspace);
        let again = self.options.held_again;
        let Some(policy) = life.plan().map(|plan| plan.policy) else { return Ok(again) };
        let test = match self.test_again(workspace).await? {
            Ok(test) => test,
            Err(why) => {
                tracing::warn!(%workspace, %why, "an enforcement date that was not kept still cannot be");
                return Ok(again);
            }
        };
        let takes = self.staging(workspace).await?.takes;
        let now = self.clock.now().wall;
        let soonest = timing.soonest(now).saturating_add(takes.saturating_mul(2)).saturating_add(AGAIN);
        let Some(at) = EnforceAt::utc(soonest) else { return Ok(again) };
        let plan = Plan { at, policy };
        self.step_life("reschedule_enforcement", life, |life, now| life.schedule(test, plan, now, timing)).await?;
        Ok(Duration::ZERO)
    }
}

/// What a refusal says when the life moved between reading and writing.
fn moved() -> Reason {
    StoreError::from(Conflict::LifeMoved { present: 0 }).reason()
}
