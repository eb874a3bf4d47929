//! Writing down what was sealed and opened: the meters are read every few seconds, and what they say is added to the database
//! once a minute.
//!
//! No request waits for it and none fails by it. What a process that is killed had counted since its last flush is lost: at most
//! a minute's counts, and no data. Hours are UTC's; a message can be counted in the next hour if it was made in the last
//! [`LOOK_EVERY`] of one.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::{BootId, Hour, KeyUsage, Protection, Timestamp, Traffic, WorkspaceId};
use store::{StoreError, UsageDropped};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Service;
use crate::core::Core;
use crate::keys::DataKeyName;
use crate::seeded_bug::SeededBug;

/// How often the meters are read: the times of first and last uses are true to within this.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How many looks make a flush.
const LOOKS_BETWEEN_FLUSHES: u32 = 6;
/// Rows that are written together: births of data keys wait for no more than these.
const WRITTEN_TOGETHER: usize = 256;
/// Rows of old hours that are dropped together.
const DROPPED_TOGETHER: usize = 256;
/// How long somebody who reads waits for this replica's own counts to be written before.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was counted and is not known to be in the database yet.
pub(crate) struct Ledger(tokio::sync::Mutex<Book>);

struct Book {
    looked_at: Timestamp,
    /// The number of the last flush that was begun.
    flush: u64,
    /// What will be in the next one.
    pending: HashMap<(DataKeyName, Option<Hour>), (Protection, Traffic)>,
    /// What is left of the last one. It keeps its number: the database adds each row of a flush once, however often it is sent.
    sent: Vec<KeyUsage>,
    /// What was not added of the last flush because rows of its workspace are forged: sent again with the next one, under its number. No
    /// more of that workspace is begun before, since a later number would make this one count for nothing.
    held: Vec<KeyUsage>,
}

impl Ledger {
    /// `now`: nothing was sealed or opened before.
    pub(crate) fn new(now: Timestamp) -> Self {
        let (pending, sent, held) = (HashMap::new(), Vec::new(), Vec::new());
        Self(tokio::sync::Mutex::new(Book { looked_at: now, flush: 0, pending, sent, held }))
    }
}

impl Service {
    /// Reads the meters and writes down what they say, until it is dropped. Without it nothing is counted, and everything else
    /// is as it should be.
    pub async fn keep_usage(self: Arc<Self>) -> Infallible {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut dropped_in = None;
        loop {
            for _ in 0..LOOKS_BETWEEN_FLUSHES {
                ticks.tick().await;
                self.0.look_at_meters().await;
            }
            if let Err(why) = self.flush_usage().await {
                tracing::warn!(%why, "what was counted could not be written down yet");
            }
            let hour = Hour::of(self.0.clock.now().wall);
            if dropped_in != Some(hour) {
                match self.drop_old_usage().await {
                    Ok(()) => dropped_in = Some(hour),
                    Err(why) => tracing::warn!(%why, "counts of old hours could not be dropped"),
                }
            }
        }
    }

    /// Writes down everything that was counted until now. What could not be written is kept and written with the next flush.
    pub async fn flush_usage(&self) -> Result<(), StoreError> {
        self.0.flush_usage().await
    }

    /// Writes down everything for the last time. What is held because rows of its workspace are forged goes with the process.
    pub async fn end_usage(&self) -> Result<(), StoreError> {
        self.flush_usage().await?;
        let book = self.0.ledger.0.lock().await;
        let count = book.held.len() + book.pending.len();
        if count > 0 {
            tracing::warn!(count, "counts of usage are lost: rows of their workspaces are not what was written");
        }
        Ok(())
    }

    /// Drops counts of hours that are older than is kept; what was done under each data key in all stays.
    pub async fn drop_old_usage(&self) -> Result<(), StoreError> {
        let kept = u32::try_from(self.0.options.usage_kept.as_secs() / 3_600).unwrap_or(u32::MAX);
        let before = Hour::of(self.0.clock.now().wall).minus(kept);
        let mut dropped = UsageDropped::default();
        loop {
            dropped = self.0.store.drop_usage(before, DROPPED_TOGETHER, dropped).await?;
            if !dropped.more {
                return Ok(());
            }
        }
    }
}

impl Core {
    async fn look_at_meters(&self) {
        self.ledger.0.lock().await.look(self);
    }

    async fn flush_usage(&self) -> Result<(), StoreError> {
        let mut book = self.ledger.0.lock().await;
        book.look(self);
        book.send_held();
        let mut together = WRITTEN_TOGETHER;
        loop {
            while !book.sent.is_empty() {
                let rest = book.sent.len().saturating_sub(together);
                match self.store.add_usage(book.sent[rest..].to_vec()).await {
                    Ok(left_out) => book.hold(rest, &left_out),
                    // One of them fits no data key: the others must not be lost with it.
                    Err(StoreError::Conflict(_)) if together > 1 => {
                        together = 1;
                        continue;
                    }
                    // It will not be better the next time.
                    Err(StoreError::Conflict(why)) => {
                        tracing::error!(%why, "counts that fit no data key were thrown away");
                    }
                    Err(why) => {
                        if self.bugs.has(SeededBug::UsageCountedAgain) {
                            book.flush += 1;
                            let flush = book.flush;
                            book.sent.iter_mut().for_each(|row| row.flush = flush);
                        }
                        return Err(why);
                    }
                }
                book.sent.truncate(rest);
            }
            if !book.begin_flush(self) {
                return Ok(());
            }
        }
    }

    /// So that whoever reads sees what this replica did until now. Where it cannot be written in time, they see the rest.
    pub(crate) async fn flush_for_reading(&self) {
        match timeout(PATIENCE, self.flush_usage()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(%why, "usage is read without this replica's latest counts"),
            Err(_) => tracing::warn!("usage is read without this replica's latest counts: the database is busy"),
        }
    }
}

impl Book {
    fn look(&mut self, core: &Core) {
        let now = core.clock.now().wall;
        let (before, hour) = (self.looked_at, Hour::of(now));
        core.meters.collect(|name, protection, tally| {
            let counted = Traffic::between(before, now, tally);
            for span in [None, Some(hour)] {
                let (_, traffic) =
                    self.pending.entry((name.clone(), span)).or_insert_with(|| (protection, Traffic::default()));
                traffic.add(&counted);
            }
        });
        self.looked_at = now;
    }

    /// What is held is tried again.
    fn send_held(&mut self) {
        self.sent.append(&mut self.held);
    }

    /// Of what was sent from `rest` on, these workspaces' was not all added.
    fn hold(&mut self, rest: usize, left_out: &BTreeSet<WorkspaceId>) {
        let theirs = self.sent[rest..].iter().filter(|row| left_out.contains(&row.workspace));
        self.held.extend(theirs.cloned());
    }

    /// Makes what is pending the next thing to send. `false`: there is nothing, but of workspaces of which some is held.
    fn begin_flush(&mut self, core: &Core) -> bool {
        let held: BTreeSet<&WorkspaceId> = self.held.iter().map(|row| &row.workspace).collect();
        let due: Vec<_> = self.pending.extract_if(|(name, _), _| !held.contains(&name.app.workspace)).collect();
        if due.is_empty() {
            return false;
        }
        let boot = match core.bugs.has(SeededBug::ReplicasShareCounts) {
            true => BootId::from_bytes([0; 16]),
            false => core.journal.boot(),
        };
        for ((name, hour), (_, traffic)) in &due {
            if let Some(hour) = hour {
                core.journal.used(&name.app.workspace, *hour, name.id, &traffic.tally);
            }
        }
        self.flush += 1;
        let flush = self.flush;
        let row =
            |((name, hour), (protection, traffic)): ((DataKeyName, Option<Hour>), (Protection, Traffic))| KeyUsage {
                workspace: name.app.workspace,
                app: name.app.app,
                data_key: name.id,
                protection,
                hour,
                boot,
                flush,
                traffic,
            };
        self.sent = due.into_iter().map(row).collect();
        true
    }
}
