//! A no to a credential that was let go of says nothing of the one in use; a no about the key says it to everybody.

use std::time::Duration;

use domain::Reason;
use service::{SeededBug, Service};
use store::{Outage, StoreError};
use testkit::World;
use vault::memory::{Fault, Operation};
use vault::{KeyUnavailable, RegistrationFault, Trace};

use crate::admin::{customer, in_days};

fn secret_refused() -> KeyUnavailable {
    KeyUnavailable::RegistrationRefused { fault: RegistrationFault::SecretRefused, trace: Trace::default() }
}

/// What a replica that has not heard of a switch says when its call, as the credential before, is refused; and what it says of another
/// key under the same version right after. Without a switch, the call was as the credential in use.
async fn refused_as_before(why: KeyUnavailable, switched: bool, bug: Option<SeededBug>) -> [Option<Reason>; 2] {
    let world = World::start();
    let (acme, admin) = customer(&world, "acme").await;
    admin.active(in_days(&world, 300)).await;
    let mut sealed = Vec::new();
    for name in ["first", "second", "third"] {
        let app = acme.app(name).await;
        let ciphertext = app.encrypt(b"x").await.unwrap();
        sealed.push((app, ciphertext));
    }
    let late = match bug {
        None => world.another_service(),
        Some(bug) => Service::start_with_bug(world.parts(world.store.inner()), bug).unwrap(),
    };
    let says = async |of: usize| {
        let (app, ciphertext) = &sealed[of];
        app.through(&late).decrypt(ciphertext).await.err().map(|refusal| refusal.reason())
    };
    assert_eq!(says(0).await, None, "it asks as the first credential from here on");
    if switched {
        admin.active(in_days(&world, 300)).await;
    }
    world.vault.fail_next(Operation::Unwrap, Fault::Refuse(why));
    [says(1).await, says(2).await]
}

/// I-8, I-9: a credential that was let go of may be taken away at once. A call that is still under way with it is asked again as the one in
/// use, and no key is taken away.
#[tokio::test]
async fn a_no_to_the_credential_before_is_no_no_to_the_one_in_use() {
    assert_eq!(refused_as_before(secret_refused(), true, None).await, [None, None]);
    let role = || KeyUnavailable::RoleMissing(Trace::default());
    assert_eq!(refused_as_before(role(), true, None).await, [None, None]);
    let bug = Some(SeededBug::DenialOfAnotherCounts);
    let [first, second] = refused_as_before(secret_refused(), true, bug).await;
    assert!(first.is_some() && second.is_some(), "the seeded bug was not found");
}

/// I-8: the credential in use is shut out by taking it away, and a key that is switched off is so for whoever asks.
#[tokio::test]
async fn a_no_to_the_credential_in_use_and_one_about_the_key_count() {
    let refused = Some(Reason::RegistrationSecretRefused);
    assert_eq!(refused_as_before(secret_refused(), false, None).await, [refused, refused]);
    let disabled = || KeyUnavailable::Disabled(Trace::default());
    let off = Some(Reason::KeyDisabled);
    for switched in [false, true] {
        assert_eq!(refused_as_before(disabled(), switched, None).await, [off, off]);
    }
    let bug = Some(SeededBug::EveryDenialOvertaken);
    assert_eq!(refused_as_before(disabled(), true, bug).await, [None, None], "the seeded bug was not found");
}

/// Whether data is served after a probe that began as the credential before was told no by the directory, once another was in use.
async fn served_after_a_probe_of_before(world: World) -> bool {
    let (acme, admin) = customer(&world, "acme").await;
    admin.active(in_days(&world, 300)).await;
    let bot = acme.app("bot").await;
    let ciphertext = bot.encrypt(b"x").await.unwrap();
    let next = admin.tested(in_days(&world, 300)).await;
    world.clock.advance(Duration::from_secs(150));
    bot.decrypt(&ciphertext).await.unwrap();
    world.vault.fail_next(Operation::Consent, Fault::Refuse(secret_refused()));
    let held = world.vault.hold(Operation::Consent);
    let service = world.service.clone();
    let probes = tokio::spawn(async move { service.run_due_tasks().await });
    held.arrived(1).await;
    admin.activate(next).await.unwrap();
    held.release();
    probes.await.unwrap();
    bot.decrypt(&ciphertext).await.is_ok()
}

/// I-9: a probe that a switch overtook takes nothing away.
#[tokio::test]
async fn a_probe_that_a_switch_overtook_takes_nothing_away() {
    assert!(served_after_a_probe_of_before(World::start()).await);
    let bug = World::with_bug(SeededBug::DenialOfAnotherCounts);
    assert!(!served_after_a_probe_of_before(bug).await, "the seeded bug was not found");
}

/// I-8: where it cannot be read who is in use, every no counts.
#[tokio::test]
async fn without_the_database_every_no_counts() {
    let world = World::start();
    let (acme, admin) = customer(&world, "acme").await;
    admin.active(in_days(&world, 300)).await;
    let bot = acme.app("bot").await;
    let ciphertext = bot.encrypt(b"x").await.unwrap();
    // At another replica: this one does not hear of it.
    admin.through(&world.another_service()).active(in_days(&world, 300)).await;
    world.clock.advance(Duration::from_secs(40));
    bot.decrypt(&ciphertext).await.unwrap();
    world.vault.fail_next(Operation::Unwrap, Fault::Refuse(secret_refused()));
    world.store.fail_reads(Some(StoreError::Unavailable(Outage::Disk)));
    world.service.run_due_tasks().await;
    world.store.fail_reads(None);
    let refused = bot.decrypt(&ciphertext).await.unwrap_err().reason();
    assert_eq!(refused, Reason::RegistrationSecretRefused);
}
