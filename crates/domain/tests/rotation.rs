//! The answer to "may I disable this version?" held against the truth, over random histories.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::operation::{Operation, OperationId, OperationKind};
use domain::rotation::{Facts, Rotation, Safety, VersionUse};
use domain::{Cloud, KeyConfig, KeyLocation, KeyVersionId, Timestamp};
use proptest::prelude::*;

/// How many versions a key has had.
const VERSIONS: u8 = 50;
/// How long a replica acts on what it read, in seconds.
const C: u64 = 300;

fn version(n: u8) -> KeyVersionId {
    KeyVersionId::from_bytes([n; 16])
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000)
}

/// What may happen next.
#[derive(Debug, Clone)]
enum Event {
    /// Time passes, in seconds.
    Wait(u64),
    /// A data key is born under the version in force.
    Birth,
    /// A rotation to this version begins, if none is open.
    Start(u8),
    /// Some data keys of the open rotation are wrapped by its version.
    Wrap(usize),
    /// The open rotation goes on: it switches, or ends, if it can.
    Advance,
    /// The open rotation is cancelled.
    Cancel,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (1u64..400).prop_map(Event::Wait),
        2 => Just(Event::Birth),
        4 => (1..=VERSIONS).prop_map(Event::Start),
        4 => (1usize..30).prop_map(Event::Wrap),
        6 => Just(Event::Advance),
        1 => Just(Event::Cancel),
    ];
    prop::collection::vec(event, 1..250)
}

/// A workspace, and for each version the last second in which the database said that it is needed.
struct World {
    now: u64,
    config: KeyConfig,
    /// The versions each data key was wrapped by, with the second.
    data_keys: Vec<Vec<(u8, u64)>>,
    operations: Vec<Operation>,
    needed_until: BTreeMap<u8, u64>,
}

impl World {
    fn new() -> Self {
        let config = KeyConfig {
            workspace: "acme".parse().unwrap(),
            location: KeyLocation::from_parts(Cloud::Public, "acme-kv", "byok").unwrap(),
            tenant: "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap(),
            current_version: version(1),
            wrap_epoch: 1,
            lease: Duration::from_secs(300),
            configured_at: at(1),
            left_at: None,
            choices: domain::key_config::VersionChoices::default(),
        };
        let mut world =
            Self { now: 1, config, data_keys: Vec::new(), operations: Vec::new(), needed_until: BTreeMap::new() };
        world.observe();
        world
    }

    fn current(&self, version: u8) -> usize {
        self.data_keys.iter().filter(|wrappings| wrappings.last().unwrap().0 == version).count()
    }

    /// The truth, without the code under test: in force, target of an open rotation, or some data key's newest wrapping.
    fn is_needed(&self, n: u8) -> bool {
        let target = self
            .open()
            .is_some_and(|open| matches!(open.kind, OperationKind::RotateKey { to, .. } if to == version(n)));
        self.config.current_version == version(n) || target || self.current(n) > 0
    }

    fn observe(&mut self) {
        for n in 1..=VERSIONS {
            if self.is_needed(n) {
                self.needed_until.insert(n, self.now);
            }
        }
    }

    fn open(&self) -> Option<&Operation> {
        self.operations.last().filter(|operation| operation.state.is_open())
    }

    fn uses(&self) -> Vec<VersionUse> {
        let mut uses: BTreeMap<u8, VersionUse> = BTreeMap::new();
        let fresh = |n| VersionUse { version: version(n), data_keys: 0, left_at: None };
        for wrappings in &self.data_keys {
            for pair in wrappings.windows(2).filter(|pair| pair[0].0 != pair[1].0) {
                let found = uses.entry(pair[0].0).or_insert_with(|| fresh(pair[0].0));
                found.left_at = found.left_at.max(Some(at(pair[1].1)));
            }
            let n = wrappings.last().unwrap().0;
            uses.entry(n).or_insert_with(|| fresh(n)).data_keys += 1;
        }
        uses.into_values().collect()
    }

    fn apply(&mut self, event: &Event) {
        let now = at(self.now);
        match event {
            Event::Wait(seconds) => self.now += seconds,
            Event::Birth => {
                let n = self.config.current_version.as_bytes()[0];
                self.data_keys.push(vec![(n, self.now)]);
            }
            Event::Start(n) if self.open().is_none() => {
                let kind = OperationKind::RotateKey { from: self.config.current_version, to: version(*n) };
                let id = OperationId::new(now, [0; 10]);
                let planned = Operation::plan(id, self.config.workspace.clone(), kind, "ann", 0, now);
                self.operations.push(planned);
            }
            Event::Start(_) => {}
            Event::Wrap(count) => {
                let Some(OperationKind::RotateKey { to, .. }) = self.open().map(|open| open.kind.clone()) else {
                    return;
                };
                let (to, now) = (to.as_bytes()[0], self.now);
                let left = self.data_keys.iter_mut().filter(|wrappings| wrappings.last().unwrap().0 != to);
                left.take(*count).for_each(|wrappings| wrappings.push((to, now)));
            }
            Event::Advance => {
                let Some(open) = self.open().cloned() else { return };
                let uses = self.uses();
                let next = match Rotation::of(open).unwrap() {
                    Rotation::Planned(step) => step.begin(now),
                    Rotation::Wrapping(step) => step.switch(&self.config, &uses, now).map(|(operation, config)| {
                        self.config = config;
                        operation
                    }),
                    Rotation::Switched(step) => step.finish(&uses, now),
                    Rotation::Ended => return,
                };
                if let (Ok(next), Some(last)) = (next, self.operations.last_mut()) {
                    *last = next;
                }
            }
            Event::Cancel => {
                let Some(open) = self.open().cloned() else { return };
                *self.operations.last_mut().unwrap() = open.cancel(now).unwrap();
            }
        }
        self.observe();
    }

    fn answer(&self, n: u8, read_holds_for: u64) -> Safety {
        let (uses, operations) = (self.uses(), &self.operations);
        let read_holds_for = Duration::from_secs(read_holds_for);
        let facts = Facts {
            in_force: Some(self.config.current_version),
            newest: &[],
            uses: &uses,
            operations,
            now: at(self.now),
            read_holds_for,
        };
        facts.safe_to_disable(version(n))
    }

    /// What every replica that serves has read: no version that was needed within C, or is.
    fn truth(&self, n: u8) -> bool {
        !self.is_needed(n) && self.needed_until.get(&n).is_none_or(|until| self.now > until + C)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// I-23: with 50 versions and any history, the answer is the truth for every version at every moment; and disabling every
    /// version that is said to be safe leaves every data key with an enabled version, and births too.
    #[test]
    fn the_answer_is_the_truth_and_disabling_what_is_safe_breaks_nothing(events in events()) {
        let mut world = World::new();
        for event in &events {
            world.apply(event);
            for n in 1..=VERSIONS {
                prop_assert_eq!(world.answer(n, C).is_safe(), world.truth(n), "version {} at {}: {:?}", n, world.now, world.answer(n, C));
            }
            let disabled: Vec<u8> = (1..=VERSIONS).filter(|n| world.answer(*n, C).is_safe()).collect();
            prop_assert!(!disabled.contains(&world.config.current_version.as_bytes()[0]));
            for wrappings in &world.data_keys {
                prop_assert!(!disabled.contains(&wrappings.last().unwrap().0));
            }
        }
    }
}

/// Seeded bug: an answer that does not wait for C calls a version safe that a replica may still act on. So the check above
/// would find it.
#[test]
fn without_waiting_for_c_the_answer_would_be_wrong() {
    let mut world = World::new();
    let (birth, start) = (Event::Birth, Event::Start(2));
    for event in [birth, start, Event::Advance, Event::Wrap(9), Event::Advance, Event::Advance, Event::Wait(1)] {
        world.apply(&event);
    }
    assert_eq!(world.config.current_version, version(2));
    assert!(world.answer(1, 0).is_safe() && !world.truth(1), "the seeded bug was not found");
    assert!(!world.answer(1, C).is_safe());
    world.apply(&Event::Wait(C));
    assert!(world.answer(1, C).is_safe() && world.truth(1));
}
