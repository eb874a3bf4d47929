//! Under whose key data is, and how a customer's key comes into force.

use std::time::Duration;

use domain::{Owner, Protection, Reason};
use envelope::Context;
use service::{ConfigureKey, KeyWarning, Refusal, SeededBug};
use testkit::{TestWorkspace, World};
use vault::memory::{Fault, Operation};
use vault::{KeyUnavailable, Trace};

/// Whether a configured key protects new data at once, old data stays readable, and no data key crosses over.
async fn new_data_is_under_the_customers_key(world: World) -> bool {
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let old = bot.encrypt(b"from before").await.unwrap();
    let version = acme.connect_key().await;

    let (mut new, context) = (Vec::new(), Context::empty());
    let sealed = world.service.encrypt(&bot.may_encrypt(), &context, b"from now on", &mut new).await.unwrap();
    if sealed.protection != Protection::CustomerKey {
        return false;
    }
    assert_eq!(sealed.key_version, Some(version));
    assert_ne!(World::data_key_of(&old), World::data_key_of(&new));
    assert_eq!(bot.decrypt(&old).await.unwrap(), b"from before");
    assert_eq!(bot.decrypt(&new).await.unwrap(), b"from now on");

    // The customer's denial concerns what is under the customer's key, and nothing else.
    world.vault.disable(&acme.key(), version);
    world.clock.advance(Duration::from_secs(301));
    assert_eq!(bot.decrypt(&old).await.unwrap(), b"from before");
    assert_eq!(bot.decrypt(&new).await.unwrap_err().reason(), Reason::KeyDisabled);
    assert_eq!(bot.encrypt(b"x").await.unwrap_err().reason(), Reason::KeyDisabled, "never back to the platform's key");
    let protections = |key: domain::DataKey| key.protection;
    let mut born: Vec<_> = world.data_keys(&acme.id).await.into_iter().map(protections).collect();
    born.sort_unstable();
    assert_eq!(born, [Protection::PlatformKey, Protection::CustomerKey]);
    true
}

/// I-18: with a customer's key new data is under it at once; what is older stays under its own; no data key crosses.
#[tokio::test]
async fn a_customers_key_is_in_force_at_once_and_no_data_key_crosses() {
    assert!(new_data_is_under_the_customers_key(World::start()).await);
    let bug = World::with_bug(SeededBug::ProtectionCrosses);
    assert!(!new_data_is_under_the_customers_key(bug).await, "the seeded bug was not found");
}

/// Re-encrypting moves data from the platform's key to the customer's, and can change its context.
#[tokio::test]
async fn re_encrypting_moves_data_under_the_present_key() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let old = bot.encrypt(b"order 42").await.unwrap();
    acme.connect_key().await;
    let row = Context::from_entries([("row", "7")]).unwrap();
    let mut new = Vec::new();
    let moved =
        world.service.re_encrypt(&bot.may_re_encrypt(), &old, &Context::empty(), Some(&row), &mut new).await.unwrap();
    assert!(moved.data_key_changed);
    assert_eq!(moved.sealed.protection, Protection::CustomerKey);
    assert_eq!(bot.decrypt_in(&row, &new).await.unwrap(), b"order 42");
    bot.decrypt(&new).await.unwrap_err();
    let mut again = Vec::new();
    let same = world.service.re_encrypt(&bot.may_re_encrypt(), &new, &row, None, &mut again).await.unwrap();
    assert!(!same.data_key_changed);
    assert_eq!(bot.decrypt_in(&row, &again).await.unwrap(), b"order 42");
    let context = Context::empty();
    let refused = world.service.re_encrypt(&bot.may_re_encrypt(), &new, &context, None, &mut again).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::DecryptionFailed);
}

async fn refused(workspace: &TestWorkspace, change: impl FnOnce(&mut ConfigureKey)) -> Refusal {
    let mut request = workspace.request();
    change(&mut request);
    workspace.configure(request).await.unwrap_err()
}

/// What is wrong with a request is said before any vault is asked.
#[tokio::test]
async fn a_request_that_cannot_be_meant_asks_no_vault() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let identifier = |text: &'static str| move |request: &mut ConfigureKey| request.key_identifier = text.to_owned();
    let cases: [(Refusal, Reason); 9] = [
        (refused(&acme, identifier("https://evil.example/keys/k")).await, Reason::KeyIdentifierInvalid),
        (refused(&acme, identifier("")).await, Reason::KeyIdentifierInvalid),
        (refused(&acme, identifier("https://acme.vault.azure.net/")).await, Reason::KeyIdentifierInvalid),
        (refused(&acme, identifier("https://acme.managedhsm.azure.net/keys/k")).await, Reason::ProviderUnsupported),
        (refused(&acme, identifier("https://acme.vault.azure.cn/keys/k")).await, Reason::ProviderUnsupported),
        (refused(&acme, identifier("https://acme.vault.usgovcloudapi.net/keys/k")).await, Reason::ProviderUnsupported),
        (refused(&acme, |request| request.tenant_id = "contoso.com".into()).await, Reason::TenantInvalid),
        (refused(&acme, |request| request.lease = Some(Duration::from_millis(999))).await, Reason::RequestInvalid),
        (refused(&acme, |request| request.lease = Some(Duration::from_secs(301))).await, Reason::RequestInvalid),
    ];
    for (refusal, reason) in cases {
        assert_eq!(refusal.reason(), reason);
    }
    let nowhere = World::start().workspace("contoso").await.through(&world.service);
    assert_eq!(nowhere.configure(nowhere.request()).await.unwrap_err().reason(), Reason::NotFound);
    assert_eq!(world.vault.calls(), vault::memory::Calls::default());
    assert_eq!(world.service.read_key(&acme.may_read_key()).await.unwrap_err().reason(), Reason::KeyNotConfigured);
}

/// A key that cannot protect data is refused with the part its owner has to change, and nothing is configured.
#[tokio::test]
async fn an_unsuitable_key_is_refused_with_what_to_change() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    assert_eq!(acme.configure(acme.request()).await.unwrap_err().reason(), Reason::KeyNotFound);
    let version = world.vault.create_key(&acme.key());
    let now = domain::Clock::now(&*world.clock).wall;
    type Spoil = fn(&mut vault::memory::Attributes, domain::Timestamp);
    let cases: [(Spoil, Reason); 6] = [
        (|key, _| key.managed = true, Reason::KeyManaged),
        (|key, _| key.key_ops = vec!["wrapKey".into()], Reason::KeyUnsuitable),
        (|key, _| key.key_ops = vec!["unwrapKey".into()], Reason::KeyUnsuitable),
        (|key, _| key.enabled = false, Reason::KeyDisabled),
        (|key, now| key.expires = Some(now), Reason::KeyExpired),
        (|key, now| key.not_before = Some(now.saturating_add(Duration::from_secs(1))), Reason::KeyNotYetValid),
    ];
    for (change, reason) in cases {
        let mut before = None;
        world.vault.change(&acme.key(), version, |key| {
            before = Some(key.clone());
            change(key, now);
        });
        let refusal = acme.configure(acme.request()).await.unwrap_err();
        assert_eq!((refusal.reason(), refusal.owner()), (reason, Owner::Customer));
        world.vault.change(&acme.key(), version, |key| *key = before.unwrap());
    }
    world.vault.fail_next(Operation::Describe, Fault::Refuse(KeyUnavailable::NotRsa(Trace::default())));
    assert_eq!(acme.configure(acme.request()).await.unwrap_err().reason(), Reason::KeyUnsuitable);
    assert_eq!(world.store.inner().key_config(&acme.id).await.unwrap(), None);
    assert_eq!(world.audit_names(&acme.id).await, ["workspace.created"]);
}

/// A key is only in force when it has unwrapped what it wrapped: reading it, or wrapping alone, proves nothing.
#[tokio::test]
async fn a_key_that_does_not_unwrap_what_it_wrapped_is_not_in_force() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    world.vault.create_key(&acme.key());
    world.vault.fail_next(Operation::Unwrap, Fault::WrongPlaintext);
    assert_eq!(acme.configure(acme.request()).await.unwrap_err().reason(), Reason::VaultAnswerInvalid);
    world.vault.fail_next(Operation::Unwrap, Fault::Refuse(KeyUnavailable::RoleMissing(Trace::default())));
    assert_eq!(acme.configure(acme.request()).await.unwrap_err().reason(), Reason::VaultRoleMissing);
    world.vault.fail_next(Operation::Wrap, Fault::WrongKid);
    assert_eq!(acme.configure(acme.request()).await.unwrap_err().reason(), Reason::VaultAnswerInvalid);
    assert_eq!(world.store.inner().key_config(&acme.id).await.unwrap(), None);
    acme.configure(acme.request()).await.unwrap();
}

/// The same key again is no change but its lease; another key, tenant or version is refused while one is in force.
#[tokio::test]
async fn the_key_in_force_stays_in_force() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let first = acme.connect_key().await;
    let in_force = world.service.read_key(&acme.may_read_key()).await.unwrap();
    let calls = world.vault.calls();

    let again = acme.configure(acme.request()).await.unwrap();
    assert_eq!(again.config, in_force);
    let shorter = ConfigureKey { lease: Some(Duration::from_secs(60)), ..acme.request() };
    let changed = acme.configure(shorter).await.unwrap().config;
    assert_eq!(changed.lease, Duration::from_secs(60));
    assert_eq!(acme.configure(acme.request()).await.unwrap().config, changed, "an absent lease changes nothing");
    assert_eq!(world.vault.calls(), calls, "no proof is asked for what is in force");

    let second = world.vault.create_key(&acme.key());
    let named = |version| move |r: &mut ConfigureKey| r.key_identifier = format!("{}/{version}", r.key_identifier);
    acme.configure({
        let mut request = acme.request();
        named(first)(&mut request);
        request
    })
    .await
    .unwrap();
    for refusal in [
        refused(&acme, named(second)).await,
        refused(&acme, |r| r.key_identifier = "https://acme.vault.azure.net/keys/other".into()).await,
        refused(&acme, |r| r.tenant_id = "00000000-0000-0000-0000-000000000001".into()).await,
    ] {
        assert_eq!(refusal.reason(), Reason::KeyAlreadyEnforced);
    }
    let versions = world.service.list_key_versions(&acme.may_read_key()).await.unwrap();
    assert_eq!(versions.iter().map(|found| found.version.id).collect::<Vec<_>>(), [first]);
    let names = world.audit_names(&acme.id).await;
    assert_eq!(names, ["workspace.created", "key.configured", "key.configured"], "one for the key, one for the lease");
}

/// A version that the identifier names is the first one used; a vault's URI with a name means the newest.
#[tokio::test]
async fn a_named_version_becomes_the_first_one_used() {
    let world = World::start();
    let (acme, contoso) = (world.workspace("acme").await, world.workspace("contoso").await);
    let old = world.vault.create_key(&acme.key());
    world.vault.create_key(&acme.key());
    let mut request = acme.request();
    request.key_identifier = format!("{}/{old}", request.key_identifier);
    assert_eq!(acme.configure(request).await.unwrap().config.current_version, old);

    world.vault.create_key(&contoso.key());
    let newest = world.vault.create_key(&contoso.key());
    let by_uri = ConfigureKey {
        key_identifier: contoso.key().location.vault_uri(),
        key_name: Some("byok".into()),
        ..contoso.request()
    };
    assert_eq!(contoso.configure(by_uri).await.unwrap().config.current_version, newest);
}

/// What deserves attention is said and prevents nothing.
#[tokio::test]
async fn what_deserves_attention_is_said() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let version = world.vault.create_key(&acme.key());
    let at = domain::Clock::now(&*world.clock).wall.saturating_add(Duration::from_secs(86_400));
    world.vault.change(&acme.key(), version, |key| {
        key.recovery_level = "Recoverable+Purgeable".into();
        key.exportable = true;
        key.expires = Some(at);
    });
    let warnings = acme.configure(acme.request()).await.unwrap().warnings;
    assert_eq!(warnings, [KeyWarning::Purgeable, KeyWarning::Exportable, KeyWarning::Expires { at }]);
    assert!(warnings[2].to_string().contains("2027-03-02T"));
}

/// Two admins who connect different keys at once: one key is in force, and the other is told so.
#[tokio::test]
async fn two_keys_configured_at_once_leave_one_in_force() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    world.vault.create_key(&acme.key());
    let other = vault::KeyRef {
        location: domain::KeyLocation::from_parts(domain::Cloud::Public, "acme", "other").unwrap(),
        ..acme.key()
    };
    world.vault.create_key(&other);
    let held = world.vault.hold(Operation::Describe);
    let configure = |identifier: String| {
        let (acme, request) = (acme.clone(), ConfigureKey { key_identifier: identifier, ..acme.request() });
        tokio::spawn(async move { acme.configure(request).await })
    };
    let racing = [configure(acme.key().location.to_string()), configure(other.location.to_string())];
    held.arrived(2).await;
    held.release();
    let [first, second] = racing;
    let outcomes = [first.await.unwrap(), second.await.unwrap()];
    let refusals: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].reason(), Reason::ChangedMeanwhile);
    assert_eq!(world.audit_names(&acme.id).await, ["workspace.created", "key.configured"]);
}
