//! How a connection is made: the name is resolved once, every address of the answer is checked, the connection goes to one of
//! them, and TLS is spoken with the name.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http::Uri;
use hyper::rt::ReadBufCursor;
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, dns::Name},
    rt::TokioIo,
};
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::{Service, ServiceExt};

use crate::{
    range::Ranges,
    resolve::{Names, NotResolved},
    rules::Rules,
    sender::ConnectorRefused,
};

/// Until TLS is spoken, looking the name up included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Makes a TLS configuration that has met nobody yet: without a session to resume, a certificate is shown.
pub(crate) type MakeTls = dyn Fn() -> Result<rustls::ClientConfig, ConnectorRefused> + Send + Sync;

/// What all connections have in common.
pub(crate) struct Way {
    pub(crate) names: Arc<dyn Names>,
    pub(crate) rules: Rules,
    pub(crate) tls: Box<MakeTls>,
}

impl Way {
    /// The addresses of this host, all of which may be used by who was approved `approved`.
    pub(crate) async fn look_up(&self, host: &str, approved: &Ranges) -> Result<Vec<IpAddr>, NotResolved> {
        let found = self.names.look_up(host).await?;
        if found.is_empty() || !found.iter().all(|address| self.names.is_the_only_place(*address)) {
            self.rules.admit(&found, approved)?;
        }
        Ok(found)
    }
}

/// Gives the TCP connector the checked addresses of a name.
#[derive(Clone)]
struct Checked {
    way: Arc<Way>,
    approved: Ranges,
}

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NotResolved;
    type Future = BoxFuture<'static, Result<Self::Response, NotResolved>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotResolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { way, approved } = self.clone();
        async move {
            let checked = way.look_up(name.as_str(), &approved).await?;
            Ok(checked.into_iter().map(|address| way.names.socket(address)).collect::<Vec<_>>().into_iter())
        }
        .boxed()
    }
}

/// Makes connections for the pool of one client.
#[derive(Clone)]
pub(crate) struct Connector {
    checked: Checked,
    tcp: HttpConnector<Checked>,
    tls: TlsConnector,
}

/// Kept whole, so that who asks can tell a name that must not be followed from a line that is down.
type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Connector {
    pub(crate) fn new(way: &Arc<Way>, approved: &Ranges) -> Result<Self, ConnectorRefused> {
        let mut tls = (way.tls)()?;
        // One request a connection at a time: a call that is given up takes its connection with it. Over HTTP/2 the next calls
        // would go into the same silent connection.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let checked = Checked { way: Arc::clone(way), approved: approved.clone() };
        let mut tcp = HttpConnector::new_with_resolver(checked.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Ok(Self { checked, tcp, tls: TlsConnector::from(Arc::new(tls)) })
    }

    async fn open(self, to: Uri) -> Result<Stream, Cause> {
        // An IPv6 address stands in brackets in a URL, and nowhere else.
        let host = to.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host).to_owned();
        let name = ServerName::try_from(host.clone())?;
        let tcp = match &self.checked.way.rules.proxy {
            None => self.tcp.oneshot(to).await?.into_inner(),
            Some(proxy) => {
                let mut last = Cause::from(NotResolved::NameUnknown);
                let mut through = None;
                for address in self.checked.way.look_up(&host, &self.checked.approved).await? {
                    match proxy.tunnel(SocketAddr::new(address, 443)).await {
                        Ok(tunnel) => {
                            through = Some(tunnel);
                            break;
                        }
                        Err(cause) => last = cause.into(),
                    }
                }
                through.ok_or(last)?
            }
        };
        Ok(Stream(TokioIo::new(self.tls.connect(name, tcp).await?)))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Cause;
    type Future = BoxFuture<'static, Result<Stream, Cause>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let opened = timeout(CONNECT_TIMEOUT, self.clone().open(to));
        opened.map_err(Cause::from).and_then(std::future::ready).boxed()
    }
}

/// A TLS connection to a checked address.
pub(crate) struct Stream(TokioIo<TlsStream<TcpStream>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}
