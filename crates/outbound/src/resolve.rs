//! Where a vault's name leads. It is asked once for each connection, and that answer is both checked and used: between a check
//! and a use a name can be pointed elsewhere.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use futures::{FutureExt, future::BoxFuture};

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
    /// The name leads into a private network that was not approved for who asks.
    #[error("the name leads to a private address that is not approved")]
    AddressNotApproved,
}

/// Where names lead, unchecked.
pub(crate) trait Names: Send + Sync + 'static {
    /// The addresses of this host, as the resolver gives them.
    fn look_up(&self, host: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, NotResolved>>;

    /// Where a connection to a checked address is made; port 0 stands for the scheme's own.
    fn socket(&self, checked: IpAddr) -> SocketAddr {
        SocketAddr::new(checked, 0)
    }

    /// Whether this is where all names lead by design, and no rule is about it.
    fn is_the_only_place(&self, _address: IpAddr) -> bool {
        false
    }

    /// Whether an operator named the hosts, so that a port or an address in place of a name is meant.
    fn are_named(&self) -> bool {
        false
    }
}

/// Asks the system's resolver.
pub(crate) struct SystemNames;

impl Names for SystemNames {
    fn look_up(&self, host: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, NotResolved>> {
        let host = host.to_owned();
        async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map_err(|cause| not_resolved(&cause))?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

/// The system's resolver tells "no such name" from "ask again" only in its text.
fn not_resolved(cause: &io::Error) -> NotResolved {
    if cause.to_string().contains("Temporary failure") { NotResolved::LookUpFailed } else { NotResolved::NameUnknown }
}
