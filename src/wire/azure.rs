//! The way to customers' vaults that a configuration names, and as whom they are asked.

use std::sync::Arc;

use domain::Timestamp;
use outbound::Rules;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use service::PlatformCertificate;
use vault::azure::{AzureKeys, AzureOptions, CertificateKey, ClientSecret, PlatformCredential};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::clock::SystemClock;
use crate::config::{AzureCredential, Config, WayOut};
use crate::entropy::SystemEntropy;
use crate::files;
use crate::trouble::Trouble;

pub(super) fn azure(config: &Config) -> Result<AzureKeys, Trouble> {
    let credential = credential(&config.azure.credential)?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let WayOut { never, approved, proxy } = config.way_out.clone();
    let rules = Rules::new(never, proxy);
    let options = AzureOptions::new(&config.azure.client_id, credential, clock, entropy);
    let keys = options.and_then(|options| AzureKeys::new(options.by_rules(rules, approved)));
    keys.map_err(|refused| Trouble::new(refused, "check the [azure] table and the system's CA certificates"))
}

pub(super) fn credential(config: &AzureCredential) -> Result<PlatformCredential, Trouble> {
    match config {
        AzureCredential::Secret(path) => {
            let bytes = Zeroizing::new(files::read_private(path)?);
            let text = std::str::from_utf8(&bytes).ok().map(str::trim).filter(|text| !text.is_empty());
            let secret = text.map(|text| Zeroizing::new(text.to_owned())).ok_or_else(|| {
                let what = format!("{} holds no client secret", path.display());
                Trouble::new(what, "write the secret's Value (not its ID) into the file, and nothing else")
            })?;
            Ok(PlatformCredential::Secret(ClientSecret::new(secret)))
        }
        AzureCredential::Certificate(path) => {
            let pem = Zeroizing::new(files::read_private(path)?);
            let key = CertificateKey::read(&pem, &pem).map_err(|refused| {
                let hint = "the file must hold the certificate and its unencrypted private key, both as PEM";
                Trouble::new(format_args!("{}: {refused}", path.display()), hint)
            })?;
            Ok(PlatformCredential::Certificate(key))
        }
        AzureCredential::FederatedToken(path) => {
            // Read anew for each token, since the platform renews it; here only to see that it can be.
            drop(Zeroizing::new(files::read(path)?));
            Ok(PlatformCredential::FederatedTokenFile(path.clone()))
        }
    }
}

/// The certificate that the configured credential is, by its thumbprint and its last day.
pub(super) fn certificate(config: &AzureCredential) -> Result<Option<PlatformCertificate>, Trouble> {
    let AzureCredential::Certificate(path) = config else { return Ok(None) };
    let pem = Zeroizing::new(files::read_private(path)?);
    let unreadable = || {
        let hint = "the file must hold the certificate and its unencrypted private key, both as PEM";
        Trouble::new(format_args!("{}: the certificate cannot be read", path.display()), hint)
    };
    let der = CertificateDer::from_pem_slice(&pem).map_err(|_| unreadable())?;
    let (_, read) = X509Certificate::from_der(&der).map_err(|_| unreadable())?;
    let last = read.validity().not_after.timestamp();
    let expires_at = Timestamp::from_micros(last.saturating_mul(1_000_000));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    let thumbprint = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
    Ok(Some(PlatformCertificate { thumbprint, expires_at }))
}
