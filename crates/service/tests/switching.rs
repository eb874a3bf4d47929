//! Going over to another credential while something else is under way, and what is left of credentials when their workspace goes.

use std::sync::Arc;
use std::time::Duration;

use domain::permission::{Action, Caller, Target, permit};
use domain::{CredentialId, KeyVersionId, Reason, WorkspaceId};
use service::{AddSecret, SeededBug, Service};
use testkit::{TestWorkspace, World};
use vault::memory::Operation;

const CLIENT: &str = "11111111-2222-4333-8444-555555555555";
const SECRET: &str = "canary8Q~0123456789abcdefWXYZ";

fn allow<A: Action>(workspace: &WorkspaceId) -> domain::permission::Permit<A> {
    permit(&Caller::platform("tester"), Target::Workspace(workspace.clone())).unwrap()
}

/// A workspace under its key with data, a credential that was tested, and a second version of the key.
async fn about_to_switch(world: &World) -> (TestWorkspace, CredentialId, KeyVersionId) {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    acme.app("bot").await.encrypt(b"x").await.unwrap();
    let expires_at = world.now().saturating_add(Duration::from_secs(300 * 86_400));
    let request = AddSecret { client_id: CLIENT.into(), tenant: None, value: SECRET.to_owned().into(), expires_at };
    let (_, id) = world.service.add_secret(&allow(&acme.id), request).await.unwrap();
    assert!(world.service.test_credential(&allow(&acme.id), id).await.unwrap().refused.is_none());
    world.clock.advance(Duration::from_secs(1));
    let second = world.vault.create_key(&acme.key());
    (acme, id, second)
}

async fn activate(service: &Arc<Service>, workspace: &WorkspaceId, id: CredentialId) -> Result<(), Reason> {
    service.activate_credential(&allow(workspace), id).await.map(drop).map_err(|why| why.reason())
}

/// What becomes of an activation while a rotation goes over to a version that does not let the credential in.
async fn activated_beside_a_rotation(world: World) -> Result<(), Reason> {
    let (acme, id, second) = about_to_switch(&world).await;
    acme.rotate().await.unwrap();
    world.vault.disable(&acme.key(), second);
    activate(&world.service, &acme.id, id).await
}

/// What becomes of an activation when a rotation is begun after its credential was tried.
async fn overtaken_by_a_rotation(world: World) -> Result<(), Reason> {
    let (acme, id, _) = about_to_switch(&world).await;
    let held = world.vault.hold(Operation::Unwrap);
    let (service, workspace) = (world.service.clone(), acme.id.clone());
    let switching = tokio::spawn(async move { activate(&service, &workspace, id).await });
    held.arrived(1).await;
    // Calls that come later are not held.
    world.vault.hold(Operation::Unwrap).release();
    acme.rotate().await.unwrap();
    held.release();
    switching.await.unwrap()
}

/// A credential becomes active only if it is let in by the version that an operation goes over to as well; one that was begun after
/// it was tried refuses it, and the next try looks at both.
#[tokio::test]
async fn a_switch_looks_at_the_version_to_come() {
    assert_eq!(activated_beside_a_rotation(World::start()).await, Err(Reason::KeyDisabled));
    assert_eq!(overtaken_by_a_rotation(World::start()).await, Err(Reason::OperationUnderWay));
    let bug = || World::with_bug(SeededBug::OperationOverlooked);
    assert_eq!(activated_beside_a_rotation(bug()).await, Ok(()), "the seeded bug was not found");
    assert_eq!(overtaken_by_a_rotation(bug()).await, Ok(()), "the seeded bug was not found");
    // With a version that lets it in nothing has to be waited for: a credential that expires holds nobody up.
    let world = World::start();
    let (acme, id, _) = about_to_switch(&world).await;
    acme.rotate().await.unwrap();
    assert_eq!(activate(&world.service, &acme.id, id).await, Ok(()));
}

/// Deleting a workspace erases what its directory could be asked with, in the files too.
#[tokio::test]
async fn a_deleted_workspace_keeps_no_credential() {
    let world = World::start();
    let (acme, id, _) = about_to_switch(&world).await;
    activate(&world.service, &acme.id, id).await.unwrap();
    let sealed = world.store.inner().integration(&acme.id).await.unwrap().unwrap().credentials[0].sealed.clone();
    let holds_it = || {
        let files = std::fs::read_dir(world.dir()).unwrap().map(|file| file.unwrap().path());
        let bytes = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
        bytes.into_iter().any(|bytes| bytes.windows(sealed.len()).any(|part| part == sealed.as_slice()))
    };
    assert!(holds_it(), "it would be found");
    world.service.delete_workspace(&acme.may_delete()).await.unwrap();
    assert!(!holds_it());
    let kept = world.store.inner().integration(&acme.id).await.unwrap().unwrap();
    assert!(kept.active.is_none() && kept.live().next().is_none() && kept.credentials[0].sealed.is_empty());
    let names = world.audit_names(&acme.id).await;
    assert_eq!(names[names.len() - 2..], ["credential.removed", "workspace.deleted"]);
}
