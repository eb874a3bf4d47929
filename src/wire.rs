//! Which concrete parts the daemon is made of: the one place that names them.
//!
//! An [`Assembly`] holds the parts behind their seams, [`Assembly::start`] puts them to work, and [`Daemon::serve`] opens them
//! to callers. `serve` assembles from a configuration; development and tests bring parts of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Entropy, Timestamp};
use futures::future::{Either, select};
use identity::entra::Directory;
use identity::jwks::KeySet;
use identity::{Callers, CertificateCallers, CertificateHolder, EitherCallers, Token, TokenCallers};
use metrics_exporter_prometheus::PrometheusHandle;
use outbound::Rules;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use service::{Options, Parts, PlatformCertificate, Service, StartFailed};
use store::sqlite::{Acceptance, Durability, Offline, SqliteOptions, SqliteStore};
use store::{Outside, Store, StoreError};
use vault::azure::{AzureKeys, AzureOptions, CertificateKey, ClientSecret, PlatformCredential};
use vault::platform::{PlatformRoot, RootRefused};
use vault::{CustomerKeys, KeyRef};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::clock::SystemClock;
use crate::config::{self, AzureCredential, Config, ConfiguredCaller, Listen, PlatformKey, WayOut};
use crate::entropy::SystemEntropy;
use crate::figures::{self, Sources};
use crate::files;
use crate::grpc::{Grpc, Health};
use crate::issuers;
use crate::serve::{
    BindRefused, ClientCertificates, Drained, Http, HttpLimits, Limits, Listener, Server, ServerTls, TlsFiles,
    TlsRefused, Workers,
};
use crate::trouble::{Trouble, Troubles};
use crate::webhook::{self, WebhookSecrets};
use crate::{entra_application, entra_pages};

/// How long the platform's own vault may take at the start.
const PLATFORM_VAULT: Duration = Duration::from_secs(30);
/// How often keys whose lease has lapsed are wiped from memory.
const WIPE_EVERY: Duration = Duration::from_secs(5);
/// How often the files of certificates are read again.
const READ_CERTIFICATES_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether the database is still the one that was opened.
const LOOK_AT_DATABASE_EVERY: Duration = Duration::from_secs(1);
/// How often the whole database is verified; the first time at once.
const VERIFY_EVERY: Duration = Duration::from_secs(15 * 60);
/// How long the end of the process waits for the last counts of usage to be written, and as long again for the ledger.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// The parts of a daemon that has not been started.
pub struct Assembly {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The way to customers' vaults.
    pub customer_keys: Arc<dyn CustomerKeys>,
    /// The platform root.
    pub platform: Arc<PlatformRoot>,
    /// Who may call.
    pub callers: Arc<dyn Callers>,
    /// The keys of issuers whose tokens they show; kept fresh while the daemon serves.
    pub issuers_keys: Vec<Arc<KeySet>>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What one peer may take.
    pub limits: Limits,
    /// Limits and deadlines of the service.
    pub options: Options,
    /// What the platform's own app shows to customers' directories, if that expires.
    pub certificate: Option<PlatformCertificate>,
    /// The way to directories' pages, and where our own are; absent: consent is not offered.
    pub directory: Option<(Arc<dyn Directory>, String)>,
}

impl Assembly {
    /// These parts, with the system's clock and randomness and the usual limits.
    pub fn new(
        store: Arc<dyn Store>,
        customer_keys: Arc<dyn CustomerKeys>,
        platform: Arc<PlatformRoot>,
        callers: Arc<dyn Callers>,
    ) -> Self {
        Self {
            store,
            customer_keys,
            platform,
            callers,
            issuers_keys: Vec::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            limits: Limits::default(),
            options: Options::default(),
            certificate: None,
            directory: None,
        }
    }

    /// The parts a configuration names. Opens the platform root and the database; asks no customer's vault.
    pub async fn of(config: &Config) -> Result<Self, Troubles> {
        let customer_keys = Arc::new(azure(config)?);
        let platform = Arc::new(platform_root(&config.platform_key, &*customer_keys).await?);
        warn_of_a_shared_volume(config);
        let options = sqlite(&config.database, &platform);
        let store = Arc::new(SqliteStore::create_or_open_anchored(options, &outside(&config.head(), &platform))?);
        let (signed, issuers_keys) = issuers::signed(&config.issuers)?;
        let callers = Arc::new(EitherCallers(callers(&config.callers)?, signed));
        let directory = match &config.entra.pages {
            None => None,
            Some(pages) => {
                Some((entra_application::directory(&customer_keys, &pages.public_url)?, pages.public_url.clone()))
            }
        };
        Ok(Self {
            directory,
            issuers_keys,
            limits: config.limits.clone(),
            options: Options { require_sign_in: config.entra.require_sign_in, ..config.options.clone() },
            certificate: certificate(&config.azure.credential)?,
            ..Self::new(store, customer_keys, platform, callers)
        })
    }

    /// Starts the service and what answers for it. Nothing listens yet.
    pub async fn start(self) -> Result<Daemon, StartFailed> {
        let Self {
            store,
            customer_keys,
            platform,
            callers,
            issuers_keys,
            clock,
            entropy,
            limits,
            options,
            certificate,
            directory,
        } = self;
        let (grpc_clock, grpc_entropy, looked_at) = (clock.clone(), entropy.clone(), store.clone());
        let service =
            Service::start(Parts { store, customer_keys, platform, clock, entropy: entropy.clone(), options })?;
        if let Some((directory, public_url)) = directory {
            service.offer_consent(directory, &public_url);
        }
        // The configuration's come first: it wins where a name stands in both.
        service.know_configured(callers.configured());
        let callers = Arc::new(EitherCallers(callers, service.callers()));
        service.know_callers().await?;
        let (grpc, health) = Grpc::new(service.clone(), callers, grpc_clock, grpc_entropy, &limits).await;
        Ok(Daemon {
            service,
            store: looked_at,
            grpc,
            health,
            limits,
            entropy,
            webhook: None,
            entra_pages: None,
            metrics: None,
            issuers_keys,
            certificate,
        })
    }
}

/// A daemon that runs and is not listening yet.
pub struct Daemon {
    service: Arc<Service>,
    store: Arc<dyn Store>,
    grpc: Grpc,
    health: Health,
    limits: Limits,
    entropy: Arc<dyn Entropy>,
    webhook: Option<(Listener, WebhookSecrets)>,
    /// What the platform's own app shows to customers' directories, if that expires.
    certificate: Option<PlatformCertificate>,
    entra_pages: Option<Listener>,
    metrics: Option<(Listener, PrometheusHandle)>,
    issuers_keys: Vec<Arc<KeySet>>,
}

impl Daemon {
    /// The use cases, for who shares the process.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Hears Event Grid here as well, who shows one of these secrets.
    pub fn with_webhook(self, listener: Listener, secrets: WebhookSecrets) -> Self {
        Self { webhook: Some((listener, secrets)), ..self }
    }

    /// Shows customers' admins the pages here by which they connect their directory.
    pub fn with_entra_pages(self, listener: Listener) -> Self {
        Self { entra_pages: Some(listener), ..self }
    }

    /// Tells figures here as well: what this process has counted, and what stands in it.
    pub fn with_metrics(self, listener: Listener, counted: PrometheusHandle) -> Self {
        Self { metrics: Some((listener, counted)), ..self }
    }

    /// Serves until `stop` completes, then says `NOT_SERVING`, takes no more and lets the calls under way finish.
    pub async fn serve(
        self,
        listeners: Vec<Listener>,
        workers: Workers,
        stop: impl Future<Output = ()>,
    ) -> Result<Drained, BindRefused> {
        let Self {
            service,
            store,
            grpc,
            health,
            limits,
            entropy,
            webhook,
            entra_pages,
            metrics,
            issuers_keys,
            certificate,
        } = self;
        let mut tasks = tokio::task::JoinSet::new();
        for keys in issuers_keys {
            tasks.spawn(async move { keys.keep_fresh().await });
        }
        let beside = webhook.as_ref().map(|(listener, _)| listener);
        for certificates in listeners.iter().chain(beside).chain(&entra_pages).filter_map(Listener::certificates) {
            tasks.spawn(keep_reading(certificates));
        }
        if let Some((listener, counted)) = metrics {
            let certificates = listeners.iter().chain(beside).filter_map(Listener::certificates).collect();
            let service = Arc::downgrade(&service);
            let router = figures::router(Sources { counted, service, certificates, clock: Arc::new(SystemClock) });
            let http = Http::new(listener, router, HttpLimits::default())?;
            tasks.spawn(async { match http.run().await {} });
        }
        if let Some((listener, secrets)) = webhook {
            let http = Http::new(listener, webhook::router(secrets, service.clone()), HttpLimits::default())?;
            tasks.spawn(async { match http.run().await {} });
        }
        if let Some(listener) = entra_pages {
            let http = Http::new(listener, entra_pages::router(service.clone()), HttpLimits::default())?;
            tasks.spawn(async { match http.run().await {} });
        }
        tasks.spawn(wipe_lapsed_keys(service.clone()));
        {
            let service = service.clone();
            tasks.spawn(async { match service.run_tasks().await {} });
        }
        tasks.spawn(service.clone().work_on_operations());
        tasks.spawn(service.clone().keep_enforcement_dates());
        tasks.spawn(service.clone().keep_following_new_versions());
        tasks.spawn(keep_verifying(store.clone()));
        tasks.spawn(service.clone().keep_noticing_expiry(certificate));
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_counting_refusals().await {} });
        }
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_usage().await {} });
        }
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_ledger().await {} });
        }
        let stop = async {
            let stop = std::pin::pin!(stop);
            let rolled_back = std::pin::pin!(rolled_back(store));
            if let Either::Right((Rolled, stop)) = select(stop, rolled_back).await {
                // Nothing is served from it any more. The process stays, so that the alarm does; whoever balances load is told.
                health.not_serving().await;
                stop.await;
            }
            health.not_serving().await;
            health.end_watches().await;
        };
        let drained = Server::new(limits, workers, entropy).run(listeners, grpc, stop).await;
        tasks.shutdown().await;
        // What was counted since the last flush: whoever stops in good order loses nothing of it.
        match tokio::time::timeout(LAST_FLUSH, service.flush_usage()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(%why, "the last counts of usage could not be written"),
            Err(_) => tracing::warn!("the last counts of usage could not be written in time"),
        }
        match tokio::time::timeout(LAST_FLUSH, service.flush_ledger()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(%why, "the last events of the ledger could not be written"),
            Err(_) => tracing::warn!("the last events of the ledger could not be written in time"),
        }
        drained
    }
}

/// Reads a listener's certificates again and again. What cannot be used is told each time, and changes nothing.
async fn keep_reading(certificates: Arc<ServerTls>) {
    let mut ticks = tokio::time::interval(READ_CERTIFICATES_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reading = certificates.clone();
        let file = certificates.certificate().display();
        match tokio::task::spawn_blocking(move || reading.read_again()).await {
            Ok(Ok(true)) => tracing::info!(%file, "certificates were read again, and count from now on"),
            Ok(Ok(false)) => {}
            Ok(Err(why)) => {
                let hint = why.hint();
                tracing::error!(%file, %why, hint, "new certificates cannot be used: those from before still count");
            }
            Err(why) => tracing::error!(%file, %why, "certificates could not be read again"),
        }
    }
}

/// Verifies the whole database again and again: a row that was deleted, planted or put back as it once was shows only among all of
/// them. What is found is told each time, and the workspace it is in is refused from then on.
async fn keep_verifying(store: Arc<dyn Store>) {
    let mut ticks = tokio::time::interval(VERIFY_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store.verify().await {
            Ok(verified) => tracing::info!(rows = verified.rows, events = verified.events, "the database is in order"),
            Err(why) if why.reason() == domain::Reason::RowForged => {
                tracing::error!(%why, hint = why.remedy(), "somebody else wrote into the database");
            }
            Err(why) => tracing::warn!(%why, "the database could not be verified"),
        }
    }
}

/// The database turned out not to be the one that was opened.
struct Rolled;

/// Ends when the database has turned out to be an older copy of itself, or another.
async fn rolled_back(store: Arc<dyn Store>) -> Rolled {
    let mut ticks = tokio::time::interval(LOOK_AT_DATABASE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if store.revision().await == Err(StoreError::RolledBack) {
            return Rolled;
        }
    }
}

async fn wipe_lapsed_keys(service: Arc<Service>) {
    let mut ticks = tokio::time::interval(WIPE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.wipe_lapsed_keys();
    }
}

/// The listeners a configuration names, bound.
pub fn listeners(config: &Config) -> Result<Vec<Listener>, Troubles> {
    let bind = |listen: &Listen| match listen {
        Listen::Tls { address, files } => {
            Ok(Listener::tls(*address, ServerTls::read(files.clone(), Arc::new(SystemClock))?)?)
        }
        Listen::Unix { path, mode } => Ok(Listener::unix(path, *mode)?),
    };
    config.listen.iter().map(bind).collect::<Result<_, Trouble>>().map_err(Into::into)
}

/// The place for figures that a configuration names, bound.
pub fn metrics(config: &config::Metrics) -> Result<Listener, BindRefused> {
    match config {
        config::Metrics::Loopback(address) => Listener::plaintext_loopback(*address),
        config::Metrics::Unix(path) => Listener::unix(path, 0o660),
    }
}

/// The place for Event Grid that a configuration names, bound, and the secrets that count there.
pub fn webhook(config: &config::Webhook) -> Result<(Listener, WebhookSecrets), Trouble> {
    let secrets = webhook_secrets(&config.secret_file)?;
    Ok((Listener::tls(config.address, webhook_tls(config)?)?, secrets))
}

fn webhook_tls(config: &config::Webhook) -> Result<Arc<ServerTls>, TlsRefused> {
    let files = TlsFiles {
        certificate: config.certificate.clone(),
        key: config.key.clone(),
        client_authorities: None,
        client_certificates: ClientCertificates::Optional,
    };
    ServerTls::read_for_http1(files, Arc::new(SystemClock))
}

/// The place for browsers that a configuration names, bound.
pub fn entra_pages(config: &config::EntraPages) -> Result<Listener, Trouble> {
    Ok(Listener::tls(config.address, entra_tls(config)?)?)
}

fn entra_tls(config: &config::EntraPages) -> Result<Arc<ServerTls>, TlsRefused> {
    let files = TlsFiles {
        certificate: config.certificate.clone(),
        key: config.key.clone(),
        client_authorities: None,
        client_certificates: ClientCertificates::Optional,
    };
    ServerTls::read_for_http1(files, Arc::new(SystemClock))
}

fn webhook_secrets(path: &Path) -> Result<WebhookSecrets, Trouble> {
    let bytes = Zeroizing::new(files::read_private(path)?);
    let secrets = WebhookSecrets::read(std::str::from_utf8(&bytes).unwrap_or_default());
    secrets.map_err(|refused| Trouble::new(format_args!("{}: {refused}", path.display()), refused.hint()))
}

/// Everything about the files a configuration names that can be told without listening or opening the database.
pub fn check_files(config: &Config) -> Vec<Trouble> {
    let mut found = Vec::new();
    for listen in &config.listen {
        if let Listen::Tls { files, .. } = listen {
            found.extend(ServerTls::read(files.clone(), Arc::new(SystemClock)).err().map(Trouble::from));
        }
    }
    if let Some(webhook) = &config.webhook {
        found.extend(webhook_tls(webhook).err().map(Trouble::from));
        found.extend(webhook_secrets(&webhook.secret_file).err());
    }
    if let Some(pages) = &config.entra.pages {
        found.extend(entra_tls(pages).err().map(Trouble::from));
    }
    found.extend(credential(&config.azure.credential).err());
    if config.platform_key.vault_key.is_none() {
        let opened = PlatformRoot::open_file(&config.platform_key.file);
        found.extend(opened.err().map(|refused| root_trouble(&config.platform_key.file, &refused)));
    }
    found.extend(callers(&config.callers).err());
    found.extend(issuers::signed(&config.issuers).err());
    found
}

/// Creates the platform root that a configuration names.
pub async fn init_platform_root(config: &Config) -> Result<PlatformRoot, Trouble> {
    let PlatformKey { file, vault_key } = &config.platform_key;
    match vault_key {
        None => init_platform_file(file),
        Some(key) => {
            let at = KeyRef::of_platform(key.tenant.clone(), key.location.clone());
            let vault = azure(config)?;
            let made = PlatformRoot::init_wrapped(file, &vault, &at, &SystemEntropy, PLATFORM_VAULT).await;
            made.map_err(|refused| root_trouble(file, &refused))
        }
    }
}

/// Creates a platform root that is kept in the file itself.
pub fn init_platform_file(file: &Path) -> Result<PlatformRoot, Trouble> {
    PlatformRoot::init_file(file, &SystemEntropy).map_err(|refused| root_trouble(file, &refused))
}

/// Opens the database a configuration names as it is: none is created.
pub async fn open_database(config: &Config) -> Result<SqliteStore, Troubles> {
    let platform = match &config.platform_key.vault_key {
        None => platform_file(&config.platform_key.file)?,
        Some(_) => platform_root(&config.platform_key, &azure(config)?).await?,
    };
    Ok(SqliteStore::open_anchored(sqlite(&config.database, &platform), &outside(&config.head(), &platform))?)
}

/// Opens the platform root a configuration names.
pub async fn open_platform_root(config: &Config) -> Result<PlatformRoot, Trouble> {
    match &config.platform_key.vault_key {
        None => platform_file(&config.platform_key.file),
        Some(_) => platform_root(&config.platform_key, &azure(config)?).await,
    }
}

/// Takes the database a configuration names for work on all of its rows: nobody serves from it meanwhile.
pub fn take_database(config: &Config, platform: &PlatformRoot) -> Result<Offline, Trouble> {
    Ok(Offline::open(&sqlite(&config.database, platform), &outside(&config.head(), platform))?)
}

/// Looks at a database that does not stand where its head says.
pub fn look_at_database(config: &Config, platform: &PlatformRoot) -> Result<Acceptance, Trouble> {
    Ok(Acceptance::look(&sqlite(&config.database, platform), &outside(&config.head(), platform))?)
}

/// Adds a key to the platform root that a configuration names.
pub async fn add_platform_key(config: &Config) -> Result<domain::PlatformKeyId, Trouble> {
    let PlatformKey { file, vault_key } = &config.platform_key;
    let added = match vault_key {
        None => PlatformRoot::add_key(file, &SystemEntropy),
        Some(key) => {
            let at = KeyRef::of_platform(key.tenant.clone(), key.location.clone());
            let vault = azure(config)?;
            PlatformRoot::add_key_wrapped(file, &vault, &at, &SystemEntropy, PLATFORM_VAULT).await
        }
    };
    added.map_err(|refused| root_trouble(file, &refused))
}

/// What stands outside of a database under this root.
pub(crate) fn outside(head: &Path, platform: &PlatformRoot) -> Outside {
    Outside { head: head.to_owned(), seal: platform.head_seal(), root_checks: platform.check_values() }
}

/// One volume that is restored, copied or rolled back as a whole takes the head along with the database.
fn warn_of_a_shared_volume(config: &Config) {
    use std::os::unix::fs::MetadataExt as _;
    let volume = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        parent.metadata().map(|found| found.dev()).ok()
    };
    let head = config.head();
    if volume(&head) == volume(&config.database) {
        tracing::warn!(
            head = %head.display(),
            "the database's head is on the database's own volume: whoever puts back all of it is not noticed; name a directory on \
             another one as state_dir"
        );
    }
}

fn sqlite(path: &Path, platform: &PlatformRoot) -> SqliteOptions {
    SqliteOptions {
        path: path.to_owned(),
        row_seal: platform.row_seal(),
        root_check: platform.check_value(),
        cluster: platform.cluster_id(),
        durability: Durability::Full,
    }
}

async fn platform_root(config: &PlatformKey, vault: &dyn CustomerKeys) -> Result<PlatformRoot, Trouble> {
    match &config.vault_key {
        None => platform_file(&config.file),
        Some(key) => {
            let at = KeyRef::of_platform(key.tenant.clone(), key.location.clone());
            let opened = PlatformRoot::open_wrapped(&config.file, vault, &at, PLATFORM_VAULT).await;
            opened.map_err(|refused| root_trouble(&config.file, &refused))
        }
    }
}

fn platform_file(file: &Path) -> Result<PlatformRoot, Trouble> {
    PlatformRoot::open_file(file).map_err(|refused| root_trouble(file, &refused))
}

pub(crate) fn root_trouble(file: &Path, refused: &RootRefused) -> Trouble {
    let cause = std::error::Error::source(refused).map_or_else(String::new, |cause| format!(": {cause}"));
    Trouble::new(format_args!("{}: {refused}{cause}", file.display()), refused.remedy())
}

fn azure(config: &Config) -> Result<AzureKeys, Trouble> {
    let credential = credential(&config.azure.credential)?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let WayOut { never, approved, proxy } = config.way_out.clone();
    let rules = Rules::new(never, proxy);
    let options = AzureOptions::new(&config.azure.client_id, credential, clock, entropy);
    let keys = options.and_then(|options| AzureKeys::new(options.by_rules(rules, approved)));
    keys.map_err(|refused| Trouble::new(refused, "check the [azure] table and the system's CA certificates"))
}

fn credential(config: &AzureCredential) -> Result<PlatformCredential, Trouble> {
    match config {
        AzureCredential::Secret(path) => {
            let bytes = Zeroizing::new(files::read_private(path)?);
            let text = std::str::from_utf8(&bytes).ok().map(str::trim).filter(|text| !text.is_empty());
            let secret = text.map(|text| Zeroizing::new(text.to_owned())).ok_or_else(|| {
                let what = format!("{} holds no client secret", path.display());
                Trouble::new(what, "write the secret's Value (not its ID) into the file, and nothing else")
            })?;
            Ok(PlatformCredential::Secret(ClientSecret::new(secret)))
        }
        AzureCredential::Certificate(path) => {
            let pem = Zeroizing::new(files::read_private(path)?);
            let key = CertificateKey::read(&pem, &pem).map_err(|refused| {
                let hint = "the file must hold the certificate and its unencrypted private key, both as PEM";
                Trouble::new(format_args!("{}: {refused}", path.display()), hint)
            })?;
            Ok(PlatformCredential::Certificate(key))
        }
        AzureCredential::FederatedToken(path) => {
            // Read anew for each token, since the platform renews it; here only to see that it can be.
            drop(Zeroizing::new(files::read(path)?));
            Ok(PlatformCredential::FederatedTokenFile(path.clone()))
        }
    }
}

/// The certificate that the configured credential is, by its thumbprint and its last day.
fn certificate(config: &AzureCredential) -> Result<Option<PlatformCertificate>, Trouble> {
    let AzureCredential::Certificate(path) = config else { return Ok(None) };
    let pem = Zeroizing::new(files::read_private(path)?);
    let unreadable = || {
        let hint = "the file must hold the certificate and its unencrypted private key, both as PEM";
        Trouble::new(format_args!("{}: the certificate cannot be read", path.display()), hint)
    };
    let der = CertificateDer::from_pem_slice(&pem).map_err(|_| unreadable())?;
    let (_, read) = X509Certificate::from_der(&der).map_err(|_| unreadable())?;
    let last = read.validity().not_after.timestamp();
    let expires_at = Timestamp::from_micros(last.saturating_mul(1_000_000));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    let thumbprint = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
    Ok(Some(PlatformCertificate { thumbprint, expires_at }))
}

fn callers(configured: &[ConfiguredCaller]) -> Result<EitherCallers<TokenCallers, CertificateCallers>, Trouble> {
    let clock = Arc::new(SystemClock);
    let tokens = configured.iter().filter_map(|caller| {
        let ConfiguredCaller { name, grants, expires, .. } = caller.clone();
        caller.sha256.map(|sha256| Token { name, sha256, grants, expires })
    });
    let holders = configured.iter().filter_map(|caller| {
        let ConfiguredCaller { name, grants, expires, certificate, .. } = caller.clone();
        certificate.map(|certificate| CertificateHolder { name, certificate, grants, expires })
    });
    let hint = "correct the [[callers]] tables";
    let tokens = TokenCallers::granted(tokens, clock.clone()).map_err(|refused| Trouble::new(refused, hint))?;
    let holders = CertificateCallers::new(holders, clock).map_err(|refused| Trouble::new(refused, hint))?;
    Ok(EitherCallers(tokens, holders))
}
