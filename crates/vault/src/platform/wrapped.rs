//! A root whose keys are wrapped by an RSA key in the platform's own vault: the file alone opens nothing.

use std::{path::Path, time::Duration};

use domain::{Entropy, PlatformKeyId, entropy::random};
use secmem::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    PlatformRoot, ROOT_KEY_LEN, RootRefused,
    file::{self, Entry, RootFile},
};
use crate::{CustomerKeys, KeyRef, PAYLOAD_LEN};

/// First byte of what the vault wraps; a data key's payload begins with 1.
const PAYLOAD_VERSION: u8 = 2;

impl PlatformRoot {
    /// Creates a root as [`init_file`](Self::init_file) does, its key wrapped by the newest version of `at`. The vault has
    /// unwrapped it once before the file is written.
    ///
    /// # Errors
    /// [`RootRefused`].
    pub async fn init_wrapped(
        path: &Path,
        vault: &dyn CustomerKeys,
        at: &KeyRef,
        entropy: &dyn Entropy,
        deadline: Duration,
    ) -> Result<Self, RootRefused> {
        let cluster = random(entropy);
        let entry = new_entry(&cluster, vault, at, entropy, deadline).await?;
        let root = RootFile { cluster, primary: entry.id(), entries: vec![entry] };
        file::create(path, &root, entropy)?;
        Self::open_wrapped(path, vault, at, deadline).await
    }

    /// As [`add_key`](Self::add_key), the new key wrapped by the newest version of `at`, and unwrapped once before the file is
    /// written.
    ///
    /// # Errors
    /// [`RootRefused`].
    pub async fn add_key_wrapped(
        path: &Path,
        vault: &dyn CustomerKeys,
        at: &KeyRef,
        entropy: &dyn Entropy,
        deadline: Duration,
    ) -> Result<PlatformKeyId, RootRefused> {
        // All of it opens, or nothing is added.
        Self::open_wrapped(path, vault, at, deadline).await?;
        let cluster = file::read(path)?.cluster;
        let entry = new_entry(&cluster, vault, at, entropy, deadline).await?;
        super::rotate::add(path, entry, entropy)
    }

    /// Opens a root whose keys are wrapped by the key `at`, each by the version that wrapped it.
    ///
    /// # Errors
    /// [`RootRefused`].
    pub async fn open_wrapped(
        path: &Path,
        vault: &dyn CustomerKeys,
        at: &KeyRef,
        deadline: Duration,
    ) -> Result<Self, RootRefused> {
        let file = file::read(path)?;
        let mut secrets = Vec::with_capacity(file.entries.len());
        for entry in file.entries {
            let Entry::Wrapped { id, kid, blob } = entry else { return Err(RootRefused::NotWrapped) };
            if *kid.key() != at.location {
                return Err(RootRefused::WrappedByAnother);
            }
            let payload = vault.unwrap(at, kid.version(), &blob, deadline).await?.payload;
            secrets.push((id, secret_of(&payload, &file.cluster, id)?));
        }
        Self::derive(file.cluster, file.primary, &secrets)
    }
}

/// A new key, wrapped by the newest version of `at` and unwrapped once.
async fn new_entry(
    cluster: &[u8; 16],
    vault: &dyn CustomerKeys,
    at: &KeyRef,
    entropy: &dyn Entropy,
    deadline: Duration,
) -> Result<Entry, RootRefused> {
    let described = vault.describe(at, None, deadline).await?;
    described.check_suitable().map_err(RootRefused::KeyUnsuitable)?;
    let id = PlatformKeyId::from_bytes(random(entropy));
    let secret: Secret<ROOT_KEY_LEN> = Secret::fill(|out| entropy.fill(out))?;
    let payload = payload(cluster, id, &secret)?;
    let wrapped = vault.wrap(at, described.kid.version(), &payload, deadline).await?;
    let again = vault.unwrap(at, described.kid.version(), &wrapped.blob, deadline).await?.payload;
    if !bool::from(payload.expose(|payload| again.expose(|again| payload.ct_eq(again)))) {
        return Err(RootRefused::NotThisKey);
    }
    Ok(Entry::Wrapped { id, kid: wrapped.version, blob: wrapped.blob })
}

/// Cluster and key id: who holds the public half of the vault's key could otherwise put another root in the file.
fn identity(cluster: &[u8; 16], id: PlatformKeyId) -> [u8; 32] {
    Sha256::new().chain_update(b"byokd/root/v1\0").chain_update(cluster).chain_update(id.as_bytes()).finalize().into()
}

/// `02 ‖ root key 32 ‖ SHA-256(identity)`.
fn payload(
    cluster: &[u8; 16],
    id: PlatformKeyId,
    secret: &Secret<ROOT_KEY_LEN>,
) -> Result<Secret<PAYLOAD_LEN>, RootRefused> {
    Ok(Secret::fill(|out: &mut [u8; PAYLOAD_LEN]| {
        out[0] = PAYLOAD_VERSION;
        secret.expose(|secret| out[1..33].copy_from_slice(secret));
        out[33..].copy_from_slice(&identity(cluster, id));
    })?)
}

fn secret_of(
    payload: &Secret<PAYLOAD_LEN>,
    cluster: &[u8; 16],
    id: PlatformKeyId,
) -> Result<Secret<ROOT_KEY_LEN>, RootRefused> {
    payload.expose(|payload| {
        let fits = payload[0].ct_eq(&PAYLOAD_VERSION) & payload[33..].ct_eq(&identity(cluster, id));
        if !bool::from(fits) {
            return Err(RootRefused::NotThisKey);
        }
        Ok(Secret::fill(|out: &mut [u8; ROOT_KEY_LEN]| out.copy_from_slice(&payload[1..33]))?)
    })
}
