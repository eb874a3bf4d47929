//! Going over to another key: only to one that its owner proved and that was tested, and elsewhere only with a second person and a
//! day's time; then every data key, as in a rotation.

use std::time::Duration;

use domain::operation::{Operation, OperationState};
use domain::{Cloud, KeyConfig, KeyLocation, KeyVersionId, Reason, WrappingKey};
use service::{OWNERSHIP_TAG, Refusal, ReplaceKey, ReplacementStarted, SeededBug, TestConfiguration, TestEvent};
use testkit::{Step, TestApp, TestWorkspace, World};
use vault::KeyRef;

const HOUR: Duration = Duration::from_secs(3_600);
/// What a replica may still act on: C, and the longest piece of work.
const SETTLED: Duration = Duration::from_secs(300 + 10 + 1);
const OTHER_TENANT: &str = "11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01";

/// A workspace under its key, and another key of the same owner.
struct Customer {
    acme: TestWorkspace,
    sealed: Vec<(TestApp, Vec<u8>)>,
    first: KeyVersionId,
    other: KeyRef,
    to: KeyVersionId,
}

impl Customer {
    async fn new(world: &World, vault: &str, name: &str, tenant: Option<&str>) -> Self {
        let acme = world.workspace("acme").await;
        let first = acme.connect_key().await;
        let mut sealed = Vec::new();
        for n in 0..4 {
            let app = acme.app(&format!("app-{n}")).await;
            let ciphertext = app.encrypt(format!("secret {n}").as_bytes()).await.unwrap();
            sealed.push((app, ciphertext));
        }
        let tenant = tenant.map_or(acme.key().tenant, |tenant| tenant.parse().unwrap());
        let other = KeyRef::of_platform(tenant, KeyLocation::from_parts(Cloud::Public, vault, name).unwrap());
        let to = world.vault.create_key(&other);
        Self { acme, sealed, first, other, to }
    }

    /// In another vault and another tenant.
    async fn elsewhere(world: &World) -> Self {
        Self::new(world, "acme-new", "byok", Some(OTHER_TENANT)).await
    }

    /// Elsewhere, with both tags and a passing test.
    async fn ready(world: &World) -> Self {
        let customer = Self::elsewhere(world).await;
        customer.acme.prove_ownership().await;
        customer.show_the_other_tag(world).await;
        assert!(customer.test_the_other(world).await);
        customer
    }

    async fn show_the_other_tag(&self, world: &World) {
        let config = world.service.read_key(&self.acme.may_read_key()).await.unwrap();
        let KeyRef { tenant, location, .. } = self.other.clone();
        let nonce = world.service.ownership_nonce(&KeyConfig { tenant, location, ..config }).await.unwrap();
        world.vault.change(&self.other, self.to, |attributes| {
            attributes.tags.insert(OWNERSHIP_TAG.to_owned(), nonce);
        });
    }

    /// Tests exactly the other key; whether it passed.
    async fn test_the_other(&self, world: &World) -> bool {
        let candidate = TestConfiguration {
            key_identifier: Some(self.other.location.to_string()),
            key_name: None,
            tenant_id: Some(self.other.tenant.to_string()),
        };
        let mut run = world.service.test_configuration(&self.acme.may_test(), candidate).await.unwrap();
        loop {
            match run.next().await.unwrap() {
                Some(TestEvent::Finished(test)) => return test.passed(),
                Some(TestEvent::Started(_) | TestEvent::Ended(_)) => {}
                None => panic!("a test ends with its result"),
            }
        }
    }

    async fn ask(&self, world: &World, validate_only: bool) -> Result<ReplacementStarted, Refusal> {
        let request = ReplaceKey {
            key_identifier: self.other.location.to_string(),
            key_name: None,
            tenant_id: self.other.tenant.to_string(),
            validate_only,
        };
        world.service.replace_key(&self.acme.may_replace(), request).await
    }

    async fn state(&self, world: &World, operation: &Operation) -> (OperationState, Option<Reason>) {
        world.service.run_operations().await.unwrap();
        let now = world.service.read_operation(&self.acme.may_read_operations(), operation.id).await.unwrap();
        (now.state, now.reason)
    }

    async fn under(&self, world: &World) -> Vec<KeyVersionId> {
        let mut found = Vec::new();
        for key in world.data_keys(&self.acme.id).await {
            let wrapping = world.store.inner().wrapping(&self.acme.id, key.id).await.unwrap().unwrap();
            let WrappingKey::Customer(version) = wrapping.wrapped_by else { panic!("not under the customer's key") };
            found.push(version);
        }
        found
    }

    async fn everything_opens(&self, world: &World) {
        let fresh = world.another_service();
        for (n, (app, ciphertext)) in self.sealed.iter().enumerate() {
            assert_eq!(app.through(&fresh).decrypt(ciphertext).await.unwrap(), format!("secret {n}").as_bytes());
        }
    }
}

fn why(outcome: Result<ReplacementStarted, Refusal>) -> Reason {
    outcome.expect_err("it was taken").reason()
}

/// A key of another tenant takes over after a test, both tags, somebody else's yes and a day; every data key follows, and the old
/// key may be disabled then.
#[tokio::test]
async fn another_tenants_key_takes_over_after_all_guards() {
    let world = World::start();
    let customer = Customer::elsewhere(&world).await;
    let acme = &customer.acme;
    assert_eq!(why(customer.ask(&world, true).await), Reason::KeyReplacementUntested);
    assert!(!customer.test_the_other(&world).await, "without its tag");
    assert_eq!(why(customer.ask(&world, false).await), Reason::KeyReplacementUntested);
    customer.show_the_other_tag(&world).await;
    // Tests sort by time.
    world.clock.advance(Duration::from_secs(1));
    assert!(customer.test_the_other(&world).await);
    assert_eq!(why(customer.ask(&world, false).await), Reason::OwnershipNotProven, "of the key in force");
    acme.prove_ownership().await;
    let dry = customer.ask(&world, true).await.unwrap();
    assert_eq!((dry.operation, dry.approval), (None, Some(24 * HOUR)));
    assert_eq!((dry.plan.from, dry.plan.to, dry.plan.data_keys), (customer.first, customer.to, 4));

    let asked = customer.ask(&world, false).await.unwrap().operation.unwrap();
    let again = customer.ask(&world, false).await.unwrap().operation.unwrap();
    assert_eq!((asked.state, again.id), (OperationState::AwaitingApproval, asked.id), "asked for twice it is one");
    assert_eq!(customer.state(&world, &asked).await.0, OperationState::AwaitingApproval);
    let own = world.service.approve_operation(&acme.may_decide("tester"), asked.id).await;
    assert_eq!(own.unwrap_err().reason(), Reason::ApprovalOwnRequest);
    let approved = world.service.approve_operation(&acme.may_decide("bob"), asked.id).await.unwrap();
    assert_eq!(approved.state, OperationState::Waiting);
    world.clock.advance(23 * HOUR);
    assert_eq!(customer.state(&world, &asked).await.0, OperationState::Waiting);
    assert_eq!(customer.under(&world).await, [customer.first; 4]);
    // Meanwhile everything else goes on.
    world.vault.create_key(&acme.key());
    world.service.follow_new_versions().await.unwrap();
    assert_eq!(world.service.read_key(&acme.may_read_key()).await.unwrap().current_version, customer.first);

    world.clock.advance(HOUR);
    assert_eq!(customer.state(&world, &asked).await, (OperationState::Done, None));
    assert_eq!(customer.under(&world).await, [customer.to; 4]);
    let key = world.service.read_key(&acme.may_read_key()).await.unwrap();
    assert_eq!((&key.location, &key.tenant), (&customer.other.location, &customer.other.tenant));
    assert_eq!((key.current_version, key.wrap_epoch), (customer.to, 2));
    customer.everything_opens(&world).await;
    world.clock.advance(SETTLED);
    let versions = world.service.list_key_versions(&acme.may_read_key()).await.unwrap();
    let old = versions.iter().find(|found| found.version.id == customer.first).unwrap();
    assert!(old.disable.is_safe(), "{:?}", old.disable);
    world.vault.disable(&acme.key(), customer.first);
    customer.everything_opens(&world).await;
    for (app, ciphertext) in &customer.sealed {
        app.decrypt(ciphertext).await.unwrap();
        app.encrypt(b"more").await.unwrap();
    }
    let names = world.audit_names(&acme.id).await;
    let expected =
        ["key.replacement_started", "operation.approval_asked", "operation.approved", "key.rotated", "operation.ended"];
    assert_eq!(names[names.len() - 5..], expected, "I-24");
    world.store.inner().verify().await.unwrap();
    // The new key rotates like any other.
    world.clock.advance(HOUR);
    let third = world.vault.create_key(&customer.other);
    acme.rotate().await.unwrap();
    world.service.run_operations().await.unwrap();
    assert_eq!(customer.under(&world).await, [third; 4]);
    customer.everything_opens(&world).await;
}

/// Whether a guard holds with this fault put in.
async fn holds(bug: Option<SeededBug>, guard: SeededBug) -> bool {
    let world = bug.map_or_else(World::start, World::with_bug);
    match guard {
        SeededBug::ReplacementUntested => {
            let customer = Customer::elsewhere(&world).await;
            customer.acme.prove_ownership().await;
            customer.show_the_other_tag(&world).await;
            customer.ask(&world, false).await.is_err()
        }
        SeededBug::ReplacementUnproven => {
            let customer = Customer::ready(&world).await;
            world.vault.change(&customer.acme.key(), customer.first, |attributes| attributes.tags.clear());
            customer.ask(&world, false).await.is_err()
        }
        SeededBug::OwnRequestApproved => {
            let customer = Customer::ready(&world).await;
            let asked = customer.ask(&world, false).await.unwrap().operation.unwrap();
            world.service.approve_operation(&customer.acme.may_decide("tester"), asked.id).await.is_err()
        }
        SeededBug::WaitingPeriodIgnored => {
            let customer = Customer::ready(&world).await;
            let asked = customer.ask(&world, false).await.unwrap().operation.unwrap();
            world.service.approve_operation(&customer.acme.may_decide("bob"), asked.id).await.unwrap();
            customer.state(&world, &asked).await.0 == OperationState::Waiting
        }
        other => panic!("no guard of a replacement: {other:?}"),
    }
}

/// Each guard refuses by itself, and each seeded bug lets through what it refuses.
#[tokio::test]
async fn each_guard_of_a_replacement_holds_and_its_seeded_bug_is_found() {
    for guard in [
        SeededBug::ReplacementUntested,
        SeededBug::ReplacementUnproven,
        SeededBug::OwnRequestApproved,
        SeededBug::WaitingPeriodIgnored,
    ] {
        assert!(holds(None, guard).await, "{guard:?}");
        assert!(!holds(Some(guard), guard).await, "the seeded bug {guard:?} was not found");
    }
}

/// Whether data keys that were still under the old tenant's key at the switch follow: the vault is asked with its own tenant.
async fn the_late_ones_follow(world: World) -> bool {
    let customer = Customer::ready(&world).await;
    let acme = &customer.acme;
    let asked = customer.ask(&world, false).await.unwrap().operation.unwrap();
    let approved = world.service.approve_operation(&acme.may_decide("bob"), asked.id).await.unwrap();
    world.clock.advance(25 * HOUR);
    let at = approved.not_before().unwrap();
    let mut tx = world.store.inner().begin("switch").await.unwrap();
    let config = tx.key_config(&acme.id).await.unwrap().unwrap();
    let (wrap_epoch, KeyRef { tenant, location, .. }) = (config.wrap_epoch + 1, customer.other.clone());
    let after = KeyConfig { tenant, location, current_version: customer.to, wrap_epoch, ..config };
    tx.put_key_config(&after).await.unwrap();
    let switched = Operation { switched_at: Some(at), ..approved.begin(at).unwrap() };
    tx.put_operation(&switched).await.unwrap();
    tx.commit().await.unwrap();
    let done = customer.state(&world, &switched).await.0 == OperationState::Done;
    done && customer.under(&world).await == [customer.to; 4]
}

/// I-23: what was born before the switch follows after it, out of the other tenant's vault.
#[tokio::test]
async fn a_data_key_left_in_the_other_tenant_follows() {
    assert!(the_late_ones_follow(World::start()).await);
    let left = !the_late_ones_follow(World::with_bug(SeededBug::TenantOfTheOtherKey)).await;
    assert!(left, "the seeded bug was not found");
}

/// In its waiting time anybody who may cancel stops it; and so does the owner of a key who takes a tag away.
#[tokio::test]
async fn an_approved_replacement_can_be_stopped_in_its_waiting_time() {
    let world = World::start();
    let customer = Customer::ready(&world).await;
    let acme = &customer.acme;
    let approve = async || {
        let asked = customer.ask(&world, false).await.unwrap().operation.unwrap();
        world.service.approve_operation(&acme.may_decide("bob"), asked.id).await.unwrap()
    };
    let approved = approve().await;
    world.clock.advance(12 * HOUR);
    let stopped = world.service.cancel_operation(&acme.may_cancel(), approved.id).await.unwrap();
    assert_eq!(stopped.state, OperationState::Cancelled);
    world.clock.advance(13 * HOUR);
    assert_eq!(customer.state(&world, &approved).await.0, OperationState::Cancelled);
    assert_eq!(
        why(customer.ask(&world, false).await),
        Reason::KeyReplacementUntested,
        "a day later the test is too old"
    );
    assert!(customer.test_the_other(&world).await);
    let approved = approve().await;
    world.vault.change(&customer.other, customer.to, |attributes| attributes.tags.clear());
    world.clock.advance(25 * HOUR);
    let ended = (OperationState::Failed, Some(Reason::OwnershipNotProven));
    assert_eq!(customer.state(&world, &approved).await, ended);
    assert_eq!(customer.under(&world).await, [customer.first; 4]);
}

/// A replacement that was approved for one configuration does nothing to another.
#[tokio::test]
async fn an_approval_is_for_the_configuration_it_was_given_for() {
    let world = World::start();
    let customer = Customer::ready(&world).await;
    let acme = &customer.acme;
    let asked = customer.ask(&world, false).await.unwrap().operation.unwrap();
    world.service.approve_operation(&acme.may_decide("bob"), asked.id).await.unwrap();
    world.clock.advance(HOUR);
    let second = world.vault.create_key(&acme.key());
    acme.rotate().await.unwrap();
    world.service.run_operations().await.unwrap();
    assert_eq!(customer.under(&world).await, [second; 4], "rotations go on beside what waits");
    world.clock.advance(24 * HOUR);
    let ended = (OperationState::Failed, Some(Reason::KeyConfigurationMoved));
    assert_eq!(customer.state(&world, &asked).await, ended);
    assert_eq!(customer.under(&world).await, [second; 4]);
}

/// Another key of the same vault needs no second person: its owner is proven, and it runs at once. Killed at any step it is gone on
/// with (I-23).
#[tokio::test]
async fn another_key_of_the_same_vault_takes_over_at_once_and_survives_crashes() {
    let steps = [
        Step::AfterTransaction("begin_operation"),
        Step::AfterAddWrapping,
        Step::BeforeTransaction("switch_key"),
        Step::AfterTransaction("switch_key"),
        Step::BeforeTransaction("end_operation"),
    ];
    for step in steps {
        let world = World::start();
        let customer = Customer::new(&world, "acme", "other", None).await;
        customer.acme.prove_ownership().await;
        customer.show_the_other_tag(&world).await;
        assert!(customer.test_the_other(&world).await);
        let started = customer.ask(&world, false).await.unwrap();
        assert_eq!(started.approval, None);
        assert_eq!(started.operation.unwrap().state, OperationState::Planned);
        world.store.crash_at_nth(step, 0);
        let _ = world.service.run_operations().await;
        assert!(world.store.has_crashed(), "{step:?} was never reached");
        customer.everything_opens(&world).await;
        world.another_service().run_operations().await.unwrap();
        assert_eq!(customer.under(&world).await, [customer.to; 4], "{step:?}");
        customer.everything_opens(&world).await;
        world.store.inner().verify().await.unwrap();
    }
}

/// The key in force is no other key: going over to one of its versions is a rotation.
#[tokio::test]
async fn the_key_in_force_is_rotated_and_not_replaced() {
    let world = World::start();
    let customer = Customer::ready(&world).await;
    let own = customer.acme.request();
    let request = ReplaceKey {
        key_identifier: own.key_identifier,
        key_name: None,
        tenant_id: own.tenant_id,
        validate_only: false,
    };
    let refused = world.service.replace_key(&customer.acme.may_replace(), request).await;
    assert_eq!(why(refused), Reason::KeyIsInForce);
}

/// Whether asking what a replacement would take proves the key in force, which shows its tag and was not proven yet.
async fn a_plan_proves(world: World) -> bool {
    let customer = Customer::elsewhere(&world).await;
    customer.show_the_other_tag(&world).await;
    assert!(customer.test_the_other(&world).await);
    customer.acme.prove_ownership().await;
    let proven = async || {
        let keys = world.store.inner().proven_keys(&customer.acme.id).await.unwrap();
        keys.iter().any(|proven| proven.key == customer.acme.key().location)
    };
    assert!(!proven().await);
    customer.ask(&world, true).await.unwrap();
    let by_the_plan = proven().await;
    customer.ask(&world, false).await.unwrap();
    assert!(proven().await, "who asks for it claims the key");
    by_the_plan
}

/// Who only asks what it would take changes nothing: no key is claimed by that.
#[tokio::test]
async fn a_plan_claims_no_key() {
    assert!(!a_plan_proves(World::start()).await);
    assert!(a_plan_proves(World::with_bug(SeededBug::PlanProves)).await, "the seeded bug was not found");
}
