use std::collections::HashSet;

use rustix::io::Errno;

use super::*;
use crate::{
    harden::{HardenError, MemoryLock, report_of, settle},
    secret::Secret,
};

const WITHOUT_MEMFD_SECRET: fn(usize) -> Result<Pages, Errno> = |_| Err(Errno::NOSYS);
const WITHOUT_MLOCK: fn(usize) -> Result<Pages, Errno> = |_| Err(Errno::PERM);

/// A pool of its own, kept for the life of the test process like the real one.
fn pool(change: impl FnOnce(&mut Kernel)) -> &'static Pool {
    let mut kernel = Kernel::real();
    change(&mut kernel);
    Box::leak(Box::new(Pool::new(kernel)))
}

fn address_of<const N: usize>(secret: &Secret<N>) -> usize {
    secret.expose(|bytes| bytes.as_ptr().addr())
}

/// The test's own view of a slot nobody owns now: `pool` never unmaps it and this thread is the pool's only user.
fn look_at_free_slot(pool: &'static Pool, address: usize, len: usize) -> Vec<u8> {
    assert_eq!(pool.in_use(), 0, "only a pool without live secrets may be looked into");
    // SAFETY: mapped for the life of the process, initialised, and no secret lives there.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(address), len) }.to_vec()
}

/// Makes a secret of 0xA5, drops it and returns what is left in its slot.
fn left_after_drop(pool: &'static Pool) -> Vec<u8> {
    let secret = Secret::<65>::fill_in(pool, |bytes| bytes.fill(0xA5)).unwrap();
    let address = secret.expose(|bytes| bytes.as_ptr().expose_provenance());
    assert!(secret.expose(|bytes| bytes.iter().all(|byte| *byte == 0xA5)));
    drop(secret);
    look_at_free_slot(pool, address, 128)
}

#[test]
fn a_dropped_secret_leaves_zeros() {
    for kernel in [pool(|_| {}), pool(|kernel| kernel.memfd_secret = WITHOUT_MEMFD_SECRET)] {
        assert_eq!(left_after_drop(kernel), [0; 128]);
    }
}

/// The check above sees a pool that forgets to wipe.
#[test]
fn a_pool_that_does_not_wipe_is_found_out() {
    let careless = Pool { forgets_to_wipe: true, ..Pool::new(Kernel::real()) };
    assert_ne!(left_after_drop(Box::leak(Box::new(careless))), [0; 128]);
}

/// A value that is more than bytes is dropped like any other, and then nothing of it is left; a careless pool is found out.
#[test]
fn a_dropped_value_leaves_zeros() {
    use crate::locked::Locked;

    struct Counted(std::sync::Arc<()>, [u8; 240]);
    let left = |pool: &'static Pool| {
        let count = std::sync::Arc::new(());
        let value = Locked::new_in(pool, || Counted(count.clone(), [0xA5; 240])).unwrap();
        let address = value.expose(|value| std::ptr::from_ref(value).expose_provenance());
        assert!(
            value.expose(|Counted(count, bytes)| std::sync::Arc::strong_count(count) == 2 && *bytes == [0xA5; 240])
        );
        value.touch();
        assert_eq!(address % 256, 0, "a slot begins where its size divides the address");
        drop(value);
        assert_eq!(std::sync::Arc::strong_count(&count), 1);
        look_at_free_slot(pool, address, 256)
    };
    assert_eq!(left(pool(|_| {})), [0; 256]);
    let careless = Pool { forgets_to_wipe: true, ..Pool::new(Kernel::real()) };
    assert_ne!(left(Box::leak(Box::new(careless))), [0; 256]);

    let pool = pool(|_| {});
    assert!(std::panic::catch_unwind(|| Locked::<[u8; 256]>::new_in(pool, || panic!())).is_err());
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn what_a_failed_or_panicking_writer_wrote_is_wiped() {
    let pool = pool(|_| {});
    let mut seen = 0;
    let refused = Secret::<32>::try_fill_in(pool, |bytes| {
        bytes.fill(0xA5);
        seen = bytes.as_ptr().expose_provenance();
        Err("the vault's answer is too short")
    });
    assert!(matches!(refused, Ok(Err("the vault's answer is too short"))));
    assert_eq!(look_at_free_slot(pool, seen, 32), [0; 32]);

    let panicked = std::panic::catch_unwind(|| {
        Secret::<32>::fill_in(pool, |bytes| {
            bytes.fill(0xA5);
            std::panic::panic_any(bytes.as_ptr().expose_provenance());
        })
    });
    let seen = *panicked.map(drop).unwrap_err().downcast::<usize>().unwrap();
    assert_eq!(look_at_free_slot(pool, seen, 32), [0; 32]);
}

#[test]
fn a_writer_finds_zeros_also_in_a_slot_used_before() {
    let pool = pool(|_| {});
    let first = Secret::<32>::fill_in(pool, |bytes| bytes.fill(0xFF)).unwrap();
    let where_it_was = address_of(&first);
    drop(first);
    let second = Secret::<32>::fill_in(pool, |bytes| assert_eq!(*bytes, [0; 32])).unwrap();
    assert_eq!(address_of(&second), where_it_was, "the slot is used again");
}

#[test]
fn secrets_survive_the_making_and_dropping_of_their_neighbours() {
    let pool = pool(|_| {});
    let pattern = |index: usize| u8::try_from(index % 251).unwrap() ^ 0x5A;
    // Far more than the first pages hold, in both sizes.
    let mut small: Vec<Option<Secret<32>>> = Vec::new();
    let mut large: Vec<Option<Secret<128>>> = Vec::new();
    for index in 0..3_000 {
        small.push(Some(Secret::fill_in(pool, |bytes| bytes.fill(pattern(index))).unwrap()));
        large.push(Some(Secret::fill_in(pool, |bytes| bytes.fill(pattern(index + 7))).unwrap()));
    }
    small.iter_mut().skip(1).step_by(2).for_each(|secret| *secret = None);
    large.iter_mut().step_by(3).for_each(|secret| *secret = None);
    for (index, secret) in small.iter().enumerate() {
        if let Some(secret) = secret {
            assert!(secret.expose(|bytes| bytes.iter().all(|byte| *byte == pattern(index))));
        }
    }
    for (index, secret) in large.iter().enumerate() {
        if let Some(secret) = secret {
            assert!(secret.expose(|bytes| bytes.iter().all(|byte| *byte == pattern(index + 7))));
        }
    }
}

#[test]
fn no_two_live_secrets_share_a_byte() {
    let pool = pool(|_| {});
    let secrets: Vec<Secret<32>> = (0..2_000).map(|_| Secret::fill_in(pool, |_| {}).unwrap()).collect();
    let mut addresses: Vec<usize> = secrets.iter().map(address_of).collect();
    addresses.sort_unstable();
    assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] >= 32));
}

#[test]
fn dropped_slots_are_used_again_and_no_pages_are_added() {
    let pool = pool(|_| {});
    let first: HashSet<usize> = {
        let secrets: Vec<Secret<32>> = (0..512).map(|_| Secret::fill_in(pool, |_| {}).unwrap()).collect();
        secrets.iter().map(address_of).collect()
    };
    let locked = report_of(pool).locked;
    for _ in 0..20 {
        let secrets: Vec<Secret<32>> = (0..512).map(|_| Secret::fill_in(pool, |_| {}).unwrap()).collect();
        assert!(secrets.iter().all(|secret| first.contains(&address_of(secret))));
    }
    assert_eq!(report_of(pool).locked, locked);
    assert_eq!(pool.in_use(), 0);
}

/// Eight threads make, pass on and drop secrets; each finds its own bytes at the end.
#[test]
fn many_threads_keep_their_secrets_apart() {
    let pool = pool(|_| {});
    std::thread::scope(|scope| {
        let (to_reaper, reaper) = std::sync::mpsc::channel::<(u64, Secret<32>)>();
        for thread in 0..8_u64 {
            let to_reaper = to_reaper.clone();
            scope.spawn(move || {
                for round in 0..4_000_u64 {
                    let mark = thread << 32 | round;
                    let secret = Secret::<32>::fill_in(pool, |bytes| {
                        bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&mark.to_le_bytes()));
                    })
                    .unwrap();
                    if round % 3 == 0 {
                        to_reaper.send((mark, secret)).unwrap();
                    } else {
                        assert!(holds(&secret, mark));
                    }
                }
            });
        }
        drop(to_reaper);
        scope.spawn(move || reaper.iter().for_each(|(mark, secret)| assert!(holds(&secret, mark))));
    });
    assert_eq!(pool.in_use(), 0);
}

fn holds(secret: &Secret<32>, mark: u64) -> bool {
    secret.expose(|bytes| bytes.chunks_exact(8).all(|word| word == mark.to_le_bytes()))
}

#[test]
fn required_refuses_to_start_where_nothing_can_be_locked_and_says_what_to_do() {
    let pool = pool(|kernel| {
        kernel.memfd_secret = WITHOUT_MEMFD_SECRET;
        kernel.mlock = WITHOUT_MLOCK;
    });
    let refused = settle(pool, MemoryLock::Required).unwrap_err();
    assert!(matches!(refused, HardenError::CannotLock { .. }));
    let said = format!("{refused}; {}", refused.remedy());
    for part in ["memfd_secret", "mlock", "limit", "LimitMEMLOCK", "count against it", "preferred"] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    let no_slot = Secret::<32>::fill_in(pool, |_| {}).map(drop).unwrap_err();
    assert!(no_slot.remedy().contains("LimitMEMLOCK"));
}

#[test]
fn preferred_goes_on_without_locking_and_reports_it() {
    let pool = pool(|kernel| {
        kernel.memfd_secret = WITHOUT_MEMFD_SECRET;
        kernel.mlock = WITHOUT_MLOCK;
    });
    settle(pool, MemoryLock::Preferred).unwrap();
    let secret = Secret::<32>::fill_in(pool, |bytes| bytes.fill(1)).unwrap();
    assert!(secret.expose(|bytes| *bytes == [1; 32]));
    let report = report_of(pool);
    assert_eq!((report.backing, report.locked), (Backing::Unlocked, 0));
    assert!(report.to_string().contains("may be swapped"), "{report}");
}

#[test]
fn mlock_stands_in_where_the_kernel_has_no_memfd_secret() {
    let pool = pool(|kernel| kernel.memfd_secret = WITHOUT_MEMFD_SECRET);
    settle(pool, MemoryLock::Required).unwrap();
    assert_eq!(report_of(pool).backing, Backing::Mlock);
}

#[test]
fn requiring_locks_after_unlocked_pages_were_handed_out_is_refused() {
    let pool = pool(|kernel| {
        kernel.memfd_secret = WITHOUT_MEMFD_SECRET;
        kernel.mlock = WITHOUT_MLOCK;
    });
    settle(pool, MemoryLock::Preferred).unwrap();
    assert!(matches!(settle(pool, MemoryLock::Required), Err(HardenError::TooLate { bytes: 1.. })));
}

/// Once required, always required: a second caller cannot weaken the first one's policy.
#[test]
fn the_strictest_policy_asked_for_stands() {
    let pool = pool(|kernel| {
        kernel.memfd_secret = WITHOUT_MEMFD_SECRET;
        kernel.mlock = |len| if len > page_size() { Err(Errno::NOMEM) } else { (Kernel::real().mlock)(len) };
    });
    settle(pool, MemoryLock::Required).unwrap();
    settle(pool, MemoryLock::Preferred).unwrap();
    let report = report_of(pool);
    assert_eq!((report.backing, report.unlocked), (Backing::Mlock, 0));
}

/// Near its limit the pool takes smaller runs, down to one page, before it gives up.
#[test]
fn the_limit_is_used_to_its_last_page() {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static LEFT: AtomicUsize = AtomicUsize::new(7 * 4096);
    let pool = pool(|kernel| {
        kernel.memfd_secret = WITHOUT_MEMFD_SECRET;
        kernel.mlock = |len| {
            LEFT.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(len)).map_err(|_| Errno::NOMEM)?;
            (Kernel::real().unlocked)(len)
        };
    });
    pool.lock_only();
    let mut alive: Vec<Secret<32>> = Vec::new();
    let refused = loop {
        match Secret::fill_in(pool, |_| {}) {
            Ok(secret) => alive.push(secret),
            Err(refused) => break refused,
        }
    };
    assert!(LEFT.load(Relaxed) < page_size(), "{} bytes of the limit were left unused", LEFT.load(Relaxed));
    assert_eq!(refused.locked, alive.len() * 32);
    // One goes, one comes: being full is not being broken.
    alive.pop();
    assert!(Secret::<32>::fill_in(pool, |_| {}).is_ok());
}

/// One mapping of this process: its range, its access rights and its kernel flags.
struct Mapping {
    from: usize,
    to: usize,
    mode: String,
    flags: Vec<String>,
}

fn mappings() -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in std::fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some((from, to)) = first.split_once('-') {
            let [from, to] = [from, to].map(|hex| usize::from_str_radix(hex, 16).unwrap());
            mappings.push(Mapping { from, to, mode: words.next().unwrap().to_owned(), flags: Vec::new() });
        } else if first == "VmFlags:" {
            mappings.last_mut().unwrap().flags = words.map(str::to_owned).collect();
        }
    }
    mappings
}

/// Running off either end of the pages is a fault, not a read of somebody's heap; a dump and a child do not get them.
#[test]
fn pages_of_secrets_lie_between_guards_and_are_kept_from_dumps_children_and_swap() {
    let kernels = [
        (pool(|_| {}), report_of(pool_primed()).backing),
        (pool(|kernel| kernel.memfd_secret = WITHOUT_MEMFD_SECRET), Backing::Mlock),
    ];
    for (pool, backing) in kernels {
        let secret = Secret::<32>::fill_in(pool, |_| {}).unwrap();
        assert_eq!(report_of(pool).backing, backing);
        let (at, mappings) = (address_of(&secret), mappings());
        let index = mappings.iter().position(|mapping| (mapping.from..mapping.to).contains(&at)).unwrap();
        let [before, own, after] = &mappings[index - 1..=index + 1] else { panic!("three mappings") };
        assert_eq!((before.to, after.from), (own.from, own.to), "the guards touch the pages");
        assert!(before.mode.starts_with("---") && after.mode.starts_with("---"), "{} {}", before.mode, after.mode);
        // dd: not in a dump; dc: not copied to a child; lo: locked.
        for flag in ["dd", "dc", "lo"] {
            assert!(own.flags.iter().any(|set| set == flag), "{backing}: {flag} is missing in {:?}", own.flags);
        }
    }
}

fn pool_primed() -> &'static Pool {
    let pool = pool(|_| {});
    assert!(pool.prime().is_ok());
    pool
}
