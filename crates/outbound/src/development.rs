//! How an emulator on this machine is reached under the real names. In development builds only; a production build has no
//! way to say where a vault is reached.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};

use crate::{
    resolve::{Names, NotResolved},
    rules::Rules,
    sender::{ConnectorRefused, Sender, authorities, tls},
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

/// What a resolver would say of a name, addresses no real one has included. They are checked as in production, and a
/// connection to one of them is made to the emulator.
pub type Answers = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

impl Sender {
    /// Reaches an emulator on this machine, and nothing else: names lead to its address, and only its CA is trusted.
    ///
    /// # Errors
    /// [`ConnectorRefused`].
    pub fn development(connector: &DevelopmentConnector, known: KnownNames) -> Result<Self, ConnectorRefused> {
        Self::development_by(connector, known, None, Rules::default())
    }

    /// The same, by an operator's rules; and where `answers` are given, names lead to those addresses as far as the rules see.
    ///
    /// # Errors
    /// [`ConnectorRefused`].
    pub fn development_by(
        connector: &DevelopmentConnector,
        known: KnownNames,
        answers: Option<Answers>,
        rules: Rules,
    ) -> Result<Self, ConnectorRefused> {
        if !connector.addr.ip().is_loopback() {
            return Err(ConnectorRefused::NotLoopback);
        }
        let roots = Arc::new(authorities(&connector.ca_pem)?);
        let names = Arc::new(LoopbackNames { address: connector.addr, known, answers });
        let make = move || Ok(tls()?.with_root_certificates(Arc::clone(&roots)).with_no_client_auth());
        Self::with(names, rules, Box::new(make))
    }
}

/// Maps every vault's and login host's real name to one loopback address, so that an emulator is reached under the names
/// the types allow. Other names do not resolve.
struct LoopbackNames {
    address: SocketAddr,
    known: KnownNames,
    answers: Option<Answers>,
}

impl Names for LoopbackNames {
    fn look_up(&self, host: &str) -> BoxFuture<'static, Result<Vec<IpAddr>, NotResolved>> {
        let real = |cloud: &domain::Cloud| host == cloud.login_host() || host.ends_with(cloud.vault_suffix());
        let known = domain::Cloud::ALL.iter().any(real) && self.known.as_ref().is_none_or(|known| known(host));
        let found = match &self.answers {
            _ if !known => Err(NotResolved::NameUnknown),
            Some(answers) => Ok(answers(host)),
            None => Ok(vec![self.address.ip()]),
        };
        std::future::ready(found).boxed()
    }

    fn socket(&self, _: IpAddr) -> SocketAddr {
        self.address
    }

    fn is_the_only_place(&self, address: IpAddr) -> bool {
        self.answers.is_none() && address == self.address.ip()
    }
}
