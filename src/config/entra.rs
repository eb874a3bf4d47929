//! Whether customers' admins are offered pages to connect their directory, and where.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::document::Section;

/// The pages, and what is asked of who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entra {
    /// Where they are; absent: no pages are offered.
    pub pages: Option<EntraPages>,
    /// Whether somebody has to have signed in to a directory before a key in it passes a test.
    pub require_sign_in: bool,
}

/// The listener for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntraPages {
    /// The address and port; TLS only.
    pub address: SocketAddr,
    /// PEM: the server's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// PEM: its private key, readable by us alone.
    pub key: PathBuf,
    /// How browsers reach it, such as `https://keys.example.com`: what the redirect addresses of the registration begin with.
    pub public_url: String,
}

/// The table `[entra]`; without it no page is offered and nobody has to sign in.
pub(super) fn entra(mut section: Section<'_, '_>, file: &impl Fn(&str) -> PathBuf) -> Entra {
    let none = Entra { pages: None, require_sign_in: false };
    if !section.is_present() {
        return none;
    }
    let require = section.one_of("require_sign_in", &[("yes", true), ("no", false)]);
    let listens = section.has("listen") || section.has("public_url");
    if !listens {
        if require == Some(true) {
            section.fault(
                "require_sign_in",
                "asks for a sign-in that no page offers",
                "set listen and public_url as well",
            );
        }
        section.close();
        return none;
    }
    let listen = section.required("listen", "write an IP address and port; plaintext is not served");
    let address = listen.and_then(|text| {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            section.fault(
                "listen",
                "is not an address and port",
                "write an IP address and port, such as \"0.0.0.0:7482\"",
            );
        }
        parsed
    });
    let certificate = section.required("certificate", "write the path of the certificate's PEM file").map(file);
    let key = section.required("key", "write the path of the private key's PEM file").map(file);
    let public_url =
        section.required("public_url", "write how browsers reach the pages, such as \"https://keys.example.com\"");
    let public_url = public_url.and_then(|text| {
        let origin = is_origin(text);
        if !origin {
            section.fault(
                "public_url",
                "is not an https address without a path",
                "write it as \"https://keys.example.com\"; the registration's redirect addresses begin with it",
            );
        }
        origin.then(|| text.to_owned())
    });
    section.close();
    let pages = match (address, certificate, key, public_url) {
        (Some(address), Some(certificate), Some(key), Some(public_url)) => {
            Some(EntraPages { address, certificate, key, public_url })
        }
        _ => None,
    };
    Entra { pages, require_sign_in: require.unwrap_or(false) }
}

/// A scheme, a host and perhaps a port: nothing that a redirect address could not begin with.
fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| !label.is_empty() && label.bytes().all(letters);
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What redirect addresses begin with is an origin: no path, no user, no plaintext.
    #[test]
    fn a_public_address_is_an_origin() {
        for good in ["https://keys.example.com", "https://keys.example.com:8443"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "http://keys.example.com",
            "https://",
            "https://keys.example.com/",
            "https://a@keys.example.com",
            "https://Keys.example.com",
            "https://keys..com",
            "https://keys.example.com:0",
            "https://keys.example.com?x",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
