//! Many simulated runs, on as many threads as there are cores. Each run is one thread's own.

use std::sync::atomic::{AtomicU64, Ordering};

/// Runs seeds 0 to below `seeds`, in whatever order.
pub(super) fn all<T: Send>(seeds: u64, simulate: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || {
        let mut runs = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return runs;
            }
            runs.push(simulate(seed));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let runs = threads.into_iter().flat_map(|thread| thread.join().expect("a run does not panic"));
        runs.collect()
    })
}
