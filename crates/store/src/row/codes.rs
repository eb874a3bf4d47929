//! Whether a row is what was written: its code, its epoch, and whether its workspace is believed at all.
//!
//! A row's code covers (table, workspace, cluster id, epoch, revision, every column). Cluster id and epoch keep rows of
//! another installation or of a restored backup apart; the revision says at which commit the row was written.

use domain::row_seal::{RowBytes, RowMac, RowSeal};

use super::{Meta, Row};
use crate::{ClusterId, Head, StoreError};

/// When a row was written: part of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) epoch: u64,
    pub(crate) revision: u64,
}

/// Makes and checks the codes of one database's rows.
pub(crate) struct RowCodes {
    seal: std::sync::Arc<dyn RowSeal>,
    cluster: ClusterId,
    /// The epoch all rows are of; 0 while that is not known.
    epoch: std::sync::atomic::AtomicU64,
    /// Workspaces whose rows do not add up to their sets: no row of theirs is believed, however authentic by itself.
    distrusted: std::sync::RwLock<std::collections::BTreeSet<String>>,
    /// The sets are not the ones that the database speaks of, and which of them is wrong cannot be told: no row is believed.
    disowned: std::sync::atomic::AtomicBool,
}

impl RowCodes {
    pub(crate) fn new(seal: std::sync::Arc<dyn RowSeal>, cluster: ClusterId) -> Self {
        let epoch = std::sync::atomic::AtomicU64::new(0);
        let disowned = std::sync::atomic::AtomicBool::new(false);
        Self { seal, cluster, epoch, distrusted: std::sync::RwLock::default(), disowned }
    }

    /// From now on no row of these workspaces is believed, and of no others.
    pub(crate) fn distrust(&self, workspaces: std::collections::BTreeSet<String>) {
        *self.distrusted.write().unwrap_or_else(std::sync::PoisonError::into_inner) = workspaces;
    }

    /// From now on no row at all is believed, that of the database itself included: some of it is of an older copy. Or, once it is
    /// in order again, they are.
    pub(crate) fn disown(&self, disowned: bool) {
        self.disowned.store(disowned, std::sync::atomic::Ordering::Release);
    }

    /// The same codes without any distrust: for a check of all rows, which decides anew.
    pub(crate) fn without_prejudice(&self) -> Self {
        let anew = Self::new(std::sync::Arc::clone(&self.seal), self.cluster);
        anew.expect_epoch(self.epoch.load(std::sync::atomic::Ordering::Acquire));
        anew
    }

    /// The workspaces of which no row is believed now.
    pub(crate) fn distrusted(&self) -> std::collections::BTreeSet<String> {
        self.distrusted.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn distrusts(&self, workspace: &str) -> bool {
        self.distrusted.read().unwrap_or_else(std::sync::PoisonError::into_inner).contains(workspace)
    }

    /// From now on a row of another epoch is refused: it was written before an older copy of the database was accepted, in a
    /// history that is not this one's, or by a raised one that this is not.
    pub(crate) fn expect_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, std::sync::atomic::Ordering::Release);
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The platform key that codes are made under now.
    pub(crate) fn primary(&self) -> domain::PlatformKeyId {
        self.seal.seal(&[]).key
    }

    /// The head of a database with this row.
    pub(crate) fn head_of(&self, meta: &Meta) -> Head {
        Head::of(&self.bytes(meta, meta.at), meta)
    }

    /// The row's code.
    pub(crate) fn make<R: Row>(&self, row: &R, stamp: Stamp) -> RowMac {
        self.seal.seal(self.bytes(row, stamp).as_bytes())
    }

    /// Refuses a row whose code is not this one, or whose workspace is not believed.
    pub(crate) fn check<R: Row>(&self, row: &R, stamp: Stamp, code: &RowMac) -> Result<(), StoreError> {
        let expected = self.epoch.load(std::sync::atomic::Ordering::Acquire);
        let of_this_epoch = expected == 0 || expected == stamp.epoch;
        let authentic = self.seal.verify(self.bytes(row, stamp).as_bytes(), code);
        if self.disowned.load(std::sync::atomic::Ordering::Acquire) {
            return Err(StoreError::RolledBack);
        }
        if self.distrusts(row.workspace()) {
            let workspace = row.workspace().parse().ok();
            return Err(StoreError::SetForged { workspace });
        }
        if of_this_epoch && authentic { Ok(()) } else { Err(StoreError::RowForged { table: R::TABLE }) }
    }

    fn bytes<R: Row>(&self, row: &R, stamp: Stamp) -> RowBytes {
        let bytes = RowBytes::of(R::TABLE)
            .field(row.workspace().as_bytes())
            .field(&self.cluster.0)
            .field(&stamp.epoch.to_be_bytes())
            .field(&stamp.revision.to_be_bytes());
        row.columns(bytes)
    }
}
