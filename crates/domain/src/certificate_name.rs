//! By which name of its certificate a caller is known.

use std::fmt;
use std::str::FromStr;

/// The name by which a certificate's holder is known: a SPIFFE ID or a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateName(Box<str>);

/// Why a text names no certificate's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificateName {
    /// Neither form.
    #[error(
        "write a SPIFFE ID such as spiffe://platform.example/chat, or a DNS name such as chat.platform.example in lower case"
    )]
    Form,
    /// One that would stand for many.
    #[error("a certificate's holder is one name: write it without *")]
    Wildcard,
}

impl FromStr for CertificateName {
    type Err = InvalidCertificateName;

    fn from_str(text: &str) -> Result<Self, InvalidCertificateName> {
        if text.contains('*') {
            return Err(InvalidCertificateName::Wildcard);
        }
        let well_formed = match text.strip_prefix("spiffe://") {
            Some(rest) => {
                let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
                let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
                let in_path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
                let segment = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(in_path);
                text.len() <= 2_048
                    && (1..=255).contains(&domain.len())
                    && domain.bytes().all(in_domain)
                    && !path.is_empty()
                    && path.split('/').all(segment)
            }
            None => {
                let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let label = |part: &str| {
                    (1..=63).contains(&part.len())
                        && part.bytes().all(inner)
                        && !part.starts_with('-')
                        && !part.ends_with('-')
                };
                text.len() <= 253 && text.contains('.') && text.split('.').all(label)
            }
        };
        if well_formed { Ok(Self(text.into())) } else { Err(InvalidCertificateName::Form) }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
