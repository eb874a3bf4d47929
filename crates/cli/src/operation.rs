//! `byokctl operation …`, and watching one with a bar.

use std::io::{self, IsTerminal, Write};

use client::{Client, pb};
use domain::name;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::{Global, OperationVerb, Output};
use crate::connect::connect;
use crate::failure::{Exit, Failure, one_line};
use crate::{output, view};

pub(crate) async fn run(global: &Global, verb: OperationVerb) -> Result<(), Failure> {
    let client = connect(global).await?;
    match verb {
        OperationVerb::Get { operation } => {
            let request = pb::GetOperationRequest { name: name::operation(operation) };
            show(global, client.operation(request).await?.into())
        }
        OperationVerb::List { workspace } => {
            let found = client.operations(&name::workspace(&workspace)).await?;
            let operations: Vec<view::Operation> = found.into_iter().map(Into::into).collect();
            let row = |o: &view::Operation| {
                let data_keys = format!("{}/{}", o.done, o.total);
                let [id, kind, state] = [o.name.replace("operations/", ""), o.kind.clone(), o.state.clone()];
                [id, kind, state, data_keys, o.actor.clone(), o.create_time.clone().unwrap_or_default()]
            };
            let rows: Vec<_> = operations.iter().map(row).collect();
            let heads = ["OPERATION", "KIND", "STATE", "DATA KEYS", "ACTOR", "BEGUN"];
            output::many(global, heads, &rows, &view::Operations { operations })
        }
        OperationVerb::Cancel { operation } => {
            let request = pb::CancelOperationRequest { name: name::operation(operation) };
            show(global, client.cancel_operation(request).await?.into())
        }
        OperationVerb::Approve { operation } => {
            let request = pb::ApproveRequest { name: name::operation(operation) };
            show(global, client.approve_operation(request).await?.into())
        }
        OperationVerb::Reject { operation } => {
            let request = pb::RejectRequest { name: name::operation(operation) };
            show(global, client.reject_operation(request).await?.into())
        }
        OperationVerb::Watch { operation } => watch(global, &client, &name::operation(operation)).await,
    }
}

/// Watches an operation to its end and prints how it ended. One that did not end as done is a failure.
pub(crate) async fn watch(global: &Global, client: &Client, name: &str) -> Result<(), Failure> {
    let bar = Bar::new();
    let mut last: Option<pb::Operation> = None;
    let mut moves = client.watch_operation(name).await?;
    while let Some(now) = moves.next().await? {
        bar.at(&now);
        last = Some(now);
    }
    drop(bar);
    let Some(last) = last else {
        return Err(Failure::caller("the service told nothing of the operation").hint("try again"));
    };
    let (state, reason, remedy) = (last.state(), last.reason(), last.remedy.clone());
    show(global, last.into())?;
    match state {
        pb::OperationState::Done => Ok(()),
        pb::OperationState::Failed => Err(Failure {
            exit: Exit::Service,
            message: format!("the operation failed [{}]", view::reason(reason.into()).unwrap_or_default()),
            hint: remedy,
        }),
        pb::OperationState::Cancelled => {
            Err(Failure::caller("the operation was cancelled").hint("what it has done stays; begin it again to go on"))
        }
        pb::OperationState::Rejected => {
            Err(Failure::caller("the operation was rejected").hint("ask whoever rejected it; nothing was done of it"))
        }
        pb::OperationState::Expired => {
            Err(Failure::caller("nobody approved the operation in time").hint("ask for it again"))
        }
        pb::OperationState::Unspecified
        | pb::OperationState::Planned
        | pb::OperationState::Running
        | pb::OperationState::AwaitingApproval
        | pb::OperationState::Waiting => Err(Failure::caller("the operation has not ended").hint("watch it again")),
    }
}

pub(crate) fn show(global: &Global, operation: view::Operation) -> Result<(), Failure> {
    let mut fields = vec![
        ("operation", operation.name.clone()),
        ("kind", operation.kind.clone()),
        ("state", operation.state.clone()),
        ("data keys", format!("{} of {}", operation.done, operation.total)),
        ("begun by", operation.actor.clone()),
        ("begun", operation.create_time.clone().unwrap_or_default()),
    ];
    let more = [
        ("to version", operation.to_version.clone()),
        ("to key", operation.key_identifier.clone()),
        ("to tenant", operation.tenant_id.clone()),
        ("data key", operation.data_key.clone()),
        ("switched", operation.switch_time.clone()),
        ("ended", operation.finish_time.clone()),
        ("reason", operation.reason.clone()),
        ("remedy", operation.remedy.clone()),
    ];
    if let Some(approval) = &operation.approval {
        let by = approval.approve_by.clone().unwrap_or_default();
        fields.push(match (&approval.decided_by, approval.approved) {
            (None, _) => ("approval", format!("by somebody else than {}, until {by}", operation.actor)),
            (Some(who), true) => ("approved by", who.clone()),
            (Some(who), false) => ("rejected by", who.clone()),
        });
        fields.extend(approval.not_before.clone().map(|at| ("not before", at)));
    }
    fields.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    output::one(global, &fields, &operation)
}

/// What a rotation takes, for people, before it begins.
pub(crate) fn show_plan(global: &Global, plan: &view::Plan) -> Result<(), Failure> {
    let fields = [
        ("from version", plan.from_version.clone()),
        ("to version", plan.to_version.clone()),
        ("data keys", plan.data_keys.to_string()),
        ("vault calls", plan.vault_calls.to_string()),
        ("at most", format!("{:.0} calls a second", plan.calls_per_second)),
        ("takes about", format!("{:.1} s", plan.eta_seconds)),
    ];
    output::one(global, &fields, plan)
}

/// Says something beside the data, for people only.
pub(crate) fn say(global: &Global, what: &str) {
    if global.output == Output::Table {
        // Nobody is left to be told that telling failed.
        let _ = writeln!(anstream::stderr().lock(), "{}", one_line(what));
    }
}

/// A bar on a terminal, with what is left; nothing elsewhere.
struct Bar(ProgressBar);

const TEMPLATE: &str = "{msg} {wide_bar} {pos}/{len} data keys, {eta} left";

impl Bar {
    fn new() -> Self {
        let watched = io::stderr().is_terminal();
        Self::on(if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() })
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::with_draw_target(Some(0), target).with_style(style))
    }

    fn at(&self, operation: &pb::Operation) {
        self.0.set_length(u64::try_from(operation.total).unwrap_or(0));
        self.0.set_position(u64::try_from(operation.done).unwrap_or(0));
        let doing = match (operation.state(), operation.reason()) {
            (_, reason) if reason != pb::Reason::Unspecified => {
                format!("waiting: {}", view::reason(reason.into()).unwrap_or_default())
            }
            (pb::OperationState::AwaitingApproval, _) => "awaiting approval".to_owned(),
            (pb::OperationState::Waiting, _) => "approved, waiting".to_owned(),
            _ if operation.switch_time.is_some() => "switched".to_owned(),
            _ => "wrapping".to_owned(),
        };
        self.0.set_message(doing);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal of 100 columns that keeps the last line drawn on it.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl Paper {
        fn shows(&self) -> String {
            anstream::adapter::strip_str(self.0.lock().unwrap().trim()).to_string()
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            100
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn wrapping(done: i64) -> pb::Operation {
        pb::Operation { state: pb::OperationState::Running.into(), total: 10, done, ..Default::default() }
    }

    /// On a terminal: what is being done, a bar that grows, how many of how many, and the time that is left; why it waits, while it
    /// does; and nothing is left of it at the end.
    #[test]
    fn a_bar_shows_what_is_done_and_the_time_that_is_left() {
        let paper = Paper::default();
        let bar = Bar::on(ProgressDrawTarget::term_like(Box::new(paper.clone())));
        let full = |text: &str| text.matches('█').count();
        let mut before = 0;
        for done in [0, 4, 9] {
            bar.at(&wrapping(done));
            let text = paper.shows();
            let (front, left) = text.split_once(" data keys, ").unwrap_or_else(|| panic!("{text:?}"));
            assert!(front.starts_with("wrapping ") && front.ends_with(&format!(" {done}/10")), "{text}");
            assert!(left.starts_with(|c: char| c.is_ascii_digit()) && left.ends_with("s left"), "no time left: {text}");
            assert!(done == 0 || full(&text) > before, "the bar does not grow: {text}");
            assert!(text.chars().count() <= 100, "{text}");
            before = full(&text);
        }
        bar.at(&pb::Operation { reason: pb::Reason::KeyDisabled.into(), ..wrapping(9) });
        assert!(paper.shows().starts_with("waiting: KEY_DISABLED "), "{}", paper.shows());
        bar.at(&pb::Operation { switch_time: Some(client::time(0)), ..wrapping(10) });
        assert!(paper.shows().starts_with("switched ") && paper.shows().contains("10/10"), "{}", paper.shows());
        drop(bar);
        assert_eq!(paper.shows(), "");
    }

    /// The template parses, and nothing is drawn where nobody watches.
    #[test]
    fn a_bar_that_nobody_watches_draws_nothing() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let bar = Bar::new();
        bar.at(&pb::Operation { total: 10, done: 3, ..Default::default() });
        assert!(bar.0.is_hidden() || io::stderr().is_terminal());
        assert_eq!((bar.0.position(), bar.0.length()), (3, Some(10)));
    }
}
