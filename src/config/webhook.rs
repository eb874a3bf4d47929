//! Where Event Grid may reach us.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::document::Section;

/// The listener for Event Grid's deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address and port; TLS only.
    pub address: SocketAddr,
    /// PEM: the server's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// PEM: its private key, readable by us alone.
    pub key: PathBuf,
    /// The accepted secrets, one a line, readable by us alone.
    pub secret_file: PathBuf,
}

/// The table `[webhook]`; without it nothing listens.
pub(super) fn webhook(mut section: Section<'_, '_>, file: &impl Fn(&str) -> PathBuf) -> Option<Webhook> {
    if !section.is_present() {
        return None;
    }
    let tls = section.required("tls", "write an IP address and port; plaintext is not served");
    let address = tls.and_then(|text| {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            section.fault(
                "tls",
                "is not an address and port",
                "write an IP address and port, such as \"0.0.0.0:7481\"",
            );
        }
        parsed
    });
    let certificate = section.required("certificate", "write the path of the certificate's PEM file").map(file);
    let key = section.required("key", "write the path of the private key's PEM file").map(file);
    let secret_file = section.required("secret_file", "write the path of a file with one secret a line").map(file);
    section.close();
    Some(Webhook { address: address?, certificate: certificate?, key: key?, secret_file: secret_file? })
}
