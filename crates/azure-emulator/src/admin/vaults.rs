//! Admin API, Key Vault's side: vaults, keys, roles, policies.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Refusal, Reply, Shared, done};
use crate::handles::{ImportedKey, KeyChange, Principal, RoleScope, TenantHandle, VaultHandle};
use crate::jwt::from_b64;
use crate::keyvault::access::{AccessModel, Role};
use crate::keyvault::key::KeyOperation;
use crate::keyvault::vault::{Deletion, Network, Sku};
use crate::limits::Limits;

fn vault(world: &Shared, host: &str) -> Result<VaultHandle, Refusal> {
    VaultHandle::find(world.0.clone(), host).ok_or_else(|| Refusal::missing("vault", host))
}

pub(super) async fn create(State(world): Shared, Path((tenant, name)): Path<(String, String)>) -> Reply {
    let allowed = (3..=24).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !name.contains("--");
    if !allowed {
        return Err(Refusal::wrong("a vault's name has 3 to 24 letters, digits and single dashes"));
    }
    let found = TenantHandle::find(world, &tenant).ok_or_else(|| Refusal::missing("tenant", &tenant))?;
    let vault = found.vault(&name);
    Ok(Json(json!({"host": vault.host(), "url": vault.url()})))
}

/// Settings and keys, without key material.
pub(super) async fn show(State(world): Shared, Path(host): Path<String>) -> Reply {
    let shown = world.read(|s| {
        let v = s.vault(&host)?;
        let names = |keys: &mut dyn Iterator<Item = &String>| keys.cloned().collect::<Vec<_>>();
        Some(json!({
            "host": v.host(), "tenant": v.tenant, "sku": v.sku, "model": v.model, "network": v.network,
            "deletion": v.deletion, "limits": v.limits, "deleted": v.deleted, "roles": v.assignments,
            "policies": v.policies, "disabled_still_wraps": v.disabled_still_wraps,
            "keys": names(&mut v.keys.keys()), "deleted_keys": names(&mut v.deleted_keys.keys()),
        }))
    });
    shown.map(Json).ok_or_else(|| Refusal::missing("vault", &host))
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct VaultChange {
    sku: Option<Sku>,
    model: Option<AccessModel>,
    network: Option<Network>,
    deletion: Option<Deletion>,
    limits: Option<Limits>,
    deleted: Option<bool>,
    tenant: Option<String>,
    disabled_still_wraps: Option<bool>,
}

pub(super) async fn change(world: Shared, Path(host): Path<String>, Json(change): Json<VaultChange>) -> Reply {
    let vault = vault(&world, &host)?;
    let moved = match &change.tenant {
        Some(name) => {
            let found = TenantHandle::find(world.0.clone(), name).ok_or_else(|| Refusal::missing("tenant", name))?;
            Some(found.id().to_owned())
        }
        None => None,
    };
    if let Some(id) = moved {
        vault.move_to_tenant(&id);
    }
    change.sku.into_iter().for_each(|sku| vault.set_sku(sku));
    change.model.into_iter().for_each(|model| vault.set_access_model(model));
    change.network.into_iter().for_each(|network| vault.set_network(network));
    change.deletion.into_iter().for_each(|deletion| vault.set_deletion(deletion));
    change.limits.into_iter().for_each(|limits| vault.set_limits(limits));
    change.disabled_still_wraps.into_iter().for_each(|wraps| vault.set_disabled_still_wraps(wraps));
    match change.deleted {
        Some(true) => vault.delete(),
        Some(false) => vault.recover(),
        None => {}
    }
    done()
}

pub(super) async fn purge(world: Shared, Path(host): Path<String>) -> Reply {
    vault(&world, &host)?.purge();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleBody {
    principal: String,
    role: Role,
    key: Option<String>,
}

impl RoleBody {
    fn parts(self) -> (Principal, Role, RoleScope) {
        let scope = self.key.map_or(RoleScope::Vault, RoleScope::Key);
        (Principal { object_id: self.principal }, self.role, scope)
    }
}

pub(super) async fn assign_role(world: Shared, Path(host): Path<String>, Json(body): Json<RoleBody>) -> Reply {
    let (principal, role, scope) = body.parts();
    vault(&world, &host)?.assign_role(&principal, role, scope);
    done()
}

pub(super) async fn remove_role(world: Shared, Path(host): Path<String>, Json(body): Json<RoleBody>) -> Reply {
    let (principal, role, scope) = body.parts();
    vault(&world, &host)?.remove_role(&principal, role, scope);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyBody {
    principal: String,
    permissions: Vec<String>,
}

pub(super) async fn set_policy(world: Shared, Path(host): Path<String>, Json(body): Json<PolicyBody>) -> Reply {
    let permissions: Vec<&str> = body.permissions.iter().map(String::as_str).collect();
    vault(&world, &host)?.set_access_policy(&Principal { object_id: body.principal }, &permissions);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    name: String,
    #[serde(default = "smallest")]
    bits: u32,
    #[serde(default)]
    hsm: bool,
    key_ops: Option<Vec<KeyOperation>>,
    /// base64url: imported instead of generated.
    pkcs8: Option<String>,
}

fn smallest() -> u32 {
    2048
}

pub(super) async fn create_key(world: Shared, Path(host): Path<String>, Json(new): Json<NewKey>) -> Reply {
    let vault = vault(&world, &host)?;
    let ops = new.key_ops.unwrap_or_else(|| KeyOperation::DEFAULT.to_vec());
    let info = match (&new.pkcs8, new.hsm) {
        (Some(text), hsm) => {
            let pkcs8 = from_b64(text).ok_or_else(|| Refusal::wrong("pkcs8 is not base64url"))?;
            let info = vault.import_key(&new.name, &ImportedKey { pkcs8: &pkcs8, hsm })?;
            vault.change_key(&new.name, KeyChange { key_ops: Some(ops), ..KeyChange::default() })?;
            info
        }
        (None, true) => vault.create_hsm_key(&new.name, new.bits, &ops).await?,
        (None, false) => vault.create_key(&new.name, new.bits, &ops).await?,
    };
    Ok(Json(json!(info)))
}

/// All versions, oldest first, with their attributes.
pub(super) async fn show_key(State(world): Shared, Path((host, name)): Path<(String, String)>) -> Reply {
    let shown = world.read(|s| {
        let key = s.vault(&host)?.key(&name)?;
        Some(json!({"name": key.name, "versions": key.versions, "rotation_policy": key.rotation}))
    });
    shown.map(Json).ok_or_else(|| Refusal::missing("key", &name))
}

pub(super) async fn change_key(
    world: Shared,
    Path((host, name)): Path<(String, String)>,
    Json(change): Json<KeyChange>,
) -> Reply {
    vault(&world, &host)?.change_key(&name, change)?;
    done()
}

pub(super) async fn delete_key(world: Shared, Path((host, name)): Path<(String, String)>) -> Reply {
    vault(&world, &host)?.delete_key(&name)?;
    done()
}

pub(super) async fn act_on_key(
    world: Shared,
    Path((host, name, verb)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let vault = vault(&world, &host)?;
    match verb.as_str() {
        "rotate" => return Ok(Json(json!(vault.rotate_key(&name).await?))),
        "recover" => vault.recover_key(&name)?,
        "purge" => vault.purge_key(&name)?,
        other => return Err(Refusal::missing("action on keys named", other)),
    }
    done()
}
