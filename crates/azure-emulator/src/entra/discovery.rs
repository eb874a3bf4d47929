//! What a directory says about itself: OpenID configuration, signing keys, and which hosts belong together.

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::entra::directory::Tenant;
use crate::entra::{EntraRefusal, forged, refuse};
use crate::exchange::{Answer, Request};
use crate::faults::Met;
use crate::world::World;

pub(super) fn answer(world: &World, cloud: Cloud, request: &Request, met: &[Met]) -> Answer {
    let parts = request.parts();
    if let ["common", "discovery", "instance"] = parts.as_slice() {
        return Answer::json(200, &instance(cloud, request));
    }
    let version_2 = parts.contains(&"v2.0");
    let keys = parts.last() == Some(&"keys");
    let named = parts.first().copied().unwrap_or_default();
    // Shared endpoints name no tenant; their issuer is a template.
    let (id, issuer) = if matches!(named, "common" | "organizations" | "consumers") {
        let template = if version_2 { "/v2.0" } else { "/" };
        let host = if version_2 { cloud.login_host() } else { cloud.token_service() };
        ("{tenantid}".to_owned(), format!("https://{host}/{{tenantid}}{template}"))
    } else {
        let describe = |t: &Tenant| (t.id.clone(), if version_2 { t.issuer_v2() } else { t.issuer_v1() });
        let found = world.read(|s| s.tenant(named).filter(|t| t.cloud == cloud).map(describe));
        match found {
            Some(found) => found,
            None => return refuse(world, request, EntraRefusal::TenantNotFound),
        }
    };
    if keys {
        return forged::key_set(world, met, world.signer.jwks(&issuer));
    }
    let segment = if id == "{tenantid}" { named.to_owned() } else { id };
    Answer::json(200, &configuration(cloud, &segment, &issuer, version_2))
}

fn configuration(cloud: Cloud, tenant: &str, issuer: &str, version_2: bool) -> Value {
    let base = format!("https://{}/{tenant}", cloud.login_host());
    let v2 = if version_2 { "/v2.0" } else { "" };
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{base}/oauth2{v2}/token"),
        "authorization_endpoint": format!("{base}/oauth2{v2}/authorize"),
        "jwks_uri": format!("{base}/discovery{v2}/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "tid", "ver", "preferred_username", "name", "email"],
        "cloud_instance_name": cloud.login_host().trim_start_matches("login."),
    })
}

/// Instance discovery: what the SDKs ask of a host they do not know by heart.
fn instance(cloud: Cloud, request: &Request) -> Value {
    let host = cloud.login_host();
    let asked = request.query.get("authorization_endpoint").map(String::as_str).unwrap_or_default();
    let tenant = asked.strip_prefix("https://").and_then(|rest| rest.split('/').nth(1)).unwrap_or("common");
    json!({
        "tenant_discovery_endpoint": format!("https://{host}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    })
}
