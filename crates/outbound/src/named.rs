//! The way to hosts that an operator named in the configuration, such as an issuer's: private networks and this machine may be
//! meant, the metadata service never is.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};

use crate::{
    resolve::{Names, NotResolved},
    sender::{ConnectorRefused, Sender},
};

impl Sender {
    /// Reaches hosts that an operator named. `roots`: PEM of the authorities that are trusted for them, in place of the system's.
    ///
    /// # Errors
    /// [`ConnectorRefused`].
    pub fn to_named_hosts(roots: Option<&[u8]>) -> Result<Self, ConnectorRefused> {
        let read = |pem: &[u8]| reqwest::Certificate::from_pem_bundle(pem).ok().filter(|roots| !roots.is_empty());
        let roots = match roots {
            None => None,
            Some(pem) => Some(read(pem).ok_or(ConnectorRefused::CertificateUnreadable)?),
        };
        Self::with(Arc::new(NamedHosts), move || match &roots {
            Some(roots) => Self::builder().tls_certs_only(roots.clone()),
            None => Self::builder(),
        })
    }
}

/// Resolves by the system's resolver, and leads nowhere that is no host of anybody's.
struct NamedHosts;

impl Names for NamedHosts {
    fn look_up(&self, host: &str) -> BoxFuture<'static, Result<Vec<SocketAddr>, NotResolved>> {
        let host = host.to_owned();
        async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map_err(|_| NotResolved::LookUpFailed)?;
            only_hosts(found.collect())
        }
        .boxed()
    }
}

fn only_hosts(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NotResolved> {
    let some = !found.is_empty();
    let hosts: Vec<_> = found.into_iter().filter(|address| is_a_host(address.ip())).collect();
    match (some, hosts.is_empty()) {
        (_, false) => Ok(hosts),
        (true, true) => Err(NotResolved::AddressForbidden),
        (false, true) => Err(NotResolved::NameUnknown),
    }
}

/// Neither link-local (169.254/16 holds the metadata service, which gives out tokens), nor Azure's host agent, nor many at once.
pub fn is_a_host(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.octets() == [168, 63, 129, 16])
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator may name a host of a private network or of this machine; the metadata service is nobody's issuer.
    #[test]
    fn an_operator_may_name_private_hosts_and_never_the_metadata_service() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        for fine in ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "20.61.100.1"] {
            assert!(only_hosts(vec![address(fine)]).is_ok(), "{fine}");
        }
        for never in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "168.63.129.16"] {
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
