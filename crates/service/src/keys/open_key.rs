//! What is held of one open data key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{DataKeyId, KeyVersionId, Moment, Protection};
use envelope::ExpandedKey;
use secmem::Locked;

use super::lease::{Right, VersionLease};
use super::meters::{Done, Meters};
use super::standing::{Stamp, WorkspaceState};

/// A data key in the clear, with everything that decides whether it may be used now. Wiped when the last reader lets go.
pub(crate) struct OpenKey {
    pub(crate) id: DataKeyId,
    pub(crate) protection: Protection,
    /// The version that unwrapped it; absent under the platform's key.
    pub(crate) version: Option<KeyVersionId>,
    /// Expanded: that takes longer than deriving a message's key from it.
    pub(crate) secret: Locked<ExpandedKey>,
    pub(crate) lease: Arc<VersionLease>,
    pub(crate) workspace: Arc<WorkspaceState>,
    /// When the store last said that its app and workspace exist.
    pub(crate) stamp: Stamp,
    sealed: AtomicU64,
    meters: Arc<Meters>,
}

/// One message in so many is counted, so many at once: a counter that every message wrote would be shared by all threads.
const COUNTED_TOGETHER: u64 = 64;

impl OpenKey {
    pub(crate) fn new(
        id: DataKeyId,
        under: (Protection, Option<KeyVersionId>),
        secret: Locked<ExpandedKey>,
        lease: Arc<VersionLease>,
        workspace: Arc<WorkspaceState>,
        stamp: Stamp,
    ) -> Self {
        let (protection, version) = under;
        let (sealed, meters) = (AtomicU64::new(0), Arc::default());
        Self { id, protection, version, secret, lease, workspace, stamp, sealed, meters }
    }

    /// The same data key under another version: what was said of it and counted goes on.
    pub(crate) fn continuing(mut self, before: &Self) -> Self {
        self.stamp.take_over(&before.stamp);
        self.sealed.fetch_add(before.sealed(), Ordering::Relaxed);
        self.meters = before.meters.clone();
        self
    }

    /// Counted in these meters, which outlive it.
    pub(crate) fn counted_in(self, meters: Arc<Meters>) -> Self {
        Self { meters, ..self }
    }

    /// Counts what is given out: one atomic addition, on a line of this key's own.
    #[inline]
    pub(crate) fn has_done(&self, done: Done) {
        self.meters.count(done);
    }

    pub(crate) fn id(&self) -> DataKeyId {
        self.id
    }

    /// The right to open with it at `now`: its lease holds, and its app was there in what the store said at most C ago.
    #[inline]
    pub(crate) fn right_to_open(&self, now: Moment) -> Option<Right> {
        self.lease.right(now).filter(|_| self.stamp.is_fresh(&self.workspace, now))
    }

    /// Whether that right is good when the answer is ready (I-10).
    #[inline]
    pub(crate) fn still_opens(&self, right: Right, now: Moment) -> bool {
        self.lease.still_gives(right, now) && self.stamp.is_fresh(&self.workspace, now)
    }

    /// About how many messages this process sealed under it.
    #[inline]
    pub(crate) fn sealed(&self) -> u64 {
        self.sealed.load(Ordering::Relaxed)
    }

    /// Counts `messages` that were sealed. `chance` is any byte of the nonce: it is uniform, so that counting one message in
    /// 64 as 64 is right on average, and at 2⁴⁰ messages off by less than one in 10⁴.
    #[inline]
    pub(crate) fn count(&self, messages: usize, chance: u8) {
        let messages = messages as u64;
        let whole = messages - messages % COUNTED_TOGETHER;
        let rest =
            if u64::from(chance) % COUNTED_TOGETHER < messages % COUNTED_TOGETHER { COUNTED_TOGETHER } else { 0 };
        if whole + rest > 0 {
            self.sealed.fetch_add(whole + rest, Ordering::Relaxed);
        }
    }
}
