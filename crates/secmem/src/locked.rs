//! A value that is more than bytes, such as an expanded key, and just as secret.

use std::marker::PhantomData;

use crate::{
    arena::SlotSize,
    pool::{OutOfLockedMemory, POOL, Pool, Slot},
    stack::and_wipe_the_stack,
};

/// A `T` (1 to 256 bytes) in a slot of a locked page; dropped and then wiped, every byte of it, when this is dropped.
///
/// Deliberately absent, as in [`Secret`](crate::Secret): `Clone`, `Debug`, `PartialEq`, `Deref`.
pub struct Locked<T> {
    slot: Slot,
    holds: PhantomData<T>,
}

// SAFETY: this is the only owner of its slot, and owns the `T` in it.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: a shared reference gives out only `&T`.
unsafe impl<T: Sync> Sync for Locked<T> {}

/// A cache line.
const LINE: usize = 64;

impl<T> Locked<T> {
    const FITS: () = assert!(
        size_of::<T>() >= 1 && size_of::<T>() <= SlotSize::LARGEST && align_of::<T>() <= SlotSize::ALIGNMENT,
        "a locked value has 1 to 256 bytes and no wider alignment than its slot"
    );

    /// What `make` returns, moved into its slot; the stack it passed is overwritten.
    ///
    /// # Errors
    /// [`OutOfLockedMemory`] when the policy asks for locked pages and none is to be had; `make` is not called then.
    pub fn new(make: impl FnOnce() -> T) -> Result<Self, OutOfLockedMemory> {
        Self::new_in(&POOL, make)
    }

    /// Lends the value to `f` for the time of the call.
    #[inline]
    pub fn expose<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: the slot is ours, large and aligned enough (`FITS`), and holds a `T` from `new_in` until it is dropped.
        f(unsafe { self.slot.pointer().cast::<T>().as_ref() })
    }

    /// Reads a byte of each cache line and gives none out: a measurement that only finds a value pays with this for
    /// what its use would have to fetch.
    pub fn touch(&self) {
        for offset in (0..size_of::<T>()).step_by(LINE) {
            // SAFETY: inside the slot, which is mapped and initialised to its end.
            std::hint::black_box(unsafe { self.slot.pointer().byte_add(offset).read_volatile() });
        }
    }

    pub(crate) fn new_in(pool: &'static Pool, make: impl FnOnce() -> T) -> Result<Self, OutOfLockedMemory> {
        let () = Self::FITS;
        let slot = pool.take(size_of::<T>())?;
        // From here on the slot is wiped whatever happens: a panic in `make` drops it.
        // SAFETY: as in `expose`, and nobody else knows the slot yet.
        and_wipe_the_stack(|| unsafe { slot.pointer().cast::<T>().write(make()) });
        Ok(Self { slot, holds: PhantomData })
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: written in `new_in` and dropped here only. The slot is dropped, and wiped, after this.
        unsafe { self.slot.pointer().cast::<T>().drop_in_place() };
    }
}
