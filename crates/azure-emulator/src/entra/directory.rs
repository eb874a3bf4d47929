//! Who exists: tenants, app registrations, and the service principals that stand for an app in a tenant.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cloud::Cloud;
use crate::entra::manifest::Registration;
use crate::entra::users::User;
use crate::jwt::b64;

/// A directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) domains: Vec<String>,
    pub(crate) cloud: Cloud,
    /// The subscription that its vaults' role scopes name.
    pub(crate) subscription: String,
    pub(crate) principals: Vec<ServicePrincipal>,
    /// Users beyond those that every tenant has.
    #[serde(default)]
    pub(crate) more_users: Vec<User>,
}

impl Tenant {
    /// By id or by one of its domains.
    pub(crate) fn answers_to(&self, id_or_domain: &str) -> bool {
        self.id.eq_ignore_ascii_case(id_or_domain) || self.domains.iter().any(|d| d.eq_ignore_ascii_case(id_or_domain))
    }

    pub(crate) fn principal(&self, client_id: &str) -> Option<&ServicePrincipal> {
        self.principals.iter().find(|p| p.client_id.eq_ignore_ascii_case(client_id))
    }

    /// `iss` of its version 1.0 tokens, which are what vaults take.
    pub(crate) fn issuer_v1(&self) -> String {
        format!("https://{}/{}/", self.cloud.token_service(), self.id)
    }

    pub(crate) fn issuer_v2(&self) -> String {
        format!("https://{}/{}/v2.0", self.cloud.login_host(), self.id)
    }
}

/// An app in a tenant ("enterprise application").
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServicePrincipal {
    pub(crate) client_id: String,
    pub(crate) object_id: String,
    pub(crate) enabled: bool,
    pub(crate) consented: bool,
}

/// An app registration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) client_id: String,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) federated: Vec<FederatedCredential>,
    /// Refuse an assertion whose `jti` was seen before. Off by default: the official SDKs send one assertion several
    /// times while it lasts, and Entra ID lets them.
    pub(crate) refuse_replay: bool,
    /// What its manifest says. Without one, users cannot be sent back from the sign-in page to anywhere.
    #[serde(default)]
    pub(crate) registration: Registration,
}

/// A client secret; only its hash is kept, as in the real directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub(crate) id: String,
    sha256: String,
    /// Unix seconds.
    pub(crate) expires: Option<i64>,
}

impl Secret {
    pub(crate) fn new(id: String, value: &str, expires: Option<i64>) -> Self {
        Self { id, sha256: sha256_hex(value), expires }
    }

    pub(crate) fn is(&self, value: &str) -> bool {
        self.sha256 == sha256_hex(value)
    }
}

fn sha256_hex(value: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, value.as_bytes()))
}

/// The public part of a certificate an app signs its assertions with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Certificate {
    /// base64url of SHA-1 over the DER.
    pub(crate) x5t: String,
    /// base64url of SHA-256 over the DER.
    pub(crate) x5t_s256: String,
    /// `RSAPublicKey` in base64url.
    pub(crate) public_key: String,
    /// Unix seconds.
    pub(crate) not_before: i64,
    /// Unix seconds.
    pub(crate) not_after: i64,
    pub(crate) revoked: bool,
}

/// The upload is not an X.509 certificate with an RSA key.
#[derive(Debug, thiserror::Error)]
#[error("not an X.509 certificate in PEM or DER with an RSA key")]
pub struct CertificateRefused;

impl Certificate {
    /// From PEM or DER.
    pub(crate) fn read(pem_or_der: &[u8]) -> Result<Self, CertificateRefused> {
        let unpacked;
        let der = if pem_or_der.starts_with(b"-----") {
            let (_, pem) = x509_parser::pem::parse_x509_pem(pem_or_der).map_err(|_| CertificateRefused)?;
            unpacked = pem.contents;
            unpacked.as_slice()
        } else {
            pem_or_der
        };
        let (rest, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| CertificateRefused)?;
        let public_key = certificate.public_key();
        let parsed = public_key.parsed().map_err(|_| CertificateRefused)?;
        if !rest.is_empty() || !matches!(parsed, x509_parser::public_key::PublicKey::RSA(_)) {
            return Err(CertificateRefused);
        }
        Ok(Self {
            x5t: b64(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()),
            x5t_s256: b64(digest::digest(&digest::SHA256, der).as_ref()),
            public_key: b64(&public_key.subject_public_key.data),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            revoked: false,
        })
    }
}

/// Whose tokens stand in for a credential of the app.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederatedCredential {
    /// `iss`, compared exactly.
    pub issuer: String,
    /// `sub`, compared exactly.
    pub subject: String,
    /// `aud`; the usual one is `api://AzureADTokenExchange`.
    pub audience: String,
    /// The issuer's JSON Web Key Set. The real directory fetches it from the issuer.
    pub jwks: Value,
}
