//! A certificate made here for a customer's registration: its private key is born in this process and never leaves it.
//!
//! The key is made and kept by the cryptographic library, whose memory is wiped when the key goes; what it hands out for sealing
//! (PKCS#8) is a buffer that it wipes as well. The certificate's builder sees only the public half and signatures. What is left is
//! the library's own working memory while it makes the key and signs, which it frees wiped, and which is not locked.

use std::time::Duration;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use azure_core::time::OffsetDateTime;
use domain::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, SigningKey,
};
use sha2::{Digest, Sha256};

/// A directory whose clock is a little behind takes it too.
const BEFORE_NOW: Duration = Duration::from_secs(5 * 60);

/// Why no certificate was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateNotMade {
    /// The library made no key.
    #[error("no key could be made")]
    Key,
    /// The library made no certificate for it.
    #[error("no certificate could be made for the key")]
    Certificate,
}

/// A self-signed certificate with its key. Neither printed nor cloned.
pub struct MadeCertificate {
    /// The public part: X.509, DER.
    pub der: Vec<u8>,
    /// SHA-256 over the DER: how a directory finds it.
    pub thumbprint: [u8; 32],
    /// From when on it is not valid any more.
    pub expires_at: Timestamp,
    key: Pkcs8V1Der<'static>,
}

impl MadeCertificate {
    /// Makes an RSA key of 3072 bits and a certificate of this name that lasts so long. Takes some tenths of a second of work.
    /// RSA, because the algorithms that Microsoft documents for a client's assertion (PS256, RS256) are RSA's.
    ///
    /// # Errors
    /// [`CertificateNotMade`].
    pub fn make(common_name: &str, now: Timestamp, lasts: Duration) -> Result<Self, CertificateNotMade> {
        let pair = KeyPair::generate(KeySize::Rsa3072).map_err(|_| CertificateNotMade::Key)?;
        let expires_at = whole_second(now.saturating_add(lasts));
        let refused = |_| CertificateNotMade::Certificate;
        let mut params = CertificateParams::new(Vec::new()).map_err(refused)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_before = date(now.saturating_sub(BEFORE_NOW))?;
        params.not_after = date(expires_at)?;
        let certificate = params.self_signed(&Signer(&pair)).map_err(refused)?;
        let der = certificate.der().to_vec();
        let key = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).map_err(|_| CertificateNotMade::Key)?;
        Ok(Self { thumbprint: Sha256::digest(&der).into(), der, expires_at, key })
    }

    /// Lends the private key, PKCS#8 in DER, to who seals it.
    pub fn expose_key<T>(&self, to: impl FnOnce(&[u8]) -> T) -> T {
        to(self.key.as_ref())
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() - at.micros().rem_euclid(1_000_000))
}

fn date(at: Timestamp) -> Result<OffsetDateTime, CertificateNotMade> {
    let seconds = at.micros().div_euclid(1_000_000);
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| CertificateNotMade::Certificate)
}

/// Lends the builder signatures and the public half.
struct Signer<'a>(&'a KeyPair);

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        let signed = self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map(|()| signature).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::CertificateKey;

    /// What is made signs assertions as any certificate does, and says of itself what was asked for.
    #[test]
    fn what_is_made_here_is_a_certificate_like_any_other() {
        let now = Timestamp::from_micros(1_750_000_000_123_456);
        let year = Duration::from_secs(365 * 86_400);
        let made = MadeCertificate::make("acme", now, year).unwrap();
        assert!(made.expose_key(|key| CertificateKey::of_made(key, &made.der)).is_ok());
        let (_, parsed) = x509_parser::parse_x509_certificate(&made.der).unwrap();
        assert_eq!(parsed.subject().to_string(), "CN=acme");
        assert_eq!(parsed.issuer().to_string(), "CN=acme");
        assert_eq!(parsed.validity().not_before.timestamp(), 1_750_000_000 - 300);
        assert_eq!(parsed.validity().not_after.timestamp(), 1_750_000_000 + 365 * 86_400);
        assert_eq!(made.expires_at.micros(), (1_750_000_000 + 365 * 86_400) * 1_000_000);
        // Another's key does not pass for it.
        let other = MadeCertificate::make("acme", now, year).unwrap();
        assert!(other.expose_key(|key| CertificateKey::of_made(key, &made.der)).is_err());
        assert_ne!(made.thumbprint, other.thumbprint);
    }
}
