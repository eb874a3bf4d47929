//! Which directories does a list name? A look-up of each, by itself; never a proof of anything.

use domain::permission::{self, Permit};
use domain::tenancy::typed::entries;
use domain::{Cloud, InvalidTenantInput, Reason, TenantId, TenantInput, tenant_input};
use futures::future::join_all;
use tokio::time::timeout;

use super::super::{not_found, workspace_of};
use crate::core::Core;
use crate::{Refusal, Service};

/// What one entry of a list names.
#[derive(Debug, Clone)]
pub struct LookedUp {
    /// As it was typed.
    pub typed: String,
    /// The directory, or why there is none.
    pub tenant: Result<TenantId, Refusal>,
}

impl Service {
    /// The directories a list names: domains and ids, with commas between them. Each entry has its own answer.
    pub async fn look_up_domains(
        &self,
        permit: &Permit<permission::ConnectTenant>,
        cloud: Cloud,
        list: &str,
    ) -> Result<Vec<LookedUp>, Refusal> {
        let workspace = workspace_of(permit)?;
        let found = self.0.store.workspace(&workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let list = entries(list).map_err(|why| Refusal::because(Reason::TenantInvalid).detail(why.to_string()))?;
        let answers = list.into_iter().map(async |entry| {
            let tenant = match entry.named {
                Ok(named) => self.0.tenant_of(cloud, &named).await,
                Err(why) => Err(none(why)),
            };
            LookedUp { typed: entry.typed, tenant }
        });
        Ok(join_all(answers).await)
    }
}

/// What was typed names no tenant.
pub(super) fn none(why: InvalidTenantInput) -> Refusal {
    Refusal::because(Reason::TenantInvalid).detail(why.to_string())
}

impl Core {
    /// The directory of a key or a registration, as a person typed it. A domain is looked up, where that is set up.
    pub(in crate::control) async fn named_tenant(&self, cloud: Cloud, typed: &str) -> Result<TenantId, Refusal> {
        let named = tenant_input::parse(typed).map_err(none)?;
        if matches!(named, TenantInput::Domain(_)) && self.entra.get().is_none() {
            return Err(Refusal::because(Reason::TenantInvalid).detail(
                "that is a domain, and this installation looks none up; type the Tenant ID, which Microsoft Entra ID shows under \
                 Overview",
            ));
        }
        self.tenant_of(cloud, &named).await
    }

    /// The directory that is meant.
    pub(super) async fn tenant_of(&self, cloud: Cloud, named: &TenantInput) -> Result<TenantId, Refusal> {
        let domain = match named {
            TenantInput::Id(tenant) => return Ok(tenant.clone()),
            TenantInput::Domain(domain) => domain,
        };
        let asked = timeout(self.options.vault_deadline, self.pages()?.directory.look_up(cloud, domain)).await;
        let asked = asked.map_err(|_| Refusal::because(Reason::EntraUnreachable))?;
        asked.map_err(|why| Refusal::because(why.reason()).caused_by(why))
    }
}
