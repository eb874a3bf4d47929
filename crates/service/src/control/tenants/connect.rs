//! How is a connection begun, and the code read back that another admin was shown?

use std::sync::Arc;

use domain::audit::AuditKind;
use domain::permission::{self, Permit};
use domain::tenancy::{Connection, Origin, TenantLink};
use domain::{Cloud, Reason, Timestamp, WorkspaceId};
use store::StoreError;
use vault::Application;

use super::super::{event, live_workspace, to_the_end, workspace_of};
use super::consents::{For, LIVES, Refused};
use super::look_up::none;
use super::status::is_of;
use crate::core::Core;
use crate::{Refusal, Service};

/// What somebody who connects a directory is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentStarted {
    /// The directory, as it stands now.
    pub link: TenantLink,
    /// For the owner's own browser: consent, then the sign-in that proves. Empty where no pages are offered.
    pub start_url: String,
    /// To be sent to an admin who may consent, if that is somebody else. Empty where no pages are offered.
    pub consent_url: String,
    /// Until when both count.
    pub expires_at: Timestamp,
    /// The other way: the application as which the key would be used is created in the directory by its admin's command line. Empty
    /// where that is the workspace's own registration, and of another directory.
    pub command: String,
}

impl Service {
    /// Names a directory, by its id or one of its domains, as the workspace's, and begins a consent in it. Naming proves nothing, but from
    /// now on the workspace's list of directories counts.
    pub async fn start_consent(
        &self,
        permit: &Permit<permission::ConnectTenant>,
        cloud: Cloud,
        tenant: &str,
    ) -> Result<ConsentStarted, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        if cloud != Cloud::Public {
            return Err(Refusal::because(Reason::ProviderUnsupported));
        }
        let typed = tenant.trim().to_owned();
        self.0.watching(to_the_end(async move { core.begin_consent(workspace, cloud, &typed, &actor).await }).await)
    }

    /// The owner reads back the code that another admin was shown after they consented.
    pub async fn complete_consent(
        &self,
        permit: &Permit<permission::ConnectTenant>,
        code: &str,
    ) -> Result<TenantLink, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        let code = code.to_owned();
        to_the_end(async move { core.complete_consent(&workspace, &code, &actor).await }).await
    }
}

impl Core {
    async fn begin_consent(
        self: Arc<Self>,
        workspace: WorkspaceId,
        cloud: Cloud,
        typed: &str,
        actor: &str,
    ) -> Result<ConsentStarted, Refusal> {
        self.is_live(&workspace).await?;
        let named = domain::tenant_input::parse(typed).map_err(none)?;
        let tenant = self.tenant_of(cloud, &named).await?;
        let application = match self.as_whom(&workspace, &self.budget()).await? {
            Application::Platform => Some(self.customer_keys.approach().application().to_owned()),
            Application::Registered(app) => {
                is_of(&app, cloud, &tenant).then(|| app.registration().client_id.to_string())
            }
        };
        let pages = self.entra.get();
        let now = self.clock.now();
        let mut tx = self.store.begin("start_consent").await?;
        live_workspace(&mut *tx, &workspace).await?;
        // The key that is configured stays usable: its directory is named as well.
        if let Some(config) = tx.key_config(&workspace).await? {
            self.imply_tenant(&mut *tx, &config, now.wall).await?;
        }
        let connection = Connection { tenants: tx.tenants(&workspace).await? };
        if connection.tenants.len() >= domain::tenancy::typed::MOST_TENANTS && connection.find(cloud, &tenant).is_none()
        {
            return Err(Refusal::because(Reason::QuotaExceeded).detail("a workspace has at most 20 tenants"));
        }
        let link = match connection.find(cloud, &tenant) {
            Some(link) => link.clone().named_again(Origin::Asked, now.wall),
            None => TenantLink::named(workspace.clone(), cloud, tenant.clone(), typed, Origin::Asked, now.wall),
        };
        if connection.find(cloud, &tenant) != Some(&link) {
            tx.put_tenant(&link).await?;
            let what = AuditKind::TenantNamed { tenant: tenant.clone(), typed: link.typed.clone() };
            tx.append_audit(event(&workspace, now.wall, actor, what)).await?;
        }
        if pages.is_some() {
            let what = AuditKind::ConsentStarted { tenant: tenant.clone() };
            tx.append_audit(event(&workspace, now.wall, actor, what)).await?;
        }
        tx.commit().await?;
        let (start_url, consent_url) = match pages {
            None => (String::new(), String::new()),
            Some(pages) => {
                let of = For { workspace, cloud, tenant: tenant.clone(), named_at: link.named_at };
                let (ticket, forwarded) = self.consents.begin(of, now.boot, &*self.entropy);
                let start = format!("{}/entra/start?ticket={ticket}", pages.public_url);
                (start, pages.directory.consent_url(cloud, &tenant, &forwarded))
            }
        };
        let command = application.map_or_else(String::new, |id| format!("az ad sp create --id {id}"));
        Ok(ConsentStarted { link, start_url, consent_url, expires_at: now.wall.saturating_add(LIVES), command })
    }

    async fn complete_consent(&self, workspace: &WorkspaceId, code: &str, actor: &str) -> Result<TenantLink, Refusal> {
        self.is_live(workspace).await?;
        let read = self.consents.read_back(workspace, code, self.clock.now().boot);
        let of = match read {
            Ok(of) => of,
            Err(Refused { why, of }) => {
                if let Some(of) = of {
                    self.record_refusal(workspace, &of.tenant, why).await?;
                }
                return Err(Refusal::because(why));
            }
        };
        Ok(self.record_coming_back(&of, "read_back", actor).await?)
    }

    /// Somebody consented, or says so: that is no proof.
    pub(super) async fn record_coming_back(
        &self,
        of: &For,
        how: &'static str,
        actor: &str,
    ) -> Result<TenantLink, StoreError> {
        let now = self.clock.now().wall;
        let mut tx = self.store.begin("came_back").await?;
        let connection = Connection { tenants: tx.tenants(&of.workspace).await? };
        let found = connection.find(of.cloud, &of.tenant).cloned();
        let link = found.ok_or(StoreError::RowForged { table: "tenant_links" })?.came_back(now);
        tx.put_tenant(&link).await?;
        let what = AuditKind::ConsentCameBack { tenant: of.tenant.clone(), how };
        tx.append_audit(event(&of.workspace, now, actor, what)).await?;
        tx.commit().await?;
        Ok(link)
    }
}
