//! What a function left on the stack, overwritten when it has returned.

use std::{hint::black_box, mem::MaybeUninit, ptr};

/// Deeper than anything reaches that is lent a secret here, as the memory drill sees it: a cipher moves its key schedule several
/// times. 4 KiB were seen to be too little in an optimised build, 8 KiB in one that is not.
const DEPTH: usize = 16 * 1024;

/// Runs `f`, then overwrites the part of the stack it ran on. What `f` returns is moved out and stays: let it be nothing secret.
///
/// A value's every move leaves the old bytes behind, and a cipher's key schedule is a value. Wiping each where it lies
/// misses the copies; overwriting what lies below this frame does not.
#[inline(never)]
pub(crate) fn and_wipe_the_stack<T>(f: impl FnOnce() -> T) -> T {
    /// Wipes also when `f` panics.
    struct Wipe;
    impl Drop for Wipe {
        fn drop(&mut self) {
            overwrite();
        }
    }
    let _wipe = Wipe;
    run(f)
}

/// A frame of its own, so that everything `f` touches lies below the caller's.
#[inline(never)]
fn run<T>(f: impl FnOnce() -> T) -> T {
    black_box(f())
}

#[inline(never)]
fn overwrite() {
    let mut area = MaybeUninit::<[u8; DEPTH]>::uninit();
    // SAFETY: the area is this frame's own, `DEPTH` bytes long.
    unsafe { ptr::write_bytes(area.as_mut_ptr().cast::<u8>(), 0, DEPTH) };
    black_box(&mut area);
}
