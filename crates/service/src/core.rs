//! What every use case works with: the parts the service was started with, and what it keeps in memory.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::{Clock, Entropy};
use identity::{CallerRegistry, ConfiguredCaller};
use store::Store;
use tokio::sync::Semaphore;
use vault::CustomerKeys;
use vault::platform::PlatformRoot;

use crate::control::{Consents, Entra, Refusals, Tests, Validations};
use crate::keys::KeyTable;
use crate::keys::applications::Applications;
use crate::keys::birth_place::BirthPlaces;
use crate::keys::control::ControlLease;
use crate::keys::flight::Flights;
use crate::keys::journal::Journal;
use crate::keys::meters::AllMeters;
use crate::keys::quota::Quotas;
use crate::keys::unknown::Unknown;
use crate::keys::vault_call::Budget;
use crate::options::Options;
use crate::seeded_bug::Bugs;
use crate::tasks::enforcement::Dates;
use crate::tasks::expiry::ExpiryTold;
use crate::tasks::feed::Feed;
use crate::tasks::hints::Hints;
use crate::tasks::ledger::CutOff;
use crate::tasks::rotation::Operations;
use crate::tasks::usage::Ledger;
use crate::tasks::verifying::Looks;

pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) customer_keys: Arc<dyn CustomerKeys>,
    pub(crate) platform: Arc<PlatformRoot>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) options: Options,
    pub(crate) table: KeyTable,
    pub(crate) control: Arc<ControlLease>,
    pub(crate) feed: Feed,
    /// The callers of the database, as last read.
    pub(crate) callers: Arc<CallerRegistry>,
    /// Those of the configuration.
    pub(crate) configured: OnceLock<Vec<ConfiguredCaller>>,
    /// Which keys are said to have new versions.
    pub(crate) hints: Hints,
    pub(crate) quotas: Quotas,
    pub(crate) flights: Arc<Flights>,
    pub(crate) births: BirthPlaces,
    /// Places for data keys that go over to a wrapping which another replica made.
    pub(crate) going_over: Semaphore,
    pub(crate) unknown: Unknown,
    /// Tests of configurations under way.
    pub(crate) tests: Tests,
    pub(crate) operations: Arc<Operations>,
    /// Enforcement dates this process is busy with.
    pub(crate) dates: Dates,
    pub(crate) meters: AllMeters,
    pub(crate) ledger: Ledger,
    pub(crate) journal: Arc<Journal>,
    pub(crate) cut_off: CutOff,
    /// Validations of apps under way.
    pub(crate) validations: Validations,
    /// As whom workspaces' directories are asked.
    pub(crate) applications: Applications,
    /// Whose credentials' ends are told in figures.
    pub(crate) expiry_told: ExpiryTold,
    /// The way to directories' pages, where there is one.
    pub(crate) entra: Entra,
    pub(crate) consents: Consents,
    /// What was refused and is not written down yet.
    pub(crate) refusals: Refusals,
    /// When the whole database was last looked at.
    pub(crate) looks: Looks,
    pub(crate) bugs: Bugs,
    /// Used by a seeded fault only: places at vaults that all workspaces share.
    pub(crate) shared_places: Semaphore,
}

impl Core {
    /// A workspace's bound on leases, and the operator's above it.
    pub(crate) fn lease_within(&self, bound: Duration) -> Duration {
        bound.min(self.options.key_lease)
    }

    /// The time one piece of work has.
    pub(crate) fn budget(&self) -> Budget<'_> {
        Budget::new(&*self.clock, self.options.vault_deadline)
    }
}
