//! Deleting a key, and what can still be done with it: get, recover, purge.

use serde_json::{Value, json};

use crate::exchange::Request;
use crate::keyvault::Done;
use crate::keyvault::key::DeletedKey;
use crate::keyvault::refusal::{Refused, VaultRefusal};
use crate::keyvault::route::Route;
use crate::keyvault::vault::Vault;
use crate::operation::Operation;
use crate::world::World;

const DAY: i64 = 86_400;

pub(super) fn perform(world: &World, request: &Request, route: &Route) -> Result<Done, Refused> {
    let name = route.key.as_deref().unwrap_or_default().to_ascii_lowercase();
    let now = world.seconds();
    if route.operation == Operation::GetDeleted {
        return world.read(|state| {
            let vault = state.vault(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
            let deleted = vault.deleted_keys.get(&name).ok_or(VaultRefusal::KeyNotFound)?;
            Ok(Done::ok(deleted_bundle(vault, deleted)))
        });
    }
    world.change(|state| {
        let vault = state.vault_mut(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
        match route.operation {
            Operation::Recover => recover(vault, &name),
            Operation::Purge => purge(vault, &name),
            _ => delete(vault, &name, now),
        }
    })
}

/// Removes the whole key; single versions cannot be deleted.
pub(crate) fn delete(vault: &mut Vault, name: &str, now: i64) -> Result<Done, Refused> {
    let key = vault.keys.remove(name).ok_or(VaultRefusal::KeyNotFound)?;
    let days = i64::from(vault.deletion.retention_days);
    let deleted = DeletedKey { key, deleted: now, purge_at: now + days * DAY };
    let bundle = deleted_bundle(vault, &deleted);
    if days > 0 {
        vault.deleted_keys.insert(name.to_owned(), deleted);
    }
    Ok(Done::ok(bundle))
}

pub(crate) fn recover(vault: &mut Vault, name: &str) -> Result<Done, Refused> {
    let deleted = vault.deleted_keys.remove(name).ok_or(VaultRefusal::KeyNotFound)?;
    let recovery = vault.deletion.recovery();
    let latest = deleted.key.versions.last().ok_or(VaultRefusal::KeyNotFound)?;
    let bundle = latest.bundle(&vault.kid(&deleted.key.name, &latest.id), recovery);
    vault.keys.insert(name.to_owned(), deleted.key);
    Ok(Done::ok(bundle))
}

pub(crate) fn purge(vault: &mut Vault, name: &str) -> Result<Done, Refused> {
    if !vault.deleted_keys.contains_key(name) {
        return Err(VaultRefusal::KeyNotFound.into());
    }
    if vault.deletion.purge_protection {
        return Err(VaultRefusal::PurgeProtected.into());
    }
    vault.deleted_keys.remove(name);
    Ok(Done { status: 204, body: None, version: None })
}

fn deleted_bundle(vault: &Vault, deleted: &DeletedKey) -> Value {
    let recovery = vault.deletion.recovery();
    let latest = deleted.key.versions.last();
    let bundle = latest.map(|latest| latest.bundle(&vault.kid(&deleted.key.name, &latest.id), recovery));
    with_dates(vault, deleted, bundle.unwrap_or_else(|| json!({})))
}

/// An item of the list of deleted keys.
pub(super) fn deleted_item(vault: &Vault, deleted: &DeletedKey) -> Value {
    let kid = format!("https://{}/keys/{}", vault.host(), deleted.key.name);
    let item = deleted.key.versions.last().map(|latest| latest.item(&kid, vault.deletion.recovery()));
    with_dates(vault, deleted, item.unwrap_or_else(|| json!({})))
}

fn with_dates(vault: &Vault, deleted: &DeletedKey, mut bundle: Value) -> Value {
    if vault.deletion.retention_days > 0 {
        bundle["recoveryId"] = format!("https://{}/deletedkeys/{}", vault.host(), deleted.key.name).into();
        bundle["deletedDate"] = deleted.deleted.into();
        bundle["scheduledPurgeDate"] = deleted.purge_at.into();
    }
    bundle
}
