//! The way to hosts that an operator named in the configuration, such as an issuer's: private networks and this machine may be
//! meant, the metadata service never is.

use std::{net::IpAddr, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::{
    range::{Kind, kind},
    resolve::{Names, NotResolved, SystemNames},
    rules::Rules,
    sender::{ConnectorRefused, MakeTls, Sender, authorities, tls},
};

impl Sender {
    /// Reaches hosts that an operator named, at whatever port. `roots`: PEM of the authorities that are trusted for them, in place
    /// of the system's.
    ///
    /// # Errors
    /// [`ConnectorRefused`].
    pub fn to_named_hosts(roots: Option<&[u8]>) -> Result<Self, ConnectorRefused> {
        let make: Box<MakeTls> = match roots {
            Some(pem) => {
                let roots = Arc::new(authorities(pem)?);
                Box::new(move || Ok(tls()?.with_root_certificates(Arc::clone(&roots)).with_no_client_auth()))
            }
            None => Box::new(|| {
                let trusting = tls()?.with_platform_verifier().map_err(|_| ConnectorRefused::Tls)?;
                Ok(trusting.with_no_client_auth())
            }),
        };
        Self::with(Arc::new(NamedHosts), Rules::default(), make)
    }
}

/// Resolves by the system's resolver, and leads nowhere that is no host of anybody's.
struct NamedHosts;

impl Names for NamedHosts {
    fn look_up(&self, host: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, NotResolved>> {
        let found = SystemNames.look_up(host);
        async move { only_hosts(found.await?) }.boxed()
    }

    /// The rules are about vaults; these are held to their own when they are looked up.
    fn is_the_only_place(&self, address: IpAddr) -> bool {
        is_a_host(address)
    }

    fn are_named(&self) -> bool {
        true
    }
}

/// One address that is nobody's host refuses the name, as with vaults.
fn only_hosts(found: Vec<IpAddr>) -> Result<Vec<IpAddr>, NotResolved> {
    match found.iter().all(|address| is_a_host(*address)) {
        _ if found.is_empty() => Err(NotResolved::NameUnknown),
        true => Ok(found),
        false => Err(NotResolved::AddressForbidden),
    }
}

/// What is somebody's host, or this machine itself: everything else, the metadata service first, is nobody's here as with vaults.
pub fn is_a_host(address: IpAddr) -> bool {
    match kind(address) {
        Kind::Public | Kind::Private => true,
        Kind::Never => address.to_canonical().is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator may name a host of a private network or of this machine; the metadata service is nobody's issuer.
    #[test]
    fn an_operator_may_name_private_hosts_and_never_the_metadata_service() {
        let address = |text: &str| text.parse().unwrap();
        for fine in [
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "::1",
            "fd00::1",
            "20.61.100.1",
            "64:ff9b::20.61.100.1",
            "2603:1020::1",
        ] {
            assert!(only_hosts(vec![address(fine)]).is_ok(), "{fine}");
        }
        for never in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "192.0.0.192",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "168.63.129.16",
        ] {
            assert_eq!(only_hosts(vec![address(never)]), Err(NotResolved::AddressForbidden), "{never}");
        }
        assert_eq!(only_hosts(Vec::new()), Err(NotResolved::NameUnknown));
    }

    /// A trust file without a certificate trusts nobody, and is told at the start.
    #[test]
    fn a_trust_file_without_a_certificate_is_refused() {
        for bad in [&b""[..], b"-----BEGIN NONSENSE-----", b"not PEM"] {
            assert_eq!(Sender::to_named_hosts(Some(bad)).map(|_| ()), Err(ConnectorRefused::CertificateUnreadable));
        }
    }
}
