//! Where callers are heard, and what one of them may take.

use std::path::PathBuf;
use std::time::Duration;

use super::document::Section;
use super::{LONGEST, Listen};
use crate::serve::{ClientCertificates, Limits, TlsFiles};

/// One table `[[listen]]`.
pub(super) fn listen(mut one: Section<'_, '_>, file: &impl Fn(&str) -> PathBuf) -> Option<Listen> {
    let (tls, unix) = (one.text("tls"), one.text("unix"));
    let listen = match (tls, unix) {
        (Some(address), None) => {
            let parsed = address.parse().ok();
            if parsed.is_none() {
                one.fault(
                    "tls",
                    "is not an address and port",
                    "write an IP address and port, such as \"0.0.0.0:7444\"",
                );
            }
            let certificate = one.required("certificate", "write the path of the certificate's PEM file").map(file);
            let key = one.required("key", "write the path of the private key's PEM file").map(file);
            let client_authorities = one.text("client_authorities").map(file);
            let words = [("optional", ClientCertificates::Optional), ("required", ClientCertificates::Required)];
            let client_certificates = one.one_of("client_certificates", &words).unwrap_or_default();
            if client_authorities.is_none() && one.has("client_certificates") {
                one.fault(
                    "client_certificates",
                    "nobody could vouch for them",
                    "write `client_authorities`, the path of the authorities' PEM file, or leave both out",
                );
            }
            let files = certificate.zip(key).map(|(certificate, key)| TlsFiles {
                certificate,
                key,
                client_authorities,
                client_certificates,
            });
            parsed.zip(files).map(|(address, files)| Listen::Tls { address, files })
        }
        (None, Some(path)) => {
            let mode = match one.text("mode") {
                None => Some(0o600),
                Some(text) => {
                    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600);
                    if mode.is_none() {
                        one.fault("mode", "is not a socket's permissions", "write octal digits, such as \"0660\"");
                    }
                    mode
                }
            };
            mode.map(|mode| Listen::Unix { path: file(path), mode })
        }
        _ => {
            let hint = "write `unix = \"PATH\"`, or `tls = \"ADDRESS:PORT\"`; plaintext TCP is not served";
            one.fault("", "a place to listen on is either `tls` or `unix`", hint);
            // Known in one of the two forms: naming them unknown as well would mislead.
            for key in ["certificate", "key", "mode", "client_authorities", "client_certificates"] {
                let _ = one.text(key);
            }
            None
        }
    };
    one.close();
    listen
}

/// The table `[limits]`.
pub(super) fn limits(mut section: Section<'_, '_>) -> Limits {
    let usual = Limits::default();
    let second = Duration::from_secs(1);
    let size = |count: Option<u64>, usual: usize| count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usual);
    let limits = Limits {
        connections: size(section.count("connections", 1..1_000_001), usual.connections),
        streams_per_connection: section
            .count("streams_per_connection", 1..10_001)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(usual.streams_per_connection),
        calls_per_connection: size(section.count("calls_per_connection", 1..10_001), usual.calls_per_connection),
        handshake: section.duration("handshake", second / 10, second * 60).unwrap_or(usual.handshake),
        idle: section.duration("idle", second, LONGEST).unwrap_or(usual.idle),
        age: section.duration("age", second, LONGEST).unwrap_or(usual.age),
        age_grace: section.duration("age_grace", second / 10, LONGEST).unwrap_or(usual.age_grace),
        longest_call: section.duration("longest_call", second / 10, second * 600).unwrap_or(usual.longest_call),
        drain: section.duration("drain", second / 10, second * 3_600).unwrap_or(usual.drain),
    };
    section.close();
    limits
}
