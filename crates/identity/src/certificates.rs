//! Callers that show a certificate: which of its names count, and whose they are.

use std::collections::HashMap;
use std::sync::Arc;

use domain::permission::{Caller, Grant};
use domain::{CertificateName, Clock, Timestamp};

use crate::{Callers, ConfiguredCaller, Credential, Known};

/// What is known of a certificate that was shown and verified.
#[derive(Debug, Clone)]
pub struct PeerNames {
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// Its names that count; none when it has none that could name a caller.
    pub names: Vec<CertificateName>,
    /// From when on it is refused: its own end or that of a certificate above it.
    pub until: Timestamp,
}

impl PeerNames {
    /// The names that count, of those a certificate holds. A SPIFFE ID is the only URI of its certificate and its only name (as
    /// its specification has it), so a certificate with several URIs, or with another one, names nobody. Without URIs the DNS
    /// names count; a wildcard stands for no one caller. A common name never counts.
    pub fn that_count<'a>(uris: &[&str], dns: impl IntoIterator<Item = &'a str>) -> Vec<CertificateName> {
        match uris {
            [] => dns.into_iter().filter_map(|name| name.to_ascii_lowercase().parse().ok()).collect(),
            [one] if one.starts_with("spiffe://") => one.parse().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// Somebody who is known by a certificate's name.
#[derive(Debug, Clone)]
pub struct CertificateHolder {
    /// The name audit records carry.
    pub name: String,
    /// What the certificate has to be called.
    pub certificate: CertificateName,
    /// What its holder may do.
    pub grants: Vec<Grant>,
    /// From when on it is refused, whatever the certificate says; absent: never.
    pub expires: Option<Timestamp>,
}

/// Accepts verified certificates, by their names.
pub struct CertificateCallers {
    holders: HashMap<CertificateName, (Arc<Caller>, Option<Timestamp>)>,
    configured: Vec<ConfiguredCaller>,
    clock: Arc<dyn Clock>,
}

/// Two callers are known by the same certificate's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate {0} is given to two callers; give each its own")]
pub struct CertificateRepeated(pub CertificateName);

impl CertificateCallers {
    /// These holders; `clock` says when one has expired.
    pub fn new(
        holders: impl IntoIterator<Item = CertificateHolder>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CertificateRepeated> {
        let (mut known, mut configured) = (HashMap::new(), Vec::new());
        for holder in holders {
            let CertificateHolder { name, certificate, grants, expires } = holder.clone();
            let certificate = Some(certificate);
            configured.push(ConfiguredCaller { name, certificate, token: false, grants, expires });
            let caller = Arc::new(Caller::new(&holder.name, &holder.grants));
            if known.insert(holder.certificate.clone(), (caller, holder.expires)).is_some() {
                return Err(CertificateRepeated(holder.certificate));
            }
        }
        Ok(Self { holders: known, configured, clock })
    }
}

impl Callers for CertificateCallers {
    fn authenticate(&self, credential: Credential<'_>) -> Option<Known> {
        let peer = match credential {
            Credential::Certificate(peer) => peer,
            Credential::Bearer(_) | Credential::None => return None,
        };
        let mut found = peer.names.iter().filter_map(|name| self.holders.get(name));
        let (caller, expires) = found.next()?;
        // A certificate that is two callers' is nobody's: whose name would the audit carry?
        if found.any(|(other, _)| !Arc::ptr_eq(other, caller)) {
            return None;
        }
        let until = expires.map_or(peer.until, |expires| expires.min(peer.until));
        (self.clock.now().wall < until).then(|| Known { caller: caller.clone(), until: Some(until) })
    }

    fn names(&self, peer: &PeerNames) -> bool {
        peer.names.iter().any(|name| self.holders.contains_key(name))
    }

    /// The set never changes.
    fn generation(&self) -> u64 {
        0
    }

    fn configured(&self) -> Vec<ConfiguredCaller> {
        self.configured.clone()
    }
}

/// Callers of several kinds: whoever one of them knows is known. A certificate whose names both know is nobody's.
pub struct EitherCallers<A, B>(pub A, pub B);

/// The same callers, held by several.
impl<T: Callers + ?Sized> Callers for Arc<T> {
    fn authenticate(&self, credential: Credential<'_>) -> Option<Known> {
        (**self).authenticate(credential)
    }

    fn names(&self, peer: &PeerNames) -> bool {
        (**self).names(peer)
    }

    fn generation(&self) -> u64 {
        (**self).generation()
    }

    fn is_current(&self) -> bool {
        (**self).is_current()
    }

    fn has_keys_for(&self, credential: Credential<'_>) -> bool {
        (**self).has_keys_for(credential)
    }

    fn configured(&self) -> Vec<ConfiguredCaller> {
        (**self).configured()
    }
}

impl<A: Callers, B: Callers> Callers for EitherCallers<A, B> {
    fn authenticate(&self, credential: Credential<'_>) -> Option<Known> {
        match credential {
            Credential::Certificate(peer) => match (self.0.names(peer), self.1.names(peer)) {
                (true, false) => self.0.authenticate(credential),
                (false, true) => self.1.authenticate(credential),
                // Whose name would the audit carry? Also where one of the two has expired: the other is not who was meant.
                (true, true) | (false, false) => None,
            },
            // A token has one hash or one signer: who knows it first is the only one.
            Credential::Bearer(_) | Credential::None => {
                self.0.authenticate(credential).or_else(|| self.1.authenticate(credential))
            }
        }
    }

    fn names(&self, peer: &PeerNames) -> bool {
        self.0.names(peer) || self.1.names(peer)
    }

    /// Both only ever count up.
    fn generation(&self) -> u64 {
        self.0.generation().wrapping_add(self.1.generation())
    }

    fn is_current(&self) -> bool {
        self.0.is_current() && self.1.is_current()
    }

    fn has_keys_for(&self, credential: Credential<'_>) -> bool {
        self.0.has_keys_for(credential) && self.1.has_keys_for(credential)
    }

    fn configured(&self) -> Vec<ConfiguredCaller> {
        [self.0.configured(), self.1.configured()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use domain::{InvalidCertificateName, Moment};

    struct At(i64);
    impl Clock for At {
        fn now(&self) -> Moment {
            Moment { wall: Timestamp::from_micros(self.0), boot: Duration::ZERO }
        }
    }

    fn holder(name: &str, certificate: &str, expires: Option<i64>) -> CertificateHolder {
        CertificateHolder {
            name: name.into(),
            certificate: certificate.parse().unwrap(),
            grants: vec![Grant::EVERYTHING],
            expires: expires.map(Timestamp::from_micros),
        }
    }

    fn callers(at: i64) -> CertificateCallers {
        let chat = holder("chat", "spiffe://platform.example/chat", None);
        let job = holder("job", "job.platform.example", Some(500));
        let web = holder("web", "web.platform.example", None);
        CertificateCallers::new([chat, job, web], Arc::new(At(at))).unwrap()
    }

    fn name(at: i64, names: &[&str]) -> Option<String> {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        let peer = PeerNames { fingerprint: [7; 32], names, until: Timestamp::from_micros(1_000) };
        let known = callers(at).authenticate(Credential::Certificate(&peer))?;
        Some(known.caller.name().to_owned())
    }

    /// A certificate is whose name it carries; one that carries two callers' names is nobody's.
    #[test]
    fn a_certificate_is_one_callers() {
        assert_eq!(name(0, &["spiffe://platform.example/chat"]).as_deref(), Some("chat"));
        assert_eq!(name(0, &["other.example", "web.platform.example"]).as_deref(), Some("web"));
        assert_eq!(name(0, &["job.platform.example", "web.platform.example"]), None);
        assert_eq!(name(0, &["spiffe://platform.example/chat/2"]), None);
        assert_eq!(name(0, &[]), None);
    }

    /// It ends with the certificate or with the caller, whichever is first.
    #[test]
    fn it_ends_with_the_certificate_or_the_caller() {
        assert_eq!(name(499, &["job.platform.example"]).as_deref(), Some("job"));
        assert_eq!(name(500, &["job.platform.example"]), None);
        assert_eq!(name(999, &["web.platform.example"]).as_deref(), Some("web"));
        assert_eq!(name(1_000, &["web.platform.example"]), None);
    }

    /// Two callers cannot be one certificate's.
    #[test]
    fn one_name_cannot_be_two_callers() {
        let two = [holder("a", "x.example", None), holder("b", "x.example", None)];
        assert!(CertificateCallers::new(two, Arc::new(At(0))).is_err());
    }

    /// A SPIFFE ID stands alone among the URIs; DNS names count only without one; wildcards never.
    #[test]
    fn only_names_that_mean_one_caller_count() {
        let count = |uris: &[&str], dns: &[&str]| -> Vec<String> {
            PeerNames::that_count(uris, dns.iter().copied()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(count(&["spiffe://a/x"], &["web.example"]), ["spiffe://a/x"]);
        assert_eq!(count(&[], &["Web.Example", "*.example"]), ["web.example"]);
        for uris in [&["spiffe://a/x", "spiffe://a/y"] as &[_], &["https://a/x"], &["spiffe://a/../x"]] {
            assert!(count(uris, &["web.example"]).is_empty(), "{uris:?}");
        }
    }

    /// What names no holder is refused with the forms that do.
    #[test]
    fn other_names_are_refused() {
        for text in [
            "",
            "chat",
            "Chat.example",
            "chat..example",
            "-a.example",
            "a.example/",
            "spiffe://",
            "spiffe://a",
            "spiffe://a/",
            "spiffe://A/x",
            "spiffe://a//x",
            "spiffe://a/./x",
            "spiffe://a:1/x",
            "spiffe://a/x?y",
            "https://a/x",
        ] {
            assert_eq!(text.parse::<CertificateName>(), Err(InvalidCertificateName::Form), "{text:?}");
        }
        assert_eq!("*.example".parse::<CertificateName>(), Err(InvalidCertificateName::Wildcard));
    }
}
