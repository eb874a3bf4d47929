//! A secret of fixed length that is never copied, printed, compared or left behind.

use crate::{
    arena::SlotSize,
    pool::{OutOfLockedMemory, POOL, Pool, Slot},
    stack::and_wipe_the_stack,
};

/// `N` bytes (1 to 256) in a slot of a locked page, wiped on drop.
///
/// Deliberately absent: `Clone`, `Debug`, `PartialEq`, `Deref`, serialisation. Every [`expose`](Self::expose) is a line a
/// reviewer can grep for.
pub struct Secret<const N: usize> {
    slot: Slot,
}

// SAFETY: the secret is the only owner of its slot; a shared reference gives out only `&[u8; N]`.
unsafe impl<const N: usize> Send for Secret<N> {}
// SAFETY: as above; nothing writes to the slot after it was filled and before it is dropped.
unsafe impl<const N: usize> Sync for Secret<N> {}

impl<const N: usize> Secret<N> {
    const FITS: () = assert!(N >= 1 && N <= SlotSize::LARGEST, "a secret has 1 to 256 bytes");

    /// A secret that `f` writes in place; the bytes are zero when it gets them. The value never stands anywhere else.
    ///
    /// # Errors
    /// [`OutOfLockedMemory`] when the policy asks for locked pages and none is to be had.
    pub fn fill(f: impl FnOnce(&mut [u8; N])) -> Result<Self, OutOfLockedMemory> {
        Self::fill_in(&POOL, f)
    }

    /// As [`fill`](Self::fill), for a writer that may fail; what it wrote is wiped then.
    ///
    /// # Errors
    /// The outer one as in [`fill`](Self::fill); the inner one is the writer's own.
    pub fn try_fill<E>(f: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Result<Self, E>, OutOfLockedMemory> {
        Self::try_fill_in(&POOL, f)
    }

    /// Lends the bytes to `f` for the time of the call.
    ///
    /// What `f` copies out is no longer protected: pass a reference on, and return only what is not secret. What it leaves on the
    /// stack is overwritten, which takes some 200 ns.
    pub fn expose<T>(&self, f: impl FnOnce(&[u8; N]) -> T) -> T {
        // SAFETY: the slot holds at least N initialised bytes (`FITS`, zeroed pages), is ours, and is only read.
        let bytes = unsafe { self.slot.pointer().cast::<[u8; N]>().as_ref() };
        and_wipe_the_stack(|| f(bytes))
    }

    pub(crate) fn fill_in(pool: &'static Pool, f: impl FnOnce(&mut [u8; N])) -> Result<Self, OutOfLockedMemory> {
        let filled = Self::try_fill_in(pool, |bytes| {
            f(bytes);
            Ok::<(), std::convert::Infallible>(())
        })?;
        let Ok(secret) = filled;
        Ok(secret)
    }

    pub(crate) fn try_fill_in<E>(
        pool: &'static Pool,
        f: impl FnOnce(&mut [u8; N]) -> Result<(), E>,
    ) -> Result<Result<Self, E>, OutOfLockedMemory> {
        let () = Self::FITS;
        // From here on the slot is wiped whatever happens: an error or a panic in `f` drops it.
        let secret = Self { slot: pool.take(N)? };
        // SAFETY: as in `expose`, and nobody else knows the slot yet.
        let bytes = unsafe { secret.slot.pointer().cast::<[u8; N]>().as_mut() };
        let written = and_wipe_the_stack(|| f(bytes));
        Ok(written.map(|()| secret))
    }
}
