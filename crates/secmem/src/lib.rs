//! Locked, wiped, undumpable memory for keys: where a secret lives while the process may use it.
//!
//! A plain value that is wiped on drop still leaks: every move leaves the old bytes behind on the stack. A [`Secret`] is
//! therefore written *in place*, in a slot of a page that the kernel keeps out of swap, out of core dumps and, where it
//! offers `memfd_secret`, out of reach of `/proc/PID/mem` even for root. Moving a `Secret` moves a pointer.
//!
//! | what | how |
//! |---|---|
//! | swap | `memfd_secret`, else `mlock` |
//! | other processes, root included | `memfd_secret` only: the pages leave the kernel's own map |
//! | core dumps | `PR_SET_DUMPABLE 0`, `RLIMIT_CORE 0`, `MADV_DONTDUMP` |
//! | a forked child | `MADV_DONTFORK`: the child has no such page and faults on a use. Not `MADV_WIPEONFORK`: a child that quietly sealed under an all-zero key would be worse |
//! | reading past the end | an inaccessible page before and after each arena |
//! | copies on the stack | what a secret was lent to is overwritten there when it returns |
//! | copies in freed buffers | [`Wiping`], as a program's global allocator |
//! | reuse | a slot is wiped when its secret is dropped, also when filling it failed or panicked |
//!
//! Both ways of locking count against `RLIMIT_MEMLOCK`, 8 MiB for an ordinary user: room for about 30,000 keys that are
//! expanded for use (256 bytes). A service that holds more needs `LimitMEMLOCK=` in its unit (or `CAP_IPC_LOCK`).
//!
//! This is the one crate of the workspace that may use `unsafe`; nothing here parses, logs or talks.

mod arena;
mod harden;
mod kernel;
mod locked;
mod pool;
mod secret;
mod stack;
mod wiping;

pub use harden::{HardenError, MemoryLock, Report, harden, report};
pub use kernel::Backing;
pub use locked::Locked;
pub use pool::OutOfLockedMemory;
pub use secret::Secret;
pub use wiping::Wiping;
