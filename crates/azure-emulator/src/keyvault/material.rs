//! How a new key version comes about: real RSA generation, off the async threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::keyvault::key::{KeyOperation, KeyVersion};
use crate::keyvault::refusal::{Refused, VaultRefusal};
use crate::rsa_key::{Bits, RsaKey};
use crate::world::World;

/// A fresh, enabled version without dates or tags.
pub(crate) async fn new_version(
    world: &World,
    bits: Bits,
    hsm: bool,
    key_ops: Vec<KeyOperation>,
) -> Result<KeyVersion, Refused> {
    let generated = tokio::task::spawn_blocking(move || RsaKey::generate(bits)).await;
    let material = match generated {
        Ok(Ok(key)) => Arc::new(key),
        Ok(Err(_)) | Err(_) => return Err(VaultRefusal::InternalError.into()),
    };
    Ok(version_of(world, material, hsm, key_ops))
}

pub(crate) fn version_of(world: &World, material: Arc<RsaKey>, hsm: bool, key_ops: Vec<KeyOperation>) -> KeyVersion {
    let now = world.seconds();
    KeyVersion {
        id: world.random.version(),
        bits: material.bits(),
        hsm,
        key_ops,
        enabled: true,
        nbf: None,
        exp: None,
        created: now,
        updated: now,
        tags: BTreeMap::new(),
        exportable: false,
        managed: false,
        release_policy: None,
        material: Some(material),
    }
}
