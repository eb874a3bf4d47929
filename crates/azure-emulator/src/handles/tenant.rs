//! A tenant: which apps are in it, and its vaults.

use std::fmt;
use std::sync::Arc;

use crate::cloud::Cloud;
use crate::entra::directory::{ServicePrincipal, Tenant};
use crate::entra::users::{User, UserKind};
use crate::handles::{AppHandle, VaultHandle};
use crate::world::World;

/// An app in a tenant: what roles and access policies are given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The object id of the service principal.
    pub object_id: String,
}

/// A tenant. Clones are the same one.
#[derive(Clone)]
pub struct TenantHandle {
    world: Arc<World>,
    cloud: Cloud,
    id: String,
    domain: String,
}

impl fmt::Debug for TenantHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TenantHandle {
    pub(crate) fn find_or_create(world: Arc<World>, cloud: Cloud, name: &str) -> Self {
        if let Some(found) = Self::find(world.clone(), name) {
            return found;
        }
        let domains = vec![format!("{name}.onmicrosoft.com"), format!("{name}.example")];
        let tenant = Tenant {
            name: name.to_owned(),
            id: world.random.guid(),
            domains,
            cloud,
            subscription: world.random.guid(),
            principals: Vec::new(),
            more_users: Vec::new(),
        };
        let handle = Self { world: world.clone(), cloud, id: tenant.id.clone(), domain: tenant.domains[0].clone() };
        world.change(|s| s.tenants.push(tenant));
        handle
    }

    /// By name, id or domain.
    pub(crate) fn find(world: Arc<World>, name: &str) -> Option<Self> {
        let (cloud, id, domain) = world.read(|s| {
            let tenant = s.tenants.iter().find(|t| t.name == name || t.answers_to(name))?;
            Some((tenant.cloud, tenant.id.clone(), tenant.domains.first().cloned().unwrap_or_default()))
        })?;
        Some(Self { world, cloud, id, domain })
    }

    /// The tenant's GUID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its first domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Makes another domain stand for this tenant.
    pub fn add_domain(&self, domain: &str) {
        self.change(|t| t.domains.push(domain.to_owned()));
    }

    /// What admin consent does: the app has a service principal here. The same one again when it had one.
    pub fn consent(&self, app: &AppHandle) -> Principal {
        let fresh = self.world.random.guid();
        let client_id = app.client_id().to_owned();
        let object_id = self.change(|t| match t.principals.iter_mut().find(|p| p.client_id == client_id) {
            Some(principal) => {
                principal.consented = true;
                principal.object_id.clone()
            }
            None => {
                let principal =
                    ServicePrincipal { client_id, object_id: fresh.clone(), enabled: true, consented: true };
                t.principals.push(principal);
                fresh
            }
        });
        Principal { object_id: object_id.unwrap_or_default() }
    }

    /// The app's service principal here, if it has one.
    pub fn principal(&self, app: &AppHandle) -> Option<Principal> {
        self.world.read(|s| {
            let principal = s.tenant(&self.id)?.principal(app.client_id())?;
            Some(Principal { object_id: principal.object_id.clone() })
        })
    }

    /// Takes the consent back; the service principal stays (`AADSTS65001`).
    pub fn withdraw_consent(&self, app: &AppHandle) {
        self.set(app, |p| p.consented = false);
    }

    /// Disables the enterprise application for sign-in (`AADSTS7000112`).
    pub fn disable(&self, app: &AppHandle) {
        self.set(app, |p| p.enabled = false);
    }

    /// Enables it again.
    pub fn enable(&self, app: &AppHandle) {
        self.set(app, |p| p.enabled = true);
    }

    /// Deletes the enterprise application (`AADSTS7000229`). Consent makes a new one, with another object id.
    pub fn remove(&self, app: &AppHandle) {
        self.change(|t| t.principals.retain(|p| p.client_id != app.client_id()));
    }

    /// The vault of this name in this tenant's cloud; made when there is none. A vault with that name in another
    /// tenant is answered as it is: names are unique in a cloud.
    pub fn vault(&self, name: &str) -> VaultHandle {
        VaultHandle::find_or_create(self.world.clone(), self.cloud, &self.id, name)
    }

    /// Who can sign in here, the personal account included.
    pub fn users(&self) -> Vec<User> {
        self.world.read(|s| s.tenant(&self.id).map(Tenant::users)).unwrap_or_default()
    }

    /// The user of this name or id.
    pub fn user(&self, named: &str) -> Option<User> {
        self.users().into_iter().find(|user| user.answers_to(named))
    }

    /// One more user; replaces the one of the same name.
    pub fn add_user(&self, name: &str, kind: UserKind, roles: &[&str]) -> User {
        let user = User::new(&self.id, &self.domain, name, kind, roles);
        let kept = user.clone();
        self.change(|t| {
            t.more_users.retain(|other| other.object_id != kept.object_id);
            t.more_users.push(kept);
        });
        user
    }

    fn set(&self, app: &AppHandle, f: impl FnOnce(&mut ServicePrincipal)) {
        self.change(|t| {
            if let Some(principal) = t.principals.iter_mut().find(|p| p.client_id == app.client_id()) {
                f(principal);
            }
        });
    }

    fn change<T>(&self, f: impl FnOnce(&mut Tenant) -> T) -> Option<T> {
        self.world.change(|s| s.tenants.iter_mut().find(|t| t.id == self.id).map(f))
    }
}
