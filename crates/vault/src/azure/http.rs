//! The one HTTP client for all vaults and directories, and the only place that sends.
//!
//! Shared, because the SDK would otherwise make a client for each credential and each vault. It follows no redirect, asks
//! no proxy of the environment, speaks nothing but TLS, and reads no answer longer than any real one.

use std::{error::Error as StdError, net::IpAddr, sync::Arc, time::Duration};

use azure_core::{
    Bytes,
    http::{Body, Request, headers::Headers},
};
use zeroize::{Zeroize, Zeroizing};

use super::resolve::{CheckedNames, Names, Resolver};
#[cfg(feature = "development-connector")]
use super::{
    DevelopmentConnector,
    resolve::{KnownNames, LoopbackNames},
};
use crate::KeyUnavailable;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection waits for another call. What is busy, a rotation or a herd of cold keys, keeps its connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// The last resort: every caller has a deadline of its own, and a shorter one.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// A page of 25 versions is the longest answer, some 10 KiB.
const LONGEST_BODY: usize = 256 * 1024;

/// Bytes that are wiped when their last reader is done.
pub(super) struct Wiped(pub(super) Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Wiped> for Bytes {
    fn from(wiped: Wiped) -> Self {
        Self::from_owner(wiped)
    }
}

/// A whole answer. The body is wiped with its last copy.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

/// Why no whole answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// No connection, or it broke.
    Unreachable,
    /// The name leads nowhere, or where it must not.
    NotResolved(KeyUnavailable),
    /// The client's own last resort.
    TimedOut,
    /// Longer than any real answer.
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

/// Makes a client of the same kind.
type Make = dyn Fn() -> Result<reqwest::Client, ConnectorRefused> + Send + Sync;

/// The shared client.
#[derive(Clone)]
pub(super) struct Sender {
    client: reqwest::Client,
    make: Arc<Make>,
    names: Arc<dyn Names>,
}

impl Sender {
    fn builder() -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(true)
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            // One request a connection at a time: a call that is given up takes its connection with it. Over HTTP/2 the next
            // calls would go into the same silent connection.
            .http1_only()
            .tcp_keepalive(Duration::from_secs(15))
            // The buffers of a connection hold the last answer, perhaps an unwrapped key, until another comes or it is closed.
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(32)
            .tcp_nodelay(true)
            .tls_backend_rustls()
    }

    /// Reaches vaults and directories where they are.
    pub(super) fn production() -> Result<Self, ConnectorRefused> {
        Self::with(Arc::new(CheckedNames), Self::builder)
    }

    fn with(
        names: Arc<dyn Names>,
        builder: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, ConnectorRefused> {
        let resolver = Arc::new(Resolver(Arc::clone(&names)));
        let make: Arc<Make> =
            Arc::new(move || builder().dns_resolver(Arc::clone(&resolver)).build().map_err(|_| ConnectorRefused::Tls));
        Ok(Self { client: make()?, make, names })
    }

    /// The same way, with nothing kept from before: no connection, and no TLS session, whose resumption would show no
    /// certificate. For who asks whether a connection can be made.
    pub(super) fn anew(&self) -> Result<Self, KeyUnavailable> {
        let client = (self.make)().map_err(|_| KeyUnavailable::Unreachable)?;
        Ok(Self { client, ..self.clone() })
    }

    /// The addresses that a connection to this name would be made to.
    pub(super) async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, KeyUnavailable> {
        Ok(self.names.look_up(host).await?.into_iter().map(|address| address.ip()).collect())
    }

    /// Reaches an emulator on this machine, and nothing else: names lead to its address, and only its CA is trusted.
    #[cfg(feature = "development-connector")]
    pub(super) fn development(connector: &DevelopmentConnector, known: KnownNames) -> Result<Self, ConnectorRefused> {
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

    /// Sends one request and reads its whole answer. The caller has checked where it goes.
    pub(super) async fn send(&self, request: &Request) -> Result<Received, NoAnswer> {
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes());
        let mut sent = self.client.request(method.expect("the SDK's methods are HTTP's"), request.url().clone());
        for (name, value) in request.headers().iter() {
            sent = sent.header(name.as_str(), value.as_str());
        }
        sent = match request.body() {
            Body::Bytes(bytes) => sent.body(bytes.clone()),
            Body::SeekableStream(stream) => sent.body(reqwest::Body::wrap_stream(stream.clone())),
        };
        let mut response = sent.send().await.map_err(|why| no_answer(&why))?;
        let status = response.status().as_u16();
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        let expected = response.content_length().and_then(|len| usize::try_from(len).ok());
        if expected.is_some_and(|len| len > LONGEST_BODY) {
            return Err(NoAnswer::TooLarge);
        }
        // Room for all of it from the start, where the length is said: a buffer that grows leaves copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(expected.unwrap_or(16 * 1024)));
        while let Some(chunk) = response.chunk().await.map_err(|why| no_answer(&why))? {
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

/// Wipes a buffer nobody else holds. (TLS and HTTP keep buffers of their own for a moment; those are out of reach.)
pub(super) fn wipe(bytes: Bytes) {
    if let Ok(mut unique) = bytes.try_into_mut() {
        unique.as_mut().zeroize();
    }
}

fn no_answer(why: &reqwest::Error) -> NoAnswer {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(why);
    while let Some(error) = cause {
        if let Some(not_resolved) = error.downcast_ref::<KeyUnavailable>() {
            return NoAnswer::NotResolved(not_resolved.clone());
        }
        cause = error.source();
    }
    // A connection that does not come about in time is no connection; only a request that was sent times out.
    if why.is_timeout() && !why.is_connect() { NoAnswer::TimedOut } else { NoAnswer::Unreachable }
}
