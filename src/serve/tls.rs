//! With which certificate the daemon shows itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::files::{self, FileRefused};

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsRefused {
    /// One of the files cannot be read, or others can read the key.
    #[error(transparent)]
    File(#[from] FileRefused),
    /// The file holds no certificate.
    #[error("{} holds no PEM certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no key.
    #[error("{} holds no PEM private key", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The two do not belong together, or one is damaged.
    #[error("the certificate in {} and the key in {} do not fit together", certificate.display(), key.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

impl TlsRefused {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File(refused) => refused.hint(),
            Self::NoCertificate { .. } => {
                "the file must hold the server's certificate, then its intermediates, as PEM (BEGIN CERTIFICATE)"
            }
            Self::NoKey { .. } => {
                "the file must hold the certificate's private key as unencrypted PEM (BEGIN PRIVATE KEY)"
            }
            Self::Mismatch { .. } => {
                "use the key the certificate was issued for, and put the server's certificate first"
            }
        }
    }
}

/// TLS 1.2 and 1.3 with this certificate chain, HTTP/2 only. Clients show no certificate yet: `with_no_client_auth` is the
/// line where a verifier of theirs goes.
pub fn server_tls(certificate: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, TlsRefused> {
    tls(certificate, key, b"h2")
}

/// The same for the listener beside gRPC: HTTP/1.1 only.
pub fn http1_tls(certificate: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, TlsRefused> {
    tls(certificate, key, b"http/1.1")
}

fn tls(certificate: &Path, key: &Path, protocol: &[u8]) -> Result<Arc<rustls::ServerConfig>, TlsRefused> {
    let chain = files::read(certificate)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&chain).collect();
    let chain =
        chain.ok().filter(|c| !c.is_empty()).ok_or_else(|| TlsRefused::NoCertificate { path: certificate.into() })?;
    let private = files::read_private(key)?;
    let private = PrivateKeyDer::from_pem_slice(&private).map_err(|_| TlsRefused::NoKey { path: key.into() })?;
    let mismatch = |_| TlsRefused::Mismatch { certificate: certificate.into(), key: key.into() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Each way a certificate can be wrong has an error of its own; a key others can read is refused.
    #[test]
    fn bad_certificate_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let keep = |name: &str, text: &str, mode| {
            std::fs::write(at(name), text).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        keep("cert.pem", &made.cert.pem(), 0o644);
        keep("key.pem", &made.signing_key.serialize_pem(), 0o600);
        keep("open.pem", &made.signing_key.serialize_pem(), 0o644);
        keep("other.pem", &other.serialize_pem(), 0o600);
        keep("empty.pem", "", 0o600);
        let half = made.cert.pem();
        keep("half.pem", &half[..half.len() / 2], 0o644);

        assert!(server_tls(&at("cert.pem"), &at("key.pem")).is_ok());
        let refused = |cert: &str, key: &str| server_tls(&at(cert), &at(key)).unwrap_err();
        assert!(matches!(refused("none.pem", "key.pem"), TlsRefused::File(FileRefused::Missing { .. })));
        assert!(matches!(refused("cert.pem", "open.pem"), TlsRefused::File(FileRefused::ReadableByOthers { .. })));
        assert!(matches!(refused("cert.pem", "other.pem"), TlsRefused::Mismatch { .. }));
        assert!(matches!(refused("cert.pem", "empty.pem"), TlsRefused::NoKey { .. }));
        assert!(matches!(refused("half.pem", "key.pem"), TlsRefused::NoCertificate { .. }));
        assert!(matches!(refused("empty.pem", "key.pem"), TlsRefused::NoCertificate { .. }));
    }
}
