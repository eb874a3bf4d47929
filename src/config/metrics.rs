//! Where an operator's Prometheus reads figures.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::document::Section;

/// The listener for figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metrics {
    /// Plain HTTP on a loopback port.
    Loopback(SocketAddr),
    /// Plain HTTP on a Unix socket, for this user and its group.
    Unix(PathBuf),
}

/// The table `[metrics]`; without it nothing listens.
pub(super) fn metrics(mut section: Section<'_, '_>, file: &impl Fn(&str) -> PathBuf) -> Option<Metrics> {
    let hint = "write a loopback address and port, such as \"127.0.0.1:9464\", or `unix = \"PATH\"`";
    let (listen, unix) = (section.text("listen"), section.text("unix"));
    let metrics = match (listen, unix) {
        _ if !section.is_present() => return None,
        (Some(text), None) => {
            let parsed = text.parse::<SocketAddr>().ok();
            match parsed {
                None => section.fault("listen", "is not an address and port", hint),
                Some(address) if !address.ip().is_loopback() => {
                    let hint = "write 127.0.0.1 or [::1]; what has to read from elsewhere reads through a proxy with TLS and a login of yours";
                    section.fault("listen", "is not a loopback address, and figures are served without TLS", hint);
                }
                Some(_) => {}
            }
            parsed.map(Metrics::Loopback)
        }
        (None, Some(path)) => Some(Metrics::Unix(file(path))),
        (None, None) | (Some(_), Some(_)) => {
            section.fault("", "a place for figures is either `listen` or `unix`", hint);
            None
        }
    };
    section.close();
    metrics
}
