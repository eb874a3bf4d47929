//! How long it takes to find an open data key: `cargo run --release -p service --example look_up [KEYS]`.
//!
//! A look-up is what a warm call does before it seals or opens: find the key by workspace, app and data key, check lease,
//! generation and standing, and read the key. Requests come in random order with texts of their own. For comparison, the same
//! look-ups by id alone in the standard library's map, which nobody could change meanwhile, each reading one byte of a value.
//!
//! Times are CPU time: others' work on the machine is not counted, except for what it takes out of the caches.

#![allow(clippy::print_stdout, reason = "a measurement prints its figures")]

use std::collections::HashMap;

use domain::Entropy;
use rustix::time::{ClockId, clock_gettime};
use service::measure::{FilledTable, Name, Still};
use testkit::SeededEntropy;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;

/// Finds all keys of the thread with that number.
type Find<'a> = &'a (dyn Fn(usize) -> u64 + Sync);

fn main() {
    let keys: usize = std::env::args().nth(1).and_then(|keys| keys.parse().ok()).unwrap_or(1_000_000);
    let workspaces = (keys / 1_000).max(1);
    let entropy = SeededEntropy::new(7);
    let (table, names) = FilledTable::new(workspaces, keys / workspaces, Box::new(Still), &*entropy);
    let shuffled: Vec<Vec<Name>> =
        (0..2).map(|_| FilledTable::requests(&names, order(names.len(), &*entropy))).collect();
    let hot: Vec<Name> = FilledTable::requests(&names, std::iter::repeat_n(0, 1_000));
    let plain: HashMap<[u8; 16], Box<[u8; 128]>, foldhash::fast::RandomState> =
        names.iter().map(|name| (name.id(), Box::new([1; 128]))).collect();
    let find_plain = |requests: &[Name]| requests.iter().map(|name| u64::from(plain[&name.id()][0])).sum();
    println!("{} keys; CPU ns a look-up, median of {ROUNDS} rounds", names.len());
    println!("{:<28}{:>10}{:>10}", "", "1 thread", "2 threads");
    let rows: [(&str, Find<'_>, usize); 5] = [
        ("plain map, random ids", &|thread| find_plain(&shuffled[thread]), names.len()),
        ("to open, random keys", &|thread| table.find_to_open(&shuffled[thread]), names.len()),
        ("to seal, random apps", &|thread| table.find_to_seal(&shuffled[thread]), names.len()),
        ("to open, one hot key", &|_| (0..1_000).map(|_| table.find_to_open(&hot)).sum(), 1_000_000),
        ("to seal, one hot app", &|_| (0..1_000).map(|_| table.find_to_seal(&hot)).sum(), 1_000_000),
    ];
    for (what, find, count) in rows {
        let [one, two] = [1, 2].map(|threads| nanos(threads, find) / count as f64);
        println!("{what:<28}{one:>10.0}{two:>10.0}");
    }
}

/// The median CPU time of a thread in which it finds all its keys.
fn nanos(threads: usize, find: Find<'_>) -> f64 {
    let cpu = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let round = |thread: usize| {
        let began = cpu();
        assert!(find(thread) > 0, "nothing was found");
        cpu() - began
    };
    let mut rounds: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || round(thread))).collect();
            rounds.extend(running.into_iter().map(|thread| thread.join().expect("no round panics")));
        });
    }
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// The numbers below `n` in random order.
fn order(n: usize, entropy: &dyn Entropy) -> Vec<usize> {
    let mut numbers: Vec<(u64, usize)> =
        (0..n).map(|i| (u64::from_be_bytes(domain::entropy::random(entropy)), i)).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|(_, i)| i).collect()
}
