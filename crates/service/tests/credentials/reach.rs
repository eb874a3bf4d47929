//! A registration is asked for in its own directory alone: a key of another one is not named while it is in use.

use domain::permission::ChangeCredentials;
use domain::{CredentialId, Reason};
use service::{ConfigureKey, ReplaceKey, SeededBug};
use testkit::{TestWorkspace, World};
use vault::memory::Operation;

use crate::admin::{Admin, allow, customer, in_days};

const ELSEWHERE: &str = "11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01";

/// A workspace with a draft and a tested credential of the draft's directory, and what would name a key of another directory, which is
/// there.
async fn with_a_key_elsewhere(world: &World) -> (TestWorkspace, Admin, CredentialId, ConfigureKey) {
    let (acme, fabrikam) = (world.workspace("acme").await, world.workspace("fabrikam").await);
    world.vault.create_key(&acme.key());
    acme.configure(acme.request()).await.unwrap();
    let admin = Admin::of(world, &acme);
    let id = admin.tested(in_days(world, 300)).await;
    let mut other = fabrikam.key();
    other.tenant = ELSEWHERE.parse().unwrap();
    world.vault.create_key(&other);
    let request = ConfigureKey {
        key_identifier: other.location.to_string(),
        tenant_id: ELSEWHERE.into(),
        ..ConfigureKey::default()
    };
    (acme, admin, id, request)
}

/// Why a key of another directory is refused while a registration is in use.
async fn configured_elsewhere(world: World) -> Result<(), Reason> {
    let (acme, admin, id, request) = with_a_key_elsewhere(&world).await;
    admin.activate(id).await.unwrap();
    let before = world.vault.calls();
    let configured = acme.configure(request.clone()).await.map(|_| ()).map_err(|why| why.reason());
    if configured.is_err() {
        assert_eq!(world.vault.calls(), before, "nobody was asked");
        // The remedy's next step.
        admin.service.use_platform_app(&allow::<ChangeCredentials>(&acme.id)).await.unwrap();
        acme.configure(request).await.unwrap();
    }
    configured
}

/// A key of another directory than the registration in use is refused before anybody is asked, and taken as the platform's app.
#[tokio::test]
async fn a_key_of_another_directory_is_not_configured() {
    assert_eq!(configured_elsewhere(World::start()).await, Err(Reason::RegistrationElsewhere));
    let bug = World::with_bug(SeededBug::KeyOutOfReachTaken);
    assert_eq!(configured_elsewhere(bug).await, Ok(()), "the seeded bug was not found");
}

/// What becomes of a key that is being looked at while a registration of another directory comes into use.
async fn activated_meanwhile(world: World) -> Result<(), Reason> {
    let (acme, admin, id, request) = with_a_key_elsewhere(&world).await;
    let held = world.vault.hold(Operation::Describe);
    let configures = acme.clone();
    let configured = tokio::spawn(async move { configures.configure(request).await });
    held.arrived(1).await;
    admin.activate(id).await.unwrap();
    held.release();
    configured.await.unwrap().map(|_| ()).map_err(|why| why.reason())
}

/// Of a key and a registration that are named at once, in two directories, the second is told.
#[tokio::test]
async fn a_registration_that_comes_into_use_meanwhile_is_seen() {
    assert_eq!(activated_meanwhile(World::start()).await, Err(Reason::RegistrationElsewhere));
    let bug = World::with_bug(SeededBug::KeyOutOfReachTaken);
    assert_eq!(activated_meanwhile(bug).await, Ok(()), "the seeded bug was not found");
}

/// Why a key in force is not replaced by one of another directory while a registration is in use.
async fn replaced_elsewhere(world: World) -> Reason {
    let (acme, admin) = customer(&world, "acme").await;
    admin.active(in_days(&world, 300)).await;
    let request = ReplaceKey {
        key_identifier: "https://fabrikam.vault.azure.net/keys/byok".into(),
        key_name: None,
        tenant_id: ELSEWHERE.into(),
        validate_only: true,
    };
    world.service.replace_key(&acme.may_replace(), request).await.unwrap_err().reason()
}

/// Nor is it replaced by one, and the plan says so already.
#[tokio::test]
async fn a_key_in_force_is_not_replaced_by_one_of_another_directory() {
    assert_eq!(replaced_elsewhere(World::start()).await, Reason::RegistrationElsewhere);
    let bug = World::with_bug(SeededBug::KeyOutOfReachTaken);
    assert_ne!(replaced_elsewhere(bug).await, Reason::RegistrationElsewhere, "the seeded bug was not found");
}
