//! Event Grid's deliveries are hints: they are answered, bounded and believed in nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::operations_client::OperationsClient;
use byokd::clock::SystemClock;
use byokd::serve::{ClientCertificates, Http, HttpLimits, Listener, ServerTls, TlsFiles};
use byokd::webhook::{HearHint, PATH, SECRET_HEADER, WebhookSecrets, router};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::site::Site;

const SECRET: &str = "secret-0123456789abcdef0123456789";
const SOON: Duration = Duration::from_secs(10);

/// Who hears of new versions in a test: what was heard.
#[derive(Default)]
struct Heard(Mutex<Vec<(String, String)>>);

impl HearHint for Heard {
    fn hint(&self, vault: &str, key: &str) {
        self.0.lock().unwrap().push((vault.into(), key.into()));
    }
}

impl Heard {
    fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }
}

struct Webhook {
    address: String,
    heard: Arc<Heard>,
    _running: JoinSet<()>,
}

type Answer = (StatusCode, http::HeaderMap, String);

async fn over(stream: TcpStream, request: Request<Full<bytes::Bytes>>) -> Answer {
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = tokio::time::timeout(SOON, send.send_request(request)).await.unwrap().unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status, parts.headers, String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap())
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "byokd.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

const SHOWN: (&str, &str) = (SECRET_HEADER, SECRET);

impl Webhook {
    async fn start(limits: HttpLimits) -> Self {
        let listener = Listener::plaintext_loopback("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().to_string();
        let heard = Arc::new(Heard::default());
        let http = Http::new(listener, router(WebhookSecrets::read(SECRET).unwrap(), heard.clone()), limits).unwrap();
        let mut running = JoinSet::new();
        running.spawn(async { match http.run().await {} });
        Self { address, heard, _running: running }
    }

    async fn ask(&self, request: Request<Full<bytes::Bytes>>) -> Answer {
        over(TcpStream::connect(&self.address).await.unwrap(), request).await
    }

    async fn post(&self, body: &str) -> Answer {
        self.ask(request(Method::POST, PATH, &[SHOWN], body)).await
    }
}

fn new_version(vault: &str, key: &str) -> String {
    format!(
        r#"[{{"id":"1","subject":"{key}","eventType":"Microsoft.KeyVault.KeyNewVersionCreated","dataVersion":"1",
            "data":{{"Id":"https://127.0.0.1/keys/k","VaultName":"{vault}","ObjectType":"Key","ObjectName":"{key}"}}}}]"#
    )
}

fn handshake(url: &str) -> String {
    format!(
        r#"[{{"id":"1","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","subject":"",
            "data":{{"validationCode":"512D38B6-c7b8-40c8-89fe-f46f9e9622b6","validationUrl":"{url}"}}}}]"#
    )
}

/// A listener that nobody may ever connect to, and its URL.
fn never_fetched() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/validate", listener.local_addr().unwrap());
    (listener, url)
}

/// Both handshakes are answered with what was sent and nothing else; the URL that comes along is not fetched.
#[tokio::test]
async fn a_handshake_is_answered_and_no_url_is_fetched() {
    let webhook = Webhook::start(HttpLimits::default()).await;
    let (listener, url) = never_fetched();
    let (status, headers, body) = webhook.post(&handshake(&url)).await;
    assert_eq!((status, &*body), (StatusCode::OK, r#"{"validationResponse":"512D38B6-c7b8-40c8-89fe-f46f9e9622b6"}"#));
    assert_eq!(headers["content-type"], "application/json");

    let by_query = format!("{PATH}?secret={SECRET}");
    let origin = ("webhook-request-origin", "eventgrid.azure.net");
    let callback = ("webhook-request-callback", &*url);
    let (status, headers, body) = webhook.ask(request(Method::OPTIONS, &by_query, &[origin, callback], "")).await;
    assert_eq!((status, &*body), (StatusCode::OK, ""));
    assert_eq!(headers["webhook-allowed-origin"], "eventgrid.azure.net");
    assert!(headers.contains_key("webhook-allowed-rate"));
    assert_eq!(webhook.heard.all(), [], "a handshake is no hint");
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the URL was fetched");
}

/// A key that somebody uses and one that nobody does are answered alike, in both schemas.
#[tokio::test]
async fn events_are_heard_and_answered_alike() {
    let webhook = Webhook::start(HttpLimits::default()).await;
    let mut answers = Vec::new();
    for vault in ["contoso-kv", "nobodys-kv"] {
        let (status, mut headers, body) = webhook.post(&new_version(vault, "byok")).await;
        headers.remove("date");
        answers.push((status, headers, body));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!((answers[0].0, &*answers[0].2), (StatusCode::OK, ""));
    let cloud = r#"{"specversion":"1.0","type":"Microsoft.KeyVault.KeyNewVersionCreated","source":"s","id":"1",
                    "data":{"VaultName":"cloud-kv","ObjectName":"byok"}}"#;
    assert_eq!(webhook.post(cloud).await.0, StatusCode::OK);
    let other = r#"[{"eventType":"Microsoft.KeyVault.KeyNearExpiry","data":{"VaultName":"v","ObjectName":"k"}}]"#;
    assert_eq!(webhook.post(other).await.0, StatusCode::OK);
    let heard = webhook.heard.all();
    assert_eq!(heard.iter().map(|(vault, _)| &**vault).collect::<Vec<_>>(), ["contoso-kv", "nobodys-kv", "cloud-kv"]);
}

/// Without the secret, elsewhere, too large or malformed: one answer, nothing heard, and not a word of why.
#[tokio::test]
async fn everything_that_is_refused_has_one_answer() {
    let webhook = Webhook::start(HttpLimits::default()).await;
    let event = new_version("contoso-kv", "byok");
    let large = format!("[{}]", " ".repeat(64 * 1024));
    let almost = SECRET.replace("secret-", "Secret-");
    let origin = ("webhook-request-origin", "eventgrid.azure.net");
    let refused = [
        request(Method::POST, PATH, &[], &event),
        request(Method::POST, PATH, &[(SECRET_HEADER, &almost)], &event),
        request(Method::POST, PATH, &[(SECRET_HEADER, "")], &event),
        request(Method::POST, &format!("{PATH}?secret="), &[], &event),
        request(Method::POST, &format!("{PATH}?secret={SECRET}"), &[(SECRET_HEADER, "wrong")], &event),
        request(Method::POST, PATH, &[], &handshake("http://127.0.0.1:1")),
        request(Method::POST, PATH, &[SHOWN], &large),
        request(Method::POST, PATH, &[SHOWN], ""),
        request(Method::POST, PATH, &[SHOWN], &event[..event.len() - 1]),
        request(Method::POST, PATH, &[SHOWN], &"[".repeat(60_000)),
        request(Method::POST, "/", &[SHOWN], &event),
        request(Method::POST, &format!("{PATH}/x"), &[SHOWN], &event),
        request(Method::GET, PATH, &[SHOWN], ""),
        request(Method::PUT, PATH, &[SHOWN], &event),
        request(Method::OPTIONS, PATH, &[origin], ""),
        request(Method::OPTIONS, PATH, &[SHOWN], ""),
        request(Method::OPTIONS, PATH, &[SHOWN, ("webhook-request-origin", "a b")], ""),
    ];
    for request in refused {
        let about = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        let (status, headers, body) = webhook.ask(request).await;
        let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).filter(|name| *name != "connection").collect();
        names.sort_unstable();
        assert_eq!(
            (status, &*body, &*names),
            (StatusCode::BAD_REQUEST, "", &["content-length", "date"][..]),
            "{about}"
        );
    }
    assert_eq!(webhook.heard.all(), []);
}

/// Who connects and says nothing, or too many of them, is closed; the others are served.
#[tokio::test]
async fn connections_are_bounded() {
    let limits = HttpLimits { connections: 2, head: Duration::from_millis(200), ..HttpLimits::default() };
    let webhook = Webhook::start(limits).await;
    let mut silent = TcpStream::connect(&webhook.address).await.unwrap();
    let mut slow = TcpStream::connect(&webhook.address).await.unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    // One more than there is room for, or one after the others were closed: either way closed without an answer of ours.
    let mut third = TcpStream::connect(&webhook.address).await.unwrap();
    for stream in [&mut third, &mut silent, &mut slow] {
        let mut sink = Vec::new();
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut sink)).await.expect("the connection stays open");
        assert!(!sink.starts_with(b"HTTP/1.1 200"), "{sink:?}");
    }
    assert_eq!(webhook.post(&new_version("v-kv", "k")).await.0, StatusCode::OK);

    let aged = Webhook::start(HttpLimits { age: Duration::from_millis(200), ..HttpLimits::default() }).await;
    let mut trickle = TcpStream::connect(&aged.address).await.unwrap();
    let head =
        format!("POST {PATH} HTTP/1.1\r\nhost: x\r\n{SECRET_HEADER}: {SECRET}\r\ncontent-length: 60000\r\n\r\n[");
    trickle.write_all(head.as_bytes()).await.unwrap();
    let mut sink = Vec::new();
    let _ = tokio::time::timeout(SOON, trickle.read_to_end(&mut sink)).await.expect("the connection stays open");
}

/// In production it is TLS and HTTP/1.1; a certificate that is checked, no plaintext, no HTTP/2.
#[tokio::test]
async fn deliveries_come_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let files = TlsFiles {
        certificate: cert.clone(),
        key,
        client_authorities: None,
        client_certificates: ClientCertificates::Optional,
    };
    let tls = ServerTls::read_for_http1(files, Arc::new(SystemClock)).unwrap();
    let listener = Listener::tls("127.0.0.1:0".parse().unwrap(), tls).unwrap();
    let address = listener.address().to_string();
    let heard = Arc::new(Heard::default());
    let door = router(WebhookSecrets::read(SECRET).unwrap(), heard.clone());
    let http = Http::new(listener, door, HttpLimits::default()).unwrap();
    let mut running = JoinSet::new();
    running.spawn(async { match http.run().await {} });

    let mut plaintext = TcpStream::connect(&address).await.unwrap();
    plaintext.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut sink = Vec::new();
    let _ = tokio::time::timeout(SOON, plaintext.read_to_end(&mut sink)).await.expect("the connection stays open");
    assert!(!sink.starts_with(b"HTTP"), "{sink:?}");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let tcp = TcpStream::connect(&address).await.unwrap();
    let tls = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let answer = send.send_request(request(Method::POST, PATH, &[SHOWN], &new_version("v-kv", "k"))).await.unwrap();
    assert_eq!((answer.status(), heard.all().len()), (StatusCode::OK, 1));
}

/// The whole way: an event makes the daemon look into the vault it already knows, at once, and go over to what it finds
/// there; nothing that the event says beside the two names has a part in it.
#[tokio::test]
async fn a_new_version_is_found_without_waiting() {
    let listener = Listener::plaintext_loopback("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().to_string();
    let an_hour = Some(Duration::from_secs(3_600));
    let webhook = (listener, WebhookSecrets::read(SECRET).unwrap());
    let site = Site::hearing(|assembly| assembly.options.look_for_versions = an_hour, Some(webhook)).await;
    site.acme().await;
    site.under_customer_key().await;
    let (fetched, url) = never_fetched();
    let connect = || TcpStream::connect(&address);
    over(connect().await.unwrap(), request(Method::POST, PATH, &[SHOWN], &handshake(&url))).await;

    site.clock.advance(Duration::from_secs(1));
    let newest = site.vault.create_key(&Site::key());
    let looked = site.vault.calls().versions;
    for (vault, key) in [("nobodys-kv", "byok"), ("contoso-kv", "other"), ("CONTOSO-kv", "Byok")] {
        let event = new_version(vault, key).replace("127.0.0.1", url.trim_start_matches("http://"));
        assert_eq!(
            over(connect().await.unwrap(), request(Method::POST, PATH, &[SHOWN], &event)).await.0,
            StatusCode::OK
        );
    }
    let mut operations = OperationsClient::new(site.client().await);
    let begun = tokio::time::timeout(SOON * 2, async {
        loop {
            let list = pb::ListOperationsRequest { parent: "workspaces/acme".into(), ..Default::default() };
            let listed = operations.list_operations(list).await.unwrap().into_inner().operations;
            if let Some(operation) = listed.into_iter().next() {
                return operation;
            }
            tokio::task::yield_now().await;
        }
    });
    let operation = begun.await.expect("nobody looked");
    assert!(format!("{operation:?}").contains(&newest.to_string()), "{operation:?}");
    let looks = site.vault.calls().versions - looked;
    assert!((1..=3).contains(&looks), "{looks} looks");
    assert_eq!(fetched.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "a URL was fetched");
}
