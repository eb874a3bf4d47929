//! What a test of a configuration leaves behind, how long it may take, and what it never does.

use std::time::Duration;

use domain::key_test::{COUNTS_FOR, Step, StepState};
use domain::{ConfigHash, KeyTest, Reason};
use service::{Options, TestConfiguration, TestEvent};
use testkit::{TestWorkspace, World};
use vault::memory::{Fault, Operation};
use vault::{KeyUnavailable, Trace};

async fn proven(world: &World) -> TestWorkspace {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    acme.prove_ownership().await;
    acme
}

fn stopped(test: &KeyTest) -> (Step, Option<Reason>) {
    let first = test.first_failure().expect("a step that did not pass");
    (first.step, first.reason)
}

/// I-2, I-22, I-24: a test that passes is in the history and the audit chain, counts for its own configuration and a day, and
/// leaves no data key behind: not active, not pending, not in memory.
#[tokio::test]
async fn a_passed_test_is_kept_and_leaves_nothing_else() {
    let world = World::start();
    let acme = proven(&world).await;
    let test = acme.test_key().await.unwrap();
    assert!(test.passed(), "{:#?}", test.first_failure());
    assert_eq!(world.data_keys(&acme.id).await, []);
    assert_eq!(world.service.open_data_keys(), 0);
    assert_eq!(world.audit_names(&acme.id).await.last().unwrap(), "key.tested");
    let config = world.service.read_key(&acme.may_read_key()).await.unwrap();
    let hash = ConfigHash::of(&acme.id, &config.location, &config.tenant, Some(config.current_version));
    let now = test.finished_at;
    assert!(test.counts(&hash, now) && !test.counts(&hash, now.saturating_add(COUNTS_FOR + Duration::from_secs(1))));
    let kept = world.another_service().list_key_tests(&acme.may_read_key(), None).await.unwrap();
    assert_eq!(kept, [test]);
}

/// A failed test names its step in the audit chain, and stops those after it.
#[tokio::test]
async fn a_failed_test_is_kept_too() {
    let world = World::start();
    let acme = proven(&world).await;
    assert!(acme.test_key().await.unwrap().passed());
    world.vault.fail(Operation::Wrap, Fault::Refuse(KeyUnavailable::Disabled(Trace::default())));
    let test = acme.test_key().await.unwrap();
    assert_eq!(stopped(&test), (Step::Wrap, Some(Reason::KeyDisabled)));
    assert!(test.steps[7..].iter().all(|step| step.state == StepState::NotRun && step.finding.is_empty()));
    let event = world.audit(&acme.id).await.pop().unwrap();
    assert_eq!(event.name, "key.tested");
    assert!(event.details.contains(&("failed".to_owned(), "WRAP".to_owned())), "{:?}", event.details);
    assert!(event.details.contains(&("reason".to_owned(), "KEY_DISABLED".to_owned())));
}

/// No token is asked for until the vault has named the bound tenant.
#[tokio::test]
async fn no_token_is_asked_for_before_the_tenant_is_known() {
    let world = World::start();
    let acme = proven(&world).await;
    world.vault.fail(Operation::Challenge, Fault::Refuse(KeyUnavailable::TenantMismatch(Trace::default())));
    let before = world.vault.calls();
    let test = acme.test_key().await.unwrap();
    assert_eq!(stopped(&test), (Step::Tenant, Some(Reason::VaultTenantMismatch)));
    assert_eq!(world.vault.calls(), before, "nothing that needs a token was asked");
}

/// I-25: a vault that never answers ends in a failed step and not in an error, whichever call it leaves unanswered; and the
/// whole has an end even where each call keeps to its own.
#[tokio::test(start_paused = true)]
async fn a_vault_that_hangs_is_a_failed_step() {
    let world = World::start();
    let acme = proven(&world).await;
    assert!(acme.test_key().await.unwrap().passed());
    for (operation, step) in [
        (Operation::Resolve, Step::NameResolution),
        (Operation::Reach, Step::Network),
        (Operation::Challenge, Step::Tenant),
        (Operation::SignIn, Step::Authentication),
        (Operation::Describe, Step::Authentication),
        (Operation::Wrap, Step::Wrap),
        (Operation::Unwrap, Step::Unwrap),
    ] {
        world.vault.fail(operation, Fault::Hang);
        let test = acme.test_key().await.unwrap();
        assert_eq!(stopped(&test), (step, Some(Reason::VaultTimeout)), "{operation:?}");
        world.vault.heal();
    }
    let hurried = World::builder().options(Options { test_deadline: Duration::from_secs(2), ..Options::default() });
    let world = hurried.start();
    let acme = proven(&world).await;
    world.vault.fail(Operation::Wrap, Fault::Hang);
    let test = acme.test_key().await.unwrap();
    assert_eq!(stopped(&test), (Step::Wrap, Some(Reason::VaultTimeout)));
    assert!(test.first_failure().unwrap().finding.contains("2 s"));
}

/// One test of a workspace at a time; whoever began it may leave, it is recorded all the same, and the next may begin.
#[tokio::test]
async fn one_test_is_under_way_and_runs_to_its_end() {
    let world = World::start();
    let acme = proven(&world).await;
    let held = world.vault.hold(Operation::Wrap);
    let mut run = world.service.test_configuration(&acme.may_test(), TestConfiguration::default()).await.unwrap();
    assert_eq!(run.next().await.unwrap(), Some(TestEvent::Started(Step::NameResolution)));
    held.arrived(1).await;
    assert_eq!(acme.test_key().await.unwrap_err().reason(), Reason::QuotaExceeded);
    drop(run);
    held.release();
    while world.service.list_key_tests(&acme.may_read_key(), None).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut again = acme.test_key().await;
    // The turn ends right after the record.
    while again.as_ref().is_err_and(|refused| refused.reason() == Reason::QuotaExceeded) {
        tokio::task::yield_now().await;
        again = acme.test_key().await;
    }
    assert!(again.unwrap().passed());
}

/// A test purges nothing and records no denial: the configuration that is tested may not be the one in force.
#[tokio::test]
async fn a_test_takes_no_key_away() {
    let world = World::start();
    let acme = proven(&world).await;
    let bot = acme.app("bot").await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    world.vault.fail(Operation::Describe, Fault::Refuse(KeyUnavailable::Denied(Trace::default())));
    assert!(!acme.test_key().await.unwrap().passed());
    assert_eq!(world.service.open_data_keys(), 1);
    assert_eq!(bot.decrypt(&sealed).await.unwrap(), b"order 42");
    assert!(!world.audit_names(&acme.id).await.contains(&"vault.denied".to_owned()));
}

/// What cannot be tested is refused before anything is asked: no configuration, no such workspace, a key that is none, half a
/// candidate.
#[tokio::test]
async fn what_cannot_be_tested_is_refused() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    assert_eq!(acme.test_key().await.unwrap_err().reason(), Reason::KeyNotConfigured);
    for (key_identifier, tenant_id, reason) in [
        (Some("https://acme.vault.azure.net.evil.example/keys/k"), None, Reason::KeyIdentifierInvalid),
        (Some("https://acme.vault.azure.net/keys/k"), None, Reason::TenantInvalid),
        (Some("https://pool.managedhsm.azure.net/keys/k"), None, Reason::ProviderUnsupported),
        (None, Some("8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01"), Reason::RequestInvalid),
    ] {
        let request = TestConfiguration {
            key_identifier: key_identifier.map(str::to_owned),
            key_name: None,
            tenant_id: tenant_id.map(str::to_owned),
        };
        let refused = world.service.test_configuration(&acme.may_test(), request).await.map(drop).unwrap_err();
        assert_eq!(refused.reason(), reason);
    }
    world.service.delete_workspace(&acme.may_delete()).await.unwrap();
    assert_eq!(acme.test_key().await.unwrap_err().reason(), Reason::NotFound);
    assert_eq!(world.service.list_key_tests(&acme.may_read_key(), None).await.unwrap_err().reason(), Reason::NotFound);
}

/// The nonce is bound to workspace and key: another workspace's tag on the same key proves nothing.
#[tokio::test]
async fn a_nonce_proves_one_workspace_and_one_key() {
    let world = World::start();
    let (acme, bell) = (world.workspace("acme").await, world.workspace("bell").await);
    for workspace in [&acme, &bell] {
        workspace.connect_key().await;
    }
    let nonce = async |workspace: &TestWorkspace| {
        let config = world.service.read_key(&workspace.may_read_key()).await.unwrap();
        world.service.ownership_nonce(&config).await.unwrap()
    };
    let (of_acme, of_bell) = (nonce(&acme).await, nonce(&bell).await);
    assert_ne!(of_acme, of_bell);
    assert_eq!(of_acme, nonce(&acme).await, "it stays the same");
    let version = world.service.read_key(&acme.may_read_key()).await.unwrap().current_version;
    for foreign in [of_bell, String::new(), of_acme.to_uppercase() + "0", of_acme[1..].to_owned()] {
        world.vault.change(&acme.key(), version, |attributes| {
            attributes.tags.insert(service::OWNERSHIP_TAG.to_owned(), foreign);
        });
        assert_eq!(stopped(&acme.test_key().await.unwrap()), (Step::Ownership, Some(Reason::OwnershipNotProven)));
    }
}
