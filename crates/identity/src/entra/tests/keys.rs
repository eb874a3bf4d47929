//! The signing keys: rotated, away, too many, made up.

use azure_emulator::{Disturbance, Fault, IdTokenFault, KeySetFault, Operation, Scope};

use super::*;
use crate::entra::{IdTokenRefused, Rule};
use crate::jwks::NoKey;

fn unavailable() -> Result<SignedIn, DirectoryRefused> {
    Err(DirectoryRefused::KeysUnavailable)
}

/// A key that the directory begins to sign with is fetched when it is first met, once the pause since the last time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_is_fetched_when_it_is_first_met() {
    let world = World::start().await;
    world.sign_in(owner()).await.unwrap();
    world.emulator.rotate_signing_key().unwrap();
    world.clock.pass(31);
    world.sign_in(owner()).await.unwrap();
    assert_eq!(world.emulator.count(Operation::Jwks), 2);
    assert_eq!(world.directory.signing_keys(Cloud::Public).losses(), 0, "both keys are listed");
    world.emulator.retire_signing_keys();
    world.emulator.rotate_signing_key().unwrap();
    world.clock.pass(31);
    world.sign_in(owner()).await.unwrap();
    assert_eq!(world.directory.signing_keys(Cloud::Public).losses(), 1, "one is gone");
}

/// Made-up key ids, however many and however new, make us ask the directory once in the pause, and an endless rotation too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_key_ids_make_nobody_ask_the_directory() {
    let world = World::start().await;
    world.sign_in(owner()).await.unwrap();
    world.clock.pass(31);
    world.emulator.faults().switch_on(Fault::IdToken(IdTokenFault::UnknownKid), Scope::everywhere());
    for _ in 0..20 {
        assert_eq!(world.sign_in(owner()).await, Err(IdTokenRefused { rule: Rule::KeyKnown }.into()));
    }
    assert_eq!(world.emulator.count(Operation::Jwks), 2);
    world.emulator.faults().clear_all();
    world.emulator.faults().switch_on(Fault::Keys(KeySetFault::EndlessRotation), Scope::everywhere());
    let keys = world.directory.signing_keys(Cloud::Public);
    for _ in 0..10 {
        world.clock.pass(3);
        assert!(keys.find("made up").await.is_err());
    }
    assert_eq!(world.emulator.count(Operation::Jwks), 3, "thirty seconds, one request");
}

/// However many ask at once, one request is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_one_request_is_made() {
    let world = World::start().await;
    let keys = world.directory.signing_keys(Cloud::Public);
    world
        .emulator
        .faults()
        .switch_on(Fault::Wire(Disturbance::Delay { millis: 100 }), Scope::everywhere().operation(Operation::Jwks));
    let asking = (0..50).map(|i| {
        let keys = keys.clone();
        tokio::spawn(async move { keys.find(&format!("k{i}")).await.map(|_| ()) })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), Err(NoKey::Unknown));
    }
    assert_eq!(world.emulator.count(Operation::Jwks), 1);
}

/// Never fetched, nobody signs in. Once fetched, the keys outlive an outage of the directory for a day and not longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_outlive_an_outage_for_a_day_and_nobody_signs_in_without_them() {
    let world = World::start().await;
    let away = |fault| {
        world.emulator.faults().switch_on(fault, Scope::everywhere().operation(Operation::Jwks));
    };
    for fault in [
        Fault::Wire(Disturbance::DropBefore),
        Fault::Wire(Disturbance::UntrustedCertificate),
        Fault::Keys(KeySetFault::NotJson),
        Fault::Keys(KeySetFault::Empty),
        Fault::Keys(KeySetFault::Huge),
    ] {
        away(fault);
        if fault != Fault::Wire(Disturbance::UntrustedCertificate) {
            assert_eq!(world.sign_in(owner()).await, unavailable(), "{fault:?}");
        }
        world.emulator.faults().clear_all();
        world.clock.pass(31);
    }
    world.sign_in(owner()).await.unwrap();
    away(Fault::Wire(Disturbance::DropBefore));
    world.clock.pass(86_399);
    world.sign_in(owner()).await.unwrap();
    world.clock.pass(1);
    assert_eq!(world.sign_in(owner()).await, unavailable());
    world.emulator.faults().clear_all();
    world.clock.pass(31);
    world.sign_in(owner()).await.unwrap();
}

/// A key id that stands for two keys stands for none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_id_of_two_keys_is_nobodys() {
    let world = World::start().await;
    world.emulator.faults().switch_on(Fault::Keys(KeySetFault::KidTwice), Scope::everywhere());
    assert_eq!(world.sign_in(owner()).await, unavailable(), "no usable key was ever listed");
}
