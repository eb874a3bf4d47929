//! A request as the handlers see it, and an answer as they give it: whole bodies, no streaming.

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;

/// A request, read to its end.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    pub(crate) headers: HeaderMap,
    /// Lower case, without port.
    pub(crate) host: String,
    /// Host with port, as the client wrote it; the scheme's port when it wrote none.
    pub(crate) authority: String,
    /// Who connects, or who they are said to be.
    pub(crate) from: IpAddr,
    pub(crate) private: bool,
    pub(crate) body: Bytes,
    pub(crate) request_id: String,
}

impl Request {
    /// The path's parts. A double slash leaves an empty one: `/keys/k//wrapkey` means the latest version.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.path.strip_prefix('/').unwrap_or(&self.path).split('/').collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("our own values have string keys and no failing serialiser");
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// A page for people. It loads nothing, runs no script, and may be framed by nobody.
    pub(crate) fn html(status: u16, body: String) -> Self {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
        let headers = vec![
            ("content-type", "text/html; charset=utf-8".to_owned()),
            ("content-security-policy", policy.to_owned()),
        ];
        Self { status, headers, body: body.into() }
    }

    /// Sends a browser on. 303: whatever was posted is not posted again.
    pub(crate) fn redirect(to: String) -> Self {
        Self { status: 303, headers: vec![("location", to)], body: Bytes::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The headers that can be sent; one with a control character in it is left out.
    pub(crate) fn header_map(&self) -> HeaderMap {
        let usable = |(name, value): &(&'static str, String)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        };
        self.headers.iter().filter_map(usable).collect()
    }
}
