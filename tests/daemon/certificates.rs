//! Callers who show a certificate: who is let in, for how long, and how the files change while calls are made.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::callers_client::CallersClient;
use api::byok::v1::encryption_client::EncryptionClient;
use api::byok::v1::workspaces_client::WorkspacesClient;
use byokd::serve::{Address, ClientCertificates, Listener, ServerTls, TlsFiles, TlsRefused};
use domain::permission::Grant;
use hyper_util::rt::TokioIo;
use identity::{CertificateCallers, CertificateHolder, EitherCallers, TokenCallers, token_hash};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose as Purpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tempfile::TempDir;
use testkit::HandClock;
use tokio::net::TcpStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::site::{Bearer, OTHER_TOKEN, Site, TOKEN, encrypt};

const CHAT: &str = "spiffe://platform.example/chat";

/// Somebody who issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a client shows.
type Shown = Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>;

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names and this purpose, good from and until the beginnings of these years.
    fn issue(&self, names: &[&str], purpose: Purpose, (from, until): (i32, i32)) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.contains("://") {
                true => SanType::URI((*name).try_into().unwrap()),
                false => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        params.extended_key_usages = vec![purpose];
        params.distinguished_name.push(DnType::CommonName, "spiffe://platform.example/chat");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn client(&self, names: &[&str], purpose: Purpose, years: (i32, i32)) -> Shown {
        let (certificate, key) = self.issue(names, purpose, years);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Some((vec![certificate.der().clone()], key))
    }

    fn good(&self, names: &[&str]) -> Shown {
        self.client(names, Purpose::ClientAuth, (2026, 2030))
    }
}

/// A daemon on a TLS port, with its files.
struct World {
    site: Site,
    folder: TempDir,
    tls: Arc<ServerTls>,
    clock: Arc<HandClock>,
    address: String,
    servers: Authority,
    clients: Authority,
}

impl World {
    async fn start(client_certificates: ClientCertificates) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let files = TlsFiles {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
            client_authorities: Some(folder.path().join("clients.pem")),
            client_certificates,
        };
        let clock = HandClock::new();
        renew(folder.path(), &servers);
        keep(folder.path(), "clients.pem", &clients.pem());
        let tls = ServerTls::read(files, clock.clone()).unwrap();
        let listener = Listener::tls("127.0.0.1:0".parse().unwrap(), tls.clone()).unwrap();
        let Address::Tcp(address) = listener.address() else { panic!("a TCP listener has a TCP address") };
        let clocks = clock.clone();
        let site = Site::beside(vec![listener], move |assembly| {
            let tokens = [("tester", token_hash(TOKEN)), ("second", token_hash(OTHER_TOKEN))];
            let holder = |name: &str, certificate: &str, grant: &str| CertificateHolder {
                name: name.into(),
                certificate: certificate.parse().unwrap(),
                grants: vec![grant.parse::<Grant>().unwrap()],
                expires: None,
            };
            let chat = holder("chat", CHAT, "platform-service@acme");
            let web = holder("web", "web.platform.example", "platform-service@contoso");
            let holders = CertificateCallers::new([chat, web], clocks.clone()).unwrap();
            assembly.callers = Arc::new(EitherCallers(TokenCallers::new(tokens).unwrap(), holders));
            assembly.clock = clocks;
        })
        .await;
        site.acme().await;
        Self { site, folder, tls, clock, address: address.to_string(), servers, clients }
    }

    fn connector(&self, shown: Shown) -> tokio_rustls::TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.servers.0.der().clone()).unwrap();
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let mut config = match shown {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        tokio_rustls::TlsConnector::from(Arc::new(config))
    }

    /// The certificate that the daemon shows to a new connection.
    async fn certificate(&self) -> Vec<u8> {
        let name = ServerName::try_from("byokd.test").expect("a name");
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let spoken = self.connector(None).connect(name, stream).await.unwrap();
        spoken.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    async fn channel(&self, shown: Shown) -> Result<Channel, tonic::transport::Error> {
        let connector = self.connector(shown);
        let address = self.address.clone();
        let connect = tower::service_fn(move |_| {
            let (connector, address) = (connector.clone(), address.clone());
            async move {
                let name = ServerName::try_from("byokd.test").expect("a name");
                connector.connect(name, TcpStream::connect(address).await?).await.map(TokioIo::new)
            }
        });
        Endpoint::from_static("http://byokd").connect_with_connector(connect).await
    }

    /// What an Encrypt for acme's bot ends with, on a connection of its own.
    async fn call(&self, shown: Shown) -> Outcome {
        match self.channel(shown).await {
            Ok(channel) => ask(&channel).await,
            Err(_) => Outcome::NotSpokenTo,
        }
    }

    fn read_again(&self) -> Result<bool, TlsRefused> {
        self.tls.read_again()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    /// By the daemon, with this reason.
    Refused(String),
    /// The connection ended without an answer.
    NotSpokenTo,
}

fn refused(reason: &str) -> Outcome {
    Outcome::Refused(reason.to_owned())
}

fn outcome(answered: Result<(), Status>) -> Outcome {
    match answered {
        Ok(()) => Outcome::Served,
        Err(status) => match status.get_details_error_info() {
            Some(info) => Outcome::Refused(info.reason),
            None => {
                assert!(matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{status:?}");
                Outcome::NotSpokenTo
            }
        },
    }
}

async fn ask(channel: &Channel) -> Outcome {
    outcome(EncryptionClient::new(channel.clone()).encrypt(encrypt("order 42")).await.map(drop))
}

fn keep(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A new certificate and key for the daemon, in its files.
pub(crate) fn renew(folder: &Path, servers: &Authority) {
    let (certificate, key) = servers.issue(&["byokd.test"], Purpose::ServerAuth, (2020, 2099));
    keep(folder, "cert.pem", &certificate.pem());
    keep(folder, "key.pem", &key.serialize_pem());
}

/// A certificate is whose name it carries, with what that caller was given and no more.
#[tokio::test]
async fn a_certificate_lets_in_whom_it_names() {
    let world = World::start(ClientCertificates::Optional).await;
    let good = |names: &[&str]| world.clients.good(names);
    assert_eq!(world.call(good(&[CHAT])).await, Outcome::Served);
    assert_eq!(world.call(good(&["web.platform.example"])).await, refused("NOT_FOUND"), "not its workspace");
    // Verified, and nobody: a name that is not known, two of them, none that counts. The common name says CHAT in all of these.
    for names in
        [&["spiffe://platform.example/other"] as &[&str], &["other.example"], &[CHAT, "spiffe://a.example/b"], &[]]
    {
        assert_eq!(world.call(good(names)).await, refused("UNAUTHENTICATED"), "{names:?}");
    }
    assert_eq!(world.call(None).await, refused("UNAUTHENTICATED"));
}

/// Certificates that are not good now, not for this, or not from an authority that counts are not spoken to.
#[tokio::test]
async fn bad_certificates_are_not_spoken_to() {
    for asked in [ClientCertificates::Optional, ClientCertificates::Required] {
        let world = World::start(asked).await;
        let at = |purpose, years| world.clients.client(&[CHAT], purpose, years);
        assert_eq!(world.call(at(Purpose::ClientAuth, (2026, 2030))).await, Outcome::Served);
        assert_eq!(world.call(at(Purpose::ClientAuth, (2020, 2027))).await, Outcome::NotSpokenTo, "expired");
        assert_eq!(world.call(at(Purpose::ClientAuth, (2028, 2030))).await, Outcome::NotSpokenTo, "not valid yet");
        assert_eq!(world.call(at(Purpose::ServerAuth, (2026, 2030))).await, Outcome::NotSpokenTo, "another purpose");
        let stranger = Authority::new("clients"); // of the same name, with another key
        assert_eq!(world.call(stranger.good(&[CHAT])).await, Outcome::NotSpokenTo, "another authority");
        let none =
            if asked == ClientCertificates::Required { Outcome::NotSpokenTo } else { refused("UNAUTHENTICATED") };
        assert_eq!(world.call(None).await, none);
    }
}

/// A token that is shown counts alone: a wrong one is not made good by a certificate, and a right one is its own caller's.
#[tokio::test]
async fn a_token_that_is_shown_counts_alone() {
    let world = World::start(ClientCertificates::Optional).await;
    for (token, expected) in [(TOKEN, Outcome::Served), ("token-guessed", refused("UNAUTHENTICATED"))] {
        for shown in [world.clients.good(&[CHAT]), world.clients.good(&["web.platform.example"]), None] {
            let channel = world.channel(shown).await.unwrap();
            let mut client = EncryptionClient::new(InterceptedService::new(channel, Bearer::of(token)));
            assert_eq!(outcome(client.encrypt(encrypt("x")).await.map(drop)), expected, "{token}");
        }
    }
}

/// On a connection that lasts, a certificate that expires is refused from that second on.
#[tokio::test]
async fn a_certificate_ends_on_a_connection_that_lasts() {
    let world = World::start(ClientCertificates::Required).await;
    let channel = world.channel(world.clients.client(&[CHAT], Purpose::ClientAuth, (2026, 2028))).await.unwrap();
    assert_eq!(ask(&channel).await, Outcome::Served);
    let hour = Duration::from_secs(3_600);
    world.clock.advance(hour * 24 * 305); // 2027-12-31
    assert_ne!(ask(&channel).await, refused("UNAUTHENTICATED"));
    world.clock.advance(hour * 48);
    assert_eq!(ask(&channel).await, refused("UNAUTHENTICATED"));
}

/// An authority that is taken away vouches no more: neither for new connections nor for those it opened, while those of another
/// authority go on.
#[tokio::test]
async fn an_authority_that_is_taken_away_vouches_no_more() {
    let world = World::start(ClientCertificates::Required).await;
    let second = Authority::new("second");
    keep(world.folder.path(), "clients.pem", &format!("{}{}", world.clients.pem(), second.pem()));
    assert!(world.read_again().unwrap());
    let of_first = world.channel(world.clients.good(&[CHAT])).await.unwrap();
    let of_second = world.channel(second.good(&[CHAT])).await.unwrap();
    assert_eq!((ask(&of_first).await, ask(&of_second).await), (Outcome::Served, Outcome::Served));

    keep(world.folder.path(), "clients.pem", &second.pem());
    assert_eq!(ask(&of_first).await, Outcome::Served, "not read yet");
    assert!(world.read_again().unwrap());
    assert_eq!((ask(&of_first).await, ask(&of_second).await), (refused("UNAUTHENTICATED"), Outcome::Served));
    assert_eq!(world.call(world.clients.good(&[CHAT])).await, Outcome::NotSpokenTo);
    assert_eq!(world.call(second.good(&[CHAT])).await, Outcome::Served);
}

/// The daemon reads its files again by itself: a new certificate of its own and another authority for its callers count within a
/// minute, on connections that last too, and whoever is let in before and after has no call that fails meanwhile. Seeded bug: without
/// whoever reads the files again (`keep_reading`), the first wait ends without the second authority.
#[tokio::test]
async fn new_files_count_within_a_minute_and_no_call_fails_meanwhile() {
    let world = World::start(ClientCertificates::Required).await;
    let second = Authority::new("second");
    let shown = || second.good(&[CHAT]);
    assert_eq!(world.call(shown()).await, Outcome::NotSpokenTo);
    keep(world.folder.path(), "clients.pem", &format!("{}{}", world.clients.pem(), second.pem()));
    within_a_minute(async || world.call(shown()).await == Outcome::Served).await;

    let (leaving, staying) =
        (world.channel(world.clients.good(&[CHAT])).await.unwrap(), world.channel(shown()).await.unwrap());
    assert_eq!((ask(&leaving).await, ask(&staying).await), (Outcome::Served, Outcome::Served));
    let before = world.certificate().await;
    keep(world.folder.path(), "clients.pem", &second.pem());
    renew(world.folder.path(), &world.servers);
    within_a_minute(async || {
        assert_eq!((ask(&staying).await, world.call(shown()).await), (Outcome::Served, Outcome::Served));
        // By the answer, or because the daemon has ended its connection by then.
        ask(&leaving).await != Outcome::Served
    })
    .await;
    assert_eq!(world.call(world.clients.good(&[CHAT])).await, Outcome::NotSpokenTo);
    assert_eq!((ask(&staying).await, world.call(shown()).await), (Outcome::Served, Outcome::Served));
    assert_ne!(world.certificate().await, before, "the daemon shows its new certificate");
}

/// Asks again after each second of timers, which pass as soon as nothing else is to be done, until it is so.
async fn within_a_minute(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..60 {
        if is_so().await {
            return;
        }
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Calls are made in real time: none of their deadlines comes due while they are under way.
        tokio::time::resume();
    }
    panic!("not within a minute");
}

/// What lasts does not outlast the certificate it was begun with: a stream is ended with its connection.
#[tokio::test]
async fn a_stream_ends_when_its_certificate_is_good_no_more() {
    let world = World::start(ClientCertificates::Required).await;
    let channel = world.channel(world.clients.good(&[CHAT])).await.unwrap();
    let request = pb::WatchSelectionRequest { parent: "workspaces/acme".into() };
    let mut watch = WorkspacesClient::new(channel).watch_selection(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    keep(world.folder.path(), "clients.pem", &Authority::new("others").pem());
    assert!(world.read_again().unwrap());
    // From here on timers come due as soon as nothing else is to be done.
    tokio::time::pause();
    let ended = async { while let Ok(Some(_)) = watch.message().await {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends within a minute");
}

/// The daemon's own certificate is renewed again and again while calls are made: none of them fails.
#[tokio::test]
async fn certificates_are_renewed_without_a_failed_call() {
    let world = Arc::new(World::start(ClientCertificates::Required).await);
    let lasting = world.channel(world.clients.good(&[CHAT])).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let callers = (0..4).map(|_| {
        let (world, done, lasting) = (world.clone(), done.clone(), lasting.clone());
        tokio::spawn(async move {
            let mut calls = 0;
            while !done.load(Ordering::Relaxed) || calls < 20 {
                assert_eq!(ask(&lasting).await, Outcome::Served);
                assert_eq!(world.call(world.clients.good(&[CHAT])).await, Outcome::Served);
                calls += 2;
            }
            calls
        })
    });
    let callers: Vec<_> = callers.collect();
    for _ in 0..10 {
        renew(world.folder.path(), &world.servers);
        assert!(world.read_again().unwrap());
        assert_eq!(world.call(world.clients.good(&[CHAT])).await, Outcome::Served);
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap() >= 20);
    }
}

/// New files that cannot be used change nothing, and say what is wrong; a private key among the authorities is one of them.
#[tokio::test]
async fn broken_new_files_change_nothing() {
    let world = World::start(ClientCertificates::Required).await;
    let path = |name: &str| world.folder.path().join(name);
    let (cert, clients) = (std::fs::read(path("cert.pem")).unwrap(), world.clients.pem());
    let leaf = world.clients.issue(&["x.example"], Purpose::ClientAuth, (2026, 2030)).0.pem();
    let with_key = format!("{clients}{}", world.clients.0.key().serialize_pem());
    let half = clients[..clients.len() / 2].to_owned();
    for (name, text, expected) in [
        ("cert.pem", String::new(), "no PEM certificate"),
        ("cert.pem", leaf.clone(), "do not fit together"),
        ("clients.pem", with_key, "holds a private key where only certificates belong"),
        ("clients.pem", leaf, "cannot vouch for others"),
        ("clients.pem", half, "no PEM certificate"),
    ] {
        keep(world.folder.path(), name, &text);
        let refused = world.read_again().unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
        assert!(!refused.hint().is_empty());
        assert_eq!(world.call(world.clients.good(&[CHAT])).await, Outcome::Served, "{expected}");
        std::fs::write(path("cert.pem"), &cert).unwrap();
        keep(world.folder.path(), "clients.pem", &clients);
    }
    assert!(!world.read_again().unwrap(), "the files are what they were");
    drop(world.site);
}

/// A caller of the database is known by its certificate like one of the configuration: let in from the answer on, and shut out on a
/// connection that lasts.
#[tokio::test]
async fn a_caller_of_the_database_is_known_by_its_certificate() {
    let world = World::start(ClientCertificates::Optional).await;
    let job = "job.platform.example";
    let channel = world.channel(world.clients.good(&[job])).await.unwrap();
    assert_eq!(ask(&channel).await, refused("UNAUTHENTICATED"));
    let mut admin = CallersClient::new(world.site.client().await);
    let create = |id: &str, certificate: &str| pb::CreateCallerRequest {
        caller_id: id.into(),
        grants: vec!["platform-service@acme".into()],
        certificate: certificate.into(),
        expire_time: None,
    };
    // The configuration's names are its own.
    let taken = admin.create_caller(create("chat-two", CHAT)).await.unwrap_err();
    assert_eq!(taken.get_details_error_info().unwrap().reason, "CALLER_CERTIFICATE_TAKEN");
    admin.create_caller(create("job", job)).await.unwrap();
    assert_eq!(ask(&channel).await, Outcome::Served);
    let update_mask = Some(prost_types::FieldMask { paths: vec!["disabled".into()] });
    let disable =
        pb::UpdateCallerRequest { name: "callers/job".into(), disabled: true, update_mask, ..Default::default() };
    admin.update_caller(disable).await.unwrap();
    assert_eq!(ask(&channel).await, refused("UNAUTHENTICATED"));
}
