//! However many ask for a cold key, its vault is asked once.

use std::time::Duration;

use service::SeededBug;
use testkit::World;
use vault::memory::Operation;

/// How many of 10,000 Decrypts of one cold key open, and how many unwraps they cost.
async fn unwraps_of_a_herd(world: World, unwraps_begun: usize) -> (usize, u64) {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    world.clock.advance(Duration::from_secs(1_000));
    world.service.wipe_lapsed_keys();
    let before = world.vault.calls().unwrap;
    let held = world.vault.hold(Operation::Unwrap);
    let herd: Vec<_> = (0..10_000)
        .map(|_| {
            let (bot, sealed) = (bot.clone(), sealed.clone());
            tokio::spawn(async move { bot.decrypt(&sealed).await })
        })
        .collect();
    held.arrived(unwraps_begun).await;
    // Everybody has asked by now, or asks while the answer is on its way.
    tokio::task::yield_now().await;
    held.release();
    let mut opened = 0;
    for one in herd {
        // Refused is who found the vault's budget used up, as happens where everybody asks.
        opened += usize::from(one.await.unwrap().is_ok_and(|plaintext| plaintext == b"order 42"));
    }
    (opened, world.vault.calls().unwrap - before)
}

/// I-26: 10,000 cold Decrypts of one key make exactly one unwrap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_cold_decrypts_make_one_unwrap() {
    assert_eq!(unwraps_of_a_herd(World::start(), 1).await, (10_000, 1));
}

/// I-26, its seeded bug: waiters that each unwrap for themselves are found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_that_unwrap_for_themselves_are_found() {
    let (_, unwraps) = unwraps_of_a_herd(World::with_bug(SeededBug::NoSingleFlight), 2).await;
    assert!(unwraps > 1, "{unwraps}");
}

/// The first one's deadline ends its own waiting and nobody else's: the work goes on for those who came after.
#[tokio::test]
async fn the_first_callers_deadline_ends_only_its_own_waiting() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    let bot = bot.through(&world.another_service());
    let held = world.vault.hold(Operation::Unwrap);
    let decrypt = || {
        let (bot, sealed) = (bot.clone(), sealed.clone());
        tokio::spawn(async move { bot.decrypt(&sealed).await })
    };
    let first = decrypt();
    held.arrived(1).await;
    let second = decrypt();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    held.release();
    assert_eq!(second.await.unwrap().unwrap(), b"order 42");
    assert_eq!(world.vault.calls().unwrap, 3, "the proof, the new key's own, and one for the two");
}

/// A herd of Encrypts for an app that has no key yet makes one key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_makes_one_key() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    let herd: Vec<_> = (0..1_000)
        .map(|_| {
            let bot = bot.clone();
            tokio::spawn(async move { bot.encrypt(b"order 42").await.unwrap() })
        })
        .collect();
    for one in herd {
        one.await.unwrap();
    }
    assert_eq!(world.data_keys(&acme.id).await.len(), 1);
}
