//! Whether a request gets into a vault: token, network, permission, rate, in the order the real service asks.

use std::sync::PoisonError;

use serde_json::Value;

use crate::exchange::Request;
use crate::jwt;
use crate::keyvault::access::{AccessModel, data_action, policy_admits, role_admits};
use crate::keyvault::refusal::{Circumstances, Refused, VaultRefusal};
use crate::keyvault::route::Route;
use crate::keyvault::vault::Vault;
use crate::limits::weight;
use crate::world::World;

/// Who asks, as their token says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    pub(crate) object_id: String,
    client_id: String,
    issuer: String,
}

impl Caller {
    /// What the token claims, for the messages of refusals; `verify` decides whether it is true.
    pub(crate) fn claimed(claims: &Value) -> Self {
        let text = |claim: &str| claims[claim].as_str().unwrap_or_default().to_owned();
        Self { object_id: text("oid"), client_id: text("appid"), issuer: text("iss") }
    }

    fn quoted(&self) -> String {
        format!("appid={};oid={};iss={}", self.client_id, self.object_id, self.issuer)
    }
}

/// The claims of a token that our directory signed for this vault's audience and tenant, and that is in its time.
pub(crate) fn verify(world: &World, token: &str, audience: &str, issuer: &str) -> Result<Caller, Refused> {
    let invalid = |why: &str| Refused::with(VaultRefusal::TokenInvalid, why);
    let claims = world.signer.open(token).ok_or_else(|| invalid("IDX10500: signature validation failed"))?;
    let now = world.seconds();
    if jwt::seconds(&claims, "exp").is_none_or(|exp| now >= exp) {
        return Err(invalid("IDX10223: lifetime validation failed: the token is expired"));
    }
    if jwt::seconds(&claims, "nbf").is_some_and(|nbf| now < nbf) {
        return Err(invalid("IDX10222: lifetime validation failed: the token is not yet valid"));
    }
    let found = claims["aud"].as_str().unwrap_or_default();
    if found.trim_end_matches('/') != audience {
        return Err(Refused::with(VaultRefusal::WrongAudience, found));
    }
    let caller = Caller::claimed(&claims);
    if caller.issuer != issuer {
        return Err(Refused::with(VaultRefusal::WrongTenant, caller.issuer));
    }
    Ok(caller)
}

/// `WWW-Authenticate` of every 401.
pub(crate) fn challenge(login_host: &str, tenant: &str, resource: &str) -> String {
    format!("Bearer authorization=\"https://{login_host}/{tenant}\", resource=\"{resource}\"")
}

pub(crate) fn check_network(vault: &Vault, request: &Request) -> Result<(), Refused> {
    let network = &vault.network;
    if request.private && network.private_endpoint {
        return Ok(());
    }
    if !network.public_access {
        return Err(VaultRefusal::PublicAccessOff.into());
    }
    if network.firewall && !network.allows(request.from) {
        return Err(VaultRefusal::Firewall.into());
    }
    Ok(())
}

pub(crate) fn check_permission(vault: &Vault, caller: &Caller, route: &Route) -> Result<(), Refused> {
    let (model, who) = (vault.model, caller.object_id.as_str());
    let (admitted, refusal) = match model {
        AccessModel::Rbac => {
            let admitted = role_admits(&vault.assignments, who, route.operation, route.key.as_deref());
            (admitted, VaultRefusal::NoRole)
        }
        AccessModel::Policies => (policy_admits(&vault.policies, who, route.operation), VaultRefusal::NoAccessPolicy),
    };
    if admitted { Ok(()) } else { Err(refusal.into()) }
}

/// Counts the request against the vault's and the subscription's limits.
pub(crate) fn check_rate(world: &World, vault: &Vault, subscription: &str, route: &Route) -> Result<(), Refused> {
    let kind = if route.operation.uses_the_key() { "keys" } else { "other" };
    let limit = if kind == "keys" { vault.limits.key_units } else { vault.limits.other };
    let Some(limit) = limit else { return Ok(()) };
    let version = route.key.as_deref().and_then(|k| vault.key(k)).and_then(|k| k.version(&route.version));
    let weight = match version {
        Some(version) if kind == "keys" => weight(version.bits, version.hsm),
        _ => 1,
    };
    let now = world.micros();
    let mut usage = world.usage.lock().unwrap_or_else(PoisonError::into_inner);
    let mut admit =
        |place: &str, limit: u32| usage.entry(format!("{kind} {place}")).or_default().admit(now, weight, limit);
    let admitted = admit(&vault.host(), limit).and_then(|()| admit(subscription, limit.saturating_mul(5)));
    admitted.map_err(|seconds| {
        let with = vault.limits.retry_after;
        let refusal = if with { VaultRefusal::Throttled } else { VaultRefusal::ThrottledWithoutRetryAfter };
        Refused { refusal, detail: None, retry_after: with.then_some(seconds) }
    })
}

/// What a refusal's message mentions.
pub(crate) fn circumstances(
    vault: &Vault,
    subscription: &str,
    issuer: &str,
    route: &Route,
    caller: &Caller,
    request: &Request,
) -> Circumstances {
    let key = route.key.clone().unwrap_or_default();
    let named = if route.version.is_empty() { key.clone() } else { format!("{key}/{}", route.version) };
    let scope = match &route.key {
        Some(key) => format!("/keys/{}", key.to_ascii_lowercase()),
        None => String::new(),
    };
    Circumstances {
        vault: vault.name.clone(),
        audience: vault.cloud.vault_audience(),
        issuer: issuer.to_owned(),
        key: named,
        operation: route.operation.vault_name(),
        action: format!("Microsoft.KeyVault/vaults/{}", data_action(route.operation)),
        caller: caller.quoted(),
        address: request.from.to_string(),
        resource: format!(
            "/subscriptions/{subscription}/resourcegroups/emulated/providers/microsoft.keyvault/vaults/{}{scope}",
            vault.name.to_ascii_lowercase()
        ),
        detail: None,
    }
}
