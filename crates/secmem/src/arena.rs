//! How one run of locked pages is cut into slots, and which of them are free.

use std::ptr::NonNull;

use crate::kernel::{Backing, Pages};

/// Slots of one size. A key takes 32 bytes, a wrapped payload (65) the middle one, a key expanded for use the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotSize {
    Bytes32,
    Bytes128,
    Bytes256,
}

impl SlotSize {
    pub(crate) const LARGEST: usize = 256;
    /// What every slot's address is a multiple of.
    pub(crate) const ALIGNMENT: usize = 32;
    pub(crate) const ALL: [Self; 3] = [Self::Bytes32, Self::Bytes128, Self::Bytes256];

    /// The smallest slot that holds `n` bytes; `n` is at most [`Self::LARGEST`].
    pub(crate) const fn holding(n: usize) -> Self {
        match n {
            ..=32 => Self::Bytes32,
            33..=128 => Self::Bytes128,
            _ => Self::Bytes256,
        }
    }

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Bytes32 => 32,
            Self::Bytes128 => 128,
            Self::Bytes256 => Self::LARGEST,
        }
    }
}

/// The address of a slot. Whoever holds it is the slot's only owner: the pool's free list or one live secret.
pub(crate) struct SlotAddress(NonNull<u8>);

// SAFETY: an address of memory that is never unmapped and that only the holder touches; it may change threads.
unsafe impl Send for SlotAddress {}

impl SlotAddress {
    pub(crate) fn pointer(&self) -> NonNull<u8> {
        self.0
    }
}

/// The slots of one size: the free ones, and how many there are in all.
pub(crate) struct Slots {
    size: SlotSize,
    free: Vec<SlotAddress>,
    in_all: usize,
}

impl Slots {
    pub(crate) const fn none(size: SlotSize) -> Self {
        Self { size, free: Vec::new(), in_all: 0 }
    }

    pub(crate) fn take(&mut self) -> Option<SlotAddress> {
        self.free.pop()
    }

    pub(crate) fn give_back(&mut self, slot: SlotAddress) {
        // Room for every slot was reserved when its pages came, so that dropping a secret never allocates.
        debug_assert!(self.free.len() < self.free.capacity(), "more slots came back than were handed out");
        self.free.push(slot);
    }

    /// Cuts `pages` into free slots.
    pub(crate) fn add(&mut self, pages: &Pages) {
        let slots = pages.len / self.size.bytes();
        self.in_all += slots;
        self.free.reserve_exact(self.in_all - self.free.len());
        // The lowest address is handed out first.
        for index in (0..slots).rev() {
            // SAFETY: the offset lies inside the pages, which are never unmapped.
            self.free.push(SlotAddress(unsafe { pages.start.add(index * self.size.bytes()) }));
        }
    }

    /// How many secrets live in these slots.
    pub(crate) fn in_use(&self) -> usize {
        self.in_all - self.free.len()
    }

    pub(crate) fn in_all(&self) -> usize {
        self.in_all
    }

    pub(crate) fn size(&self) -> SlotSize {
        self.size
    }
}

/// Bytes mapped so far, by how they are kept.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mapped {
    pub(crate) memfd_secret: usize,
    pub(crate) mlock: usize,
    pub(crate) unlocked: usize,
}

impl Mapped {
    pub(crate) fn count(&mut self, backing: Backing, bytes: usize) {
        match backing {
            Backing::MemfdSecret => self.memfd_secret += bytes,
            Backing::Mlock => self.mlock += bytes,
            Backing::Unlocked => self.unlocked += bytes,
        }
    }

    /// The weakest way any page is kept: what may be promised about all of them. `None` before the first page.
    pub(crate) fn weakest(self) -> Option<Backing> {
        if self.unlocked > 0 {
            Some(Backing::Unlocked)
        } else if self.mlock > 0 {
            Some(Backing::Mlock)
        } else if self.memfd_secret > 0 {
            Some(Backing::MemfdSecret)
        } else {
            None
        }
    }

    pub(crate) fn locked(self) -> usize {
        self.memfd_secret + self.mlock
    }
}
