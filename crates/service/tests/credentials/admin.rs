//! A customer's admin, who adds, tests and activates credentials of an app registration.

use std::sync::Arc;
use std::time::Duration;

use domain::credential::{CredentialState, Integration};
use domain::permission::{Action, Caller, ChangeCredentials, Permit, ReadCredentials, Target, permit};
use domain::{CredentialId, Reason, Timestamp, WorkspaceId};
use service::{AddSecret, Refusal, Service};
use testkit::{TestWorkspace, World};
use zeroize::Zeroizing;

pub(crate) const CLIENT: &str = "11111111-2222-4333-8444-555555555555";
pub(crate) const SECRET: &str = "canary8Q~0123456789abcdefWXYZ";
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn allow<A: Action>(workspace: &WorkspaceId) -> Permit<A> {
    permit(&Caller::platform("tester"), Target::Workspace(workspace.clone())).unwrap()
}

pub(crate) fn in_days(world: &World, days: u32) -> Timestamp {
    world.now().saturating_add(DAY * days)
}

pub(crate) struct Admin {
    pub(crate) service: Arc<Service>,
    workspace: WorkspaceId,
}

/// A workspace whose key is in force, and its admin.
pub(crate) async fn customer(world: &World, id: &str) -> (TestWorkspace, Admin) {
    let workspace = world.workspace(id).await;
    workspace.connect_key().await;
    let admin = Admin::of(world, &workspace);
    (workspace, admin)
}

impl Admin {
    pub(crate) fn of(world: &World, workspace: &TestWorkspace) -> Self {
        Self { service: world.service.clone(), workspace: workspace.id.clone() }
    }

    /// The same admin at another replica.
    pub(crate) fn through(self, service: &Arc<Service>) -> Self {
        Self { service: service.clone(), ..self }
    }

    pub(crate) async fn add(&self, value: &str, expires_at: Timestamp) -> Result<CredentialId, Refusal> {
        let value = Zeroizing::new(value.to_owned());
        let request = AddSecret { client_id: CLIENT.into(), tenant: None, value, expires_at };
        self.service.add_secret(&allow(&self.workspace), request).await.map(|(_, id)| id)
    }

    pub(crate) async fn test(&self, id: CredentialId) -> Result<(), Reason> {
        let test = self.service.test_credential(&allow(&self.workspace), id).await.unwrap();
        test.refused.map_or(Ok(()), |why| Err(why.reason()))
    }

    /// Adds a secret that a test passes.
    pub(crate) async fn tested(&self, expires_at: Timestamp) -> CredentialId {
        let id = self.add(SECRET, expires_at).await.unwrap();
        self.test(id).await.unwrap();
        id
    }

    /// As [`Admin::tested`], and it is in use.
    pub(crate) async fn active(&self, expires_at: Timestamp) -> CredentialId {
        let id = self.tested(expires_at).await;
        self.activate(id).await.unwrap();
        id
    }

    pub(crate) async fn activate(&self, id: CredentialId) -> Result<Integration, Reason> {
        self.service.activate_credential(&allow(&self.workspace), id).await.map_err(|why| why.reason())
    }

    pub(crate) async fn remove(&self, id: CredentialId) -> Result<Integration, Reason> {
        self.service
            .remove_credential(&allow::<ChangeCredentials>(&self.workspace), id)
            .await
            .map_err(|why| why.reason())
    }

    pub(crate) async fn list(&self) -> Integration {
        self.service.list_credentials(&allow::<ReadCredentials>(&self.workspace)).await.unwrap()
    }

    pub(crate) async fn state(&self, id: CredentialId) -> CredentialState {
        let all = self.list().await;
        let found = all.credentials.iter().find(|found| found.id == id).unwrap();
        all.state_of(found)
    }
}
