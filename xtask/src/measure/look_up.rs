//! How long the hot path takes to find an open data key among a million.

use std::time::Duration;

use anyhow::Result;
use domain::Entropy;
use service::measure::{FilledTable, Name, Still};

use super::{
    Effort,
    report::{Report, Target},
    rounds::{Contestant, interleave},
};

const WORKSPACES: usize = 1_000;
const APPS: usize = 1_000;
/// Look-ups between two readings of the clock.
const AT_ONCE: usize = 1_000;
/// How many look-ups are made before the first is made again: far more than caches hold.
const REQUESTS: usize = 500_000;

/// Finding a key as Decrypt does, and as Encrypt does, lease and standing checked.
pub(crate) fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    let (table, names) = FilledTable::new(WORKSPACES, APPS, Box::new(Still), &Generator);
    // A step that shares no factor with the number of keys visits each once, in an order no prefetcher guesses.
    let scattered = (0..REQUESTS).map(|i| i * 618_033 % names.len());
    let requests = FilledTable::requests(&names, scattered);
    drop(names);
    let turn = Duration::from_millis(2);
    let mut contestants = [
        Contestant::timed("open", turn, walk(&requests, |some| table.find_to_open(some))),
        Contestant::timed("seal", turn, walk(&requests, |some| table.find_to_seal(some))),
    ];
    let times = interleave(effort.rounds, &mut contestants)?;
    let target = Target::AtMost { gate: 300.0, stretch: 150.0 };
    for (name, what) in [("open", "Decrypt"), ("seal", "Encrypt")] {
        let each = times.nanoseconds(name) / AT_ONCE as f64;
        report.add(format!("key look-up for {what}, {} keys", WORKSPACES * APPS), each, "ns", target);
    }
    Ok(())
}

/// The next [`AT_ONCE`] look-ups at each call. A key that is not found is a fault of the measurement.
fn walk<'a>(requests: &'a [Name], find: impl Fn(&[Name]) -> u64 + 'a) -> impl FnMut() + 'a {
    let mut parts = requests.chunks_exact(AT_ONCE).cycle();
    move || {
        let found = parts.next().map_or(0, &find);
        assert!(found >= AT_ONCE as u64, "every key asked for is in the table");
    }
}

struct Generator;

impl Entropy for Generator {
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the system has randomness");
    }
}
