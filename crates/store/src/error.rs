//! Why the store did not do what it was asked, whose move it is, and what the move is.

use domain::{DataKeyId, DataKeyState, Owner, Reason, WorkspaceId};

/// Why a read or a write did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The rows do not permit it. Nothing was written.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A row's code is not the one its columns ask for: somebody wrote it who does not hold the platform root.
    #[error("a row of {table} fails its authentication")]
    RowForged {
        /// Which table.
        table: &'static str,
    },
    /// A workspace's rows are authentic one by one but not as a set: one was deleted, or an older one put back.
    #[error("the rows of {} are not the set that was written", .workspace.as_ref().map_or("the platform", |w| w.as_str()))]
    SetForged {
        /// Whose rows; absent for the set of all workspaces.
        workspace: Option<WorkspaceId>,
    },
    /// An audit chain has a gap, an altered event or a missing end.
    #[error("the audit chain of {} breaks at event {seq}", .workspace.as_ref().map_or("the platform", |w| w.as_str()))]
    ChainBroken {
        /// Whose chain; absent for the platform's.
        workspace: Option<WorkspaceId>,
        /// The first event that does not fit.
        seq: u64,
    },
    /// The commit failed in a way that does not say whether it happened, and re-reading could not tell either (I-3).
    #[error("the database did not say whether the change was made")]
    OutcomeUnknown,
    /// The database cannot be used now. Nothing was written.
    #[error("the database is unavailable: {0}")]
    Unavailable(Outage),
    /// The database file is damaged where it was read.
    #[error("the database is damaged")]
    Damaged,
    /// The transaction was ended before its commit: held open too long, or the store closed. Nothing was written.
    #[error("the transaction {name} was rolled back because it was held open too long or the store closed")]
    TransactionEnded {
        /// The name it was begun with.
        name: &'static str,
    },
    /// The store is closed. Nothing was written.
    #[error("the store is closed")]
    Closed,
    /// A number is larger than the database can hold (2⁶³ − 1). Nothing was written.
    #[error("{what} is too large to be stored")]
    TooLarge {
        /// Which number.
        what: &'static str,
    },
    /// The database refused a statement that this code should not have made.
    #[error("the database refused a statement: {detail}")]
    Refused {
        /// The database's message. For logs; it never leaves the service.
        detail: std::sync::Arc<str>,
    },
    /// The database is an older copy of itself, or another, put in its place while it was in use. Nothing is read from it or
    /// written to it any more.
    #[error("the database was replaced by an older copy or by another one")]
    RolledBack,
}

/// What keeps a database from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// Another program holds its lock.
    #[error("another program holds its lock")]
    Busy,
    /// No space left on its disk.
    #[error("its disk is full")]
    DiskFull,
    /// Reading, writing or syncing failed.
    #[error("its disk failed to read, write or sync")]
    Disk,
    /// The file became read-only.
    #[error("it is read-only")]
    ReadOnly,
    /// Out of memory.
    #[error("memory ran out")]
    Memory,
    /// A commit failed before and writing has not been proven to work again since.
    #[error("writing is suspended until a test commit succeeds")]
    WritesSuspended,
    /// The head outside of it cannot be written: nothing is acknowledged that it does not cover.
    #[error("the head outside of it cannot be written")]
    Head,
}

/// Which rule of the data a write would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The id is taken.
    #[error("the id is taken")]
    Exists,
    /// The id belonged to something deleted; it is never given out again, because ciphertexts bind it.
    #[error("the id belonged to something that was deleted")]
    Tombstone,
    /// There is no such workspace, or it was deleted.
    #[error("there is no such workspace")]
    NoWorkspace,
    /// There is no such app, or it or its workspace was deleted.
    #[error("there is no such app")]
    NoApp,
    /// There is no such data key of this app.
    #[error("there is no such data key")]
    NoDataKey,
    /// There is no such recorded key version.
    #[error("there is no such key version")]
    NoKeyVersion,
    /// The data key was wrapped under a configuration that has since moved on, or a configuration skips or repeats an epoch.
    #[error("the key configuration moved on: its wrap epoch is {present:?}")]
    WrapEpoch {
        /// The epoch in force; absent when there is no configuration.
        present: Option<u64>,
    },
    /// The life of the workspace's key changed since it was read: this decision was made from an older one.
    #[error("the key's life moved on: it has changed {present} times")]
    LifeMoved {
        /// How often it has changed; 0 when it is not there.
        present: u64,
    },
    /// A data key may not go from the state it is in to the one asked for (I-2).
    #[error("the data key {data_key} is {state:?}")]
    State {
        /// Which data key.
        data_key: DataKeyId,
        /// Its state.
        state: DataKeyState,
    },
    /// The data key and the wrapping handed over together do not belong together.
    #[error("the wrapping is not this data key's, or not of its protection")]
    NotItsWrapping,
    /// There is no such operation.
    #[error("there is no such operation")]
    NoOperation,
    /// The workspace has an operation that has not ended.
    #[error("another operation of the workspace is open")]
    OperationOpen,
    /// The operation has ended, and nothing more is done in its name.
    #[error("the operation has ended")]
    OperationEnded,
    /// The data key has another current wrapping than the one the new wrapping was made from.
    #[error("the data key has been wrapped anew meanwhile")]
    WrappingMoved,
    /// A known key version with another public key or at another place: an alarm, never an update.
    #[error("the key version is known with another public key")]
    KeySubstituted,
    /// What needs two people and a waiting period was asked for without (I-5).
    #[error("nobody approved it, or its waiting period is not over")]
    NotApproved,
    /// The certificate's name is another caller's.
    #[error("the certificate is another caller's")]
    CertificateTaken,
    /// The credentials of the workspace's registration changed since they were read.
    #[error("the credentials moved on: they have changed {present} times")]
    CredentialsMoved {
        /// How often they have; 0 when there are none.
        present: u64,
    },
    /// The key was proven another workspace's.
    #[error("the key was proven another workspace's")]
    KeyBound,
}

impl StoreError {
    /// The reason an outsider may see.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Conflict(conflict) => conflict.reason(),
            Self::RowForged { .. } | Self::SetForged { .. } | Self::ChainBroken { .. } => Reason::RowForged,
            Self::OutcomeUnknown
            | Self::Unavailable(_)
            | Self::Damaged
            | Self::TransactionEnded { .. }
            | Self::Closed => Reason::StoreUnavailable,
            Self::TooLarge { .. } | Self::Refused { .. } => Reason::Internal,
            Self::RolledBack => Reason::DatabaseRolledBack,
        }
    }

    /// Whether somebody wrote it who does not hold the platform root: the trouble of the workspace whose rows they are, and of no
    /// other.
    pub fn is_forged(&self) -> bool {
        match self {
            Self::RowForged { .. } | Self::SetForged { .. } | Self::ChainBroken { .. } => true,
            Self::Conflict(_)
            | Self::OutcomeUnknown
            | Self::Unavailable(_)
            | Self::Damaged
            | Self::TransactionEnded { .. }
            | Self::Closed
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::RolledBack => false,
        }
    }

    /// Who can fix it.
    pub fn owner(&self) -> Owner {
        self.reason().owner()
    }

    /// The next step, for the platform's operators.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Conflict(conflict) => conflict.reason().remedy(),
            Self::RowForged { .. } | Self::SetForged { .. } | Self::ChainBroken { .. } => {
                "stop the service, keep a copy of the database, compare with a backup and look for who wrote to it"
            }
            Self::OutcomeUnknown => "read again before doing it again; it may have happened",
            Self::Unavailable(Outage::Busy) => "end the other program that holds the database",
            Self::Unavailable(Outage::DiskFull) => "make room on the database's disk; the service goes on by itself",
            Self::Unavailable(Outage::Disk | Outage::WritesSuspended) => {
                "check the database's disk; the service goes on by itself once a commit succeeds"
            }
            Self::Unavailable(Outage::Head) => {
                "check state_dir: its disk, its space, and that its file `head` is in its place; the service goes on by itself"
            }
            Self::RolledBack => {
                "stop the service, put the newer database back, or accept the older one by two people: byokd store accept"
            }
            Self::Unavailable(Outage::ReadOnly) => "mount the database's disk writable",
            Self::Unavailable(Outage::Memory) => "give the service more memory",
            Self::Damaged => "stop the service, keep a copy of the damaged file and restore a backup",
            Self::TransactionEnded { .. } => "try again",
            Self::Closed => "try again after the restart",
            Self::TooLarge { .. } | Self::Refused { .. } => "keep the log line; it is a fault of this program",
        }
    }

    /// Whether the same call may succeed later without anybody changing the data. Nothing was written by this one.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::TransactionEnded { .. } | Self::Closed => true,
            Self::Conflict(_)
            | Self::RowForged { .. }
            | Self::SetForged { .. }
            | Self::ChainBroken { .. }
            | Self::OutcomeUnknown
            | Self::Damaged
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::RolledBack => false,
        }
    }
}

impl Conflict {
    /// The reason an outsider may see.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Exists | Self::Tombstone => Reason::AlreadyExists,
            Self::NoWorkspace | Self::NoApp | Self::NoDataKey | Self::NoKeyVersion | Self::NoOperation => {
                Reason::NotFound
            }
            Self::OperationOpen => Reason::OperationUnderWay,
            Self::OperationEnded => Reason::OperationEnded,
            // A race lost inside the service: the use case tries again, and an outsider who still sees it should as well.
            Self::WrapEpoch { .. } | Self::WrappingMoved => Reason::StoreUnavailable,
            Self::LifeMoved { .. } => Reason::ChangedMeanwhile,
            Self::State { .. } | Self::NotItsWrapping => Reason::Internal,
            Self::KeySubstituted => Reason::KeySubstituted,
            Self::NotApproved => Reason::ApprovalNotAwaited,
            Self::CertificateTaken => Reason::CallerCertificateTaken,
            Self::CredentialsMoved { .. } => Reason::ChangedMeanwhile,
            Self::KeyBound => Reason::KeyBoundElsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A conflict is never called an outage, and an unknown outcome is never called safe to repeat (I-3).
    #[test]
    fn only_what_surely_did_not_happen_may_be_repeated_blindly() {
        assert!(StoreError::Unavailable(Outage::DiskFull).is_transient());
        assert!(!StoreError::OutcomeUnknown.is_transient());
        assert!(!StoreError::from(Conflict::Exists).is_transient());
        assert_eq!(StoreError::from(Conflict::Tombstone).owner(), Owner::Caller);
        assert_eq!(StoreError::RowForged { table: "data_keys" }.reason(), Reason::RowForged);
    }

    /// What is one workspace's trouble is told as forged; that the whole database is another is everybody's.
    #[test]
    fn a_database_put_back_is_nobodys_own_trouble() {
        for forged in [
            StoreError::RowForged { table: "data_keys" },
            StoreError::SetForged { workspace: None },
            StoreError::ChainBroken { workspace: None, seq: 1 },
        ] {
            assert!(forged.is_forged(), "{forged}");
        }
        for other in [StoreError::RolledBack, StoreError::Damaged, StoreError::Closed, Conflict::NoWorkspace.into()] {
            assert!(!other.is_forged(), "{other}");
        }
    }
}
