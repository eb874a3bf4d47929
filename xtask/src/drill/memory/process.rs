//! The memory of another process, as root of this machine sees it: what is mapped, and what stands in it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

use super::kind::Kind;
use super::wanted::Finder;

/// Where in a process something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// Pages made for secrets. Those of `memfd_secret` cannot be read at all, so nothing is ever found there.
    Locked,
    Stack,
    Heap,
    File(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked => f.write_str("locked pages"),
            Self::Stack => f.write_str("stack"),
            Self::Heap => f.write_str("heap"),
            Self::File(name) => f.write_str(name),
        }
    }
}

/// One mapping.
pub(crate) struct Region {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) place: Place,
    readable: bool,
    secret_pages: bool,
}

/// Something that was found.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) kind: Kind,
    pub(crate) secret: usize,
    pub(crate) form: &'static str,
    pub(crate) place: Place,
    pub(crate) at: u64,
}

/// What one look found, and how much it saw.
#[derive(Default)]
pub(crate) struct Look {
    pub(crate) hits: Vec<Hit>,
    /// Bytes that were read.
    pub(crate) bytes: u64,
    /// Bytes of `memfd_secret`, which nobody can read.
    pub(crate) secret_pages: u64,
    /// Regions that should have been readable and were not.
    pub(crate) refused: Vec<String>,
}

/// The mappings of a process.
pub(crate) fn regions(pid: u32) -> Result<Vec<Region>> {
    let stacks = stack_pointers(pid);
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).context("the process's mappings cannot be read")?;
    let mut regions: Vec<Region> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if first == "VmFlags:" {
            // Locked and kept out of dumps: what `mlock` backs where there is no `memfd_secret`.
            let flags: Vec<&str> = words.collect();
            if let Some(region) = regions.last_mut().filter(|_| flags.contains(&"lo") && flags.contains(&"dd")) {
                region.place = Place::Locked;
            }
            continue;
        }
        let Some((from, to)) = first.split_once('-') else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else { continue };
        let mode = words.next().unwrap_or_default();
        let name = words.nth(3).unwrap_or_default();
        let secret_pages = name == "/secretmem";
        let place = if secret_pages {
            Place::Locked
        } else if name == "[stack]" || stacks.iter().any(|at| (from..to).contains(at)) {
            Place::Stack
        } else if name.is_empty() || name.starts_with("[heap") || name.starts_with("[anon") {
            Place::Heap
        } else {
            Place::File(name.rsplit('/').next().unwrap_or(name).to_owned())
        };
        // The kernel's own pages in every process hold nothing of it.
        let readable = mode.starts_with('r') && !matches!(name, "[vvar]" | "[vvar_vclock]" | "[vsyscall]");
        regions.push(Region { from, to, place, readable, secret_pages });
    }
    Ok(regions)
}

/// Where each thread's stack is now. A thread that runs at this moment is asked again.
fn stack_pointers(pid: u32) -> Vec<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let pointer = |thread: fs::DirEntry| {
        (0..20).find_map(|_| {
            let text = fs::read_to_string(thread.path().join("syscall")).ok()?;
            let pointer = text.split_ascii_whitespace().rev().nth(1)?.trim_start_matches("0x").to_owned();
            u64::from_str_radix(&pointer, 16).ok()
        })
    };
    threads.filter_map(pointer).collect()
}

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Looks through every readable page that is in memory.
pub(crate) fn look(pid: u32, finder: &Finder<'_>) -> Result<Look> {
    let memory = File::open(format!("/proc/{pid}/mem")).context("the process's memory cannot be opened: not root?")?;
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).ok();
    let page = rustix::param::page_size() as u64;
    let mut look = Look::default();
    let mut buffer = vec![0; PIECE + finder.longest];
    for region in regions(pid)?.iter().filter(|region| region.readable) {
        if region.secret_pages {
            look.secret_pages += region.to - region.from;
        }
        let (mut read, mut refused) = (0, false);
        for (from, to) in present(pagemap.as_ref(), region, page) {
            let mut at = from;
            while at < to {
                let want = usize::try_from(to - at)?.min(buffer.len());
                let Ok(got) = memory.read_at(&mut buffer[..want], at) else {
                    refused = true;
                    break;
                };
                if got == 0 {
                    break;
                }
                finder.find(&buffer[..got], |offset, needle| {
                    let place = region.place.clone();
                    let (kind, secret, form) = (needle.kind, needle.secret, needle.form);
                    look.hits.push(Hit { kind, secret, form, place, at: at + offset as u64 });
                });
                read += got as u64;
                // What lies across two pieces is found in the second.
                at += if got == want && at + (got as u64) < to { (got - finder.longest) as u64 } else { got as u64 };
            }
        }
        look.bytes += read;
        if refused && !region.secret_pages {
            look.refused.push(format!("{:x}-{:x} ({})", region.from, region.to, region.place));
        }
    }
    tidy(&mut look.hits);
    Ok(look)
}

/// Each hit once, though two pieces may share it.
pub(crate) fn tidy(hits: &mut Vec<Hit>) {
    hits.sort_by_key(|hit| (hit.at, hit.secret, hit.form));
    hits.dedup_by_key(|hit| (hit.at, hit.secret, hit.form));
}

/// The runs of pages of a region that are in memory or in the swap; all of it where the kernel does not say.
fn present(pagemap: Option<&File>, region: &Region, page: u64) -> Vec<(u64, u64)> {
    let whole = vec![(region.from, region.to)];
    let Some(pagemap) = pagemap else { return whole };
    let Ok(pages) = usize::try_from((region.to - region.from) / page) else { return whole };
    let mut entries = vec![0; pages * 8];
    if pagemap.read_exact_at(&mut entries, region.from / page * 8).is_err() {
        return whole;
    }
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (number, entry) in entries.chunks_exact(8).enumerate() {
        // Bit 63: in memory. Bit 62: in the swap.
        if entry[7] & 0xc0 == 0 {
            continue;
        }
        let from = region.from + number as u64 * page;
        match runs.last_mut() {
            Some((_, to)) if *to == from => *to += page,
            Some(_) | None => runs.push((from, from + page)),
        }
    }
    runs
}
