//! What `ValidateApp` says, and that it says "successful" for the one right reason.

use std::time::Duration;

use domain::validation::SUCCESSFUL;
use domain::{Owner, Protection, Reason};
use envelope::Context;
use service::{SeededBug, Stage, Validation};
use testkit::{TestApp, World};

async fn validate(world: &World, app: &TestApp) -> Validation {
    world.service.validate_app(&app.may_validate()).await.unwrap()
}

/// Not successful, for this reason, and never in the words of a success.
#[track_caller]
fn obstacle(validation: &Validation) -> (Stage, Reason, Option<Owner>) {
    let obstacle = validation.obstacle.as_ref().expect("an obstacle");
    assert!(!validation.message().contains(SUCCESSFUL) && !validation.is_successful());
    assert!(validation.message().contains(obstacle.refusal.reason().summary()), "{}", validation.message());
    (obstacle.stage, obstacle.refusal.reason(), validation.owner())
}

/// The credential is a ciphertext of the app in the database, under a data key of the customer's; it came back; and both the
/// storing and the outcome are in the audit chain (I-24).
#[tokio::test]
async fn a_stored_credential_comes_back_from_under_the_customers_key() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let version = acme.connect_key().await;
    let validation = validate(&world, &bot).await;
    assert_eq!(validation.message(), "Basic authentication successful.");
    let sealed = validation.sealed.unwrap();
    assert_eq!((sealed.protection, sealed.key_version), (Protection::CustomerKey, Some(version)));

    let stored = world.store.inner().credential(&acme.id, &bot.id).await.unwrap().unwrap();
    assert_eq!((stored.data_key, stored.protection), (sealed.data_key, Protection::CustomerKey));
    assert_eq!(World::data_key_of(&stored.ciphertext), sealed.data_key);
    assert!(!stored.ciphertext.windows(6).any(|window| window == b"admin:"), "the credential stands in the row");
    let context = Context::from_entries([("byokd", "validation")]).unwrap();
    assert!(bot.decrypt_in(&context, &stored.ciphertext).await.unwrap().starts_with(b"admin:"));
    // I-16: in no other context, and for no other app.
    bot.decrypt(&stored.ciphertext).await.unwrap_err();
    acme.app("crm").await.decrypt_in(&context, &stored.ciphertext).await.unwrap_err();

    let names = world.audit_names(&acme.id).await;
    assert_eq!(names[names.len() - 3..][..1], ["app.credential_stored"]);
    assert!(names.iter().any(|name| name == "app.validated"), "{names:?}");
    world.store.inner().verify().await.unwrap();
}

/// Under the platform's key it is no success, whatever came back, and the answer says what is missing.
async fn the_platforms_key_is_no_success(world: World) -> bool {
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let validation = validate(&world, &bot).await;
    if validation.is_successful() {
        return false;
    }
    assert_eq!(obstacle(&validation), (Stage::Protecting, Reason::KeyNotConfigured, Some(Owner::Caller)));
    assert_eq!(validation.sealed.unwrap().protection, Protection::PlatformKey);
    acme.connect_key().await;
    assert!(validate(&world, &bot).await.is_successful());
    true
}

/// "Successful" is said only where the credential was under the customer's key.
#[tokio::test]
async fn without_the_customers_key_it_is_no_success() {
    assert!(the_platforms_key_is_no_success(World::start()).await);
    let bug = World::with_bug(SeededBug::AnyProtectionValid);
    assert!(!the_platforms_key_is_no_success(bug).await, "the seeded bug was not found");
}

/// An app that a configured key does not protect is found out: here by a fault that keeps it under the platform's key (I-18).
#[tokio::test]
async fn an_app_that_the_key_does_not_protect_is_found_out() {
    let world = World::with_bug(SeededBug::ProtectionCrosses);
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"x").await.unwrap();
    acme.connect_key().await;
    let validation = validate(&world, &bot).await;
    let expected = (Stage::Protecting, Reason::AppNotUnderCustomerKey, Some(Owner::Customer));
    assert_eq!(obstacle(&validation), expected);
}

/// Whether what the database gives back, and nothing else, is what is opened: it lies here.
async fn a_lie_of_the_database_shows(world: World) -> bool {
    let acme = world.workspace("acme").await;
    let (bot, crm) = (acme.app("bot").await, acme.app("crm").await);
    acme.connect_key().await;
    for app in [&bot, &crm] {
        assert!(validate(&world, app).await.is_successful());
    }
    let of = async |app: &TestApp| world.store.inner().credential(&acme.id, &app.id).await.unwrap().unwrap();
    let mut changed = of(&bot).await;
    *changed.ciphertext.last_mut().unwrap() ^= 1;
    let mut none = of(&bot).await;
    none.ciphertext.clear();
    // I-14: another app's; an older one of its own; a changed one; nothing.
    for lie in [of(&crm).await, of(&bot).await, changed, none] {
        world.store.lie_about_credentials(lie);
        let validation = validate(&world, &bot).await;
        if validation.is_successful() {
            return false;
        }
        let expected = (Stage::Retrieving, Reason::CredentialNotRetrieved, Some(Owner::Service));
        assert_eq!(obstacle(&validation), expected);
    }
    world.store.tell_the_truth();
    assert!(validate(&world, &bot).await.is_successful());
    true
}

/// I-14, I-16: "successful" is said only of what was read back from the database and opened for this app.
#[tokio::test]
async fn only_what_came_back_from_the_database_counts() {
    assert!(a_lie_of_the_database_shows(World::start()).await);
    let bug = World::with_bug(SeededBug::CredentialNotReadBack);
    assert!(!a_lie_of_the_database_shows(bug).await, "the seeded bug was not found");
}

/// A key that the customer switched off: what is wrong, that it is theirs to mend, and how; and it is on record.
#[tokio::test]
async fn a_key_that_is_switched_off_is_the_customers_to_mend() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let version = acme.connect_key().await;
    world.vault.disable(&acme.key(), version);
    world.clock.advance(Duration::from_secs(301));
    let validation = validate(&world, &bot).await;
    assert_eq!(obstacle(&validation), (Stage::Storing, Reason::KeyDisabled, Some(Owner::Customer)));
    assert!(validation.message().starts_with("The credential could not be stored: "), "{}", validation.message());
    let audit = world.audit(&acme.id).await;
    let last = audit.iter().rfind(|event| event.name == "app.validated").unwrap();
    assert!(last.details.contains(&("outcome".to_owned(), "KEY_DISABLED".to_owned())), "{:?}", last.details);
}

/// An app that is not there, or no more, is not there; it is no finding about it.
#[tokio::test]
async fn an_app_that_is_not_there_is_not_validated() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let nobody = acme.app_of_name("nobody");
    let refused = world.service.validate_app(&nobody.may_validate()).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::NotFound);
    let bot = acme.app("bot").await;
    world.service.delete_app(&bot.may_change()).await.unwrap();
    assert_eq!(world.service.validate_app(&bot.may_validate()).await.unwrap_err().reason(), Reason::NotFound);
}

/// Many at once of one app do not take each other's credentials for damage.
#[tokio::test]
async fn many_at_once_succeed() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    acme.connect_key().await;
    let outcomes = futures::future::join_all((0..16).map(|_| validate(&world, &bot))).await;
    assert!(outcomes.iter().all(Validation::is_successful));
}
