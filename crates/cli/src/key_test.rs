//! `byokctl key test` and `byokctl key tests`: the steps as they happen, then all of them and what mends the first that failed.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use client::pb;
use client::pb::test_configuration_response::Event;
use domain::{WorkspaceId, name};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::args::{Candidate, Global, Output};
use crate::connect::connect;
use crate::failure::{Exit, Failure, one_line};
use crate::{output, view};

/// Runs a test. Not passed is a failure whose owner is that of the step to act on.
pub(crate) async fn run(global: &Global, workspace: &WorkspaceId, candidate: Candidate) -> Result<(), Failure> {
    let request = pb::TestConfigurationRequest {
        name: name::key(workspace),
        key_identifier: candidate.key_identifier.unwrap_or_default(),
        key_name: candidate.key_name.unwrap_or_default(),
        tenant_id: candidate.tenant.unwrap_or_default(),
    };
    let client = connect(global).await?;
    let mut teller = Teller::new(global.output);
    let test = client.test_configuration(request, |event| teller.tell(event)).await;
    let told = teller.end();
    let test = test?;
    told?;
    if global.output == Output::Table {
        output::print(&format!("\n{}", table(&test)?))?;
    }
    match test.steps.iter().find(|step| stops(step)) {
        None => Ok(()),
        Some(step) => Err(failure(step)),
    }
}

/// Lists the tests there have been.
pub(crate) async fn list(global: &Global, workspace: &WorkspaceId) -> Result<(), Failure> {
    let request = pb::ListKeyTestsRequest { parent: name::key(workspace), page_size: 0 };
    let found = connect(global).await?.key_tests(request).await?.tests;
    let tests: Vec<view::KeyTest> = found.into_iter().map(Into::into).collect();
    let row = |test: &view::KeyTest| {
        let stopped = test.steps.iter().find(|step| !matches!(step.state.as_str(), "PASSED" | "WARNING"));
        [
            test.start_time.clone().unwrap_or_default(),
            if test.passed { "passed" } else { "not passed" }.to_owned(),
            stopped
                .map(|step| format!("{} {}", step.step, step.reason.clone().unwrap_or_default()))
                .unwrap_or_default(),
            test.counts_until.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = tests.iter().map(row).collect();
    output::many(global, ["STARTED", "RESULT", "STOPPED AT", "COUNTS UNTIL"], &rows, &view::KeyTests { tests })
}

/// Whether a step is the one to act on.
fn stops(step: &pb::KeyTestStepResult) -> bool {
    !matches!(step.state(), pb::KeyTestStepState::Passed | pb::KeyTestStepState::Warning)
}

/// The exit code is the owner's of the step; its remedy is the hint.
fn failure(step: &pb::KeyTestStepResult) -> Failure {
    let exit = match step.owner.as_str() {
        "customer" => Exit::Customer,
        "caller" => Exit::Caller,
        _ => Exit::Service,
    };
    let message = format!("the step \"{}\" did not pass: {} [{}]", title(step.step()), step.finding, step.reason);
    let hint = if step.remedy.is_empty() { "test again".to_owned() } else { step.remedy.clone() };
    Failure { exit, message, hint }
}

/// Says each event when it comes: a line for people on standard error, moving only on a terminal; a line of JSON for programs.
struct Teller {
    output: Output,
    spinner: ProgressBar,
    broken: Option<Failure>,
}

impl Teller {
    fn new(output: Output) -> Self {
        let watched = output == Output::Table && io::stderr().is_terminal();
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let spinner = ProgressBar::with_draw_target(None, target);
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self { output, spinner, broken: None }
    }

    fn tell(&mut self, event: &Event) {
        if self.broken.is_some() {
            return;
        }
        let told = match self.output {
            Output::Json => view::TestEvent::line(event).and_then(|line| output::print(&line)),
            Output::Table => {
                self.tell_person(event);
                Ok(())
            }
        };
        self.broken = told.err();
    }

    fn tell_person(&self, event: &Event) {
        match event {
            Event::Started(step) => {
                let step = pb::KeyTestStep::try_from(*step).unwrap_or_default();
                self.spinner.set_message(title(step).to_owned());
            }
            Event::Ended(step) if step.state() == pb::KeyTestStepState::NotRun => {}
            Event::Ended(step) => self.spinner.suspend(|| {
                // Nobody is left to be told that telling failed.
                let _ = writeln!(anstream::stderr().lock(), "{}", line(step));
            }),
            Event::Finished(_) => self.spinner.finish_and_clear(),
        }
    }

    /// The line goes away; what stays is the outcome.
    fn end(self) -> Result<(), Failure> {
        self.spinner.finish_and_clear();
        self.broken.map_or(Ok(()), Err)
    }
}

/// `✓ name resolution (61 ms): acme.vault.azure.net leads to …`
fn line(step: &pb::KeyTestStepResult) -> String {
    let (mark, style) = mark(step.state());
    let finding = one_line(&step.finding);
    format!("{style}{mark}{style:#} {} ({}): {finding}", title(step.step()), took(step))
}

fn mark(state: pb::KeyTestStepState) -> (&'static str, Style) {
    let style = |colour: AnsiColor| Style::new().bold().fg_color(Some(colour.into()));
    match state {
        pb::KeyTestStepState::Passed => ("✓", style(AnsiColor::Green)),
        pb::KeyTestStepState::Warning => ("!", style(AnsiColor::Yellow)),
        pb::KeyTestStepState::PendingPropagation => ("…", style(AnsiColor::Yellow)),
        pb::KeyTestStepState::NotRun => ("-", Style::new().dimmed()),
        pb::KeyTestStepState::Failed | pb::KeyTestStepState::Unspecified => ("✗", style(AnsiColor::Red)),
    }
}

fn took(step: &pb::KeyTestStepResult) -> String {
    let took = step.duration.as_ref().and_then(|took| Duration::try_from(*took).ok()).unwrap_or_default();
    format!("{} ms", took.as_millis())
}

/// All steps, then what to do about those that are not simply passed.
fn table(test: &pb::KeyTest) -> Result<String, Failure> {
    let rows: Vec<[String; 4]> = test
        .steps
        .iter()
        .map(|step| [title(step.step()).to_owned(), view::state(step.state), took(step), step.reason.clone()])
        .collect();
    let mut text = output::table(["STEP", "STATE", "TOOK", "REASON"], &rows);
    for step in test.steps.iter().filter(|step| !step.reason.is_empty()) {
        text.push_str(&format!(
            "\n{}: {}\n  {}\n",
            title(step.step()),
            one_line(&step.finding),
            one_line(&step.remedy)
        ));
        if !step.command.is_empty() {
            text.push_str(&format!("  {}\n", one_line(&step.command)));
        }
    }
    let view = view::KeyTest::from(test.clone());
    text.push_str(&match view.counts_until {
        Some(until) => format!("\nPassed; counts until {until}.\n"),
        None => "\nNot passed.\n".to_owned(),
    });
    Ok(text)
}

/// A step as people call it.
fn title(step: pb::KeyTestStep) -> &'static str {
    let number = i64::from(i32::from(step));
    domain::key_test::Step::of_number(number).map_or("a step of a newer release", domain::key_test::Step::title)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(state: pb::KeyTestStepState, owner: &str) -> pb::KeyTestStepResult {
        pb::KeyTestStepResult {
            step: pb::KeyTestStep::Key.into(),
            state: state.into(),
            finding: "version 01 is disabled\u{1b}[2J".into(),
            reason: "KEY_DISABLED".into(),
            owner: owner.into(),
            remedy: "re-enable that version".into(),
            command: "az keyvault key set-attributes --enabled true".into(),
            ..Default::default()
        }
    }

    /// The exit code says who has to act, the hint what they do, and the command stands there to be pasted.
    #[test]
    fn the_step_to_act_on_decides_how_it_ends() {
        let failed = step(pb::KeyTestStepState::Failed, "customer");
        assert_eq!(failure(&failed).exit.code(), 3);
        assert_eq!(failure(&step(pb::KeyTestStepState::Failed, "service")).exit.code(), 4);
        assert_eq!(failure(&failed).hint, "re-enable that version");
        assert!(stops(&failed) && stops(&step(pb::KeyTestStepState::PendingPropagation, "customer")));
        assert!(!stops(&step(pb::KeyTestStepState::Warning, "customer")));
        let test = pb::KeyTest { steps: vec![failed], ..Default::default() };
        let text = anstream::adapter::strip_str(&table(&test).unwrap()).to_string();
        assert!(text.contains("\n  az keyvault key set-attributes --enabled true\n"), "{text}");
        assert!(text.ends_with("Not passed.\n") && !text.contains('\u{1b}'), "{text}");
    }
}
