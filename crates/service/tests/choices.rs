//! What a workspace chose about the versions of its key: whether new ones are followed, and whether switching off the newest
//! takes the key back.

use std::time::Duration;

use domain::Reason;
use domain::key_config::VersionChoices;
use service::{ConfigureKey, SeededBug};
use testkit::{TestApp, TestWorkspace, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: u64 = 60;

fn choosing(acme: &TestWorkspace, follow: Option<bool>, counts: Option<bool>) -> ConfigureKey {
    ConfigureKey { follow_new_versions: follow, newest_version_counts: counts, ..acme.request() }
}

async fn in_use(world: &World) -> (TestWorkspace, TestApp) {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"order 42").await.unwrap();
    (acme, bot)
}

/// Seconds in which the app was served, of so many; what is due is done in each.
async fn served(world: &World, bot: &TestApp, seconds: u64) -> u64 {
    let mut served = 0;
    for _ in 0..seconds {
        world.clock.advance(SECOND);
        served += u64::from(bot.encrypt(b"x").await.is_ok());
        world.service.run_due_tasks().await;
    }
    served
}

/// What a workspace chose stays chosen until it says otherwise, and is no other configuration: the test of it still counts.
#[tokio::test]
async fn choices_stay_until_they_are_made_again() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    world.vault.create_key(&acme.key());
    let choices = async |request| acme.configure(request).await.unwrap().config.choices;
    assert_eq!(choices(acme.request()).await, VersionChoices::default());
    acme.prove_ownership().await;
    assert!(acme.test_key().await.unwrap().passed());
    let (off, mixed) = (
        VersionChoices { follow_new_versions: false, newest_version_counts: false },
        VersionChoices { follow_new_versions: true, newest_version_counts: false },
    );
    assert_eq!(choices(choosing(&acme, Some(false), Some(false))).await, off);
    assert_eq!(choices(acme.request()).await, off, "nothing said, nothing changed");
    assert_eq!(choices(ConfigureKey { lease: Some(60 * SECOND), ..acme.request() }).await, off);
    assert_eq!(choices(choosing(&acme, Some(true), None)).await, mixed);
    let status = world.service.key_status(&acme.may_read_key()).await.unwrap();
    assert_eq!((status.config.choices, status.proof.is_ok()), (mixed, true), "the test counts");
    // Another version of the key is another configuration, by the same choices.
    let version = world.vault.create_key(&acme.key());
    let another =
        ConfigureKey { key_identifier: format!("{}/{version}", acme.request().key_identifier), ..acme.request() };
    assert_eq!(choices(another).await, mixed);
    world.store.inner().verify().await.unwrap();
}

/// I-21: from the freeze on nothing is taken that makes the service hear less of the key being taken back; what makes it hear
/// more is, and so is what is about rotation. I-24: each change has its record.
#[tokio::test]
async fn what_loosens_is_refused_once_the_key_is_in_force() {
    let world = World::start();
    let (acme, _) = in_use(&world).await;
    let records = async || {
        world.audit_names(&acme.id).await.into_iter().filter(|name| name.starts_with("key.configured")).count()
    };
    let before = records().await;
    let mut taken = 0;
    for (follow, counts, lease, works) in [
        (None, Some(false), None, false),
        (Some(false), Some(false), None, false),
        (None, Some(false), Some(60), false),
        (Some(false), None, Some(301), false),
        (Some(false), None, None, true),
        (Some(true), Some(true), None, true),
        (Some(false), None, Some(60), true),
        (Some(true), None, Some(61), false),
    ] {
        let lease = lease.map(Duration::from_secs);
        let outcome = acme.configure(ConfigureKey { lease, ..choosing(&acme, follow, counts) }).await;
        assert_eq!(outcome.is_ok(), works, "{follow:?} {counts:?} {lease:?}");
        taken += usize::from(works);
        if let Err(refusal) = outcome {
            assert!([Reason::KeyAlreadyEnforced, Reason::RequestInvalid].contains(&refusal.reason()));
        }
    }
    assert_eq!(records().await - before, taken);
}

/// Whether a new version was rotated to although the workspace does that by hand.
async fn followed_against_its_choice(world: World) -> bool {
    let (acme, _) = in_use(&world).await;
    acme.configure(choosing(&acme, Some(false), None)).await.unwrap();
    world.clock.advance(SECOND);
    world.vault.create_key(&acme.key());
    let asked = world.vault.calls().versions;
    world.service.follow_new_versions().await.unwrap();
    let key = acme.key().location;
    world.service.hint_new_version(key.vault(), key.key());
    world.service.follow_hints().await.unwrap();
    let followed = !world.store.inner().open_operations().await.unwrap().is_empty();
    assert_eq!(world.vault.calls().versions > asked, followed, "who does not follow is not asked");
    if !followed {
        // By hand it goes on, and from when it is chosen again by itself.
        acme.configure(choosing(&acme, Some(true), None)).await.unwrap();
        world.service.follow_new_versions().await.unwrap();
        assert_eq!(world.store.inner().open_operations().await.unwrap().len(), 1);
    }
    followed
}

#[tokio::test]
async fn a_workspace_may_rotate_by_hand_alone() {
    assert!(!followed_against_its_choice(World::start()).await);
    let bug = World::with_bug(SeededBug::ChoicesIgnored);
    assert!(followed_against_its_choice(bug).await, "the seeded bug was not found");
}

/// Whether data under an older version is served on while the newest is switched off, chosen so before the key was in force.
async fn served_by_choice(world: World) -> bool {
    let acme = world.workspace("acme").await;
    let first = world.vault.create_key(&acme.key());
    acme.configure(choosing(&acme, None, Some(false))).await.unwrap();
    testkit::put_in_force(&*world.store.inner(), &acme.id).await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"order 42").await.unwrap();
    let newest = world.vault.create_key(&acme.key());
    assert_eq!(served(&world, &bot, MINUTE).await, MINUTE);
    world.vault.disable(&acme.key(), newest);
    let on = served(&world, &bot, 2 * MINUTE).await == 2 * MINUTE;
    if on {
        // Its own version's switch counts whatever was chosen.
        world.vault.disable(&acme.key(), first);
        assert!(served(&world, &bot, MINUTE).await <= 36);
        world.vault.enable(&acme.key(), first);
        served(&world, &bot, 15).await;
        // And the newest one's, from when it is chosen again, which is possible at any time.
        acme.configure(choosing(&acme, None, Some(true))).await.unwrap();
        assert!(served(&world, &bot, 2 * MINUTE).await <= 37, "chosen again, gone by");
    }
    on
}

#[tokio::test]
async fn a_workspace_may_let_older_versions_serve() {
    assert!(served_by_choice(World::start()).await);
    let bug = World::with_bug(SeededBug::ChoicesIgnored);
    assert!(!served_by_choice(bug).await, "the seeded bug was not found");
}
