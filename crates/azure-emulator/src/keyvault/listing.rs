//! Reading: one key, and lists in pages.

use serde_json::{Value, json};

use crate::exchange::Request;
use crate::keyvault::Done;
use crate::keyvault::deleted::deleted_item;
use crate::keyvault::refusal::{Refused, VaultRefusal};
use crate::keyvault::route::Route;
use crate::keyvault::vault::Vault;
use crate::operation::Operation;
use crate::world::World;

const LARGEST_PAGE: usize = 25;

pub(super) fn perform(world: &World, request: &Request, route: &Route) -> Result<Done, Refused> {
    world.read(|state| {
        let vault = state.vault(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
        match route.operation {
            Operation::ListKeys => page(request, list_keys(vault)),
            Operation::ListDeleted => {
                page(request, vault.deleted_keys.values().map(|d| deleted_item(vault, d)).collect())
            }
            Operation::ListVersions => page(request, list_versions(vault, route)?),
            _ => one(vault, route),
        }
    })
}

fn one(vault: &Vault, route: &Route) -> Result<Done, Refused> {
    let key = route.key.as_deref().and_then(|k| vault.key(k)).ok_or(VaultRefusal::KeyNotFound)?;
    let version = key.version(&route.version).ok_or(VaultRefusal::KeyNotFound)?;
    let bundle = version.bundle(&vault.kid(&key.name, &version.id), vault.deletion.recovery());
    Ok(Done { status: 200, body: Some(bundle), version: Some(version.id.clone()) })
}

fn list_keys(vault: &Vault) -> Vec<Value> {
    let item = |key: &crate::keyvault::key::Key| {
        let kid = format!("https://{}/keys/{}", vault.host(), key.name);
        key.versions.last().map(|latest| latest.item(&kid, vault.deletion.recovery()))
    };
    vault.keys.values().filter_map(item).collect()
}

fn list_versions(vault: &Vault, route: &Route) -> Result<Vec<Value>, Refused> {
    let key = route.key.as_deref().and_then(|k| vault.key(k)).ok_or(VaultRefusal::KeyNotFound)?;
    // By id: the real service promises no order, and a client that believes in one should find out here.
    let mut versions: Vec<_> = key.versions.iter().collect();
    versions.sort_by(|a, b| a.id.cmp(&b.id));
    let recovery = vault.deletion.recovery();
    Ok(versions.into_iter().map(|v| v.item(&vault.kid(&key.name, &v.id), recovery)).collect())
}

fn page(request: &Request, items: Vec<Value>) -> Result<Done, Refused> {
    let size = match request.query.get("maxresults") {
        None => LARGEST_PAGE,
        Some(text) => match text.parse::<usize>() {
            Ok(size) if (1..=LARGEST_PAGE).contains(&size) => size,
            _ => return Err(Refused::bad("maxresults must be from 1 to 25.")),
        },
    };
    let skip = match request.query.get("$skiptoken") {
        None => 0,
        Some(text) => text.parse().map_err(|_| Refused::bad("The skip token is not valid."))?,
    };
    let more = items.len() > skip + size;
    let value: Vec<Value> = items.into_iter().skip(skip).take(size).collect();
    let next = more.then(|| {
        let version = request.query.get("api-version").map(String::as_str).unwrap_or_default();
        format!(
            "https://{}{}?api-version={version}&$skiptoken={}&maxresults={size}",
            request.authority,
            request.path,
            skip + size
        )
    });
    Ok(Done::ok(json!({"value": value, "nextLink": next})))
}
