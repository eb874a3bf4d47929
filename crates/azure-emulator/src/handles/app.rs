//! An app registration: its id and what it can show.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde::Serialize;

use crate::entra::directory::{App, Certificate, CertificateRefused, FederatedCredential, Secret};
use crate::entra::manifest::{ManifestRefused, Registration};
use crate::world::World;

/// A certificate as the registration lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateInfo {
    /// base64url of SHA-256 over the DER.
    pub x5t_s256: String,
    /// base64url of SHA-1 over the DER.
    pub x5t: String,
}

/// A certificate made for an app, with its private key: what an app would make for itself.
#[derive(Clone, Serialize)]
pub struct IssuedCertificate {
    /// How the registration lists it.
    pub info: CertificateInfo,
    /// The certificate.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: String,
}

/// A certificate could not be made for an app.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// The certificate library refused.
    #[error("the certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// A date is outside the calendar.
    #[error("the dates are not ones a certificate can have")]
    Dates,
    /// The registration did not take it.
    #[error(transparent)]
    Refused(#[from] CertificateRefused),
}

/// An app registration. Clones are the same one.
#[derive(Clone)]
pub struct AppHandle {
    world: Arc<World>,
    client_id: String,
}

impl fmt::Debug for AppHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppHandle").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl AppHandle {
    pub(crate) fn find_or_create(world: Arc<World>, name: &str) -> Self {
        if let Some(found) = Self::find(world.clone(), name) {
            return found;
        }
        let client_id = world.random.guid();
        let app = App {
            name: name.to_owned(),
            client_id: client_id.clone(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            federated: Vec::new(),
            refuse_replay: false,
            registration: Registration::default(),
        };
        world.change(|s| s.apps.push(app));
        Self { world, client_id }
    }

    /// By name or client id.
    pub(crate) fn find(world: Arc<World>, name: &str) -> Option<Self> {
        let find = |a: &&App| a.name == name || a.client_id.eq_ignore_ascii_case(name);
        let client_id = world.read(|s| s.apps.iter().find(find).map(|a| a.client_id.clone()))?;
        Some(Self { world, client_id })
    }

    /// The application's (client) id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// A new client secret: its value, shown only now.
    pub fn add_secret(&self) -> String {
        self.add_secret_expiring(None)
    }

    /// A new client secret that expires at this Unix second.
    pub fn add_secret_expiring(&self, at: Option<i64>) -> String {
        let value = self.world.random.client_secret();
        self.set_secret(&value, at);
        value
    }

    /// A client secret with a given value, for fixed set-ups.
    pub fn set_secret(&self, value: &str, expires: Option<i64>) {
        let secret = Secret::new(self.world.random.guid(), value, expires);
        self.change(|a| a.secrets.push(secret));
    }

    /// Removes every secret.
    pub fn remove_secrets(&self) {
        self.change(|a| a.secrets.clear());
    }

    /// Uploads the public part of a certificate, PEM or DER.
    pub fn add_certificate(&self, pem_or_der: &[u8]) -> Result<CertificateInfo, CertificateRefused> {
        let certificate = Certificate::read(pem_or_der)?;
        let info = CertificateInfo { x5t_s256: certificate.x5t_s256.clone(), x5t: certificate.x5t.clone() };
        self.change(|a| a.certificates.push(certificate));
        Ok(info)
    }

    /// Makes a self-signed certificate with a fresh RSA-2048 key, valid between these Unix seconds, and uploads it.
    pub fn issue_certificate(&self, not_before: i64, not_after: i64) -> Result<IssuedCertificate, NotIssued> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, format!("app {}", self.client_id));
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let at = |seconds: i64| {
            let seconds = u64::try_from(seconds).map_err(|_| NotIssued::Dates)?;
            let largest = std::time::Duration::from_secs(200 * 365 * 86_400);
            let since = std::time::Duration::from_secs(seconds);
            if since > largest { Err(NotIssued::Dates) } else { Ok(epoch + since) }
        };
        params.not_before = at(not_before)?;
        params.not_after = at(not_after)?;
        let certificate = params.self_signed(&key)?;
        let info = self.add_certificate(certificate.der())?;
        Ok(IssuedCertificate { info, certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Revokes a certificate (`AADSTS7000214`). False when it is not registered.
    pub fn revoke_certificate(&self, x5t_s256: &str) -> bool {
        let revoke = |a: &mut App| {
            let found = a.certificates.iter_mut().find(|c| c.x5t_s256 == x5t_s256);
            found.map(|c| c.revoked = true).is_some()
        };
        self.change(revoke).unwrap_or(false)
    }

    /// Removes every certificate.
    pub fn remove_certificates(&self) {
        self.change(|a| a.certificates.clear());
    }

    /// Trusts another issuer's tokens.
    pub fn add_federated_credential(&self, credential: FederatedCredential) {
        self.change(|a| a.federated.push(credential));
    }

    /// Trusts no other issuer any more.
    pub fn remove_federated_credentials(&self) {
        self.change(|a| a.federated.clear());
    }

    /// Refuse an assertion whose `jti` was seen before. Off at first: see the crate's README.
    pub fn refuse_replayed_assertions(&self, refuse: bool) {
        self.change(|a| a.refuse_replay = refuse);
    }

    /// Takes an app manifest in the format of Microsoft Graph (`web.redirectUris`, `optionalClaims`,
    /// `groupMembershipClaims`, `signInAudience`, `requiredResourceAccess`), in place of the one before.
    pub fn set_manifest(&self, manifest: &serde_json::Value) -> Result<(), ManifestRefused> {
        let registration = Registration::read(manifest)?;
        self.change(|a| a.registration = registration);
        Ok(())
    }

    /// One more address that users may be sent back to.
    pub fn add_redirect_uri(&self, uri: &str) {
        self.change(|a| a.registration.redirect_uris.push(uri.to_owned()));
    }

    fn change<T>(&self, f: impl FnOnce(&mut App) -> T) -> Option<T> {
        self.world.change(|s| s.apps.iter_mut().find(|a| a.client_id == self.client_id).map(f))
    }
}
