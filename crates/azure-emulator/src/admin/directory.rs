//! Admin API, Entra's side: tenants, apps, credentials.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Refusal, Reply, Shared, done};
use crate::cloud::Cloud;
use crate::entra::directory::FederatedCredential;
use crate::entra::users::UserKind;
use crate::handles::{AppHandle, TenantHandle};

fn app(world: &Shared, name: &str) -> Result<AppHandle, Refusal> {
    AppHandle::find(world.0.clone(), name).ok_or_else(|| Refusal::missing("app", name))
}

fn tenant(world: &Shared, name: &str) -> Result<TenantHandle, Refusal> {
    TenantHandle::find(world.0.clone(), name).ok_or_else(|| Refusal::missing("tenant", name))
}

/// Everything that exists, in short.
pub(super) async fn summary(State(world): Shared) -> Json<Value> {
    Json(world.read(|s| {
        let principals = |t: &crate::entra::directory::Tenant| -> Vec<Value> {
            let show = |p: &crate::entra::directory::ServicePrincipal| {
                json!({
                    "client_id": p.client_id, "object_id": p.object_id,
                    "enabled": p.enabled, "consented": p.consented,
                })
            };
            t.principals.iter().map(show).collect()
        };
        json!({
            "tenants": s.tenants.iter().map(|t| json!({
                "name": t.name, "id": t.id, "domains": t.domains, "cloud": t.cloud, "principals": principals(t),
            })).collect::<Vec<_>>(),
            "apps": s.apps.iter().map(|a| json!({
                "name": a.name, "client_id": a.client_id, "secrets": a.secrets.len(),
                "certificates": a.certificates.iter().map(|c| &c.x5t_s256).collect::<Vec<_>>(),
                "federated": a.federated.len(),
            })).collect::<Vec<_>>(),
            "vaults": s.vaults.iter().map(|v| json!({"host": v.host(), "tenant": v.tenant})).collect::<Vec<_>>(),
        })
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    name: String,
    #[serde(default)]
    cloud: Cloud,
    #[serde(default)]
    domains: Vec<String>,
}

pub(super) async fn create_tenant(State(world): Shared, Json(new): Json<NewTenant>) -> Reply {
    let tenant = TenantHandle::find_or_create(world, new.cloud, &new.name);
    for domain in &new.domains {
        tenant.add_domain(domain);
    }
    Ok(Json(json!({"id": tenant.id(), "domain": tenant.domain()})))
}

pub(super) async fn consent(world: Shared, Path((of, whose)): Path<(String, String)>) -> Reply {
    let principal = tenant(&world, &of)?.consent(&app(&world, &whose)?);
    Ok(Json(json!({"object_id": principal.object_id})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrincipalChange {
    enabled: Option<bool>,
    consented: Option<bool>,
}

pub(super) async fn change_principal(
    world: Shared,
    Path((of, whose)): Path<(String, String)>,
    Json(change): Json<PrincipalChange>,
) -> Reply {
    let (tenant, app) = (tenant(&world, &of)?, app(&world, &whose)?);
    match change.enabled {
        Some(true) => tenant.enable(&app),
        Some(false) => tenant.disable(&app),
        None => {}
    }
    match change.consented {
        Some(true) => drop(tenant.consent(&app)),
        Some(false) => tenant.withdraw_consent(&app),
        None => {}
    }
    done()
}

pub(super) async fn remove_principal(world: Shared, Path((of, whose)): Path<(String, String)>) -> Reply {
    tenant(&world, &of)?.remove(&app(&world, &whose)?);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApp {
    name: String,
}

pub(super) async fn create_app(State(world): Shared, Json(new): Json<NewApp>) -> Reply {
    let app = AppHandle::find_or_create(world, &new.name);
    Ok(Json(json!({"client_id": app.client_id()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppChange {
    refuse_replayed_assertions: bool,
}

pub(super) async fn change_app(world: Shared, Path(name): Path<String>, Json(change): Json<AppChange>) -> Reply {
    app(&world, &name)?.refuse_replayed_assertions(change.refuse_replayed_assertions);
    done()
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NewSecret {
    value: Option<String>,
    expires: Option<i64>,
}

pub(super) async fn add_secret(world: Shared, Path(name): Path<String>, Json(new): Json<NewSecret>) -> Reply {
    let app = app(&world, &name)?;
    let value = match new.value {
        Some(value) => {
            app.set_secret(&value, new.expires);
            value
        }
        None => app.add_secret_expiring(new.expires),
    };
    Ok(Json(json!({"value": value})))
}

pub(super) async fn remove_secrets(world: Shared, Path(name): Path<String>) -> Reply {
    app(&world, &name)?.remove_secrets();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCertificate {
    pem: String,
}

pub(super) async fn add_certificate(world: Shared, Path(name): Path<String>, Json(new): Json<NewCertificate>) -> Reply {
    let info = app(&world, &name)?.add_certificate(new.pem.as_bytes()).map_err(Refusal::wrong)?;
    Ok(Json(json!(info)))
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CertificateDates {
    not_before: Option<i64>,
    not_after: Option<i64>,
}

pub(super) async fn issue_certificate(
    world: Shared,
    Path(name): Path<String>,
    Json(dates): Json<CertificateDates>,
) -> Reply {
    let app = app(&world, &name)?;
    let now = world.seconds();
    let (from, to) = (dates.not_before.unwrap_or(now - 3_600), dates.not_after.unwrap_or(now + 90 * 86_400));
    let issued = tokio::task::spawn_blocking(move || app.issue_certificate(from, to)).await;
    let issued = issued.map_err(Refusal::wrong)?.map_err(Refusal::wrong)?;
    Ok(Json(json!(issued)))
}

pub(super) async fn revoke_certificate(world: Shared, Path((name, x5t)): Path<(String, String)>) -> Reply {
    if app(&world, &name)?.revoke_certificate(&x5t) { done() } else { Err(Refusal::missing("certificate", &x5t)) }
}

pub(super) async fn remove_certificates(world: Shared, Path(name): Path<String>) -> Reply {
    app(&world, &name)?.remove_certificates();
    done()
}

pub(super) async fn add_federated(
    world: Shared,
    Path(name): Path<String>,
    Json(new): Json<FederatedCredential>,
) -> Reply {
    app(&world, &name)?.add_federated_credential(new);
    done()
}

pub(super) async fn remove_federated(world: Shared, Path(name): Path<String>) -> Reply {
    app(&world, &name)?.remove_federated_credentials();
    done()
}

/// Who can sign in: `{"users": [{"name", "object_id", "kind", "roles"}]}`.
pub(super) async fn users(world: Shared, Path(of): Path<String>) -> Reply {
    Ok(Json(json!({"users": tenant(&world, &of)?.users()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    name: String,
    #[serde(default)]
    kind: UserKind,
    #[serde(default)]
    roles: Vec<String>,
}

pub(super) async fn add_user(world: Shared, Path(of): Path<String>, Json(new): Json<NewUser>) -> Reply {
    let roles: Vec<&str> = new.roles.iter().map(String::as_str).collect();
    Ok(Json(json!(tenant(&world, &of)?.add_user(&new.name, new.kind, &roles))))
}

pub(super) async fn set_manifest(world: Shared, Path(name): Path<String>, Json(manifest): Json<Value>) -> Reply {
    app(&world, &name)?.set_manifest(&manifest).map_err(Refusal::wrong)?;
    done()
}
