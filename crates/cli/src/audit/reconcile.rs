//! `byokctl audit reconcile`: the customer's own Key Vault log, held against the ledger.

use std::path::Path;
use std::time::Duration;

use ledger::Report;
use ledger::export::Line;
use ledger::reconcile::{Calls, OneSided, Operation, Reconciled, VaultLog};
use serde::Serialize;

use super::args::Known;
use super::export::BEHIND;
use super::{unreadable, verify};
use crate::args::{Global, Output};
use crate::failure::{Exit, Failure};
use crate::output;

pub(crate) fn run(
    global: &Global,
    export: &Path,
    vault_log: &Path,
    (application, margin): (&str, Duration),
    known: Known,
) -> Result<(), Failure> {
    let mut verifier = verify::verifier(known)?;
    let mut calls = Calls::default();
    let mut unread = None;
    verify::lines(export, |line| {
        verifier.bytes(line);
        if let Ok(text) = str::from_utf8(line)
            && let Ok(Line::Event(event)) = Line::read(text)
            && !calls.take(&event)
        {
            unread = Some(event.number);
        }
    })?;
    // What was tampered with proves nothing about anybody's log.
    let report = verifier.finish();
    if !report.is_good() {
        let why = report.findings.first().map_or_else(|| verify::NOT_TIED.to_owned(), ToString::to_string);
        return Err(Failure::caller(format!("{} is no export to rely on: {why}", export.display()))
            .hint("see all that is wrong with it: byokctl audit verify"));
    }
    if let Some(number) = unread {
        return Err(Failure::caller(format!("event {number} holds calls in a form that is not known here"))
            .hint("take a byokctl that is not older than the service"));
    }
    let text = std::fs::read_to_string(vault_log).map_err(|error| unreadable(vault_log, &error))?;
    let log = VaultLog::read(&text).map_err(|why| {
        Failure::caller(format!("{} is no log of a Key Vault: {why}", vault_log.display()))
            .hint("export the category AuditEvent of the vault's diagnostic settings as JSON, with all its columns")
    })?;
    let sides = (calls.len(), log.len());
    tell(global, &report, sides, &calls.against(log, application.trim(), margin))
}

#[derive(Serialize)]
struct Told {
    good: bool,
    from: Option<String>,
    until: Option<String>,
    ledger_calls: usize,
    vault_entries: usize,
    matched: u64,
    matched_without_answer: u64,
    never_arrived: u64,
    by_others: u64,
    unauthenticated: u64,
    outside_log: u64,
    outside_ledger: u64,
    left_out: u64,
    /// The key that signed the export, and whether the caller named it.
    public_key: Option<String>,
    key_was_known: bool,
    /// The event that the export begins after, and whether the service could not write its latest events before.
    after: u64,
    behind: bool,
    one_sided: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    only_in: &'static str,
    time: String,
    operation: &'static str,
    version: Option<String>,
    outcome: String,
    ids: Vec<String>,
    /// The ledger's event, or the record's place in the vault's log.
    place: u64,
}

fn row(one: &OneSided) -> Row {
    match one {
        OneSided::VaultOnly(entry) => Row {
            only_in: "vault",
            time: entry.at.to_string(),
            operation: entry.operation.name(),
            version: entry.version.map(|version| version.to_string()),
            outcome: entry.status.map_or_else(|| "?".to_owned(), |status| status.to_string()),
            ids: entry.ids.clone(),
            place: entry.place,
        },
        OneSided::LedgerOnly(call) => Row {
            only_in: "ledger",
            time: call.at.to_string(),
            operation: if call.purpose.wraps() { Operation::Wrap } else { Operation::Unwrap }.name(),
            version: Some(call.version.to_string()),
            outcome: call.outcome.clone(),
            ids: [&call.request_id, &call.client_request_id].into_iter().flatten().cloned().collect(),
            place: call.event,
        },
    }
}

fn tell(
    global: &Global,
    export: &Report,
    (ledger_calls, vault_entries): (usize, usize),
    found: &Reconciled,
) -> Result<(), Failure> {
    // Short logs have no time without their ends, and are good where both sides say the same all the same.
    let all_matched = found.matched > 0 && found.outside_log + found.outside_ledger == 0;
    let told = Told {
        good: found.one_sided.is_empty() && (found.window.is_some() || all_matched),
        from: found.window.map(|(from, _)| from.to_string()),
        until: found.window.map(|(_, until)| until.to_string()),
        ledger_calls,
        vault_entries,
        matched: found.matched,
        matched_without_answer: found.unanswered,
        never_arrived: found.never_arrived,
        by_others: found.by_others,
        unauthenticated: found.unauthenticated,
        outside_log: found.outside_log,
        outside_ledger: found.outside_ledger,
        left_out: found.left_out,
        public_key: export.public_key.clone(),
        key_was_known: export.key_was_known,
        after: export.after,
        behind: export.behind,
        one_sided: found.one_sided.iter().map(row).collect(),
    };
    match global.output {
        Output::Json => output::print(&output::document(&told)?)?,
        Output::Table => {
            let behind = if told.behind { format!("{BEHIND}\n") } else { String::new() };
            let said = format!("{}\n{}{behind}", verify::signed_by(export), verify::beginning(export));
            output::print(&(said + &table(&told)))?;
        }
    }
    if told.good {
        return Ok(());
    }
    if !told.one_sided.is_empty() {
        return Err(Failure {
            exit: Exit::Service,
            message: format!("{} calls are on one side only", told.one_sided.len()),
            hint: "only in the vault: somebody else used the application's credential, or a replica was killed before it wrote; \
                   only in the ledger: the vault's log is incomplete"
                .to_owned(),
        });
    }
    Err(Failure::caller(
        "the ledger and the vault's log cover no common time that is longer than the margin at its ends",
    )
    .hint("export both for the same days; --margin says how long the ends are"))
}

fn table(told: &Told) -> String {
    let mut text = String::new();
    if let (Some(from), Some(until)) = (&told.from, &told.until) {
        text.push_str(&format!("from {from} until {until}\n"));
    }
    let counts = [
        (told.matched, "calls are in both"),
        (told.matched_without_answer, "entries fit a call of ours that was never answered"),
        (told.never_arrived, "calls of ours were never answered and never logged"),
        (told.by_others, "entries are of other applications and people"),
        (told.unauthenticated, "entries were refused before the vault knew who called"),
        (
            told.outside_log,
            "calls of ours lie outside the log's time, or at its ends: hold a log that overlaps it against them",
        ),
        (
            told.outside_ledger,
            "entries lie outside the ledger's time, or at its ends: hold an export that overlaps it against them",
        ),
        (told.left_out, "calls of ours were counted and not written down one by one"),
    ];
    for (count, what) in counts {
        if count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    if told.one_sided.is_empty() {
        return text;
    }
    let row = |row: &Row| {
        let place = match row.only_in {
            "vault" => format!("record {}", row.place),
            _ => format!("event {}", row.place),
        };
        let ids = row.ids.join(" ");
        [row.only_in.to_owned(), row.time.clone(), row.operation.to_owned(), row.outcome.clone(), place, ids]
    };
    let rows: Vec<_> = told.one_sided.iter().map(row).collect();
    text + &output::table(["ONLY IN", "TIME", "OPERATION", "OUTCOME", "PLACE", "IDS"], &rows)
}
