//! The seam to the way out: what identity asks of other services, and that every answer is whole and bounded.

use async_trait::async_trait;
use http::HeaderValue;
use outbound::{Request, Sender, Wiped};
use url::Url;
use zeroize::Zeroizing;

/// One request. It goes to exactly this address: no redirect is followed.
pub struct WebRequest {
    /// `https` only.
    pub url: Url,
    /// Posted as `application/x-www-form-urlencoded` where there is one; otherwise the request is a GET. It may hold secrets.
    pub form: Option<Zeroizing<String>>,
}

impl WebRequest {
    /// Asks for what is there.
    pub fn get(url: Url) -> Self {
        Self { url, form: None }
    }

    /// Posts a form.
    pub fn post(url: Url, form: Zeroizing<String>) -> Self {
        Self { url, form: Some(form) }
    }
}

/// A whole answer.
pub struct WebAnswer {
    /// The status, e.g. 200.
    pub status: u16,
    /// The whole body, of at most [`WebAnswer::LONGEST`] bytes. Wiped: it may hold tokens.
    pub body: Zeroizing<Vec<u8>>,
}

impl WebAnswer {
    /// No real answer is longer.
    pub const LONGEST: usize = 256 * 1024;
}

/// No whole answer came: no connection, not in time, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no whole answer came")]
pub struct NoWebAnswer;

/// Sends requests: no redirects, TLS with the roots that count, answers up to [`WebAnswer::LONGEST`].
#[async_trait]
pub trait Web: Send + Sync + 'static {
    /// Sends one request and reads its whole answer. A status that says no is an answer.
    async fn send(&self, request: WebRequest) -> Result<WebAnswer, NoWebAnswer>;
}

/// The way out itself, which keeps to a bound of its own that is the same.
#[async_trait]
impl Web for Sender {
    async fn send(&self, request: WebRequest) -> Result<WebAnswer, NoWebAnswer> {
        let WebRequest { url, form } = request;
        let request = match form {
            None => Request::get(url),
            Some(form) => {
                let body = Wiped(Zeroizing::new(form.as_bytes().to_vec()));
                Request::post(url, HeaderValue::from_static("application/x-www-form-urlencoded"), body)
            }
        };
        let received = Sender::send(self, &request).await.map_err(|why| {
            tracing::debug!(%why, "a directory or an issuer did not answer");
            NoWebAnswer
        })?;
        if received.body.len() > WebAnswer::LONGEST {
            return Err(NoWebAnswer);
        }
        Ok(WebAnswer { status: received.status, body: Zeroizing::new(received.body.to_vec()) })
    }
}
