//! What proves a key: a nonce of one's own in its tag, a day and once; and what it proves: that the key is this workspace's and no other's.

use std::time::Duration;

use domain::key_test::Step;
use domain::{KeyTest, Reason, TenantId};
use service::{ConfigureKey, OWNERSHIP_TAG, SeededBug, TestConfiguration, TestEvent};
use testkit::{TestWorkspace, World};

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn workspace(world: &World, id: &str) -> TestWorkspace {
    let workspace = world.workspace(id).await;
    world.vault.create_key(&workspace.key());
    workspace.configure(workspace.request()).await.unwrap();
    workspace
}

async fn nonce(world: &World, of: &TestWorkspace) -> String {
    let config = world.service.read_key(&of.may_read_key()).await.unwrap();
    world.service.ownership_nonce(&config).await.unwrap()
}

async fn set_tag(world: &World, of: &TestWorkspace, value: &str) {
    let version = world.service.read_key(&of.may_read_key()).await.unwrap().current_version;
    world.vault.change(&of.key(), version, |attributes| {
        attributes.tags.insert(OWNERSHIP_TAG.to_owned(), value.to_owned());
    });
}

fn stopped(test: &KeyTest) -> Option<Reason> {
    test.first_failure().map(|first| {
        assert_eq!(first.step, Step::Ownership);
        first.reason.unwrap()
    })
}

/// Another workspace that names `of`'s key as its own, in a draft.
async fn squatter(world: &World, of: &TestWorkspace) -> TestWorkspace {
    let bell = world.workspace("bell").await;
    let request = ConfigureKey { key_identifier: of.key().location.to_string(), ..of.request() };
    bell.configure(request).await.unwrap();
    bell
}

/// The nonce is drawn, stays for a day, and then is another one; a tag with the one before is told to be late, not wrong.
#[tokio::test]
async fn a_nonce_counts_for_a_day() {
    for (world, late) in [(World::start(), true), (World::with_bug(SeededBug::NonceNeverExpires), false)] {
        let acme = workspace(&world, "acme").await;
        let first = nonce(&world, &acme).await;
        assert_eq!((first.len(), nonce(&world, &acme).await), (32, first.clone()), "it stays the same");
        set_tag(&world, &acme, &first).await;
        world.clock.advance(DAY);
        let test = acme.test_key().await.unwrap();
        assert_eq!(stopped(&test), late.then_some(Reason::OwnershipNonceExpired));
        if late {
            let second = nonce(&world, &acme).await;
            assert_ne!(second, first);
            assert!(test.first_failure().unwrap().command.as_ref().unwrap().contains(&second));
            set_tag(&world, &acme, &second).await;
            world.clock.advance(Duration::from_secs(1));
            assert_eq!(stopped(&acme.test_key().await.unwrap()), None);
        }
    }
}

/// Once seen, the proof is a row: later tests rely on it, tell of the tag, and do not fail without it.
#[tokio::test]
async fn a_proof_outlives_its_tag() {
    let world = World::start();
    let acme = workspace(&world, "acme").await;
    let seen = nonce(&world, &acme).await;
    set_tag(&world, &acme, &seen).await;
    assert_eq!(stopped(&acme.test_key().await.unwrap()), None);
    let config = world.service.read_key(&acme.may_read_key()).await.unwrap();
    let shown = world.service.ownership(&config).await.unwrap();
    assert_eq!((shown.nonce, shown.expires_at, shown.proven_at.is_some()), (seen, None, true));
    for (tag, finding) in [(None, "shows it still"), (Some(""), "shows it no more")] {
        if let Some(tag) = tag {
            set_tag(&world, &acme, tag).await;
        }
        world.clock.advance(2 * DAY);
        let test = acme.test_key().await.unwrap();
        assert!(test.passed());
        let step = test.steps.iter().find(|step| step.step == Step::Ownership).unwrap();
        assert!(step.finding.ends_with(finding), "{}", step.finding);
    }
    assert_eq!(world.audit_names(&acme.id).await.iter().filter(|name| *name == "key.proven").count(), 1);
}

/// A nonce that was used proves nothing again. The seeded fault takes it.
#[tokio::test]
async fn a_nonce_proves_once() {
    for (world, again) in [(World::start(), false), (World::with_bug(SeededBug::NonceUsedTwice), true)] {
        let acme = workspace(&world, "acme").await;
        set_tag(&world, &acme, &nonce(&world, &acme).await).await;
        assert_eq!(stopped(&acme.test_key().await.unwrap()), None);
        world.service.disconnect(&acme.may_disconnect()).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        let found = stopped(&acme.test_key().await.unwrap());
        assert_eq!(found, (!again).then_some(Reason::OwnershipNonceUsed));
    }
}

/// A draft claims nothing: whoever named a key first, it is the workspace's that proves it. Afterwards no other proves it, however
/// honestly its owner set the tag, and that is recorded; the seeded fault lets two have it.
#[tokio::test]
async fn a_key_is_one_workspaces_and_a_draft_claims_nothing() {
    for (world, both) in [(World::start(), false), (World::with_bug(SeededBug::TwoWorkspacesOneKey), true)] {
        let acme = workspace(&world, "acme").await;
        let bell = squatter(&world, &acme).await;
        set_tag(&world, &acme, &nonce(&world, &acme).await).await;
        assert_eq!(stopped(&bell.test_key().await.unwrap()), Some(Reason::OwnershipNotProven), "not the owner");
        assert_eq!(stopped(&acme.test_key().await.unwrap()), None, "although the other one named it first");
        set_tag(&world, &acme, &nonce(&world, &bell).await).await;
        world.clock.advance(Duration::from_secs(1));
        let found = stopped(&bell.test_key().await.unwrap());
        assert_eq!(found, (!both).then_some(Reason::KeyBoundElsewhere));
        let recorded = world.audit_names(&bell.id).await.contains(&"key.proof_refused".to_owned());
        assert_eq!(recorded, !both);
    }
}

/// A key that was exchanged for another before its date is let go of: nothing was ever under it. One that is in force is not.
#[tokio::test]
async fn only_a_key_that_protected_nothing_is_let_go() {
    let world = World::start();
    let acme = workspace(&world, "acme").await;
    set_tag(&world, &acme, &nonce(&world, &acme).await).await;
    assert_eq!(stopped(&acme.test_key().await.unwrap()), None);
    let carl = world.workspace("carl").await;
    world.vault.create_key(&carl.key());
    acme.configure(carl.request()).await.unwrap();
    assert!(world.audit_names(&acme.id).await.contains(&"key.released".to_owned()));
    let bell = squatter(&world, &acme).await;
    set_tag_of(&world, &bell, &acme).await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(stopped(&bell.test_key().await.unwrap()), None);
    bell.put_in_force().await;
    world.service.disconnect(&bell.may_disconnect()).await.unwrap();
    let dora = world.workspace("dora").await;
    let request = ConfigureKey { key_identifier: acme.key().location.to_string(), ..acme.request() };
    dora.configure(request).await.unwrap();
    set_tag_of(&world, &dora, &acme).await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        stopped(&dora.test_key().await.unwrap()),
        Some(Reason::KeyBoundElsewhere),
        "disconnected, and still claimed"
    );
}

async fn set_tag_of(world: &World, prover: &TestWorkspace, owner: &TestWorkspace) {
    let version = world.service.read_key(&prover.may_read_key()).await.unwrap().current_version;
    let value = nonce(world, prover).await;
    world.vault.change(&owner.key(), version, |attributes| {
        attributes.tags.insert(OWNERSHIP_TAG.to_owned(), value);
    });
}

/// A configuration that is only thought of has a nonce of its own, and names no more keys than a workspace has room for.
#[tokio::test]
async fn a_candidate_has_a_nonce_and_a_flood_of_them_has_no_room() {
    let world = World::start();
    let acme = workspace(&world, "acme").await;
    let own = nonce(&world, &acme).await;
    let tenant: TenantId = acme.key().tenant;
    for n in 0..70 {
        let candidate = TestConfiguration {
            key_identifier: Some(format!("https://acme.vault.azure.net/keys/other-{n}")),
            key_name: None,
            tenant_id: Some(tenant.to_string()),
        };
        let mut run = world.service.test_configuration(&acme.may_test(), candidate).await.unwrap();
        while let Some(event) = run.next().await.unwrap() {
            if let TestEvent::Finished(test) = event {
                assert!(!test.passed());
            }
        }
        world.clock.advance(Duration::from_millis(1));
    }
    let kept = world.store.inner().tag_nonces(&acme.id).await.unwrap();
    assert_eq!(kept.len(), 64);
    let values: std::collections::HashSet<_> = kept.iter().map(|nonce| nonce.value).collect();
    assert_eq!(values.len(), 64, "each is another one");
    assert_ne!(nonce(&world, &acme).await, own, "the oldest gave way; another one is drawn when it is asked for");
    world.store.inner().verify().await.unwrap();
}
