//! `cargo xtask layers`: do the crates still depend on each other in one direction only?

mod check;
mod graph;
mod rules;

use std::fs;

use anyhow::{Context, Result, bail};

use self::check::Build;
use crate::tool::Cargo;

/// Checks the workspace and prints what breaks a rule.
pub(crate) fn run() -> Result<()> {
    let cargo = Cargo::of_this_workspace();
    let metadata =
        cargo.output(&["metadata", "--format-version", "1", "--locked", "--filter-platform", &cargo.host()?])?;
    let graph =
        graph::Graph::read(&metadata, |path| fs::read_to_string(path).with_context(|| format!("cannot read {path}")))?;
    let mut violations = check::violations(&graph);
    for (build, features) in [(Build::Production, &["--no-default-features"][..]), (Build::Development, &[])] {
        let mut args = vec!["tree", "--locked", "--package", rules::DAEMON, "--edges", "normal,build"];
        args.extend(["--prefix", "none", "--format", "{p}|{f}"]);
        args.extend(features);
        violations.extend(check::in_build(build, &graph, &cargo.output(&args)?));
    }
    for violation in &violations {
        println!("forbidden: {}\n      why: {}", violation.what, violation.why);
    }
    if !violations.is_empty() {
        bail!("{} forbidden edge(s): the rules are in xtask/src/layers/rules.rs", violations.len());
    }
    let edges: usize = graph.ours.values().map(|ours| ours.dependencies.len()).sum();
    println!("layers: {} crates, {edges} declared dependencies, none forbidden", graph.ours.len());
    Ok(())
}
