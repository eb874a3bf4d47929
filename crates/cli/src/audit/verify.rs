//! `byokctl audit verify`: is an export as it was written?

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use domain::ledger::SignedCheckpoint;
use ledger::{CheckpointJson, Finding, Report, Verifier};
use serde::Serialize;

use super::args::Known;
use super::export::BEHIND;
use super::unreadable;
use crate::args::{Global, Output};
use crate::failure::{Exit, Failure, one_line};
use crate::output;

pub(crate) fn run(global: &Global, export: &Path, known: Known) -> Result<(), Failure> {
    let mut verifier = verifier(known)?;
    lines(export, |line| verifier.bytes(line))?;
    tell(global, &verifier.finish())
}

/// One that knows what the caller knows from elsewhere.
pub(super) fn verifier(known: Known) -> Result<Verifier, Failure> {
    let kept = known.checkpoint.iter().map(|path| read_kept(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(Verifier::new(known.public_key, kept).after(known.after))
}

/// The checkpoint in a file.
fn read_kept(path: &Path) -> Result<SignedCheckpoint, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let read = serde_json::from_str::<CheckpointJson>(&text).ok().and_then(|json| json.read());
    read.ok_or_else(|| {
        Failure::caller(format!("{} holds no checkpoint", path.display()))
            .hint("name a file that `byokctl audit checkpoint -o FILE` wrote")
    })
}

/// Every line of a file or of standard input, without its line end, in the bytes that are there.
pub(super) fn lines(path: &Path, mut take: impl FnMut(&[u8])) -> Result<(), Failure> {
    let input: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).map_err(|error| unreadable(path, &error))?),
    };
    let mut reader = BufReader::with_capacity(1 << 20, input);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => take(line.strip_suffix(b"\n").unwrap_or(&line)),
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
}

/// What is said of an export whose [`Report::kept_is_older`].
pub(super) const NOT_TIED: &str = "nothing ties this part to the checkpoint that was kept, which is from before it";

#[derive(Serialize)]
struct Verdict {
    good: bool,
    chain: Option<String>,
    events: u64,
    first: Option<u64>,
    last: Option<u64>,
    after: u64,
    behind: bool,
    checkpoints: u64,
    public_key: Option<String>,
    key_was_known: bool,
    kept_is_older: bool,
    findings: Vec<String>,
}

impl From<&Report> for Verdict {
    fn from(report: &Report) -> Self {
        Self {
            good: report.is_good(),
            chain: report.chain.as_ref().map(ToString::to_string),
            events: report.events,
            first: report.range.map(|(first, _)| first),
            last: report.range.map(|(_, last)| last),
            after: report.after,
            behind: report.behind,
            checkpoints: report.checkpoints,
            public_key: report.public_key.clone(),
            key_was_known: report.key_was_known,
            kept_is_older: report.kept_is_older,
            findings: report.findings.iter().map(ToString::to_string).collect(),
        }
    }
}

/// How many checkpoints hold and by which key, and whether the caller named it.
pub(super) fn signed_by(report: &Report) -> String {
    let key = report.public_key.as_deref().unwrap_or("?");
    let signed = format!("{} checkpoints signed by {key}", report.checkpoints);
    match report.key_was_known {
        true => signed,
        false => format!("{signed}: compare it with the one you kept (--checkpoint, --public-key)"),
    }
}

/// What is said of a part's beginning; of a whole chain nothing.
pub(super) fn beginning(report: &Report) -> String {
    match report.after.checked_add(1) {
        Some(1) | None => String::new(),
        Some(first) => format!("it begins at event {first}: what stands before is not looked at\n"),
    }
}

fn tell(global: &Global, report: &Report) -> Result<(), Failure> {
    let verdict = Verdict::from(report);
    match global.output {
        Output::Json => output::print(&output::document(&verdict)?)?,
        Output::Table => {
            let mut text: String = verdict.findings.iter().map(|finding| format!("{}\n", one_line(finding))).collect();
            if verdict.good {
                let range =
                    report.range.map_or_else(|| "no events".to_owned(), |(from, to)| format!("events {from} to {to}"));
                let chain = verdict.chain.as_deref().unwrap_or("?");
                text.push_str(&format!("{chain}: {range} are as they were written\n"));
                text.push_str(&beginning(report));
                text.push_str(&format!("{}\n", signed_by(report)));
            }
            if report.behind {
                text.push_str(&format!("{BEHIND}\n"));
            }
            output::print(&text)?;
        }
    }
    if verdict.good {
        return Ok(());
    }
    let message = match &verdict.findings[..] {
        [] => {
            let hint =
                "take an export that begins where the checkpoint was made, or earlier: audit export --after".to_owned();
            return Err(Failure { exit: Exit::Service, message: NOT_TIED.to_owned(), hint });
        }
        [one] => format!("this is not the ledger as it was written: {one}"),
        more => format!("this is not the ledger as it was written: {} findings, first: {}", more.len(), more[0]),
    };
    let hint = match (&report.findings[..], report.after) {
        ([Finding::Missing { to, .. }], after) if *to == after => format!(
            "export the whole chain again and compare; if you yourself asked for what came after event {after}, say so: --after {after}"
        ),
        _ => "keep the file; export again and compare; ask who could have changed it".to_owned(),
    };
    Err(Failure { exit: Exit::Service, message, hint })
}
