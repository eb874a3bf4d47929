//! The secrets by which Event Grid is told from everybody else.

use axum::extract::Request;
use identity::token_hash;
use subtle::{Choice, ConstantTimeEq};

use super::SECRET_HEADER;

/// The query parameter that carries the secret where a header cannot.
const SECRET_QUERY: &str = "secret";

/// The accepted secrets. Only their hashes are known here.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<[u8; 32]>);

/// Why a text holds no secrets that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsRefused {
    /// No line has one.
    #[error("it holds no secret")]
    None,
    /// One could be guessed, or would have to be escaped in a URL.
    #[error("a secret has 32 to 200 letters, digits, `-` and `_`, and the one in line {line} does not")]
    Unfit {
        /// From 1.
        line: usize,
    },
    /// More than [`WebhookSecrets::MOST`].
    #[error("at most {} secrets are accepted", WebhookSecrets::MOST)]
    TooMany,
}

impl SecretsRefused {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::None | Self::Unfit { .. } => {
                "write one secret a line: openssl rand -base64 33 | tr '+/' '-_' makes one"
            }
            Self::TooMany => "take out the ones that no event subscription uses any more",
        }
    }
}

impl WebhookSecrets {
    /// How many secrets are accepted at most: one for each that sends, and the next one while it is changed.
    pub const MOST: usize = 64;

    /// One secret a line; empty lines are nothing.
    pub fn read(text: &str) -> Result<Self, SecretsRefused> {
        let mut hashes = Vec::new();
        for (line, secret) in (1..).zip(text.lines().map(str::trim)).filter(|(_, secret)| !secret.is_empty()) {
            let fit = secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            if !fit || !(32..=200).contains(&secret.len()) {
                return Err(SecretsRefused::Unfit { line });
            }
            hashes.push(token_hash(secret));
        }
        match hashes.len() {
            0 => Err(SecretsRefused::None),
            1..=Self::MOST => Ok(Self(hashes)),
            _ => Err(SecretsRefused::TooMany),
        }
    }

    /// Whether this is one of them; every one is compared, in constant time.
    pub(super) fn accepts(&self, shown: &str) -> bool {
        let shown = token_hash(shown);
        self.0.iter().fold(Choice::from(0), |any, known| any | known.ct_eq(&shown)).into()
    }
}

/// What a request shows as its secret: the header, or where there is none the query. Nothing is a secret that nobody has.
pub(super) fn shown(request: &Request) -> &str {
    let header = request.headers().get(SECRET_HEADER).map(|value| value.to_str().unwrap_or_default());
    header.unwrap_or_else(|| {
        let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(name, _)| *name == SECRET_QUERY).map_or("", |(_, value)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "first-0123456789abcdef0123456789";
    const SECOND: &str = "second_0123456789abcdef0123456789";

    /// Each line is a secret, which lets two be accepted while one takes the other's place; nothing near one is.
    #[test]
    fn every_line_is_a_secret() {
        let secrets = WebhookSecrets::read(&format!("\n  {FIRST}\r\n{SECOND}\n")).unwrap();
        assert!(secrets.accepts(FIRST) && secrets.accepts(SECOND));
        for wrong in ["", &FIRST[1..], &FIRST.to_uppercase(), &format!("{FIRST}{SECOND}")] {
            assert!(!secrets.accepts(wrong), "{wrong}");
        }
    }

    /// A secret that is short, or would be changed on its way, is refused by its line and not repeated.
    #[test]
    fn unfit_secrets_are_refused() {
        let refused = |text: &str| WebhookSecrets::read(text).err();
        assert_eq!(refused(""), Some(SecretsRefused::None));
        assert_eq!(refused("\n \n"), Some(SecretsRefused::None));
        assert_eq!(refused(&format!("{FIRST}\n\nshort")), Some(SecretsRefused::Unfit { line: 3 }));
        assert_eq!(refused(&format!("{FIRST}%20")), Some(SecretsRefused::Unfit { line: 1 }));
        assert_eq!(refused(&format!("{FIRST}\n").repeat(65)), Some(SecretsRefused::TooMany));
    }

    /// The header counts where there is one; the query elsewhere.
    #[test]
    fn a_secret_is_shown_by_header_or_query() {
        let request = |uri: &str| http::Request::builder().uri(uri).body(axum::body::Body::empty()).unwrap();
        assert_eq!(shown(&request("/x")), "");
        assert_eq!(shown(&request("/x?a=b&secret=s3cret&c")), "s3cret");
        let mut both = request("/x?secret=query");
        both.headers_mut().insert(SECRET_HEADER, http::HeaderValue::from_static("header"));
        assert_eq!(shown(&both), "header");
    }
}
