//! Where a vault's name leads: every address is checked, and the connection goes to the address that was checked.
//!
//! Between a check and a use a name can be pointed elsewhere; here the one resolution serves both. Private addresses are
//! legitimate (a private endpoint has one); the machine itself and what only it can reach never are.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why no connection is made to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotResolved {
    /// There is no such name.
    #[error("there is no such name")]
    NameUnknown,
    /// The resolver does not answer, or says to ask again.
    #[error("the name could not be looked up")]
    LookUpFailed,
    /// The name leads where nobody may be reached.
    #[error("the name leads to an address that is not used")]
    AddressForbidden,
}

/// Where names lead.
pub(crate) trait Names: Send + Sync + 'static {
    /// The addresses of this host, checked; port 0 stands for the scheme's own.
    fn look_up(&self, host: &str) -> BoxFuture<'static, Result<Vec<SocketAddr>, NotResolved>>;
}

/// Gives the client the addresses that [`Names`] knows.
pub(crate) struct Resolver(pub(crate) Arc<dyn Names>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.look_up(name.as_str());
        Box::pin(async move { Ok(Box::new(found.await?.into_iter()) as Addrs) })
    }
}

/// Resolves by the system's resolver and refuses addresses no vault has.
pub(crate) struct CheckedNames;

impl Names for CheckedNames {
    fn look_up(&self, host: &str) -> BoxFuture<'static, Result<Vec<SocketAddr>, NotResolved>> {
        let host = host.to_owned();
        async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let found: Vec<_> = found.map_err(|cause| not_resolved(&cause))?.collect();
            only_allowed(&found)
        }
        .boxed()
    }
}

/// The system's resolver tells "no such name" from "ask again" only in its text.
fn not_resolved(cause: &io::Error) -> NotResolved {
    if cause.to_string().contains("Temporary failure") { NotResolved::LookUpFailed } else { NotResolved::NameUnknown }
}

fn only_allowed(found: &[SocketAddr]) -> Result<Vec<SocketAddr>, NotResolved> {
    if found.is_empty() {
        return Err(NotResolved::NameUnknown);
    }
    let allowed: Vec<_> = found.iter().copied().filter(|address| !never_a_vault(address.ip())).collect();
    if allowed.is_empty() { Err(NotResolved::AddressForbidden) } else { Ok(allowed) }
}

/// Loopback, link-local (169.254/16 holds the metadata service, which gives out tokens), Azure's host agent, and what is no
/// host at all.
fn never_a_vault(address: IpAddr) -> bool {
    const HOST_AGENT: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.octets()[0] == 0
                || v4 == HOST_AGENT
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 0)
    }

    /// A vault's name that was pointed at the machine itself, its metadata service or the host's agent reaches neither.
    #[test]
    fn a_name_pointed_inward_is_not_followed() {
        for inward in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "168.63.129.16",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert_eq!(only_allowed(&[address(inward)]), Err(NotResolved::AddressForbidden), "{inward}");
        }
        let mixed = only_allowed(&[address("127.0.0.1"), address("20.61.100.1")]);
        assert_eq!(mixed, Ok(vec![address("20.61.100.1")]), "what is left is used, what is not is dropped");
        for fine in ["20.61.100.1", "10.1.2.3", "192.168.1.4", "2603:1020::1", "fd00::4"] {
            assert!(only_allowed(&[address(fine)]).is_ok(), "{fine}");
        }
        assert_eq!(only_allowed(&[]), Err(NotResolved::NameUnknown));
    }
}
