//! The one HTTP client for all vaults and directories, and the only place that sends.
//!
//! Shared, because an SDK would otherwise make a client for each credential and each vault. It follows no redirect, asks
//! no proxy of the environment, speaks nothing but TLS, and reads no answer longer than any real one. Who may go to other private
//! addresses than others has a client of its own, with connections of its own.

use std::{
    collections::{HashMap, hash_map::Entry},
    error::Error as StdError,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Uri, header::ACCEPT, uri::Scheme};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier, client::WantsClientCert};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::{
    connect::{Connector, Way},
    message::{Received, Request, Wiped, wipe},
    named::is_a_host,
    range::Ranges,
    resolve::{Names, NotResolved, SystemNames},
    rules::{Bug, Rules},
};

/// How long a connection waits for another call. What is busy, a rotation or a herd of cold keys, keeps its connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// The last resort: every caller has a deadline of its own, and a shorter one.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// A page of 25 versions is the longest answer, some 10 KiB.
const LONGEST_BODY: usize = 256 * 1024;

pub(crate) use crate::connect::MakeTls;

/// Why no whole answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No connection, or it broke.
    #[error("no connection came about, or it broke")]
    Unreachable,
    /// The name leads nowhere, or where it must not.
    #[error(transparent)]
    NotResolved(NotResolved),
    /// The client's own last resort.
    #[error("no whole answer came in time")]
    TimedOut,
    /// Longer than any real answer.
    #[error("the answer is longer than any real one")]
    TooLarge,
}

/// The client could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorRefused {
    /// The development connector leads somewhere else than to this machine.
    #[error("the development connector's address is not a loopback address")]
    NotLoopback,
    /// The development connector's certificate cannot be read.
    #[error("the development connector's CA certificate is not PEM")]
    CertificateUnreadable,
    /// TLS cannot be set up: no roots of trust, for example.
    #[error("TLS cannot be set up on this machine; check that its CA certificates are installed")]
    Tls,
}

/// The shared client.
#[derive(Clone)]
pub struct Sender {
    client: PooledClient,
    way: Arc<Way>,
    approved: Ranges,
    /// For each set of ranges that was asked for, its client: an operator wrote them all into one file, so they are few.
    clients: Arc<Mutex<HashMap<Ranges, PooledClient>>>,
}

type PooledClient = Client<Connector, Full<Bytes>>;

impl Sender {
    /// Reaches vaults and directories where they are, at public addresses.
    ///
    /// # Errors
    /// [`ConnectorRefused::Tls`].
    pub fn production() -> Result<Self, ConnectorRefused> {
        Self::production_by(Rules::default())
    }

    /// The same, by an operator's rules.
    ///
    /// # Errors
    /// [`ConnectorRefused::Tls`].
    pub fn production_by(rules: Rules) -> Result<Self, ConnectorRefused> {
        let trusting = |tls: ConfigBuilder<ClientConfig, WantsVerifier>| -> Result<
            ConfigBuilder<ClientConfig, WantsClientCert>,
            rustls::Error,
        > { tls.with_platform_verifier() };
        let make = move || Ok(trusting(tls()?).map_err(|_| ConnectorRefused::Tls)?.with_no_client_auth());
        Self::with(Arc::new(SystemNames), rules, Box::new(make))
    }

    pub(crate) fn with(names: Arc<dyn Names>, rules: Rules, tls: Box<MakeTls>) -> Result<Self, ConnectorRefused> {
        let (way, approved) = (Arc::new(Way { names, rules, tls }), Ranges::default());
        Ok(Self { client: Self::client(&way, &approved)?, way, approved, clients: Arc::default() })
    }

    fn client(way: &Arc<Way>, approved: &Ranges) -> Result<PooledClient, ConnectorRefused> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // The buffers of a connection hold the last answer, perhaps an unwrapped key, until another comes or it is closed.
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(32)
            .build(Connector::new(way, approved)?);
        Ok(client)
    }

    /// The same way, with nothing kept from before: no connection, and no TLS session, whose resumption would show no
    /// certificate. For who asks whether a connection can be made.
    ///
    /// # Errors
    /// [`ConnectorRefused::Tls`].
    pub fn anew(&self) -> Result<Self, ConnectorRefused> {
        Ok(Self { client: Self::client(&self.way, &self.approved)?, ..self.clone() })
    }

    /// The same way for who may reach these private addresses as well, and no others. It shares no connection with this one.
    ///
    /// # Errors
    /// [`ConnectorRefused::Tls`].
    pub fn approving(&self, approved: Ranges) -> Result<Self, ConnectorRefused> {
        let for_all = self.way.rules.has(Bug::OneClientForAll);
        if self.approved == approved && !for_all {
            return Ok(self.clone());
        }
        let whose = if for_all { Ranges::default() } else { approved.clone() };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match clients.entry(whose) {
            Entry::Occupied(made) => made.get().clone(),
            Entry::Vacant(room) => room.insert(Self::client(&self.way, &approved)?).clone(),
        };
        Ok(Self { client, approved, way: Arc::clone(&self.way), clients: Arc::clone(&self.clients) })
    }

    /// The addresses that a connection to this name would be made to.
    ///
    /// # Errors
    /// [`NotResolved`].
    pub async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, NotResolved> {
        self.way.look_up(host, &self.approved).await
    }

    /// Sends one request and reads its whole answer. The caller has checked where it goes.
    ///
    /// # Errors
    /// [`NoAnswer`]. A status that says no is an answer.
    pub async fn send(&self, request: &Request) -> Result<Received, NoAnswer> {
        tokio::time::timeout(TOTAL_TIMEOUT, self.exchange(request)).await.unwrap_or(Err(NoAnswer::TimedOut))
    }

    async fn exchange(&self, request: &Request) -> Result<Received, NoAnswer> {
        let mut sent = http::Request::new(Full::new(request.body.clone()));
        *sent.method_mut() = request.method.clone();
        *sent.uri_mut() = destination(&request.url, self.way.names.are_named())?;
        *sent.headers_mut() = request.headers.clone();
        sent.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let mut response = self.client.request(sent).await.map_err(|why| no_answer(&why))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let expected = response.body().size_hint().exact().map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        if expected.is_some_and(|len| len > LONGEST_BODY) {
            return Err(NoAnswer::TooLarge);
        }
        // Room for all of it from the start, where the length is said: a buffer that grows leaves copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(expected.unwrap_or(16 * 1024)));
        while let Some(frame) = response.frame().await {
            let Ok(chunk) = frame.map_err(|_| NoAnswer::Unreachable)?.into_data() else { continue };
            if body.len() + chunk.len() > LONGEST_BODY {
                return Err(NoAnswer::TooLarge);
            }
            if body.len() + chunk.len() > body.capacity() {
                let mut larger = Zeroizing::new(Vec::with_capacity((body.len() + chunk.len()) * 2));
                larger.extend_from_slice(&body);
                body = larger;
            }
            body.extend_from_slice(&chunk);
            wipe(chunk);
        }
        Ok(Received { status, headers, body: Wiped(body).into() })
    }
}

/// `https`, a host that is a name, the standard port, and nobody's name or password in it: an address instead of a name would be
/// connected to without being looked up. Where an operator `named` the host, a port may be there, and an address of a host.
fn destination(url: &Url, named: bool) -> Result<Uri, NoAnswer> {
    let forbidden = NoAnswer::NotResolved(NotResolved::AddressForbidden);
    let host = match url.host() {
        Some(Host::Domain(_)) => true,
        Some(Host::Ipv4(address)) => named && is_a_host(address.into()),
        Some(Host::Ipv6(address)) => named && is_a_host(address.into()),
        None => false,
    };
    let port = named || url.port().is_none();
    if !host || !port || url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return Err(forbidden);
    }
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let uri = Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(path).build();
    uri.map_err(|_| forbidden)
}

/// The authorities in this PEM, of which there is at least one.
pub(crate) fn authorities(pem: &[u8]) -> Result<rustls::RootCertStore, ConnectorRefused> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = read.ok().filter(|all| !all.is_empty()).ok_or(ConnectorRefused::CertificateUnreadable)?;
    let mut roots = rustls::RootCertStore::empty();
    for authority in found {
        roots.add(authority).map_err(|_| ConnectorRefused::CertificateUnreadable)?;
    }
    Ok(roots)
}

/// TLS with the one provider of cryptography, trusting nobody yet.
pub(crate) fn tls() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, ConnectorRefused> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| ConnectorRefused::Tls)
}

fn no_answer(why: &(dyn StdError + 'static)) -> NoAnswer {
    let mut cause = Some(why);
    while let Some(error) = cause {
        if let Some(not_resolved) = error.downcast_ref::<NotResolved>() {
            return NoAnswer::NotResolved(*not_resolved);
        }
        cause = error.source();
    }
    NoAnswer::Unreachable
}
