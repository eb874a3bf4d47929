//! Where the service listens, in the three forms that keep a token and plaintexts off an open network.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where a byokd listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `unix:/path`: a Unix socket; the file's permissions decide who may connect.
    Unix(PathBuf),
    /// `https://host:port`: TLS, checked against the authorities that [`crate::Options::ca_pem`] holds.
    Tls {
        /// A host name or an IP address (IPv6 in brackets).
        host: String,
        /// 443 if absent.
        port: u16,
    },
    /// `http://127.0.0.1:port`: plaintext, which exists for loopback only.
    Loopback(SocketAddr),
}

/// Why a text does not say where a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// None of the three forms.
    #[error("an address looks like unix:/run/byokd.sock, https://byokd.example:443 or http://127.0.0.1:7443")]
    Form,
    /// Plaintext to somewhere else: the token and the plaintexts would travel in the clear.
    #[error("http:// is for 127.0.0.1 and [::1] only, with a port; use https:// for another host")]
    PlaintextOffHost,
    /// A socket path that is not absolute.
    #[error("the path of a Unix socket must be absolute, such as unix:/run/byokd.sock")]
    RelativeSocket,
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(InvalidEndpoint::RelativeSocket) };
        }
        let uri: http::Uri = text.parse().map_err(|_| InvalidEndpoint::Form)?;
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or(InvalidEndpoint::Form)?;
        if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
            return Err(InvalidEndpoint::Form);
        }
        match uri.scheme_str() {
            Some("https") => {
                let port = match (authority.port_u16(), authority.as_str().rsplit_once(':')) {
                    (Some(0), _) => return Err(InvalidEndpoint::Form),
                    (Some(port), _) => port,
                    // `host:` and `host:99999` have a colon and no port.
                    (None, Some((_, tail))) if !tail.ends_with(']') => return Err(InvalidEndpoint::Form),
                    (None, _) => 443,
                };
                Ok(Self::Tls { host: authority.host().to_owned(), port })
            }
            Some("http") => {
                let host = authority.host().trim_start_matches('[').trim_end_matches(']');
                let ip: IpAddr = host.parse().map_err(|_| InvalidEndpoint::PlaintextOffHost)?;
                let port = authority.port_u16().filter(|p| *p != 0).ok_or(InvalidEndpoint::PlaintextOffHost)?;
                let loopback = ip.is_loopback().then_some(Self::Loopback(SocketAddr::new(ip, port)));
                loopback.ok_or(InvalidEndpoint::PlaintextOffHost)
            }
            Some(_) | None => Err(InvalidEndpoint::Form),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls { host, port } => write!(f, "https://{host}:{port}"),
            Self::Loopback(addr) => write!(f, "http://{addr}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each form is read, and printed as it was typed.
    #[test]
    fn the_three_forms_are_read_and_printed() {
        for text in [
            "unix:/run/byokd.sock",
            "https://byokd.example:7444",
            "https://[2001:db8::1]:443",
            "http://127.0.0.1:7443",
            "http://[::1]:7443",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        let tls = "https://byokd.example".parse::<Endpoint>().unwrap();
        assert_eq!(tls, Endpoint::Tls { host: "byokd.example".into(), port: 443 });
    }

    /// A token never travels in the clear to another machine, whatever the address looks like.
    #[test]
    fn plaintext_leaves_this_machine_under_no_spelling() {
        for text in [
            "http://10.0.0.1:7443",
            "http://byokd.example:7443",
            "http://localhost:7443", // a name: whoever answers for it decides where it leads
            "http://127.0.0.1.example:7443",
            "http://0.0.0.0:7443",
            "http://127.0.0.1",
            "http://2130706433:80",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(InvalidEndpoint::PlaintextOffHost), "{text}");
        }
        assert!("http://127.0.0.1@evil.example:80".parse::<Endpoint>().is_err());
    }

    /// What is no address is refused with the forms that are.
    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "byokd", "127.0.0.1:7443", "ftp://x:1", "https://", "https://a:99999", "https://a:0", "https://a/b"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?} was accepted");
        }
        assert_eq!("unix:run/byokd.sock".parse::<Endpoint>(), Err(InvalidEndpoint::RelativeSocket));
    }
}
