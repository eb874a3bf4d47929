//! A key is served only while its owner said yes a short while ago, and not a moment after they said no.

use std::time::Duration;

use domain::{Owner, Reason};
use service::SeededBug;
use testkit::{TestApp, TestWorkspace, World};
use vault::memory::{Fault, Operation};
use vault::{KeyUnavailable, Trace};

const H: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);
/// How far apart two successes are that re-admit after a denial.
const AGAIN: Duration = Duration::from_secs(5);

async fn connected(world: &World) -> (TestWorkspace, TestApp) {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    (acme, bot)
}

fn away(world: &World) {
    world.vault.refuse_all(&KeyUnavailable::Unreachable);
}

/// I-7, I-8: a key whose vault is away is served until H after it was last asked, and no longer, in both directions.
#[tokio::test]
async fn a_key_whose_vault_is_away_is_served_until_h_and_no_longer() {
    let world = World::start();
    let (_, bot) = connected(&world).await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    away(&world);
    world.clock.advance(H);
    bot.encrypt(b"x").await.unwrap();
    assert_eq!(bot.decrypt(&sealed).await.unwrap(), b"order 42");
    world.clock.advance(SECOND);
    for refused in [bot.encrypt(b"x").await.unwrap_err(), bot.decrypt(&sealed).await.unwrap_err()] {
        assert_eq!(refused.reason(), Reason::VaultUnreachable);
        assert_eq!(refused.owner(), Owner::Customer);
    }
    world.vault.heal();
    assert_eq!(bot.decrypt(&sealed).await.unwrap(), b"order 42");
}

/// I-7: use does not extend a lease: a key in constant use ends when an unused one does.
#[tokio::test]
async fn use_does_not_extend_a_lease() {
    let world = World::start();
    let (_, bot) = connected(&world).await;
    bot.encrypt(b"x").await.unwrap();
    away(&world);
    for _ in 0..30 {
        world.clock.advance(Duration::from_secs(10));
        bot.encrypt(b"x").await.unwrap();
    }
    world.clock.advance(SECOND);
    bot.encrypt(b"x").await.unwrap_err();
}

/// I-7: setting real time back does not stretch a lease, because boot time counts as well; setting it forward ends it.
#[tokio::test]
async fn a_stepped_clock_does_not_stretch_a_lease() {
    let world = World::start();
    let (_, bot) = connected(&world).await;
    bot.encrypt(b"x").await.unwrap();
    away(&world);
    world.clock.step_wall(-3_600_000_000);
    world.clock.advance(H);
    bot.encrypt(b"x").await.unwrap();
    world.clock.advance(SECOND);
    bot.encrypt(b"x").await.unwrap_err();

    let world = World::start();
    let (_, bot) = connected(&world).await;
    bot.encrypt(b"x").await.unwrap();
    away(&world);
    world.clock.step_wall(3_600_000_000);
    bot.encrypt(b"x").await.unwrap_err();
}

/// Whether a lease counts from the asking where the answer takes 200 s.
async fn counts_from_the_asking(world: World) -> bool {
    let (_, bot) = connected(&world).await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    world.clock.advance(H + SECOND);
    let held = world.vault.hold(Operation::Unwrap);
    let waiting = tokio::spawn({
        let (bot, sealed) = (bot.clone(), sealed.clone());
        async move { bot.decrypt(&sealed).await }
    });
    held.arrived(1).await;
    world.clock.advance(Duration::from_secs(200));
    held.release();
    waiting.await.unwrap().unwrap();
    away(&world);
    world.clock.advance(Duration::from_secs(101));
    bot.decrypt(&sealed).await.is_err()
}

/// I-7: a lease is counted from the asking: a slow answer gives only what is left.
#[tokio::test]
async fn a_slow_answer_gives_only_what_is_left_of_the_lease() {
    assert!(counts_from_the_asking(World::start()).await);
    assert!(!counts_from_the_asking(World::with_bug(SeededBug::LeaseFromAnswer)).await, "the seeded bug was not found");
}

/// An answer that takes longer than the lease it would give is worth nothing.
#[tokio::test]
async fn an_answer_slower_than_the_lease_is_worth_nothing() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    acme.connect_key_with_lease(Duration::from_secs(5)).await;
    let bot = acme.app("bot").await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    world.clock.advance(Duration::from_secs(6));
    // Each unwrap takes six seconds by the clock: it jumps while the vault is asked.
    let held = world.vault.hold(Operation::Unwrap);
    let waiting = tokio::spawn({
        let (bot, sealed) = (bot.clone(), sealed.clone());
        async move { bot.decrypt(&sealed).await }
    });
    held.arrived(1).await;
    world.clock.advance(Duration::from_secs(6));
    world.vault.fail(Operation::Unwrap, Fault::Refuse(KeyUnavailable::Unreachable));
    held.release();
    assert_eq!(waiting.await.unwrap().unwrap_err().reason(), Reason::VaultUnreachable);
}

/// A key that is disabled, enabled and disabled again: refused each time with its remedy, and used in between. How many denials are in
/// the audit chain after the first time, and after the second.
async fn denials_of_a_key_disabled_twice(world: World) -> [usize; 2] {
    let recorded = async |acme: &TestWorkspace| {
        world.audit_names(&acme.id).await.iter().filter(|name| *name == "vault.denied").count()
    };
    let (acme, bot) = connected(&world).await;
    let version = acme.through(&world.service).configure(acme.request()).await.unwrap().config.current_version;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    let other = acme.app("other").await;

    world.vault.disable(&acme.key(), version);
    world.clock.advance(H + SECOND);
    for _ in 0..20 {
        let refused = bot.decrypt(&sealed).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::KeyDisabled);
        assert_eq!(refused.owner(), Owner::Customer);
        assert!(refused.remedy().contains("re-enable"));
        assert_eq!(refused.vault_request_id(), Some("memory"));
        bot.encrypt(b"x").await.unwrap_err();
        other.encrypt(b"x").await.unwrap_err();
    }
    let first = recorded(&acme).await;

    world.vault.enable(&acme.key(), version);
    world.clock.advance(AGAIN);
    assert_eq!(bot.decrypt(&sealed).await.unwrap_err().reason(), Reason::KeyDisabled, "one yes is not enough");
    world.clock.advance(AGAIN);
    assert_eq!(bot.decrypt(&sealed).await.unwrap(), b"order 42");
    bot.encrypt(b"x").await.unwrap();
    world.vault.disable(&acme.key(), version);
    world.clock.advance(H + SECOND);
    bot.decrypt(&sealed).await.unwrap_err();
    [first, recorded(&acme).await]
}

/// A disabled key is refused at once on the replica that sees it and within the lease on any other, with the remedy; enabled
/// again, it works. Each denial is in the audit chain once, however many requests met it (I-24).
#[tokio::test]
async fn a_disabled_key_is_refused_with_its_remedy_and_works_when_enabled_again() {
    assert_eq!(denials_of_a_key_disabled_twice(World::start()).await, [1, 2]);
    let bug = World::with_bug(SeededBug::DenialNotRecorded);
    assert_ne!(denials_of_a_key_disabled_twice(bug).await, [1, 2], "the seeded bug was not found");
}

/// I-8: a denial seen for one data key takes every data key under the same version out of memory at once, lease or no lease.
#[tokio::test]
async fn one_denial_takes_every_key_under_the_version_away() {
    let world = World::start();
    let (acme, bot) = connected(&world).await;
    let platform_app = world.workspace("other").await.app("bot").await;
    platform_app.encrypt(b"x").await.unwrap();
    let version = acme.configure(acme.request()).await.unwrap().config.current_version;
    let mut apps = vec![bot];
    for i in 0..10 {
        apps.push(acme.app(&format!("app-{i}")).await);
    }
    for app in &apps {
        app.encrypt(b"x").await.unwrap();
    }
    assert_eq!(world.service.open_data_keys(), 12);
    world.vault.disable(&acme.key(), version);
    // A new app has to ask the vault, and hears the denial.
    acme.app("new").await.encrypt(b"x").await.unwrap_err();
    assert_eq!(world.service.open_data_keys(), 1, "the platform's key stays");
    for app in &apps {
        assert!(!app.is_warm());
        assert_eq!(app.encrypt(b"x").await.unwrap_err().reason(), Reason::KeyDisabled);
    }
    assert!(platform_app.is_warm());
}

/// Whether an unwrap that was under way when the denial came stays out of the cache.
async fn a_late_yes_stays_out(world: World) -> bool {
    let (acme, bot) = connected(&world).await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    world.clock.advance(H + H + SECOND);
    world.service.wipe_lapsed_keys();

    let held = world.vault.hold(Operation::Unwrap);
    let late = tokio::spawn({
        let (bot, sealed) = (bot.clone(), sealed.clone());
        async move { bot.decrypt(&sealed).await }
    });
    held.arrived(1).await; // The vault's answer is yes, and on its way.
    let disabled = KeyUnavailable::Disabled(Trace::default());
    world.vault.fail_next(Operation::Wrap, Fault::Refuse(disabled));
    let denied = acme.app("new").await.encrypt(b"x").await.unwrap_err();
    assert_eq!(denied.reason(), Reason::KeyDisabled);
    held.release();
    let late = late.await.unwrap();
    late.is_err_and(|late| late.reason() == Reason::KeyDisabled) && world.service.open_data_keys() == 0
}

/// I-9: an unwrap begun before a denial never enters the cache.
#[tokio::test]
async fn an_unwrap_begun_before_a_denial_never_enters_the_cache() {
    assert!(a_late_yes_stays_out(World::start()).await);
    let bug = World::with_bug(SeededBug::OlderGenerationAdmitted);
    assert!(!a_late_yes_stays_out(bug).await, "the seeded bug was not found");
}

/// I-9: who comes after the denial does not wait for the answer from before it, and hears the denial.
#[tokio::test]
async fn who_comes_after_a_denial_does_not_join_what_began_before() {
    let world = World::start();
    let (acme, bot) = connected(&world).await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    world.clock.advance(H + H + SECOND);
    world.service.wipe_lapsed_keys();
    let asked = world.vault.calls().unwrap;
    let held = world.vault.hold(Operation::Unwrap);
    let decrypt = || {
        let (bot, sealed) = (bot.clone(), sealed.clone());
        tokio::spawn(async move { bot.decrypt(&sealed).await })
    };
    let before = decrypt();
    held.arrived(1).await;
    world.vault.fail_next(Operation::Wrap, Fault::Refuse(KeyUnavailable::Disabled(Trace::default())));
    acme.app("new").await.encrypt(b"x").await.unwrap_err();
    assert_eq!(decrypt().await.unwrap().unwrap_err().reason(), Reason::KeyDisabled);
    held.release();
    assert_eq!(before.await.unwrap().unwrap_err().reason(), Reason::KeyDisabled);
    assert_eq!(world.vault.calls().unwrap, asked + 1, "after a denial nothing but probes goes to the vault");
}

/// Whether a lease that ends while the answer is being made keeps the answer in.
async fn holds_at_the_reply(world: World) -> bool {
    let (_, bot) = connected(&world).await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    away(&world);
    // The first reading admits; before the second, which is after the work, the lease ends.
    world.clock.jump_after(1, H + SECOND);
    let opened = bot.decrypt(&sealed).await;
    let late = opened.is_err();
    late && bot.encrypt(b"x").await.is_err()
}

/// I-10: a lease holds when the reply is ready, and not only on admission.
#[tokio::test]
async fn a_lease_that_ends_during_the_work_keeps_the_answer_in() {
    assert!(holds_at_the_reply(World::start()).await);
    assert!(!holds_at_the_reply(World::with_bug(SeededBug::NotCheckedAtReply)).await, "the seeded bug was not found");
}

/// I-10, for streams: a key that is denied in the middle ends the stream at its next segment.
#[tokio::test]
async fn a_denial_ends_streams_at_their_next_segment() {
    let world = World::start();
    let (acme, bot) = connected(&world).await;
    let version = acme.configure(acme.request()).await.unwrap().config.current_version;
    let context = envelope::Context::empty();
    let mut out = Vec::new();
    let mut stream = world.service.encrypt_stream(&bot.may_encrypt(), &context, &mut out).await.unwrap();
    stream.push(&[7; 100_000], &mut out).await.unwrap();
    let so_far = out.len();

    world.vault.disable(&acme.key(), version);
    acme.app("new").await.encrypt(b"x").await.unwrap_err();
    let refused = stream.push(&[7; 100_000], &mut out).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::KeyDisabled);
    assert_eq!(out.len(), so_far, "a refusal gives nothing out");
    assert_eq!(stream.push(b"x", &mut out).await.unwrap_err().reason(), Reason::StreamInvalid);
}

/// A stream longer than a lease goes on where the owner still says yes.
#[tokio::test]
async fn a_stream_longer_than_a_lease_goes_on() {
    let world = World::start();
    let (_, bot) = connected(&world).await;
    let context = envelope::Context::empty();
    let (mut out, mut back) = (Vec::new(), Vec::new());
    let mut stream = world.service.encrypt_stream(&bot.may_encrypt(), &context, &mut out).await.unwrap();
    for _ in 0..5 {
        stream.push(&[7; 100_000], &mut out).await.unwrap();
        world.clock.advance(H + SECOND);
    }
    stream.finish(&mut out).await.unwrap();
    let (prologue, rest) = out.split_at(envelope::PROLOGUE_LEN);
    let mut stream = world.service.decrypt_stream(&bot.may_decrypt(), &context, prologue).await.unwrap();
    stream.push(rest, &mut back).await.unwrap();
    stream.finish(&mut back).await.unwrap();
    assert_eq!(back, vec![7; 500_000]);
}

/// Whether an outage leaves the lease as it is: neither longer nor shorter.
async fn an_outage_extends_nothing(world: World) -> bool {
    let (acme, bot) = connected(&world).await;
    bot.encrypt(b"x").await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    for fault in [
        KeyUnavailable::Unreachable,
        KeyUnavailable::Throttled { retry_after: None, trace: Trace::default() },
        KeyUnavailable::ServerError { status: 503, retry_after: None, trace: Trace::default() },
    ] {
        world.vault.fail(Operation::Unwrap, Fault::Refuse(fault));
        acme.app("new").await.encrypt(b"x").await.unwrap_err();
        if !bot.is_warm() || bot.encrypt(b"the lease still holds").await.is_err() {
            return false;
        }
    }
    away(&world);
    world.clock.advance(Duration::from_secs(101));
    bot.encrypt(b"x").await.is_err()
}

/// I-11: an outage neither extends a lease nor takes a key away before its end.
#[tokio::test]
async fn an_outage_neither_extends_a_lease_nor_ends_it() {
    assert!(an_outage_extends_nothing(World::start()).await);
    for bug in [SeededBug::OutageRenews, SeededBug::OutageWipes] {
        assert!(!an_outage_extends_nothing(World::with_bug(bug)).await, "the seeded bug {bug:?} was not found");
    }
}

/// One unwrap renews the lease for every data key under the version.
#[tokio::test]
async fn one_unwrap_renews_every_key_under_the_version() {
    let world = World::start();
    let (acme, bot) = connected(&world).await;
    let mut apps = vec![bot];
    for i in 0..9 {
        apps.push(acme.app(&format!("app-{i}")).await);
    }
    for app in &apps {
        app.encrypt(b"x").await.unwrap();
    }
    world.clock.advance(H + SECOND);
    let before = world.vault.calls().unwrap;
    for app in &apps {
        app.encrypt(b"x").await.unwrap();
    }
    assert_eq!(world.vault.calls().unwrap, before + 1);
}

/// An expired key version wraps nothing new and goes on unwrapping: what is in memory stays.
#[tokio::test]
async fn an_expired_version_stops_new_keys_and_no_old_ones() {
    let world = World::start();
    let (acme, bot) = connected(&world).await;
    let version = acme.configure(acme.request()).await.unwrap().config.current_version;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    let expired = domain::Clock::now(&*world.clock).wall;
    world.vault.change(&acme.key(), version, |attributes| attributes.expires = Some(expired));
    world.clock.advance(SECOND);
    let new = acme.app("new").await;
    for _ in 0..5 {
        assert_eq!(new.encrypt(b"x").await.unwrap_err().reason(), Reason::KeyExpired);
    }
    assert!(bot.is_warm());
    world.clock.advance(H);
    assert_eq!(bot.decrypt(&sealed).await.unwrap(), b"order 42");
    let denials = world.audit_names(&acme.id).await.iter().filter(|name| *name == "vault.denied").count();
    assert_eq!(denials, 1, "recorded once, not once a request");
}

/// Keys nobody can use any more do not stay in memory.
#[tokio::test]
async fn lapsed_keys_are_wiped() {
    let world = World::start();
    let (_, bot) = connected(&world).await;
    bot.encrypt(b"x").await.unwrap();
    world.service.wipe_lapsed_keys();
    assert_eq!(world.service.open_data_keys(), 1);
    world.clock.advance(H + H + SECOND);
    world.service.wipe_lapsed_keys();
    assert_eq!(world.service.open_data_keys(), 0);
    bot.encrypt(b"x").await.unwrap();
}

/// A lowered bound holds at once, for keys that are in memory too.
#[tokio::test]
async fn a_lowered_bound_holds_at_once() {
    let world = World::start();
    let (acme, bot) = connected(&world).await;
    bot.encrypt(b"x").await.unwrap();
    let lowered = service::ConfigureKey { lease: Some(Duration::from_secs(10)), ..acme.request() };
    acme.configure(lowered).await.unwrap();
    away(&world);
    world.clock.advance(Duration::from_secs(10));
    bot.encrypt(b"x").await.unwrap();
    world.clock.advance(SECOND);
    bot.encrypt(b"x").await.unwrap_err();
}

/// I-7: the operator's bound holds above every workspace's own, without anybody changing a configuration.
#[tokio::test]
async fn the_operators_bound_is_above_every_workspaces() {
    let minute = Duration::from_secs(60);
    let options = service::Options { key_lease: minute, ..Default::default() };
    let world = World::builder().options(options).start();
    let (acme, bot) = connected(&world).await;
    assert_eq!(acme.configure(acme.request()).await.unwrap().config.lease, H, "what the workspace said stays said");
    bot.encrypt(b"x").await.unwrap();
    away(&world);
    world.clock.advance(minute);
    bot.encrypt(b"x").await.unwrap();
    world.clock.advance(SECOND);
    bot.encrypt(b"x").await.unwrap_err();
}
