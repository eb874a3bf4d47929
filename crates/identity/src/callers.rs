//! The seam: what a listener hands over, and who that turns out to be.

use std::sync::Arc;

use domain::permission::{Caller, Grant};
use domain::{CertificateName, Timestamp};

use crate::PeerNames;

/// What a caller showed.
///
/// Deliberately absent: `Debug`. A token must not reach a log by way of a struct that holds one.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// The text after `Bearer ` in the `authorization` metadata: a token we know by its hash, or one that an issuer signed.
    Bearer(&'a str),
    /// The certificate of the connection: verified, and good now.
    Certificate(&'a PeerNames),
    /// Nothing was shown.
    None,
}

/// Somebody who was told apart.
pub struct Known {
    /// Who.
    pub caller: Arc<Caller>,
    /// From when on the credential is refused; absent: never.
    pub until: Option<Timestamp>,
}

/// Tells callers apart. Asked on the first request of a connection and whenever something changed, so it does not wait.
pub trait Callers: Send + Sync + 'static {
    /// Who showed this credential, or nobody. There is no reason on purpose: a stranger learns nothing from it.
    fn authenticate(&self, credential: Credential<'_>) -> Option<Known>;

    /// Whether a name of this certificate is one of these callers', be it of one who is let in no more.
    fn names(&self, peer: &PeerNames) -> bool {
        self.authenticate(Credential::Certificate(peer)).is_some()
    }

    /// Changes whenever somebody who was known may be no more, or be somebody else.
    fn generation(&self) -> u64;

    /// Whether what is known is recent enough to say of somebody that they are nobody. Only asked after that was the answer.
    fn is_current(&self) -> bool {
        true
    }

    /// Whether the keys are here that would tell whose this credential is. Only asked after it was nobody's.
    fn has_keys_for(&self, _credential: Credential<'_>) -> bool {
        true
    }

    /// Those that stand in the configuration, each once for each way in which it is known.
    fn configured(&self) -> Vec<ConfiguredCaller> {
        Vec::new()
    }
}

/// A caller of the configuration: listed and never changed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredCaller {
    /// Its name.
    pub name: String,
    /// The name of its certificate, if it is known by one.
    pub certificate: Option<CertificateName>,
    /// Whether it is known by a token.
    pub token: bool,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// From when on it is refused; absent: never.
    pub expires: Option<Timestamp>,
}
