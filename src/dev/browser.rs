//! The browser of whoever connects their directory in the walk: our pages and the directory's, and what our pages gave it.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::azure::Azure;
use crate::trouble::Trouble;

/// How browsers reach our pages, as the shipped registration has it. In `dev` the walk's own browser knows where that is.
pub(super) const PUBLIC: &str = "https://keys.example.com";
const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST_PAGE: usize = 1 << 20;
const HINT: &str = "this is a fault of byokd: please report it";

/// Where it is after an address was opened.
pub(super) enum Seen {
    /// Sent on to this address.
    SentOn(String),
    /// On a page.
    Page(StatusCode, String),
}

/// One browser.
pub(super) struct Browser<'a> {
    azure: &'a Azure,
    pages: SocketAddr,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    /// With nothing in it.
    pub(super) fn new(azure: &'a Azure, pages: SocketAddr) -> Self {
        Self { azure, pages, cookie: None }
    }

    /// Submits the form of a directory's page.
    pub(super) async fn submit(&self, url: &str, fields: &str) -> Result<String, Trouble> {
        self.azure.at_directory(url, fields).await
    }

    /// Opens one of our own pages.
    pub(super) async fn open(&mut self, url: &str) -> Result<Seen, Trouble> {
        let late = |_| Trouble::new("our own page did not answer", HINT);
        tokio::time::timeout(PATIENCE, self.fetch(url, None)).await.map_err(late)?
    }

    /// Opens a start address, and goes on by the form of its page.
    pub(super) async fn begin(&mut self, url: &str) -> Result<Seen, Trouble> {
        let Seen::Page(StatusCode::OK, page) = self.open(url).await? else {
            return Err(Trouble::new("the start page does not say what is to be connected", HINT));
        };
        let value = |name: &str| {
            let found = page.split(&format!("name=\"{name}\" value=\"")).nth(1).and_then(|rest| rest.split('"').next());
            found.ok_or_else(|| Trouble::new("the start page has no form", HINT))
        };
        let form = format!("ticket={}&form={}", value("ticket")?, value("form")?);
        let late = |_| Trouble::new("our own page did not answer", HINT);
        let to = format!("{PUBLIC}{}", crate::entra_pages::START);
        tokio::time::timeout(PATIENCE, self.fetch(&to, Some(form))).await.map_err(late)?
    }

    async fn fetch(&mut self, url: &str, form: Option<String>) -> Result<Seen, Trouble> {
        let failed = |cause: &dyn std::fmt::Display| Trouble::new(format_args!("our own page: {cause}"), HINT);
        let path = url.strip_prefix(PUBLIC).ok_or_else(|| failed(&format_args!("{url} is not ours")))?;
        let stream = TcpStream::connect(self.pages).await.map_err(|cause| failed(&cause))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|cause| failed(&cause))?;
        let connection = tokio::spawn(connection);
        let method = if form.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "keys.example.com");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request =
            request.body(Full::new(bytes::Bytes::from(form.unwrap_or_default()))).map_err(|cause| failed(&cause))?;
        let answer = sender.send_request(request).await.map_err(|cause| failed(&cause))?;
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(cookie) = text(header::SET_COOKIE) {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        let (status, to) = (answer.status(), text(header::LOCATION));
        let body = Limited::new(answer.into_body(), LONGEST_PAGE).collect().await.map_err(|cause| failed(&cause))?;
        connection.abort();
        Ok(match to {
            Some(to) => Seen::SentOn(to),
            None => Seen::Page(status, String::from_utf8_lossy(&body.to_bytes()).into_owned()),
        })
    }
}
