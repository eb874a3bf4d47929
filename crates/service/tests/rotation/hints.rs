//! A hint that a key has a new version brings the look into its vault forward, and into no other.

use std::time::Duration;

use domain::operation::OperationKind;
use testkit::World;

use crate::customer::Customer;

/// A hint that names a key in use is a look into its vault, however it is written and however often it comes; one that names
/// another is none. What is found is what the vault says, and is rotated to like a version that was found by itself.
#[tokio::test]
async fn a_hint_is_a_look_at_the_key_it_names() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 1).await;
    let acme = &customer.acme;
    let location = acme.key().location;
    let (vault, key) = (location.vault().to_owned(), location.key().to_owned());
    let looks = async || {
        let before = world.vault.calls().versions;
        world.service.follow_hints().await.unwrap();
        world.vault.calls().versions - before
    };
    assert_eq!(looks().await, 0, "no hint");
    for (vault, key) in [("nobodys", &*key), (&*vault, "other"), (&*key, &*vault), ("", "")] {
        world.service.hint_new_version(vault, key);
    }
    assert_eq!(looks().await, 0, "hints for what nobody uses");
    for _ in 0..10_000 {
        world.service.hint_new_version(&vault, &key);
    }
    assert_eq!((looks().await, looks().await), (1, 0), "ten thousand hints, one look");

    world.clock.advance(Duration::from_secs(1));
    let newest = world.vault.create_key(&acme.key());
    world.service.hint_new_version(&vault.to_uppercase(), &key.to_uppercase());
    assert!(looks().await >= 1);
    let found = world.service.list_operations(&acme.may_read_operations(), None, None).await.unwrap().operations;
    assert_eq!((found.len(), found[0].actor.as_str()), (1, "service"));
    assert_eq!(found[0].kind, OperationKind::RotateKey { from: customer.first, to: newest });
}
