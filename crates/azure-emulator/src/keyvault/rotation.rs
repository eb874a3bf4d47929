//! Rotating a key, and its rotation policy. The policy is kept and shown; nothing rotates by itself.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::exchange::Request;
use crate::keyvault::Done;
use crate::keyvault::material::new_version;
use crate::keyvault::refusal::{Refused, VaultRefusal};
use crate::keyvault::route::Route;
use crate::keyvault::write::{parse, put_version};
use crate::operation::Operation;
use crate::world::World;

const SHORTEST_EXPIRY_DAYS: i64 = 28;
const DAY: i64 = 86_400;

pub(super) async fn perform(world: &Arc<World>, request: &Request, route: &Route) -> Result<Done, Refused> {
    let name = route.key.as_deref().unwrap_or_default();
    match route.operation {
        Operation::GetRotationPolicy => world.read(|state| {
            let vault = state.vault(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
            let key = vault.key(name).ok_or(VaultRefusal::KeyNotFound)?;
            let id = format!("https://{}/keys/{}/rotationpolicy", vault.host(), key.name);
            Ok(Done::ok(key.rotation.clone().unwrap_or_else(|| unset(&id))))
        }),
        Operation::PutRotationPolicy => put_policy(world, request, name),
        _ => rotate(world, &request.host, name).await,
    }
}

/// A new version with new key material; size, operations and tags are those of the newest one.
pub(crate) async fn rotate(world: &World, host: &str, name: &str) -> Result<Done, Refused> {
    let (latest, policy) = world.read(|state| {
        let vault = state.vault(host).ok_or(VaultRefusal::VaultDeleted)?;
        let key = vault.key(name).ok_or(VaultRefusal::KeyNotFound)?;
        let latest = key.version("").ok_or(VaultRefusal::KeyNotFound)?;
        Ok::<_, Refused>((latest.clone(), key.rotation.clone()))
    })?;
    if latest.managed {
        return Err(Refused::bad("The key is managed by a certificate."));
    }
    let mut version = new_version(world, latest.bits, latest.hsm, latest.key_ops.clone()).await?;
    version.tags = latest.tags.clone();
    version.exportable = latest.exportable;
    version.release_policy = latest.release_policy.clone();
    let expiry = policy.as_ref().and_then(|p| p["attributes"]["expiryTime"].as_str()).and_then(days_of);
    version.exp = expiry.map(|days| version.created + days * DAY);
    let id = version.id.clone();
    world.change(|state| {
        let vault = state.vault_mut(host).ok_or(VaultRefusal::VaultDeleted)?;
        let shown = vault.key(name).ok_or(VaultRefusal::KeyNotFound)?.name.clone();
        let bundle = put_version(vault, &shown, version);
        Ok(Done { status: 200, body: Some(bundle), version: Some(id) })
    })
}

fn unset(id: &str) -> Value {
    let notify = json!({"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}});
    json!({"id": id, "lifetimeActions": [notify], "attributes": {}})
}

#[derive(Deserialize)]
struct Policy {
    #[serde(rename = "lifetimeActions", default)]
    actions: Vec<LifetimeAction>,
    #[serde(default)]
    attributes: PolicyAttributes,
}

#[derive(Deserialize, Default)]
struct PolicyAttributes {
    #[serde(rename = "expiryTime")]
    expiry: Option<String>,
}

#[derive(Deserialize)]
struct LifetimeAction {
    trigger: Trigger,
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    time_after_create: Option<String>,
    time_before_expiry: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
}

fn put_policy(world: &World, request: &Request, name: &str) -> Result<Done, Refused> {
    let asked: Policy = parse(request)?;
    let mut actions = Vec::new();
    for LifetimeAction { trigger, action } in &asked.actions {
        let kind = match action.kind.to_ascii_lowercase().as_str() {
            "rotate" => "Rotate",
            "notify" => "Notify",
            other => return Err(Refused::bad(format!("The action {other} is neither Rotate nor Notify."))),
        };
        let trigger = match (&trigger.time_after_create, &trigger.time_before_expiry) {
            (Some(after), None) if days_of(after).is_some() => json!({"timeAfterCreate": after}),
            (None, Some(before)) if days_of(before).is_some() => json!({"timeBeforeExpiry": before}),
            _ => return Err(Refused::bad("A trigger needs one ISO 8601 duration in years, months or days.")),
        };
        actions.push(json!({"trigger": trigger, "action": {"type": kind}}));
    }
    let expiry = asked.attributes.expiry.filter(|e| !e.is_empty());
    if let Some(expiry) = &expiry
        && days_of(expiry).is_none_or(|days| days < SHORTEST_EXPIRY_DAYS)
    {
        return Err(Refused::bad("The expiry time must be an ISO 8601 duration of at least 28 days."));
    }
    let now = world.seconds();
    world.change(|state| {
        let vault = state.vault_mut(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
        let host = vault.host();
        let key = vault.key_mut(name).ok_or(VaultRefusal::KeyNotFound)?;
        let created = key.rotation.as_ref().and_then(|p| p["attributes"]["created"].as_i64()).unwrap_or(now);
        let policy = json!({
            "id": format!("https://{host}/keys/{}/rotationpolicy", key.name),
            "lifetimeActions": actions,
            "attributes": {"expiryTime": expiry, "created": created, "updated": now},
        });
        key.rotation = Some(policy.clone());
        Ok(Done::ok(policy))
    })
}

/// Days of an ISO 8601 duration of years, months, weeks and days (`P1Y`, `P18M`, `P90D`), counting a month as 30.
fn days_of(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('P')?;
    let mut days = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b'Y' => 365,
            b'M' => 30,
            b'W' => 7,
            b'D' => 1,
            _ => return None,
        };
        days = Some(days.unwrap_or(0) + number.checked_mul(unit)?);
        rest = &rest[digits + 1..];
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations are ISO 8601 with whole years, months, weeks and days.
    #[test]
    fn durations_are_read_as_iso_8601() {
        for (text, days) in [("P28D", Some(28)), ("P1Y2M3D", Some(428)), ("P2W", Some(14)), ("P", None)] {
            assert_eq!(days_of(text), days, "{text}");
        }
        for bad in ["28D", "PD", "P1H", "P1", "P-1D", "P1.5D", "P99999999999999999999D"] {
            assert_eq!(days_of(bad), None, "{bad}");
        }
    }
}
