//! The platform's own root key: what protects everything that is not under a customer key, and authenticates the database.
//!
//! The root is a file of several keys with one primary. Nothing uses a root key itself: HKDF-SHA-256 derives one key for
//! each purpose from it, salted with the cluster's id, so that two clusters never share a key and no purpose can be played
//! against another. Losing the file would make every row unverifiable, so it is backed up apart from the database.

mod derive;
mod file;
mod refused;
mod rotate;
mod sealed;
mod wrapped;

use std::{path::Path, sync::Arc};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use domain::{Entropy, PlatformKeyId, row_seal::RowSeal};
use secmem::Secret;
use zeroize::Zeroizing;

use self::{
    derive::{DerivedKeys, RowKeys, Sealing},
    file::{Entry, RootFile},
    sealed::Purpose,
};
pub use self::{
    refused::RootRefused,
    sealed::{NotOpened, SEALED_OVERHEAD},
};
use crate::PAYLOAD_LEN;

/// One root key's length in bytes.
pub(crate) const ROOT_KEY_LEN: usize = 32;

/// The platform root, opened.
pub struct PlatformRoot {
    cluster: [u8; 16],
    primary: PlatformKeyId,
    /// In the order in which they were added; never empty, and the primary is among them.
    keys: Arc<[DerivedKeys]>,
}

impl PlatformRoot {
    /// Creates a root with one new key and a new cluster id, readable by its owner only, and opens it. The file appears
    /// whole or not at all, and is on the disk when this returns.
    ///
    /// # Errors
    /// [`RootRefused`]; an existing file is never touched.
    pub fn init_file(path: &Path, entropy: &dyn Entropy) -> Result<Self, RootRefused> {
        let cluster = domain::entropy::random(entropy);
        let id = PlatformKeyId::from_bytes(domain::entropy::random(entropy));
        let secret = Secret::fill(|out| entropy.fill(out))?;
        let file = RootFile { cluster, primary: id, entries: vec![Entry::Plain { id, secret }] };
        file::create(path, &file, entropy)?;
        Self::open_file(path)
    }

    /// Opens a root whose keys stand in the file.
    ///
    /// # Errors
    /// [`RootRefused`], each with its next step: not there, not a plain file, not ours, readable by others, truncated,
    /// damaged, of another version, or wrapped by a vault.
    pub fn open_file(path: &Path) -> Result<Self, RootRefused> {
        let file = file::read(path)?;
        let plain = |entry| match entry {
            Entry::Plain { id, secret } => Ok((id, secret)),
            Entry::Wrapped { .. } => Err(RootRefused::Wrapped),
        };
        let secrets = file.entries.into_iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        Self::derive(file.cluster, file.primary, &secrets)
    }

    fn derive(
        cluster: [u8; 16],
        primary: PlatformKeyId,
        secrets: &[(PlatformKeyId, Secret<ROOT_KEY_LEN>)],
    ) -> Result<Self, RootRefused> {
        let derived = secrets.iter().map(|(id, secret)| DerivedKeys::from_root(&cluster, *id, secret));
        let keys: Vec<_> = derived.collect::<Result<_, _>>()?;
        // The file's reader has checked that the primary is one of its keys.
        Ok(Self { cluster, primary, keys: keys.into() })
    }

    /// The cluster this root belongs to.
    pub fn cluster_id(&self) -> [u8; 16] {
        self.cluster
    }

    /// The key that seals from now on; the others only open.
    pub fn primary(&self) -> PlatformKeyId {
        self.primary
    }

    /// What a database keeps to recognise its root: 16 bytes derived from the oldest key, which tell nothing about it. It
    /// stays as it is when a key is added or made primary.
    pub fn check_value(&self) -> [u8; 16] {
        self.keys[0].check_value
    }

    /// Authenticates rows with this root's keys.
    pub fn row_seal(&self) -> Arc<dyn RowSeal> {
        Arc::new(RowKeys { what: Sealing::Rows, primary: self.primary, keys: Arc::clone(&self.keys) })
    }

    /// Authenticates the head that stands outside of the database.
    pub fn head_seal(&self) -> Arc<dyn RowSeal> {
        Arc::new(RowKeys { what: Sealing::Heads, primary: self.primary, keys: Arc::clone(&self.keys) })
    }

    /// The check values of all keys, as [`check_value`](Self::check_value) is the oldest's: a database is recognised by any.
    pub fn check_values(&self) -> Vec<[u8; 16]> {
        self.keys.iter().map(|key| key.check_value).collect()
    }

    /// The primary's check value: a database is recognised by it once all of its rows are under the primary.
    pub fn primary_check_value(&self) -> [u8; 16] {
        self.primary_key().check_value
    }

    /// Every key's id, in the order they were added, with the public half of the key by which it signs checkpoints.
    pub fn keys(&self) -> Vec<(PlatformKeyId, [u8; 32])> {
        self.keys.iter().map(|key| (key.id, public_half(&key.checkpoint_key()))).collect()
    }

    /// What a key's owner sets as a tag to prove the key theirs: 128 bits that follow from `of` and this root, and that
    /// nobody else can make. The primary's, which is what people are shown, comes first; the others' still count.
    pub fn ownership_nonces(&self, of: &[u8]) -> Vec<[u8; 16]> {
        let others = self.keys.iter().filter(|key| key.id != self.primary);
        std::iter::once(self.primary_key()).chain(others).map(|key| key.ownership_nonce(of)).collect()
    }

    /// The public half of the key that signs checkpoints of the ledger: it follows from the primary.
    pub fn checkpoint_key(&self) -> [u8; 32] {
        public_half(&self.primary_key().checkpoint_key())
    }

    /// Signs a checkpoint's bytes, and says with which key. Ed25519.
    pub fn sign_checkpoint(&self, bytes: &[u8]) -> ([u8; 32], [u8; 64]) {
        let pair = self.primary_key().checkpoint_key();
        let signature = pair.sign(bytes);
        (public_half(&pair), signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes"))
    }

    /// Wraps a data key's payload with the primary, bound to `aad`.
    pub fn wrap(&self, payload: &Secret<PAYLOAD_LEN>, aad: &[u8], entropy: &dyn Entropy) -> (PlatformKeyId, Vec<u8>) {
        let key = self.primary_key();
        (key.id, sealed::wrap(key, payload, aad, entropy))
    }

    /// Unwraps what [`wrap`](Self::wrap) made with the key `id` and the same `aad`.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn unwrap(&self, id: PlatformKeyId, blob: &[u8], aad: &[u8]) -> Result<Secret<PAYLOAD_LEN>, NotOpened> {
        sealed::unwrap(self.key(id)?, blob, aad)
    }

    /// Seals a stored blob with the primary, bound to `aad`: the second layer, so that a leaked database alone opens
    /// nothing, not even to who has the vault. [`SEALED_OVERHEAD`] bytes longer; it names its key.
    pub fn seal_blob(&self, blob: &[u8], aad: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        sealed::seal_blob(self.primary_key(), blob, aad, entropy)
    }

    /// Opens what [`seal_blob`](Self::seal_blob) made with the same `aad`, by whichever key of the root it names.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open_blob(&self, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, NotOpened> {
        sealed::open_blob(self.key(sealed::key_of(sealed)?)?, sealed, aad)
    }

    /// Seals the secret part of a customer's credential with the primary, bound to `aad`. [`SEALED_OVERHEAD`] bytes longer; it
    /// names its key, so that it opens after another key became primary.
    pub fn seal_secret(&self, secret: &[u8], aad: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        sealed::seal_for(Purpose::Secret, self.primary_key(), secret, aad, entropy)
    }

    /// Opens what [`seal_secret`](Self::seal_secret) made with the same `aad`. What comes back is wiped when it goes.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open_secret(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let key = self.key(sealed::key_of(sealed)?)?;
        sealed::open_for(Purpose::Secret, key, sealed, aad).map(Zeroizing::new)
    }

    /// Seals a secret part again where it is not under the primary: `None` where it is. For when another key became primary.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn reseal_secret(
        &self,
        sealed: &[u8],
        aad: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Option<Vec<u8>>, NotOpened> {
        if sealed::key_of(sealed)? == self.primary {
            return Ok(None);
        }
        let secret = self.open_secret(sealed, aad)?;
        Ok(Some(self.seal_secret(&secret, aad, entropy)))
    }

    fn key(&self, id: PlatformKeyId) -> Result<&DerivedKeys, NotOpened> {
        self.keys.iter().find(|key| key.id == id).ok_or(NotOpened::KeyUnknown)
    }

    fn primary_key(&self) -> &DerivedKeys {
        self.keys
            .iter()
            .find(|key| key.id == self.primary)
            .expect("the file's reader checked that the primary is there")
    }
}

fn public_half(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
}

#[cfg(test)]
mod tests;
