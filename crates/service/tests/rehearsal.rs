//! What a date needs before it comes: rehearsals that tell what is wrong while there is time, and data keys made ready in time.

use std::time::Duration;

use domain::Reason;
use domain::key_life::{Phase, Policy};
use service::{KeyStatus, Options, ScheduleEnforcement, SeededBug};
use testkit::{TestWorkspace, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// C and the margin.
const FREEZE: Duration = Duration::from_secs(360);

/// A workspace whose key has passed its test, with a date so far ahead.
async fn scheduled(world: &World, ahead: Duration) -> TestWorkspace {
    let acme = world.workspace("acme").await;
    world.vault.create_key(&acme.key());
    acme.configure(acme.request()).await.unwrap();
    acme.prove_ownership().await;
    world.clock.advance(MINUTE);
    assert!(acme.test_key().await.unwrap().passed());
    let local = world.wall().saturating_add(ahead).to_string().chars().take("2027-03-01T09:00:00".len()).collect();
    let request = ScheduleEnforcement { local, zone: "UTC".into(), policy: Policy::Stay };
    world.service.schedule_enforcement(&acme.may_schedule(), request).await.unwrap();
    acme
}

async fn status(world: &World, acme: &TestWorkspace) -> KeyStatus {
    world.service.key_status(&acme.may_read_key()).await.unwrap()
}

async fn pass(world: &World, by: Duration) {
    world.clock.advance(by);
    world.service.run_due_tasks().await;
    world.service.keep_dates_now().await;
}

/// What the rehearsals so far found, as it was recorded.
async fn found(world: &World, acme: &TestWorkspace) -> Vec<String> {
    let events = world.audit(&acme.id).await;
    let rehearsed = events.into_iter().filter(|event| event.name == "enforcement.rehearsed");
    rehearsed.map(|event| format!("{:?}", event.details)).collect()
}

/// Whether an admin who reads the key a day before its date is told what the rehearsal found, and no more once it is mended.
async fn a_rehearsal_tells_what_is_wrong(world: World) -> bool {
    let acme = scheduled(&world, 26 * HOUR).await;
    pass(&world, HOUR).await;
    assert_eq!(status(&world, &acme).await.trouble(), None);
    assert!(found(&world, &acme).await.is_empty(), "none is due yet");

    let version = status(&world, &acme).await.config.current_version;
    world.vault.disable(&acme.key(), version);
    pass(&world, HOUR + MINUTE).await;
    let told = found(&world, &acme).await;
    assert!(told.first().is_some_and(|told| told.contains("DAY") && told.contains("KEY_DISABLED")), "{told:?}");
    let seen = status(&world, &acme).await;
    assert_eq!(seen.phase(world.wall()), Phase::Scheduled, "the date stands: there is time");
    if seen.trouble() != Some(Reason::KeyDisabled) {
        return false;
    }

    world.vault.enable(&acme.key(), version);
    pass(&world, 23 * HOUR).await;
    let told = found(&world, &acme).await;
    assert!(told.last().is_some_and(|told| told.contains("HOUR") && !told.contains("KEY_DISABLED")), "{told:?}");
    assert_eq!(status(&world, &acme).await.trouble(), None, "mended");
    true
}

/// A rehearsal that fails is recorded with what it found, and the key's status says the same; the date stands.
#[tokio::test]
async fn a_failing_rehearsal_says_what_will_keep_the_date_from_being_kept() {
    assert!(a_rehearsal_tells_what_is_wrong(World::start()).await);
    let bug = World::with_bug(SeededBug::FindingNotTold);
    assert!(!a_rehearsal_tells_what_is_wrong(bug).await, "the seeded bug was not found");
}

/// How many data keys the vault is asked to wrap so long before the freeze, where the plan says that 60 apps take two minutes: the vault
/// answers once a second, and each data key takes two answers.
async fn begun(bug: Option<SeededBug>, before_the_freeze: Duration) -> u64 {
    let vault_deadline = Duration::from_millis(500);
    let options = Options { vault_limit: Some(10), vault_share_percent: 100, vault_deadline, ..Options::default() };
    let builder = World::builder().options(options);
    let world = bug.into_iter().fold(builder, testkit::WorldBuilder::bug).start();
    let ahead = 3 * HOUR;
    let acme = scheduled(&world, ahead).await;
    for n in 0..60 {
        acme.app(&format!("app-{n}")).await;
    }
    // Rehearsed before, so that nothing else is due then.
    pass(&world, ahead - HOUR).await;
    let before = world.vault.calls().wrap;
    pass(&world, HOUR - FREEZE - before_the_freeze).await;
    world.vault.calls().wrap - before
}

/// Data keys are made ready as early as the vault's rate asks for, with half of that time again to spare: in the three minutes before the
/// freeze, and not sooner.
#[tokio::test]
async fn data_keys_are_made_ready_as_early_as_the_plan_asks_for() {
    assert_eq!(begun(None, Duration::from_secs(240)).await, 0, "not sooner than it takes");
    assert!(begun(None, Duration::from_secs(150)).await > 0, "in time for the last one");
    assert_eq!(begun(Some(SeededBug::EtaIgnored), Duration::from_secs(150)).await, 0, "the seeded bug was not found");
}
