//! How steps are run one after the other, and what their outcomes add up to.

use std::{ffi::OsString, fmt, io::Write, path::PathBuf, time::Duration};

use anyhow::{Result, bail};

use crate::{
    stopwatch::{Stopwatch, in_words},
    table::{Lean, Table},
    tool::{self, Cargo},
};

/// One thing that is checked.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Session) -> Result<Done>,
}

/// How a step ended that did not fail.
pub(crate) enum Done {
    Ran,
    /// Something is missing here; says what, and how to get it.
    LeftOut(String),
}

impl Done {
    pub(crate) fn left_out(why: impl Into<String>) -> Self {
        Self::LeftOut(why.into())
    }
}

/// What earlier steps found or set up for later ones.
pub(crate) struct Session {
    pub(crate) cargo: Cargo,
    /// Where cargo builds; environments for other languages live beside it.
    pub(crate) target: PathBuf,
    /// A Python with the packages of tests/sdk/python/requirements.txt.
    pub(crate) python: Option<PathBuf>,
    /// A Node.js, once the packages of tests/sdk/javascript are installed.
    pub(crate) node: Option<PathBuf>,
}

impl Session {
    pub(crate) fn start() -> Result<Self> {
        let (cargo, target) = (Cargo::of_this_workspace(), tool::target_directory()?);
        Ok(Self { cargo, target, python: None, node: None })
    }

    pub(crate) fn cargo(&self, args: &[&str]) -> Result<Done> {
        tool::run(&mut self.cargo.command(args)).map(|()| Done::Ran)
    }

    /// Builds every program, with the features the tests are built with so that nothing is built twice, and says where
    /// they are.
    pub(crate) fn binaries(&self) -> Result<PathBuf> {
        self.cargo(&["build", "--quiet", "--workspace", "--bins", "--all-features", "--locked"])?;
        Ok(self.target.join("debug"))
    }

    /// Tells tests which interpreters are set up. A test that needs one and is not told says that it was skipped.
    pub(crate) fn interpreters(&self) -> Vec<(&'static str, OsString)> {
        let python = self.python.iter().map(|path| ("BYOKD_PYTHON", path.into()));
        python.chain(self.node.iter().map(|path| ("BYOKD_NODE", path.into()))).collect()
    }
}

enum Outcome {
    Passed,
    Failed(String),
    LeftOut(String),
}

/// What ran, what was left out and why, and how long each took.
pub(crate) struct Summary {
    rows: Vec<(&'static str, Outcome, Duration)>,
}

impl Summary {
    /// Runs every step.
    pub(crate) fn of(steps: &[&Step], session: &mut Session) -> Self {
        let mut rows = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            println!("\n━━ {} of {}: {} ━━", index + 1, steps.len(), step.name);
            let _ = std::io::stdout().flush(); // what the step starts writes to the same stream
            let stopwatch = Stopwatch::start();
            let outcome = match (step.run)(session) {
                Ok(Done::Ran) => Outcome::Passed,
                Ok(Done::LeftOut(why)) => {
                    println!("left out: {why}");
                    Outcome::LeftOut(why)
                }
                Err(error) => {
                    println!("failed: {error:#}");
                    Outcome::Failed(format!("{error:#}"))
                }
            };
            rows.push((step.name, outcome, stopwatch.elapsed()));
        }
        Self { rows }
    }

    fn count(&self, of: impl Fn(&Outcome) -> bool) -> usize {
        self.rows.iter().filter(|(_, outcome, _)| of(outcome)).count()
    }

    /// Fails when a step did, or when one was left out and that is not allowed here.
    pub(crate) fn verdict(&self, nothing_may_be_left_out: bool) -> Result<()> {
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let left_out = self.count(|outcome| matches!(outcome, Outcome::LeftOut(_)));
        if failed > 0 {
            bail!("{failed} step(s) failed: see the table");
        }
        if left_out > 0 && nothing_may_be_left_out {
            bail!("{left_out} step(s) left out, which CI does not accept: see the table");
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table =
            Table::new(&[("step", Lean::Left), ("outcome", Lean::Left), ("time", Lean::Right), ("why", Lean::Left)]);
        for (name, outcome, took) in &self.rows {
            let (word, why) = match outcome {
                Outcome::Passed => ("passed", ""),
                Outcome::Failed(why) => ("FAILED", why.lines().next().unwrap_or_default()),
                Outcome::LeftOut(why) => ("left out", why.as_str()),
            };
            table.row([*name, word, &in_words(*took), why]);
        }
        let total = self.rows.iter().map(|(_, _, took)| *took).sum();
        table.row(["all", "", &in_words(total), ""]);
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(outcomes: Vec<Outcome>) -> Summary {
        Summary { rows: outcomes.into_iter().map(|outcome| ("a step", outcome, Duration::from_secs(61))).collect() }
    }

    #[test]
    fn one_failed_step_fails_the_run() {
        assert!(summary(vec![Outcome::Passed, Outcome::Passed]).verdict(true).is_ok());
        assert!(summary(vec![Outcome::Passed, Outcome::Failed("no".to_owned())]).verdict(false).is_err());
    }

    #[test]
    fn a_step_left_out_is_named_and_fails_only_where_nothing_may_be_left_out() {
        let summary = summary(vec![Outcome::Passed, Outcome::LeftOut("node is missing".to_owned())]);
        assert!(summary.verdict(false).is_ok());
        assert!(summary.verdict(true).is_err());
        let table = summary.to_string();
        assert!(
            table.contains("left out") && table.contains("node is missing") && table.contains("2 min 02 s"),
            "{table}"
        );
    }

    #[test]
    fn the_steps_after_a_failed_one_still_run() {
        let steps = [
            Step { name: "first", run: |_| bail!("broken") },
            Step {
                name: "second",
                run: |session| {
                    session.python = Some("/usr/bin/python3".into());
                    Ok(Done::Ran)
                },
            },
        ];
        let mut session =
            Session { cargo: Cargo::of_this_workspace(), target: PathBuf::new(), python: None, node: None };
        let summary = Summary::of(&steps.iter().collect::<Vec<_>>(), &mut session);
        assert!(session.python.is_some());
        assert!(summary.verdict(false).is_err());
    }
}
