//! Everything that is measured, part by part, and the table it ends in.

mod cipher;
mod cpu;
mod ledger;
mod look_up;
mod openssl;
mod permission;
mod report;
mod rounds;
mod rpc;
mod storage;

use anyhow::{Result, bail};

use self::report::Report;

/// How often things are measured.
struct Effort {
    /// Rounds of turns of some milliseconds.
    rounds: usize,
    /// Rounds of turns of a second.
    long_rounds: usize,
}

/// Adds its rows to the report. What is aimed at stands beside each row.
type Part = fn(&Effort, &mut Report) -> Result<()>;

const PARTS: &[(&str, Part)] = &[
    ("cipher", cipher::measure),
    ("look-up", look_up::measure),
    ("permission", permission::measure),
    ("storage", storage::measure),
    ("ledger", ledger::measure),
    ("rpc", rpc::measure),
];

/// Measures the parts (all, or those named) and prints the table.
pub(crate) fn run(rounds: usize, only: &[String], gate: bool) -> Result<()> {
    if let Some(unknown) = only.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        let names: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
        bail!("there is no part {unknown:?}; the parts are: {}", names.join(", "));
    }
    println!("{}", cpu::described());
    let effort = Effort { rounds, long_rounds: rounds.div_ceil(60) };
    let mut report = Report::default();
    for (name, measure) in PARTS.iter().filter(|(part, _)| only.is_empty() || only.iter().any(|name| name == part)) {
        println!("measuring: {name}");
        measure(&effort, &mut report)?;
    }
    println!("\n{report}");
    match report.missed() {
        0 => Ok(()),
        missed if gate => bail!("{missed} gate(s) missed"),
        _ => Ok(()),
    }
}
