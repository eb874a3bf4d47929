//! Data keys rotate on demand and by age: each app has exactly one that encrypts, at every moment (I-19).

use std::time::Duration;

use domain::DataKeyState;
use domain::operation::OperationState;
use service::RotateDataKeys;
use testkit::{Step, World};
use vault::KeyUnavailable;
use vault::memory::{Fault, Operation};

use crate::customer::Customer;

/// Data keys rotate on demand: each app seals under a new one at once, what the old one sealed opens, and no app is ever
/// without one; another app's, and those younger than asked for, stay.
#[tokio::test]
async fn data_keys_rotate_on_demand() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 3).await;
    let acme = &customer.acme;
    world.clock.advance(Duration::from_secs(3_600));
    let young = acme.app("young").await;
    let before = World::data_key_of(&young.encrypt(b"x").await.unwrap());
    let request = RotateDataKeys { app: None, older_than: Duration::from_secs(60) };
    let operation = world.service.rotate_data_keys(&acme.may_rotate_data_keys(), request).await.unwrap();
    assert_eq!(operation.progress.total, 3);
    world.service.run_operations().await.unwrap();
    let done = world.service.read_operation(&acme.may_read_operations(), operation.id).await.unwrap();
    assert_eq!((done.state, done.progress.done), (OperationState::Done, 3));
    for (app, old) in &customer.sealed {
        assert!(app.is_warm(), "the new one is ready");
        assert_ne!(World::data_key_of(&app.encrypt(b"x").await.unwrap()), World::data_key_of(old));
    }
    assert_eq!(World::data_key_of(&young.encrypt(b"x").await.unwrap()), before);
    let states = |keys: Vec<domain::DataKey>, state| keys.iter().filter(|key| key.state == state).count();
    assert_eq!(states(world.data_keys(&acme.id).await, DataKeyState::Retired), 3);
    assert_eq!(states(world.data_keys(&acme.id).await, DataKeyState::Active), 4);
    customer.everything_opens(&world).await;

    let one = RotateDataKeys { app: Some(young.id.clone()), older_than: Duration::ZERO };
    world.clock.advance(Duration::from_secs(1));
    world.service.rotate_data_keys(&acme.may_rotate_data_keys(), one).await.unwrap();
    world.service.run_operations().await.unwrap();
    assert_ne!(World::data_key_of(&young.encrypt(b"x").await.unwrap()), before);
    assert_eq!(states(world.data_keys(&acme.id).await, DataKeyState::Retired), 4);
}

/// I-19: a rotation of data keys killed at each step leaves every app with exactly one active key, and is gone on with.
#[tokio::test]
async fn a_rotation_of_data_keys_killed_at_any_step_is_gone_on_with() {
    for step in Step::ALL {
        let world = World::start();
        let customer = Customer::with_apps(&world, 3).await;
        world.clock.advance(Duration::from_secs(3_600));
        let acme = &customer.acme;
        let request = RotateDataKeys { app: None, older_than: Duration::from_secs(60) };
        world.service.rotate_data_keys(&acme.may_rotate_data_keys(), request).await.unwrap();
        world.store.crash_at_nth(step, 1);
        let _ = world.service.run_operations().await;
        let active = |keys: Vec<domain::DataKey>| keys.iter().filter(|key| key.state == DataKeyState::Active).count();
        assert_eq!(active(world.data_keys(&acme.id).await), 3, "{step:?}");
        let next = world.another_service();
        next.run_operations().await.unwrap();
        let keys = world.data_keys(&acme.id).await;
        assert_eq!(keys.iter().filter(|key| key.state == DataKeyState::Retired).count(), 3, "{step:?}");
        assert_eq!(active(keys), 3, "{step:?}");
        customer.everything_opens(&world).await;
    }
}

/// A data key that has grown old is replaced by the next use; while its vault is away the old one seals on.
#[tokio::test]
async fn an_old_data_key_is_replaced_when_that_is_possible() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 1).await;
    let (app, old) = &customer.sealed[0];
    world.clock.advance(Duration::from_secs(366 * 24 * 3_600));
    world.vault.fail(Operation::Wrap, Fault::Refuse(KeyUnavailable::Unreachable));
    let kept = app.encrypt(b"x").await.unwrap();
    assert_eq!(World::data_key_of(&kept), World::data_key_of(old));
    world.vault.heal();
    world.clock.advance(Duration::from_secs(301));
    let renewed = app.encrypt(b"x").await.unwrap();
    assert_ne!(World::data_key_of(&renewed), World::data_key_of(old));
    customer.everything_opens(&world).await;
}
