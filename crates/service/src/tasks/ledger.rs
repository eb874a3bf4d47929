//! Writing the ledger: what this replica noticed of itself goes into the chains, and how far each has come is signed.
//!
//! Nothing here is waited for by a request. What cannot be written is written later; an event whose commit was in doubt may
//! stand twice. A chain is signed when it has grown, at most once an hour by whichever replica comes first.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::audit::{AuditEvent, AuditKind};
use domain::ledger::{ChainName, Checkpoint, START, SignedCheckpoint};
use domain::{Timestamp, WorkspaceId};
use futures::future::join_all;
use store::StoreError;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Service;
use crate::core::Core;
use crate::keys::journal::{Extent, Journal};
use crate::keys::lock;
use crate::keys::table::LeaseNews;
use crate::keys::vault_call::SERVICE;
use crate::seeded_bug::SeededBug;

/// How often it is looked what there is to write.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks between two looks at the chains.
const LOOKS_BETWEEN_CHAINS: u32 = 300;
/// How old a chain's last checkpoint is before it gets another.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3_600);
/// Events that are written side by side.
const WRITTEN_TOGETHER: usize = 16;
/// Workspaces that are read together.
const READ_TOGETHER: usize = 256;
/// How long somebody who reads waits for this replica's own events to be written before.
const PATIENCE: Duration = Duration::from_secs(2);

/// Since when this replica cannot read the store.
#[derive(Default)]
pub(crate) struct CutOff(std::sync::Mutex<Option<Timestamp>>);

impl Service {
    /// Writes down what this replica notices of itself, and signs chains that grew, until it is dropped. Without it everything
    /// else is as it should be, and calls to vaults, receipts and counts of use are in no chain.
    pub async fn keep_ledger(self: Arc<Self>) -> Infallible {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for _ in 0..LOOKS_BETWEEN_CHAINS {
                ticks.tick().await;
                self.look_at_leases();
                if let Err(why) = self.0.write_journal(&Extent::Due).await {
                    tracing::warn!(%why, "the ledger could not be written yet");
                }
            }
            if let Err(why) = self.sign_grown_chains().await {
                tracing::warn!(%why, "the ledger's chains could not be signed");
            }
        }
    }

    /// Notes leases that were lost or came back, of key versions and of this replica.
    pub fn look_at_leases(&self) {
        let (core, now) = (&self.0, self.0.clock.now());
        let boot = core.journal.boot();
        for (workspace, version, news) in core.table.lease_news(now) {
            let what = match news {
                LeaseNews::Lost { proven_at } => AuditKind::LeaseLost { version, boot, proven_at },
                LeaseNews::Regained => AuditKind::LeaseRegained { version, boot },
            };
            core.journal.note(Some(&workspace), what);
        }
        let mut since = lock(&core.cut_off.0);
        match (*since, core.control.is_read(now)) {
            // It is told when it is over: until then nothing can be written. One that has read nothing yet lost nothing.
            (None, false) if core.control.was_ever_read() => *since = Some(now.wall),
            (Some(from), true) => {
                *since = None;
                core.journal.note(None, AuditKind::ReplicaCutOff { boot, from });
            }
            (None, _) | (Some(_), false) => {}
        }
    }

    /// Writes everything that waits to be written.
    pub async fn flush_ledger(&self) -> Result<(), StoreError> {
        self.0.write_journal(&Extent::Everything).await
    }

    /// Writes everything for the last time. What a forged chain does not take goes with the process; the platform's chain says how much
    /// that is.
    pub async fn end_ledger(&self) -> Result<(), StoreError> {
        let written = self.flush_ledger().await;
        let count = self.0.journal.give_up_held();
        if count == 0 {
            return written;
        }
        tracing::warn!(count, "events are lost: their chains are not what was written, and take nothing");
        written.and(self.flush_ledger().await)
    }

    /// Signs every chain that grew and was not signed in the last hour.
    pub async fn sign_grown_chains(&self) -> Result<(), StoreError> {
        let core = &self.0;
        core.sign_if_due(None).await?;
        let mut after: Option<WorkspaceId> = None;
        loop {
            // A deleted workspace's too: its end is what somebody would like to be without.
            let workspaces = core.store.chains(after.as_ref(), READ_TOGETHER).await?;
            for workspace in &workspaces {
                // One forged chain must not keep the others from being signed.
                if let Err(why) = core.sign_if_due(Some(workspace)).await {
                    tracing::error!(%workspace, %why, "a chain could not be signed");
                }
            }
            match workspaces.last() {
                Some(last) if workspaces.len() == READ_TOGETHER => after = Some(last.clone()),
                Some(_) | None => return Ok(()),
            }
        }
    }
}

/// Events on their way into the chains. Whatever becomes of the one who writes them, what is not known to be written is put back.
struct Waiting<'a> {
    journal: &'a Journal,
    events: VecDeque<AuditEvent>,
}

impl Waiting<'_> {
    /// Nothing more is tried on these chains now.
    fn hold_those_of(&mut self, forged: &BTreeSet<Option<WorkspaceId>>) {
        if forged.is_empty() {
            return;
        }
        for event in std::mem::take(&mut self.events) {
            if forged.contains(&event.workspace) {
                self.journal.hold(event);
            } else {
                self.events.push_back(event);
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.events.drain(..).for_each(|event| self.journal.put(event));
    }
}

impl Core {
    async fn write_journal(&self, extent: &Extent) -> Result<(), StoreError> {
        let mut waiting = Waiting { journal: &self.journal, events: self.journal.take(extent) };
        let mut forged = BTreeSet::new();
        while !waiting.events.is_empty() {
            waiting.hold_those_of(&forged);
            let lot: Vec<AuditEvent> = waiting.events.iter().take(WRITTEN_TOGETHER).cloned().collect();
            let written = join_all(lot.into_iter().map(|event| self.store.record(event))).await;
            let mut failed = None;
            for outcome in written {
                let Some(event) = waiting.events.pop_front() else { break };
                match outcome {
                    Ok(()) => {}
                    // It will not be better the next time: there is no such workspace.
                    Err(StoreError::Conflict(why)) => tracing::error!(%why, "an event for the ledger fits no chain"),
                    // That workspace's trouble, and nobody else's: it is tried again later.
                    Err(why) if why.is_forged() => {
                        if !forged.contains(&event.workspace) {
                            let workspace = event.workspace.as_ref().map(WorkspaceId::as_str);
                            tracing::error!(workspace, %why, "events wait: their chain is not what was written");
                            forged.insert(event.workspace.clone());
                        }
                        self.journal.hold(event);
                    }
                    Err(why) => {
                        self.journal.put(event);
                        failed = Some(why);
                    }
                }
            }
            if let Some(why) = failed {
                return Err(why);
            }
        }
        Ok(())
    }

    /// So that whoever reads a workspace's chain sees what this replica did until now. `false`: it could not be written in time, and
    /// they see the rest.
    pub(crate) async fn write_journal_for_reading(&self, chain: Option<&WorkspaceId>) -> bool {
        let Some(workspace) = chain else { return true };
        match timeout(PATIENCE, self.write_journal(&Extent::ForReading(workspace.clone()))).await {
            // What the chain itself refuses waits as well.
            Ok(Ok(())) => return !self.journal.holds_of(workspace),
            Ok(Err(why)) => tracing::warn!(%why, "a chain is read without this replica's latest events"),
            Err(_) => tracing::warn!("a chain is read without this replica's latest events: the database is busy"),
        }
        false
    }

    async fn sign_if_due(&self, chain: Option<&WorkspaceId>) -> Result<(), StoreError> {
        let Some(end) = self.store.newest_event(chain, None).await? else { return Ok(()) };
        if end.name == SignedCheckpoint::EVENT {
            return Ok(());
        }
        let last = self.store.newest_event(chain, Some(SignedCheckpoint::EVENT)).await?;
        let now = self.clock.now().wall;
        // One of a clock that was ahead must not keep the others from signing.
        if last.is_some_and(|last| last.at <= now && now < last.at.saturating_add(CHECKPOINT_EVERY)) {
            return Ok(());
        }
        self.checkpoint(chain, SERVICE).await.map(drop)
    }

    /// Signs how far a chain has come, and keeps it in the chain.
    pub(crate) async fn checkpoint(
        &self,
        chain: Option<&WorkspaceId>,
        actor: &str,
    ) -> Result<SignedCheckpoint, StoreError> {
        let end = self.store.newest_event(chain, None).await?;
        let signed = self.sign(chain, end.map_or((0, START), |end| (end.seq, end.hash)));
        let (workspace, at) = (chain.cloned(), signed.checkpoint.at);
        let what = AuditKind::Checkpointed(signed.clone());
        self.store.record(AuditEvent { workspace, at, actor: actor.to_owned(), what }).await?;
        Ok(signed)
    }

    /// Signs that a chain ended here.
    pub(crate) fn sign(&self, chain: Option<&WorkspaceId>, (number, head): (u64, [u8; 32])) -> SignedCheckpoint {
        let (chain, cluster) = (ChainName::of(chain.cloned()), self.store.cluster().0);
        let checkpoint = Checkpoint { cluster, chain, number, head, at: self.clock.now().wall };
        let (public_key, mut signature) = self.platform.sign_checkpoint(&checkpoint.signed_bytes());
        if self.bugs.has(SeededBug::CheckpointNotSigned) {
            signature = [0; 64];
        }
        SignedCheckpoint { checkpoint, public_key, signature }
    }
}
