//! A provider of customer keys in memory, for tests: real RSA, every fault on demand, calls that can be counted and held.

mod approach;
mod key;
mod script;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{Clock, KeyVersionId, KeyVersionLocation, TenantId, WorkspaceId};
use secmem::Secret;

pub use self::{
    key::Attributes,
    script::{Calls, Fault, Held, Operation},
};
use self::{key::Key, script::Script};
use crate::{
    AnswerFault, Application, Approach, CustomerKeys, KeyDescription, KeyRef, KeyUnavailable, PAYLOAD_LEN, Trace,
    Unwrapped, VersionListing, WrappedBlob,
};

/// Vaults in memory. Made with [`new`](Self::new); keys with [`create_key`](Self::create_key).
///
/// An answer is decided when the call arrives. A call that is then [held](Self::hold) delivers that answer when it is let
/// go, whatever has become of the key meanwhile: so a test shows what happens to an unwrap that was overtaken by a denial.
pub struct MemoryKeys {
    clock: Arc<dyn Clock>,
    keys: Mutex<BTreeMap<String, Vaulted>>,
    script: Script,
    done: AtomicU64,
    asked: Mutex<BTreeSet<Asked>>,
}

/// Who asked for something: as which application, and for which workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The application's id.
    pub application: String,
    /// Absent where it was nobody's call, or the question is about a directory alone.
    pub workspace: Option<WorkspaceId>,
}

/// A key in its vault, which is in a directory.
struct Vaulted {
    tenant: TenantId,
    key: Key,
}

impl MemoryKeys {
    /// No keys. The clock decides what has expired.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            keys: Mutex::default(),
            script: Script::default(),
            done: AtomicU64::new(0),
            asked: Mutex::default(),
        })
    }

    /// Creates the key, or a new version of it, which is the newest from now on. RSA 2048, enabled, wrap and unwrap.
    pub fn create_key(&self, at: &KeyRef) -> KeyVersionId {
        let mut keys = self.keys();
        let pair = keys.values().map(|vaulted| vaulted.key.version_count()).sum();
        let fresh = || Vaulted { tenant: at.tenant.clone(), key: Key::new(at.location.clone()) };
        keys.entry(at.location.to_string()).or_insert_with(fresh).key.add_version(pair, self.clock.now().wall)
    }

    /// Switches one version off.
    pub fn disable(&self, at: &KeyRef, version: KeyVersionId) {
        self.change(at, version, |attributes| attributes.enabled = false);
    }

    /// Switches one version on again.
    pub fn enable(&self, at: &KeyRef, version: KeyVersionId) {
        self.change(at, version, |attributes| attributes.enabled = true);
    }

    /// Changes the attributes of one version.
    ///
    /// # Panics
    /// When there is no such version: the test is wrong.
    pub fn change(&self, at: &KeyRef, version: KeyVersionId, change: impl FnOnce(&mut Attributes)) {
        let mut keys = self.keys();
        let key = &mut keys.get_mut(&at.location.to_string()).expect("the test created this key").key;
        change(key.attributes_mut(version).expect("the test created this version"));
    }

    /// Deletes the key with all its versions; it can be recovered.
    pub fn delete_key(&self, at: &KeyRef) {
        self.set_deleted(at, true);
    }

    /// Takes the deletion back.
    pub fn recover_key(&self, at: &KeyRef) {
        self.set_deleted(at, false);
    }

    fn set_deleted(&self, at: &KeyRef, deleted: bool) {
        self.keys().get_mut(&at.location.to_string()).expect("the test created this key").key.deleted = deleted;
    }

    /// The next call of this kind, and only that one, meets this fault.
    pub fn fail_next(&self, operation: Operation, fault: Fault) {
        self.script.fail_next(operation, fault);
    }

    /// Every call of this kind meets this fault until [`heal`](Self::heal).
    pub fn fail(&self, operation: Operation, fault: Fault) {
        self.script.fail(operation, fault);
    }

    /// Every call of any kind is refused until [`heal`](Self::heal): a role removed, an outage.
    pub fn refuse_all(&self, why: &KeyUnavailable) {
        for operation in Operation::ALL {
            self.fail(operation, Fault::Refuse(why.clone()));
        }
    }

    /// Takes all faults back, planned ones too.
    pub fn heal(&self) {
        self.script.heal();
    }

    /// Holds every call of this kind from now on, until the returned value is released or dropped.
    pub fn hold(&self, operation: Operation) -> Held {
        self.script.hold(operation)
    }

    /// How many calls of each kind have arrived.
    pub fn calls(&self) -> Calls {
        self.script.calls()
    }

    /// Who has asked since the last time, each once.
    pub fn asked(&self) -> BTreeSet<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, application: &str, workspace: Option<&WorkspaceId>) {
        let asked = Asked { application: application.to_owned(), workspace: workspace.cloned() };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(asked);
    }

    fn note_key(&self, at: &KeyRef) {
        match &at.as_whom {
            Application::Platform => self.note(self.application(), at.workspace.as_ref()),
            Application::Registered(app) => {
                self.note(app.registration().client_id.as_str(), at.workspace.as_ref());
            }
        }
    }

    /// The ids of a call that was done: each has its own.
    fn numbered(&self) -> Trace {
        Trace::of_vault(Some(&format!("memory-{}", self.done.fetch_add(1, Ordering::Relaxed))))
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Vaulted>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of the vault, which is there when a key of it is.
    fn tenant_of(&self, at: &KeyRef) -> Option<TenantId> {
        let vault = at.location.vault_uri();
        self.keys().iter().find(|(url, _)| url.starts_with(&vault)).map(|(_, vaulted)| vaulted.tenant.clone())
    }

    /// Looks the key up as a vault does: directory first, then existence, then the rest.
    fn with_key<T>(&self, at: &KeyRef, f: impl FnOnce(&Key) -> Result<T, KeyUnavailable>) -> Result<T, KeyUnavailable> {
        self.note_key(at);
        let keys = self.keys();
        let vaulted = keys.get(&at.location.to_string()).ok_or_else(|| KeyUnavailable::NotFound(trace()))?;
        if vaulted.tenant != at.tenant {
            return Err(KeyUnavailable::TenantMismatch(trace()));
        }
        if vaulted.key.deleted {
            return Err(KeyUnavailable::NotFound(trace()));
        }
        f(&vaulted.key)
    }

    /// Decides the answer, lets the script spoil it, and delivers it when the gate is open, within the deadline.
    async fn answer<T>(
        &self,
        operation: Operation,
        deadline: Duration,
        decide: impl FnOnce(Option<Fault>) -> Result<T, KeyUnavailable>,
    ) -> Result<T, KeyUnavailable> {
        let (fault, gate) = self.script.arrive(operation);
        let hangs = matches!(fault, Some(Fault::Hang));
        let answer = match fault {
            Some(Fault::Refuse(why)) => Err(why),
            other => decide(other),
        };
        let delivered = async {
            gate.pass().await;
            if hangs {
                std::future::pending::<()>().await;
            }
        };
        match tokio::time::timeout(deadline, delivered).await {
            Ok(()) => answer,
            Err(_) => Err(KeyUnavailable::TimedOut { waited: deadline }),
        }
    }
}

#[async_trait::async_trait]
impl CustomerKeys for MemoryKeys {
    fn approach(&self) -> &dyn Approach {
        self
    }

    async fn describe(
        &self,
        at: &KeyRef,
        version: Option<KeyVersionId>,
        deadline: Duration,
    ) -> Result<KeyDescription, KeyUnavailable> {
        self.answer(Operation::Describe, deadline, |_| self.with_key(at, |key| key.describe(version))).await
    }

    async fn prove_consent(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.note_key(at);
        self.answer(Operation::Consent, deadline, |_| Ok(())).await
    }

    async fn versions(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<VersionListing>, KeyUnavailable> {
        self.answer(Operation::Versions, deadline, |_| self.with_key(at, |key| Ok(key.list()))).await
    }

    async fn wrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        payload: &Secret<PAYLOAD_LEN>,
        deadline: Duration,
    ) -> Result<WrappedBlob, KeyUnavailable> {
        self.answer(Operation::Wrap, deadline, |fault| {
            other_key(fault.as_ref())?;
            let blob = self.with_key(at, |key| key.wrap(version, payload, self.clock.now().wall))?;
            let version: KeyVersionLocation = at.location.at(version);
            Ok(WrappedBlob { version, blob, trace: self.numbered() })
        })
        .await
    }

    async fn unwrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        blob: &[u8],
        deadline: Duration,
    ) -> Result<Unwrapped, KeyUnavailable> {
        self.answer(Operation::Unwrap, deadline, |fault| {
            other_key(fault.as_ref())?;
            if matches!(fault, Some(Fault::WrongLength)) {
                return Err(KeyUnavailable::AnswerInvalid { fault: AnswerFault::WrongLength, trace: trace() });
            }
            let payload = self.with_key(at, |key| key.unwrap(version, blob))?;
            if matches!(fault, Some(Fault::WrongPlaintext)) {
                // Every bit of the key differs, its envelope does not: only the identity or the check value can tell.
                let inverted = |out: &mut [u8; PAYLOAD_LEN]| {
                    payload.expose(|payload| out.copy_from_slice(payload));
                    out[1..33].iter_mut().for_each(|byte| *byte = !*byte);
                };
                return Ok(Unwrapped { payload: Secret::fill(inverted)?, trace: self.numbered() });
            }
            Ok(Unwrapped { payload, trace: self.numbered() })
        })
        .await
    }
}

fn other_key(fault: Option<&Fault>) -> Result<(), KeyUnavailable> {
    match fault {
        Some(Fault::WrongKid) => Err(KeyUnavailable::AnswerInvalid { fault: AnswerFault::OtherKey, trace: trace() }),
        Some(Fault::Refuse(_) | Fault::Hang | Fault::WrongPlaintext | Fault::WrongLength) | None => Ok(()),
    }
}

fn trace() -> Trace {
    Trace::of_vault(Some("memory"))
}
