//! What is broken on purpose, with real processes: the daemon is killed, or loses what it had not synced, under load; then
//! every ciphertext it had acknowledged must open.
//!
//! Every run prints its seed and its options; the same seed picks the same instants and the same torn sectors.
//!
//! It needs most of our crates, which the other tasks do not wait for: it stands behind the feature `drill`, and this task
//! builds itself again with it.

#[cfg(feature = "drill")]
mod checker;
#[cfg(feature = "drill")]
mod crash;
#[cfg(feature = "drill")]
mod daemon;
#[cfg(feature = "drill")]
mod enforce;
#[cfg(feature = "drill")]
mod journal;
#[cfg(feature = "drill")]
mod load;
#[cfg(feature = "drill")]
mod memory;
#[cfg(feature = "drill")]
mod quota;
#[cfg(feature = "drill")]
mod revoke;
#[cfg(feature = "drill")]
mod rotate;
#[cfg(feature = "drill")]
mod run;
#[cfg(feature = "drill")]
mod seed;
#[cfg(feature = "drill")]
mod seeds;

use anyhow::Result;
use clap::{Args, Subcommand};

/// A drill and its options.
#[derive(Args)]
pub(crate) struct Drill {
    #[command(subcommand)]
    name: Name,
}

#[derive(Subcommand)]
enum Name {
    /// Kill the daemon (SIGKILL) again and again under load; every acknowledged ciphertext must open afterwards.
    Kill {
        #[command(flatten)]
        options: Options,
    },
    /// Kill it and take away what it had not synced, torn sectors included; every acknowledged ciphertext must open afterwards.
    PowerLoss {
        #[command(flatten)]
        options: Options,
        /// Turn `synchronous=FULL` off: the drill must find losses, or it proves nothing.
        #[arg(long)]
        seeded_bug: bool,
    },
    /// Take a key back from three replicas in simulated time, with every trouble there is, and see how long it is served.
    Revoke {
        /// How many runs.
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        seeds: u64,
        /// Do this one run, and print what happened in it.
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
    },
    /// Keep an enforcement date with three replicas in simulated time, with every trouble there is, and see whether a ciphertext
    /// is ever under the wrong key.
    Enforce {
        /// How many runs.
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        seeds: u64,
        /// Do this one run, and print what happened in it.
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
    },
    /// Rotate the customer's key in simulated time with a vault's limits on, and send it an hour of traffic: how much of the quota
    /// is used, and is there a 429? Then, with real processes, rotate with many data keys and kill the daemon (SIGKILL) in the middle, as often as there are rounds;
    /// the rotation must end, and everything must open with the old version disabled.
    Rotate {
        #[command(flatten)]
        options: Options,
        /// Data keys there are when it begins.
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        data_keys: u32,
        /// Data keys of the simulated rotations, which come first; 0 leaves them and the hour of traffic out.
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        simulated: u32,
        /// Only what is simulated.
        #[arg(long)]
        simulated_only: bool,
    },
    /// Give the daemon secrets that are known, and search all of its memory and core images of it for them after each kind of call and
    /// after each eviction: no data key outside locked pages. Needs root, and gdb for the images.
    Memory {
        #[command(flatten)]
        options: Options,
        /// Without the wait for a lease to end, which takes five minutes.
        #[arg(long)]
        reduced: bool,
        /// Only a process that leaks on purpose, without the daemon: each of its leaks must be found, or the drill proves nothing. Every
        /// run begins with it.
        #[arg(long, conflicts_with = "reduced")]
        seeded_bug: bool,
    },
    /// Leak keys on purpose until the input ends: what the memory drill proves itself with.
    #[command(hide = true)]
    Leak {
        #[arg(long)]
        seed: u64,
    },
}

/// Options that every drill takes.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// How many times the daemon dies.
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Repeats a run. Absent: drawn, and printed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// A built `byokd` in this directory instead of building them now.
    #[arg(long, value_name = "DIR")]
    binaries: Option<std::path::PathBuf>,
}

/// How the daemon dies.
#[cfg(feature = "drill")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// The process is gone; what it gave to the kernel survives.
    Kill,
    /// What was not synced is gone too, or survives in part.
    PowerLoss {
        /// The database runs without syncing.
        synchronous_off: bool,
    },
}

#[cfg(feature = "drill")]
pub(crate) fn run(drill: Drill) -> Result<()> {
    let (death, options, rounds) = match drill.name {
        Name::Rotate { options, data_keys, simulated, simulated_only } => {
            if simulated > 0 {
                quota::run(simulated)?;
            }
            if simulated_only {
                return Ok(());
            }
            let kills = options.rounds.unwrap_or(5);
            return tokio::runtime::Runtime::new()?.block_on(rotate::run(data_keys, kills, &options));
        }
        Name::Kill { options } => (Death::Kill, options, 1_000),
        Name::PowerLoss { options, seeded_bug } => (Death::PowerLoss { synchronous_off: seeded_bug }, options, 500),
        Name::Memory { options, reduced, seeded_bug } => {
            let extent = match (reduced, seeded_bug) {
                (_, true) => memory::Extent::SeededBugs,
                (true, false) => memory::Extent::Reduced,
                (false, false) => memory::Extent::Full,
            };
            return tokio::runtime::Runtime::new()?.block_on(memory::run(&options, extent));
        }
        Name::Leak { seed } => return memory::leak(seed),
        Name::Revoke { seeds, seed } => return revoke::run(seeds, seed),
        Name::Enforce { seeds, seed } => return enforce::run(seeds, seed),
    };
    let rounds = options.rounds.unwrap_or(rounds);
    tokio::runtime::Runtime::new()?.block_on(run::run(death, rounds, &options))
}

#[cfg(not(feature = "drill"))]
pub(crate) fn run(_: Drill) -> Result<()> {
    use crate::tool::{self, Cargo};

    let mut args: Vec<String> =
        ["run", "--quiet", "--locked", "--package", "xtask", "--features", "drill", "--"].map(str::to_owned).into();
    args.extend(std::env::args().skip(1));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    tool::run(&mut Cargo::of_this_workspace().command(&args))
}
