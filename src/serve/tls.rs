//! With which certificate the daemon shows itself, and whose certificates it takes.
//!
//! The files are read again while it runs: a new certificate serves the next handshake, and an authority that was taken away ends
//! what it vouched for. New files that cannot be used change nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use domain::{Clock, Timestamp};
use rustls::RootCertStore;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use zeroize::Zeroizing;

use crate::files::{self, FileRefused};

/// The files of a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// PEM: its private key, readable by us alone.
    pub key: PathBuf,
    /// PEM: the authorities that vouch for clients; absent: clients are not asked for certificates.
    pub client_authorities: Option<PathBuf>,
    /// Whether a client must show a certificate. Without authorities it means nothing.
    pub client_certificates: ClientCertificates,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// Whoever shows none may still show a token.
    #[default]
    Optional,
    /// Whoever shows none is not spoken to.
    Required,
}

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
    /// A file of authorities that nobody should have: with the key in it anybody can make callers.
    #[error("{} holds a private key where only certificates belong", path.display())]
    KeyAmongAuthorities {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that is no authority's.
    #[error("{} holds a certificate that cannot vouch for others", path.display())]
    NotAnAuthority {
        /// The file.
        path: PathBuf,
    },
}

impl TlsRefused {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File(refused) => refused.hint(),
            Self::NoCertificate { .. } => {
                "the file must hold the certificate, then its intermediates, as PEM (BEGIN CERTIFICATE)"
            }
            Self::NoKey { .. } => {
                "the file must hold the certificate's private key as unencrypted PEM (BEGIN PRIVATE KEY)"
            }
            Self::Mismatch { .. } => {
                "use the key the certificate was issued for, and put the server's certificate first"
            }
            Self::KeyAmongAuthorities { .. } => {
                "take the private key out of the file, and out of this machine: the authority's certificate is enough"
            }
            Self::NotAnAuthority { .. } => "name the certificates of the authorities that issue clients' certificates",
        }
    }
}

/// TLS 1.2 and 1.3, for one version of HTTP, by files that may change.
pub struct ServerTls {
    files: TlsFiles,
    protocol: &'static [u8],
    clock: Arc<dyn Clock>,
    current: ArcSwap<Loaded>,
}

/// One reading of the files.
struct Loaded {
    /// Of what was read: whether anything changed since.
    digest: [u8; 32],
    /// Counts readings that differed.
    generation: u64,
    config: Arc<rustls::ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    /// When the first certificate of the chain to end does.
    ends: Timestamp,
}

impl ServerTls {
    /// HTTP/2, by these files as they are now; `clock` says what has expired.
    pub fn read(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsRefused> {
        Self::speaking(b"h2", files, clock)
    }

    /// As [`ServerTls::read`], HTTP/1.1: for the listener beside gRPC.
    pub fn read_for_http1(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsRefused> {
        Self::speaking(b"http/1.1", files, clock)
    }

    fn speaking(protocol: &'static [u8], files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsRefused> {
        let first = load(&files, protocol, &clock, 0)?;
        Ok(Arc::new(Self { files, protocol, clock, current: ArcSwap::from_pointee(first) }))
    }

    /// Reads the files again. Whether they are others than before, and now count; an error leaves everything as it was.
    pub fn read_again(&self) -> Result<bool, TlsRefused> {
        let present = self.current.load();
        let read = load(&self.files, self.protocol, &self.clock, present.generation.wrapping_add(1))?;
        if read.digest == present.digest {
            return Ok(false);
        }
        self.current.store(Arc::new(read));
        Ok(true)
    }

    /// The file by which people know the listener.
    pub(crate) fn certificate(&self) -> &Path {
        &self.files.certificate
    }

    /// When the certificate ends.
    pub(crate) fn ends(&self) -> Timestamp {
        self.current.load().ends
    }

    /// What the next handshake is made with, and which reading of the files that is.
    pub(super) fn config(&self) -> (Arc<rustls::ServerConfig>, u64) {
        let now = self.current.load();
        (now.config.clone(), now.generation)
    }

    pub(super) fn generation(&self) -> u64 {
        self.current.load().generation
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// Whether a client's chain is good under the authorities that count now.
    pub(super) fn verifies(&self, chain: &[CertificateDer<'_>]) -> bool {
        let present = self.current.load();
        match (&present.clients, chain) {
            (Some(clients), [leaf, intermediates @ ..]) => {
                time(&*self.clock).is_some_and(|now| clients.verify_client_cert(leaf, intermediates, now).is_ok())
            }
            _ => false,
        }
    }
}

/// The daemon's own clock, for rustls: tests move it by hand.
struct OurTime(Arc<dyn Clock>);

impl TimeProvider for OurTime {
    fn current_time(&self) -> Option<UnixTime> {
        time(&*self.0)
    }
}

impl fmt::Debug for OurTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OurTime")
    }
}

/// `None` before 1970: then nothing can be verified.
fn time(clock: &dyn Clock) -> Option<UnixTime> {
    let micros = u64::try_from(clock.now().wall.micros()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
}

fn load(files: &TlsFiles, protocol: &[u8], clock: &Arc<dyn Clock>, generation: u64) -> Result<Loaded, TlsRefused> {
    let TlsFiles { certificate, key, client_authorities, client_certificates } = files;
    let mut digest = digest::Context::new(&digest::SHA256);
    let pem = files::read(certificate)?;
    digest.update(digest::digest(&digest::SHA256, &pem).as_ref());
    let chain = certificates(&pem, certificate)?;
    let pem = Zeroizing::new(files::read_private(key)?);
    digest.update(digest::digest(&digest::SHA256, &pem).as_ref());
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsRefused::NoKey { path: key.clone() })?;
    let mismatch = |_| TlsRefused::Mismatch { certificate: certificate.clone(), key: key.clone() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = match client_authorities {
        None => None,
        Some(path) => {
            let pem = files::read(path)?;
            digest.update(digest::digest(&digest::SHA256, &pem).as_ref());
            let roots = Arc::new(authorities(&pem, path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            let verifier = match client_certificates {
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
                ClientCertificates::Required => verifier,
            };
            Some(verifier.build().map_err(|_| TlsRefused::NotAnAuthority { path: path.clone() })?)
        }
    };
    let builder = rustls::ServerConfig::builder_with_details(provider, Arc::new(OurTime(clock.clone())))
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?;
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(clients.clone()),
        None => builder.with_no_client_auth(),
    };
    let ends = super::peer::first_to_end(&chain).unwrap_or(Timestamp::from_micros(0));
    let mut config = builder.with_single_cert(chain, private).map_err(mismatch)?;
    config.alpn_protocols = vec![protocol.to_vec()];
    if clients.is_some() {
        // A session that is resumed is not verified again: an authority could be taken away without effect.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    let mut read = [0; 32];
    read.copy_from_slice(digest.finish().as_ref());
    Ok(Loaded { digest: read, generation, config: Arc::new(config), clients, ends })
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsRefused> {
    let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|all| !all.is_empty()).ok_or_else(|| TlsRefused::NoCertificate { path: path.into() })
}

fn authorities(pem: &[u8], path: &Path) -> Result<RootCertStore, TlsRefused> {
    if PrivateKeyDer::from_pem_slice(pem).is_ok() {
        return Err(TlsRefused::KeyAmongAuthorities { path: path.into() });
    }
    let mut roots = RootCertStore::empty();
    for one in certificates(pem, path)? {
        let is_authority = {
            use x509_parser::prelude::{FromDer, X509Certificate};
            X509Certificate::from_der(&one).is_ok_and(|(_, parsed)| parsed.is_ca())
        };
        if !is_authority || roots.add(one).is_err() {
            return Err(TlsRefused::NotAnAuthority { path: path.into() });
        }
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn server_tls(certificate: &Path, key: &Path) -> Result<(), TlsRefused> {
        let files = TlsFiles {
            certificate: certificate.into(),
            key: key.into(),
            client_authorities: None,
            client_certificates: ClientCertificates::Optional,
        };
        ServerTls::read(files, Arc::new(crate::clock::SystemClock)).map(drop)
    }

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
