//! How we show a directory who we are without a secret that travels: a signed assertion, or another issuer's token.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeyPair,
    signature::{KeyPair as _, RSA_PSS_SHA256},
};
use azure_core::{error::ErrorKind, http::ClientMethodOptions};
use azure_identity::ClientAssertion;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use domain::{Clock, Entropy, entropy::random};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{CredentialFault, KeyUnavailable};

/// Entra ID takes up to ten minutes in all; both ends leave room for clocks that differ.
const BEFORE_NOW: Duration = Duration::from_secs(60);
const AFTER_NOW: Duration = Duration::from_secs(480);

/// Why a certificate credential was refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefused {
    /// Neither PEM nor DER of PKCS#8 or PKCS#1.
    #[error("the private key is neither PEM nor DER of a PKCS#8 or PKCS#1 key")]
    KeyUnreadable,
    /// Not RSA, or too small.
    #[error("the private key is not an RSA key of 2048 bits or more")]
    KeyUnsuitable,
    /// Neither PEM nor DER of X.509.
    #[error("the certificate is neither PEM nor DER")]
    CertificateUnreadable,
    /// They do not belong together.
    #[error("the certificate was not made for this private key")]
    KeyAndCertificateDiffer,
}

/// A certificate's private key, and the certificate's SHA-256 by which the directory finds the public half.
#[derive(Clone)]
pub struct CertificateKey {
    pair: Arc<KeyPair>,
    certificate_sha256: [u8; 32],
}

impl CertificateKey {
    /// Reads key and certificate, each as PEM or DER.
    ///
    /// # Errors
    /// [`CertificateRefused`].
    pub fn read(private_key: &[u8], certificate: &[u8]) -> Result<Self, CertificateRefused> {
        let key = match PrivateKeyDer::from_pem_slice(private_key) {
            Ok(key) => key,
            Err(_) => PrivateKeyDer::try_from(private_key).map_err(|_| CertificateRefused::KeyUnreadable)?.clone_key(),
        };
        let pair = match &key {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(CertificateRefused::KeyUnsuitable),
        }
        .map_err(|_| CertificateRefused::KeyUnsuitable)?;
        if pair.public_modulus_len() < 256 {
            return Err(CertificateRefused::KeyUnsuitable);
        }
        let certificate = match CertificateDer::from_pem_slice(certificate) {
            Ok(certificate) => certificate,
            Err(_) => CertificateDer::from(certificate.to_vec()),
        };
        let certificate_sha256 = Sha256::digest(&certificate).into();
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key);
        let signing = signing.map_err(|_| CertificateRefused::KeyUnsuitable)?;
        rustls::sign::CertifiedKey::new(vec![certificate], signing).keys_match().map_err(|why| match why {
            rustls::Error::InconsistentKeys(_) => CertificateRefused::KeyAndCertificateDiffer,
            _ => CertificateRefused::CertificateUnreadable,
        })?;
        Ok(Self { pair: Arc::new(pair), certificate_sha256 })
    }

    /// Reads a key and certificate that were made here, both DER. The key is read where it stands: no copy is left behind that
    /// the library does not wipe.
    ///
    /// # Errors
    /// [`CertificateRefused`].
    pub fn of_made(pkcs8: &[u8], certificate: &[u8]) -> Result<Self, CertificateRefused> {
        let pair = KeyPair::from_pkcs8(pkcs8).map_err(|_| CertificateRefused::KeyUnsuitable)?;
        let public = pair.public_key().as_ref();
        // A certificate holds its public key as it stands; one of 270 bytes and more is in no other by chance.
        if public.len() < 256 || !certificate.windows(public.len()).any(|part| part == public) {
            return Err(CertificateRefused::KeyAndCertificateDiffer);
        }
        let certificate_sha256 = Sha256::digest(certificate).into();
        Ok(Self { pair: Arc::new(pair), certificate_sha256 })
    }
}

/// Without the key.
impl fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateKey").finish_non_exhaustive()
    }
}

/// Signs a fresh assertion for each asking (RFC 7523; PS256 and `x5t#S256`).
pub(super) struct CertificateAssertion {
    pub(super) key: CertificateKey,
    pub(super) client_id: String,
    /// The token endpoint: an assertion is good nowhere else.
    pub(super) audience: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl CertificateAssertion {
    fn sign(&self) -> Result<String, KeyUnavailable> {
        let now = self.clock.now().wall.micros().div_euclid(1_000_000);
        let header = serde_json::json!({
            "alg": "PS256",
            "typ": "JWT",
            "x5t#S256": B64.encode(self.key.certificate_sha256),
        });
        let claims = serde_json::json!({
            "aud": self.audience,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": hex::encode(random::<16>(&*self.entropy)),
            "nbf": now.saturating_sub_unsigned(BEFORE_NOW.as_secs()),
            "iat": now,
            "exp": now.saturating_add_unsigned(AFTER_NOW.as_secs()),
        });
        let mut assertion = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let mut signature = vec![0; self.key.pair.public_modulus_len()];
        // The salt is the library's own to draw.
        let signed = self.key.pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), assertion.as_bytes(), &mut signature);
        signed.map_err(|_| KeyUnavailable::CredentialUnusable(CredentialFault::Signing))?;
        assertion.push('.');
        B64.encode_string(signature, &mut assertion);
        Ok(assertion)
    }
}

#[async_trait::async_trait]
impl ClientAssertion for CertificateAssertion {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.sign().map_err(|why| azure_core::Error::new(ErrorKind::Credential, why))
    }
}

impl fmt::Debug for CertificateAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAssertion").finish_non_exhaustive()
    }
}

/// Another issuer's token, read anew for each asking: whoever provides the file replaces it.
pub(super) struct FederatedAssertion {
    pub(super) file: PathBuf,
}

impl FederatedAssertion {
    async fn read(&self) -> Result<String, KeyUnavailable> {
        let unusable = KeyUnavailable::CredentialUnusable(CredentialFault::FederatedTokenFile);
        let Ok(text) = tokio::fs::read_to_string(&self.file).await.map(Zeroizing::new) else { return Err(unusable) };
        let token = text.trim();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'=');
        if token.is_empty() || !token.bytes().all(plain) { Err(unusable) } else { Ok(token.to_owned()) }
    }
}

#[async_trait::async_trait]
impl ClientAssertion for FederatedAssertion {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.read().await.map_err(|why| azure_core::Error::new(ErrorKind::Credential, why))
    }
}

impl fmt::Debug for FederatedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FederatedAssertion").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
