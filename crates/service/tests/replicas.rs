//! What one replica learns or changes holds on the others.

use std::sync::Arc;
use std::time::Duration;

use domain::Reason;
use service::{ConfigureKey, SeededBug, Service};
use store::{Outage, StoreError};
use testkit::{TestApp, TestWorkspace, World};
use vault::{KeyUnavailable, Trace};

const C: Duration = service::options::CONTROL_LEASE;
const SECOND: Duration = Duration::from_secs(1);

/// A world whose own service is the replica under test, and another one over the same store that makes the changes.
async fn two(world: &World) -> (TestWorkspace, TestApp, Arc<Service>) {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"x").await.unwrap();
    world.service.run_due_tasks().await;
    (acme, bot, world.another_service())
}

/// Whether an app deleted elsewhere is served here one reading of the feed later.
async fn deleted_elsewhere_is_served(world: World) -> bool {
    let (_, bot, other) = two(&world).await;
    other.delete_app(&bot.may_change()).await.unwrap();
    assert!(bot.is_warm(), "not heard of yet");
    world.clock.advance(SECOND);
    world.service.run_due_tasks().await;
    let served = bot.encrypt(b"x").await.is_ok();
    assert_eq!(served, world.service.open_data_keys() == 1, "and its key is wiped");
    served
}

/// I-13: a deletion made on another replica holds here after one reading of the feed.
#[tokio::test]
async fn a_deletion_elsewhere_holds_here() {
    assert!(!deleted_elsewhere_is_served(World::start()).await);
    assert!(deleted_elsewhere_is_served(World::with_bug(SeededBug::FeedIgnored)).await, "the seeded bug was not found");
}

/// I-13: a bound on leases lowered on another replica, and a deleted workspace, hold here after one reading of the feed.
#[tokio::test]
async fn a_lowered_bound_and_a_deleted_workspace_hold_here() {
    let world = World::start();
    let (acme, bot, other) = two(&world).await;
    let lowered = ConfigureKey { lease: Some(Duration::from_secs(10)), ..acme.request() };
    acme.through(&other).configure(lowered).await.unwrap();
    world.service.run_due_tasks().await;
    world.vault.refuse_all(&KeyUnavailable::Unreachable);
    world.clock.advance(Duration::from_secs(2));
    bot.encrypt(b"x").await.unwrap();
    world.clock.advance(Duration::from_secs(9));
    bot.encrypt(b"x").await.unwrap_err();
    world.vault.heal();
    bot.encrypt(b"x").await.unwrap();
    other.delete_workspace(&acme.may_delete()).await.unwrap();
    world.service.run_due_tasks().await;
    assert_eq!(bot.encrypt(b"x").await.unwrap_err().reason(), Reason::NotFound);
    assert_eq!(world.service.open_data_keys(), 0);
}

/// I-8: a denial about the key itself, seen by one replica, is a fact on the others; one about the way there makes them ask.
#[tokio::test]
async fn a_denial_elsewhere_is_a_fact_or_a_hint() {
    let world = World::start();
    let (acme, bot, other) = two(&world).await;
    let theirs = acme.app("theirs").await.through(&other);
    world.vault.fail_next(
        vault::memory::Operation::Wrap,
        vault::memory::Fault::Refuse(KeyUnavailable::Disabled(Trace::default())),
    );
    theirs.encrypt(b"x").await.unwrap_err();
    let before = world.vault.calls().unwrap;
    world.service.run_due_tasks().await;
    assert_eq!(bot.encrypt(b"x").await.unwrap_err().reason(), Reason::KeyDisabled);
    assert_eq!(world.vault.calls().unwrap, before + 1, "asked about at once, and not used before two yeses");
    let denials = world.audit_names(&acme.id).await.iter().filter(|name| *name == "vault.denied").count();
    assert_eq!(denials, 1, "who only heard of it records nothing");

    let world = World::start();
    let (acme, bot, other) = two(&world).await;
    let theirs = acme.app("theirs").await.through(&other);
    world.vault.fail_next(
        vault::memory::Operation::Wrap,
        vault::memory::Fault::Refuse(KeyUnavailable::Firewall(Trace::default())),
    );
    theirs.encrypt(b"x").await.unwrap_err();
    let before = world.vault.calls().unwrap;
    world.service.run_due_tasks().await;
    assert_eq!(world.vault.calls().unwrap, before + 1);
    assert!(bot.is_warm(), "its own way is open");
}

/// Whether a replica that cannot read the store serves a second after C.
async fn serves_without_the_store(world: World) -> bool {
    let (_, bot, _) = two(&world).await;
    world.store.fail_reads(Some(StoreError::Unavailable(Outage::Disk)));
    for _ in 0..C.as_secs() {
        world.clock.advance(SECOND);
        world.service.run_due_tasks().await;
        assert!(bot.is_warm(), "the vault still says yes, and can be asked without the store");
    }
    world.clock.advance(SECOND);
    world.service.run_due_tasks().await;
    match bot.encrypt(b"x").await {
        Ok(_) => true,
        Err(refused) => {
            assert_eq!(refused.reason(), Reason::ControlLeaseEnded);
            world.store.fail_reads(None);
            bot.encrypt(b"x").await.unwrap();
            false
        }
    }
}

/// I-13: a replica that cannot read the store stops after C, with its own reason, and goes on by itself.
#[tokio::test]
async fn a_replica_that_cannot_read_the_store_stops_after_c() {
    assert!(!serves_without_the_store(World::start()).await);
    let bug = World::with_bug(SeededBug::ControlLeaseIgnored);
    assert!(serves_without_the_store(bug).await, "the seeded bug was not found");
}

/// A birth or a renamed app elsewhere makes nobody here read anything anew.
#[tokio::test]
async fn what_decides_nothing_disturbs_nobody() {
    let world = World::start();
    let (acme, bot, other) = two(&world).await;
    acme.app("another").await.through(&other).encrypt(b"x").await.unwrap();
    world.service.run_due_tasks().await;
    assert!(bot.is_warm());
}

/// Whether, when an older copy of the database is put in place of the one that was read, what was deleted since is served again.
async fn an_older_database_is_served(world: World) -> bool {
    let (acme, bot, other) = two(&world).await;
    let crm = acme.app("crm").await;
    let sealed = crm.encrypt(b"order 42").await.unwrap();
    world.service.run_due_tasks().await;
    let older = world.copy_of_database();
    other.delete_app(&bot.may_change()).await.unwrap();
    world.clock.advance(SECOND);
    world.service.run_due_tasks().await;
    assert_eq!(bot.encrypt(b"x").await.unwrap_err().reason(), Reason::NotFound);

    let newer = world.store.inner();
    world.store.put_in_place(older);
    world.clock.advance(SECOND);
    world.service.run_due_tasks().await;
    let served = bot.encrypt(b"x").await.is_ok();
    if !served {
        for refused in [bot.encrypt(b"x").await, crm.encrypt(b"x").await, crm.decrypt(&sealed).await] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.owner(), domain::Owner::Service, "{}", refused.reason());
        }
        world.store.put_in_place(newer);
        assert_eq!(bot.encrypt(b"x").await.unwrap_err().reason(), Reason::NotFound);
        assert_eq!(crm.decrypt(&sealed).await.unwrap(), b"order 42", "and goes on by itself");
    }
    served
}

/// I-6: a database that is older than the one that was read is not acted on: everything is refused at once, also what the older one
/// still allows, until the newer one is there again.
#[tokio::test]
async fn an_older_database_in_its_place_is_not_acted_on() {
    assert!(!an_older_database_is_served(World::start()).await);
    let bug = World::with_bug(SeededBug::OlderDatabaseTaken);
    assert!(an_older_database_is_served(bug).await, "the seeded bug was not found");
}
