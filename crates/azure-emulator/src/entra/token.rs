//! The token endpoint: client credentials by secret, certificate assertion or federated assertion, and authorisation codes.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::entra::directory::{App, ServicePrincipal, Tenant};
use crate::entra::refusal::EntraRefusal;
use crate::entra::{assertion, id_token, refusal};
use crate::exchange::Request;
use crate::faults::Met;
use crate::world::World;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) type Form = HashMap<String, String>;

fn form(request: &Request) -> Form {
    crate::form::pairs(&String::from_utf8_lossy(&request.body))
}

/// Who says to be asking, for the call log.
pub(super) fn client_id(request: &Request) -> Option<String> {
    form(request).remove("client_id")
}

/// How the application showed itself: `appidacr` of its tokens.
#[derive(Debug, Clone, Copy)]
pub(super) enum ShownBy {
    Secret,
    Assertion,
}

pub(super) fn grant(
    world: &World,
    cloud: Cloud,
    request: &Request,
    met: &[Met],
) -> Result<Value, refusal::EntraRefusal> {
    let form = form(request);
    let parts = request.parts();
    let named = parts.first().copied().unwrap_or_default();
    let version_2 = parts.contains(&"v2.0");

    if version_2 && form.get("grant_type").is_some_and(|grant| grant == "authorization_code") {
        return id_token::redeem(world, cloud, &form, named, met);
    }
    let tenant = world.read(|s| s.tenant(named).filter(|t| t.cloud == cloud).cloned());
    let tenant = tenant.ok_or(EntraRefusal::TenantNotFound)?;
    let audience = match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => resource(cloud, &form, version_2)?,
        Some(_) => return Err(EntraRefusal::GrantUnsupported),
        None => return Err(EntraRefusal::ParameterMissing),
    };
    let client_id = form.get("client_id").ok_or(EntraRefusal::ParameterMissing)?;
    let app = world.read(|s| s.app(client_id).cloned()).ok_or(EntraRefusal::AppNotInDirectory)?;
    let principal = tenant.principal(client_id).ok_or(EntraRefusal::ServicePrincipalMissing)?;
    let shown_by = authenticate(world, &tenant, &app, &form, named)?;
    if !principal.enabled {
        return Err(EntraRefusal::AppDisabled);
    }
    if !principal.consented {
        return Err(EntraRefusal::ConsentMissing);
    }
    Ok(issue(world, &tenant, &app, principal, &audience, shown_by, version_2))
}

pub(super) fn authenticate(
    world: &World,
    tenant: &Tenant,
    app: &App,
    form: &Form,
    named: &str,
) -> Result<ShownBy, EntraRefusal> {
    if let Some(secret) = form.get("client_secret") {
        let known = app.secrets.iter().find(|s| s.is(secret)).ok_or(EntraRefusal::SecretWrong)?;
        let expired = known.expires.is_some_and(|at| world.seconds() >= at);
        return if expired { Err(EntraRefusal::SecretExpired) } else { Ok(ShownBy::Secret) };
    }
    let token = form.get("client_assertion").ok_or(EntraRefusal::CredentialMissing)?;
    if form.get("client_assertion_type").map(String::as_str) != Some(ASSERTION_TYPE) {
        return Err(EntraRefusal::CredentialMissing);
    }
    assertion::check(world, tenant, app, token, named)?;
    Ok(ShownBy::Assertion)
}

/// The audience of the token that is asked for.
fn resource(cloud: Cloud, form: &Form, version_2: bool) -> Result<String, EntraRefusal> {
    let resource = if version_2 {
        let scope = form.get("scope").ok_or(EntraRefusal::ParameterMissing)?;
        scope.strip_suffix("/.default").ok_or(EntraRefusal::ScopeInvalid)?
    } else {
        form.get("resource").ok_or(EntraRefusal::ParameterMissing)?
    };
    let resource = resource.trim_end_matches('/');
    // What a directory of this cloud knows. The others are there to be wrong audiences, as in Azure.
    let managed_hsm = cloud.vault_domain().replacen("vault", "managedhsm", 1);
    let known = resource == cloud.vault_audience()
        || resource == format!("https://{managed_hsm}")
        || matches!(
            resource,
            "https://graph.microsoft.com" | "https://management.azure.com" | "https://storage.azure.com"
        );
    if known { Ok(resource.to_owned()) } else { Err(EntraRefusal::ResourceUnknown) }
}

fn issue(
    world: &World,
    tenant: &Tenant,
    app: &App,
    principal: &ServicePrincipal,
    audience: &str,
    shown_by: ShownBy,
    version_2: bool,
) -> Value {
    let life = world.read(|s| s.token_life);
    let spread = u64::from(life.longest.saturating_sub(life.shortest)) + 1;
    let seconds = i64::from(life.shortest) + i64::try_from(world.random.below(spread)).unwrap_or(0);
    let now = world.seconds();
    let issuer = tenant.issuer_v1();
    let claims = json!({
        "aud": audience,
        "iss": issuer,
        "iat": now,
        // Entra ID dates tokens five minutes back, for clocks that are late.
        "nbf": now - 300,
        "exp": now + seconds,
        "appid": app.client_id,
        "appidacr": match shown_by { ShownBy::Secret => "1", ShownBy::Assertion => "2" },
        "idp": issuer,
        "oid": principal.object_id,
        "sub": principal.object_id,
        "tid": tenant.id,
        "uti": world.random.version(),
        "ver": "1.0",
    });
    let token = world.signer.sign(&claims);
    if version_2 {
        return json!({
            "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
        });
    }
    // The version 1 endpoint writes its numbers as text.
    json!({
        "token_type": "Bearer",
        "expires_in": seconds.to_string(),
        "ext_expires_in": seconds.to_string(),
        "expires_on": (now + seconds).to_string(),
        "not_before": (now - 300).to_string(),
        "resource": audience,
        "access_token": token,
    })
}
