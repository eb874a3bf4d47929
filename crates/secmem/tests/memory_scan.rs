//! What an attacker who can read the whole process finds of a secret: nothing, or with `mlock` only its own slot.
//!
//! Each test runs this binary again as a child, so that nothing another test left behind is scanned.

use std::{
    env,
    fs::{self, File},
    hint::black_box,
    io::{Read, Seek, SeekFrom},
    process::Command,
};

use secmem::{Backing, MemoryLock, Secret, harden, report};

const ROLE: &str = "SECMEM_SCAN_ROLE";

/// Byte `i` of the secret, computed: the pattern as a whole stands nowhere but where it is written.
fn secret_byte(i: usize) -> u8 {
    let mixed = (black_box(i) as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 29) as u8
}

fn make() -> Secret<32> {
    Secret::fill(|bytes| bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = secret_byte(i))).unwrap()
}

/// Addresses at which the secret's 32 bytes stand in readable memory. Its own buffer is mapped before it reads, and
/// bytes it copied there itself are not counted.
fn find_copies(memory: &mut File, maps: &mut File) -> Vec<usize> {
    let mut buffer = vec![0_u8; 1 << 20];
    let own = buffer.as_ptr().addr()..buffer.as_ptr().addr() + buffer.len();
    let mut text = String::with_capacity(1 << 20);
    maps.read_to_string(&mut text).unwrap();
    let mut found = Vec::new();
    for line in text.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with('r'))) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (mut at, to) = (usize::from_str_radix(from, 16).unwrap(), usize::from_str_radix(to, 16).unwrap());
        while at < to {
            let want = buffer.len().min(to - at);
            let got = match memory.seek(SeekFrom::Start(at as u64)).and_then(|_| memory.read(&mut buffer[..want])) {
                Ok(0) | Err(_) => break,
                Ok(got) => got,
            };
            for (offset, window) in buffer[..got].windows(32).enumerate() {
                let address = at + offset;
                if !own.contains(&address) && window.iter().enumerate().all(|(i, byte)| *byte == secret_byte(i)) {
                    found.push(address);
                }
            }
            if got < 32 || at + got >= to {
                break;
            }
            at += got - 31; // windows across two reads count too
        }
    }
    found.dedup();
    found
}

fn open_own_memory() -> (File, File) {
    // Opened before `harden`: a process that is not dumpable no longer opens them unless it is root's.
    (File::open("/proc/self/mem").unwrap(), File::open("/proc/self/maps").unwrap())
}

/// Runs the test `name` of this binary as a child in `role`, which must report success.
fn in_child(name: &str, role: &str) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn role() -> Option<String> {
    env::var(ROLE).ok()
}

#[test]
fn the_secret_stands_nowhere_but_in_its_slot() {
    if role().is_none() {
        return in_child("the_secret_stands_nowhere_but_in_its_slot", "scan");
    }
    let (mut memory, mut maps) = open_own_memory();
    let secret = make();
    let moved = Box::new(black_box(secret)); // moving it about must not copy it
    let slot = moved.expose(|bytes| bytes.as_ptr().addr());
    let found = find_copies(&mut memory, &mut maps);
    match report().backing {
        Backing::MemfdSecret => assert_eq!(found, Vec::<usize>::new(), "memfd_secret pages cannot be read"),
        Backing::Mlock | Backing::Unlocked => assert_eq!(found, [slot]),
    }
    assert!(moved.expose(|bytes| bytes.iter().enumerate().all(|(i, byte)| *byte == secret_byte(i))));
}

#[test]
fn a_dropped_secret_stands_nowhere() {
    if role().is_none() {
        return in_child("a_dropped_secret_stands_nowhere", "scan");
    }
    let (mut memory, mut maps) = open_own_memory();
    drop(black_box(make()));
    assert_eq!(find_copies(&mut memory, &mut maps), Vec::<usize>::new());
}

/// The seeded bug: one copy on the heap is found by the same scan.
#[test]
fn a_copy_on_the_heap_is_found() {
    if role().is_none() {
        return in_child("a_copy_on_the_heap_is_found", "scan");
    }
    let (mut memory, mut maps) = open_own_memory();
    let secret = make();
    let copy = black_box(secret.expose(|bytes| bytes.to_vec()));
    assert!(find_copies(&mut memory, &mut maps).contains(&copy.as_ptr().addr()));
}

#[test]
fn the_page_of_a_secret_cannot_be_read_through_proc_where_memfd_secret_backs_it() {
    if role().is_none() {
        return in_child("the_page_of_a_secret_cannot_be_read_through_proc_where_memfd_secret_backs_it", "read");
    }
    let (mut memory, _) = open_own_memory();
    let secret = make();
    if report().backing != Backing::MemfdSecret {
        println!("this kernel has no memfd_secret: nothing to check");
        return;
    }
    let at = secret.expose(|bytes| bytes.as_ptr().addr());
    memory.seek(SeekFrom::Start(at as u64)).unwrap();
    assert!(memory.read(&mut [0; 32]).is_err());
    // The same read of an ordinary page works, so it is the page that refuses.
    let ordinary = Box::new([7_u8; 32]);
    memory.seek(SeekFrom::Start(ordinary.as_ptr().addr() as u64)).unwrap();
    let mut read = [0; 32];
    memory.read_exact(&mut read).unwrap();
    assert_eq!(read, [7; 32]);
}

#[test]
fn a_hardened_process_has_no_core_dumps_and_hardening_twice_changes_nothing() {
    if role().is_none() {
        return in_child("a_hardened_process_has_no_core_dumps_and_hardening_twice_changes_nothing", "harden");
    }
    let before = report();
    assert!(!before.core_dumps_off, "a fresh process may dump core, or this test shows nothing");
    let first = harden(MemoryLock::Preferred).unwrap();
    assert!(first.core_dumps_off);
    assert_eq!(first, harden(MemoryLock::Preferred).unwrap());
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    assert!(first.to_string().contains("core dumps off"), "{first}");
}
