//! What a process does once at its start so that its secrets stay in it, and what that achieved.

use std::{fmt, io};

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use crate::{
    kernel::{Backing, locked_limit},
    pool::{NeitherLocks, NoPages, POOL, Pool},
};

pub(crate) const RAISE_THE_LIMIT: &str = "raise the limit on locked memory (`LimitMEMLOCK=` in the systemd unit, `ulimit -l` in a shell, or grant \
     CAP_IPC_LOCK); pages of memfd_secret count against it like those of mlock. Or accept pages that may be swapped: \
     memory_lock = \"preferred\"";

/// What to do where memory cannot be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLock {
    /// Refuse to start, and refuse a key for which no locked page is left.
    Required,
    /// Go on with pages that may be swapped, and say so.
    Preferred,
}

/// What was achieved. Its `Display` is the line for the log at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The weakest way any page with secrets is kept.
    pub backing: Backing,
    /// Whether the kernel will refuse to write this process to a core file.
    pub core_dumps_off: bool,
    /// Bytes of locked pages for secrets.
    pub locked: usize,
    /// Bytes of pages for secrets that may be swapped; 0 under [`MemoryLock::Required`].
    pub unlocked: usize,
    /// The bytes this process may lock; `None` when nothing limits it.
    pub limit: Option<u64>,
    /// How many secrets are alive now.
    pub secrets: usize,
}

/// Why the process may not start under the policy asked for.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// Neither way of locking works here.
    #[error(
        "memory for keys cannot be locked (memfd_secret: {memfd_secret}; mlock: {mlock}; limit: {})",
        limit.map_or("none".to_owned(), |bytes| format!("{bytes} bytes"))
    )]
    CannotLock {
        /// What `memfd_secret` answered.
        memfd_secret: io::Error,
        /// What `mlock` answered.
        mlock: io::Error,
        /// `RLIMIT_MEMLOCK` in bytes; `None` when this process is not held to one.
        limit: Option<u64>,
    },
    /// Secrets already live in pages that are not locked: `harden` came too late.
    #[error("{bytes} bytes of pages for keys were handed out unlocked before locking was required")]
    TooLate {
        /// Bytes of unlocked pages.
        bytes: usize,
    },
    /// The kernel gave no pages at all.
    #[error("no memory for keys")]
    NoMemory(#[source] io::Error),
    /// Core dumps could not be switched off.
    #[error("core dumps cannot be switched off")]
    CoreDumps(#[source] io::Error),
}

impl HardenError {
    /// The next step, for the operator.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::CannotLock { .. } => RAISE_THE_LIMIT,
            Self::TooLate { .. } => "call harden before the first secret is made; this is a fault of the program",
            Self::NoMemory(_) => "give the process more memory, or raise its limit on address space (`ulimit -v`)",
            Self::CoreDumps(_) => "allow prctl(PR_SET_DUMPABLE) and setrlimit(RLIMIT_CORE) in the sandbox's filter",
        }
    }
}

/// Switches core dumps off and fixes how memory for secrets is kept. Call it once at the start, after any change of user
/// (which would make the process dumpable again) and before the first secret. Calling it again changes nothing; the
/// strictest policy ever asked for stands. A process that never calls it gets [`MemoryLock::Preferred`] and keeps its
/// core dumps.
///
/// A process that is not dumpable cannot be attached to by a debugger of the same user, and a non-root one no longer
/// opens its own `/proc/self/mem` and `/proc/self/fd`.
///
/// # Errors
/// [`HardenError`]; under [`MemoryLock::Preferred`] never because locking failed.
pub fn harden(policy: MemoryLock) -> Result<Report, HardenError> {
    disable_core_dumps().map_err(HardenError::CoreDumps)?;
    settle(&POOL, policy)?;
    Ok(report_of(&POOL))
}

/// What holds now: pages may have been added since the start, and under [`MemoryLock::Preferred`] unlocked ones.
pub fn report() -> Report {
    report_of(&POOL)
}

pub(crate) fn settle(pool: &'static Pool, policy: MemoryLock) -> Result<(), HardenError> {
    if policy == MemoryLock::Required {
        pool.lock_only();
    }
    pool.prime().map_err(|no_pages| match no_pages {
        NoPages::NeitherLocks(NeitherLocks { memfd_secret, mlock }) => {
            HardenError::CannotLock { memfd_secret: memfd_secret.into(), mlock: mlock.into(), limit: locked_limit() }
        }
        NoPages::NoMemory(errno) => HardenError::NoMemory(errno.into()),
    })?;
    match (policy, pool.mapped().unlocked) {
        (MemoryLock::Preferred, _) | (MemoryLock::Required, 0) => Ok(()),
        (MemoryLock::Required, bytes) => Err(HardenError::TooLate { bytes }),
    }
}

pub(crate) fn report_of(pool: &Pool) -> Report {
    let mapped = pool.mapped();
    Report {
        backing: mapped.weakest().unwrap_or(Backing::Unlocked),
        core_dumps_off: core_dumps_are_off(),
        locked: mapped.locked(),
        unlocked: mapped.unlocked,
        limit: locked_limit(),
        secrets: pool.in_use(),
    }
}

fn disable_core_dumps() -> Result<(), io::Error> {
    // The limit alone is not enough: a core_pattern that pipes to a program ignores it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

fn core_dumps_are_off() -> bool {
    let not_dumpable =
        rustix::process::dumpable_behavior().is_ok_and(|behavior| behavior == DumpableBehavior::NotDumpable);
    not_dumpable && getrlimit(Resource::Core).current == Some(0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory for keys: {}, {} KiB locked", self.backing, self.locked / 1024)?;
        match self.limit {
            Some(limit) => write!(f, " of at most {} KiB", limit / 1024)?,
            None => f.write_str(" (no limit)")?,
        }
        if self.unlocked > 0 {
            write!(f, ", {} KiB that may be swapped", self.unlocked / 1024)?;
        }
        write!(f, ", core dumps {}", if self.core_dumps_off { "off" } else { "on" })
    }
}
