//! Where connections really go: to the checked address, under the name that was asked for, and through no proxy but a named one.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use outbound::{DevelopmentConnector, NoAnswer, NotResolved, Ranges, Request, Rules, Sender};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

const VAULT: &str = "contoso.vault.azure.net";
const FINE: &str = "20.61.100.1";

type Record = Arc<Mutex<Vec<String>>>;

/// A server with one certificate, which notes the name of each handshake and the first line of each request.
struct Stub {
    addr: SocketAddr,
    ca_pem: String,
    seen: Record,
}

async fn stub(certified_for: &str) -> Stub {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let issued = CertificateParams::new(vec![certified_for.to_owned()]).unwrap();
    let certificate = issued.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, seen) = (listener.local_addr().unwrap(), Record::default());
    let record = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, record) = (acceptor.clone(), Arc::clone(&record));
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                let name = tls.get_ref().1.server_name().unwrap_or("nobody").to_owned();
                let mut read = [0; 4096];
                while let Ok(n @ 1..) = tls.read(&mut read).await {
                    let head = String::from_utf8_lossy(&read[..n]).into_owned();
                    record.lock().unwrap().push(format!("{name}: {}", head.lines().next().unwrap_or_default()));
                    tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
            });
        }
    });
    Stub { addr, ca_pem, seen }
}

impl Stub {
    fn sender(&self, addresses: &'static [&'static str], rules: Rules) -> Sender {
        let connector = DevelopmentConnector { addr: self.addr, ca_pem: self.ca_pem.as_bytes().to_vec() };
        let answers = move |_: &str| addresses.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        Sender::development_by(&connector, None, Some(Arc::new(answers)), rules).unwrap()
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn request(url: &str) -> Request {
    Request::get(url.parse().unwrap())
}

fn to_the_vault() -> Request {
    request(&format!("https://{VAULT}/healthstatus?api-version=1"))
}

/// The name that was asked for is the name in TLS, whatever address the connection goes to; the path is whole.
#[tokio::test]
async fn tls_is_spoken_with_the_name_that_was_asked_for() {
    let stub = stub(VAULT).await;
    let received = stub.sender(&[FINE], Rules::default()).send(&to_the_vault()).await.unwrap();
    assert_eq!((received.status, &*received.body), (200, b"ok".as_slice()));
    assert_eq!(stub.seen(), [format!("{VAULT}: GET /healthstatus?api-version=1 HTTP/1.1")]);
}

/// Who has the address but not the name's certificate is sent nothing.
#[tokio::test]
async fn a_certificate_for_another_name_is_not_taken() {
    let stub = stub("evil.vault.azure.net").await;
    let refused = stub.sender(&[FINE], Rules::default()).send(&to_the_vault()).await.unwrap_err();
    assert_eq!(refused, NoAnswer::Unreachable);
    assert_eq!(stub.seen(), [""; 0]);
}

/// A URL that would be connected to without a look-up, or that carries somebody's name, goes nowhere.
#[tokio::test]
async fn only_names_are_connected_to() {
    let stub = stub(VAULT).await;
    let sender = stub.sender(&[FINE], Rules::default());
    for url in [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://2130706433/x",
        "https://user@contoso.vault.azure.net/x",
        "https://contoso.vault.azure.net:8443/x",
        "http://contoso.vault.azure.net/x",
    ] {
        let refused = sender.send(&request(url)).await.unwrap_err();
        assert_eq!(refused, NoAnswer::NotResolved(NotResolved::AddressForbidden), "{url}");
    }
    assert_eq!(stub.seen(), [""; 0]);
}

/// Connections are kept for who may make them: the same ranges share, others do not, and one look-up serves one connection.
#[tokio::test]
async fn connections_are_shared_only_by_who_may_make_them() {
    let stub = stub(VAULT).await;
    let (asked, times) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let connector = DevelopmentConnector { addr: stub.addr, ca_pem: stub.ca_pem.as_bytes().to_vec() };
    let answers = move |_: &str| {
        counted.fetch_add(1, Ordering::Relaxed);
        vec!["10.20.0.5".parse().unwrap()]
    };
    let public = Sender::development_by(&connector, None, Some(Arc::new(answers)), Rules::default()).unwrap();
    let ranges = |text: &str| [text.parse().unwrap()].into_iter().collect::<Ranges>();
    let acme = public.approving(ranges("10.20.0.0/16")).unwrap();
    for sender in [&acme, &acme, &public.approving(ranges("10.20.0.0/16")).unwrap()] {
        sender.send(&to_the_vault()).await.unwrap();
        times.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "three requests, one connection");
    for other in
        [&public, &public.approving(ranges("10.21.0.0/16")).unwrap(), &acme.approving(Ranges::default()).unwrap()]
    {
        let refused = other.send(&to_the_vault()).await.unwrap_err();
        assert_eq!(refused, NoAnswer::NotResolved(NotResolved::AddressNotApproved));
    }
    assert_eq!(stub.seen().len(), times.load(Ordering::Relaxed));
    acme.anew().unwrap().send(&to_the_vault()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 5, "who looks anew makes a connection of its own");
}

/// A proxy that notes what it is asked for and leads everything to `to`.
async fn proxy(to: SocketAddr, answer: &'static str) -> (SocketAddr, Record) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, asked) = (listener.local_addr().unwrap(), Record::default());
    let record = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let record = Arc::clone(&record);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = tcp.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                record.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
                tcp.write_all(answer.as_bytes()).await.unwrap();
                if let Ok(mut vault) = TcpStream::connect(to).await {
                    let _ = copy_bidirectional(&mut tcp, &mut vault).await;
                }
            });
        }
    });
    (addr, asked)
}

/// A proxy is asked for the address that was checked, learns no name, and sees nothing of what is said.
#[tokio::test]
async fn a_named_proxy_is_asked_for_the_checked_address() {
    let stub = stub(VAULT).await;
    let (addr, asked) = proxy(stub.addr, "HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n").await;
    let rules = || Rules::new(Ranges::default(), Some(format!("http://{addr}").parse().unwrap()));
    stub.sender(&[FINE], rules()).send(&to_the_vault()).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), [format!("CONNECT {FINE}:443 HTTP/1.1")]);
    assert_eq!(stub.seen(), [format!("{VAULT}: GET /healthstatus?api-version=1 HTTP/1.1")]);
    // What may not be reached is not reached through a proxy either.
    let inward = stub.sender(&[FINE, "169.254.169.254"], rules()).send(&to_the_vault()).await.unwrap_err();
    assert_eq!(inward, NoAnswer::NotResolved(NotResolved::AddressForbidden));
    assert_eq!(asked.lock().unwrap().len(), 1);
}

/// A proxy that refuses, or answers without end, is no way out; nothing goes around it.
#[tokio::test]
async fn a_proxy_that_refuses_is_not_gone_around() {
    let stub = stub(VAULT).await;
    for answer in [
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: http://x\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let (addr, _) = proxy(stub.addr, answer).await;
        let rules = Rules::new(Ranges::default(), Some(format!("http://{addr}").parse().unwrap()));
        let refused = stub.sender(&[FINE], rules).send(&to_the_vault()).await.unwrap_err();
        assert_eq!(refused, NoAnswer::Unreachable, "{answer}");
    }
    assert_eq!(stub.seen(), [""; 0]);
}

/// No variable of the environment names a proxy: the same request, in a process that has them all, goes straight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_the_environment_does_not_count() {
    const TOLD: &str = "OUTBOUND_TEST_STUB";
    if let Some((addr, ca)) = std::env::var(TOLD).ok().as_deref().and_then(|told| told.split_once(' ')) {
        let connector = DevelopmentConnector { addr: addr.parse().unwrap(), ca_pem: ca.as_bytes().to_vec() };
        let sender = Sender::development(&connector, None).unwrap();
        sender.send(&to_the_vault()).await.expect("the stub answers");
        return;
    }
    let stub = stub(VAULT).await;
    let (addr, asked) = proxy(stub.addr, "HTTP/1.1 200 OK\r\n\r\n").await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_proxy_of_the_environment_does_not_count"]);
    child.env(TOLD, format!("{} {}", stub.addr, stub.ca_pem)).env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, format!("http://{addr}"));
    }
    let ended = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    assert_eq!(stub.seen().len(), 1, "the request came");
    assert_eq!(*asked.lock().unwrap(), [""; 0], "and not through the proxy");
}
