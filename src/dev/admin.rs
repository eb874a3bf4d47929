//! How the emulated Azure is told what to be: its admin API, JSON over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use azure_emulator::ADMIN_HOST;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::trouble::Trouble;

/// An answer longer than this is not the admin API's.
const LONGEST_ANSWER: usize = 64 << 20;
/// How long one question may take; making a large RSA key is the longest.
const PATIENCE: Duration = Duration::from_secs(20);
const HINT: &str = "check that --emulator and --emulator-ca name a running azure-emulator with its admin API on";

/// The way to an emulator's admin API.
pub(super) struct Admin {
    addr: SocketAddr,
    tls: TlsConnector,
}

impl Admin {
    /// Trusts exactly the emulator's own authority.
    pub(super) fn new(addr: SocketAddr, ca_pem: &[u8]) -> Result<Self, Trouble> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            let certificate = certificate.map_err(|cause| trouble(format_args!("the authority is no PEM: {cause}")))?;
            roots.add(certificate).map_err(|cause| trouble(format_args!("the authority is unusable: {cause}")))?;
        }
        if roots.is_empty() {
            return Err(trouble(format_args!("the authority's file holds no certificate")));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|cause| trouble(format_args!("no TLS: {cause}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { addr, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Where the emulator listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Asks, and gives the answer; what is not there is `None`.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Value>, Trouble> {
        match self.send(Method::GET, path, &Value::Null).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            answer => accepted(path, answer).map(Some),
        }
    }

    /// Asks for a change, and gives the answer.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value, Trouble> {
        accepted(path, self.send(method, path, &body).await?)
    }

    /// What listens there may be something else, which takes the connection and says nothing.
    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<(StatusCode, Value), Trouble> {
        let exchange = self.exchange(method, path, body);
        let answered = tokio::time::timeout(PATIENCE, exchange).await;
        answered.unwrap_or_else(|_| Err(trouble(format_args!("the emulator at {} does not answer", self.addr))))
    }

    /// A connection under one of the names that the emulator answers to.
    async fn reach(
        &self,
        host: &str,
    ) -> Result<(SendRequest<Full<bytes::Bytes>>, tokio::task::JoinHandle<hyper::Result<()>>), Trouble> {
        let failed = |cause: &dyn std::fmt::Display| trouble(format_args!("the emulator at {}: {cause}", self.addr));
        let stream = TcpStream::connect(self.addr).await.map_err(|cause| failed(&cause))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|cause| failed(&cause))?;
        let stream = self.tls.connect(name, stream).await.map_err(|cause| failed(&cause))?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|cause| failed(&cause))?;
        Ok((sender, tokio::spawn(connection)))
    }

    /// Submits a form of a directory's page, as a browser does: where it is sent then.
    pub(super) async fn submit(&self, url: &str, fields: &str) -> Result<String, Trouble> {
        let failed = |cause: &dyn std::fmt::Display| trouble(format_args!("the emulator at {}: {cause}", self.addr));
        let (host, path) = url
            .strip_prefix("https://")
            .and_then(|rest| rest.find('/').map(|at| rest.split_at(at)))
            .ok_or_else(|| trouble(format_args!("{url} is no address of a directory")))?;
        let work = async {
            let (mut sender, connection) = self.reach(host).await?;
            let request = Request::builder()
                .method(Method::POST)
                .uri(path)
                .header(header::HOST, host)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::new(bytes::Bytes::copy_from_slice(fields.as_bytes())))
                .map_err(|cause| failed(&cause))?;
            let answer = sender.send_request(request).await.map_err(|cause| failed(&cause))?;
            let to = answer.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
            connection.abort();
            to.ok_or_else(|| trouble(format_args!("the directory's page sends nobody on ({})", answer.status())))
        };
        let answered = tokio::time::timeout(PATIENCE, work).await;
        answered.unwrap_or_else(|_| Err(trouble(format_args!("the emulator at {} does not answer", self.addr))))
    }

    async fn exchange(&self, method: Method, path: &str, body: &Value) -> Result<(StatusCode, Value), Trouble> {
        let failed = |cause: &dyn std::fmt::Display| trouble(format_args!("the emulator at {}: {cause}", self.addr));
        let (mut sender, connection) = self.reach(ADMIN_HOST).await?;
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, ADMIN_HOST)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(bytes::Bytes::from(bytes)))
            .map_err(|cause| failed(&cause))?;
        let answer = sender.send_request(request).await.map_err(|cause| failed(&cause))?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await.map_err(|cause| failed(&cause))?;
        connection.abort();
        // A refusal by something else has no JSON: its status says enough.
        Ok((status, serde_json::from_slice(&bytes.to_bytes()).unwrap_or(Value::Null)))
    }
}

fn accepted(path: &str, (status, answer): (StatusCode, Value)) -> Result<Value, Trouble> {
    if status.is_success() {
        return Ok(answer);
    }
    let why = answer["error"].as_str().unwrap_or("no reason given");
    Err(trouble(format_args!("the emulator refused {path}: {status}, {why}")))
}

/// A text field of an answer.
pub(super) fn text(answer: &Value, field: &str) -> Result<String, Trouble> {
    let found = answer[field].as_str().map(str::to_owned);
    found.ok_or_else(|| trouble(format_args!("the emulator's answer has no {field}")))
}

fn trouble(what: std::fmt::Arguments<'_>) -> Trouble {
    Trouble::new(what, HINT)
}
