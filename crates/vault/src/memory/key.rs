//! One RSA key in memory with its versions, and what it refuses.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{
        KeyPair, KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
        PrivateDecryptingKey,
    },
    signature::KeyPair as _,
};
use domain::{KeyLocation, KeyVersionId, Timestamp};
use secmem::Secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::trace;
use crate::{KeyDescription, KeyUnavailable, PAYLOAD_LEN, VersionListing, keys::thumbprint};

/// What a vault keeps beside the key material of one version.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// Whether it is enabled.
    pub enabled: bool,
    /// Before this it does not wrap.
    pub not_before: Option<Timestamp>,
    /// From this on it does not wrap.
    pub expires: Option<Timestamp>,
    /// What it permits.
    pub key_ops: Vec<String>,
    /// Whether it belongs to a certificate.
    pub managed: bool,
    /// Whether the private half may leave.
    pub exportable: bool,
    /// What happens on deletion.
    pub recovery_level: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

pub(super) struct Key {
    location: KeyLocation,
    versions: Vec<Version>,
    pub(super) deleted: bool,
}

struct Version {
    id: KeyVersionId,
    rsa: Arc<Rsa>,
    attributes: Attributes,
    created: Timestamp,
}

impl Key {
    pub(super) fn new(location: KeyLocation) -> Self {
        Self { location, versions: Vec::new(), deleted: false }
    }

    /// Adds a version with the process' `pair`th key pair, which no other version of the same provider may have.
    pub(super) fn add_version(&mut self, pair: usize, created: Timestamp) -> KeyVersionId {
        let number = self.versions.len();
        let digest = Sha256::digest(format!("{}#{number}", self.location));
        let id = KeyVersionId::from_bytes(digest[..16].try_into().expect("SHA-256 has 32 bytes"));
        let attributes = Attributes {
            enabled: true,
            not_before: None,
            expires: None,
            key_ops: vec!["wrapKey".into(), "unwrapKey".into()],
            managed: false,
            exportable: false,
            recovery_level: "Recoverable".into(),
            tags: BTreeMap::new(),
        };
        self.versions.push(Version { id, rsa: Rsa::pooled(pair), attributes, created });
        id
    }

    pub(super) fn version_count(&self) -> usize {
        self.versions.len()
    }

    pub(super) fn attributes_mut(&mut self, version: KeyVersionId) -> Option<&mut Attributes> {
        self.versions.iter_mut().find(|known| known.id == version).map(|known| &mut known.attributes)
    }

    fn version(&self, version: KeyVersionId) -> Result<&Version, KeyUnavailable> {
        self.versions.iter().find(|known| known.id == version).ok_or_else(|| KeyUnavailable::NotFound(trace()))
    }

    pub(super) fn describe(&self, version: Option<KeyVersionId>) -> Result<KeyDescription, KeyUnavailable> {
        let known = match version {
            Some(version) => self.version(version)?,
            None => self.versions.last().ok_or_else(|| KeyUnavailable::NotFound(trace()))?,
        };
        let Attributes { enabled, not_before, expires, key_ops, managed, exportable, recovery_level, tags } =
            known.attributes.clone();
        Ok(KeyDescription {
            kid: self.location.at(known.id),
            modulus: known.rsa.modulus.clone(),
            exponent: known.rsa.exponent.clone(),
            thumbprint: thumbprint(&known.rsa.modulus, &known.rsa.exponent),
            hsm: false,
            key_ops,
            enabled,
            not_before,
            expires,
            recovery_level: Some(recovery_level),
            exportable,
            managed,
            tags,
        })
    }

    pub(super) fn list(&self) -> Vec<VersionListing> {
        let listing = |known: &Version| VersionListing {
            version: known.id,
            enabled: known.attributes.enabled,
            not_before: known.attributes.not_before,
            expires: known.attributes.expires,
            created: Some(known.created),
            managed: known.attributes.managed,
        };
        self.versions.iter().map(listing).collect()
    }

    pub(super) fn wrap(
        &self,
        version: KeyVersionId,
        payload: &Secret<PAYLOAD_LEN>,
        now: Timestamp,
    ) -> Result<Vec<u8>, KeyUnavailable> {
        let known = self.permitting(version, "wrapKey")?;
        if known.attributes.expires.is_some_and(|expires| expires <= now) {
            return Err(KeyUnavailable::Expired(trace()));
        }
        if known.attributes.not_before.is_some_and(|from| now < from) {
            return Err(KeyUnavailable::NotYetValid(trace()));
        }
        payload.expose(|payload| known.rsa.wrap(payload))
    }

    pub(super) fn unwrap(&self, version: KeyVersionId, blob: &[u8]) -> Result<Secret<PAYLOAD_LEN>, KeyUnavailable> {
        // Dates do not matter here, as they do not in a real vault: an expired key still unwraps.
        self.permitting(version, "unwrapKey")?.rsa.unwrap(blob)
    }

    fn permitting(&self, version: KeyVersionId, operation: &str) -> Result<&Version, KeyUnavailable> {
        let known = self.version(version)?;
        if !known.attributes.enabled {
            return Err(KeyUnavailable::Disabled(trace()));
        }
        if !known.attributes.key_ops.iter().any(|permitted| permitted == operation) {
            return Err(KeyUnavailable::OperationForbidden(trace()));
        }
        Ok(known)
    }
}

struct Rsa {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    public: OaepPublicEncryptingKey,
    private: OaepPrivateDecryptingKey,
}

impl Rsa {
    /// The `n`th key pair of this process, made when it is first asked for: making one takes a tenth of a second, and a
    /// test suite would make thousands.
    fn pooled(n: usize) -> Arc<Self> {
        static POOL: Mutex<BTreeMap<usize, Arc<Rsa>>> = Mutex::new(BTreeMap::new());
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pool.entry(n).or_insert_with(|| Arc::new(Self::generate())))
    }

    fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("RSA 2048 is always available");
        let public = pair.public_key();
        let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
        let exponent = public.exponent().big_endian_without_leading_zero().to_vec();
        let der = pair.as_der().expect("a generated key has an encoding");
        let private = PrivateDecryptingKey::from_pkcs8(der.as_ref()).expect("its own encoding is read back");
        Self {
            modulus,
            exponent,
            public: OaepPublicEncryptingKey::new(private.public_key()).expect("RSA 2048 takes OAEP"),
            private: OaepPrivateDecryptingKey::new(private).expect("RSA 2048 takes OAEP"),
        }
    }

    fn wrap(&self, payload: &[u8]) -> Result<Vec<u8>, KeyUnavailable> {
        let mut blob = vec![0; self.public.ciphertext_size()];
        let len = self
            .public
            .encrypt(&OAEP_SHA256_MGF1SHA256, payload, &mut blob, None)
            .map_err(|_| KeyUnavailable::BadParameter(trace()))?
            .len();
        blob.truncate(len);
        Ok(blob)
    }

    fn unwrap(&self, blob: &[u8]) -> Result<Secret<PAYLOAD_LEN>, KeyUnavailable> {
        let mut room = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let payload = self
            .private
            .decrypt(&OAEP_SHA256_MGF1SHA256, blob, &mut room, None)
            .map_err(|_| KeyUnavailable::BadParameter(trace()))?;
        let Ok(payload) = <&[u8; PAYLOAD_LEN]>::try_from(&*payload) else {
            let fault = crate::AnswerFault::WrongLength;
            return Err(KeyUnavailable::AnswerInvalid { fault, trace: trace() });
        };
        Ok(Secret::fill(|out| out.copy_from_slice(payload))?)
    }
}
