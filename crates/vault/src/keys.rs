//! The seam to a provider of customer keys: what may be asked of one, and what it answers.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
    time::Duration,
};

use domain::{KeyLocation, KeyVersion, KeyVersionId, KeyVersionLocation, Reason, TenantId, Timestamp, WorkspaceId};
use secmem::Secret;
use sha2::{Digest, Sha256};

use crate::{Application, Approach, KeyUnavailable, Trace};

/// The bytes a vault wraps: version byte, data key, identity hash.
pub const PAYLOAD_LEN: usize = 65;

/// One provider of customer keys.
///
/// Every call has a deadline and does not outlive it. An implementation retries nothing by itself, except once with a
/// fresh token after a 401: how often and when to ask again is the caller's, who knows the lease.
#[async_trait::async_trait]
pub trait CustomerKeys: Send + Sync + 'static {
    /// The way to its vaults, for who tests a configuration.
    fn approach(&self) -> &dyn Approach;

    /// The public half and the attributes of one version, or of the newest.
    ///
    /// # Errors
    /// [`KeyUnavailable`]; [`NotRsa`](KeyUnavailable::NotRsa) for a key that cannot wrap at all.
    async fn describe(
        &self,
        at: &KeyRef,
        version: Option<KeyVersionId>,
        deadline: Duration,
    ) -> Result<KeyDescription, KeyUnavailable>;

    /// Asks the directory whether we are still admitted to the tenant, for a token that was issued now: one that is kept
    /// holds for an hour or more after a consent was withdrawn.
    ///
    /// # Errors
    /// [`KeyUnavailable`], of the directory's kinds.
    async fn prove_consent(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable>;

    /// All versions, in no promised order.
    ///
    /// # Errors
    /// [`KeyUnavailable`].
    async fn versions(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<VersionListing>, KeyUnavailable>;

    /// Wraps with exactly this version, in the vault, by RSA-OAEP-256.
    ///
    /// # Errors
    /// [`KeyUnavailable`]; [`AnswerInvalid`](KeyUnavailable::AnswerInvalid) when the answer names another version.
    async fn wrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        payload: &Secret<PAYLOAD_LEN>,
        deadline: Duration,
    ) -> Result<WrappedBlob, KeyUnavailable>;

    /// Unwraps with exactly this version. The content is the caller's to check.
    ///
    /// # Errors
    /// [`KeyUnavailable`]; [`AnswerInvalid`](KeyUnavailable::AnswerInvalid) when the answer names another version or has
    /// not [`PAYLOAD_LEN`] bytes.
    async fn unwrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        blob: &[u8],
        deadline: Duration,
    ) -> Result<Unwrapped, KeyUnavailable>;
}

/// A key, and the tenant whose directory is asked for the way to it. The tenant comes from the proven binding and from
/// nowhere else: never from a request, a challenge or a `kid`.
#[derive(Debug, Clone)]
pub struct KeyRef {
    /// The bound tenant.
    pub tenant: TenantId,
    /// Vault and key name.
    pub location: KeyLocation,
    /// The workspace whose call it is: a vault's private address is used only where it was approved for that one. None for the
    /// platform's own vault.
    pub workspace: Option<WorkspaceId>,
    /// As whom the directory and the vault are asked.
    pub as_whom: Application,
}

/// A key is the same key whoever asks for it.
impl PartialEq for KeyRef {
    fn eq(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.location == other.location
    }
}

impl Eq for KeyRef {}

impl Hash for KeyRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant.hash(state);
        self.location.hash(state);
    }
}

impl KeyRef {
    /// A key that is asked for as somebody, and by no workspace.
    pub fn new(tenant: TenantId, location: KeyLocation, as_whom: Application) -> Self {
        Self { tenant, location, workspace: None, as_whom }
    }

    /// A key that is asked for as the platform's own app, and by no workspace.
    pub fn of_platform(tenant: TenantId, location: KeyLocation) -> Self {
        Self::new(tenant, location, Application::Platform)
    }

    /// The same, asked for by a workspace.
    #[must_use]
    pub fn of(self, workspace: &WorkspaceId) -> Self {
        Self { workspace: Some(workspace.clone()), ..self }
    }
}

/// One version of a key as its vault describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    /// Which version this is.
    pub kid: KeyVersionLocation,
    /// The RSA modulus, big endian, no leading zero byte.
    pub modulus: Vec<u8>,
    /// The RSA public exponent, big endian, no leading zero byte.
    pub exponent: Vec<u8>,
    /// RFC 7638 thumbprint (SHA-256) of the public key.
    pub thumbprint: [u8; 32],
    /// Whether the key lives in an HSM (`RSA-HSM`).
    pub hsm: bool,
    /// What the key permits, as the vault names it.
    pub key_ops: Vec<String>,
    /// Whether the version is enabled.
    pub enabled: bool,
    /// Before this it does not wrap.
    pub not_before: Option<Timestamp>,
    /// From this on it does not wrap. It goes on unwrapping.
    pub expires: Option<Timestamp>,
    /// `recoveryLevel`, as the vault names it. With `Purgeable` in it, permanent loss is possible.
    pub recovery_level: Option<String>,
    /// Whether the private half may leave the vault, by its own attribute or by a release policy.
    pub exportable: bool,
    /// Whether it belongs to a certificate, and changes when that does.
    pub managed: bool,
    /// The key's tags.
    pub tags: BTreeMap<String, String>,
}

impl KeyDescription {
    /// Whether data keys may be put under this version.
    ///
    /// # Errors
    /// The reason why not, in the order in which a person would fix them.
    pub fn check_suitable(&self) -> Result<(), Reason> {
        let permits = |operation: &str| self.key_ops.iter().any(|permitted| permitted.eq_ignore_ascii_case(operation));
        if self.managed {
            return Err(Reason::KeyManaged);
        }
        if !matches!(self.modulus.len() * 8, 2048 | 3072 | 4096) || !permits("wrapKey") || !permits("unwrapKey") {
            return Err(Reason::KeyUnsuitable);
        }
        if !self.enabled {
            return Err(Reason::KeyDisabled);
        }
        Ok(())
    }

    /// What is recorded of this version when it is first seen.
    pub fn record(&self, workspace: &WorkspaceId, at: Timestamp) -> KeyVersion {
        KeyVersion {
            workspace: workspace.clone(),
            id: self.kid.version(),
            location: self.kid.clone(),
            modulus: self.modulus.clone(),
            exponent: self.exponent.clone(),
            thumbprint: self.thumbprint,
            hsm: self.hsm,
            recorded_at: at,
            tenant: None,
        }
    }
}

/// One version in a list. Lists have no public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionListing {
    /// The version.
    pub version: KeyVersionId,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Before this it does not wrap.
    pub not_before: Option<Timestamp>,
    /// From this on it does not wrap.
    pub expires: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it belongs to a certificate.
    pub managed: bool,
}

/// What a vault made of a payload.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedBlob {
    /// The version that wrapped it, by the vault's own answer.
    pub version: KeyVersionLocation,
    /// The wrapped bytes, as long as the modulus.
    pub blob: Vec<u8>,
    /// The ids of the call.
    pub trace: Trace,
}

/// What a vault made of a wrapped blob.
pub struct Unwrapped {
    /// The content, which is the caller's to check.
    pub payload: Secret<PAYLOAD_LEN>,
    /// The ids of the call.
    pub trace: Trace,
}

/// Without the payload.
impl fmt::Debug for Unwrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unwrapped").field("trace", &self.trace).finish_non_exhaustive()
    }
}

/// Without the wrapped bytes: they do not belong in a log.
impl fmt::Debug for WrappedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedBlob")
            .field("version", &self.version)
            .field("len", &self.blob.len())
            .field("trace", &self.trace)
            .finish()
    }
}

/// RFC 7638, section 3: SHA-256 over the members `e`, `kty`, `n` in this order, without white space. `kty` is `RSA` for a
/// key in an HSM too: the thumbprint is the public key's.
pub fn thumbprint(modulus: &[u8], exponent: &[u8]) -> [u8; 32] {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
    let jwk = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, B64.encode(exponent), B64.encode(modulus));
    Sha256::digest(jwk).into()
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};

    use super::*;

    /// The example of RFC 7638, section 3.1.
    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let print = thumbprint(&B64.decode(n).unwrap(), &B64.decode("AQAB").unwrap());
        assert_eq!(B64.encode(print), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    fn described() -> KeyDescription {
        let kid = "https://contoso.vault.azure.net/keys/byok/0123456789abcdef0123456789abcdef";
        KeyDescription {
            kid: KeyVersionLocation::parse(kid).unwrap(),
            modulus: vec![0xc1; 384],
            exponent: vec![1, 0, 1],
            thumbprint: thumbprint(&[0xc1; 384], &[1, 0, 1]),
            hsm: false,
            key_ops: vec!["wrapKey".into(), "unwrapKey".into()],
            enabled: true,
            not_before: None,
            expires: None,
            recovery_level: Some("Recoverable".into()),
            exportable: false,
            managed: false,
            tags: BTreeMap::new(),
        }
    }

    /// A key that cannot protect data for as long as the data lives is not taken, and its owner is told which part is wrong.
    #[test]
    fn an_unsuitable_key_is_refused_with_its_reason() {
        assert_eq!(described().check_suitable(), Ok(()));
        let managed = KeyDescription { managed: true, ..described() };
        assert_eq!(managed.check_suitable(), Err(Reason::KeyManaged));
        let small = KeyDescription { modulus: vec![0xc1; 128], ..described() };
        assert_eq!(small.check_suitable(), Err(Reason::KeyUnsuitable));
        let wrap_only = KeyDescription { key_ops: vec!["wrapKey".into()], ..described() };
        assert_eq!(wrap_only.check_suitable(), Err(Reason::KeyUnsuitable));
        let off = KeyDescription { enabled: false, ..described() };
        assert_eq!(off.check_suitable(), Err(Reason::KeyDisabled));
    }
}
