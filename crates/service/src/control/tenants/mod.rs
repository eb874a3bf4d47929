//! The directories a workspace is connected to: named, consented to, proven, let go of.
//!
//! | file | question |
//! |---|---|
//! | `look_up` | which directories does a list name |
//! | `consents` | which consents are under way, and what has each been given out |
//! | `connect` | how is one begun, and its code read back |
//! | `pages` | what do the browsers that come back mean |
//! | `status` | how does the connection stand, and is our application still there |
//! | `disconnect` | how is it let go of, and when does it count again |

mod connect;
mod consents;
mod disconnect;
mod look_up;
mod pages;
mod status;

use std::sync::{Arc, OnceLock};

use domain::audit::AuditKind;
use domain::tenancy::{Connection, Origin, TenantLink};
use domain::{Cloud, KeyConfig, Reason, TenantId, Timestamp, WorkspaceId};
use identity::entra::Directory;
use store::{StoreError, Transaction};

pub use self::connect::ConsentStarted;
pub(crate) use self::consents::Consents;
pub use self::consents::consent_of;
pub use self::look_up::LookedUp;
pub use self::pages::{Beginning, ConsentAnswer, Proven, SignInAnswer, Started, WhatNext};
pub use self::status::{ConnectionStatus, TenantStatus};
use super::event;
use crate::core::Core;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// The way to directories' pages, where an operator set one up.
pub(crate) struct EntraPages {
    pub(crate) directory: Arc<dyn Directory>,
    /// Where our own pages are, without a slash at the end.
    pub(crate) public_url: String,
}

impl Service {
    /// Offers consent: through this directory, with our own pages at `public_url`. Said once, before anybody calls; a second time
    /// changes nothing.
    pub fn offer_consent(&self, directory: Arc<dyn Directory>, public_url: &str) {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let _ = self.0.entra.set(EntraPages { directory, public_url });
    }
}

impl Core {
    fn pages(&self) -> Result<&EntraPages, Refusal> {
        self.entra.get().ok_or_else(|| Refusal::because(Reason::ConsentNotConfigured))
    }

    async fn is_live(&self, workspace: &WorkspaceId) -> Result<(), Refusal> {
        let found = self.store.workspace(workspace).await?;
        found.filter(|found| found.deleted_at.is_none()).map(drop).ok_or_else(super::not_found)
    }

    /// The directories a workspace named.
    pub(crate) async fn connection(&self, workspace: &WorkspaceId) -> Result<Connection, StoreError> {
        Ok(Connection { tenants: self.store.tenants(workspace).await? })
    }

    /// Whether a key in this directory may be the workspace's.
    pub(crate) fn admits(&self, connection: &Connection, cloud: Cloud, tenant: &TenantId) -> Result<(), Refusal> {
        if self.bugs.has(SeededBug::AnyTenantTaken) {
            return Ok(());
        }
        connection.admits(cloud, tenant).map_err(Refusal::because)
    }

    /// A key that is configured names its directory, where nobody has.
    pub(super) async fn imply_tenant(
        &self,
        tx: &mut dyn Transaction,
        config: &KeyConfig,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (cloud, tenant) = (config.location.cloud(), &config.tenant);
        let connection = Connection { tenants: tx.tenants(&config.workspace).await? };
        if connection.find(cloud, tenant).is_some() {
            return Ok(());
        }
        // Without a record of its own: what configured the key names it.
        let link =
            TenantLink::named(config.workspace.clone(), cloud, tenant.clone(), tenant.as_str(), Origin::Implied, now);
        tx.put_tenant(&link).await
    }

    /// Writes down that an answer about this workspace's consent was refused.
    async fn record_refusal(&self, workspace: &WorkspaceId, tenant: &TenantId, why: Reason) -> Result<(), StoreError> {
        let what = AuditKind::ConsentRefused { tenant: tenant.clone(), why };
        self.store.record(event(workspace, self.clock.now().wall, BROWSER, what)).await
    }
}

/// Under which name somebody stands in a chain who came with a browser, and of whom nothing else is known.
const BROWSER: &str = "browser";

/// Set once.
pub(crate) type Entra = OnceLock<EntraPages>;
