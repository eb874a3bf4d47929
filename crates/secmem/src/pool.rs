//! Where slots come from and go back to: grows by locked pages, wipes on return, refuses to weaken its policy.

use std::{
    io,
    ptr::NonNull,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::io::Errno;
use zeroize::Zeroize;

use crate::{
    arena::{Mapped, SlotAddress, SlotSize, Slots},
    kernel::{Backing, Kernel, Pages, locked_limit, page_size},
};

/// The first pages of a slot size; each further run doubles, so that a million keys need few mappings.
const FIRST_BYTES: usize = 16 * 1024;
const LARGEST_BYTES: usize = 1024 * 1024;

/// No locked page is left for another secret, and the policy forbids an unlocked one.
#[derive(Debug, thiserror::Error)]
#[error(
    "no locked memory is left for another secret: {locked} bytes are locked and the limit is {}",
    limit.map_or("not what stopped it".to_owned(), |bytes| format!("{bytes} bytes"))
)]
pub struct OutOfLockedMemory {
    /// Bytes locked for secrets so far.
    pub locked: usize,
    /// `RLIMIT_MEMLOCK` in bytes; `None` when this process is not held to one.
    pub limit: Option<u64>,
    /// What the kernel answered last.
    #[source]
    pub cause: io::Error,
}

impl OutOfLockedMemory {
    /// The next step, for the operator.
    pub fn remedy(&self) -> &'static str {
        crate::harden::RAISE_THE_LIMIT
    }
}

/// Neither way of locking worked.
pub(crate) struct NeitherLocks {
    pub(crate) memfd_secret: Errno,
    pub(crate) mlock: Errno,
}

/// Why a slot size did not grow.
pub(crate) enum NoPages {
    NeitherLocks(NeitherLocks),
    NoMemory(Errno),
}

pub(crate) struct Pool {
    kernel: Kernel,
    state: Mutex<State>,
    /// The seeded bug: a pool that forgets to wipe.
    #[cfg(test)]
    pub(crate) forgets_to_wipe: bool,
}

struct State {
    locked_only: bool,
    small: Slots,
    large: Slots,
    largest: Slots,
    mapped: Mapped,
}

/// The process's pool.
pub(crate) static POOL: Pool = Pool::new(Kernel::real());

impl Pool {
    pub(crate) const fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            state: Mutex::new(State {
                locked_only: false,
                small: Slots::none(SlotSize::Bytes32),
                large: Slots::none(SlotSize::Bytes128),
                largest: Slots::none(SlotSize::Bytes256),
                mapped: Mapped { memfd_secret: 0, mlock: 0, unlocked: 0 },
            }),
            #[cfg(test)]
            forgets_to_wipe: false,
        }
    }

    /// A zeroed slot that holds `n` bytes (at most 256).
    pub(crate) fn take(&'static self, n: usize) -> Result<Slot, OutOfLockedMemory> {
        let size = SlotSize::holding(n);
        let mut state = self.lock();
        let address = match state.slots(size).take() {
            Some(address) => address,
            None => {
                self.grow(&mut state, size).map_err(|no_pages| OutOfLockedMemory {
                    locked: state.mapped.locked(),
                    limit: locked_limit(),
                    cause: match no_pages {
                        NoPages::NeitherLocks(NeitherLocks { mlock, .. }) => mlock.into(),
                        NoPages::NoMemory(errno) => errno.into(),
                    },
                })?;
                state.slots(size).take().expect("pages were just added, and one page holds many slots")
            }
        };
        Ok(Slot { address: Some(address), size, pool: self })
    }

    /// From now on only locked pages are handed out. Never taken back: the strictest policy asked for stands.
    pub(crate) fn lock_only(&self) {
        self.lock().locked_only = true;
    }

    /// Maps the first pages now, so that a machine that cannot lock says so at start and not at the first key.
    pub(crate) fn prime(&self) -> Result<(), NoPages> {
        let mut state = self.lock();
        for size in SlotSize::ALL {
            if state.slots(size).in_all() == 0 {
                self.grow(&mut state, size)?;
            }
        }
        Ok(())
    }

    pub(crate) fn mapped(&self) -> Mapped {
        self.lock().mapped
    }

    /// How many secrets are alive.
    pub(crate) fn in_use(&self) -> usize {
        let state = self.lock();
        state.small.in_use() + state.large.in_use() + state.largest.in_use()
    }

    /// Adds pages for one slot size: as many as it has, halved while the kernel refuses, so that the limit is used to
    /// its last page.
    fn grow(&self, state: &mut State, size: SlotSize) -> Result<(), NoPages> {
        let slots = state.slots(size);
        let wanted = (slots.in_all() * slots.size().bytes()).clamp(FIRST_BYTES, LARGEST_BYTES).max(page_size());
        let (pages, backing) = match self.map_locked(wanted) {
            Ok(mapped) => mapped,
            Err(refused) if state.locked_only => return Err(NoPages::NeitherLocks(refused)),
            Err(_) => ((self.kernel.unlocked)(wanted).map_err(NoPages::NoMemory)?, Backing::Unlocked),
        };
        state.mapped.count(backing, pages.len);
        state.slots(size).add(&pages);
        Ok(())
    }

    fn map_locked(&self, wanted: usize) -> Result<(Pages, Backing), NeitherLocks> {
        let mut bytes = wanted;
        loop {
            let memfd_secret = match (self.kernel.memfd_secret)(bytes) {
                Ok(pages) => return Ok((pages, Backing::MemfdSecret)),
                Err(errno) => errno,
            };
            let mlock = match (self.kernel.mlock)(bytes) {
                Ok(pages) => return Ok((pages, Backing::Mlock)),
                Err(errno) => errno,
            };
            if bytes <= page_size() {
                return Err(NeitherLocks { memfd_secret, mlock });
            }
            bytes = (bytes / 2).max(page_size());
        }
    }

    fn give_back(&self, address: SlotAddress, size: SlotSize) {
        #[cfg(test)]
        let wipes = !self.forgets_to_wipe;
        #[cfg(not(test))]
        let wipes = true;
        if wipes {
            // SAFETY: the caller owned the slot and gave it up; it is `size` bytes of mapped memory.
            let bytes = unsafe { std::slice::from_raw_parts_mut(address.pointer().as_ptr(), size.bytes()) };
            bytes.zeroize(); // volatile writes and a compiler fence: not optimised away
        }
        self.lock().slots(size).give_back(address);
    }

    /// A panic elsewhere leaves the lists whole (each change is one push or pop), so poisoning says nothing here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn slots(&mut self, size: SlotSize) -> &mut Slots {
        match size {
            SlotSize::Bytes32 => &mut self.small,
            SlotSize::Bytes128 => &mut self.large,
            SlotSize::Bytes256 => &mut self.largest,
        }
    }
}

/// One slot, owned. Not `Clone` and not `Copy`, made only by [`Pool::take`] and given back only by its own drop: there is
/// no way to write a second give-back.
pub(crate) struct Slot {
    /// Taken out by drop, and by nothing else.
    address: Option<SlotAddress>,
    size: SlotSize,
    pool: &'static Pool,
}

impl Slot {
    pub(crate) fn pointer(&self) -> NonNull<u8> {
        self.address.as_ref().expect("only drop takes the address").pointer()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(address) = self.address.take() {
            self.pool.give_back(address, self.size);
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
