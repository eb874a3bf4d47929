//! The date from which a customer's key is used: set, moved, rehearsed, decided, kept or held.

use std::time::Duration;

use domain::key_life::{Enforcement, Hold, Phase, Policy};
use domain::{Protection, Reason, Timestamp};
use envelope::Context;
use service::{ConfigureKey, KeyStatus, Refusal, ScheduleEnforcement, SeededBug, Service};
use testkit::{TestApp, TestWorkspace, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A world whose workspace acme has a key that passed its test, and two apps.
async fn tested(world: &World) -> (TestWorkspace, TestApp, TestApp) {
    let acme = world.workspace("acme").await;
    let (bot, crm) = (acme.app("bot").await, acme.app("crm").await);
    world.vault.create_key(&acme.key());
    acme.configure(acme.request()).await.unwrap();
    acme.prove_ownership().await;
    assert!(acme.test_key().await.unwrap().passed());
    (acme, bot, crm)
}

fn local(at: Timestamp) -> String {
    at.to_string().chars().take(19).collect()
}

/// A date so much after now, at Greenwich.
fn date(world: &World, ahead: Duration, policy: Policy) -> ScheduleEnforcement {
    ScheduleEnforcement { local: local(world.wall().saturating_add(ahead)), zone: "UTC".into(), policy }
}

async fn schedule(world: &World, acme: &TestWorkspace, request: ScheduleEnforcement) -> Result<KeyStatus, Refusal> {
    world.service.schedule_enforcement(&acme.may_schedule(), request).await
}

async fn status(world: &World, acme: &TestWorkspace) -> KeyStatus {
    world.service.key_status(&acme.may_read_key()).await.unwrap()
}

async fn phase(world: &World, acme: &TestWorkspace) -> Phase {
    status(world, acme).await.phase(world.wall())
}

async fn protection(service: &Service, app: &TestApp) -> Result<Protection, Reason> {
    let sealed = service.encrypt(&app.may_encrypt(), &Context::empty(), b"x", &mut Vec::new()).await;
    sealed.map(|sealed| sealed.protection).map_err(|refusal| refusal.reason())
}

/// Goes on by so much, and lets what is due happen. The control lease is kept fresh, as the loops do.
async fn pass(world: &World, by: Duration) {
    world.clock.advance(by);
    world.service.run_due_tasks().await;
    world.service.keep_dates_now().await;
}

/// I-20: by the replica's own clock the platform's key until the date and the customer's after it, by data keys that were
/// wrapped before. `false`: it does not hold.
async fn the_date_is_kept(world: World) -> bool {
    let (acme, bot, crm) = tested(&world).await;
    assert_eq!(phase(&world, &acme).await, Phase::Tested);
    schedule(&world, &acme, date(&world, 2 * HOUR, Policy::Stay)).await.unwrap();
    assert_eq!(phase(&world, &acme).await, Phase::Scheduled);
    let early = bot.encrypt(b"early").await.unwrap();
    assert_eq!(protection(&world.service, &bot).await, Ok(Protection::PlatformKey));

    // Up to the middle of the freeze: rehearsed, made ready, tested again, armed.
    pass(&world, HOUR).await;
    pass(&world, HOUR - Duration::from_secs(390)).await;
    pass(&world, Duration::from_secs(40)).await;
    let armed = status(&world, &acme).await;
    assert!(matches!(armed.life.enforcement, Enforcement::Armed(_)), "{:?}", armed.life);
    assert_eq!(armed.phase(world.wall()), Phase::Scheduled);
    let heard = world.audit_names(&acme.id).await;
    for name in ["enforcement.scheduled", "enforcement.rehearsed", "enforcement.armed"] {
        assert_eq!(heard.iter().filter(|heard| *heard == name).count(), 1, "{name} in {heard:?}");
    }

    // A moment before the date, and a moment after it: only the clock has moved.
    pass(&world, Duration::from_secs(348)).await;
    assert_eq!(protection(&world.service, &bot).await, Ok(Protection::PlatformKey));
    assert_eq!(phase(&world, &acme).await, Phase::Scheduled);
    let wraps = world.vault.calls().wrap;
    world.clock.advance(Duration::from_secs(3));
    world.service.run_due_tasks().await;
    assert_eq!(phase(&world, &acme).await, Phase::Enforced);
    for app in [&bot, &crm] {
        if protection(&world.service, app).await != Ok(Protection::CustomerKey) {
            return false;
        }
    }
    assert_eq!(world.vault.calls().wrap, wraps, "every data key was ready");
    assert_eq!(bot.decrypt(&early).await.unwrap(), b"early");
    true
}

#[tokio::test]
async fn the_date_is_kept_by_the_clock() {
    assert!(the_date_is_kept(World::start()).await);
}

#[tokio::test]
async fn a_ruling_that_outlives_its_time_is_noticed() {
    assert!(!the_date_is_kept(World::with_bug(SeededBug::RulingKept)).await);
}

/// I-22: what passed once and fails in the freeze is not armed; its apps stay on the platform's key, loudly, and as soon as a
/// test passes another date is set and kept. `false`: a key that does not work came into force.
async fn an_unfit_key_is_held(world: World) -> bool {
    let (acme, bot, _) = tested(&world).await;
    schedule(&world, &acme, date(&world, HOUR, Policy::Stay)).await.unwrap();
    let version = status(&world, &acme).await.config.current_version;
    world.vault.disable(&acme.key(), version);
    pass(&world, HOUR - Duration::from_secs(350)).await;
    for _ in 0..6 {
        pass(&world, Duration::from_secs(8)).await;
    }
    let held = status(&world, &acme).await;
    if held.life.hold() != (Hold::Held { why: Reason::KeyDisabled }) {
        return false;
    }
    assert!(world.audit_names(&acme.id).await.contains(&"enforcement.held".to_owned()));
    pass(&world, 6 * MINUTE).await;
    assert_eq!(protection(&world.service, &bot).await, Ok(Protection::PlatformKey));

    // Still broken: nothing changes. Mended: another date, the same way.
    pass(&world, 16 * MINUTE).await;
    assert_eq!(status(&world, &acme).await.life, held.life);
    world.vault.enable(&acme.key(), version);
    pass(&world, 16 * MINUTE).await;
    let again = status(&world, &acme).await;
    assert!(matches!(again.life.enforcement, Enforcement::Scheduled(_)), "{:?}", again.life);
    let at = again.life.plan().unwrap().at.instant();
    let ahead = world.wall().until(at);
    pass(&world, ahead - Duration::from_secs(340)).await;
    pass(&world, Duration::from_secs(341)).await;
    assert_eq!(protection(&world.service, &bot).await, Ok(Protection::CustomerKey));
    true
}

#[tokio::test]
async fn a_key_that_fails_its_last_test_is_held_and_tried_again() {
    assert!(an_unfit_key_is_held(World::start()).await);
}

#[tokio::test]
async fn a_date_armed_by_an_old_test_is_noticed() {
    assert!(!an_unfit_key_is_held(World::with_bug(SeededBug::ArmedUntested)).await);
}

/// Who chose to refuse is refused from the date on, and stays refused while the next date is on its way.
#[tokio::test]
async fn refuse_means_refused_until_the_key_works() {
    let world = World::start();
    let (acme, bot, _) = tested(&world).await;
    schedule(&world, &acme, date(&world, HOUR, Policy::Refuse)).await.unwrap();
    let version = status(&world, &acme).await.config.current_version;
    world.vault.disable(&acme.key(), version);
    pass(&world, HOUR - Duration::from_secs(320)).await;
    pass(&world, Duration::from_secs(300)).await;
    assert_eq!(protection(&world.service, &bot).await, Ok(Protection::PlatformKey));
    pass(&world, Duration::from_secs(21)).await;
    assert_eq!(protection(&world.service, &bot).await, Err(Reason::EnforcementHeld));
    world.vault.enable(&acme.key(), version);
    pass(&world, 16 * MINUTE).await;
    assert!(matches!(status(&world, &acme).await.life.enforcement, Enforcement::Scheduled(_)));
    assert_eq!(protection(&world.service, &bot).await, Err(Reason::EnforcementHeld));
}

/// Nobody was there to decide: the date is not kept, and everybody is told why.
#[tokio::test]
async fn a_date_nobody_decided_is_not_kept() {
    let world = World::start();
    let (acme, bot, _) = tested(&world).await;
    schedule(&world, &acme, date(&world, HOUR, Policy::Stay)).await.unwrap();
    world.clock.advance(2 * HOUR);
    world.service.run_due_tasks().await;
    assert_eq!(protection(&world.service, &bot).await, Ok(Protection::PlatformKey), "undecided is decided against");
    world.service.keep_dates_now().await;
    assert_eq!(status(&world, &acme).await.life.hold(), Hold::Held { why: Reason::EnforcementMissed });
}

/// I-22: without a passing test of exactly this configuration, not older than a day, there is no date; nor one that is past,
/// that is too close, or that no clock shows once. Nothing is written.
#[tokio::test]
async fn a_date_needs_a_test_and_a_time_that_exists() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let reason = async |request| schedule(&world, &acme, request).await.map(drop).map_err(|refusal| refusal.reason());
    let soon = || date(&world, HOUR, Policy::Stay);
    assert_eq!(reason(soon()).await, Err(Reason::KeyNotConfigured));
    world.vault.create_key(&acme.key());
    acme.configure(acme.request()).await.unwrap();
    assert_eq!(reason(soon()).await, Err(Reason::KeyNotTested));
    acme.test_key().await.unwrap();
    assert_eq!(reason(soon()).await, Err(Reason::KeyNotTested), "it failed: ownership was not proven");
    acme.prove_ownership().await;
    world.clock.advance(Duration::from_secs(1));
    acme.test_key().await.unwrap();
    for (request, why) in [
        (date(&world, Duration::from_secs(359), Policy::Stay), Reason::EnforcementDateTooSoon),
        (ScheduleEnforcement { local: "2020-01-01".into(), ..soon() }, Reason::EnforcementDatePast),
        (ScheduleEnforcement { zone: String::new(), ..soon() }, Reason::EnforcementZoneMissing),
        (ScheduleEnforcement { zone: "Mars/Olympus".into(), ..soon() }, Reason::EnforcementZoneUnknown),
        (ScheduleEnforcement { local: "tomorrow".into(), ..soon() }, Reason::EnforcementDateInvalid),
        (
            ScheduleEnforcement { local: "2027-03-28T02:30".into(), zone: "Europe/Berlin".into(), ..soon() },
            Reason::EnforcementDateInGap,
        ),
        (
            ScheduleEnforcement { local: "2027-10-31T02:30".into(), zone: "Europe/Berlin".into(), ..soon() },
            Reason::EnforcementDateAmbiguous,
        ),
    ] {
        assert_eq!(reason(request.clone()).await, Err(why), "{request:?}");
    }
    world.clock.advance(25 * HOUR);
    assert_eq!(reason(soon()).await, Err(Reason::TestOutdated));
    acme.test_key().await.unwrap();
    let version = world.vault.create_key(&acme.key());
    let edited =
        ConfigureKey { key_identifier: format!("{}/{version}", acme.request().key_identifier), ..acme.request() };
    acme.configure(edited).await.unwrap();
    assert_eq!(reason(soon()).await, Err(Reason::TestOfAnotherConfiguration));
    assert_eq!(status(&world, &acme).await.life.plan(), None);
}

/// I-21: until the freeze the configuration and the date change, and an edit makes it a draft with the date it had, which
/// stands again after another test; in the freeze and after the date nothing changes but a lower lease. `false`: something did.
async fn the_freeze_freezes(world: World) -> bool {
    let (acme, bot, _) = tested(&world).await;
    schedule(&world, &acme, date(&world, 3 * HOUR, Policy::Stay)).await.unwrap();
    let moved = schedule(&world, &acme, date(&world, 2 * HOUR, Policy::Stay)).await.unwrap();
    let at = moved.life.plan().unwrap().at.instant();
    let version = world.vault.create_key(&acme.key());
    let another = |version: domain::KeyVersionId| ConfigureKey {
        key_identifier: format!("{}/{version}", acme.request().key_identifier),
        ..acme.request()
    };
    acme.configure(another(version)).await.unwrap();
    let edited = status(&world, &acme).await;
    assert_eq!((edited.phase(world.wall()), edited.life.plan().unwrap().at.instant()), (Phase::Draft, at));
    assert!(edited.trouble().is_some(), "it is said that the date is in danger");
    acme.prove_ownership().await;
    assert!(acme.test_key().await.unwrap().passed());
    pass(&world, MINUTE).await;
    assert_eq!(phase(&world, &acme).await, Phase::Scheduled);

    let ahead = world.wall().until(at);
    world.clock.advance(ahead - Duration::from_secs(350));
    world.service.run_due_tasks().await;
    let third = world.vault.create_key(&acme.key());
    match acme.configure(another(third)).await {
        Ok(_) => return false,
        Err(refusal) => assert_eq!(refusal.reason(), Reason::EnforcementFrozen),
    }
    let frozen = schedule(&world, &acme, date(&world, 5 * HOUR, Policy::Stay)).await.unwrap_err();
    assert_eq!(frozen.reason(), Reason::EnforcementFrozen);

    world.service.keep_dates_now().await;
    pass(&world, Duration::from_secs(351)).await;
    assert_eq!(protection(&world.service, &bot).await, Ok(Protection::CustomerKey));
    for (request, works) in [
        (another(third), false),
        (ConfigureKey { tenant_id: "11111111-2222-3333-4444-555555555555".into(), ..acme.request() }, false),
        (ConfigureKey { lease: Some(MINUTE), ..acme.request() }, true),
        (ConfigureKey { lease: Some(2 * MINUTE), ..acme.request() }, false),
    ] {
        let outcome = acme.configure(request.clone()).await.map(drop).map_err(|refusal| refusal.reason());
        assert_eq!(outcome, if works { Ok(()) } else { Err(Reason::KeyAlreadyEnforced) }, "{request:?}");
    }
    let late = schedule(&world, &acme, date(&world, 5 * HOUR, Policy::Stay)).await.unwrap_err();
    assert_eq!(late.reason(), Reason::KeyAlreadyEnforced);
    true
}

#[tokio::test]
async fn nothing_changes_from_the_freeze_on() {
    assert!(the_freeze_freezes(World::start()).await);
}

#[tokio::test]
async fn an_edit_in_the_freeze_is_noticed() {
    assert!(!the_freeze_freezes(World::with_bug(SeededBug::FreezeIgnored)).await);
}

/// I-18: data keys that were made ready for a key are not used for the one that takes its place before the date: each app's
/// first ciphertext is under the new one. `false`: it is under the old one.
async fn what_was_ready_goes_with_its_key(world: World) -> bool {
    let (acme, bot, _) = tested(&world).await;
    schedule(&world, &acme, date(&world, 30 * MINUTE, Policy::Stay)).await.unwrap();
    pass(&world, 30 * MINUTE - Duration::from_secs(364)).await;
    assert_eq!(world.data_keys(&acme.id).await.len(), 2, "made ready before the freeze");
    let version = world.vault.create_key(&acme.key());
    let another =
        ConfigureKey { key_identifier: format!("{}/{version}", acme.request().key_identifier), ..acme.request() };
    acme.configure(another).await.unwrap();
    acme.prove_ownership().await;
    assert!(acme.test_key().await.unwrap().passed());
    schedule(&world, &acme, date(&world, 30 * MINUTE, Policy::Stay)).await.unwrap();
    pass(&world, 30 * MINUTE - Duration::from_secs(340)).await;
    pass(&world, Duration::from_secs(341)).await;
    let sealed = world.service.encrypt(&bot.may_encrypt(), &Context::empty(), b"x", &mut Vec::new()).await.unwrap();
    assert_eq!(sealed.protection, Protection::CustomerKey);
    sealed.key_version == Some(version)
}

#[tokio::test]
async fn a_data_key_made_ready_goes_with_the_key_it_was_made_for() {
    assert!(what_was_ready_goes_with_its_key(World::start()).await);
}

#[tokio::test]
async fn a_data_key_kept_for_another_key_is_noticed() {
    assert!(!what_was_ready_goes_with_its_key(World::with_bug(SeededBug::StagedKeysKept)).await);
}

/// Two replicas decide at once: one decision, one record; and both keep the date.
#[tokio::test]
async fn two_replicas_decide_once() {
    let world = World::start();
    let (acme, bot, _) = tested(&world).await;
    let other = world.another_service();
    schedule(&world, &acme, date(&world, HOUR, Policy::Stay)).await.unwrap();
    world.clock.advance(HOUR - Duration::from_secs(340));
    for service in [&world.service, &other] {
        service.run_due_tasks().await;
    }
    tokio::join!(world.service.keep_dates_now(), other.keep_dates_now());
    let decided = |name: &String| name.starts_with("enforcement.armed") || name.starts_with("enforcement.held");
    assert_eq!(world.audit_names(&acme.id).await.iter().filter(|name| decided(name)).count(), 1);
    world.clock.advance(Duration::from_secs(341));
    for service in [&world.service, &other] {
        service.run_due_tasks().await;
        assert_eq!(protection(service, &bot.through(service)).await, Ok(Protection::CustomerKey));
    }
}

/// A key that is not in force yet is not rotated: another version is another configuration, and goes through its test.
#[tokio::test]
async fn only_a_key_in_force_is_rotated() {
    let world = World::start();
    let (acme, ..) = tested(&world).await;
    world.vault.create_key(&acme.key());
    assert_eq!(acme.rotate().await.map(drop).unwrap_err().reason(), Reason::KeyNotEnforced);
    world.service.follow_new_versions().await.unwrap();
    assert!(world.store.inner().open_operations().await.unwrap().is_empty());
}

/// I-20: a stream that was begun before the date does not go on under the platform's key after it: its next bytes are refused,
/// and so is its end. `false`: it went on.
async fn a_stream_keeps_to_the_date(world: World) -> bool {
    let (acme, bot, _) = tested(&world).await;
    schedule(&world, &acme, date(&world, HOUR, Policy::Stay)).await.unwrap();
    pass(&world, HOUR - Duration::from_secs(340)).await;
    let (mut out, nothing) = (Vec::new(), Context::empty());
    let mut pushed = world.service.encrypt_stream(&bot.may_encrypt(), &nothing, &mut out).await.unwrap();
    let ended = world.service.encrypt_stream(&bot.may_encrypt(), &nothing, &mut Vec::new()).await.unwrap();
    pushed.push(b"before", &mut out).await.unwrap();
    pass(&world, Duration::from_secs(341)).await;
    let (length, mut end) = (out.len(), Vec::new());
    match (pushed.push(b"after", &mut out).await, ended.finish(&mut end).await) {
        (Err(push), Err(finish)) => {
            assert_eq!((push.reason(), finish.reason()), (Reason::ChangedMeanwhile, Reason::ChangedMeanwhile));
            assert_eq!((out.len(), end.len()), (length, 0), "nothing of it was given out");
            true
        }
        _ => false,
    }
}

#[tokio::test]
async fn a_stream_does_not_outlive_the_date_under_the_old_key() {
    assert!(a_stream_keeps_to_the_date(World::start()).await);
}

#[tokio::test]
async fn a_stream_that_does_is_noticed() {
    assert!(!a_stream_keeps_to_the_date(World::with_bug(SeededBug::RulingKept)).await);
}

/// Who is refused since a date that was not kept stays refused when an admin moves the next date.
#[tokio::test]
async fn moving_a_date_takes_no_refusal_back() {
    let world = World::start();
    let (acme, bot, _) = tested(&world).await;
    schedule(&world, &acme, date(&world, HOUR, Policy::Refuse)).await.unwrap();
    world.clock.advance(HOUR + MINUTE);
    world.service.run_due_tasks().await;
    world.service.keep_dates_now().await;
    assert_eq!(status(&world, &acme).await.life.hold(), Hold::Held { why: Reason::EnforcementMissed });
    world.clock.advance(Duration::from_secs(1));
    world.service.keep_dates_now().await;
    assert!(
        matches!(status(&world, &acme).await.life.enforcement, Enforcement::Scheduled(_)),
        "the next one is on its way"
    );
    schedule(&world, &acme, date(&world, 5 * HOUR, Policy::Refuse)).await.unwrap();
    schedule(&world, &acme, date(&world, 9 * HOUR, Policy::Refuse)).await.unwrap();
    assert_eq!(protection(&world.service, &bot).await, Err(Reason::EnforcementHeld));
    schedule(&world, &acme, date(&world, 9 * HOUR, Policy::Stay)).await.unwrap();
    assert_eq!(protection(&world.service, &bot).await, Ok(Protection::PlatformKey), "no longer wanted");
}
