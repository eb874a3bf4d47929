//! What an operator reads of a running daemon.

use byokd::serve::{Address, ClientCertificates, Listener, ServerTls, TlsFiles};
use byokd::webhook::WebhookSecrets;
use testkit::HandClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certificates::{Authority, renew};
use crate::site::Site;

/// A place for figures on a port of this machine, and where it is.
pub(crate) fn place() -> (Listener, String) {
    let listener = Listener::plaintext_loopback("127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = listener.address() else { panic!("a TCP listener has a TCP address") };
    let address = address.to_string();
    (listener, address)
}

/// What is told there, as Prometheus asks for it.
pub(crate) async fn read(address: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// The value of a figure with these labels, as it is told.
pub(crate) fn told(text: &str, figure: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(' ')?.parse().ok())
}

/// The end of every certificate we listen with is told: the callers' place, Event Grid's and the browsers'.
#[tokio::test]
async fn the_end_of_every_certificate_is_told() {
    let recorder = byokd::figures::recorder();
    let counted = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let folder = tempfile::tempdir().unwrap();
    let servers = Authority::new("servers");
    let tls = |name: &str, http1: bool| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        renew(&folder, &servers);
        let files = TlsFiles {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            client_authorities: None,
            client_certificates: ClientCertificates::Optional,
        };
        let clock = HandClock::new();
        let read = if http1 { ServerTls::read_for_http1(files, clock) } else { ServerTls::read(files, clock) };
        Listener::tls("127.0.0.1:0".parse().unwrap(), read.unwrap()).unwrap()
    };
    let (listener, address) = place();
    let secrets = WebhookSecrets::read("a-secret-of-event-grid-9d1c5e77b2f04a63").unwrap();
    let dress = |daemon: byokd::wire::Daemon| {
        let daemon = daemon.with_webhook(tls("webhook", true), secrets).with_entra_pages(tls("pages", true));
        daemon.with_metrics(listener, counted)
    };
    let site = Site::dressed(vec![tls("callers", false)], |_| (), dress).await;
    let text = read(&address).await;
    for place in ["callers", "webhook", "pages"] {
        let file = folder.path().join(place).join("cert.pem");
        let left = told(&text, &format!("byokd_certificate_seconds_left{{listener=\"{}\"}}", file.display()));
        assert!(left.is_some_and(|left| left > 86_400.0), "{place}: {text}");
    }
    drop(site);
}
