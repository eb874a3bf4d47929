//! Whom a TLS connection belongs to, and for how long that holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::Timestamp;
use identity::PeerNames;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::tls::ServerTls;

/// How often a connection that lasts is looked at again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The holder of the certificate that a connection was opened with.
pub struct Peer {
    tls: Arc<ServerTls>,
    chain: Vec<CertificateDer<'static>>,
    names: PeerNames,
    /// Under which reading of the files the chain was last found good.
    trusted: AtomicU64,
}

impl Peer {
    /// What a verified chain says; `None` for one that cannot be read. `generation`: the reading of the files that verified it.
    pub(super) fn read(tls: Arc<ServerTls>, chain: &[CertificateDer<'_>], generation: u64) -> Option<Self> {
        let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
        let names = names(&chain)?;
        Some(Self { tls, chain, names, trusted: AtomicU64::new(generation) })
    }

    /// The certificate's names, if it is good now: not expired, and under an authority that still counts. Until the files change
    /// this costs a look at the clock; after that, one verification.
    pub fn names(&self) -> Option<&PeerNames> {
        self.is_trusted().then_some(&self.names)
    }

    fn is_trusted(&self) -> bool {
        if self.tls.now() >= self.names.until {
            return false;
        }
        let generation = self.tls.generation();
        if self.trusted.load(Ordering::Relaxed) == generation {
            return true;
        }
        let good = self.tls.verifies(&self.chain);
        if good {
            self.trusted.store(generation, Ordering::Relaxed);
        }
        good
    }

    /// Completes when the certificate is good no more: soon after, not at once. Requests are refused at once.
    pub(super) async fn no_longer_trusted(&self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if !self.is_trusted() {
                return;
            }
        }
    }
}

/// When the first certificate of a chain to end does; none, where one cannot be read.
pub(super) fn first_to_end(chain: &[CertificateDer<'_>]) -> Option<Timestamp> {
    let mut until = Timestamp::from_micros(i64::MAX);
    for one in chain {
        let (_, parsed) = X509Certificate::from_der(one).ok()?;
        // The last second of a certificate is its own (RFC 5280, 4.1.2.5).
        let end = parsed.validity().not_after.timestamp().saturating_add(1).saturating_mul(1_000_000);
        until = until.min(Timestamp::from_micros(end));
    }
    Some(until)
}

fn names(chain: &[CertificateDer<'_>]) -> Option<PeerNames> {
    let until = first_to_end(chain)?;
    let leaf = chain.first()?;
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let (mut uris, mut dns) = (Vec::new(), Vec::new());
    for extension in parsed.extensions() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() {
            for name in &names.general_names {
                match name {
                    GeneralName::URI(uri) => uris.push(*uri),
                    GeneralName::DNSName(name) => dns.push(*name),
                    _ => {}
                }
            }
        }
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
    let fingerprint = digest.as_ref().try_into().ok()?;
    Some(PeerNames { fingerprint, names: PeerNames::that_count(&uris, dns), until })
}
