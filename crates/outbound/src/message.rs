//! What is sent and what is received, in buffers that are wiped.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;
use zeroize::{Zeroize, Zeroizing};

/// Bytes that are wiped when their last reader is done.
pub struct Wiped(pub Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Wiped> for Bytes {
    fn from(wiped: Wiped) -> Self {
        Self::from_owner(wiped)
    }
}

/// One request. Whoever makes it has checked where it goes; the URL must be `https`.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// The headers, as they are sent.
    pub headers: HeaderMap,
    /// The body, which is not copied on its way: one that holds a secret comes from [`Wiped`].
    pub body: Bytes,
}

impl Request {
    /// Asks for what is at `url`.
    pub fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Posts `body` to `url`.
    pub fn post(url: Url, content_type: HeaderValue, body: Wiped) -> Self {
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, content_type)]);
        Self { method: Method::POST, url, headers, body: body.into() }
    }

    /// The same with one header more.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// Where to, without what: headers and bodies hold tokens and keys.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A whole answer. The body is wiped with its last copy.
#[derive(Clone)]
pub struct Received {
    /// The status, e.g. 200.
    pub status: u16,
    /// The headers, as they came.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// The status alone.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Wipes a buffer nobody else holds. (TLS and HTTP keep buffers of their own for a moment; those are out of reach.)
pub fn wipe(bytes: Bytes) {
    if let Ok(mut unique) = bytes.try_into_mut() {
        unique.as_mut().zeroize();
    }
}
