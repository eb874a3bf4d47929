//! A key's life in the store, and two replicas that act on what they read of it at most C ago, each by its own clock.
//!
//! One replica's clock is 400 ms behind and the other's 400 ms ahead; a step of time is half a second. A replica that cannot
//! read the store just does not read. The rules are the domain's: `KeyLife`'s transitions and `protection_of`.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::key_life::{
    Armed, Cause, EnforceAt, Enforcement, KeyLife, PassingTest, Plan, Policy, Ruling, Scheduled, Selection, TestFacts,
    Timing, protection_of,
};
use domain::{
    AppId, Cloud, KeyConfig, KeyLocation, KeyVersionId, Protection, Reason, TenantId, Timestamp, WorkspaceId,
};
use stateright::{Model, Property};

use crate::{breaks, holds_everywhere};

const STEP: i64 = 500_000;
const SKEW: [i64; 2] = [-400_000, 400_000];
/// C, in steps.
const C: u8 = 2;
/// Older than C, in steps: how much older makes no difference.
const OLD: u8 = C + 1;
const DATE: u8 = 6;
const END: u8 = 10;
const TIMING: Timing = Timing {
    control_lease: Duration::from_millis(500 * C as u64),
    margin: Duration::from_millis(500),
    slack: Duration::ZERO,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// A reading of the store is acted on for as long as one likes.
    NoControlLease,
    /// It is decided for the date right up to the date.
    ArmedTooLate,
    /// It is decided for the date by a test that failed, or of what was there before.
    ArmedUntested,
    /// The configuration changes whatever the date.
    EditedWhenFrozen,
    /// A replica goes on with the data key it has, whatever side the app is on now.
    KeyCrosses,
    /// The switch is looked at only when a key is opened, not when it is used.
    SwitchForgotten,
}

/// Which part of a life is tried: all of it at once has more states than fit into a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Configuration, tests, the date and the decision.
    Date,
    /// A key in force: apps selected and not, the switch.
    InForce,
}

struct Life {
    part: Part,
    bug: Bug,
    config: KeyConfig,
    app: AppId,
    date: EnforceAt,
}

impl Life {
    fn new(part: Part, bug: Bug) -> Self {
        let config = KeyConfig {
            workspace: workspace(),
            location: KeyLocation::from_parts(Cloud::Public, "acme-kv", "byok").unwrap(),
            tenant: "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse::<TenantId>().unwrap(),
            current_version: KeyVersionId::from_bytes([1; 16]),
            wrap_epoch: 1,
            lease: Duration::from_secs(300),
            configured_at: at(0),
            left_at: None,
            choices: domain::key_config::VersionChoices::default(),
        };
        Self { part, bug, config, app: "bot".parse().unwrap(), date: EnforceAt::utc(at(DATE)).unwrap() }
    }
}

fn workspace() -> WorkspaceId {
    "acme".parse().unwrap()
}

fn at(step: u8) -> Timestamp {
    Timestamp::from_micros(i64::from(step) * STEP)
}

fn by_clock_of(replica: usize, step: u8) -> Timestamp {
    Timestamp::from_micros(at(step).micros() + SKEW[replica])
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    life: KeyLife,
    /// Which configuration is there: a number that stands for its hash.
    config: u8,
    test: Option<TestFacts>,
    selected: bool,
    /// How long ago selection or switch last changed.
    changed: u8,
    replicas: [Replica; 2],
    broken: Broken,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Replica {
    reading: Option<Reading>,
    /// The protection that the data key at hand was born under.
    key: Option<Protection>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Reading {
    age: u8,
    life: KeyLife,
    selected: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Broken {
    crossed: bool,
    off_date: bool,
    edited: bool,
    unproven: bool,
    stale: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Tick,
    Read { replica: usize },
    Seal { replica: usize },
    Test { passes: bool },
    Edit,
    Schedule,
    Arm { replica: usize },
    HoldBack { replica: usize },
    Select { selected: bool },
    Revoke,
    Restore,
}

/// Counters and times that decide nothing are left out of the state: it would never be the same twice.
fn plain(mut life: KeyLife) -> KeyLife {
    life.change = 1;
    life.changed_at = at(0);
    if let Enforcement::Held(held) = &mut life.enforcement {
        held.since = at(0);
    }
    if let Some(revoked) = &mut life.revoked {
        revoked.since = at(0);
    }
    life
}

impl Life {
    fn proof(&self, state: &State) -> Result<PassingTest, Reason> {
        let facts = state.test.ok_or(Reason::KeyNotTested)?;
        PassingTest::admit(&facts, &[state.config; 32], at(0))
    }

    fn arm(&self, state: &State, replica: usize) -> Option<(KeyLife, bool)> {
        let (now, proof) = (by_clock_of(replica, state.now), self.proof(state));
        let life = state.life.clone();
        match (self.bug, proof) {
            (Bug::ArmedUntested, Err(_)) => {
                let Enforcement::Scheduled(Scheduled { test, .. }) = &life.enforcement else { return None };
                let test = *test;
                life.arm(test, now, TIMING).ok().map(|step| (step.next, false))
            }
            (Bug::ArmedTooLate, Ok(test)) => {
                let Enforcement::Scheduled(Scheduled { plan, .. }) = life.enforcement.clone() else { return None };
                let in_time = now < plan.at.instant();
                in_time.then_some((KeyLife { enforcement: Enforcement::Armed(Armed { plan, test }), ..life }, true))
            }
            (_, Ok(test)) => life.arm(test, now, TIMING).ok().map(|step| (step.next, true)),
            (_, Err(_)) => None,
        }
    }

    fn seal(&self, state: &State, replica: usize) -> Option<State> {
        let Replica { reading, key } = &state.replicas[replica];
        let reading = reading.as_ref()?;
        if reading.age > C && self.bug != Bug::NoControlLease {
            return None;
        }
        let selection = if reading.selected { Selection::Every } else { Selection::Only(BTreeSet::new()) };
        let mut life = reading.life.clone();
        if self.bug == Bug::SwitchForgotten {
            life.revoked = None;
        }
        let now = by_clock_of(replica, state.now);
        let protection = match protection_of(Some(&self.config), Some(&life), &selection, &self.app, now).ruling {
            Ruling::CustomerKey => Protection::CustomerKey,
            Ruling::PlatformKey => Protection::PlatformKey,
            Ruling::Wait { .. } | Ruling::Refuse(_) => return None,
        };
        // The key at hand, if it is of that side, or else a new one, born on it.
        let born = match key {
            Some(born) if *born == protection || self.bug == Bug::KeyCrosses => *born,
            Some(_) | None => protection,
        };
        let mut next = state.clone();
        if self.part == Part::InForce {
            next.replicas[replica].key = Some(born);
        }
        next.broken = self.judge(state, protection, born);
        (next != *state).then_some(next)
    }

    /// What a ciphertext of this moment says about the promises. Nothing here looks at a replica's clock or reading.
    fn judge(&self, state: &State, protection: Protection, born: Protection) -> Broken {
        let (now, settled) = (at(state.now).micros(), state.changed > C);
        let customer = protection == Protection::CustomerKey;
        let off_date = match &state.life.enforcement {
            Enforcement::Armed(armed) => {
                let date = armed.plan.at.instant().micros();
                if customer { now < date - 500_000 } else { state.selected && settled && now >= date + 500_000 }
            }
            Enforcement::InForce { .. } => false,
            Enforcement::Draft(_) | Enforcement::Scheduled(_) | Enforcement::Held(_) => customer,
        };
        let in_force = matches!(state.life.enforcement, Enforcement::InForce { .. });
        let stale = in_force
            && settled
            && if customer { state.life.revoked.is_some() || !state.selected } else { state.selected };
        Broken { crossed: born != protection, off_date, stale, ..Broken::default() }
    }

    fn change(&self, state: &State, life: KeyLife) -> State {
        State { life: plain(life), changed: 0, ..state.clone() }
    }
}

impl Model for Life {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let life = match self.part {
            Part::Date => KeyLife::draft(workspace(), at(0)),
            Part::InForce => KeyLife::in_force(workspace(), at(0)),
        };
        let replica = Replica { reading: None, key: None };
        vec![State {
            now: 0,
            life: plain(life),
            config: 1,
            test: None,
            selected: true,
            changed: OLD,
            replicas: [replica.clone(), replica],
            broken: Broken::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken != Broken::default() {
            return;
        }
        if state.now < END {
            actions.push(Action::Tick);
        }
        for replica in [0, 1] {
            actions.push(Action::Read { replica });
            actions.push(Action::Seal { replica });
        }
        match self.part {
            Part::Date => {
                actions.extend([true, false].map(|passes| Action::Test { passes }));
                actions.extend([Action::Edit, Action::Schedule]);
                for replica in [0, 1] {
                    actions.extend([Action::Arm { replica }, Action::HoldBack { replica }]);
                }
            }
            Part::InForce => {
                actions.push(Action::Select { selected: !state.selected });
                actions.push(if state.life.revoked.is_some() { Action::Restore } else { Action::Revoke });
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Tick => {
                // Without a date every moment is like the next.
                next.now += u8::from(self.part == Part::Date);
                next.changed = (state.changed + 1).min(OLD);
                for reading in next.replicas.iter_mut().filter_map(|replica| replica.reading.as_mut()) {
                    reading.age = (reading.age + 1).min(OLD);
                }
                if self.bug == Bug::None {
                    let replicas = next.replicas.iter_mut();
                    replicas.for_each(|replica| replica.reading = replica.reading.take().filter(|of| of.age <= C));
                }
            }
            Action::Read { replica } => {
                let reading = Reading { age: 0, life: state.life.clone(), selected: state.selected };
                next.replicas[replica].reading = Some(reading);
            }
            Action::Seal { replica } => return self.seal(state, replica),
            Action::Test { passes } => {
                let config_hash = [state.config; 32];
                next.test = Some(TestFacts { id: [0; 16], config_hash, finished_at: at(0), passed: passes });
            }
            Action::Edit => {
                let edited = state.life.clone().edit(at(state.now), TIMING);
                match edited {
                    Ok(life) => next.life = plain(life),
                    Err(_) if self.bug == Bug::EditedWhenFrozen => {}
                    Err(_) => return None,
                }
                // One edit is enough to make a test one of another configuration.
                if state.config == 2 {
                    return None;
                }
                next.config = 2;
                let decided = matches!(&state.life.enforcement, Enforcement::Armed(_) | Enforcement::InForce { .. });
                next.broken.edited = decided;
            }
            Action::Schedule => {
                let plan = Plan { at: self.date.clone(), policy: Policy::Stay };
                let step = state.life.clone().schedule(self.proof(state).ok()?, plan, at(state.now), TIMING).ok()?;
                next.life = plain(step.next);
            }
            Action::Arm { replica } => {
                let (life, proven) = self.arm(state, replica)?;
                next.life = plain(life);
                next.broken.unproven = !proven;
            }
            Action::HoldBack { replica } => {
                let now = by_clock_of(replica, state.now);
                next.life = plain(state.life.clone().hold_back(Reason::KeyDisabled, now, TIMING).ok()?.next);
            }
            Action::Select { selected } => {
                next = State { selected, ..self.change(state, state.life.clone()) };
            }
            Action::Revoke => {
                let step = state.life.clone().revoke(Cause::KillSwitch, at(state.now)).ok()?;
                next = self.change(state, step.next);
            }
            Action::Restore => next = self.change(state, state.life.clone().restore(at(state.now)).ok()?.next),
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I-13", |_, state: &State| !state.broken.stale),
            Property::always("I-18", |_, state: &State| !state.broken.crossed),
            Property::always("I-20", |_, state: &State| !state.broken.off_date),
            Property::always("I-21", |_, state: &State| !state.broken.edited),
            Property::always("I-22", |_, state: &State| !state.broken.unproven),
            Property::sometimes("a date is armed, or a key switched off", |_, state: &State| {
                matches!(state.life.enforcement, Enforcement::Armed(_)) || state.life.revoked.is_some()
            }),
        ]
    }
}

/// I-18, I-20, I-21, I-22: configured, tested, edited, scheduled, decided and kept, in every order two replicas can do it.
#[test]
fn a_date_is_kept_in_every_state() {
    let states = holds_everywhere("enforcement: the date", Life::new(Part::Date, Bug::None));
    assert!(states > 5_000, "{states}");
}

/// I-13, I-18: apps selected and taken out, and the switch, with replicas that read the store when they can.
#[test]
fn selection_and_switch_hold_in_every_state() {
    let states = holds_everywhere("enforcement: selection and switch", Life::new(Part::InForce, Bug::None));
    assert!(states > 5_000, "{states}");
}

/// Each promise fails when a bug it is there for is put in.
#[test]
fn each_bug_of_enforcement_is_found() {
    breaks("no control lease", "I-13", Life::new(Part::InForce, Bug::NoControlLease));
    breaks("switch forgotten", "I-13", Life::new(Part::InForce, Bug::SwitchForgotten));
    breaks("a key crosses", "I-18", Life::new(Part::InForce, Bug::KeyCrosses));
    breaks("no control lease", "I-20", Life::new(Part::Date, Bug::NoControlLease));
    breaks("armed too late", "I-20", Life::new(Part::Date, Bug::ArmedTooLate));
    breaks("edited when frozen", "I-21", Life::new(Part::Date, Bug::EditedWhenFrozen));
    breaks("armed untested", "I-22", Life::new(Part::Date, Bug::ArmedUntested));
}
