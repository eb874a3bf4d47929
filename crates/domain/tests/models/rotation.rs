//! Every interleaving of two replicas that rotate a key, crash at each step and go on, checked against the invariants.
//!
//! The model runs the same transitions as the service (`domain::operation`, `domain::rotation`); what the store compares is
//! written down here once more, each comparison with a switch that leaves it out. With one left out, an invariant must fail.

use domain::operation::{Operation, OperationId, OperationKind, OperationState};
use domain::rotation::{Facts, Rotation, VersionUse, left};
use domain::{Cloud, DataKeyState, KeyConfig, KeyLocation, KeyVersionId, Timestamp};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::time::Duration;

/// The key's versions are 1 to this.
const VERSIONS: u8 = 3;
/// Rotations that are begun, at most.
const OPERATIONS: usize = 2;
/// Data keys that are born, at most.
const BIRTHS: usize = 2;
const REPLICAS: usize = 2;

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// A birth does not compare the wrap epoch.
    EpochNotCompared,
    /// A wrapping is added whatever the current one is, and whether or not its rotation is open.
    OverNotCompared,
    /// A wrapping takes the place of the one before.
    Overwritten,
    /// A data key becomes active whether or not another is.
    TwoActive,
    /// A rotation ends without looking for what was born before its switch.
    FinishedEarly,
    /// A rotation begins whether or not another is open.
    TwoOpen,
    /// A version is called safe as soon as it is no longer in force.
    SafeWhenSwitched,
}

struct Rotating {
    bug: Option<Bug>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    current: u8,
    epoch: u64,
    keys: Vec<Key>,
    operations: Vec<Operation>,
    replicas: [Pc; REPLICAS],
    /// Versions that the customer has disabled, as bits.
    disabled: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    state: DataKeyState,
    /// The versions that wrapped it, in order; the last is the current one.
    wrappings: Vec<u8>,
    /// How many wrappings were ever added.
    added: usize,
}

/// What a replica holds between two steps. A crash loses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pc {
    Idle,
    /// Has read a data key, wrapped it by the rotation's version and verified it; nothing is stored.
    Wrapped {
        operation: usize,
        key: usize,
        over: usize,
    },
    /// Has had a new data key wrapped by the version it read as in force; nothing is stored.
    Conceived {
        version: u8,
        epoch: u64,
    },
    /// Has inserted it as pending.
    Inserted {
        key: usize,
    },
    /// Has read that no data key is left under another version, and is about to switch. More may be born meanwhile.
    Cleared {
        operation: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    Start(u8),
    Advance,
    Cancel,
    Wrap { replica: usize, key: usize },
    Commit(usize),
    Look(usize),
    Switch(usize),
    Conceive(usize),
    Insert(usize),
    Activate(usize),
    Crash(usize),
    Disable(u8),
}

fn version(n: u8) -> KeyVersionId {
    KeyVersionId::from_bytes([n; 16])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

impl State {
    fn open(&self) -> Option<usize> {
        self.operations.iter().rposition(|operation| operation.state.is_open())
    }

    fn config(&self) -> KeyConfig {
        KeyConfig {
            workspace: "acme".parse().unwrap(),
            location: KeyLocation::from_parts(Cloud::Public, "acme-kv", "byok").unwrap(),
            tenant: "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap(),
            current_version: version(self.current),
            wrap_epoch: self.epoch,
            lease: Duration::from_secs(300),
            configured_at: at(0),
            left_at: None,
            choices: domain::key_config::VersionChoices::default(),
        }
    }

    fn uses(&self) -> Vec<VersionUse> {
        let under = |n| self.keys.iter().filter(|key| key.wrappings.last() == Some(&n)).count() as u64;
        (1..=VERSIONS).map(|n| VersionUse { version: version(n), data_keys: under(n), left_at: None }).collect()
    }

    /// Long after everything that happened: what waiting does is checked elsewhere.
    fn is_safe_to_disable(&self, n: u8) -> bool {
        let uses = self.uses();
        let facts = Facts {
            in_force: Some(version(self.current)),
            newest: &[],
            uses: &uses,
            operations: &self.operations,
            now: at(1_000_000),
            read_holds_for: Duration::from_secs(300),
        };
        facts.safe_to_disable(version(n)).is_safe()
    }
}

impl Rotating {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn advance(&self, state: &mut State) -> Option<()> {
        let index = state.open()?;
        let uses = state.uses();
        let none: [VersionUse; 0] = [];
        let next = match Rotation::of(state.operations[index].clone()).ok()? {
            Rotation::Planned(step) => step.begin(at(0)).ok()?,
            Rotation::Wrapping(_) => return None,
            Rotation::Switched(step) => {
                step.finish(if self.has(Bug::FinishedEarly) { &none } else { &uses }, at(0)).ok()?
            }
            Rotation::Ended => return None,
        };
        state.operations[index] = next;
        Some(())
    }

    /// The switch compares what the transaction reads, and relies on what was read before for what is left.
    fn switch(&self, state: &mut State, replica: usize) -> Option<()> {
        let Pc::Cleared { operation } = state.replicas[replica] else { return None };
        state.replicas[replica] = Pc::Idle;
        if let Ok(Rotation::Wrapping(step)) = Rotation::of(state.operations[operation].clone())
            && let Ok((next, config)) = step.switch(&state.config(), &[], at(0))
        {
            (state.current, state.epoch) = (config.current_version.as_bytes()[0], config.wrap_epoch);
            state.operations[operation] = next;
        }
        Some(())
    }

    fn commit(&self, state: &mut State, replica: usize) -> Option<()> {
        let Pc::Wrapped { operation, key, over } = state.replicas[replica] else { return None };
        state.replicas[replica] = Pc::Idle;
        let operation = &state.operations[operation];
        let OperationKind::RotateKey { to, .. } = operation.kind else { return None };
        let present = state.keys[key].wrappings.len() - 1;
        if (present == over && operation.state.is_open()) || self.has(Bug::OverNotCompared) {
            let key = &mut state.keys[key];
            if self.has(Bug::Overwritten) {
                key.wrappings.pop();
            }
            key.wrappings.push(to.as_bytes()[0]);
            key.added += 1;
        }
        Some(())
    }
}

impl Model for Rotating {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let replicas = [Pc::Idle; REPLICAS];
        vec![State { current: 1, epoch: 1, keys: vec![], operations: vec![], replicas, disabled: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may_start = state.open().is_none() || self.has(Bug::TwoOpen);
        if may_start && state.operations.len() < OPERATIONS {
            actions.extend((1..=VERSIONS).filter(|n| *n != state.current).map(Action::Start));
        }
        if let Some(index) = state.open() {
            actions.extend([Action::Advance, Action::Cancel]);
            let running = state.operations[index].state == OperationState::Running;
            if let (true, OperationKind::RotateKey { to, .. }) = (running, &state.operations[index].kind) {
                let to = to.as_bytes()[0];
                if left(&state.uses(), version(to)) == 0 && state.operations[index].switched_at.is_none() {
                    let idle = (0..REPLICAS).filter(|replica| state.replicas[*replica] == Pc::Idle);
                    actions.extend(idle.map(Action::Look));
                }
                let left = (0..state.keys.len()).filter(|key| state.keys[*key].wrappings.last() != Some(&to));
                for key in left {
                    let idle = (0..REPLICAS).filter(|replica| state.replicas[*replica] == Pc::Idle);
                    actions.extend(idle.map(|replica| Action::Wrap { replica, key }));
                }
            }
        }
        for replica in 0..REPLICAS {
            match state.replicas[replica] {
                Pc::Idle if state.keys.len() < BIRTHS => actions.push(Action::Conceive(replica)),
                Pc::Idle => {}
                Pc::Wrapped { .. } => actions.extend([Action::Commit(replica), Action::Crash(replica)]),
                Pc::Conceived { .. } => actions.extend([Action::Insert(replica), Action::Crash(replica)]),
                Pc::Cleared { .. } => actions.extend([Action::Switch(replica), Action::Crash(replica)]),
                Pc::Inserted { .. } => actions.extend([Action::Activate(replica), Action::Crash(replica)]),
            }
        }
        actions.extend((1..=VERSIONS).filter(|n| state.disabled & (1 << n) == 0).map(Action::Disable));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Start(to) => {
                if state.disabled & (1 << to) != 0 {
                    return None; // the proof before the first data key fails
                }
                let kind = OperationKind::RotateKey { from: version(state.current), to: version(to) };
                let id = OperationId::new(at(state.operations.len() as i64), [0; 10]);
                state.operations.push(Operation::plan(id, "acme".parse().unwrap(), kind, "ann", 0, at(0)));
            }
            Action::Advance => self.advance(&mut state)?,
            Action::Cancel => {
                let index = state.open()?;
                state.operations[index] = state.operations[index].clone().cancel(at(0)).ok()?;
            }
            Action::Wrap { replica, key } => {
                let over = state.keys[key].wrappings.len() - 1;
                state.replicas[replica] = Pc::Wrapped { operation: state.open()?, key, over };
            }
            Action::Commit(replica) => self.commit(&mut state, replica)?,
            Action::Look(replica) => state.replicas[replica] = Pc::Cleared { operation: state.open()? },
            Action::Switch(replica) => self.switch(&mut state, replica)?,
            Action::Conceive(replica) => {
                state.replicas[replica] = Pc::Conceived { version: state.current, epoch: state.epoch };
            }
            Action::Insert(replica) => {
                let Pc::Conceived { version, epoch } = state.replicas[replica] else { return None };
                let same = epoch == state.epoch || self.has(Bug::EpochNotCompared);
                if same && state.keys.len() < BIRTHS {
                    state.keys.push(Key { state: DataKeyState::Pending, wrappings: vec![version], added: 1 });
                    state.replicas[replica] = Pc::Inserted { key: state.keys.len() - 1 };
                } else {
                    state.replicas[replica] = Pc::Idle;
                }
            }
            Action::Activate(replica) => {
                let Pc::Inserted { key } = state.replicas[replica] else { return None };
                let taken = state.keys.iter().any(|key| key.state == DataKeyState::Active);
                let won = !taken || self.has(Bug::TwoActive);
                state.keys[key].state = if won { DataKeyState::Active } else { DataKeyState::Abandoned };
                state.replicas[replica] = Pc::Idle;
            }
            Action::Crash(replica) => state.replicas[replica] = Pc::Idle,
            Action::Disable(n) => {
                let safe = state.is_safe_to_disable(n) || (self.has(Bug::SafeWhenSwitched) && n != state.current);
                // A version that was never in use is not interesting to disable; nor is one that a start may still choose.
                let was_used = state.keys.iter().any(|key| key.wrappings.contains(&n)) || n == 1;
                if !safe || !was_used {
                    return None;
                }
                state.disabled |= 1 << n;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I-4: a wrapping is added and none is taken away", |_, state: &State| {
                state.keys.iter().all(|key| key.wrappings.len() == key.added)
            }),
            Property::always("I-19: at most one data key is active", |_, state: &State| {
                state.keys.iter().filter(|key| key.state == DataKeyState::Active).count() <= 1
            }),
            Property::always("I-23: at most one operation is open", |_, state: &State| {
                state.operations.iter().filter(|operation| operation.state.is_open()).count() <= 1
            }),
            Property::always("I-23: no data key is under a version that was safe to disable", |_, state: &State| {
                state.keys.iter().all(|key| key.wrappings.last().is_none_or(|n| state.disabled & (1 << n) == 0))
            }),
            Property::always("I-23: nothing is left when a rotation is done", |_, state: &State| {
                let last = state.operations.last();
                let done = last.filter(|last| last.state == OperationState::Done).map(|last| last.kind.clone());
                let Some(OperationKind::RotateKey { to, .. }) = done else { return true };
                state.keys.iter().all(|key| key.wrappings.last() == Some(&to.as_bytes()[0]))
            }),
            Property::sometimes("two rotations end and the first version is disabled", |_, state: &State| {
                let done = state.operations.iter().filter(|operation| operation.state == OperationState::Done).count();
                done == 2 && state.disabled & 2 != 0 && state.keys.iter().any(|key| key.state == DataKeyState::Active)
            }),
        ]
    }
}

/// I-4, I-19, I-23: in every interleaving of two replicas, with a crash at each step.
#[test]
fn two_replicas_rotate_and_crash_and_nothing_is_lost() {
    let checked = Rotating { bug: None }.checker().threads(2).spawn_bfs().join();
    eprintln!("rotation: {} states, {} of them distinct", checked.state_count(), checked.unique_state_count());
    checked.assert_properties();
    assert!(checked.unique_state_count() > 10_000);
}

/// Each comparison that is left out breaks an invariant, so each is needed and each check finds it.
#[test]
fn every_seeded_bug_breaks_its_invariant() {
    for (bug, invariant) in [
        (Bug::EpochNotCompared, "I-23: no data key is under a version that was safe to disable"),
        (Bug::OverNotCompared, "I-23: no data key is under a version that was safe to disable"),
        (Bug::Overwritten, "I-4: a wrapping is added and none is taken away"),
        (Bug::TwoActive, "I-19: at most one data key is active"),
        (Bug::FinishedEarly, "I-23: nothing is left when a rotation is done"),
        (Bug::TwoOpen, "I-23: at most one operation is open"),
        (Bug::SafeWhenSwitched, "I-23: no data key is under a version that was safe to disable"),
    ] {
        let found = HasDiscoveries::AllOf([invariant].into());
        let checked = Rotating { bug: Some(bug) }.checker().threads(2).finish_when(found).spawn_bfs().join();
        assert!(checked.discovery(invariant).is_some(), "{bug:?} was not found");
        eprintln!("{bug:?} breaks {invariant}: {} states", checked.unique_state_count());
    }
}
