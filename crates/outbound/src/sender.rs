//! The one HTTP client for all vaults and directories, and the only place that sends.
//!
//! Shared, because an SDK would otherwise make a client for each credential and each vault. It follows no redirect, asks
//! no proxy of the environment, speaks nothing but TLS, and reads no answer longer than any real one.

use std::{error::Error as StdError, net::IpAddr, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use crate::{
    message::{Received, Request, Wiped, wipe},
    resolve::{CheckedNames, Names, NotResolved, Resolver},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The last resort: every caller has a deadline of its own, and a shorter one.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// A page of 25 versions is the longest answer, some 10 KiB.
const LONGEST_BODY: usize = 256 * 1024;

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

/// Makes a client of the same kind.
type Make = dyn Fn() -> Result<reqwest::Client, ConnectorRefused> + Send + Sync;

/// The shared client.
#[derive(Clone)]
pub struct Sender {
    client: reqwest::Client,
    make: Arc<Make>,
    names: Arc<dyn Names>,
}

impl Sender {
    pub(crate) fn builder() -> reqwest::ClientBuilder {
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
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(32)
            .tcp_nodelay(true)
            .tls_backend_rustls()
    }

    /// Reaches vaults and directories where they are.
    ///
    /// # Errors
    /// [`ConnectorRefused::Tls`].
    pub fn production() -> Result<Self, ConnectorRefused> {
        Self::with(Arc::new(CheckedNames), Self::builder)
    }

    pub(crate) fn with(
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
    ///
    /// # Errors
    /// [`ConnectorRefused::Tls`].
    pub fn anew(&self) -> Result<Self, ConnectorRefused> {
        Ok(Self { client: (self.make)()?, ..self.clone() })
    }

    /// The addresses that a connection to this name would be made to.
    ///
    /// # Errors
    /// [`NotResolved`].
    pub async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, NotResolved> {
        Ok(self.names.look_up(host).await?.into_iter().map(|address| address.ip()).collect())
    }

    /// Sends one request and reads its whole answer. The caller has checked where it goes.
    ///
    /// # Errors
    /// [`NoAnswer`]. A status that says no is an answer.
    pub async fn send(&self, request: &Request) -> Result<Received, NoAnswer> {
        let Request { method, url, headers, body } = request;
        let sent = self.client.request(method.clone(), url.clone()).headers(headers.clone()).body(body.clone());
        let mut response = sent.send().await.map_err(|why| no_answer(&why))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
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

fn no_answer(why: &reqwest::Error) -> NoAnswer {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(why);
    while let Some(error) = cause {
        if let Some(not_resolved) = error.downcast_ref::<NotResolved>() {
            return NoAnswer::NotResolved(*not_resolved);
        }
        cause = error.source();
    }
    // A connection that does not come about in time is no connection; only a request that was sent times out.
    if why.is_timeout() && !why.is_connect() { NoAnswer::TimedOut } else { NoAnswer::Unreachable }
}
