//! Which certificate a handshake is answered with: a private authority, one leaf for all names of ours.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::cloud::{ADMIN_HOST, Cloud};

/// The emulator could not make its certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailed {
    /// The certificate library refused.
    #[error("the private authority could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused.
    #[error("the TLS listener could not be configured")]
    Tls(#[from] rustls::Error),
}

/// The private authority: its certificate is what clients have to trust.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub(crate) fn create() -> Result<Self, TlsFailed> {
        Self::with_key(KeyPair::generate()?)
    }

    /// The one whose key was kept (PKCS#8 PEM). The certificate made again differs in nothing that clients check,
    /// but not byte for byte: what they were given stays valid, because name and key are the same.
    pub(crate) fn from_key_pem(pem: &str) -> Result<Self, TlsFailed> {
        Self::with_key(KeyPair::from_pem(pem)?)
    }

    fn with_key(key: KeyPair) -> Result<Self, TlsFailed> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "azure-emulator private authority");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2099, 12, 31);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key)? })
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    fn leaf(&self) -> Result<Arc<CertifiedKey>, TlsFailed> {
        let key = KeyPair::generate()?;
        let mut names = vec![ADMIN_HOST.to_owned()];
        for cloud in Cloud::ALL {
            names.push(cloud.login_host().to_owned());
            names.push(format!("*.{}", cloud.vault_domain()));
        }
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name.push(DnType::CommonName, "azure-emulator");
        // Clients check these with their own clock, which need not be the emulator's.
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2099, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = sign::any_supported_type(&key)?;
        Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing)))
    }
}

/// How to answer a handshake for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Welcome {
    Ours,
    /// With a certificate that no client trusts.
    Stranger,
    /// Not at all: there is no such name.
    Refuse,
}

struct Resolver<W> {
    ours: Arc<CertifiedKey>,
    stranger: Arc<CertifiedKey>,
    welcome: W,
}

impl<W> fmt::Debug for Resolver<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl<W: Fn(&str) -> Welcome + Send + Sync> ResolvesServerCert for Resolver<W> {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match (self.welcome)(hello.server_name().unwrap_or_default()) {
            Welcome::Ours => Some(self.ours.clone()),
            Welcome::Stranger => Some(self.stranger.clone()),
            Welcome::Refuse => None,
        }
    }
}

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1; `welcome` decides by the name the client asks for.
pub(crate) fn server_config(
    authority: &Authority,
    welcome: impl Fn(&str) -> Welcome + Send + Sync + 'static,
) -> Result<Arc<ServerConfig>, TlsFailed> {
    let resolver = Resolver { ours: authority.leaf()?, stranger: Authority::create()?.leaf()?, welcome };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
