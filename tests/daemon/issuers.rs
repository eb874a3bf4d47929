//! Callers who show a token that an issuer signed: the issuer is a TLS server of the test, reached as a configuration says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::callers_client::CallersClient;
use api::byok::v1::workspaces_client::WorkspacesClient;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use byokd::clock::SystemClock;
use byokd::config::{ConfiguredIssuer, ConfiguredSubject};
use byokd::issuers;
use byokd::wire::Assembly;
use domain::Clock as _;
use identity::jwt::Algorithm;
use identity::{EitherCallers, TokenCallers, token_hash};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyUsagePurpose};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::site::{Site, TOKEN};

/// One signing key of the issuer.
struct Signing {
    kid: &'static str,
    pair: KeyPair,
}

impl Signing {
    fn new(kid: &'static str) -> Self {
        Self { kid, pair: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    fn jwk(&self) -> serde_json::Value {
        let public = self.pair.public_key();
        serde_json::json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// A token for ten minutes.
    fn token(&self, issuer: &str, subject: &str) -> String {
        let now = SystemClock.now().wall.micros() / 1_000_000;
        let header = serde_json::json!({"alg": "RS256", "kid": self.kid});
        let claims = serde_json::json!({"iss": issuer, "aud": ["byokd"], "sub": subject, "iat": now, "nbf": now, "exp": now + 600});
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What the issuer lists, and how often it was asked for it.
struct IssuerServer {
    issuer: String,
    listed: Arc<Mutex<Vec<serde_json::Value>>>,
    asked: watch::Receiver<u64>,
    folder: TempDir,
}

impl IssuerServer {
    async fn start() -> Self {
        Self::at("localhost", "127.0.0.1:0").await
    }

    /// Known by this name, or address, in its certificate; an IPv6 address stands in brackets in a URL.
    async fn at(name: &str, listens: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![leaf.der().clone()], key).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();

        let listener = TcpListener::bind(listens).await.unwrap();
        let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        let issuer = format!("https://{host}:{}/cluster", listener.local_addr().unwrap().port());
        let listed = Arc::<Mutex<Vec<serde_json::Value>>>::default();
        let (count, asked) = watch::channel(0);
        let (keys, document) = (listed.clone(), issuer.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match stream.read(&mut byte).await {
                        Ok(1) => request.push(byte[0]),
                        _ => break,
                    }
                }
                let of_keys = request.starts_with(b"GET /cluster/keys ");
                let body = if of_keys {
                    serde_json::json!({"keys": *keys.lock().unwrap()})
                } else {
                    serde_json::json!({"issuer": document, "jwks_uri": format!("{document}/keys")})
                };
                let body = body.to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = stream.shutdown().await;
                if of_keys {
                    count.send_modify(|asked| *asked += 1);
                }
            }
        });
        Self { issuer, listed, asked, folder }
    }

    fn list(&self, keys: &[&Signing]) {
        *self.listed.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    /// Until what is listed now has been fetched and taken in: the second answer from now on was asked for after the first was.
    async fn taken_in(&self) {
        let mut asked = self.asked.clone();
        let now = *asked.borrow();
        tokio::time::timeout(Duration::from_secs(30), asked.wait_for(|count| *count >= now + 3))
            .await
            .unwrap()
            .unwrap();
    }

    fn configured(&self) -> ConfiguredIssuer {
        ConfiguredIssuer {
            issuer: self.issuer.clone(),
            audience: "byokd".into(),
            jwks: None,
            trust: Some(self.folder.path().join("ca.pem")),
            algorithms: vec![Algorithm::Rs256],
            longest_life: Duration::from_secs(3_600),
            refresh: Duration::from_millis(20),
            subjects: vec![ConfiguredSubject {
                subject: "system:serviceaccount:chat:*".parse().unwrap(),
                name: "chat".into(),
                grants: vec!["auditor@acme".parse().unwrap(), "platform-operator".parse().unwrap()],
            }],
        }
    }

    async fn site(&self, configured: &[ConfiguredIssuer]) -> Site {
        let (signed, keys) = issuers::signed(configured).unwrap();
        let site = Site::with(move |assembly| {
            let tokens = TokenCallers::new([("tester", token_hash(TOKEN))]).unwrap();
            assembly.callers = Arc::new(EitherCallers(tokens, signed));
            assembly.issuers_keys = keys;
        })
        .await;
        site.acme().await;
        site
    }
}

async fn asks(site: &Site, token: &str) -> Result<(), Status> {
    let mut client = WorkspacesClient::new(site.with_token(token).await);
    let request = pb::GetWorkspaceRequest { name: "workspaces/acme".into() };
    client.get_workspace(request).await.map(|_| ())
}

const WORKER: &str = "system:serviceaccount:chat:worker";

/// A key that the issuer lists before it signs with it serves its first token, no call fails in between, and tokens of the key
/// before are refused once it is listed no more, on the connection that showed one as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_changes_its_key_without_a_failed_call() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = IssuerServer::start().await;
    let (old, new) = (Signing::new("old"), Signing::new("new"));
    issuer.list(&[&old]);
    let site = issuer.site(&[issuer.configured()]).await;
    issuer.taken_in().await;
    let first = old.token(&issuer.issuer, WORKER);
    let mut lasting = WorkspacesClient::new(site.with_token(&first).await);
    let request = || pb::GetWorkspaceRequest { name: "workspaces/acme".into() };
    lasting.get_workspace(request()).await.unwrap();

    let early = asks(&site, &new.token(&issuer.issuer, WORKER)).await.unwrap_err();
    assert_eq!(early.code(), Code::Unavailable, "until the issuer was asked, nobody can say that it lists no such key");
    issuer.taken_in().await;
    let early = asks(&site, &new.token(&issuer.issuer, WORKER)).await.unwrap_err();
    assert_eq!(early.code(), Code::Unauthenticated, "a key that the issuer does not list signs for nobody");
    issuer.list(&[&old, &new]);
    issuer.taken_in().await;
    for signing in [&old, &new] {
        asks(&site, &signing.token(&issuer.issuer, WORKER)).await.unwrap();
    }
    lasting.get_workspace(request()).await.unwrap();

    issuer.list(&[&new]);
    issuer.taken_in().await;
    asks(&site, &new.token(&issuer.issuer, WORKER)).await.unwrap();
    let gone = asks(&site, &old.token(&issuer.issuer, WORKER)).await.unwrap_err();
    let remembered = lasting.get_workspace(request()).await.unwrap_err();
    assert_eq!((gone.code(), remembered.code()), (Code::Unauthenticated, Code::Unauthenticated));
    site.stopped().await;
}

/// An issuer may be an IPv6 address, which stands in brackets in its name: it is reached there, and its certificate is for that address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_may_be_an_ipv6_address() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = IssuerServer::at("::1", "[::1]:0").await;
    assert!(issuer.issuer.starts_with("https://[::1]:"), "{}", issuer.issuer);
    let signing = Signing::new("k");
    issuer.list(&[&signing]);
    let site = issuer.site(&[issuer.configured()]).await;
    issuer.taken_in().await;
    asks(&site, &signing.token(&issuer.issuer, WORKER)).await.unwrap();
    site.stopped().await;
}

/// Whose issuer lists no keys is told to come again, and why, and not that they are nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_keys_cannot_be_had_is_told_to_come_again() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = IssuerServer::start().await;
    let signing = Signing::new("k");
    let unlisted = issuer.site(&[issuer.configured()]).await;
    let refused = asks(&unlisted, &signing.token(&issuer.issuer, WORKER)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let details = String::from_utf8_lossy(refused.details()).into_owned();
    assert!(details.contains("SIGNING_KEYS_UNAVAILABLE"), "{details}");
    let other = asks(&unlisted, &signing.token("https://localhost:1/cluster", WORKER)).await.unwrap_err();
    assert_eq!(other.code(), Code::Unauthenticated, "of an issuer that nobody named there is nothing to wait for");
    unlisted.stopped().await;
}

/// Another subject, another issuer, an issuer that was taken out of the configuration, and a text that is no token are refused with
/// one and the same answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_configured_is_nobody() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = IssuerServer::start().await;
    let signing = Signing::new("k");
    issuer.list(&[&signing]);
    let good = signing.token(&issuer.issuer, WORKER);
    let site = issuer.site(&[issuer.configured()]).await;
    issuer.taken_in().await;
    asks(&site, &good).await.unwrap();
    let mut texts = Vec::new();
    for token in [
        signing.token(&issuer.issuer, "system:serviceaccount:other:worker"),
        signing.token("https://localhost:1/cluster", WORKER),
        Signing::new("k").token(&issuer.issuer, WORKER),
        "no.token.atall".to_owned(),
        "opaque".to_owned(),
        format!("{good}A"),
        "x".repeat(7_000),
    ] {
        let refused = asks(&site, &token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        texts.push(refused.message().to_owned());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    site.stopped().await;

    let without = issuer.site(&[]).await;
    assert_eq!(asks(&without, &good).await.unwrap_err().code(), Code::Unauthenticated);
    without.stopped().await;
}

/// The callers of issuers are the configuration's: nobody of the database gets such a name, and a daemon whose database has it
/// already does not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subjects_name_is_nobody_elses() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = IssuerServer::start().await;
    let create = |id: &str| pb::CreateCallerRequest {
        caller_id: id.into(),
        grants: vec!["auditor@acme".into()],
        ..Default::default()
    };
    let site = issuer.site(&[issuer.configured()]).await;
    let mut callers = CallersClient::new(site.client().await);
    let taken = callers.create_caller(create("chat")).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists, "{taken:?}");
    let listed = callers.get_caller(pb::GetCallerRequest { name: "callers/chat".into() }).await.unwrap().into_inner();
    assert_eq!(listed.grants, ["auditor@acme", "platform-operator"]);
    drop(callers);
    site.stopped().await;

    let mut platform = None;
    let before = Site::with(|assembly| platform = Some(assembly.platform.clone())).await;
    before.acme().await;
    CallersClient::new(before.client().await).create_caller(create("chat")).await.unwrap();
    let (signed, _) = issuers::signed(&[issuer.configured()]).unwrap();
    let (store, vault) = (before.store.clone(), before.vault.clone());
    let mut again = Assembly::new(store, vault, platform.unwrap(), Arc::new(signed));
    again.clock = before.clock.clone();
    let refused = again.start().await.err().expect("a name of two callers keeps it from starting");
    assert!(refused.to_string().contains("chat"), "{refused}");
    before.stopped().await;
}
