//! A rotation of the key: planned, done, killed at each step, begun twice, cancelled, followed by itself.

use std::sync::Arc;
use std::time::Duration;

use domain::Reason;
use domain::operation::{OperationKind, OperationState};
use domain::rotation::Safety;
use service::{RotateDataKeys, RotateKey, SeededBug};
use testkit::{Step, World};
use vault::memory::Operation;

use crate::customer::{Customer, SETTLED, VerifyAll, one_after_the_other};

/// From a new version in the vault to the old one disabled: planned first, then done, then answered for.
#[tokio::test]
async fn a_rotation_goes_from_plan_to_safe_to_disable() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 5).await;
    let (acme, first) = (&customer.acme, customer.first);
    assert_eq!(acme.rotate().await.unwrap_err().reason(), Reason::NothingToRotate);
    world.clock.advance(Duration::from_secs(1));
    let second = world.vault.create_key(&acme.key());

    let dry = RotateKey { version: None, validate_only: true };
    let calls = world.vault.calls();
    let planned = world.service.rotate_key(&acme.may_rotate(), dry).await.unwrap();
    assert_eq!(planned.operation, None);
    assert_eq!((planned.plan.from, planned.plan.to, planned.plan.data_keys), (first, second, 5));
    assert_eq!(planned.plan.vault_calls, 17, "three for each data key, and the proof");
    assert!(planned.plan.eta < Duration::from_secs(1));
    assert_eq!((world.vault.calls().wrap, world.vault.calls().unwrap), (calls.wrap, calls.unwrap), "nothing was done");

    let operation = acme.rotate().await.unwrap().operation.unwrap();
    assert_eq!(customer.safety(&world.service, second).await, Safety::Target);
    world.service.run_operations().await.unwrap();
    let done = world.service.read_operation(&acme.may_read_operations(), operation.id).await.unwrap();
    assert_eq!((done.state, done.progress.done, done.progress.total), (OperationState::Done, 5, 5));
    assert_eq!(customer.under(&world).await, [second; 5]);
    let key = world.service.read_key(&acme.may_read_key()).await.unwrap();
    assert_eq!((key.current_version, key.wrap_epoch), (second, 2));

    assert!(matches!(customer.safety(&world.service, first).await, Safety::TooRecent { .. }));
    assert_eq!(customer.safety(&world.service, second).await, Safety::InForce);
    world.clock.advance(SETTLED);
    assert_eq!(customer.safety(&world.service, first).await, Safety::Safe);
    let versions = world.service.list_key_versions(&acme.may_read_key()).await.unwrap();
    assert!(matches!(versions[1].delete, Safety::InBackups { .. }), "backups of before the switch need it");
    // Disabling what is safe breaks nothing: neither what is in memory nor what has to be opened again.
    world.vault.disable(&acme.key(), first);
    customer.everything_opens(&world).await;
    for (app, ciphertext) in &customer.sealed {
        app.decrypt(ciphertext).await.unwrap();
        app.encrypt(b"more").await.unwrap();
    }
    let names = world.audit_names(&acme.id).await;
    assert_eq!(names[names.len() - 3..], ["key.rotation_started", "key.rotated", "operation.ended"], "I-24");
    world.store.verify_all().await;
}

/// An export that the customer holds needs the old version until they export again.
#[tokio::test]
async fn an_export_older_than_the_switch_keeps_a_version_from_being_deleted() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 1).await;
    let export = async || {
        let mut pages = world.service.export_wrapped_keys(&customer.acme.may_export()).await.unwrap();
        while pages.next().await.unwrap().is_some() {}
    };
    export().await;
    world.clock.advance(Duration::from_secs(1));
    world.vault.create_key(&customer.acme.key());
    customer.acme.rotate().await.unwrap();
    world.service.run_operations().await.unwrap();
    world.clock.advance(Duration::from_secs(36 * 24 * 3_600));
    let delete = async || {
        let versions = world.service.list_key_versions(&customer.acme.may_read_key()).await.unwrap();
        versions.into_iter().find(|found| found.version.id == customer.first).unwrap().delete
    };
    assert!(matches!(delete().await, Safety::InExport { .. }));
    export().await;
    assert_eq!(delete().await, Safety::Safe);
}

/// I-23: killed at each named step, and by another process gone on with, a rotation ends as if nothing had happened.
#[tokio::test]
async fn a_rotation_killed_at_any_step_is_gone_on_with() {
    let steps = [
        Step::BeforeTransaction("begin_operation"),
        Step::AfterTransaction("begin_operation"),
        Step::BeforeAddWrapping,
        Step::AfterAddWrapping,
        Step::BeforeTransaction("report_operation"),
        Step::AfterTransaction("report_operation"),
        Step::BeforeTransaction("switch_key"),
        Step::AfterTransaction("switch_key"),
        Step::BeforeTransaction("end_operation"),
        Step::AfterTransaction("end_operation"),
    ];
    for step in steps {
        for nth in [0, 2] {
            if nth > 0 && !matches!(step, Step::BeforeAddWrapping | Step::AfterAddWrapping) {
                continue;
            }
            let world = World::start();
            let customer = Customer::with_apps(&world, 4).await;
            world.clock.advance(Duration::from_secs(1));
            let second = world.vault.create_key(&customer.acme.key());
            let operation = customer.acme.rotate().await.unwrap().operation.unwrap();
            world.store.crash_at_nth(step, nth);
            let _ = world.service.run_operations().await;
            assert!(world.store.has_crashed(), "{step:?} was never reached");
            customer.everything_opens(&world).await;

            let next = world.another_service();
            next.run_operations().await.unwrap();
            let done = next.read_operation(&customer.acme.may_read_operations(), operation.id).await.unwrap();
            assert_eq!(done.state, OperationState::Done, "{step:?} {nth}: {done:?}");
            assert_eq!(customer.under(&world).await, [second; 4], "{step:?}");
            world.clock.advance(SETTLED);
            assert_eq!(customer.safety(&next, customer.first).await, Safety::Safe);
            world.vault.disable(&customer.acme.key(), customer.first);
            customer.everything_opens(&world).await;
            let names = world.audit_names(&customer.acme.id).await;
            for once in ["key.rotation_started", "key.rotated", "operation.ended"] {
                assert_eq!(names.iter().filter(|name| *name == once).count(), 1, "{step:?}: {once}");
            }
            world.store.verify_all().await;
        }
    }
}

/// I-23: killed between the calls to the vault nothing is half done either: the process dies while one hangs.
#[tokio::test]
async fn a_rotation_killed_in_the_middle_of_a_vault_call_is_gone_on_with() {
    for operation in [Operation::Unwrap, Operation::Wrap] {
        let world = World::start();
        let customer = Customer::with_apps(&world, 2).await;
        world.clock.advance(Duration::from_secs(1));
        let second = world.vault.create_key(&customer.acme.key());
        customer.acme.rotate().await.unwrap();
        let held = world.vault.hold(operation);
        let service = world.service.clone();
        let dying = tokio::spawn(async move { service.run_operations().await });
        held.arrived(1).await;
        dying.abort();
        let _ = dying.await;
        held.release();
        let next = world.another_service();
        next.run_operations().await.unwrap();
        assert_eq!(customer.under(&world).await, [second; 2]);
        customer.everything_opens(&world).await;
    }
}

/// I-19, I-23: begun twice at once there is one operation; worked on by two processes at once it comes to the same end; another
/// rotation meanwhile is refused.
#[tokio::test]
async fn two_at_once_are_one() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 6).await;
    let acme = &customer.acme;
    world.clock.advance(Duration::from_secs(1));
    let second = world.vault.create_key(&acme.key());
    let other = world.another_service();
    let elsewhere = acme.through(&other);
    let (one, two) = tokio::join!(acme.rotate(), elsewhere.rotate());
    let (one, two) = (one.unwrap().operation.unwrap(), two.unwrap().operation.unwrap());
    assert_eq!(one.id, two.id);
    let refused = world.service.rotate_data_keys(&acme.may_rotate_data_keys(), RotateDataKeys::default()).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::OperationUnderWay);
    world.clock.advance(Duration::from_secs(1));
    world.vault.create_key(&acme.key());
    assert_eq!(acme.rotate().await.unwrap_err().reason(), Reason::OperationUnderWay, "to yet another version");

    let (a, b) = tokio::join!(world.service.run_operations(), other.run_operations());
    a.and(b).unwrap();
    let done = world.service.read_operation(&acme.may_read_operations(), one.id).await.unwrap();
    assert_eq!(done.state, OperationState::Done);
    assert_eq!(customer.under(&world).await, [second; 6]);
    let key = world.service.read_key(&acme.may_read_key()).await.unwrap();
    assert_eq!(key.wrap_epoch, 2, "it switched once");
    customer.everything_opens(&world).await;
}

/// A rotation that is cancelled leaves every data key whole, under the old version or the new one, and can be begun again.
#[tokio::test]
async fn a_cancelled_rotation_leaves_everything_whole() {
    let world = one_after_the_other();
    let customer = Customer::with_apps(&world, 4).await;
    let acme = &customer.acme;
    world.clock.advance(Duration::from_secs(1));
    let second = world.vault.create_key(&acme.key());
    let operation = acme.rotate().await.unwrap().operation.unwrap();
    // Some of them are done when the process dies, and then somebody cancels.
    world.store.crash_at_nth(Step::AfterAddWrapping, 1);
    let _ = world.service.run_operations().await;
    let service = world.another_service();
    let cancelled = service.cancel_operation(&acme.may_cancel(), operation.id).await.unwrap();
    assert!(cancelled.cancelling && cancelled.state == OperationState::Running);
    service.run_operations().await.unwrap();
    let ended = service.read_operation(&acme.may_read_operations(), operation.id).await.unwrap();
    assert_eq!(ended.state, OperationState::Cancelled);
    let again = service.cancel_operation(&acme.may_cancel(), operation.id).await;
    assert_eq!(again.unwrap_err().reason(), Reason::OperationEnded);
    customer.everything_opens(&world).await;
    let under = customer.under(&world).await;
    assert!(under.contains(&customer.first) && under.contains(&second), "{under:?}");
    world.clock.advance(SETTLED);
    for version in [customer.first, second] {
        assert!(!customer.safety(&service, version).await.is_safe(), "each is needed by somebody");
    }
    // It is not begun again by itself, and is by hand.
    service.follow_new_versions().await.unwrap();
    assert_eq!(service.list_operations(&acme.may_read_operations(), None, None).await.unwrap().operations.len(), 1);
    acme.through(&service).rotate().await.unwrap();
    service.run_operations().await.unwrap();
    assert_eq!(customer.under(&world).await, [second; 4]);
    customer.everything_opens(&world).await;
}

/// No request fails while a rotation is under way: for a held key not even the first try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_a_key_is_rotated() {
    let world = Arc::new(World::start());
    let customer = Customer::with_apps(&world, 30).await;
    world.clock.advance(Duration::from_secs(1));
    world.vault.create_key(&customer.acme.key());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut load = tokio::task::JoinSet::new();
    for (app, ciphertext) in customer.sealed.clone() {
        let stopped = stopped.clone();
        load.spawn(async move {
            let mut served = 0u64;
            while !*stopped.borrow() {
                let sealed = app.encrypt(b"while it rotates").await.expect("an encrypt failed");
                app.decrypt(&sealed).await.expect("a decrypt failed");
                app.decrypt(&ciphertext).await.expect("an old ciphertext failed");
                served += 1;
                tokio::task::yield_now().await;
            }
            served
        });
    }
    customer.acme.rotate().await.unwrap();
    world.service.run_operations().await.unwrap();
    // New apps are born all the while, and after the switch under the new version.
    customer.acme.app("late").await.encrypt(b"x").await.unwrap();
    stop.send(true).unwrap();
    let served: u64 = load.join_all().await.into_iter().sum();
    assert!(served > 100, "{served} rounds");
    customer.everything_opens(&world).await;
    assert_eq!(customer.under(&world).await.iter().filter(|version| **version == customer.first).count(), 0);
}

/// Whether data keys that were born after the last one was wrapped, and before the switch, follow after it. Here all of them:
/// the switch is made by hand, as by a replica that had read of none.
async fn the_late_ones_follow(world: World) -> bool {
    let customer = Customer::with_apps(&world, 3).await;
    let acme = &customer.acme;
    world.clock.advance(Duration::from_secs(1));
    let second = world.vault.create_key(&acme.key());
    let planned = acme.rotate().await.unwrap().operation.unwrap();
    let at = planned.created_at;
    let store = world.store.inner();
    let mut tx = store.begin("switch").await.unwrap();
    let config = tx.key_config(&acme.id).await.unwrap().unwrap();
    let wrap_epoch = config.wrap_epoch + 1;
    tx.put_key_config(&domain::KeyConfig { current_version: second, wrap_epoch, ..config }).await.unwrap();
    let switched = domain::Operation { switched_at: Some(at), ..planned.begin(at).unwrap() };
    tx.put_operation(&switched).await.unwrap();
    tx.commit().await.unwrap();

    world.service.run_operations().await.unwrap();
    let done = world.service.read_operation(&acme.may_read_operations(), switched.id).await.unwrap();
    assert_eq!(done.state, OperationState::Done);
    customer.under(&world).await.iter().all(|version| *version == second)
}

/// I-23: what is born before the switch follows after it.
#[tokio::test]
async fn a_data_key_born_meanwhile_follows() {
    assert!(the_late_ones_follow(World::start()).await);
    let left = !the_late_ones_follow(World::with_bug(SeededBug::StragglersForgotten)).await;
    assert!(left, "the seeded bug was not found");
}

/// A new version in the vault is found and followed without anybody asking; one that is disabled or older is not.
#[tokio::test]
async fn a_new_version_is_followed_by_itself() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 2).await;
    let acme = &customer.acme;
    let operations = async || {
        world.service.follow_new_versions().await.unwrap();
        world.service.list_operations(&acme.may_read_operations(), None, None).await.unwrap().operations
    };
    assert_eq!(operations().await, []);
    world.clock.advance(Duration::from_secs(1));
    let off = world.vault.create_key(&acme.key());
    world.vault.disable(&acme.key(), off);
    assert_eq!(operations().await, [], "a version that is disabled");
    world.clock.advance(Duration::from_secs(1));
    let newest = world.vault.create_key(&acme.key());
    let found = operations().await;
    assert_eq!((found.len(), found[0].actor.as_str()), (1, "service"));
    assert_eq!(found[0].kind, OperationKind::RotateKey { from: customer.first, to: newest });
    assert_eq!(operations().await.len(), 1, "looked again, found again, begun once");
    world.service.run_operations().await.unwrap();
    assert_eq!(customer.under(&world).await, [newest; 2]);
    assert_eq!(operations().await.len(), 1);
}

/// Whether a replica that did not do the rotation serves on after the old version was switched off, at the first try.
async fn other_replicas_serve_on(world: World) -> bool {
    let customer = Customer::with_apps(&world, 3).await;
    let (acme, other) = (&customer.acme, world.another_service());
    world.clock.advance(Duration::from_secs(1));
    world.vault.create_key(&acme.key());
    acme.rotate().await.unwrap();
    other.run_operations().await.unwrap();
    assert!(customer.sealed.iter().all(|(app, _)| app.is_warm()), "this replica did nothing of it");
    world.clock.advance(SETTLED);
    assert_eq!(customer.safety(&world.service, customer.first).await, Safety::Safe);
    world.vault.disable(&acme.key(), customer.first);
    let denied_before = world.audit_names(&acme.id).await.iter().filter(|name| *name == "vault.denied").count();
    let mut served = true;
    for (app, sealed) in &customer.sealed {
        served &= app.decrypt(sealed).await.is_ok();
    }
    let denied = world.audit_names(&acme.id).await.iter().filter(|name| *name == "vault.denied").count();
    served && denied == denied_before
}

/// I-23: a replica in use goes over by itself within C, beside its requests: after that the old version's owner disables it, and
/// nobody notices.
#[tokio::test]
async fn a_replica_in_use_goes_over_before_the_old_version_is_safe_to_disable() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 3).await;
    let (acme, rotating) = (&customer.acme, world.another_service());
    let live = async |seconds: u64| {
        let mut refused = 0;
        for _ in 0..seconds {
            world.clock.advance(Duration::from_secs(1));
            for (app, sealed) in &customer.sealed {
                refused += usize::from(app.encrypt(b"x").await.is_err());
                refused += usize::from(app.decrypt(sealed).await.is_err());
            }
            world.service.run_due_tasks().await;
        }
        refused
    };
    assert_eq!(live(40).await, 0);
    world.vault.create_key(&acme.key());
    acme.rotate().await.unwrap();
    rotating.run_operations().await.unwrap();
    assert_eq!(live(SETTLED.as_secs()).await, 0);
    assert_eq!(customer.safety(&world.service, customer.first).await, Safety::Safe);
    world.vault.disable(&acme.key(), customer.first);
    assert_eq!(live(60).await, 0);
    assert!(!world.audit_names(&acme.id).await.contains(&"vault.denied".to_owned()), "nobody asked it any more");
}

/// I-23: what is safe to disable is so for every replica: one that still holds data keys under the old version finds the new
/// wrapping before it asks the old version anything.
#[tokio::test]
async fn safe_to_disable_holds_for_every_replica() {
    assert!(other_replicas_serve_on(World::start()).await);
    let bug = World::with_bug(SeededBug::OldVersionInsisted);
    assert!(!other_replicas_serve_on(bug).await, "the seeded bug was not found");
}
