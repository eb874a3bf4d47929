//! Which calls of the kernel keep pages secret, as values: a test can offer a kernel that has none of them.

use std::{ffi::c_void, fmt, ptr::NonNull};

use rustix::{
    fd::{FromRawFd, OwnedFd},
    io::Errno,
    mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, mprotect, munmap},
    process::{Resource, getrlimit},
    thread::{CapabilitySet, capabilities},
};

/// How the pages that hold secrets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// `memfd_secret(2)`: never swapped, in no dump, and not readable through `/proc` or `ptrace`, even by root.
    MemfdSecret,
    /// `mlock(2)`: never swapped, in no dump; a debugger running as root can read them.
    Mlock,
    /// Ordinary pages, in no dump, but they may reach the swap device.
    Unlocked,
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MemfdSecret => "memfd_secret",
            Self::Mlock => "mlock",
            Self::Unlocked => "not locked",
        })
    }
}

/// Pages with one inaccessible page before and one after them. Never unmapped: the process keeps them for its life.
pub(crate) struct Pages {
    /// The first usable byte; page-aligned.
    pub(crate) start: NonNull<u8>,
    /// How many bytes are usable; whole pages.
    pub(crate) len: usize,
}

/// A way to get `len` usable, zeroed bytes between two guard pages. `len` is whole pages.
pub(crate) type MapPages = fn(len: usize) -> Result<Pages, Errno>;

/// What this kernel offers.
pub(crate) struct Kernel {
    pub(crate) memfd_secret: MapPages,
    pub(crate) mlock: MapPages,
    pub(crate) unlocked: MapPages,
}

impl Kernel {
    /// The kernel underneath.
    pub(crate) const fn real() -> Self {
        Self { memfd_secret: map_memfd_secret, mlock: map_mlock, unlocked: map_unlocked }
    }
}

/// The bytes this process may lock; `None` when nothing limits it.
pub(crate) fn locked_limit() -> Option<u64> {
    let exempt = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    if exempt { None } else { getrlimit(Resource::Memlock).current }
}

pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

fn map_memfd_secret(len: usize) -> Result<Pages, Errno> {
    let page = page_size();
    let whole = len + 2 * page;
    // Neither libc nor rustix wraps this call. The descriptor is closed as soon as it is mapped: nobody finds it later.
    // SAFETY: a system call that takes only flags.
    let descriptor = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let Ok(descriptor @ 0..) = i32::try_from(descriptor) else {
        return Err(last_error());
    };
    // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
    let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
    rustix::fs::ftruncate(&file, whole as u64)?;
    // The guards are part of the same mapping: a reservation with the file mapped over its middle would leave a hole in
    // the address space, open to another thread's mmap, whenever the limit refuses the second call.
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let base =
        unsafe { mmap(std::ptr::null_mut(), whole, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0)? };
    let finish = || {
        // SAFETY: `base` is ours, `whole` bytes long, and no reference into it exists yet.
        unsafe {
            mprotect(base, page, MprotectFlags::empty())?;
            mprotect(base.byte_add(page + len), page, MprotectFlags::empty())?;
            let start = base.byte_add(page);
            keep_out_of_dumps_and_forks(start, len)?;
            // Pages are made at first touch; better here than in the middle of an unwrap.
            for offset in (0..len).step_by(page) {
                start.byte_add(offset).cast::<u8>().write_volatile(0);
            }
            Ok(start)
        }
    };
    pages_or_unmap(finish(), base, whole, len)
}

fn map_mlock(len: usize) -> Result<Pages, Errno> {
    map_anonymous(len, true)
}

fn map_unlocked(len: usize) -> Result<Pages, Errno> {
    map_anonymous(len, false)
}

fn map_anonymous(len: usize, locked: bool) -> Result<Pages, Errno> {
    let page = page_size();
    let whole = len + 2 * page;
    // SAFETY: a fresh, inaccessible mapping at an address of the kernel's choice.
    let base = unsafe { mmap_anonymous(std::ptr::null_mut(), whole, ProtFlags::empty(), MapFlags::PRIVATE)? };
    let finish = || {
        // SAFETY: `base` is ours, `whole` bytes long, and no reference into it exists yet.
        unsafe {
            let start = base.byte_add(page);
            mprotect(start, len, MprotectFlags::READ | MprotectFlags::WRITE)?;
            keep_out_of_dumps_and_forks(start, len)?;
            if locked {
                mlock(start, len)?;
            }
            Ok(start)
        }
    };
    pages_or_unmap(finish(), base, whole, len)
}

/// # Safety
/// `start` and `len` name whole pages of a mapping that is ours.
unsafe fn keep_out_of_dumps_and_forks(start: *mut c_void, len: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise; neither advice changes what the pages hold in this process.
    unsafe {
        madvise(start, len, Advice::LinuxDontDump)?;
        madvise(start, len, Advice::LinuxDontFork)
    }
}

fn pages_or_unmap(
    start: Result<*mut c_void, Errno>,
    base: *mut c_void,
    whole: usize,
    len: usize,
) -> Result<Pages, Errno> {
    match start {
        Ok(start) => {
            let start = NonNull::new(start.cast()).expect("one page after the start of a mapping is not null");
            Ok(Pages { start, len })
        }
        Err(error) => {
            // SAFETY: the mapping is ours and nothing points into it; the whole of it is still one reservation.
            let unmapped = unsafe { munmap(base, whole) };
            debug_assert!(unmapped.is_ok(), "a mapping just made can be unmapped");
            Err(error)
        }
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)
}
