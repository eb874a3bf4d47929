//! Where a database stood when somebody was last told that something was written: kept outside of it, so that an older copy
//! put in its place shows.
//!
//! # The order
//!
//! A commit, then the head, then the answer. The commit's own row about the database names the head that stood outside when it
//! was made, so that of two that differ it can be told why:
//!
//! | head outside | database | meaning |
//! |---|---|---|
//! | as the database | – | in order |
//! | the one the database names | later | the process ended between a commit and its head: nobody was told; the head follows |
//! | later | earlier | an older copy of the database: what was acknowledged since is not in it |
//! | anything else | – | another history: a copy that was written to elsewhere, or an older head |
//!
//! The last two are refused, and nothing is changed. The digest covers the head that the row names, which has a digest of its
//! own: each head stands for the whole history that led to it.

mod file;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use domain::row_seal::{RowBytes, RowSeal};
use sha2::{Digest as _, Sha256};

pub(crate) use self::file::HeadFile;
use crate::row::Meta;

/// Where a database stands, in one line: two databases with the same head are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Raised when an older copy is accepted.
    pub epoch: u64,
    /// Of the last commit.
    pub revision: u64,
    /// SHA-256 over the row about the database: installation, schema, the sum over all workspaces' sets, and the head before.
    pub digest: [u8; 32],
}

/// The bytes a head takes in the row that names it.
pub(crate) const HEAD_LEN: usize = 48;

impl Head {
    pub(crate) fn of(meta_row: &RowBytes, meta: &Meta) -> Self {
        let digest = Sha256::digest(meta_row.as_bytes()).into();
        Self { epoch: meta.at.epoch, revision: meta.at.revision, digest }
    }

    /// What of two heads is the later one, whatever their digests.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.epoch, self.revision)
    }

    pub(crate) fn to_bytes(self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..8].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.revision.to_be_bytes());
        bytes[16..].copy_from_slice(&self.digest);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; HEAD_LEN]) -> Self {
        let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self { epoch: number(0), revision: number(8), digest: std::array::from_fn(|i| bytes[16 + i]) }
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoch {}, revision {}", self.epoch, self.revision)
    }
}

/// How a database stands to the head outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It is the one the head was taken of.
    There,
    /// It goes on from there: the process ended before the head followed.
    Ahead,
    /// It is an older copy.
    Behind,
    /// It has another history.
    Elsewhere,
}

impl Stands {
    /// `named`: the head that the database says stood outside when its last commit was made.
    pub(crate) fn of(database: &Head, named: Option<&Head>, outside: &Head) -> Self {
        if database == outside {
            Self::There
        } else if named == Some(outside) && database.place() > outside.place() {
            Self::Ahead
        } else if database.place() < outside.place() {
            Self::Behind
        } else {
            Self::Elsewhere
        }
    }
}

/// What belongs to a database and stands outside of it.
#[derive(Clone)]
pub struct Outside {
    /// The head's file. On another volume than the database, so that no one restore, snapshot or copy has both.
    pub head: PathBuf,
    /// Makes and checks the head's code, under a key that is no row's.
    pub seal: Arc<dyn RowSeal>,
    /// The check values of the platform root's keys: a database is ours under any of them.
    pub root_checks: Vec<[u8; 16]>,
}

/// Why the head outside of the database is not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum HeadRefused {
    /// There is none, and the database has had one.
    #[error("the database's head {path} is not there", path = path.display())]
    Missing {
        /// Where it belongs.
        path: PathBuf,
    },
    /// Not a plain file of our own that nobody else may write.
    #[error("the database's head {path} is not a plain file that only this user may write", path = path.display())]
    NotOurs {
        /// Where.
        path: PathBuf,
    },
    /// Cut short, altered, or made under no key of this platform root.
    #[error("the database's head {path} is damaged, or was made under another platform key", path = path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// Of another installation.
    #[error("the database's head {path} is of another installation", path = path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
    },
    /// It could not be read, written or synced.
    #[error("the database's head {path} could not be read or written: {cause}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
}

impl HeadRefused {
    /// The operator's next step.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Damaged { .. } => {
                "check state_dir and that its volume is mounted; if the head is lost for good, two people accept the database as it \
                 is: byokd store accept --config FILE shows what to type"
            }
            Self::NotOurs { .. } => {
                "give the file to the user the service runs as, mode 0600, and find out who changed it"
            }
            Self::Foreign { .. } => "point state_dir at the directory that belongs to this database",
            Self::Io { .. } => "check the disk of state_dir, its space and its permissions",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(epoch: u64, revision: u64, digest: u8) -> Head {
        Head { epoch, revision, digest: [digest; 32] }
    }

    /// I-6: a database counts only if it is where the head says, or was made from there.
    #[test]
    fn only_the_same_history_goes_on() {
        let outside = head(1, 10, 7);
        let cases = [
            (head(1, 10, 7), Some(head(1, 9, 6)), Stands::There),
            (head(1, 11, 8), Some(outside), Stands::Ahead),
            (head(1, 12, 9), Some(outside), Stands::Ahead),
            (head(2, 11, 8), Some(outside), Stands::Ahead),
            (head(1, 9, 6), Some(head(1, 8, 5)), Stands::Behind),
            (head(1, 9, 6), None, Stands::Behind),
            (head(1, 10, 8), Some(head(1, 9, 6)), Stands::Elsewhere),
            (head(1, 11, 8), Some(head(1, 10, 8)), Stands::Elsewhere),
            (head(1, 11, 8), None, Stands::Elsewhere),
            // A head that a forger made the row name would have to be this one, of which the row is the successor.
            (head(1, 9, 8), Some(outside), Stands::Behind),
            (head(1, 10, 8), Some(outside), Stands::Elsewhere),
        ];
        for (database, named, expected) in cases {
            assert_eq!(Stands::of(&database, named.as_ref(), &outside), expected, "{database:?}");
        }
        assert_eq!(Head::from_bytes(&outside.to_bytes()), outside);
    }
}
