//! How the service is put together and started.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::entropy::random;
use domain::key_config::LONGEST_LEASE;
use domain::{BootId, Clock, Entropy};
use identity::{CallerRegistry, ConfiguredCaller};
use store::Store;
use vault::CustomerKeys;
use vault::platform::PlatformRoot;

use crate::control::{Consents, Entra, Refusals, Tests, Validations};
use crate::core::Core;
use crate::keys::KeyTable;
use crate::keys::applications::Applications;
use crate::keys::birth_place::BirthPlaces;
use crate::keys::control::ControlLease;
use crate::keys::journal::Journal;
use crate::keys::meters::AllMeters;
use crate::keys::probing::Pace;
use crate::keys::quota::Quotas;
use crate::keys::unknown::Unknown;
use crate::options::Options;
use crate::seeded_bug::Bugs;
#[cfg(feature = "seeded-bugs")]
use crate::seeded_bug::SeededBug;
use crate::tasks::enforcement::Dates;
use crate::tasks::expiry::ExpiryTold;
use crate::tasks::feed::Feed;
use crate::tasks::hints::Hints;
use crate::tasks::ledger::CutOff;
use crate::tasks::usage::Ledger;
use crate::tasks::verifying::Looks;

/// What the service is made of. Every part is handed in: it reads no clock, no environment and no file by itself.
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The way to customers' vaults.
    pub customer_keys: Arc<dyn CustomerKeys>,
    /// The platform's own root key.
    pub platform: Arc<PlatformRoot>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness for keys and ids.
    pub entropy: Arc<dyn Entropy>,
    /// Limits and deadlines.
    pub options: Options,
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFailed {
    /// The database belongs to another installation than the platform root.
    #[error("the database belongs to another cluster than the platform key")]
    OtherCluster,
    /// A name stands in the configuration and in the database.
    #[error("the caller {name} stands in the configuration and in the database")]
    CallerTwice {
        /// Which.
        name: String,
    },
    /// A limit is zero.
    #[error("the option {name} must not be zero")]
    ZeroOption {
        /// Which.
        name: &'static str,
    },
}

impl StartFailed {
    /// The next step.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::OtherCluster => "use the platform key file this database was made with",
            Self::CallerTwice { .. } => {
                "give the one in the configuration another name: one of the database stays taken, also when it was deleted"
            }
            Self::ZeroOption { .. } => "give the option a value above zero, or leave it out",
        }
    }
}

/// The use cases. Every method that waits may be dropped at any point, so a caller's deadline is a timeout around it; what it
/// has begun on behalf of others, and every administrative change, runs to its end.
pub struct Service(pub(crate) Arc<Core>);

impl Service {
    /// Puts the parts together. Reads nothing from the database and asks no vault.
    pub fn start(parts: Parts) -> Result<Arc<Self>, StartFailed> {
        Self::start_with(parts, Bugs::default())
    }

    /// As [`Service::start`], with a fault put in: for tests of tests.
    #[cfg(feature = "seeded-bugs")]
    pub fn start_with_bug(parts: Parts, bug: SeededBug) -> Result<Arc<Self>, StartFailed> {
        Self::start_with(parts, Bugs { seeded: Some(bug) })
    }

    fn start_with(parts: Parts, bugs: Bugs) -> Result<Arc<Self>, StartFailed> {
        let Parts { store, customer_keys, platform, clock, entropy, options } = parts;
        if store.cluster().0 != platform.cluster_id() {
            return Err(StartFailed::OtherCluster);
        }
        let zero = [
            ("vault_deadline", options.vault_deadline.is_zero()),
            ("test_deadline", options.test_deadline.is_zero()),
            ("vault_calls_per_workspace", options.vault_calls_per_workspace == 0),
            ("seals_per_data_key", options.seals_per_data_key == 0),
            ("unknown_keys", options.unknown_keys == 0),
            ("key_lease", options.key_lease.is_zero()),
            ("control_lease", options.control_lease.is_zero()),
            ("feed_every", options.feed_every.is_zero()),
            ("probe_every", options.probe_every.is_zero()),
            ("probe_again", options.probe_again.is_zero()),
        ];
        if let Some((name, _)) = zero.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(StartFailed::ZeroOption { name });
        }
        let control = Arc::new(ControlLease::new(options.control_lease, bugs));
        let journal = Arc::new(Journal::new(clock.clone(), BootId::from_bytes(random(&*entropy)), bugs));
        let pace = Pace { every: options.probe_every, again: options.probe_again };
        Ok(Arc::new(Self(Arc::new(Core {
            table: KeyTable::new(options.vault_calls_per_workspace, control.clone(), pace, journal.clone(), bugs),
            journal,
            cut_off: CutOff::default(),
            control,
            feed: Feed::default(),
            callers: Arc::new(CallerRegistry::new(clock.clone(), options.control_lease.min(LONGEST_LEASE))),
            configured: OnceLock::new(),
            hints: Hints::default(),
            quotas: Quotas::default(),
            flights: Arc::default(),
            births: BirthPlaces::default(),
            going_over: tokio::sync::Semaphore::new((options.vault_calls_per_workspace / 2).max(1)),
            unknown: Unknown::new(options.unknown_keys),
            tests: Tests::default(),
            dates: Dates::default(),
            operations: Arc::default(),
            meters: AllMeters::default(),
            ledger: Ledger::new(clock.now().wall),
            validations: Validations::default(),
            applications: Applications::default(),
            expiry_told: ExpiryTold::default(),
            entra: Entra::default(),
            consents: Consents::new(bugs),
            refusals: Refusals::default(),
            looks: Looks::default(),
            shared_places: tokio::sync::Semaphore::new((options.vault_calls_per_workspace / 2).max(1)),
            store,
            customer_keys,
            platform,
            clock,
            entropy,
            options,
            bugs,
        }))))
    }

    /// Wipes the data keys whose lease ended more than [`LONGEST_LEASE`] ago: nobody has used them since. Costs time in
    /// proportion to the keys in memory; call it every few seconds, outside any request.
    pub fn wipe_lapsed_keys(&self) {
        self.0.table.take_away_lapsed(self.0.clock.now(), LONGEST_LEASE);
    }

    /// Who may call, as the database has it and this replica last read it.
    pub fn callers(&self) -> Arc<CallerRegistry> {
        self.0.callers.clone()
    }

    /// Who may call as the configuration has it: listed, never changed, and nobody of the database is let in under one of these
    /// names. Said once, before anybody is let in.
    pub fn know_configured(&self, configured: Vec<ConfiguredCaller>) {
        self.0.callers.reserve(configured.iter().map(|caller| caller.name.clone()));
        let _ = self.0.configured.set(configured);
    }

    /// Reads who may call, before anybody is let in, so that nobody is turned away only because the process has just begun. Where
    /// the database cannot be read the process goes on, and lets in who stands in the configuration. Refused: a name of the
    /// configuration stands in the database too, so that the ledger could not tell the two apart.
    pub async fn know_callers(&self) -> Result<(), StartFailed> {
        let core = &self.0;
        // What cannot be read is noted there, and read by the feed as soon as it can be.
        let _ = core.read_feed(&core.budget()).await;
        for name in core.configured.get().into_iter().flatten().map(|configured| &configured.name) {
            let Ok(id) = name.parse() else { continue };
            if let Ok(Some(_)) = core.store.caller(&id).await {
                return Err(StartFailed::CallerTwice { name: name.clone() });
            }
        }
        Ok(())
    }

    /// How many data keys are in memory now.
    pub fn open_data_keys(&self) -> usize {
        self.0.table.count()
    }

    /// How long a data key is served at most after its vault said yes, where the workspace's own bound is this one.
    pub fn lease_within(&self, bound: Duration) -> Duration {
        self.0.lease_within(bound)
    }

    /// How long one piece of work behind a cold key may take: no call waits longer for its key.
    pub fn vault_deadline(&self) -> Duration {
        self.0.options.vault_deadline
    }
}
