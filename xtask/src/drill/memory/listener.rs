//! The daemon as it is started in production: a configuration, a TLS listener, its log at the finest level a configuration can name.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use byokd::clock::SystemClock;
use client::{Client, Endpoint, Options, pb};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use sha2::{Digest, Sha256};
use vault::memory::MemoryKeys;

use super::super::checker::Checker;
use super::kind::Kind;
use super::watch::Watch;
use super::{derived, files, planted, registrations};
use crate::stopwatch::Stopwatch;

const TOKEN: &str = "token-of-the-drill-3f0c6d1b8e92";
const CLIENT_SECRET: &str = "client-secret-of-the-drill-a71b5c0e44";
const WEBHOOK_SECRET: &str = "webhook-secret-of-the-drill-5d2e8f6a01";
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection's buffers may outlive it.
const CLOSED: Duration = Duration::from_secs(5);
/// What has to be among what was searched for at the end.
const MADE: [Kind; 11] = [
    Kind::DataKey,
    Kind::Subkey,
    Kind::MessageKey,
    Kind::PlatformKey,
    Kind::TlsKey,
    Kind::ClientSecret,
    Kind::BearerToken,
    Kind::IssuedToken,
    Kind::WebhookSecret,
    Kind::Context,
    Kind::Plaintext,
];

/// Ends the process when it goes.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(super) async fn run(program: &Path, scratch: &Path, cores: Option<PathBuf>, seed: u64) -> Result<Watch> {
    let directory = scratch.join("listener");
    fs::create_dir_all(&directory)?;
    let (authority, key) = certificates(&directory)?;
    private(&directory.join("client-secret"), CLIENT_SECRET)?;
    private(&directory.join("webhook-secret"), WEBHOOK_SECRET)?;
    let mut made = Command::new(program);
    crate::tool::output(made.args(["platform-key", "init", "--file", "platform.key"]).current_dir(&directory))?;
    let (port, figures) = (free_port()?, free_port()?);
    fs::write(directory.join("byokd.toml"), configuration(port, free_port()?, figures))?;
    let log = directory.join("log");
    let mut command = Command::new(program);
    command.args(["serve", "--config", "byokd.toml"]).current_dir(&directory);
    command.stdin(Stdio::null()).stdout(File::create(directory.join("output"))?).stderr(File::create(&log)?);
    let serving = Serving(command.spawn()?);
    let client = connected(port, &authority, &log).await?;

    let mut watch = Watch::new("behind a TLS listener", serving.0.id(), cores);
    let wanted = &mut watch.wanted;
    wanted.value(Kind::BearerToken, "token", TOKEN.as_bytes());
    wanted.value(Kind::ClientSecret, "client secret", CLIENT_SECRET.as_bytes());
    wanted.value(Kind::WebhookSecret, "webhook secret", WEBHOOK_SECRET.as_bytes());
    for (name, bytes) in tls_key(&key)? {
        wanted.value(Kind::TlsKey, name, &bytes);
    }
    for (label, key) in derived::of_platform_root(&fs::read(directory.join("platform.key"))?)? {
        wanted.key(Kind::PlatformKey, &label, &key);
    }
    watch.after("the start", false).await?;
    said_at_the_start(&log)?;
    files::no_core_file(watch.pid)?;
    calls(&client, &directory, &mut watch).await?;
    registrations::issued(&client, &mut watch).await?;
    watch.after("CreateCaller, IssueToken over TLS", true).await?;
    watch.at_rest(&MADE).await?;
    drop(client);
    let kinds = [Kind::BearerToken, Kind::IssuedToken, Kind::Plaintext, Kind::Context];
    watch.gone("gone: every caller's connection", &kinds, CLOSED).await?;
    let shown = vec![("the metrics".to_owned(), figures_of(figures)?)];
    let searched = files::check(watch.pid, &watch.wanted, &[&directory], &shown)?;
    println!(
        "  nothing in the command line, the environment, the log at its finest, the database, the metrics: {searched} files and answers"
    );
    planted::into_the_daemon(seed, &watch).await?;
    Ok(watch)
}

async fn calls(client: &Client, directory: &Path, watch: &mut Watch) -> Result<()> {
    let request = pb::CreateWorkspaceRequest { workspace_id: "acme".into(), display_name: "drill".into() };
    client.create_workspace(request).await?;
    let app = "workspaces/acme/apps/letters";
    let kind = pb::AppKind::App.into();
    client.upsert_app(pb::UpsertAppRequest { name: app.into(), kind, display_name: "drill".into() }).await?;
    let mut checker = Checker::open(
        &directory.join("byokd.db"),
        &directory.join("platform.key"),
        MemoryKeys::new(Arc::new(SystemClock)),
    )?;
    for number in 0..20 {
        let text = format!("canary-over-tls-{number:04}-1c77e5d09ab3");
        let context: HashMap<_, _> = [("for".to_owned(), format!("canary-context-{number:04}-90be41f7"))].into();
        watch.wanted.value(Kind::Plaintext, "over TLS", text.as_bytes());
        watch.wanted.value(Kind::Context, "over TLS", context["for"].as_bytes());
        let sealed = client.encrypt(app, context.clone(), text.clone().into()).await?;
        let opened = client.decrypt(app, context, sealed.ciphertext.clone()).await?;
        ensure!(opened.plaintext == text, "another plaintext came back");
        checker.open_all().await?;
        checker.each_key(|id, key| {
            watch.wanted.key(Kind::DataKey, &hex::encode(id), key);
            watch.wanted.value(Kind::Subkey, &hex::encode(id), &derived::of_data_key(key));
            if let Some(key) = derived::of_message(key, &sealed.ciphertext) {
                watch.wanted.key(Kind::MessageKey, &hex::encode(id), &key);
            }
        });
    }
    watch.after("Encrypt, Decrypt over TLS, 20 times", false).await
}

/// What a `serve` says of its memory: how keys are kept, in words an operator can search for.
fn said_at_the_start(log: &Path) -> Result<()> {
    let said = fs::read_to_string(log)?;
    let line = said.lines().find(|line| line.contains("key memory is")).context("nothing is said of key memory")?;
    println!("  said at the start: {line}");
    Ok(())
}

fn configuration(port: u16, webhook: u16, figures: u16) -> String {
    let hash = hex::encode(Sha256::digest(TOKEN));
    format!(
        r#"
database = "byokd.db"
memory_lock = "required"
[platform_key]
file = "platform.key"
[[listen]]
tls = "127.0.0.1:{port}"
certificate = "listener.pem"
key = "listener.key"
[webhook]
tls = "127.0.0.1:{webhook}"
certificate = "listener.pem"
key = "listener.key"
secret_file = "webhook-secret"
[azure]
client_id = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01"
client_secret_file = "client-secret"
[[callers]]
name = "drill"
token_sha256 = "{hash}"
grants = ["*"]
[metrics]
listen = "127.0.0.1:{figures}"
[log]
level = "debug"
"#
    )
}

/// What is told of the daemon's calls to whoever collects figures.
fn figures_of(port: u16) -> Result<Vec<u8>> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut told = Vec::new();
    connection.read_to_end(&mut told)?;
    let holds = |text: &[u8]| told.windows(text.len()).any(|part| part == text);
    ensure!(holds(b"byokd_open_data_keys"), "there are no figures: {}", String::from_utf8_lossy(&told));
    Ok(told)
}

async fn connected(port: u16, authority: &str, log: &Path) -> Result<Client> {
    let waited = Stopwatch::start();
    loop {
        let options = Options {
            token: Some(TOKEN.to_owned()),
            ca_pem: Some(authority.as_bytes().to_vec()),
            connect_timeout: Duration::from_secs(1),
            ..Options::default()
        };
        let endpoint = Endpoint::Tls { host: "localhost".to_owned(), port };
        match Client::connect(&endpoint, options).await {
            Ok(client) => return Ok(client),
            Err(_) if waited.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(error).context(format!("the daemon did not come up; it says: {said}"));
            }
        }
    }
}

/// An authority and the listener's certificate from it. The authority's PEM, and the listener's key.
fn certificates(directory: &Path) -> Result<(String, KeyPair)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
    fs::write(directory.join("listener.pem"), leaf.pem())?;
    private(&directory.join("listener.key"), &key.serialize_pem())?;
    Ok((authority.pem(), key))
}

/// The forms in which the listener's key may stand: the P-256 scalar, both ways round, and the file's text.
fn tls_key(key: &KeyPair) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let der = key.serialize_der();
    // PKCS#8 of an EC key: the scalar is the one octet string of 32 bytes.
    let at = der.windows(2).position(|window| window == [0x04, 0x20]).context("the key has no scalar")?;
    let scalar = der.get(at + 2..at + 34).context("the key is short")?.to_vec();
    let backwards = scalar.iter().rev().copied().collect();
    let text = key.serialize_pem().lines().nth(1).unwrap_or_default().as_bytes().to_vec();
    Ok(vec![("scalar", scalar), ("scalar, little-endian", backwards), ("PEM", text)])
}

fn private(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
