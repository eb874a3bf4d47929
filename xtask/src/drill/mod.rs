//! What is broken on purpose, with real processes: the daemon is killed, or loses what it had not synced, under load; then
//! every ciphertext it had acknowledged must open.
//!
//! Every run prints its seed and its options; the same seed picks the same instants and the same torn sectors.

mod checker;
mod crash;
mod daemon;
mod journal;
mod load;
mod run;
mod seed;

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
    /// A built `byokd` and `azure-emulator` in this directory instead of building them now.
    #[arg(long, value_name = "DIR")]
    binaries: Option<std::path::PathBuf>,
}

/// How the daemon dies.
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

pub(crate) fn run(drill: Drill) -> Result<()> {
    let (death, options, rounds) = match drill.name {
        Name::Kill { options } => (Death::Kill, options, 1_000),
        Name::PowerLoss { options, seeded_bug } => (Death::PowerLoss { synchronous_off: seeded_bug }, options, 500),
    };
    let rounds = options.rounds.unwrap_or(rounds);
    tokio::runtime::Runtime::new()?.block_on(run::run(death, rounds, &options))
}
