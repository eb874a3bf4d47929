//! Leaving the customer's key, and the end of a data key: each asked for by one and approved by another; the first takes nothing
//! away, the second takes away for good what it was asked to, and never anything else (I-5).

use std::sync::Arc;
use std::time::Duration;

use domain::operation::{Operation, OperationState};
use domain::{DataKeyId, DataKeyState, Protection, Reason};
use service::{RotateDataKeys, SeededBug, Service, StillNeeded};
use store::{Conflict, StoreError};
use testkit::{TestApp, TestWorkspace, World};

const HOUR: Duration = Duration::from_secs(3_600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

struct Customer {
    acme: TestWorkspace,
    app: TestApp,
    sealed: Vec<u8>,
}

impl Customer {
    async fn new(world: &World) -> Self {
        let acme = world.workspace("acme").await;
        acme.connect_key().await;
        let app = acme.app("bot").await;
        let sealed = app.encrypt(b"a secret").await.unwrap();
        Self { acme, app, sealed }
    }

    /// The data key of its ciphertext, retired: another has taken its place.
    async fn retired(&self, world: &World) -> DataKeyId {
        world.clock.advance(HOUR);
        let request = RotateDataKeys::default();
        world.service.rotate_data_keys(&self.acme.may_rotate_data_keys(), request).await.unwrap();
        world.service.run_operations().await.unwrap();
        World::data_key_of(&self.sealed)
    }

    async fn approve(&self, world: &World, operation: &Operation) -> Operation {
        world.service.approve_operation(&self.acme.may_decide("bob"), operation.id).await.unwrap()
    }

    async fn state(&self, world: &World, operation: &Operation) -> OperationState {
        world.service.run_operations().await.unwrap();
        world.service.read_operation(&self.acme.may_read_operations(), operation.id).await.unwrap().state
    }

    async fn protection(&self, service: &Arc<Service>) -> Protection {
        let mut out = Vec::new();
        let context = envelope::Context::empty();
        service.encrypt(&self.app.may_encrypt(), &context, b"new", &mut out).await.unwrap().protection
    }

    async fn needed(&self, world: &World) -> Vec<StillNeeded> {
        world.service.leave_customer_key(&self.acme.may_leave(), true).await.unwrap().needed
    }
}

/// After leaving, new data is under the platform's key on every replica; old data opens while the customer's key is enabled, and
/// the list says what still needs it.
#[tokio::test]
async fn leaving_takes_new_data_back_and_leaves_old_data_where_it_is() {
    let world = World::start();
    let customer = Customer::new(&world).await;
    let (acme, other) = (&customer.acme, world.another_service());
    other.run_due_tasks().await;
    assert_eq!(customer.protection(&other).await, Protection::CustomerKey);
    let needs_one = [StillNeeded { app: customer.app.id.clone(), data_keys: 1 }];
    assert_eq!(customer.needed(&world).await, needs_one);
    let asked = world.service.leave_customer_key(&acme.may_leave(), false).await.unwrap().operation.unwrap();
    assert_eq!(customer.state(&world, &asked).await, OperationState::AwaitingApproval);
    assert_eq!(customer.protection(&world.service).await, Protection::CustomerKey, "nobody approved it");
    customer.approve(&world, &asked).await;
    assert_eq!(customer.state(&world, &asked).await, OperationState::Done);
    assert_eq!(customer.protection(&world.service).await, Protection::PlatformKey);
    other.run_due_tasks().await;
    assert_eq!(customer.protection(&other).await, Protection::PlatformKey, "I-13");
    for service in [&world.service, &other, &world.another_service()] {
        assert_eq!(customer.app.through(service).decrypt(&customer.sealed).await.unwrap(), b"a secret");
    }
    assert_eq!(customer.needed(&world).await, needs_one);
    let key = world.service.read_key(&acme.may_read_key()).await.unwrap();
    assert!(key.left_at.is_some());
    let again = world.service.leave_customer_key(&acme.may_leave(), false).await;
    assert_eq!(again.unwrap_err().reason(), Reason::KeyLeft);
    let states: Vec<_> = world.data_keys(&acme.id).await.into_iter().map(|key| (key.protection, key.state)).collect();
    assert!(states.contains(&(Protection::CustomerKey, DataKeyState::Retired)), "{states:?}");

    world.vault.disable(&acme.key(), key.current_version);
    let fresh = world.another_service();
    let refused = customer.app.through(&fresh).decrypt(&customer.sealed).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::KeyDisabled);
    assert_eq!(customer.protection(&fresh).await, Protection::PlatformKey, "and new data goes on");
    let names = world.audit_names(&acme.id).await;
    for once in ["operation.approval_asked", "operation.approved", "key.left", "operation.ended"] {
        assert_eq!(names.iter().filter(|name| *name == once).count(), 1, "I-24: {once} in {names:?}");
    }
    world.store.inner().verify().await.unwrap();
}

/// Whether new data is under the platform's key right after leaving.
async fn leaves(world: World) -> bool {
    let customer = Customer::new(&world).await;
    let asked = world.service.leave_customer_key(&customer.acme.may_leave(), false).await.unwrap().operation.unwrap();
    customer.approve(&world, &asked).await;
    assert_eq!(customer.state(&world, &asked).await, OperationState::Done);
    customer.protection(&world.service).await == Protection::PlatformKey
}

/// I-18: from the commit on nothing new is under the customer's key.
#[tokio::test]
async fn nothing_new_is_under_the_customers_key_after_leaving() {
    assert!(leaves(World::start()).await);
    assert!(!leaves(World::with_bug(SeededBug::ProtectionCrosses)).await, "the seeded bug was not found");
}

/// I-5: a data key is destroyed when it is retired, two people want it, and a week went by; then nothing opens with it, in memory or
/// out of the database, on any replica.
#[tokio::test]
async fn a_data_key_is_destroyed_by_two_people_and_a_week() {
    let world = World::start();
    let customer = Customer::new(&world).await;
    let (acme, app) = (&customer.acme, &customer.app);
    let ask = async |id| world.service.destroy_data_key(&app.may_destroy(), id).await;
    let active = World::data_key_of(&customer.sealed);
    assert_eq!(ask(active).await.unwrap_err().reason(), Reason::DataKeyActive);
    let stranger = DataKeyId::from_bytes([9; 16]);
    assert_eq!(ask(stranger).await.unwrap_err().reason(), Reason::NotFound);
    let id = customer.retired(&world).await;
    let kept = app.encrypt(b"stays").await.unwrap();
    let other = world.another_service();
    other.run_due_tasks().await;
    app.through(&other).decrypt(&customer.sealed).await.unwrap();

    let asked = ask(id).await.unwrap();
    assert_eq!(ask(id).await.unwrap().id, asked.id, "asked for twice it is one");
    world.service.cancel_operation(&acme.may_cancel(), asked.id).await.unwrap();
    let asked = ask(id).await.unwrap();
    let own = world.service.approve_operation(&acme.may_decide("tester"), asked.id).await;
    assert_eq!(own.unwrap_err().reason(), Reason::ApprovalOwnRequest);
    customer.approve(&world, &asked).await;
    world.clock.advance(WEEK - HOUR);
    assert_eq!(customer.state(&world, &asked).await, OperationState::Waiting);
    assert_eq!(app.decrypt(&customer.sealed).await.unwrap(), b"a secret");
    other.run_due_tasks().await;
    assert_eq!(app.through(&other).decrypt(&customer.sealed).await.unwrap(), b"a secret");

    world.clock.advance(HOUR);
    assert_eq!(customer.state(&world, &asked).await, OperationState::Done);
    other.run_due_tasks().await;
    for service in [&world.service, &other, &world.another_service()] {
        let refused = app.through(service).decrypt(&customer.sealed).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::DecryptionFailed);
        assert_eq!(app.through(service).decrypt(&kept).await.unwrap(), b"stays");
    }
    let store = world.store.inner();
    let row = store.data_key(&acme.id, &app.id, id).await.unwrap().expect("the tombstone");
    assert!(row.destroyed_at.is_some());
    assert!(store.wrapping(&acme.id, id).await.unwrap().unwrap().sealed_blob.is_empty());
    assert_eq!(ask(id).await.unwrap_err().reason(), Reason::DataKeyDestroyed);
    store.verify().await.unwrap();
    // What is left of it stands in nobody's way.
    assert_eq!(customer.needed(&world).await, [StillNeeded { app: app.id.clone(), data_keys: 1 }]);
    let second = world.vault.create_key(&acme.key());
    acme.rotate().await.unwrap();
    world.service.run_operations().await.unwrap();
    let key = world.service.read_key(&acme.may_read_key()).await.unwrap();
    assert_eq!(key.current_version, second);
    assert!(world.audit_names(&acme.id).await.contains(&"data_key.destroyed".to_owned()), "I-24");
}

/// Whether a destruction keeps its promise with this fault put in.
async fn is_safe(bug: Option<SeededBug>, promise: SeededBug) -> bool {
    let world = bug.map_or_else(World::start, World::with_bug);
    let customer = Customer::new(&world).await;
    let id = customer.retired(&world).await;
    let asked = world.service.destroy_data_key(&customer.app.may_destroy(), id).await.unwrap();
    match promise {
        SeededBug::OwnRequestApproved => {
            let own = customer.acme.may_decide("tester");
            world.service.approve_operation(&own, asked.id).await.is_err()
        }
        SeededBug::WaitingPeriodIgnored => {
            customer.approve(&world, &asked).await;
            customer.state(&world, &asked).await == OperationState::Waiting
        }
        SeededBug::DestroyedKeyKept => {
            // The replica that does not destroy it is the one with the fault.
            let destroying = world.another_service();
            customer.app.decrypt(&customer.sealed).await.unwrap();
            world.service.run_due_tasks().await;
            customer.approve(&world, &asked).await;
            world.clock.advance(WEEK);
            world.service.run_due_tasks().await;
            customer.app.decrypt(&customer.sealed).await.unwrap();
            destroying.run_operations().await.unwrap();
            world.service.run_due_tasks().await;
            customer.app.decrypt(&customer.sealed).await.is_err()
        }
        other => panic!("no promise of a destruction: {other:?}"),
    }
}

/// I-5: each promise holds, and its seeded bug is found.
#[tokio::test]
async fn each_promise_of_a_destruction_holds_and_its_seeded_bug_is_found() {
    for promise in [SeededBug::OwnRequestApproved, SeededBug::WaitingPeriodIgnored, SeededBug::DestroyedKeyKept] {
        assert!(is_safe(None, promise).await, "{promise:?}");
        assert!(!is_safe(Some(promise), promise).await, "the seeded bug {promise:?} was not found");
    }
}

/// I-5: the database itself destroys nothing but in the name of an operation that two people and a week stand behind.
#[tokio::test]
async fn the_database_destroys_nothing_on_one_persons_word() {
    let world = World::start();
    let customer = Customer::new(&world).await;
    let id = customer.retired(&world).await;
    let asked = world.service.destroy_data_key(&customer.app.may_destroy(), id).await.unwrap();
    let store = world.store.inner();
    let destroy = async |at| {
        let mut tx = store.begin("destroy").await.unwrap();
        tx.destroy_data_key(asked.id, at).await
    };
    let now = asked.created_at;
    assert_eq!(destroy(now.saturating_add(10 * WEEK)).await, Err(Conflict::OperationEnded.into()), "not running");
    // A forged decision by the same person, and one whose time is not over.
    let mut own = asked.clone().approve("bob", now).unwrap();
    if let Some(decision) = own.approval.as_mut().and_then(|approval| approval.decision.as_mut()) {
        decision.by = asked.actor.clone();
    }
    let mut tx = store.begin("forge").await.unwrap();
    let refused = tx.put_operation(&own).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. } | StoreError::Conflict(_))), "{refused:?}");
    drop(tx);
    let approved = asked.clone().approve("bob", now).unwrap();
    let begun = approved.clone().begin(approved.not_before().unwrap()).unwrap();
    for step in [approved, begun] {
        let mut tx = store.begin("approve").await.unwrap();
        tx.put_operation(&step).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(destroy(now).await, Err(Conflict::NotApproved.into()), "a week too early");
    assert_eq!(destroy(now.saturating_add(WEEK)).await, Ok(()));
}

/// I-5: no revocation, deletion, expiry of a request, crash or rejected request destroys anything.
#[tokio::test]
async fn a_destruction_follows_from_nothing_else() {
    let world = World::start();
    let customer = Customer::new(&world).await;
    let (acme, app) = (&customer.acme, &customer.app);
    let id = customer.retired(&world).await;
    let rejected = world.service.destroy_data_key(&app.may_destroy(), id).await.unwrap();
    world.service.reject_operation(&acme.may_decide("bob"), rejected.id).await.unwrap();
    let unanswered = world.service.destroy_data_key(&app.may_destroy(), id).await.unwrap();
    assert_ne!(unanswered.id, rejected.id);
    world.clock.advance(2 * WEEK);
    assert_eq!(customer.state(&world, &unanswered).await, OperationState::Expired);
    assert_eq!(customer.state(&world, &rejected).await, OperationState::Rejected);
    let late = world.service.approve_operation(&acme.may_decide("bob"), unanswered.id).await;
    assert_eq!(late.unwrap_err().reason(), Reason::OperationEnded);
    let key = world.service.read_key(&acme.may_read_key()).await.unwrap();
    world.vault.disable(&acme.key(), key.current_version);
    assert!(app.decrypt(&customer.sealed).await.is_err());
    world.another_service().run_operations().await.unwrap();
    world.vault.enable(&acme.key(), key.current_version);
    assert_eq!(app.through(&world.another_service()).decrypt(&customer.sealed).await.unwrap(), b"a secret");
    world.service.delete_app(&app.may_change()).await.unwrap();
    world.service.run_operations().await.unwrap();
    let rows = world.data_keys(&acme.id).await;
    assert!(rows.iter().all(|row| row.destroyed_at.is_none()), "{rows:?}");
}

/// Of a yes and a no at once one wins, and the other is told.
#[tokio::test]
async fn of_two_decisions_at_once_one_wins() {
    let world = World::start();
    let customer = Customer::new(&world).await;
    let asked = world.service.leave_customer_key(&customer.acme.may_leave(), false).await.unwrap().operation.unwrap();
    let (bob, eve) = (customer.acme.may_decide("bob"), customer.acme.may_decide("eve"));
    let other = world.another_service();
    let (yes, no) =
        tokio::join!(world.service.approve_operation(&bob, asked.id), other.reject_operation(&eve, asked.id));
    assert!(yes.is_ok() != no.is_ok(), "{yes:?} and {no:?}");
    let lost = yes.err().or(no.err()).unwrap().reason();
    assert!(matches!(lost, Reason::ApprovalNotAwaited | Reason::OperationEnded), "{lost:?}");
}

/// A data key that was being born when the workspace left its key never becomes active under it, and its app goes on under the
/// platform's.
#[tokio::test]
async fn a_birth_that_meets_a_leave_ends_on_the_platforms_side() {
    let world = World::start();
    let customer = Customer::new(&world).await;
    let acme = &customer.acme;
    let late = acme.app("late").await;
    let held = world.vault.hold(vault::memory::Operation::Unwrap);
    let birth = {
        let late = late.through(&world.service);
        tokio::spawn(async move { late.encrypt(b"new").await })
    };
    held.arrived(1).await;
    let asked = world.service.leave_customer_key(&acme.may_leave(), false).await.unwrap().operation.unwrap();
    customer.approve(&world, &asked).await;
    assert_eq!(customer.state(&world, &asked).await, OperationState::Done);
    held.release();
    let sealed = birth.await.unwrap().unwrap();
    assert_eq!(late.decrypt(&sealed).await.unwrap(), b"new");
    let keys = world.data_keys(&acme.id).await;
    let active = |key: &domain::DataKey| key.protection == Protection::CustomerKey && key.state == DataKeyState::Active;
    assert!(!keys.iter().any(active), "{keys:?}");
    // Only what sealed something needs the customer's key still.
    let versions = world.service.list_key_versions(&acme.may_read_key()).await.unwrap();
    assert_eq!(versions[0].data_keys, 1);
}

/// The data key of an app that was taken out from under the customer's key, and of one that was deleted, can be retired, and so
/// destroyed one day like every other.
#[tokio::test]
async fn data_keys_that_nothing_is_sealed_under_any_more_can_be_retired() {
    let world = World::start();
    let customer = Customer::new(&world).await;
    let acme = &customer.acme;
    let gone = acme.app("gone").await;
    gone.encrypt(b"x").await.unwrap();
    let remove = [customer.app.id.clone()].into();
    let wish = domain::key_life::Wish::Change { add: [].into(), remove };
    world.service.select_apps(&acme.may_select(), wish, false).await.unwrap();
    world.service.delete_app(&gone.may_change()).await.unwrap();
    world.clock.advance(HOUR);
    world.service.rotate_data_keys(&acme.may_rotate_data_keys(), RotateDataKeys::default()).await.unwrap();
    world.service.run_operations().await.unwrap();
    let keys = world.data_keys(&acme.id).await;
    let states: Vec<_> =
        keys.iter().filter(|key| key.protection == Protection::CustomerKey).map(|key| key.state).collect();
    assert_eq!(states, [DataKeyState::Retired; 2]);
    assert_eq!(customer.app.decrypt(&customer.sealed).await.unwrap(), b"a secret");
}
