//! The listener: TLS handshakes, connections, and each request to the site its host name means.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::calls::Call;
use crate::cloud::Site;
use crate::entra;
use crate::exchange::{Answer, Request};
use crate::faults::{Disturbance, Fault, Met, Place};
use crate::form;
use crate::keyvault;
use crate::keyvault::route::Route;
use crate::operation::Operation;
use crate::tls::Welcome;
use crate::wire;
use crate::world::World;

/// Larger bodies are refused.
const LARGEST_BODY: usize = 256 * 1024;

/// Serves until dropped; connections end with it.
pub(crate) async fn run(world: Arc<World>, listener: TcpListener, tls: Arc<ServerConfig>, admin: Option<axum::Router>) {
    let acceptor = TlsAcceptor::from(tls);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(world.clone(), acceptor.clone(), stream, peer, admin.clone()));
                }
                // Out of file descriptors, mostly: others will end and free some.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Decides a handshake by the name asked for, and logs the refused ones.
pub(crate) fn welcome(world: &World, name: &str) -> Welcome {
    let at = Place { host: name, operation: Operation::Connect, key: None, version: None };
    let met = world.faults.meet(&at);
    let switched = |d: Disturbance| met.iter().any(|m| m.fault == Fault::Wire(d));
    let welcome = if switched(Disturbance::NameUnknown) || !exists(world, name) {
        Welcome::Refuse
    } else if switched(Disturbance::UntrustedCertificate) {
        Welcome::Stranger
    } else {
        return Welcome::Ours;
    };
    world.calls.add(Call {
        at_micros: world.micros(),
        host: name.to_owned(),
        method: String::new(),
        path: String::new(),
        operation: Operation::Connect,
        key: None,
        version: None,
        principal: None,
        status: 0,
        request_id: String::new(),
    });
    welcome
}

/// Whether a public resolver would know the name. A soft-deleted vault keeps its name; a purged one loses it.
pub(crate) fn exists(world: &World, host: &str) -> bool {
    match Site::of(host) {
        Some(Site::Vault) => world.read(|s| s.vault(host).is_some()),
        Some(Site::Login(_) | Site::Admin) => true,
        None => false,
    }
}

/// How a handler ends its connection instead of answering.
#[derive(Clone)]
pub(crate) struct Cutter {
    /// A second handle on the socket, so that it can be told to reset instead of close. As long as it is there the
    /// socket stays open, so it goes before the connection does.
    socket: Arc<Mutex<Option<std::net::TcpStream>>>,
    cut: Arc<Notify>,
}

impl Cutter {
    /// Ends the connection with FIN.
    pub(crate) fn close(&self) {
        self.let_go();
        self.cut.notify_one();
    }

    /// Ends the connection with RST.
    pub(crate) fn reset(&self) {
        if let Some(socket) = self.let_go()
            && let Err(error) = TcpStream::from_std(socket).and_then(|s| s.set_zero_linger())
        {
            tracing::warn!(%error, "the connection closes instead of being reset");
        }
        self.cut.notify_one();
    }

    fn let_go(&self) -> Option<std::net::TcpStream> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn connection(
    world: Arc<World>,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    admin: Option<axum::Router>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let (stream, twin) = match twins(stream) {
        Ok(both) => both,
        Err(error) => return tracing::warn!(%error, "a connection could not be set up"),
    };
    let cutter = Cutter { socket: Arc::new(Mutex::new(Some(twin))), cut: Arc::new(Notify::new()) };
    let ending = cutter.clone();
    let tls = match acceptor.accept(stream).await {
        Ok(tls) => tls,
        Err(error) => return tracing::debug!(%error, "a handshake failed"),
    };
    let cut = cutter.cut.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (world, cutter, admin) = (world.clone(), cutter.clone(), admin.clone());
        async move { Ok::<_, Infallible>(answer(&world, request, peer, &cutter, admin).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection(TokioIo::new(tls), service);
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
        }
        () = cut.notified() => {}
    }
    // Handlers may outlive the connection; the socket must not.
    ending.let_go();
}

fn twins(stream: TcpStream) -> std::io::Result<(TcpStream, std::net::TcpStream)> {
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, twin))
}

async fn answer(
    world: &Arc<World>,
    request: http::Request<Incoming>,
    peer: SocketAddr,
    cutter: &Cutter,
    admin: Option<axum::Router>,
) -> Response<Body> {
    let authority = authority(&request);
    let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host).to_ascii_lowercase();
    let site = Site::of(&host).filter(|_| exists(world, &host));
    if site == Some(Site::Admin) {
        return match admin {
            Some(router) => {
                use tower::ServiceExt as _;
                let Ok(response) = router.oneshot(request.map(Body::new)).await;
                response
            }
            None => plain(StatusCode::NOT_FOUND),
        };
    }
    let Some(request) = read(world, request, peer, host, authority).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    match site {
        Some(Site::Vault) => vault(world, &request, cutter).await,
        Some(Site::Login(cloud)) => {
            let operation = entra::operation(request.method.as_str(), &request.parts());
            let call = call(world, &request, operation);
            let met = meet(world, &request, operation, None);
            if let Some((disturbance, one)) = wire::before(&met).await {
                world.calls.add(call);
                return wire::end(disturbance, &one, cutter).await;
            }
            let served = entra::serve(world, cloud, &request, operation, &met);
            let call = Call { principal: served.principal, ..call };
            finish(world, &request, call, served.answer, &met, cutter).await
        }
        Some(Site::Admin) | None => plain(StatusCode::MISDIRECTED_REQUEST),
    }
}

async fn vault(world: &Arc<World>, request: &Request, cutter: &Cutter) -> Response<Body> {
    let route = Route::find(&request.method, &request.parts());
    let anonymous = request.headers.get("authorization").is_none();
    let challenged = anonymous && route.operation != Operation::Health;
    let operation = if challenged { Operation::Challenge } else { route.operation };
    let met = meet(world, request, operation, Some(&route));
    let asked = (!route.version.is_empty()).then(|| route.version.clone());
    let call = Call { key: route.key.clone(), version: asked, ..call(world, request, operation) };
    if let Some((disturbance, one)) = wire::before(&met).await {
        world.calls.add(call);
        return wire::end(disturbance, &one, cutter).await;
    }
    let served = keyvault::serve(world, request, &route, &met).await;
    let call = Call { principal: served.principal, version: served.version.or(call.version.clone()), ..call };
    finish(world, request, call, served.answer, &met, cutter).await
}

/// A log entry as far as the request tells: no answer yet.
fn call(world: &World, request: &Request, operation: Operation) -> Call {
    Call {
        at_micros: world.micros(),
        host: request.host.clone(),
        method: request.method.to_string(),
        path: request.path.clone(),
        operation,
        key: None,
        version: None,
        principal: None,
        status: 0,
        request_id: request.request_id.clone(),
    }
}

fn meet(world: &World, request: &Request, operation: Operation, route: Option<&Route>) -> Vec<Met> {
    let version = route.map(|r| r.version.as_str()).filter(|v| !v.is_empty());
    let key = route.and_then(|r| r.key.as_deref());
    world.faults.meet(&Place { host: &request.host, operation, key, version })
}

async fn finish(
    world: &World,
    request: &Request,
    mut call: Call,
    answer: Answer,
    met: &[Met],
    cutter: &Cutter,
) -> Response<Body> {
    let mut answer = wire::falsified(answer, &request.path, met)
        .header("x-ms-request-id", request.request_id.clone())
        .header("cache-control", "no-cache")
        .header("strict-transport-security", "max-age=31536000;includeSubDomains")
        .header("x-content-type-options", "nosniff");
    if let Some(id) = request.header("x-ms-client-request-id") {
        answer = answer.header("x-ms-client-request-id", id);
    }
    if wire::is_told(met) {
        call.status = answer.status;
    }
    world.calls.add(call);
    wire::send(answer, met, cutter).await
}

fn authority(request: &http::Request<Incoming>) -> String {
    let written = request.uri().authority().map(|a| a.as_str().to_owned());
    let header = || request.headers().get("host").and_then(|h| h.to_str().ok()).map(str::to_owned);
    let authority = written.or_else(header).unwrap_or_default();
    // The real service writes its links with the port, the default one included.
    if authority.contains(':') { authority } else { format!("{authority}:443") }
}

async fn read(
    world: &World,
    request: http::Request<Incoming>,
    peer: SocketAddr,
    host: String,
    authority: String,
) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body: Bytes = Limited::new(body, LARGEST_BODY).collect().await.ok()?.to_bytes();
    let seen = world.read(|s| s.seen_as);
    Some(Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: form::pairs(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        host,
        authority,
        from: seen.map_or(peer.ip(), |s| s.address),
        private: seen.is_some_and(|s| s.private),
        body,
        request_id: world.random.guid(),
    })
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
