//! Whether a ciphertext is ever under the wrong key around an enforcement date: thousands of runs of three replicas in simulated
//! time.
//!
//! A fifth of the runs have clocks that are off by up to 500 ms and nothing else: their date has to be kept. In the others lines
//! to the vault and to the database are cut, commits are slow, processes stand still or die and come back, and the customer
//! disables the key, most of it in the freeze and around the date. Then the same is run with faults put in on purpose, each of
//! which must be found.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use domain::key_life::Policy;
use service::SeededBug;
use testkit::enforcement::{Decision, Run, ground, simulate};
use testkit::revocation::Ground;

use super::seeds::all;
use crate::stopwatch::{Stopwatch, in_words};
use crate::table::{Lean, Table};

/// Runs with each fault at most.
const RUNS_FOR_A_BUG: u64 = 2_000;
const BUGS: [SeededBug; 4] =
    [SeededBug::RulingKept, SeededBug::ArmedLate, SeededBug::ArmedUntested, SeededBug::ControlLeaseIgnored];

pub(super) fn run(seeds: u64, seed: Option<u64>) -> Result<()> {
    let scheduled: Arc<Ground> = Arc::new(tokio::runtime::Runtime::new()?.block_on(ground(Policy::Stay)));
    if let Some(seed) = seed {
        let run = simulate(&scheduled, seed, None);
        println!("{run:#?}");
        ensure!(run.broken.is_empty(), "seed {seed} breaks a promise");
        return Ok(());
    }
    println!(
        "enforce: 3 replicas, seeds 0 to {}; one of them again: cargo xtask drill enforce --seed N",
        seeds.saturating_sub(1)
    );
    let watch = Stopwatch::start();
    let runs = all(seeds, |seed| simulate(&scheduled, seed, None));
    let broken: Vec<&Run> = runs.iter().filter(|run| !run.broken.is_empty()).collect();
    for run in broken.iter().take(10) {
        println!("seed {}: {}", run.plan.seed, run.broken.join("; "));
    }
    figures(&runs);
    println!("{} runs in {}, {} with a broken promise", runs.len(), in_words(watch.elapsed()), broken.len());
    ensure!(broken.is_empty(), "promises were broken");
    for bug in BUGS {
        let mut tried = 0..RUNS_FOR_A_BUG.max(seeds);
        let found = tried.find(|seed| !simulate(&scheduled, *seed, Some(bug)).broken.is_empty());
        let Some(found) = found else { bail!("{bug:?} was put in and not found") };
        println!("seeded bug {bug:?}: found by seed {found}");
    }
    Ok(())
}

fn figures(runs: &[Run]) {
    let mut table = Table::new(&[
        ("decided", Lean::Left),
        ("runs", Lean::Right),
        ("messages", Lean::Right),
        ("within 2 s of the date", Lean::Right),
    ]);
    let mut by_decision: BTreeMap<String, (u64, usize, usize)> = BTreeMap::new();
    for run in runs {
        let name = match run.decision {
            Decision::Armed if run.plan.is_quiet() => "armed, nothing wrong".to_owned(),
            Decision::Armed => "armed".to_owned(),
            Decision::Held(Some(why)) => format!("held: {why}"),
            Decision::Held(None) => "held, and another date set".to_owned(),
            Decision::Nothing => "nothing: nobody could".to_owned(),
        };
        let row = by_decision.entry(name).or_default();
        *row = (row.0 + 1, row.1 + run.sealed, row.2 + run.close);
    }
    for (name, (count, sealed, close)) in by_decision {
        table.row([name, count.to_string(), sealed.to_string(), close.to_string()]);
    }
    println!("{table}");
}
