//! What holds of a key's life, whatever order its steps are tried in.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{AppId, KeyConfig};

const TIMING: Timing =
    Timing { control_lease: Duration::from_secs(300), margin: Duration::from_secs(60), slack: Duration::from_secs(15) };
const DATE: Timestamp = Timestamp::from_micros(1_900_000_000_000_000);

fn seconds(from_date: i64) -> Timestamp {
    Timestamp::from_micros(DATE.micros() + from_date * 1_000_000)
}

fn plan(at: Timestamp, policy: Policy) -> Plan {
    Plan { at: EnforceAt::utc(at).unwrap(), policy }
}

fn test_of(config: u8, finished_at: Timestamp) -> PassingTest {
    PassingTest::kept([1; 16], [config; 32], finished_at)
}

fn draft() -> KeyLife {
    KeyLife::draft("acme".parse().unwrap(), seconds(-100_000))
}

fn scheduled(policy: Policy) -> KeyLife {
    let now = seconds(-10_000);
    draft().schedule(test_of(1, now), plan(DATE, policy), now, TIMING).unwrap().next
}

fn app() -> AppId {
    "support-bot".parse().unwrap()
}

fn config() -> KeyConfig {
    let location = crate::KeyLocation::from_parts(crate::Cloud::Public, "acme-kv", "byok").unwrap();
    KeyConfig {
        workspace: "acme".parse().unwrap(),
        location,
        tenant: "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap(),
        current_version: crate::KeyVersionId::from_bytes([1; 16]),
        wrap_epoch: 1,
        lease: Duration::from_secs(300),
        configured_at: DATE,
        left_at: None,
        choices: crate::key_config::VersionChoices::default(),
    }
}

fn ruled(life: &KeyLife, now: Timestamp) -> Ruling {
    protection_of(Some(&config()), Some(life), &Selection::Every, &app(), now).ruling
}

/// The guide, in one line: draft, tested, scheduled, enforced.
#[test]
fn a_life_goes_from_draft_to_enforced() {
    let test = test_of(1, seconds(-20_000));
    assert_eq!(draft().phase(None, seconds(-20_000)), Phase::Draft);
    assert_eq!(draft().phase(Some(&test), seconds(-20_000)), Phase::Tested);
    let scheduled = scheduled(Policy::Stay);
    assert_eq!(scheduled.phase(None, seconds(-1_000)), Phase::Scheduled);
    let armed = scheduled.arm(test, seconds(-320), TIMING).unwrap().next;
    assert_eq!(armed.phase(None, seconds(-1)), Phase::Scheduled);
    assert_eq!(armed.phase(None, seconds(0)), Phase::Enforced);
    assert_eq!(ruled(&armed, seconds(-1)), Ruling::PlatformKey);
    assert_eq!(ruled(&armed, seconds(0)), Ruling::Wait { until: DATE.saturating_add(LONGEST_SKEW) });
    assert_eq!(ruled(&armed, seconds(1)), Ruling::CustomerKey);
}

/// I-20, I-22: a decision comes within the freeze and before date − C, neither earlier nor later, and by a test of exactly the
/// configuration that was scheduled.
#[test]
fn a_decision_has_its_time_and_its_test() {
    let arm = |config, at| scheduled(Policy::Stay).arm(test_of(config, seconds(-500)), seconds(at), TIMING).map(|_| ());
    assert_eq!(arm(1, -361), Err(Reason::EnforcementNotDue));
    assert_eq!(arm(1, -360), Ok(()));
    assert_eq!(arm(1, -316), Ok(()));
    assert_eq!(arm(1, -315), Err(Reason::EnforcementMissed));
    assert_eq!(arm(2, -360), Err(Reason::TestOfAnotherConfiguration));
    let old = test_of(1, seconds(-360 - 24 * 60 * 60 - 1));
    assert_eq!(scheduled(Policy::Stay).arm(old, seconds(-360), TIMING), Err(Reason::TestOutdated));
    assert_eq!(draft().arm(test_of(1, seconds(-500)), seconds(-360), TIMING), Err(Reason::KeyNotTested));
}

/// I-21: date and configuration change until the freeze, and not from then on, decided or not.
#[test]
fn nothing_changes_from_the_freeze_on() {
    let later = || plan(seconds(100_000), Policy::Stay);
    for (at, refused) in [(-361, None), (-360, Some(Reason::EnforcementFrozen)), (10, Some(Reason::EnforcementFrozen))]
    {
        let now = seconds(at);
        let edited = scheduled(Policy::Stay).edit(now, TIMING);
        assert_eq!(edited.err(), refused);
        assert_eq!(scheduled(Policy::Stay).schedule(test_of(1, now), later(), now, TIMING).err(), refused);
    }
    let armed = || scheduled(Policy::Stay).arm(test_of(1, seconds(-500)), seconds(-350), TIMING).unwrap().next;
    for (at, refused) in [(-340, Reason::EnforcementFrozen), (5, Reason::KeyAlreadyEnforced)] {
        let now = seconds(at);
        assert_eq!(armed().edit(now, TIMING), Err(refused));
        assert_eq!(armed().schedule(test_of(1, now), later(), now, TIMING), Err(refused));
        assert_eq!(armed().hold_back(Reason::KeyDisabled, now, TIMING), Err(Reason::KeyAlreadyEnforced));
    }
    let old = KeyLife::in_force("acme".parse().unwrap(), DATE);
    assert_eq!(old.clone().edit(DATE, TIMING), Err(Reason::KeyAlreadyEnforced));
    assert_eq!(old.schedule(test_of(1, DATE), later(), DATE, TIMING), Err(Reason::KeyAlreadyEnforced));
}

/// An edit keeps the date and spends the test: armed it can only be after another pass.
#[test]
fn an_edit_keeps_the_date_and_spends_the_test() {
    let edited = scheduled(Policy::Refuse).edit(seconds(-5_000), TIMING).unwrap();
    assert_eq!((edited.phase(None, seconds(-5_000)), edited.plan().unwrap().at.instant()), (Phase::Draft, DATE));
    assert_eq!(edited.clone().arm(test_of(2, seconds(-4_000)), seconds(-350), TIMING), Err(Reason::KeyNotTested));
    let held = edited.hold_back(Reason::KeyNotTested, seconds(-350), TIMING).unwrap().next;
    assert_eq!(held.hold(), Hold::Held { why: Reason::KeyNotTested });
    // Another configuration proves nothing by being another, and a later pass sets another date.
    let held = held.edit(seconds(10), TIMING).unwrap();
    assert_eq!(ruled(&held, seconds(20)), Ruling::Refuse(Reason::EnforcementHeld));
    let again = held.schedule(test_of(2, seconds(30)), plan(seconds(1_000), Policy::Refuse), seconds(30), TIMING);
    assert_eq!(again.unwrap().next.hold(), Hold::None);
}

/// A date is far enough for every replica to know of it, and is refused otherwise with what is wrong.
#[test]
fn a_date_too_soon_is_refused() {
    let now = seconds(0);
    let set = |at| draft().schedule(test_of(1, now), plan(seconds(at), Policy::Stay), now, TIMING).map(|_| ());
    assert_eq!(set(0), Err(Reason::EnforcementDatePast));
    assert_eq!(set(360), Err(Reason::EnforcementDateTooSoon));
    assert_eq!(set(361), Ok(()));
    let old = test_of(1, seconds(-24 * 60 * 60 - 1));
    assert_eq!(draft().schedule(old, plan(seconds(1_000), Policy::Stay), now, TIMING), Err(Reason::TestOutdated));
}

/// A date nobody decided about is not kept: its apps stay, or are refused where that was the choice, and are never enforced.
#[test]
fn an_undecided_date_is_not_kept() {
    assert_eq!(ruled(&scheduled(Policy::Stay), seconds(100)), Ruling::PlatformKey);
    assert_eq!(ruled(&scheduled(Policy::Refuse), seconds(-100)), Ruling::PlatformKey);
    assert_eq!(ruled(&scheduled(Policy::Refuse), seconds(100)), Ruling::Refuse(Reason::EnforcementHeld));
}

/// What is not selected, or has no customer key, is under the platform's, switch or no switch.
#[test]
fn what_is_not_selected_is_not_touched() {
    let off = KeyLife::in_force("acme".parse().unwrap(), DATE).revoke(Cause::KillSwitch, DATE).unwrap().next;
    let none = Selection::Only(std::collections::BTreeSet::new());
    let key = config();
    let rule = |config, selection| protection_of(config, Some(&off), selection, &app(), DATE).ruling;
    assert_eq!(rule(Some(&key), &Selection::Every), Ruling::Refuse(Reason::KeyRevoked));
    assert_eq!(rule(Some(&key), &none), Ruling::PlatformKey);
    assert_eq!(rule(None, &Selection::Every), Ruling::PlatformKey);
    assert_eq!(
        protection_of(Some(&config()), None, &Selection::Every, &app(), DATE).ruling,
        Ruling::Refuse(Reason::RowForged),
        "a key whose life was taken away"
    );
}

/// Rehearsals come a day and an hour before, each once, and a day's that was missed gives way to the hour's.
#[test]
fn rehearsals_come_once() {
    let mut scheduled = Scheduled { plan: plan(DATE, Policy::Stay), test: test_of(1, DATE), rehearsed: None };
    assert_eq!(scheduled.due(seconds(-86_401)), None);
    assert_eq!(scheduled.due(seconds(-86_400)), Some(Rehearsal::Day));
    assert_eq!(scheduled.due(seconds(-3_600)), Some(Rehearsal::Hour));
    scheduled.rehearsed = Some(Rehearsal::Day);
    assert_eq!((scheduled.due(seconds(-3_601)), scheduled.due(seconds(-1))), (None, Some(Rehearsal::Hour)));
    scheduled.rehearsed = Some(Rehearsal::Hour);
    assert_eq!(scheduled.due(seconds(-1)), None);
}

#[derive(Debug, Clone, Copy)]
enum Try {
    Schedule { test: u8, date: i64 },
    Edit,
    Arm { test: u8 },
    HoldBack,
    Revoke,
    Restore,
}

fn tries() -> impl Strategy<Value = Vec<(i64, Try)>> {
    let one = prop_oneof![
        (1..3u8, 0..4_000i64).prop_map(|(test, date)| Try::Schedule { test, date }),
        Just(Try::Edit),
        (1..3u8).prop_map(|test| Try::Arm { test }),
        Just(Try::HoldBack),
        Just(Try::Revoke),
        Just(Try::Restore),
    ];
    proptest::collection::vec((0..400i64, one), 1..40)
}

proptest! {
    /// I-20, I-21, I-22: in whatever order and at whatever time the steps are tried, what is armed was armed in its time by a
    /// test of the configuration that is there, and stays as it is; every change is counted; and no clock within ±500 ms of the
    /// date seals.
    #[test]
    fn no_order_of_steps_arms_what_is_not_proven(tries in tries()) {
        let (mut life, mut config, mut now) = (draft(), 1u8, seconds(0));
        let mut armed: Option<Armed> = None;
        for (pause, what) in tries {
            now = now.saturating_add(Duration::from_secs(pause.unsigned_abs()));
            let before = life.clone();
            let outcome = match what {
                Try::Schedule { test, date } => {
                    let at = now.saturating_add(Duration::from_secs(date.unsigned_abs()));
                    // Only a test of the configuration there is gets this far: `PassingTest::admit`.
                    let facts = TestFacts { id: [0; 16], config_hash: [test; 32], finished_at: now, passed: true };
                    let admitted = PassingTest::admit(&facts, &[config; 32], now);
                    admitted.and_then(|test| life.schedule(test, plan(at, Policy::Stay), now, TIMING).map(|step| step.next))
                }
                Try::Edit => life.edit(now, TIMING).inspect(|_| config = 3 - config),
                Try::Arm { test } => life.arm(test_of(test, now), now, TIMING).map(|step| step.next),
                Try::HoldBack => life.hold_back(Reason::KeyDisabled, now, TIMING).map(|step| step.next),
                Try::Revoke => life.revoke(Cause::KillSwitch, now).map(|step| step.next).map_err(|_| Reason::KeyRevoked),
                Try::Restore => life.restore(now).map(|step| step.next).map_err(|_| Reason::KeyRevoked),
            };
            life = match outcome {
                Ok(next) => {
                    prop_assert_eq!(next.change, before.change + 1);
                    next
                }
                Err(_) => before,
            };
            if let Enforcement::Armed(present) = &life.enforcement {
                prop_assert_eq!(present.test.config_hash(), &[config; 32]);
                let at = present.plan.at.instant();
                let first = armed.get_or_insert_with(|| {
                    assert!(TIMING.freeze(at) <= now && now < TIMING.decide_before(at), "armed in its time");
                    present.clone()
                });
                prop_assert_eq!(&*first, present);
            } else {
                prop_assert!(armed.is_none(), "what is armed stays armed");
            }
        }
    }

    /// I-20: asked at any time, a ruling says itself how long it is good for, and around an armed date nobody seals.
    #[test]
    fn a_ruling_knows_its_end(offset in -2_000_000i64..2_000_000, later in 0i64..2_000_000) {
        let armed = scheduled(Policy::Stay).arm(test_of(1, seconds(-500)), seconds(-350), TIMING).unwrap().next;
        let now = Timestamp::from_micros(DATE.micros() + offset);
        let rule = |now| protection_of(Some(&config()), Some(&armed), &Selection::Every, &app(), now);
        let ruled = rule(now);
        prop_assert!(ruled.holds(now));
        let then = now.saturating_add(Duration::from_micros(later.unsigned_abs()));
        prop_assert_eq!(ruled.holds(then), rule(then) == ruled);
        match ruled.ruling {
            Ruling::PlatformKey => prop_assert!(offset < -500_000),
            Ruling::CustomerKey => prop_assert!(offset >= 500_000),
            Ruling::Wait { until } => prop_assert!(until > now && until.micros() == DATE.micros() + 500_000),
            Ruling::Refuse(_) => prop_assert!(false),
        }
    }
}
