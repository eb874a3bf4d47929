//! The authorise endpoint: a person picks an account, and the application gets a code.

use crate::cloud::Cloud;
use crate::entra::code::Granted;
use crate::entra::consent::send_back;
use crate::entra::directory::{App, Tenant};
use crate::entra::refusal::EntraRefusal;
use crate::entra::users::{PERSONAL_ACCOUNTS, User, UserKind};
use crate::entra::{description, page};
use crate::exchange::{Answer, Request};
use crate::form;
use crate::world::World;

/// Whose users may come.
enum Whose {
    Tenant(Box<Tenant>),
    /// `organizations`, or `common` with personal accounts too.
    Shared {
        personal: bool,
    },
}

pub(super) fn answer(world: &World, cloud: Cloud, request: &Request) -> Answer {
    // Until the address is known to be the application's, nothing is sent there.
    let (app, redirect_uri, whose) = match trusted(world, cloud, request) {
        Ok(trusted) => trusted,
        Err(refusal) => return page::refused(refusal, request),
    };
    let outcome = match checked(request) {
        Err(refusal) => Err(refusal),
        Ok(()) if request.method == http::Method::POST => match signed_in(world, cloud, request, &app, &whose) {
            Ok(granted) => {
                let code = format!("1.{}{}", world.random.version(), world.random.version());
                world.codes.give(
                    code.clone(),
                    Granted { redirect_uri: redirect_uri.clone(), ..granted },
                    world.seconds(),
                );
                Ok(code)
            }
            Err(Refused::Page(refusal)) => return page::refused(refusal, request),
            Err(Refused::Back(refusal)) => Err(refusal),
        },
        Ok(()) => return page::sign_in(request, &app.name, &offered(world, cloud, request, &whose)),
    };
    let mut said = match outcome {
        Ok(code) => vec![("code", code)],
        Err(refusal) => {
            let description = description(world, request, refusal);
            vec![("error", refusal.error().to_owned()), ("error_description", description)]
        }
    };
    if let Some(state) = request.query.get("state") {
        said.push(("state", state.clone()));
    }
    said.push(("session_state", world.random.guid()));
    send_back(&redirect_uri, &said)
}

enum Refused {
    Page(EntraRefusal),
    Back(EntraRefusal),
}

fn parameter<'a>(request: &'a Request, name: &str) -> &'a str {
    request.query.get(name).map(String::as_str).unwrap_or_default()
}

fn trusted(world: &World, cloud: Cloud, request: &Request) -> Result<(App, String, Whose), EntraRefusal> {
    let named = request.parts().first().copied().unwrap_or_default().to_owned();
    let whose = match named.as_str() {
        "organizations" => Whose::Shared { personal: false },
        "common" => Whose::Shared { personal: true },
        named => {
            let tenant = world.read(|s| s.tenant(named).filter(|t| t.cloud == cloud).cloned());
            Whose::Tenant(Box::new(tenant.ok_or(EntraRefusal::TenantNotFound)?))
        }
    };
    let client_id = parameter(request, "client_id");
    let app = world.read(|s| s.app(client_id).cloned()).ok_or(EntraRefusal::AppNotInDirectory)?;
    if app.registration.single_tenant && matches!(whose, Whose::Shared { .. }) {
        return Err(EntraRefusal::SingleTenant);
    }
    let redirect_uri = parameter(request, "redirect_uri").to_owned();
    if !app.registration.redirect_uris.contains(&redirect_uri) {
        return Err(EntraRefusal::RedirectMismatch);
    }
    Ok((app, redirect_uri, whose))
}

fn checked(request: &Request) -> Result<(), EntraRefusal> {
    if parameter(request, "response_type") != "code" {
        return Err(EntraRefusal::ResponseTypeUnsupported);
    }
    if !parameter(request, "scope").split_whitespace().any(|scope| scope == "openid") {
        return Err(EntraRefusal::ParameterMissing);
    }
    let challenge = parameter(request, "code_challenge");
    if parameter(request, "code_challenge_method") != "S256" || challenge.len() != 43 {
        return Err(EntraRefusal::PkceRequired);
    }
    if parameter(request, "prompt") == "none" {
        return Err(EntraRefusal::LoginRequired);
    }
    Ok(())
}

/// Who is shown, the hinted account first. Others than those shown can be named in the form too, as in a browser where somebody
/// types an address.
fn offered(world: &World, cloud: Cloud, request: &Request, whose: &Whose) -> Vec<User> {
    let mut users = match whose {
        Whose::Tenant(tenant) => tenant.users(),
        Whose::Shared { personal } => {
            let mut all: Vec<User> =
                world.read(|s| s.tenants.iter().filter(|t| t.cloud == cloud).flat_map(Tenant::users).collect());
            all.retain(|user| *personal || user.kind != UserKind::Personal);
            all
        }
    };
    let mut seen = Vec::new();
    users.retain(|user| {
        !seen.contains(&user.object_id) && {
            seen.push(user.object_id.clone());
            true
        }
    });
    let hint = parameter(request, "login_hint");
    users.sort_by_key(|user| !user.answers_to(hint));
    users
}

fn signed_in(world: &World, cloud: Cloud, request: &Request, app: &App, whose: &Whose) -> Result<Granted, Refused> {
    let fields = form::pairs(&String::from_utf8_lossy(&request.body));
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    if field("action") == "cancel" {
        return Err(Refused::Back(EntraRefusal::ConsentDeclined));
    }
    let named = field("user");
    let home = |user: &User| user.answers_to(named) && user.kind == UserKind::Member;
    let (tenant, user) = match whose {
        Whose::Tenant(tenant) => {
            let user = tenant.users().into_iter().find(|user| user.answers_to(named));
            // Somebody of another tenant who was not invited to this one.
            let elsewhere = || world.read(|s| s.tenants.iter().any(|t| t.users().iter().any(home)));
            let user = user.ok_or_else(|| {
                Refused::Page(if elsewhere() { EntraRefusal::UserNotInTenant } else { EntraRefusal::UserUnknown })
            })?;
            if user.kind == UserKind::Personal {
                return Err(Refused::Page(EntraRefusal::UserNotInTenant));
            }
            (Some(tenant.as_ref().clone()), user)
        }
        Whose::Shared { personal } => {
            let find = |t: &Tenant| Some((t.clone(), t.users().into_iter().find(home)?));
            let of_a_tenant = world.read(|s| s.tenants.iter().filter(|t| t.cloud == cloud).find_map(find));
            match of_a_tenant {
                Some((tenant, user)) => (Some(tenant), user),
                None => {
                    let shown = offered(world, cloud, request, whose);
                    let user = shown.into_iter().find(|u| u.answers_to(named) && u.kind == UserKind::Personal);
                    let user = user.filter(|_| *personal).ok_or(Refused::Page(EntraRefusal::UserUnknown))?;
                    (None, user)
                }
            }
        }
    };
    if let Some(tenant) = &tenant {
        let principal = tenant.principal(&app.client_id).ok_or(Refused::Back(EntraRefusal::ConsentMissing))?;
        if !principal.enabled {
            return Err(Refused::Page(EntraRefusal::AppDisabled));
        }
        if !principal.consented {
            return Err(Refused::Back(EntraRefusal::ConsentMissing));
        }
    }
    Ok(Granted {
        client_id: app.client_id.clone(),
        redirect_uri: String::new(),
        challenge: parameter(request, "code_challenge").to_owned(),
        nonce: request.query.get("nonce").cloned(),
        scope: parameter(request, "scope").to_owned(),
        tenant: tenant.map_or_else(|| PERSONAL_ACCOUNTS.to_owned(), |t| t.id),
        user,
    })
}
