//! `cargo xtask bench`: how is what is measured built and started?
//!
//! It needs an optimised build of our own crates, which the other tasks do not wait for: it stands behind the feature
//! `measure`, and this task builds itself again with it.

use anyhow::Result;

/// What the command line says.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Turns of a millisecond for each contestant; what takes longer has fewer.
    #[arg(long, default_value_t = 301)]
    rounds: usize,
    /// Measure only this part (cipher, look-up, permission, storage, ledger, rpc); may be given more than once.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// End with an error when a gate is missed.
    #[arg(long)]
    gate: bool,
}

#[cfg(feature = "measure")]
pub(crate) fn run(options: &Options) -> Result<()> {
    if cfg!(debug_assertions) {
        anyhow::bail!("measuring an unoptimised build says nothing: add --profile dist, or leave --features away");
    }
    crate::measure::run(options.rounds, &options.only, options.gate)
}

#[cfg(not(feature = "measure"))]
pub(crate) fn run(options: &Options) -> Result<()> {
    use crate::tool::{self, Cargo};

    println!("building with optimisation; the first time takes some minutes");
    let mut args =
        vec!["run", "--quiet", "--profile", "dist", "--locked", "--package", "xtask", "--features", "measure", "--"];
    let rounds = options.rounds.to_string();
    args.extend(["bench", "--rounds", &rounds]);
    args.extend(options.only.iter().flat_map(|part| ["--only", part]));
    args.extend(options.gate.then_some("--gate"));
    tool::run(&mut Cargo::of_this_workspace().command(&args))
}
