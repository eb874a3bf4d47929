//! Which concrete parts the daemon is made of: the one place that names them.
//!
//! An [`Assembly`] holds the parts behind their seams, [`Assembly::start`] puts them to work, and [`Daemon::serve`] opens them
//! to callers. `serve` assembles from a configuration; development and tests bring parts of their own.

mod again;
mod azure;
mod check;
mod daemon;
mod places;
mod root;

use std::sync::Arc;

use domain::{Clock, Entropy};
use identity::entra::Directory;
use identity::jwks::KeySet;
use identity::{Callers, CertificateCallers, CertificateHolder, EitherCallers, Token, TokenCallers};
use service::{Options, Parts, PlatformCertificate, Service, StartFailed};
use store::Store;
use store::sqlite::SqliteStore;
use vault::CustomerKeys;
use vault::platform::PlatformRoot;

pub(crate) use self::root::{outside, root_trouble};
use self::{
    azure::{azure, certificate},
    root::{platform_root, sqlite, warn_of_a_shared_volume},
};
pub use self::{
    check::check_files,
    daemon::Daemon,
    places::{entra_pages, listeners, metrics, webhook},
    root::{
        add_platform_key, init_platform_file, init_platform_root, look_at_database, open_database, open_platform_root,
        take_database,
    },
};
use crate::clock::SystemClock;
use crate::config::{Config, ConfiguredCaller};
use crate::entra_application;
use crate::entropy::SystemEntropy;
use crate::grpc::Grpc;
use crate::issuers;
use crate::serve::Limits;
use crate::trouble::{Trouble, Troubles};

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

    /// Starts the service and what answers for it, after a look at every row of the database. Nothing listens yet.
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
        service.verify_before_serving().await;
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
