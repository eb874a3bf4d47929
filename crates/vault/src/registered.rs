//! As whom a vault and its directory are asked: the platform's own app, or an app that the customer registered.
//!
//! Who may ask as a customer's registration holds its opened credential in a [`RegisteredApp`], and hands it along with each call.
//! There is no table in which another workspace's could be found by mistake, and nothing to fall back on: a call is the
//! platform's because it says so, or the registration's because its credential is in it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, Weak},
};

use domain::{
    CredentialId, WorkspaceId,
    credential::{ClientId, Credential, Proof, Registration},
};
use zeroize::Zeroizing;

use crate::{
    azure::{CertificateKey, ClientSecret, PlatformCredential},
    platform::{NotOpened, PlatformRoot},
};

/// As whom a directory and a vault are asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Application {
    /// As the platform's own app, which the customer consented to.
    Platform,
    /// As the app that the customer registered.
    Registered(RegisteredApp),
}

impl Application {
    /// The name under which tokens are kept.
    pub(crate) fn whom(&self) -> Whom {
        match self {
            Self::Platform => Whom::Platform,
            Self::Registered(app) => Whom::Registered {
                workspace: app.0.workspace.clone(),
                client_id: app.0.registration.client_id.clone(),
                credential: app.0.credential,
            },
        }
    }
}

/// Whose tokens: without anything that is secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Whom {
    Platform,
    Registered { workspace: WorkspaceId, client_id: ClientId, credential: CredentialId },
}

/// A customer's registration with one of its credentials opened. Clones are the same one; when the last goes, the secret is wiped.
#[derive(Clone)]
pub struct RegisteredApp(Arc<Opened>);

struct Opened {
    workspace: WorkspaceId,
    credential: CredentialId,
    registration: Registration,
    shown: PlatformCredential,
}

impl RegisteredApp {
    /// Opens the sealed part of a workspace's credential.
    ///
    /// # Errors
    /// [`NotOpened`]: sealed for another row, by another root, or altered.
    pub fn open(root: &PlatformRoot, workspace: &WorkspaceId, credential: &Credential) -> Result<Self, NotOpened> {
        let secret = root.open_secret(&credential.sealed, &credential.identity(workspace))?;
        let shown = match &credential.proof {
            Proof::Secret { .. } => {
                // One copy, of its exact length, that is wiped; the opened bytes are wiped here.
                let text = std::str::from_utf8(&secret).map_err(|_| NotOpened::NotAuthentic)?;
                PlatformCredential::Secret(ClientSecret::new(Zeroizing::new(text.to_owned())))
            }
            Proof::Certificate { der, .. } => {
                let key = CertificateKey::of_made(&secret, der).map_err(|_| NotOpened::NotAuthentic)?;
                PlatformCredential::Certificate(key)
            }
        };
        let (registration, credential) = (credential.registration.clone(), credential.id);
        Ok(Self(Arc::new(Opened { workspace: workspace.clone(), credential, registration, shown })))
    }

    /// Which credential this is.
    pub fn credential(&self) -> CredentialId {
        self.0.credential
    }

    /// Of which app of which directory.
    pub fn registration(&self) -> &Registration {
        &self.0.registration
    }

    pub(crate) fn shown(&self) -> PlatformCredential {
        self.0.shown.clone()
    }

    pub(crate) fn weak(&self) -> WeakApp {
        WeakApp(Arc::downgrade(&self.0))
    }
}

/// By whose it is and which: the secret is compared with nothing.
impl PartialEq for RegisteredApp {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.workspace, self.0.credential) == (&other.0.workspace, other.0.credential)
    }
}

impl Eq for RegisteredApp {}

impl Hash for RegisteredApp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.workspace.hash(state);
        self.0.credential.hash(state);
    }
}

/// Without the secret.
impl fmt::Debug for RegisteredApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredApp").field("credential", &self.0.credential).finish_non_exhaustive()
    }
}

/// A registration that somebody else holds.
pub(crate) struct WeakApp(Weak<Opened>);

impl WeakApp {
    pub(crate) fn upgrade(&self) -> Option<RegisteredApp> {
        self.0.upgrade().map(RegisteredApp)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Whether this is the same opening of it.
    pub(crate) fn is(&self, app: &RegisteredApp) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&app.0))
    }
}
