//! Making and changing keys: create, import, update.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exchange::Request;
use crate::jwt::from_b64;
use crate::keyvault::Done;
use crate::keyvault::key::{Key, KeyOperation, KeyVersion};
use crate::keyvault::material::{new_version, version_of};
use crate::keyvault::refusal::{Refused, VaultRefusal};
use crate::keyvault::route::Route;
use crate::keyvault::vault::{Sku, Vault};
use crate::operation::Operation;
use crate::rsa_key::{Bits, Parts, RsaKey};
use crate::world::World;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Create {
    kty: String,
    key_size: Option<u32>,
    key_ops: Option<Vec<KeyOperation>>,
    public_exponent: Option<u32>,
    attributes: Attributes,
    tags: BTreeMap<String, String>,
    release_policy: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributes {
    enabled: Option<bool>,
    nbf: Option<i64>,
    exp: Option<i64>,
    exportable: Option<bool>,
}

#[derive(Deserialize)]
struct Import {
    key: WebKey,
    #[serde(rename = "Hsm", default)]
    hsm: bool,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct WebKey {
    kty: String,
    key_ops: Option<Vec<KeyOperation>>,
    #[serde(flatten)]
    parts: BTreeMap<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Update {
    key_ops: Option<Vec<KeyOperation>>,
    attributes: Attributes,
    tags: Option<BTreeMap<String, String>>,
}

pub(super) async fn perform(world: &Arc<World>, request: &Request, route: &Route) -> Result<Done, Refused> {
    let name = route.key.as_deref().unwrap_or_default();
    if !is_key_name(name) {
        return Err(Refused::bad(format!("The request URI contains an invalid name: {name}")));
    }
    if route.operation == Operation::Update {
        return update(world, request, route, name);
    }
    // Asked before the costly part, and again when the key is put in place.
    world.read(|state| {
        let vault = state.vault(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
        check_name_is_free(vault, name)
    })?;
    let version = match route.operation {
        Operation::Import => import(world, request)?,
        _ => create(world, request).await?,
    };
    if version.hsm {
        let premium = world.read(|s| s.vault(&request.host).is_some_and(|v| v.sku == Sku::Premium));
        if !premium {
            return Err(Refused::bad("Keys in an HSM need a vault of the premium SKU."));
        }
    }
    world.change(|state| {
        let vault = state.vault_mut(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
        check_name_is_free(vault, name)?;
        Ok(Done::ok(put_version(vault, name, version)))
    })
}

fn check_name_is_free(vault: &Vault, name: &str) -> Result<(), Refused> {
    if vault.deleted_keys.contains_key(&name.to_ascii_lowercase()) {
        return Err(VaultRefusal::NameIsDeleted.into());
    }
    Ok(())
}

/// Adds a version as the newest and answers its bundle.
pub(crate) fn put_version(vault: &mut Vault, name: &str, version: KeyVersion) -> Value {
    let new = || Key { name: name.to_owned(), versions: Vec::new(), rotation: None };
    let key = vault.keys.entry(name.to_ascii_lowercase()).or_insert_with(new);
    let (shown, id) = (key.name.clone(), version.id.clone());
    key.versions.push(version.clone());
    let kid = vault.kid(&shown, &id);
    version.bundle(&kid, vault.deletion.recovery())
}

async fn create(world: &World, request: &Request) -> Result<KeyVersion, Refused> {
    let asked: Create = parse(request)?;
    let hsm = match asked.kty.as_str() {
        "RSA" => false,
        "RSA-HSM" => true,
        other => return Err(Refused::bad(format!("The key type {other} is not one this emulator makes."))),
    };
    if asked.public_exponent.is_some_and(|e| e != 65_537) {
        return Err(Refused::bad("The public exponent must be 65537."));
    }
    let bits = Bits::try_from(asked.key_size.unwrap_or(2048)).map_err(Refused::bad)?;
    let ops = asked.key_ops.unwrap_or_else(|| KeyOperation::DEFAULT.to_vec());
    let mut version = new_version(world, bits, hsm, ops).await?;
    apply(&mut version, &asked.attributes)?;
    version.tags = asked.tags;
    version.release_policy = asked.release_policy;
    Ok(version)
}

fn import(world: &World, request: &Request) -> Result<KeyVersion, Refused> {
    let asked: Import = parse(request)?;
    if !matches!(asked.key.kty.as_str(), "RSA" | "RSA-HSM") {
        return Err(Refused::bad(format!("The key type {} is not one this emulator takes.", asked.key.kty)));
    }
    let part = |name: &str| {
        let text = asked.key.parts.get(name).and_then(Value::as_str);
        text.and_then(from_b64).ok_or_else(|| Refused::bad(format!("Property {name} of the key is missing.")))
    };
    let parts = Parts {
        n: part("n")?,
        e: part("e")?,
        d: part("d")?,
        p: part("p")?,
        q: part("q")?,
        dp: part("dp")?,
        dq: part("dq")?,
        qi: part("qi")?,
    };
    let key = RsaKey::import(&parts).map_err(|e| Refused::bad(e.to_string()))?;
    let hsm = asked.hsm || asked.key.kty == "RSA-HSM";
    let ops = asked.key.key_ops.unwrap_or_else(|| KeyOperation::DEFAULT.to_vec());
    let mut version = version_of(world, Arc::new(key), hsm, ops);
    apply(&mut version, &asked.attributes)?;
    version.tags = asked.tags;
    Ok(version)
}

fn update(world: &World, request: &Request, route: &Route, name: &str) -> Result<Done, Refused> {
    let asked: Update = parse(request)?;
    let now = world.seconds();
    world.change(|state| {
        let vault = state.vault_mut(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
        let (recovery, host) = (vault.deletion.recovery(), vault.host());
        let key = vault.key_mut(name).ok_or(VaultRefusal::KeyNotFound)?;
        let shown = key.name.clone();
        let version = key.version_mut(&route.version).ok_or(VaultRefusal::KeyNotFound)?;
        if version.managed {
            return Err(Refused::bad("The key is managed by a certificate."));
        }
        let mut changed = version.clone();
        apply(&mut changed, &asked.attributes)?;
        if let Some(ops) = asked.key_ops {
            changed.key_ops = ops;
        }
        if let Some(tags) = asked.tags {
            changed.tags = tags;
        }
        changed.updated = now;
        *version = changed;
        let bundle = version.bundle(&format!("https://{host}/keys/{shown}/{}", version.id), recovery);
        Ok(Done { status: 200, body: Some(bundle), version: Some(version.id.clone()) })
    })
}

fn apply(version: &mut KeyVersion, asked: &Attributes) -> Result<(), Refused> {
    version.enabled = asked.enabled.unwrap_or(version.enabled);
    version.nbf = asked.nbf.or(version.nbf);
    version.exp = asked.exp.or(version.exp);
    version.exportable = asked.exportable.unwrap_or(version.exportable);
    match (version.nbf, version.exp) {
        (Some(nbf), Some(exp)) if nbf >= exp => Err(Refused::bad("The key's nbf must be before its exp.")),
        _ => Ok(()),
    }
}

pub(super) fn parse<T: DeserializeOwned>(request: &Request) -> Result<T, Refused> {
    serde_json::from_slice(&request.body).map_err(|e| Refused::bad(format!("The request body is not valid: {e}")))
}

/// 1 to 127 letters, digits and dashes.
pub(crate) fn is_key_name(name: &str) -> bool {
    (1..=127).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
