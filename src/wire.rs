//! Which concrete parts the daemon is made of: the one place that names them.
//!
//! An [`Assembly`] holds the parts behind their seams, [`Assembly::start`] puts them to work, and [`Daemon::serve`] opens them
//! to callers. `serve` assembles from a configuration; development and tests bring parts of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Entropy};
use identity::jwks::KeySet;
use identity::{Callers, CertificateCallers, CertificateHolder, EitherCallers, Token, TokenCallers};
use service::{Options, Parts, Service, StartFailed};
use store::Store;
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use vault::azure::{AzureKeys, AzureOptions, CertificateKey, ClientSecret, PlatformCredential};
use vault::platform::{PlatformRoot, RootRefused};
use vault::{CustomerKeys, KeyRef};
use zeroize::Zeroizing;

use crate::clock::SystemClock;
use crate::config::{self, AzureCredential, Config, ConfiguredCaller, Listen, PlatformKey};
use crate::entropy::SystemEntropy;
use crate::files;
use crate::grpc::{Grpc, Health};
use crate::issuers;
use crate::serve::{
    BindRefused, ClientCertificates, Drained, Http, HttpLimits, Limits, Listener, Server, ServerTls, TlsFiles,
    TlsRefused, Workers,
};
use crate::trouble::{Trouble, Troubles};
use crate::webhook::{self, WebhookSecrets};

/// How long the platform's own vault may take at the start.
const PLATFORM_VAULT: Duration = Duration::from_secs(30);
/// How often keys whose lease has lapsed are wiped from memory.
const WIPE_EVERY: Duration = Duration::from_secs(5);
/// How often the files of certificates are read again.
const READ_CERTIFICATES_EVERY: Duration = Duration::from_secs(10);
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
        }
    }

    /// The parts a configuration names. Opens the platform root and the database; asks no customer's vault.
    pub async fn of(config: &Config) -> Result<Self, Troubles> {
        let customer_keys = Arc::new(azure(&config.azure)?);
        let platform = Arc::new(platform_root(&config.platform_key, &*customer_keys).await?);
        let store = Arc::new(SqliteStore::create_or_open(sqlite(&config.database, &platform))?);
        let (signed, issuers_keys) = issuers::signed(&config.issuers)?;
        let callers = Arc::new(EitherCallers(callers(&config.callers)?, signed));
        Ok(Self {
            issuers_keys,
            limits: config.limits.clone(),
            options: config.options.clone(),
            ..Self::new(store, customer_keys, platform, callers)
        })
    }

    /// Starts the service and what answers for it. Nothing listens yet.
    pub async fn start(self) -> Result<Daemon, StartFailed> {
        let Self { store, customer_keys, platform, callers, issuers_keys, clock, entropy, limits, options } = self;
        let (grpc_clock, grpc_entropy) = (clock.clone(), entropy.clone());
        let service =
            Service::start(Parts { store, customer_keys, platform, clock, entropy: entropy.clone(), options })?;
        let (grpc, health) = Grpc::new(service.clone(), callers, grpc_clock, grpc_entropy, &limits).await;
        Ok(Daemon { service, grpc, health, limits, entropy, webhook: None, issuers_keys })
    }
}

/// A daemon that runs and is not listening yet.
pub struct Daemon {
    service: Arc<Service>,
    grpc: Grpc,
    health: Health,
    limits: Limits,
    entropy: Arc<dyn Entropy>,
    webhook: Option<(Listener, WebhookSecrets)>,
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

    /// Serves until `stop` completes, then says `NOT_SERVING`, takes no more and lets the calls under way finish.
    pub async fn serve(
        self,
        listeners: Vec<Listener>,
        workers: Workers,
        stop: impl Future<Output = ()>,
    ) -> Result<Drained, BindRefused> {
        let Self { service, grpc, health, limits, entropy, webhook, issuers_keys } = self;
        let mut tasks = tokio::task::JoinSet::new();
        for keys in issuers_keys {
            tasks.spawn(async move { keys.keep_fresh().await });
        }
        let beside = webhook.as_ref().map(|(listener, _)| listener);
        for certificates in listeners.iter().chain(beside).filter_map(Listener::certificates) {
            tasks.spawn(keep_reading(certificates));
        }
        if let Some((listener, secrets)) = webhook {
            let http = Http::new(listener, webhook::router(secrets, service.clone()), HttpLimits::default())?;
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
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_usage().await {} });
        }
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_ledger().await {} });
        }
        let stop = async {
            stop.await;
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
            let at = KeyRef { tenant: key.tenant.clone(), location: key.location.clone() };
            let vault = azure(&config.azure)?;
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
        Some(_) => platform_root(&config.platform_key, &azure(&config.azure)?).await?,
    };
    Ok(SqliteStore::open(sqlite(&config.database, &platform))?)
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
            let at = KeyRef { tenant: key.tenant.clone(), location: key.location.clone() };
            let opened = PlatformRoot::open_wrapped(&config.file, vault, &at, PLATFORM_VAULT).await;
            opened.map_err(|refused| root_trouble(&config.file, &refused))
        }
    }
}

fn platform_file(file: &Path) -> Result<PlatformRoot, Trouble> {
    PlatformRoot::open_file(file).map_err(|refused| root_trouble(file, &refused))
}

fn root_trouble(file: &Path, refused: &RootRefused) -> Trouble {
    let cause = std::error::Error::source(refused).map_or_else(String::new, |cause| format!(": {cause}"));
    Trouble::new(format_args!("{}: {refused}{cause}", file.display()), refused.remedy())
}

fn azure(config: &config::Azure) -> Result<AzureKeys, Trouble> {
    let credential = credential(&config.credential)?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let options = AzureOptions::new(&config.client_id, credential, clock, entropy);
    let keys = options.and_then(AzureKeys::new);
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
