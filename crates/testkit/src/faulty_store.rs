//! A store that does what it is asked until it is told to break, lie or die.

mod calls;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::credential::Integration;
use domain::{DataKey, DataKeyId, StoredCredential, WorkspaceId, Wrapping};
use store::{Store, StoreError};

/// A point in the life of a new data key at which something can happen to the process or to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Before the pending row is written.
    BeforeInsert,
    /// The pending row is durable; nobody was told.
    AfterInsert,
    /// Before the key becomes active.
    BeforeActivate,
    /// The key is active; nobody was told.
    AfterActivate,
    /// A data key was unwrapped, wrapped anew and verified; nothing is written.
    BeforeAddWrapping,
    /// Its new wrapping is durable; nobody was told.
    AfterAddWrapping,
    /// Before counts of usage are added.
    BeforeAddUsage,
    /// They are durable; nobody was told.
    AfterAddUsage,
    /// Before a named transaction begins.
    BeforeTransaction(&'static str),
    /// A named transaction was committed, or will be if its steps allow it; nobody does anything after it.
    AfterTransaction(&'static str),
}

impl Step {
    /// Those of a birth.
    pub const ALL: [Self; 4] = [Self::BeforeInsert, Self::AfterInsert, Self::BeforeActivate, Self::AfterActivate];
}

/// Wraps a store.
pub struct FaultyStore {
    inner: Mutex<Arc<dyn Store>>,
    plan: Mutex<Plan>,
    reads: AtomicU64,
}

#[derive(Default)]
struct Plan {
    crash_at: Option<Step>,
    crashed: bool,
    /// The transaction that is open is the last thing this process does.
    last_words: bool,
    /// How often the step to crash at is passed before.
    passes: usize,
    answer_lost_at: Option<Step>,
    wrappings: HashMap<DataKeyId, Wrapping>,
    data_keys: HashMap<DataKeyId, DataKey>,
    credential: Option<StoredCredential>,
    integration: Option<Integration>,
    failing_reads: Option<StoreError>,
    forged: Option<WorkspaceId>,
}

impl FaultyStore {
    /// A store without faults, so far.
    pub fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(inner), plan: Mutex::default(), reads: AtomicU64::new(0) })
    }

    /// At this step the process dies: nothing is answered any more. [`FaultyStore::inner`] is what the next one finds.
    pub fn crash_at(&self, step: Step) {
        self.plan().crash_at = Some(step);
    }

    /// As [`FaultyStore::crash_at`], the `n`th time the step is reached, from 0.
    pub fn crash_at_nth(&self, step: Step, n: usize) {
        let mut plan = self.plan();
        (plan.crash_at, plan.passes) = (Some(step), n);
    }

    /// Whether the process has died.
    pub fn has_crashed(&self) -> bool {
        let plan = self.plan();
        plan.crashed || plan.last_words
    }

    /// At this step, once, the answer is lost: [`StoreError::OutcomeUnknown`].
    pub fn lose_answer_at(&self, step: Step) {
        self.plan().answer_lost_at = Some(step);
    }

    /// From now on `data_key` seems to have this wrapping.
    pub fn lie_about_wrapping(&self, data_key: DataKeyId, wrapping: Wrapping) {
        self.plan().wrappings.insert(data_key, wrapping);
    }

    /// From now on `data_key` seems to have this row.
    pub fn lie_about_data_key(&self, data_key: DataKeyId, row: DataKey) {
        self.plan().data_keys.insert(data_key, row);
    }

    /// From now on this is its workspace's integration.
    pub fn lie_about_integrations(&self, integration: Integration) {
        self.plan().integration = Some(integration);
    }

    /// From now on every app's credential seems to be this one.
    pub fn lie_about_credentials(&self, credential: StoredCredential) {
        self.plan().credential = Some(credential);
    }

    /// Takes all lies back.
    pub fn tell_the_truth(&self) {
        let mut plan = self.plan();
        plan.wrappings.clear();
        plan.data_keys.clear();
        plan.credential = None;
    }

    /// Every read fails like this until `None`.
    pub fn fail_reads(&self, error: Option<StoreError>) {
        self.plan().failing_reads = error;
    }

    /// From now on, until `None`, this workspace's chain and counts take nothing: its rows are not what was written.
    pub fn forge(&self, workspace: Option<&WorkspaceId>) {
        self.plan().forged = workspace.cloned();
    }

    /// How many reads and writes have arrived.
    pub fn calls(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The store without faults.
    pub fn inner(&self) -> Arc<dyn Store> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this is the store: somebody has put another database in place.
    pub fn put_in_place(&self, inner: Arc<dyn Store>) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = inner;
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let plan = self.plan();
        if plan.crashed || plan.last_words {
            return Err(StoreError::Closed);
        }
        plan.failing_reads.clone().map_or(Ok(()), Err)
    }

    fn step(&self, step: Step) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut plan = self.plan();
        if plan.crash_at == Some(step) {
            match plan.passes {
                0 => plan.crashed = true,
                _ => plan.passes -= 1,
            }
        }
        if plan.crashed || plan.last_words {
            return Err(StoreError::Closed);
        }
        if plan.answer_lost_at == Some(step) {
            plan.answer_lost_at = None;
            return Err(StoreError::OutcomeUnknown);
        }
        Ok(())
    }
}
