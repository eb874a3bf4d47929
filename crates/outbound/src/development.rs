//! How an emulator on this machine is reached under the real names. In development builds only; a production build has no
//! way to say where a vault is reached.

use std::{net::SocketAddr, sync::Arc};

use futures::{FutureExt, future::BoxFuture};

use crate::{
    resolve::{Names, NotResolved},
    sender::{ConnectorRefused, Sender},
};

/// Leads every vault's and login host's real name to an emulator on this machine.
#[derive(Debug, Clone)]
pub struct DevelopmentConnector {
    /// Where the emulator listens; loopback.
    pub addr: SocketAddr,
    /// The emulator's own CA, in PEM. No other is trusted.
    pub ca_pem: Vec<u8>,
}

/// Which of the names exist; all of them when left out.
pub type KnownNames = Option<Arc<dyn Fn(&str) -> bool + Send + Sync>>;

impl Sender {
    /// Reaches an emulator on this machine, and nothing else: names lead to its address, and only its CA is trusted.
    ///
    /// # Errors
    /// [`ConnectorRefused`].
    pub fn development(connector: &DevelopmentConnector, known: KnownNames) -> Result<Self, ConnectorRefused> {
        if !connector.addr.ip().is_loopback() {
            return Err(ConnectorRefused::NotLoopback);
        }
        let roots = reqwest::Certificate::from_pem_bundle(&connector.ca_pem)
            .ok()
            .filter(|roots| !roots.is_empty())
            .ok_or(ConnectorRefused::CertificateUnreadable)?;
        let names = Arc::new(LoopbackNames { address: connector.addr, known });
        Self::with(names, move || Self::builder().tls_certs_only(roots.clone()))
    }
}

/// Maps every vault's and login host's real name to one loopback address, so that an emulator is reached under the names
/// the types allow. Other names do not resolve.
struct LoopbackNames {
    address: SocketAddr,
    known: KnownNames,
}

impl Names for LoopbackNames {
    fn look_up(&self, host: &str) -> BoxFuture<'static, Result<Vec<SocketAddr>, NotResolved>> {
        let real = |cloud: &domain::Cloud| host == cloud.login_host() || host.ends_with(cloud.vault_suffix());
        let known = domain::Cloud::ALL.iter().any(real) && self.known.as_ref().is_none_or(|known| known(host));
        let found = if known { Ok(vec![self.address]) } else { Err(NotResolved::NameUnknown) };
        std::future::ready(found).boxed()
    }
}
