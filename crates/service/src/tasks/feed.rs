//! What other replicas changed, read from the store twice a second (I-13).
//!
//! A reading that succeeds is the control lease: everything committed before it was asked for is known here. Whatever says so
//! by notification would only be quicker; a replica that cannot read stops within C.

use domain::Reason;
use store::{CallerSet, ControlChange, Outage, StoreError};
use tokio::time::timeout;
use vault::{KeyUnavailable, Trace};

use crate::core::Core;
use crate::keys::Failure;
use crate::keys::table::Change;
use crate::keys::vault_call::Budget;
use crate::seeded_bug::SeededBug;

/// What a reading says of the callers.
enum NewCallers {
    These(CallerSet),
    Unchanged,
    Unreadable,
}

/// Up to which revision everything is known. One reading at a time.
#[derive(Default)]
pub(crate) struct Feed(tokio::sync::Mutex<Option<u64>>);

impl Core {
    /// Reads the store anew where this replica's last reading is older than C, or it stood still since.
    pub(crate) async fn know_the_store(&self, budget: &Budget<'_>) -> Result<(), Failure> {
        let now = self.clock.now();
        if self.control.overslept(now) {
            self.notice_pause();
        }
        if self.control.is_read(now) {
            return Ok(());
        }
        self.read(budget, || self.control.is_read(now)).await
    }

    /// Reads what changed since the last reading, and takes it over.
    pub(crate) async fn read_feed(&self, budget: &Budget<'_>) -> Result<(), Failure> {
        self.read(budget, || false).await
    }

    /// `done`: whether another's reading, for whose end this one waited, will do.
    async fn read(&self, budget: &Budget<'_>, done: impl FnOnce() -> bool) -> Result<(), Failure> {
        let Ok(mut known) = timeout(budget.left(), self.feed.0.lock()).await else {
            return Err(self.cannot_read(StoreError::Unavailable(Outage::Busy)));
        };
        if done() {
            return Ok(());
        }
        let asked_at = self.clock.now();
        let reading = async {
            let (revision, changes) = match *known {
                // Nothing was read before, so that nothing can have changed since.
                None => (self.store.revision().await?, Vec::new()),
                Some(known) => self.store.changed_since(known).await?,
            };
            let callers = self.read_callers(*known, revision).await?;
            Ok((revision, changes, callers))
        };
        let (revision, changes, callers) = match timeout(budget.left(), reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => {
                if matches!(why, StoreError::RolledBack) {
                    // I-6: as below, found by the head that is kept outside.
                    self.control.end();
                    self.callers.forget();
                }
                return Err(self.cannot_read(why));
            }
            Err(_) => return Err(self.cannot_read(StoreError::Unavailable(Outage::Busy))),
        };
        if known.is_some_and(|known| revision < known) && !self.bugs.has(SeededBug::OlderDatabaseTaken) {
            // I-6: an older database was put in place of the one we know. Nothing it says is acted on, and nothing it does not say:
            // what was taken back since may be allowed in it.
            self.control.end();
            self.callers.forget();
            tracing::error!(revision, ?known, "the database is older than it was");
            return Err(Failure::Adrift(StoreError::Damaged));
        }
        if !self.bugs.has(SeededBug::FeedIgnored) {
            changes.iter().for_each(|change| self.take_over(change));
        }
        match callers {
            NewCallers::These(set) => self.callers.know(&set.callers, asked_at),
            NewCallers::Unchanged => self.callers.still(asked_at),
            NewCallers::Unreadable => self.callers.forget(),
        }
        *known = Some(revision);
        self.control.was_read(asked_at);
        Ok(())
    }

    /// The callers, where any changed since `known` or none are known yet. That their rows are not what was written is their trouble
    /// alone: what is said of keys is acted on all the same.
    async fn read_callers(&self, known: Option<u64>, revision: u64) -> Result<NewCallers, StoreError> {
        let since = known.filter(|_| self.callers.is_known());
        if since.is_some_and(|since| revision <= since)
            || self.bugs.has(SeededBug::CallersNotFollowed) && since.is_some()
        {
            return Ok(NewCallers::Unchanged);
        }
        let news = known.is_none_or(|known| revision > known);
        match self.store.callers_changed(since).await {
            Ok(Some(set)) => {
                if set.forged > 0 {
                    tracing::error!(
                        rows = set.forged,
                        "rows of callers fail their authentication: these callers are refused"
                    );
                }
                for name in self.configured.get().into_iter().flatten().map(|configured| &configured.name) {
                    if set.callers.iter().any(|caller| caller.id.as_str() == name) {
                        tracing::error!(
                            name,
                            "a caller stands in the configuration and in the database: the configuration's counts"
                        );
                    }
                }
                Ok(NewCallers::These(set))
            }
            Ok(None) if since.is_none() => Ok(NewCallers::These(CallerSet::default())),
            Ok(None) => Ok(NewCallers::Unchanged),
            Err(why @ (StoreError::SetForged { .. } | StoreError::RowForged { .. })) => {
                // Said when it is found and not twice a second.
                if news {
                    tracing::error!(%why, "the callers in the database are not those that were written: all of them are refused");
                }
                Ok(NewCallers::Unreadable)
            }
            Err(why) => Err(why),
        }
    }

    fn cannot_read(&self, why: StoreError) -> Failure {
        self.callers.lapse();
        tracing::warn!(%why, "what other replicas changed could not be read");
        Failure::Adrift(why)
    }

    /// Our own changes come by here as well: they are no news, and taking them over once more costs a reading.
    fn take_over(&self, change: &ControlChange) {
        let workspace = &change.workspace;
        for app in &change.deleted_apps {
            self.table.changed(workspace, Change::AppDeleted(app));
        }
        if let Some(lease) = change.lease {
            self.table.changed(workspace, Change::Key { lease });
        }
        match change.switched_off {
            Some(true) => self.table.changed(workspace, Change::Revoked),
            Some(false) => self.table.changed(workspace, Change::Selection),
            None => {}
        }
        if change.deleted {
            self.table.changed(workspace, Change::WorkspaceDeleted);
        }
        if change.unreadable {
            self.applications.changed(workspace);
            self.table.changed(workspace, Change::Unknown);
        }
        if change.credentials {
            self.applications.changed(workspace);
            self.table.changed(workspace, Change::Application);
        }
        if change.deleted {
            self.applications.forget(workspace);
        }
        if !self.bugs.has(SeededBug::DestroyedKeyKept) {
            for (app, id) in &change.destroyed {
                self.table.changed(workspace, Change::DataKeyDestroyed(app, *id));
            }
        }
        for denial in &change.denials {
            // About the application that another replica asked as, and not this one's any more, it is a hint like any other.
            let overtaken = |why: &KeyUnavailable| change.credentials && why.is_about_who_asked();
            let fact = fact(denial.reason).filter(|why| !overtaken(why));
            self.table.heard_of_denial(workspace, denial, fact.as_ref(), self.clock.now());
        }
    }
}

/// What one replica was told about the key itself is so for every replica. A firewall or a missing role may be about the way
/// there, which each replica has of its own.
fn fact(reason: Reason) -> Option<KeyUnavailable> {
    let trace = Trace::default();
    match reason {
        Reason::KeyDisabled => Some(KeyUnavailable::Disabled(trace)),
        Reason::KeyNotFound => Some(KeyUnavailable::NotFound(trace)),
        Reason::KeySoftDeleted => Some(KeyUnavailable::SoftDeleted(trace)),
        Reason::VaultTenantMismatch => Some(KeyUnavailable::TenantMismatch(trace)),
        Reason::EntraAppNotInTenant => Some(KeyUnavailable::AppNotInDirectory(trace)),
        Reason::EntraAppDisabled => Some(KeyUnavailable::AppDisabled(trace)),
        Reason::EntraConsentMissing => Some(KeyUnavailable::ConsentMissing(trace)),
        _ => None,
    }
}
