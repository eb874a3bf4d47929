//! How long a key is served after it was taken back: thousands of runs of three replicas in simulated time.
//!
//! Half the runs disable a version while nothing is wrong: they give the figures. In the others lines to the vault and to the
//! database are cut, answers are late, clocks are stepped and processes stand still; in all of them every promise must hold.
//! Then the same is run with faults put in on purpose, each of which must be found.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use service::SeededBug;
use testkit::revocation::{Ground, Run, simulate};

use super::seeds::all;
use crate::stopwatch::{Stopwatch, in_words};
use crate::table::{Lean, Table};

/// A disabled version without any other signal, 99 of 100.
const AIM: Duration = Duration::from_secs(60);
/// Runs with each fault at most.
const RUNS_FOR_A_BUG: u64 = 1_000;
const BUGS: [SeededBug; 6] = [
    SeededBug::LeaseFromAnswer,
    SeededBug::OlderGenerationAdmitted,
    SeededBug::OutageRenews,
    SeededBug::ControlLeaseIgnored,
    SeededBug::FeedIgnored,
    SeededBug::PauseNotNoticed,
];

pub(super) fn run(seeds: u64, seed: Option<u64>) -> Result<()> {
    let ground = Arc::new(tokio::runtime::Runtime::new()?.block_on(Ground::prepare()));
    if let Some(seed) = seed {
        let run = simulate(&ground, seed, None);
        println!("{run:#?}");
        ensure!(run.broken.is_empty(), "seed {seed} breaks a promise");
        return Ok(());
    }
    println!(
        "revoke: 3 replicas, seeds 0 to {}; one of them again: cargo xtask drill revoke --seed N",
        seeds.saturating_sub(1)
    );
    let watch = Stopwatch::start();
    let runs = all(seeds, |seed| simulate(&ground, seed, None));
    let broken: Vec<&Run> = runs.iter().filter(|run| !run.broken.is_empty()).collect();
    for run in broken.iter().take(10) {
        println!("seed {}: {}", run.plan.seed, run.broken.join("; "));
    }
    let p99 = figures(&runs);
    println!("{} runs in {}, {} with a broken promise", runs.len(), in_words(watch.elapsed()), broken.len());
    ensure!(broken.is_empty(), "promises were broken");
    ensure!(p99.is_none_or(|p99| p99 <= AIM), "the 99th percentile is above {AIM:?}");
    for bug in BUGS {
        let found = (0..RUNS_FOR_A_BUG.min(seeds)).find(|seed| !simulate(&ground, *seed, Some(bug)).broken.is_empty());
        let Some(found) = found else { bail!("{bug:?} was put in and not found") };
        println!("seeded bug {bug:?}: found by seed {found}");
    }
    Ok(())
}

/// Prints what was measured; gives the 99th percentile of the quiet runs.
fn figures(runs: &[Run]) -> Option<Duration> {
    let mut table = Table::new(&[
        ("served after it was taken back", Lean::Left),
        ("runs", Lean::Right),
        ("p50 s", Lean::Right),
        ("p99 s", Lean::Right),
        ("max s", Lean::Right),
    ]);
    let mut row = |name: &str, times: Vec<Duration>| {
        let mut times = times;
        times.sort_unstable();
        let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
        let show = |time: Option<Duration>| time.map_or("–".to_owned(), |time| format!("{:.2}", time.as_secs_f64()));
        table.row([name.to_owned(), times.len().to_string(), show(at(50)), show(at(99)), show(times.last().copied())]);
        at(99)
    };
    let (quiet, troubled): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.plan.is_quiet());
    let p99 =
        row("a version disabled, nothing wrong: on any replica", quiet.iter().map(|run| run.last_served).collect());
    row("everything else: on any replica", troubled.iter().map(|run| run.last_served).collect());
    row("on the replica that heard the denial, from then on", runs.iter().filter_map(|run| run.after_seen).collect());
    println!("{table}");
    p99
}
