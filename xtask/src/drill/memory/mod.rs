//! What stands in the daemon's memory, and for how long: the real daemon is given secrets that are known here, and after each
//! kind of call and after each eviction all of its memory is searched for them.

mod core_file;
mod customers;
mod derived;
mod files;
mod kind;
mod listener;
mod planted;
mod process;
mod registrations;
mod report;
mod wanted;
mod watch;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::seed::Seed;
use super::{Death, Options, daemon};
use crate::stopwatch::Stopwatch;

pub(super) use planted::leak;

/// How long nobody calls before the last look.
const SETTLE: Duration = Duration::from_secs(8);

/// How much of it is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Full,
    /// Without the end of a lease, and without most core images.
    Reduced,
    /// Only the process that leaks on purpose.
    SeededBugs,
}

pub(super) async fn run(options: &Options, extent: Extent) -> Result<()> {
    let number = options.seed.map_or_else(Seed::drawn, Ok)?;
    println!("drill: memory, --seed {number}");
    // The daemon is not dumpable: another user's process, and its own, is refused its memory.
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    ensure!(root, "only root can read the memory of a process that is not dumpable: run this as root");
    let directory = tempfile::tempdir()?;
    let can_image = core_file::is_possible();
    if !can_image {
        println!("no core images: gdb is missing (install the package gdb); only /proc/PID/mem is searched");
    }
    let started = Stopwatch::start();
    let cores: Option<PathBuf> = can_image.then(|| directory.path().to_owned());
    println!("\nA process that leaks on purpose:");
    let leaking = planted::check(number, cores.clone()).await?;
    if extent == Extent::SeededBugs {
        println!();
        report::print(&leaking);
        println!("{} faults found in a process that leaks on purpose, as it must be", leaking.tally.faults.len());
        return Ok(());
    }
    let program = daemon::program(options, Death::Kill)?.canonicalize()?;
    println!("\nThe daemon is {}", program.display());

    println!("\nUnder a customer's key:");
    let reduced = extent == Extent::Reduced;
    let customers = customers::run(&program, directory.path(), cores.clone(), reduced, number).await?;
    println!("\nBehind a TLS listener, under the platform's key:");
    let listener = listener::run(&program, directory.path(), cores, number).await?;

    println!();
    let mut faults = Vec::new();
    for watch in [&customers, &listener] {
        report::print(watch);
        faults.extend(watch.tally.faults.iter().map(|fault| format!("{}: {fault}", watch.name)));
    }
    println!("in {:.0} s", started.elapsed().as_secs_f64());
    for fault in faults.iter().take(40) {
        println!("FAULT: {fault}");
    }
    if !faults.is_empty() {
        bail!("{} findings where nothing may be", faults.len());
    }
    println!(
        "no data key, message key or platform key outside locked pages; nothing else but where and as long as it has a cause"
    );
    Ok(())
}
