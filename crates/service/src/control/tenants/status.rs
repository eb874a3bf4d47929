//! How does the connection stand, and is our application still there?
//!
//! An admin who deletes or disables our enterprise application takes the key back by that, and is told so here in the directory's own
//! terms. What was found out is kept, so that it is known since when.

use domain::audit::{AuditKind, SERVICE};
use domain::permission::{self, Permit};
use domain::tenancy::{AppSeen, Connection, ProvenKey, TenantLink};
use domain::{Cloud, Reason, TenantId, WorkspaceId};
use futures::future::join_all;
use store::StoreError;
use tokio::time::timeout;
use vault::{Application, Class, KeyUnavailable, RegisteredApp};

use super::super::{event, not_found, workspace_of};
use super::consents::For;
use crate::core::Core;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// A workspace's directories and keys, and what our application is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// The id of the application as which the directories are asked: ours, or that of the workspace's own registration.
    pub application: String,
    /// Whether the list counts: no vault in another directory is used.
    pub counts: bool,
    /// Each directory.
    pub tenants: Vec<TenantStatus>,
    /// The keys that were proven, those that have to be proven anew too.
    pub keys: Vec<ProvenKey>,
}

/// One directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStatus {
    /// As it is kept.
    pub link: TenantLink,
    /// Why it could not be found out now whether our application is there; absent where it was not asked, or was found out.
    pub unanswered: Option<Reason>,
}

impl Service {
    /// Where a workspace's directories stand. With `look`, each is asked now whether our application is there.
    pub async fn read_connection(
        &self,
        permit: &Permit<permission::ReadConnection>,
        look: bool,
    ) -> Result<ConnectionStatus, Refusal> {
        self.0.connection_status(&workspace_of(permit)?, look).await
    }
}

/// Whether a registration is of this directory.
pub(super) fn is_of(app: &RegisteredApp, cloud: Cloud, tenant: &TenantId) -> bool {
    let registration = app.registration();
    (registration.cloud, &registration.tenant) == (cloud, tenant)
}

impl Core {
    pub(super) async fn connection_status(
        &self,
        workspace: &WorkspaceId,
        look: bool,
    ) -> Result<ConnectionStatus, Refusal> {
        let found = self.store.workspace(workspace).await?;
        found.filter(|found| found.deleted_at.is_none()).ok_or_else(not_found)?;
        let connection = self.connection(workspace).await?;
        let counts = connection.counts();
        let looked = connection.tenants.into_iter().map(async |link| match look {
            true => {
                let TenantLink { workspace, cloud, tenant, named_at, .. } = link.clone();
                let of = For { workspace, cloud, tenant, named_at };
                let unanswered = self.look_for_application(&of).await;
                TenantStatus { link, unanswered }
            }
            false => TenantStatus { link, unanswered: None },
        });
        let mut tenants = join_all(looked).await;
        if look {
            let now = self.connection(workspace).await?;
            for status in &mut tenants {
                let of = (status.link.cloud, status.link.tenant.clone());
                status.link = now.find(of.0, &of.1).cloned().unwrap_or_else(|| status.link.clone());
            }
        }
        let keys = self.store.proven_keys(workspace).await?;
        let keys = keys.into_iter().filter(|key| key.released_at.is_none()).collect();
        let application = match self.as_whom(workspace, &self.budget()).await? {
            Application::Platform => self.customer_keys.approach().application().to_owned(),
            Application::Registered(app) => app.registration().client_id.to_string(),
        };
        Ok(ConnectionStatus { application, counts, tenants, keys })
    }

    /// Asks a directory for a token, as whom the workspace's key would be used there, and keeps what it says where that is another thing
    /// than before. Why it could not be found out. The workspace's own registration has nothing to do with any directory but its own:
    /// those are not asked, and nothing is kept of them.
    pub(super) async fn look_for_application(&self, of: &For) -> Option<Reason> {
        let as_whom = match self.as_whom(&of.workspace, &self.budget()).await {
            _ if self.bugs.has(SeededBug::PlatformAppLookedFor) => Application::Platform,
            Ok(as_whom) => as_whom,
            Err(why) => return Some(Refusal::from(why).reason()),
        };
        let (deadline, approach) = (self.options.vault_deadline, self.customer_keys.approach());
        let asked = match &as_whom {
            Application::Platform => timeout(deadline, approach.admitted(&of.tenant, of.cloud, deadline)).await,
            Application::Registered(app) if is_of(app, of.cloud, &of.tenant) => {
                timeout(deadline, approach.show(app, deadline)).await
            }
            Application::Registered(_) => return None,
        };
        let refused = match asked.unwrap_or(Err(KeyUnavailable::DirectoryUnreachable)) {
            Ok(()) => None,
            // Ours, or nobody's: that says nothing about the customer's directory.
            Err(why) if matches!(why.class(), Class::Ours | Class::Transient) => return Some(why.reason()),
            Err(why) => Some(why.reason()),
        };
        match self.keep_answer(of, refused).await {
            Ok(()) => None,
            Err(why) => Some(why.reason()),
        }
    }

    async fn keep_answer(&self, of: &For, refused: Option<Reason>) -> Result<(), StoreError> {
        let same = |link: &TenantLink| link.app.is_some_and(|app| app.refused == refused);
        let find = |tenants| Connection { tenants }.find(of.cloud, &of.tenant).cloned();
        if find(self.store.tenants(&of.workspace).await?).as_ref().is_none_or(same) {
            return Ok(());
        }
        let now = self.clock.now().wall;
        let mut tx = self.store.begin("application_seen").await?;
        let Some(link) = find(tx.tenants(&of.workspace).await?).filter(|link| !same(link)) else { return Ok(()) };
        tx.put_tenant(&TenantLink { app: Some(AppSeen { at: now, refused }), ..link }).await?;
        let what = AuditKind::ApplicationSeen { tenant: of.tenant.clone(), refused };
        tx.append_audit(event(&of.workspace, now, SERVICE, what)).await?;
        tx.commit().await.map(drop)
    }
}
