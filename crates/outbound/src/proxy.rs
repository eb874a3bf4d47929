//! How a connection is made through a proxy that an operator named: `CONNECT` to the address that was checked.
//!
//! The proxy is told an address and not the name, so that nobody resolves the name a second time; TLS goes through to the vault,
//! with its name and its certificate. Only a proxy that speaks plain HTTP is known, because it is asked for nothing but a
//! tunnel and learns nothing but where it leads.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::{Host, Url};

/// The longest answer to `CONNECT`.
const LONGEST_HEAD: usize = 8 * 1024;

/// Where a proxy is: host and port. It may be at any address; the operator named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
}

/// The text names no proxy that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// Not `http://HOST:PORT`.
    #[error("write \"http://HOST:PORT\"")]
    Form,
    /// With a name or a password in it.
    #[error("a proxy that asks for a password is not supported, and none belongs into this file")]
    Password,
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let url = Url::parse(text).map_err(|_| InvalidProxy::Form)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidProxy::Password);
        }
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(InvalidProxy::Form),
        };
        let port = url.port_or_known_default().filter(|_| bare && url.scheme() == "http").ok_or(InvalidProxy::Form)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Proxy {
    /// A tunnel to this address.
    pub(crate) async fn tunnel(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).await?;
        // Byte by byte: what comes behind the head is the vault's already.
        let mut head = Vec::with_capacity(256);
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == LONGEST_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            head.push(stream.read_u8().await?);
        }
        let opened = head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.0 200");
        if opened { Ok(stream) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy is a host and a port, and nothing that a slip of the pen could make of it.
    #[test]
    fn a_proxy_is_read_exactly() {
        for (text, host, port) in [
            ("http://proxy.example:3128", "proxy.example", 3128),
            ("http://10.0.0.9:8080/", "10.0.0.9", 8080),
            ("http://[fd00::9]:8080", "fd00::9", 8080),
            ("http://proxy.example", "proxy.example", 80),
        ] {
            assert_eq!(text.parse(), Ok(Proxy { host: host.to_owned(), port }), "{text}");
        }
        for (text, why) in [
            ("proxy.example:3128", InvalidProxy::Form),
            ("https://proxy.example:3128", InvalidProxy::Form),
            ("socks5://proxy.example:1080", InvalidProxy::Form),
            ("http://proxy.example:3128/path", InvalidProxy::Form),
            ("http://proxy.example:3128/?q", InvalidProxy::Form),
            ("http://", InvalidProxy::Form),
            ("", InvalidProxy::Form),
            ("http://user:word@proxy.example:3128", InvalidProxy::Password),
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(why), "{text}");
        }
    }
}
