//! Using a key: wrap, unwrap, encrypt, decrypt.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::exchange::Request;
use crate::given_out::GivenOut;
use crate::jwt::{b64, from_b64};
use crate::keyvault::Done;
use crate::keyvault::key::{KeyOperation, KeyVersion};
use crate::keyvault::refusal::{Refused, VaultRefusal};
use crate::keyvault::route::Route;
use crate::operation::Operation;
use crate::rsa_key::{Algorithm, Failed};
use crate::world::World;

#[derive(Deserialize)]
struct Parameters {
    alg: Option<String>,
    value: Option<String>,
}

pub(super) async fn perform(world: &Arc<World>, request: &Request, route: &Route) -> Result<Done, Refused> {
    let (version, kid, lenient) = world.read(|state| {
        let vault = state.vault(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
        let key = route.key.as_deref().and_then(|k| vault.key(k)).ok_or(VaultRefusal::KeyNotFound)?;
        let version = key.version(&route.version).ok_or(VaultRefusal::KeyNotFound)?;
        Ok::<_, Refused>((version.clone(), vault.kid(&key.name, &version.id), vault.disabled_still_wraps))
    })?;
    let seals = matches!(route.operation, Operation::WrapKey | Operation::Encrypt);
    check_usable(&version, route.operation, seals, lenient, world.seconds())?;

    let parameters: Parameters =
        serde_json::from_slice(&request.body).map_err(|_| Refused::bad("The request body is not valid JSON."))?;
    let algorithm = parameters.alg.ok_or_else(|| Refused::bad("Property alg is required."))?;
    let algorithm = Algorithm::parse(&algorithm)
        .ok_or_else(|| Refused::bad(format!("The algorithm {algorithm} is not supported for this key.")))?;
    let value = parameters.value.ok_or_else(|| Refused::bad("Property value is required."))?;
    let value = from_b64(&value).ok_or_else(|| Refused::bad("Property value is not base64url."))?;

    if seals {
        world.given_out.add(|| GivenOut::Unwrapped(value.clone()));
    }
    let material = version.material.clone().ok_or(VaultRefusal::InternalError)?;
    let work = move || if seals { material.encrypt(algorithm, &value) } else { material.decrypt(algorithm, &value) };
    // One private operation takes 0.6 to 4 ms: too long for a thread that answers others.
    let result = tokio::task::spawn_blocking(work).await.map_err(|_| VaultRefusal::InternalError)?;
    let bytes = result.map_err(|Failed| Refused::from(VaultRefusal::BadParameter))?;
    if !seals {
        world.given_out.add(|| GivenOut::Unwrapped(bytes.clone()));
    }
    let body = json!({"kid": kid, "value": b64(&bytes)});
    Ok(Done { status: 200, body: Some(body), version: Some(version.id) })
}

/// Dates stop wrapping and encrypting only: what is under an expired key can still be opened.
fn check_usable(
    version: &KeyVersion,
    operation: Operation,
    seals: bool,
    disabled_still_wraps: bool,
    now: i64,
) -> Result<(), Refused> {
    if !version.enabled && (!seals || !disabled_still_wraps) {
        return Err(VaultRefusal::KeyDisabled.into());
    }
    let permitted = KeyOperation::of(operation).is_some_and(|o| version.key_ops.contains(&o));
    if !permitted {
        return Err(VaultRefusal::KeyOperationForbidden.into());
    }
    if seals && version.exp.is_some_and(|exp| now >= exp) {
        return Err(VaultRefusal::KeyExpired.into());
    }
    if seals && version.nbf.is_some_and(|nbf| now < nbf) {
        return Err(VaultRefusal::KeyNotYetValid.into());
    }
    Ok(())
}
