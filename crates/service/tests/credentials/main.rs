//! Credentials of a customer's own app registration: nothing becomes active untested, nobody else is asked in its place, no secret
//! is shown, and their expiry is told once.

mod admin;
mod denials;
mod reach;

use std::time::Duration;

use domain::credential::CredentialState;
use domain::permission::ChangeCredentials;
use domain::{Cloud, Reason};
use service::{MakeCertificate, PlatformCertificate, SeededBug, Service};
use testkit::World;
use vault::memory::{Fault, Operation};
use vault::{CustomerKeys, KeyUnavailable, RegistrationFault, Trace};

use admin::{Admin, CLIENT, DAY, SECRET, allow, customer, in_days};

/// Whether a credential that nobody tested can be made active.
async fn untested_becomes_active(world: World) -> bool {
    let (_, admin) = customer(&world, "acme").await;
    let id = admin.add(SECRET, in_days(&world, 300)).await.unwrap();
    admin.activate(id).await.is_ok()
}

/// Nothing becomes active untested.
#[tokio::test]
async fn nothing_becomes_active_untested() {
    assert!(!untested_becomes_active(World::start()).await);
    let bug = World::with_bug(SeededBug::UntestedActivated);
    assert!(untested_becomes_active(bug).await, "the seeded bug was not found");
}

/// Added, tested, active, and the one before removed: each step recorded, and none without the one before it.
#[tokio::test]
async fn a_rotation_takes_every_step_in_turn() {
    let world = World::start();
    let (acme, admin) = customer(&world, "acme").await;
    let bot = acme.app("bot").await;
    let ciphertext = bot.encrypt(b"before").await.unwrap();
    let first = admin.add(SECRET, in_days(&world, 300)).await.unwrap();
    assert_eq!(admin.state(first).await, CredentialState::Added);
    assert_eq!(admin.activate(first).await, Err(Reason::CredentialNotTested));
    // Refused by the directory: no test. Not answered: nothing is known.
    let fault = RegistrationFault::SecretRefused;
    let refused = KeyUnavailable::RegistrationRefused { fault, trace: Trace::default() };
    admin.test(first).await.unwrap();
    world.vault.fail_next(Operation::SignIn, Fault::Refuse(KeyUnavailable::DirectoryUnreachable));
    assert_eq!(admin.test(first).await, Err(Reason::EntraUnreachable));
    assert!(matches!(admin.state(first).await, CredentialState::Tested { .. }));
    world.vault.fail_next(Operation::SignIn, Fault::Refuse(refused));
    assert_eq!(admin.test(first).await, Err(Reason::RegistrationSecretRefused));
    assert_eq!(admin.state(first).await, CredentialState::Added);
    admin.test(first).await.unwrap();
    // A day later the test is too old.
    world.clock.advance(DAY + Duration::from_secs(1));
    assert_eq!(admin.activate(first).await, Err(Reason::CredentialNotTested));
    admin.test(first).await.unwrap();
    // The vault has to let it in before the one before is let go of.
    world.vault.fail_next(Operation::Unwrap, Fault::Refuse(KeyUnavailable::RoleMissing(Trace::default())));
    assert_eq!(admin.activate(first).await, Err(Reason::VaultRoleMissing));
    assert!(matches!(admin.state(first).await, CredentialState::Tested { .. }));
    admin.activate(first).await.unwrap();
    assert_eq!(admin.state(first).await, CredentialState::Active);
    assert_eq!(admin.remove(first).await, Err(Reason::CredentialInUse));

    let permit = allow::<ChangeCredentials>(&acme.id);
    let request = MakeCertificate { client_id: format!("{{{CLIENT}}}"), tenant: None };
    let made = world.service.make_certificate(&permit, request.clone()).await.unwrap().credential;
    let full = world.service.make_certificate(&permit, request).await.unwrap_err();
    assert_eq!(full.reason(), Reason::CredentialSlotsFull);
    assert_eq!(admin.activate(made).await, Err(Reason::CredentialNotTested));
    admin.test(made).await.unwrap();
    admin.activate(made).await.unwrap();
    assert!(matches!(admin.state(first).await, CredentialState::Tested { .. }), "the old one keeps its slot");
    admin.remove(first).await.unwrap();
    assert_eq!(admin.state(first).await, CredentialState::Removed);
    assert_eq!(bot.decrypt(&ciphertext).await.unwrap(), b"before");
    // Back to the platform's app is something somebody says.
    world.service.use_platform_app(&permit).await.unwrap();
    admin.remove(made).await.unwrap();
    let names = world.audit_names(&acme.id).await;
    let said: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.starts_with("credential.")).collect();
    let tested = "credential.tested";
    let expected = [
        &["credential.added"][..],
        &[tested; 5],
        &["credential.activated", "credential.added", tested, "credential.activated", "credential.removed"],
        &["credential.platform_app_used", "credential.removed"],
    ];
    assert_eq!(said, expected.concat());
}

/// What is pasted in place of what was asked for is called what it is, and kept nowhere.
#[tokio::test]
async fn what_is_pasted_by_mistake_is_told_apart() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let admin = Admin::of(&world, &acme);
    let later = in_days(&world, 300);
    let reason = async |value: &str, at| admin.add(value, at).await.unwrap_err().reason();
    assert_eq!(reason(SECRET, later).await, Reason::TenantInvalid, "no key, and no tenant named");
    acme.connect_key().await;
    assert_eq!(reason(CLIENT, later).await, Reason::SecretIdPasted);
    assert_eq!(reason("-----BEGIN PRIVATE KEY-----\nAAAA\n", later).await, Reason::PrivateKeyPasted);
    assert_eq!(reason("-----BEGIN CERTIFICATE-----\nAAAA\n", later).await, Reason::RequestInvalid);
    assert_eq!(reason("short", later).await, Reason::RequestInvalid);
    assert_eq!(reason(&"x".repeat(257), later).await, Reason::RequestInvalid);
    assert_eq!(reason(SECRET, world.now()).await, Reason::CredentialExpired);
    assert_eq!(reason(SECRET, in_days(&world, 4_000)).await, Reason::RequestInvalid);
    assert_eq!(admin.list().await.credentials, [], "nothing of it was kept");
    let id = admin.add(&format!("  {SECRET}\r\n"), later).await.unwrap();
    admin.add(SECRET, later).await.unwrap();
    assert_eq!(reason(SECRET, later).await, Reason::CredentialSlotsFull);
    // Another workspace's credential is not there.
    let other = world.workspace("other").await;
    let theirs = Admin::of(&world, &other);
    assert_eq!(theirs.activate(id).await, Err(Reason::NotFound));
    assert_eq!(theirs.remove(id).await, Err(Reason::NotFound));
}

/// Whether data is served while the workspace's own credential cannot be opened: its row holds what was sealed for another's.
async fn served_as_somebody_else(bug: Option<SeededBug>) -> bool {
    let world = World::start();
    let ((acme, admin), (other, theirs)) = (customer(&world, "acme").await, customer(&world, "other").await);
    for admin in [admin, theirs] {
        admin.active(in_days(&world, 300)).await;
    }
    let bot = acme.app("bot").await;
    let ciphertext = bot.encrypt(b"x").await.unwrap();
    let mut lie = world.store.inner().integration(&acme.id).await.unwrap().unwrap();
    let theirs = world.store.inner().integration(&other.id).await.unwrap().unwrap();
    lie.credentials[0].sealed = theirs.credentials[0].sealed.clone();
    world.store.lie_about_integrations(lie);
    let elsewhere = match bug {
        None => world.another_service_on(world.store.clone()),
        Some(bug) => Service::start_with_bug(world.parts(world.store.clone()), bug).unwrap(),
    };
    let bot = bot.through(&elsewhere);
    match bot.decrypt(&ciphertext).await {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal.reason(), Reason::WrappedKeyCorrupt);
            false
        }
    }
}

/// A workspace whose own registration cannot be used is not asked for as the platform: its calls fail and say why.
#[tokio::test]
async fn nobody_is_asked_in_place_of_the_registration() {
    assert!(!served_as_somebody_else(None).await);
    assert!(served_as_somebody_else(Some(SeededBug::PlatformAppInstead)).await, "the seeded bug was not found");
}

/// Another replica asks with the new credential one reading of the feed later, and serves all the while.
#[tokio::test]
async fn other_replicas_follow() {
    let world = World::start();
    let (acme, admin) = customer(&world, "acme").await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"x").await.unwrap();
    world.service.run_due_tasks().await;
    admin.through(&world.another_service()).active(in_days(&world, 300)).await;
    bot.encrypt(b"x").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.service.run_due_tasks().await;
    // What it would ask with now is read anew: an unreadable row is met, and the platform's app is not used.
    let mut lie = world.store.inner().integration(&acme.id).await.unwrap().unwrap();
    lie.credentials[0].sealed.reverse();
    world.store.lie_about_integrations(lie);
    let cold = acme.app("cold").await;
    assert_eq!(cold.encrypt(b"x").await.unwrap_err().reason(), Reason::WrappedKeyCorrupt);
}

/// No secret, in whole or in its better part, is in an event, an answer or a file of the database.
#[tokio::test]
async fn a_secret_is_written_nowhere() {
    let world = World::start();
    let (acme, admin) = customer(&world, "acme").await;
    let id = admin.active(in_days(&world, 300)).await;
    let canary = &SECRET[..20];
    let told = format!("{:?} {:?}", admin.list().await, world.audit(&acme.id).await);
    assert!(told.contains("WXYZ") && !told.contains(canary), "the last four are told, and no more");
    let mut looked = 0;
    for file in std::fs::read_dir(world.dir()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            looked += 1;
            assert!(!bytes.windows(canary.len()).any(|part| part == canary.as_bytes()), "{}", path.display());
        }
    }
    assert!(looked >= 2, "the database and the platform key at least");
    // Erased with its credential.
    let sealed = world.store.inner().integration(&acme.id).await.unwrap().unwrap().credentials[0].sealed.clone();
    world.service.use_platform_app(&allow(&acme.id)).await.unwrap();
    admin.remove(id).await.unwrap();
    let kept = world.store.inner().integration(&acme.id).await.unwrap().unwrap();
    assert!(!sealed.is_empty() && kept.credentials[0].sealed.is_empty());
}

/// 60, 30, 14, 7 and 1 days before: each told once, whichever replica looks and however often.
#[tokio::test]
async fn expiry_is_told_once_each_time() {
    let world = World::start();
    let (acme, admin) = customer(&world, "acme").await;
    admin.active(in_days(&world, 61)).await;
    assert_eq!(world.service.credential_notice(&allow(&acme.id)).await.unwrap(), None);
    let (other, own) =
        (world.another_service(), PlatformCertificate { thumbprint: [7; 32], expires_at: in_days(&world, 61) });
    for _ in 0..62 {
        world.clock.advance(DAY);
        for service in [&world.service, &other, &world.service] {
            service.notice_expiry(Some(own)).await.unwrap();
        }
    }
    let days = |events: Vec<store::RecordedEvent>, name: &str| -> Vec<String> {
        let of_name = events.into_iter().filter(|event| event.name == name);
        of_name.map(|event| event.details.iter().find(|(key, _)| key == "days").unwrap().1.clone()).collect()
    };
    assert_eq!(days(world.audit(&acme.id).await, "credential.expires"), ["60", "30", "14", "7", "1"]);
    let platform = world.store.inner().audit(None, 0, 1_000).await.unwrap();
    assert_eq!(days(platform, "platform.certificate_expires"), ["60", "30", "14", "7", "1"]);
    let warning = world.service.credential_notice(&allow(&acme.id)).await.unwrap().unwrap();
    assert!(warning.expired && warning.to_string().contains("expired"), "{warning}");
    // Renewed: another certificate is told of by itself.
    let next = PlatformCertificate { thumbprint: [8; 32], expires_at: in_days(&world, 10) };
    world.service.notice_expiry(Some(next)).await.unwrap();
    let platform = world.store.inner().audit(None, 0, 1_000).await.unwrap();
    assert_eq!(days(platform, "platform.certificate_expires").last().map(String::as_str), Some("14"));
}

/// Every question about a workspace's key is the workspace's, those before a switch too: a private address of its vault counts only where it
/// was approved for that workspace.
#[tokio::test]
async fn a_vault_is_asked_for_its_workspace_alone() {
    let world = World::start();
    let (acme, admin) = customer(&world, "acme").await;
    let id = admin.tested(in_days(&world, 300)).await;
    let of = |application: &str| {
        let asked = world.vault.asked();
        assert!(asked.iter().any(|asked| asked.application == application), "{asked:?}");
        asked.into_iter().map(|asked| asked.workspace).collect::<Vec<_>>()
    };
    world.vault.asked();
    admin.activate(id).await.unwrap();
    assert_eq!(of(CLIENT), [Some(acme.id.clone())]);
    world.service.use_platform_app(&allow(&acme.id)).await.unwrap();
    let platform = world.vault.approach().application().to_owned();
    assert_eq!(of(&platform), [Some(acme.id.clone())]);
}

/// As whom directories are asked for the workspace's list, of which its own is the first; what is told of its application; and by which
/// command each lets it in.
async fn told_of_the_application(world: World) -> (Vec<String>, String, Vec<bool>, [String; 2]) {
    let (acme, admin) = customer(&world, "acme").await;
    admin.active(in_days(&world, 300)).await;
    let own = acme.key().tenant.to_string();
    let begin = async |tenant: &str| {
        world.service.start_consent(&acme.may_connect(), Cloud::Public, tenant).await.unwrap().command
    };
    let commands = [begin(&own).await, begin("11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01").await];
    world.vault.asked();
    let status = world.service.read_connection(&acme.may_read_connection(), true).await.unwrap();
    let asked = world.vault.asked().into_iter().map(|asked| asked.application).collect();
    let mut tenants = status.tenants;
    tenants.sort_by_key(|status| status.link.tenant.to_string() != own);
    let seen = tenants.iter().map(|status| status.link.app.is_some()).collect();
    (asked, status.application, seen, commands)
}

/// A workspace on its own registration is told about that one, in its own directory; other directories have nothing to do with it and are not
/// asked. The seeded bug tells it about an application that it does not use.
#[tokio::test]
async fn a_connection_is_told_of_the_application_that_is_used() {
    let (asked, application, seen, commands) = told_of_the_application(World::start()).await;
    assert_eq!((asked, application), (vec![CLIENT.to_owned()], CLIENT.to_owned()));
    assert_eq!(seen, [true, false]);
    assert_eq!(commands, [format!("az ad sp create --id {CLIENT}"), String::new()]);
    let bug = World::with_bug(SeededBug::PlatformAppLookedFor);
    let (asked, ..) = told_of_the_application(bug).await;
    assert_ne!(asked, [CLIENT.to_owned()], "the seeded bug was not found");
}
