//! The admin consent page, in both its versions: an administrator lets an app into the tenant, or does not.

use crate::cloud::Cloud;
use crate::entra::directory::{App, ServicePrincipal, Tenant};
use crate::entra::refusal::EntraRefusal;
use crate::entra::{description, page};
use crate::exchange::{Answer, Request};
use crate::form;
use crate::world::World;

struct Asked {
    app: App,
    tenant: Tenant,
    redirect_uri: String,
    version_2: bool,
    permissions: Vec<String>,
}

pub(super) fn answer(world: &World, cloud: Cloud, request: &Request) -> Answer {
    let asked = match asked(world, cloud, request) {
        Ok(asked) => asked,
        Err(refusal) => return page::refused(refusal, request),
    };
    if request.method == http::Method::POST { decide(world, request, &asked) } else { show(request, &asked) }
}

fn asked(world: &World, cloud: Cloud, request: &Request) -> Result<Asked, EntraRefusal> {
    let parts = request.parts();
    let version_2 = parts.contains(&"v2.0");
    let named = parts.first().copied().unwrap_or_default();
    let wanted = |name: &str| request.query.get(name).filter(|v| !v.is_empty()).ok_or(EntraRefusal::ParameterMissing);
    let client_id = wanted("client_id")?;
    let app = world.read(|s| s.app(client_id).cloned()).ok_or(EntraRefusal::AppNotInDirectory)?;
    let redirect_uri = wanted("redirect_uri")?.clone();
    if !app.registration.redirect_uris.contains(&redirect_uri) {
        return Err(EntraRefusal::RedirectMismatch);
    }
    // A shared endpoint means the tenant of whoever signs in; here that has to be said by the user's name.
    let user = form::pairs(&String::from_utf8_lossy(&request.body)).remove("user").unwrap_or_default();
    let shared = matches!(named, "organizations" | "common");
    let find = |t: &&Tenant| {
        t.cloud == cloud && if shared { t.users().iter().any(|u| u.answers_to(&user)) } else { t.answers_to(named) }
    };
    let tenant = world.read(|s| s.tenants.iter().find(find).cloned()).ok_or(EntraRefusal::TenantNotFound)?;
    let permissions = if version_2 {
        wanted("scope")?.split_whitespace().map(str::to_owned).collect()
    } else {
        app.registration.permissions.clone()
    };
    Ok(Asked { app, tenant, redirect_uri, version_2, permissions })
}

fn show(request: &Request, asked: &Asked) -> Answer {
    page::consent(request, &asked.app.name, &asked.tenant.name, &asked.permissions, &asked.tenant.users())
}

fn decide(world: &World, request: &Request, asked: &Asked) -> Answer {
    let fields = form::pairs(&String::from_utf8_lossy(&request.body));
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    if field("action") != "accept" {
        return back(world, request, asked, Err(EntraRefusal::ConsentDeclined));
    }
    let users = asked.tenant.users();
    let Some(user) = users.iter().find(|u| u.answers_to(field("user"))) else {
        return page::refused(EntraRefusal::UserUnknown, request);
    };
    if !user.is_admin() {
        return page::refused(EntraRefusal::AdminConsentRequired, request);
    }
    register(world, &asked.tenant.id, &asked.app.client_id);
    back(world, request, asked, Ok(()))
}

/// As `az ad sp create` does: the same service principal again where there is one.
pub(super) fn register(world: &World, tenant: &str, client_id: &str) {
    let fresh = world.random.guid();
    world.change(|s| {
        let Some(tenant) = s.tenants.iter_mut().find(|t| t.id == tenant) else { return };
        match tenant.principals.iter_mut().find(|p| p.client_id == client_id) {
            Some(principal) => principal.consented = true,
            None => tenant.principals.push(ServicePrincipal {
                client_id: client_id.to_owned(),
                object_id: fresh,
                enabled: true,
                consented: true,
            }),
        }
    });
}

/// Back to the application. The second version says `admin_consent=True` whatever happened.
fn back(world: &World, request: &Request, asked: &Asked, decided: Result<(), EntraRefusal>) -> Answer {
    let mut said: Vec<(&str, String)> = Vec::new();
    match decided {
        Ok(()) => said.push(("admin_consent", "True".to_owned())),
        Err(refusal) => {
            if asked.version_2 {
                said.push(("admin_consent", "True".to_owned()));
            }
            said.push(("error", refusal.error().to_owned()));
            said.push(("error_description", description(world, request, refusal)));
        }
    }
    if decided.is_ok() || asked.version_2 {
        said.push(("tenant", asked.tenant.id.clone()));
    }
    if asked.version_2 {
        said.push(("scope", asked.permissions.join(" ")));
    }
    if let Some(state) = request.query.get("state") {
        said.push(("state", state.clone()));
    }
    send_back(&asked.redirect_uri, &said)
}

pub(super) fn send_back(redirect_uri: &str, said: &[(&str, String)]) -> Answer {
    let said: Vec<String> = said.iter().map(|(name, value)| format!("{name}={}", form::encode(value))).collect();
    let mark = if redirect_uri.contains('?') { '&' } else { '?' };
    Answer::redirect(format!("{redirect_uri}{mark}{}", said.join("&")))
}
