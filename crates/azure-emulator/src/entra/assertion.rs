//! Whether a client assertion stands for its app: signed by one of its certificates, or by an issuer it federates.

use std::sync::PoisonError;

use crate::entra::directory::{App, Certificate, Tenant};
use crate::entra::refusal::EntraRefusal;
use crate::jwt::{Jwt, from_b64};
use crate::world::World;

/// How far a client's clock may be off.
const SKEW_SECONDS: i64 = 300;

pub(super) fn check(world: &World, tenant: &Tenant, app: &App, token: &str, named: &str) -> Result<(), EntraRefusal> {
    let jwt = Jwt::parse(token).ok_or(EntraRefusal::AssertionMalformed)?;
    if jwt.text("iss").eq_ignore_ascii_case(&app.client_id) {
        check_own(world, tenant, app, &jwt, named)?;
    } else {
        check_federated(world, app, &jwt)?;
    }
    if app.refuse_replay {
        check_replay(world, app, &jwt)?;
    }
    Ok(())
}

/// Signed by the app itself (RFC 7523 §3).
fn check_own(world: &World, tenant: &Tenant, app: &App, jwt: &Jwt, named: &str) -> Result<(), EntraRefusal> {
    if !jwt.text("sub").eq_ignore_ascii_case(&app.client_id) {
        return Err(EntraRefusal::AssertionNotOfThisClient);
    }
    let certificate = app.certificates.iter().find(|c| names(jwt, c)).ok_or(EntraRefusal::CertificateUnknown)?;
    if !from_b64(&certificate.public_key).is_some_and(|der| jwt.is_signed_by(&der)) {
        return Err(EntraRefusal::AssertionSignature);
    }
    if certificate.revoked {
        return Err(EntraRefusal::CertificateRevoked);
    }
    let now = world.seconds();
    if now < certificate.not_before || now >= certificate.not_after {
        return Err(EntraRefusal::CertificateOutsideItsTime);
    }
    check_time(jwt, now)?;
    let ours = audiences(tenant, named);
    if !jwt.audiences().iter().any(|a| ours.iter().any(|o| o.eq_ignore_ascii_case(a))) {
        return Err(EntraRefusal::AssertionAudience);
    }
    Ok(())
}

/// By SHA-256 thumbprint, by SHA-1 thumbprint, or by `kid`, which is the SHA-1 thumbprint in hex.
fn names(jwt: &Jwt, certificate: &Certificate) -> bool {
    let header = |name: &str| jwt.header[name].as_str();
    if let Some(x5t) = header("x5t#S256") {
        return x5t.trim_end_matches('=') == certificate.x5t_s256;
    }
    if let Some(x5t) = header("x5t") {
        return x5t.trim_end_matches('=') == certificate.x5t;
    }
    let sha1 = from_b64(&certificate.x5t).map(hex::encode);
    header("kid").is_some_and(|kid| sha1.is_some_and(|sha1| kid.eq_ignore_ascii_case(&sha1)))
}

/// The token endpoint of this tenant in either version, by id or as the client named it, or the tenant's issuer.
fn audiences(tenant: &Tenant, named: &str) -> Vec<String> {
    let host = tenant.cloud.login_host();
    let mut all = vec![tenant.issuer_v1(), tenant.issuer_v2()];
    for name in [tenant.id.as_str(), named] {
        all.push(format!("https://{host}/{name}/oauth2/v2.0/token"));
        all.push(format!("https://{host}/{name}/oauth2/token"));
    }
    all
}

fn check_time(jwt: &Jwt, now: i64) -> Result<(), EntraRefusal> {
    let alive = jwt.seconds("exp").is_some_and(|exp| now < exp + SKEW_SECONDS);
    let begun = jwt.seconds("nbf").is_none_or(|nbf| now >= nbf - SKEW_SECONDS);
    if alive && begun { Ok(()) } else { Err(EntraRefusal::AssertionOutsideItsTime) }
}

/// Signed by somebody whom the app trusts. Issuer, subject and audience are compared exactly.
fn check_federated(world: &World, app: &App, jwt: &Jwt) -> Result<(), EntraRefusal> {
    let by_issuer: Vec<_> = app.federated.iter().filter(|f| f.issuer == jwt.text("iss")).collect();
    if by_issuer.is_empty() {
        return Err(EntraRefusal::FederatedIssuerUnknown);
    }
    let by_subject: Vec<_> = by_issuer.into_iter().filter(|f| f.subject == jwt.text("sub")).collect();
    if by_subject.is_empty() {
        return Err(EntraRefusal::FederatedSubjectUnknown);
    }
    let audiences = jwt.audiences();
    let credential = by_subject.into_iter().find(|f| audiences.contains(&f.audience.as_str()));
    let credential = credential.ok_or(EntraRefusal::FederatedAudienceUnknown)?;
    if !jwt.is_signed_by_one_of(&credential.jwks) {
        return Err(EntraRefusal::AssertionSignature);
    }
    check_time(jwt, world.seconds())
}

/// An assertion is remembered until nobody would take it any more.
fn check_replay(world: &World, app: &App, jwt: &Jwt) -> Result<(), EntraRefusal> {
    let now = world.seconds();
    let mut seen = world.assertions_seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.retain(|_, until| *until > now);
    let until = jwt.seconds("exp").unwrap_or(now).saturating_add(SKEW_SECONDS);
    let id = format!("{} {}", app.client_id, jwt.text("jti"));
    match seen.insert(id, until) {
        // Microsoft publishes no number for a replay; this one says "the assertion was refused".
        Some(_) => Err(EntraRefusal::AssertionSignature),
        None => Ok(()),
    }
}
