//! How long the hot path takes to find an open data key among a million.
//!
//! Every look-up is of another key, in an order that no prefetcher guesses. The names asked for are made right before, outside
//! the timed part, because a request's name has just been parsed when its key is looked up: it is in the nearest cache, unlike
//! everything that is looked up by it.

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Result, ensure};
use domain::Entropy;
use service::measure::{FilledTable, Name, Still};

use super::{
    Effort,
    report::{Report, Target},
    rounds::{Contestant, interleave},
};
use crate::stopwatch::Stopwatch;

const WORKSPACES: usize = 1_000;
const APPS: usize = 1_000;
const KEYS: usize = WORKSPACES * APPS;
/// Look-ups in one turn: as many names as the second cache holds.
const AT_ONCE: usize = 1_000;
/// A step that shares no factor with the number of keys visits each once before it comes round, and none twice in a turn.
const STEP: usize = 618_033;

/// Finding a key as Decrypt does, and as Encrypt does, lease and standing checked.
pub(crate) fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    let (table, names) = FilledTable::new(WORKSPACES, APPS, Box::new(Still), &Generator);
    let memory = Chain::new();
    let next = Cell::new(0);
    let mut contestants = [
        Contestant::measured("open", || timed(&names, &next, |some| table.find_to_open(some))),
        Contestant::measured("seal", || timed(&names, &next, |some| table.find_to_seal(some))),
        Contestant::timed("memory", Duration::from_millis(1), || memory.step()),
    ];
    let times = interleave(effort.rounds, &mut contestants)?;
    let target = Target::AtMost { gate: 300.0, stretch: 150.0 };
    for (name, what) in [("open", "Decrypt"), ("seal", "Encrypt")] {
        report.add(format!("key look-up for {what}, {KEYS} keys"), times.nanoseconds(name), "ns", target);
    }
    let access = times.nanoseconds("memory");
    let size = (Chain::LINES * size_of::<Line>()) >> 20;
    report.add(format!("for comparison: one access to {size} MiB of memory"), access, "ns", Target::None);
    Ok(())
}

/// Seconds a look-up, over the next [`AT_ONCE`]. A key that is not found is a fault of the measurement.
fn timed(names: &[Name], next: &Cell<usize>, find: impl Fn(&[Name]) -> u64) -> Result<f64> {
    let from = next.replace(next.get() + AT_ONCE);
    let requests = FilledTable::requests(names, (from..from + AT_ONCE).map(|i| i * STEP % KEYS));
    let stopwatch = Stopwatch::start();
    let found = find(&requests);
    let elapsed = stopwatch.elapsed();
    ensure!(found >= AT_ONCE as u64, "every key asked for is in the table");
    Ok(elapsed.as_secs_f64() / AT_ONCE as f64)
}

/// Memory as large as the table, in which each line says where the next one is: what one access costs that has to wait for the
/// one before it. A look-up is several of those, some of them beside each other.
struct Chain {
    lines: Vec<Line>,
    at: Cell<usize>,
}

#[derive(Clone)]
#[repr(align(64))]
struct Line(usize);

impl Chain {
    /// A power of two, so that the numbers below visit every line before the first one again.
    const LINES: usize = 1 << 22;

    fn new() -> Self {
        // A multiplier of the form 4n + 1 and an odd increment go through all residues of a power of two (Hull and Dobell).
        let line = |from: usize| Line((from.wrapping_mul(2_891_336_453) + 1_234_567_891) % Self::LINES);
        Self { lines: (0..Self::LINES).map(line).collect(), at: Cell::new(0) }
    }

    fn step(&self) {
        self.at.set(black_box(self.lines[self.at.get()].0));
    }
}

struct Generator;

impl Entropy for Generator {
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the system has randomness");
    }
}
