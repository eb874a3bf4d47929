//! How a workspace's vault is asked: within its share of calls, within a deadline, and with what a denial does.

use std::time::Duration;

use domain::audit::{AuditEvent, AuditKind};
use domain::lease::KeyLease;
use domain::ledger::Purpose;
use domain::{Clock, KeyConfig, KeyVersion, KeyVersionId, Moment, VaultLimit, VaultShare};
use secmem::Secret;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use vault::{Class, KeyUnavailable, WrappedBlob};

use super::standing::WorkspaceState;
use super::table::Proof;
use super::{Failure, lock};
use crate::core::Core;
use crate::figures;
use crate::options::Options;
use crate::seeded_bug::SeededBug;

pub(crate) use domain::audit::SERVICE;

/// How much time a piece of work has left for all its calls together.
pub(crate) struct Budget<'a> {
    clock: &'a dyn Clock,
    began: Moment,
    whole: Duration,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(clock: &'a dyn Clock, whole: Duration) -> Self {
        Self { clock, began: clock.now(), whole }
    }

    pub(crate) fn left(&self) -> Duration {
        self.whole.saturating_sub(self.clock.now().boot.saturating_sub(self.began.boot))
    }
}

/// A version of a customer's key, and how long a lease of it lasts.
#[derive(Clone)]
pub(crate) struct At {
    pub(crate) key: vault::KeyRef,
    pub(crate) version: KeyVersionId,
    pub(crate) lease: Duration,
    pub(crate) limit: VaultLimit,
}

impl At {
    /// A version of the key that is in force, or of one before it, at the place where it was recorded.
    pub(crate) fn of(config: &KeyConfig, recorded: &KeyVersion, as_whom: vault::Application) -> Self {
        let tenant = recorded.tenant.as_ref().unwrap_or(&config.tenant).clone();
        let key = vault::KeyRef::new(tenant, recorded.location.key().clone(), as_whom).of(&config.workspace);
        Self { key, version: recorded.id, lease: config.lease, limit: VaultLimit::of(recorded) }
    }
}

impl Core {
    /// Unwraps with exactly this version. The proof counts from the asking (I-7); the caller admits it or not.
    pub(crate) async fn ask_unwrap(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        blob: &[u8],
        budget: &Budget<'_>,
    ) -> Result<(Secret<65>, Proof), KeyUnavailable> {
        let place = self.place(workspace, budget).await?;
        self.turn(at, budget).await?;
        let given = self.unwrap_in_place(workspace, at, blob, Purpose::Unwrap, budget).await;
        if self.bugs.has(SeededBug::PlaceKept) && matches!(given, Err(KeyUnavailable::TimedOut { .. })) {
            place.forget();
        }
        given
    }

    /// As [`Core::ask_unwrap`], by somebody who has a place. Asked once more where another credential came into use meanwhile.
    pub(crate) async fn unwrap_in_place(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        blob: &[u8],
        purpose: Purpose,
        budget: &Budget<'_>,
    ) -> Result<(Secret<65>, Proof), KeyUnavailable> {
        let given = self.unwrap_as(workspace, at, blob, purpose, budget).await;
        let Err(why) = &given else { return given };
        let Some(at) = self.not_given(workspace, at, why, budget).await else { return given };
        self.charge(&at);
        let given = self.unwrap_as(workspace, &at, blob, purpose, budget).await;
        if let Err(why) = &given {
            self.not_given(workspace, &at, why, budget).await;
        }
        given
    }

    async fn unwrap_as(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        blob: &[u8],
        purpose: Purpose,
        budget: &Budget<'_>,
    ) -> Result<(Secret<65>, Proof), KeyUnavailable> {
        let asked_in = lock(&workspace.held).lease(at.version).generation();
        let mut asked_at = self.clock.now();
        let left = budget.left();
        let call = self.journal.call(&workspace.id, at.version, purpose);
        let answer = self.customer_keys.unwrap(&at.key, at.version, blob, left);
        let answer = timeout(left, answer).await.unwrap_or(Err(KeyUnavailable::TimedOut { waited: left }));
        call.ended(&answer, |unwrapped| &unwrapped.trace);
        if self.bugs.has(SeededBug::LeaseFromAnswer) {
            asked_at = self.clock.now();
        }
        let proof =
            Proof { version: at.version, lease: KeyLease::from_proof(asked_at, self.lease_within(at.lease)), asked_in };
        let outage = |why: &KeyUnavailable| why.class() == Class::Transient;
        if self.bugs.has(SeededBug::OutageRenews) && answer.as_ref().is_err_and(outage) {
            let _ = self.table.renew(workspace, proof);
        }
        answer.map(|unwrapped| (unwrapped.payload, proof))
    }

    /// Wraps with exactly this version. Asked once more where another credential came into use meanwhile.
    pub(crate) async fn ask_wrap(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        payload: &Secret<65>,
        budget: &Budget<'_>,
    ) -> Result<WrappedBlob, KeyUnavailable> {
        let _place = self.place(workspace, budget).await?;
        self.turn(at, budget).await?;
        let wrapped = self.wrap_as(workspace, at, payload, budget).await;
        let Err(why) = &wrapped else { return wrapped };
        let Some(at) = self.no_wrapping(workspace, at, why, budget).await else { return wrapped };
        self.charge(&at);
        let wrapped = self.wrap_as(workspace, &at, payload, budget).await;
        if let Err(why) = &wrapped {
            self.no_wrapping(workspace, &at, why, budget).await;
        }
        wrapped
    }

    async fn wrap_as(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        payload: &Secret<65>,
        budget: &Budget<'_>,
    ) -> Result<WrappedBlob, KeyUnavailable> {
        let left = budget.left();
        let call = self.journal.call(&workspace.id, at.version, Purpose::Wrap);
        let answer = self.customer_keys.wrap(&at.key, at.version, payload, left);
        let answer = timeout(left, answer).await.unwrap_or(Err(KeyUnavailable::TimedOut { waited: left }));
        call.ended(&answer, |wrapped| &wrapped.trace);
        match answer {
            Ok(wrapped) if wrapped.version == at.key.location.at(at.version) => {
                self.table.wraps(workspace, at.version);
                Ok(wrapped)
            }
            Ok(_) => {
                let trace = vault::Trace::default();
                Err(KeyUnavailable::AnswerInvalid { fault: vault::AnswerFault::OtherKey, trace })
            }
            Err(why) => Err(why),
        }
    }

    /// As [`Core::not_given`], of a wrap.
    async fn no_wrapping(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        why: &KeyUnavailable,
        budget: &Budget<'_>,
    ) -> Option<At> {
        // Permitted to unwrap and not to wrap: the keys under the version stay, and a probe looks whether that is so.
        if matches!(why, KeyUnavailable::OperationForbidden(_)) {
            if self.wrapping_denied(workspace, at.version, why).await {
                lock(&workspace.held).version(at.version).probing.now();
            }
            return None;
        }
        self.not_given(workspace, at, why, budget).await
    }

    /// Waits for this replica's turn at the vault (I-27). One that would not come in time is not taken.
    async fn turn(&self, at: &At, budget: &Budget<'_>) -> Result<(), KeyUnavailable> {
        if self.bugs.has(SeededBug::QuotaIgnored) {
            return Ok(());
        }
        let (left, now) = (budget.left(), self.clock.now().boot);
        match self.quotas.of(&at.key.location).take(now, at.limit, self.share(), left) {
            Some(Duration::ZERO) => Ok(()),
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(KeyUnavailable::TimedOut { waited: left }),
        }
    }

    /// Takes a turn without waiting for it: a probe's.
    pub(crate) fn charge(&self, at: &At) {
        let now = self.clock.now().boot;
        self.quotas.of(&at.key.location).take(now, at.limit, self.share(), Duration::MAX);
    }

    /// What this replica takes of a vault.
    pub(crate) fn share(&self) -> VaultShare {
        let Options { vault_share_percent, replicas, vault_limit, .. } = self.options;
        VaultShare { percent: vault_share_percent, replicas, limit: vault_limit }
    }

    /// Waits for one of the workspace's places at its vault.
    pub(crate) async fn place<'a>(
        &'a self,
        workspace: &'a WorkspaceState,
        budget: &Budget<'_>,
    ) -> Result<SemaphorePermit<'a>, KeyUnavailable> {
        let left = budget.left();
        let places =
            if self.bugs.has(SeededBug::SharedBulkhead) { &self.shared_places } else { &workspace.vault_calls };
        match timeout(left, places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // The places are never closed; a place that does not come free is a vault that does not answer.
            Ok(Err(_)) | Err(_) => Err(KeyUnavailable::TimedOut { waited: left }),
        }
    }

    /// What an answer other than the one asked for does to keys in memory, to the audit chain and to the log. Where it is a no to
    /// a credential that is not in use any more it does nothing: answered is as whom the version is to be asked instead.
    pub(crate) async fn not_given(
        &self,
        workspace: &WorkspaceState,
        at: &At,
        why: &KeyUnavailable,
        budget: &Budget<'_>,
    ) -> Option<At> {
        let (reason, request_id, now, version) = (why.reason(), why.request_id(), self.clock.now(), at.version);
        match why.class() {
            // An expired version refuses to wrap and goes on unwrapping: the keys under it stay.
            Class::Denied | Class::Gone if why.stops_wrapping_only() => {
                self.wrapping_denied(workspace, version, why).await;
            }
            Class::Denied | Class::Gone => {
                let Some(news) = self.deny(workspace, at, why).await else {
                    tracing::warn!(workspace = %workspace.id, %version, %reason, request_id, "the customer's side denied a credential that is not in use any more");
                    return self.as_in_use(workspace, at, budget).await;
                };
                tracing::warn!(workspace = %workspace.id, %version, %reason, request_id, "the customer's side denied a key");
                if news && !self.bugs.has(SeededBug::DenialNotRecorded) {
                    self.record_denial(workspace, version, why).await;
                }
            }
            Class::Transient => {
                let _ = self.bugs.has(SeededBug::OutageWipes)
                    && self.table.deny(workspace, version, why, now, None).is_some();
                tracing::warn!(workspace = %workspace.id, %version, %reason, request_id, "a vault gave no answer that counts");
            }
            Class::Ours => {
                tracing::error!(workspace = %workspace.id, %version, %reason, request_id, "a vault call failed by our own fault");
            }
        }
        None
    }

    /// A version does not wrap any more; what is under it goes on. Whether that is news.
    async fn wrapping_denied(&self, workspace: &WorkspaceState, version: KeyVersionId, why: &KeyUnavailable) -> bool {
        let (reason, request_id) = (why.reason(), why.request_id());
        let news = self.table.deny_wrapping(workspace, version, why, self.clock.now());
        tracing::warn!(workspace = %workspace.id, %version, %reason, request_id, "the customer's side denied wrapping");
        if news {
            self.record_denial(workspace, version, why).await;
        }
        news
    }

    /// I-24: every denial has a record. Once for each time a yes turns into a no: requests refused meanwhile add nothing.
    async fn record_denial(&self, workspace: &WorkspaceState, version: KeyVersionId, why: &KeyUnavailable) {
        figures::denied(&workspace.id, why.reason());
        let event = AuditEvent {
            workspace: Some(workspace.id.clone()),
            at: self.clock.now().wall,
            actor: SERVICE.to_owned(),
            what: AuditKind::VaultDenied { reason: why.reason(), version },
        };
        let recorded = timeout(self.options.vault_deadline, self.store.record(event)).await;
        if !matches!(recorded, Ok(Ok(()))) {
            self.table.not_recorded(workspace, version);
            tracing::error!(workspace = %workspace.id, %version, "a denial could not be recorded; the next one will be");
        }
    }

    /// A call to the store within what is left of the budget.
    pub(crate) async fn stored<T>(
        &self,
        budget: &Budget<'_>,
        call: impl Future<Output = Result<T, store::StoreError>>,
    ) -> Result<T, Failure> {
        match timeout(budget.left(), call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::StoreSlow),
        }
    }
}
