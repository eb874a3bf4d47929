//! `cargo xtask test`: everything that is checked before a change counts, with what it needs installed on the way.

mod drills;
mod install;
mod javascript;
mod python;
mod sdk;
mod step;

use anyhow::{Result, bail};

use self::step::{Done, Session, Step, Summary};
use crate::{layers, tool};

/// In this order. A step that fails does not stop the others: one run shows every fault.
const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "layers", run: |_| layers::run().map(|()| Done::Ran) },
    Step { name: "python", run: python::set_up },
    Step { name: "javascript", run: javascript::set_up },
    Step { name: "clippy", run: clippy },
    Step { name: "production-build", run: production_build },
    Step { name: "tests", run: tests },
    Step { name: "python-reader", run: python::read_vectors },
    Step { name: "python-sdk", run: sdk::python },
    Step { name: "javascript-sdk", run: sdk::javascript },
    Step { name: "drill-kill", run: drills::kill },
    Step { name: "drill-power-loss", run: drills::power_loss },
    Step { name: "drill-revoke", run: drills::revoke },
    Step { name: "drill-enforce", run: drills::enforce },
    Step { name: "drill-rotate", run: drills::rotate },
    Step { name: "drill-memory", run: drills::memory },
];

/// Runs the steps (all, or those named) and prints what ran, what was left out and why.
///
/// Where `CI` is set a step left out is a fault: nobody reads the table of a run that passed.
pub(crate) fn run(only: &[String]) -> Result<()> {
    if let Some(unknown) = only.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("there is no step {unknown:?}; the steps are: {}", names.join(", "));
    }
    let wanted = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    let steps: Vec<&Step> = STEPS.iter().filter(wanted).collect();
    let nothing_may_be_left_out = std::env::var_os("CI").is_some();
    let summary = Summary::of(&steps, &mut Session::start()?);
    println!("\n{summary}");
    summary.verdict(nothing_may_be_left_out)
}

fn format(session: &mut Session) -> Result<Done> {
    if !tool::succeeds(&mut session.cargo.command(&["fmt", "--version"])) {
        return Ok(Done::left_out("rustfmt is missing: rustup component add rustfmt"));
    }
    session.cargo(&["fmt", "--all", "--check"])
}

fn clippy(session: &mut Session) -> Result<Done> {
    if !tool::succeeds(&mut session.cargo.command(&["clippy", "--version"])) {
        return Ok(Done::left_out("clippy is missing: rustup component add clippy"));
    }
    session.cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "--deny", "warnings"])
}

/// A production build leaves the emulator and the connector out; it has to compile without them.
fn production_build(session: &mut Session) -> Result<Done> {
    session.cargo(&["check", "--package", "byokd", "--no-default-features", "--locked"])
}

fn tests(session: &mut Session) -> Result<Done> {
    // All features: what only `bench` and `drill` build is tested in the same go, and built once.
    // --no-fail-fast: one run shows every fault here, too.
    let mut command = session.cargo.command(&["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"]);
    command.envs(session.interpreters());
    tool::run(&mut command).map(|()| Done::Ran)
}
