//! Where the daemon can be reached: TLS on a TCP port or a Unix socket, and nothing else in production.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::peer::Peer;
use super::tls::ServerTls;
use super::transport::{Kind, Transport};
use super::unix::{self, SocketFile};

/// How long the accept loop rests after an error, so that a lack of file descriptors does not spin.
pub(super) const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// A place bound and ready to take connections.
pub struct Listener(Bound);

enum Bound {
    Tcp { listener: std::net::TcpListener, address: SocketAddr, tls: Option<Arc<ServerTls>> },
    Unix { listener: std::os::unix::net::UnixListener, file: SocketFile, path: PathBuf },
}

/// Where a listener stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address and port.
    Tcp(SocketAddr),
    /// A socket's path.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a place could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BindRefused {
    /// Another process listens there.
    #[error("{address} is in use by another process")]
    PortBusy {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The operating system keeps this port to itself.
    #[error("this user may not listen on {address}")]
    PortForbidden {
        /// The address asked for.
        address: SocketAddr,
    },
    /// This host does not have the address.
    #[error("{address} is not an address of this host")]
    NotOurAddress {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Any other failure to listen on a port.
    #[error("cannot listen on {address}: {cause}")]
    Port {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        cause: io::Error,
    },
    /// Plaintext is for loopback only.
    #[error("{address} is not a loopback address, and plaintext is served on loopback only")]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Another process listens on this socket.
    #[error("another process is listening on {}", path.display())]
    SocketBusy {
        /// The socket's path.
        path: PathBuf,
    },
    /// Something else stands there.
    #[error("{} exists and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The folder is not there.
    #[error("the folder of {} does not exist", path.display())]
    NoSuchFolder {
        /// The path.
        path: PathBuf,
    },
    /// The kernel's bound on socket paths.
    #[error("{} is longer than the {longest} bytes a socket's path may have", path.display())]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// The bound.
        longest: usize,
    },
    /// Any other failure to listen on a socket.
    #[error("cannot listen on {}: {cause}", path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
}

impl BindRefused {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::PortBusy { .. } => "stop that process (`ss -ltnp` names it) or choose another port",
            Self::PortForbidden { .. } => {
                "choose a port above 1023, or give the service the capability CAP_NET_BIND_SERVICE"
            }
            Self::NotOurAddress { .. } => "use an address of this host, or 0.0.0.0 for all of them",
            Self::Port { .. } => "check the address and the operating system's limits",
            Self::NotLoopback { .. } => "use 127.0.0.1 or [::1], or serve TLS",
            Self::SocketBusy { .. } => "stop that process, or choose another path",
            Self::NotASocket { .. } => "it was left as it is: move it away or choose another path",
            Self::NoSuchFolder { .. } => "create the folder; under systemd, RuntimeDirectory= does",
            Self::SocketPathTooLong { .. } => "choose a shorter path, such as /run/byokd/byokd.sock",
            Self::Socket { .. } => "check the permissions of the socket's folder",
        }
    }
}

impl Listener {
    /// TLS on a TCP port; port 0 lets the system choose.
    pub fn tls(address: SocketAddr, tls: Arc<ServerTls>) -> Result<Self, BindRefused> {
        Self::tcp(address, Some(tls))
    }

    /// A Unix socket with these permission bits. A dead socket at the path is replaced.
    pub fn unix(path: &Path, mode: u32) -> Result<Self, BindRefused> {
        let (listener, file) = unix::bind(path, mode)?;
        listener.set_nonblocking(true).map_err(|cause| BindRefused::Socket { path: path.into(), cause })?;
        Ok(Self(Bound::Unix { listener, file, path: path.into() }))
    }

    /// Plaintext on a loopback port, for development and for figures.
    pub fn plaintext_loopback(address: SocketAddr) -> Result<Self, BindRefused> {
        if !address.ip().is_loopback() {
            return Err(BindRefused::NotLoopback { address });
        }
        Self::tcp(address, None)
    }

    fn tcp(address: SocketAddr, tls: Option<Arc<ServerTls>>) -> Result<Self, BindRefused> {
        let refused = |cause: io::Error| match cause.kind() {
            ErrorKind::AddrInUse => BindRefused::PortBusy { address },
            ErrorKind::PermissionDenied => BindRefused::PortForbidden { address },
            ErrorKind::AddrNotAvailable => BindRefused::NotOurAddress { address },
            _ => BindRefused::Port { address, cause },
        };
        let listener = std::net::TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self(Bound::Tcp { listener, address, tls }))
    }

    /// Its certificates, to be read again while it runs.
    pub fn certificates(&self) -> Option<Arc<ServerTls>> {
        match &self.0 {
            Bound::Tcp { tls, .. } => tls.clone(),
            Bound::Unix { .. } => None,
        }
    }

    /// Where it stands; with the port the system chose.
    pub fn address(&self) -> Address {
        match &self.0 {
            Bound::Tcp { address, .. } => Address::Tcp(*address),
            Bound::Unix { path, .. } => Address::Unix(path.clone()),
        }
    }

    /// Hands the listener to the runtime of the caller.
    pub(super) fn into_accept(self) -> Result<Accept, BindRefused> {
        match self.0 {
            Bound::Tcp { listener, address, tls } => {
                let listener = TcpListener::from_std(listener).map_err(|cause| BindRefused::Port { address, cause })?;
                Ok(Accept::Tcp(listener, tls))
            }
            Bound::Unix { listener, file, path } => {
                let listener = UnixListener::from_std(listener).map_err(|cause| BindRefused::Socket { path, cause })?;
                Ok(Accept::Unix(listener, file))
            }
        }
    }
}

/// A listener on the runtime.
pub(super) enum Accept {
    Tcp(TcpListener, Option<Arc<ServerTls>>),
    Unix(UnixListener, #[expect(dead_code, reason = "held: its drop removes the socket's file")] SocketFile),
}

impl Accept {
    /// The next connection, not yet bound to an event loop.
    pub(super) async fn next(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream.into_std()?, tls.clone()))
            }
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0.into_std()?)),
        }
    }
}

/// A connection on its way to the event loop that will serve it.
pub(super) enum Accepted {
    Tcp(std::net::TcpStream, Option<Arc<ServerTls>>),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// Joins the event loop of the caller and makes the handshake, in at most `limit`. A peer that fails is not told why.
    pub(super) async fn open(self, limit: Duration) -> Option<Transport> {
        let mut peer = None;
        let kind = match self {
            Self::Unix(stream) => Kind::Unix(UnixStream::from_std(stream).ok()?),
            Self::Tcp(stream, tls) => {
                let stream = TcpStream::from_std(stream).ok()?;
                match tls {
                    Some(tls) => {
                        let (config, generation) = tls.config();
                        let shaken = tokio::time::timeout(limit, TlsAcceptor::from(config).accept(stream)).await;
                        let stream = shaken.ok()?.ok()?;
                        if let Some(chain) = stream.get_ref().1.peer_certificates() {
                            peer = Some(Arc::new(Peer::read(tls, chain, generation)?));
                        }
                        Kind::Tls(Box::new(stream))
                    }
                    None => plaintext(stream)?,
                }
            }
        };
        Some(Transport::new(kind, peer))
    }
}

/// Plaintext TCP exists only where `Listener::plaintext_loopback` does.
#[cfg(feature = "dev")]
fn plaintext(stream: TcpStream) -> Option<Kind> {
    Some(Kind::Plain(stream))
}

#[cfg(not(feature = "dev"))]
fn plaintext(_: TcpStream) -> Option<Kind> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A busy port is named with what to do; the daemon never shares it.
    #[cfg(feature = "dev")]
    #[test]
    fn a_busy_port_is_refused() {
        let first = Listener::plaintext_loopback("127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(taken) = first.address() else { panic!("a TCP listener has a TCP address") };
        assert!(matches!(Listener::plaintext_loopback(taken), Err(BindRefused::PortBusy { .. })));
    }

    /// Plaintext never leaves the host.
    #[cfg(feature = "dev")]
    #[test]
    fn plaintext_is_refused_beyond_loopback() {
        for beyond in ["0.0.0.0:0", "192.0.2.1:7443", "[::]:0"] {
            let refused = Listener::plaintext_loopback(beyond.parse().unwrap());
            assert!(matches!(refused, Err(BindRefused::NotLoopback { .. })), "{beyond}");
        }
    }
}
