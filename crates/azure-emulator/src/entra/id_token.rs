//! Redeeming a code: PKCE, the application's credential, and the id_token with what the registration asks for.

use aws_lc_rs::digest;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::entra::code::{Granted, NotTaken};
use crate::entra::directory::App;
use crate::entra::forged;
use crate::entra::refusal::EntraRefusal;
use crate::entra::token::{self, Form};
use crate::entra::users::{PERSONAL_ACCOUNTS, UserKind};
use crate::faults::Met;
use crate::jwt::b64;
use crate::world::World;

/// Seconds.
const LIFE: i64 = 3_600;

pub(super) fn redeem(
    world: &World,
    cloud: Cloud,
    form: &Form,
    named: &str,
    met: &[Met],
) -> Result<Value, EntraRefusal> {
    let wanted = |name: &str| form.get(name).filter(|v| !v.is_empty()).ok_or(EntraRefusal::ParameterMissing);
    let client_id = wanted("client_id")?;
    let (code, verifier, redirect_uri) = (wanted("code")?, wanted("code_verifier")?, wanted("redirect_uri")?);
    let app = world.read(|s| s.app(client_id).cloned()).ok_or(EntraRefusal::AppNotInDirectory)?;
    let tenant = world.read(|s| s.tenant(named).filter(|t| t.cloud == cloud).cloned());
    let shared = matches!(named, "organizations" | "common");
    if tenant.is_none() && !shared {
        return Err(EntraRefusal::TenantNotFound);
    }
    let granted = world.codes.take(code, world.seconds()).map_err(|why| match why {
        NotTaken::Unknown => EntraRefusal::CodeInvalid,
        NotTaken::Expired => EntraRefusal::CodeExpired,
        NotTaken::Redeemed => EntraRefusal::CodeRedeemed,
    })?;
    let home = world.read(|s| s.tenant(&granted.tenant).cloned());
    match (&home, &tenant) {
        (Some(home), _) => {
            token::authenticate(world, home, &app, form, named)?;
        }
        (None, Some(tenant)) => {
            token::authenticate(world, tenant, &app, form, named)?;
        }
        // A personal account: the assertion's audience names no tenant that is here.
        (None, None) if form.contains_key("client_secret") => {
            let any = world.read(|s| s.tenants.first().cloned()).ok_or(EntraRefusal::TenantNotFound)?;
            token::authenticate(world, &any, &app, form, named)?;
        }
        (None, None) => return Err(EntraRefusal::CredentialMissing),
    }
    if !granted.client_id.eq_ignore_ascii_case(client_id) || tenant.is_some_and(|t| t.id != granted.tenant) {
        return Err(EntraRefusal::CodeInvalid);
    }
    if granted.redirect_uri != *redirect_uri {
        return Err(EntraRefusal::CodeRedirectMismatch);
    }
    if b64(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref()) != granted.challenge {
        return Err(EntraRefusal::VerifierMismatch);
    }
    let claims = claims(world, cloud, &app, &granted);
    Ok(json!({
        "token_type": "Bearer",
        "scope": granted.scope,
        "expires_in": LIFE,
        "ext_expires_in": LIFE,
        // For Microsoft Graph, which is not here: a text that opens nothing.
        "access_token": world.random.client_secret(),
        "id_token": forged::id_token(world, met, claims),
    }))
}

/// What an id_token of version 2.0 says. The optional claims are there only where the registration asks for them.
fn claims(world: &World, cloud: Cloud, app: &App, granted: &Granted) -> Value {
    let now = world.seconds();
    let user = &granted.user;
    let pairwise = digest::digest(&digest::SHA256, format!("{} {}", app.client_id, user.object_id).as_bytes());
    let scope = |wanted: &str| granted.scope.split_whitespace().any(|one| one == wanted);
    let address = user.name.split_once("#EXT#").map_or(user.name.as_str(), |(invited, _)| invited);
    let mut claims = json!({
        "aud": app.client_id,
        "iss": format!("https://{}/{}/v2.0", cloud.login_host(), granted.tenant),
        "iat": now,
        "nbf": now,
        "exp": now + LIFE,
        "sub": b64(pairwise.as_ref()),
        "tid": granted.tenant,
        "uti": b64(&hex::decode(world.random.version()).unwrap_or_default()),
        "ver": "2.0",
    });
    if let Some(nonce) = &granted.nonce {
        claims["nonce"] = json!(nonce);
    }
    if scope("profile") {
        claims["oid"] = json!(user.object_id);
        claims["name"] = json!(address.split(['@', '_']).next());
        claims["preferred_username"] = json!(user.name);
    }
    let registration = &app.registration;
    if scope("email") || registration.claims.contains("email") {
        claims["email"] = json!(address);
    }
    if registration.claims.contains("upn") && user.kind != UserKind::Personal {
        claims["upn"] = json!(user.name);
    }
    // A directory knows of members and guests; personal accounts are in none.
    if granted.tenant != PERSONAL_ACCOUNTS {
        if registration.claims.contains("acct") {
            claims["acct"] = json!(u8::from(user.kind == UserKind::Guest));
        }
        if registration.directory_roles {
            claims["wids"] = json!(user.roles);
        }
        if registration.groups {
            claims["groups"] = json!([]);
        }
    }
    claims
}
