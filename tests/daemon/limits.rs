//! What one peer may take is bounded, and the others do not notice.

use std::time::Duration;

use api::byok::v1 as pb;
use byokd::serve::{Limits, Listener, Server, ServerTls, TlsFiles, Workers};
use http_body_util::Empty;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tonic::Code;
use tonic_types::StatusExt;
use vault::memory::Operation;

use crate::raw;
use crate::site::{Site, encrypt};

const SOON: Duration = Duration::from_secs(5);

/// Completes when the peer has closed; whatever it sends before is read away.
async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut sink = Vec::new();
    // Closed in order or reset: both are closed.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut sink)).await.expect("the connection stays open");
}

/// 4 MiB go through one call; more is refused with the way to send it, whether the service or the framing stops it.
#[tokio::test]
async fn a_message_has_a_largest_size() {
    let site = Site::start().await;
    site.acme().await;
    let mut data = site.encryption().await;
    let sealed = data.encrypt(encrypt(vec![7; 4 << 20])).await.unwrap().into_inner();
    assert_eq!(sealed.ciphertext.len(), (4 << 20) + 96);
    assert_eq!(
        data.decrypt(crate::site::decrypt(sealed.ciphertext)).await.unwrap().into_inner().plaintext.len(),
        4 << 20
    );
    for size in [(4 << 20) + 1, Limits::MESSAGE_BYTES + 1, 8 << 20] {
        let refused = data.encrypt(encrypt(vec![7; size])).await.unwrap_err();
        let info = refused.get_details_error_info().unwrap();
        assert_eq!((refused.code(), info.reason.as_str()), (Code::InvalidArgument, "PLAINTEXT_TOO_LARGE"), "{size}");
        assert!(info.metadata["remedy"].contains("EncryptStream"));
    }
}

/// What is no message at all is told as such.
#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let site = Site::start().await;
    site.acme().await;
    let mut raw = raw::connect(&site).await;
    let mut request = raw::request("/byok.v1.Encryption/Encrypt", &(), &[]);
    // A string whose length reaches beyond the message.
    *request.body_mut() = http_body_util::Full::new(bytes::Bytes::from_static(b"\0\0\0\0\x05\x0a\x7fabc"));
    let status = raw::call(&mut raw, request).await.unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_details_error_info().unwrap().reason, "REQUEST_INVALID");
}

/// A header list beyond 8 KiB is refused before it is looked at; one below is not.
#[tokio::test]
async fn a_header_list_has_a_largest_size() {
    let site = Site::start().await;
    site.acme().await;
    let mut raw = raw::connect(&site).await;
    let with = |size: usize| {
        let filler = "x".repeat(size);
        raw::request("/byok.v1.Encryption/Encrypt", &encrypt("x"), &[("filler", &filler)])
    };
    assert_eq!(raw::call(&mut raw, with(7_000)).await.unwrap().code(), Code::Ok);
    // 431, or a stream that is reset: never an answer of the service.
    let refused = raw::call(&mut raw, with(9_000)).await;
    assert!(!matches!(&refused, Ok(status) if status.code() == Code::Ok), "{refused:?}");
    let mut other = raw::connect(&site).await;
    assert_eq!(raw::call(&mut other, with(10)).await.unwrap().code(), Code::Ok);
}

/// When the daemon is full a new connection is closed at once, the others go on, and a place given up is taken again.
#[tokio::test]
async fn connections_are_capped() {
    let site = Site::limited(|limits| limits.connections = 2).await;
    site.acme().await; // one client, gone again
    let mut first = site.encryption().await;
    first.encrypt(encrypt("x")).await.unwrap();
    let second = UnixStream::connect(site.socket()).await.unwrap();
    let mut full = loop {
        // The client that made the workspace leaves its place when its connection is seen closed.
        let mut third = UnixStream::connect(site.socket()).await.unwrap();
        let mut sink = [0; 64];
        match tokio::time::timeout(Duration::from_millis(20), third.read(&mut sink)).await {
            Ok(Ok(0) | Err(_)) => break third,
            // It was let in: the place of one of the two others is free until they are counted.
            Ok(Ok(_)) | Err(_) => drop(third),
        }
    };
    closed(&mut full).await;
    first.encrypt(encrypt("x")).await.expect("who was there before goes on");
    drop(second);
    let again = async {
        loop {
            // Turned away until the daemon has seen the place given up.
            let Ok(mut raw) = raw::try_connect(&site).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let request = raw::request("/byok.v1.Encryption/Encrypt", &encrypt("x"), &[]);
            if raw::call(&mut raw, request).await.is_ok_and(|status| status.code() == Code::Ok) {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the place is not given to anybody");
    drop(first);
    assert!(site.stopped().await.turned_away >= 1);
}

/// Calls beyond the connection's share are refused with when to try again; those under way are not touched.
#[tokio::test]
async fn a_connection_has_a_share_of_calls() {
    let site = Site::limited(|limits| limits.calls_per_connection = 1).await;
    site.acme().await;
    site.vault.create_key(&Site::key());
    let held = site.vault.hold(Operation::Describe);
    let mut keys = site.keys().await;
    let mut same = keys.clone();
    let call = tokio::spawn(async move { keys.configure_key(Site::configure()).await });
    while site.vault.calls().describe == 0 {
        tokio::task::yield_now().await;
    }
    let get = pb::GetKeyRequest { name: "workspaces/acme/key".into() };
    let refused = same.get_key(get).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "QUOTA_EXCEEDED");
    assert!(refused.get_details_retry_info().is_some());
    held.release();
    assert!(call.await.unwrap().is_ok());
}

/// A peer that never begins to speak HTTP/2 is closed, one that only connects and says hello is not.
#[tokio::test]
async fn a_silent_peer_is_closed() {
    let site = Site::limited(|limits| limits.handshake = Duration::from_millis(50)).await;
    site.acme().await;
    let mut silent = UnixStream::connect(site.socket()).await.unwrap();
    let mut slow = UnixStream::connect(site.socket()).await.unwrap();
    slow.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut quiet = raw::connect(&site).await;
    closed(&mut silent).await;
    closed(&mut slow).await;
    let request = raw::request("/byok.v1.Encryption/Encrypt", &encrypt("x"), &[]);
    assert_eq!(raw::call(&mut quiet, request).await.unwrap().code(), Code::Ok);
}

/// A connection without calls for long, or alive for long, is told to go away; a call in between is answered.
#[tokio::test]
async fn connections_end() {
    let idle = Site::limited(|limits| limits.idle = Duration::from_millis(50)).await;
    let mut raw = raw::connect(&idle).await;
    let request = raw::request("/byok.v1.Encryption/Encrypt", &encrypt("x"), &[]);
    assert_eq!(raw::call(&mut raw, request).await.unwrap().code(), Code::NotFound);
    assert!(tokio::time::timeout(SOON, raw.ended).await.unwrap().unwrap().is_ok(), "ended in order");

    let aged = Site::limited(|limits| limits.age = Duration::from_millis(100)).await;
    let mut raw = raw::connect(&aged).await;
    while !raw.ended.is_finished() {
        let request = raw::request("/byok.v1.Encryption/Encrypt", &encrypt("x"), &[]);
        // Either answered or not taken any more: never cut in the middle.
        match raw::call(&mut raw, request).await {
            Ok(status) => assert_eq!(status.code(), Code::NotFound),
            Err(error) => {
                assert!(error.is_canceled() || error.is_closed() || !error.is_body_write_aborted(), "{error:?}")
            }
        }
    }
}

/// Streams opened and reset in one breath end the connection that does it (CVE-2023-44487), and nobody else's.
#[tokio::test]
async fn a_rapid_reset_ends_only_its_own_connection() {
    let site = Site::start().await;
    site.acme().await;
    let mut victim = site.encryption().await;
    let mut attacker = UnixStream::connect(site.socket()).await.unwrap();
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(raw::frame(raw::SETTINGS, 0, 0, &[]));
    for stream in (1..4_000).step_by(2) {
        // POST http / to the authority "x": indexed, indexed, indexed, literal (RFC 7541 appendix A).
        sent.extend(raw::frame(raw::HEADERS, raw::END_HEADERS, stream, b"\x83\x86\x84\x01\x01x"));
        sent.extend(raw::frame(raw::RST_STREAM, 0, stream, &raw::CANCEL.to_be_bytes()));
    }
    // The daemon may have hung up before the end.
    let _ = attacker.write_all(&sent).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(SOON, attacker.read_to_end(&mut answer)).await.expect("the connection stays open");
    assert_eq!(raw::goaway(&answer), Some(raw::ENHANCE_YOUR_CALM), "{answer:02x?}");
    victim.encrypt(encrypt("x")).await.expect("another's connection goes on");
}

/// A TLS handshake that does not come to its end is given up; a proper one is served, and only HTTP/2 is spoken.
#[tokio::test]
async fn a_slow_tls_handshake_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let files = TlsFiles { certificate: cert, key, client_authorities: None, client_certificates: Default::default() };
    let tls = ServerTls::read(files, std::sync::Arc::new(byokd::clock::SystemClock)).unwrap();
    let listener = Listener::tls("127.0.0.1:0".parse().unwrap(), tls).unwrap();
    let address = listener.address().to_string();
    let limits = Limits { handshake: Duration::from_millis(100), ..Limits::default() };
    let server = Server::new(limits, Workers::here(), std::sync::Arc::new(byokd::entropy::SystemEntropy));
    tokio::spawn(server.run(vec![listener], Teapot, std::future::pending()));

    let mut silent = TcpStream::connect(&address).await.unwrap();
    closed(&mut silent).await;
    let mut plaintext = TcpStream::connect(&address).await.unwrap();
    plaintext.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    closed(&mut plaintext).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let tcp = TcpStream::connect(&address).await.unwrap();
    let tls = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(tls);
    let (mut send, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/").body(Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(send.send_request(request).await.unwrap().status(), 418);
}

/// Answers everything alike.
#[derive(Clone)]
struct Teapot;

impl byokd::serve::Answer for Teapot {
    async fn answer(self: std::sync::Arc<Self>, _: byokd::serve::Incoming) -> byokd::serve::Outgoing {
        http::Response::builder().status(418).body(tonic::body::Body::empty()).unwrap()
    }

    fn too_many_calls(&self) -> byokd::serve::Outgoing {
        http::Response::new(tonic::body::Body::empty())
    }
}
