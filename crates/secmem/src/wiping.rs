//! An allocator that wipes what is given back: what a library copied into a buffer of its own does not outlive the buffer.

use std::{
    alloc::{GlobalAlloc, Layout},
    ptr,
    sync::atomic::{Ordering, compiler_fence},
};

/// Wipes every allocation before `A` gets it back. Set as a program's `#[global_allocator]`, it reaches the buffers that no
/// code of ours does: those of TLS, HTTP and the vault's client.
///
/// It does not reach the stack, memory that C libraries allocate by themselves, and buffers that are still in use.
pub struct Wiping<A>(pub A);

// SAFETY: every call goes to `A` with the layout it was made with; the wipe stays inside the allocation, which its owner has
// given up.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Wiping<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, allocation: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up an allocation of this layout.
        unsafe {
            wipe(allocation, layout.size());
            self.0.dealloc(allocation, layout);
        }
    }

    /// Always moves: `A` might move by itself, and would leave the old bytes behind.
    unsafe fn realloc(&self, allocation: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, fits; the two allocations do not overlap.
        unsafe {
            let moved = self.0.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(allocation, moved, layout.size().min(new_size));
                self.dealloc(allocation, layout);
            }
            moved
        }
    }
}

/// # Safety
/// `length` bytes from `start` on are the caller's to write.
#[inline]
unsafe fn wipe(start: *mut u8, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { ptr::write_bytes(start, 0, length) };
    // The pointer escapes to the allocator next, which the compiler cannot look into; the fence keeps the order all the same.
    compiler_fence(Ordering::SeqCst);
    std::hint::black_box(start);
}

#[cfg(test)]
mod tests {
    use std::{alloc::System, sync::Mutex};

    use super::*;

    /// Remembers what allocations held when they came back.
    struct Seeing(Mutex<Vec<Vec<u8>>>);

    // SAFETY: the system's allocator does it all.
    unsafe impl GlobalAlloc for Seeing {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promise.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, allocation: *mut u8, layout: Layout) {
            // SAFETY: the allocation is whole until it is given back below.
            unsafe {
                let held = std::slice::from_raw_parts(allocation, layout.size()).to_vec();
                self.0.lock().unwrap().push(held);
                System.dealloc(allocation, layout);
            }
        }
    }

    /// What comes back is zero, also where an allocation grew; what it held has moved along.
    #[test]
    fn what_is_given_back_is_wiped() {
        let allocator = Wiping(Seeing(Mutex::default()));
        let layout = Layout::from_size_align(48, 8).unwrap();
        // SAFETY: sizes and layouts are those of the calls before.
        unsafe {
            let first = allocator.alloc(layout);
            ptr::write_bytes(first, 0xa5, 48);
            let grown = allocator.realloc(first, layout, 4_096);
            assert_eq!(std::slice::from_raw_parts(grown, 48), [0xa5; 48]);
            allocator.dealloc(grown, Layout::from_size_align(4_096, 8).unwrap());
        }
        let held = allocator.0.0.into_inner().unwrap();
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [48, 4_096]);
        assert!(held.iter().flatten().all(|byte| *byte == 0));
    }
}
