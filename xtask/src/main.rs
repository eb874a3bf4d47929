//! What one does to this repository: check its layers, run every test, measure.
#![expect(clippy::print_stdout, reason = "a command line tool talks on stdout")]

mod bench;
mod drill;
mod layers;
#[cfg(feature = "measure")]
mod measure;
mod stopwatch;
mod table;
mod test;
mod tool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The daemon's allocator: what is measured is what runs. Everything that is compared with it has it too.
#[cfg(feature = "measure")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What one does to this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check which crate depends on which.
    Layers,
    /// Measure, and print the figures with what they were aimed at.
    Bench(bench::Options),
    /// Break something on purpose, with real processes, and see that every promise held.
    Drill(drill::Drill),
    /// Run every test, installing what it needs where this is root, or naming what is missing.
    Test {
        /// Run only this step; may be given more than once.
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Layers => layers::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Drill(drill) => drill::run(drill),
        Task::Test { only } => test::run(&only),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
