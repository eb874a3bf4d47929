//! What one does to this repository: check its layers, run every test, measure.
#![expect(clippy::print_stdout, reason = "a command line tool talks on stdout")]

mod layers;
mod tool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Layers => layers::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
