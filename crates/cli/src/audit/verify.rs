//! `byokctl audit verify`: is an export as it was written?

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use domain::ledger::SignedCheckpoint;
use ledger::{CheckpointJson, Report, Verifier};
use serde::Serialize;

use super::unreadable;
use crate::args::{Global, Output};
use crate::failure::{Exit, Failure, one_line};
use crate::output;

pub(crate) fn run(
    global: &Global,
    export: &Path,
    kept: &[std::path::PathBuf],
    public_keys: Vec<[u8; 32]>,
) -> Result<(), Failure> {
    let kept = kept.iter().map(|path| read_kept(path)).collect::<Result<Vec<_>, _>>()?;
    let mut verifier = Verifier::new(public_keys, kept);
    lines(export, |line| verifier.line(line))?;
    tell(global, &verifier.finish())
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

/// Every line of a file or of standard input, without its line end. Bytes that are no text come as what is no line of an export.
pub(super) fn lines(path: &Path, mut take: impl FnMut(&str)) -> Result<(), Failure> {
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
            Ok(_) => take(&String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line))),
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
}

#[derive(Serialize)]
struct Verdict {
    good: bool,
    chain: Option<String>,
    events: u64,
    first: Option<u64>,
    last: Option<u64>,
    checkpoints: u64,
    public_key: Option<String>,
    key_was_known: bool,
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
            checkpoints: report.checkpoints,
            public_key: report.public_key.clone(),
            key_was_known: report.key_was_known,
            findings: report.findings.iter().map(ToString::to_string).collect(),
        }
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
                let key = verdict.public_key.as_deref().unwrap_or("?");
                text.push_str(&match report.key_was_known {
                    true => format!("{} checkpoints signed by {key}\n", report.checkpoints),
                    false => format!(
                        "{} checkpoints signed by {key}: compare it with the one you kept (--checkpoint, --public-key)\n",
                        report.checkpoints
                    ),
                });
            }
            if report.kept_is_older {
                text.push_str("the kept checkpoint is from before this part, and says nothing of it\n");
            }
            output::print(&text)?;
        }
    }
    if verdict.good {
        return Ok(());
    }
    let message = match &verdict.findings[..] {
        [one] => format!("this is not the ledger as it was written: {one}"),
        more => format!("this is not the ledger as it was written: {} findings, first: {}", more.len(), more[0]),
    };
    let hint = "keep the file; export again and compare; ask who could have changed it".to_owned();
    Err(Failure { exit: Exit::Service, message, hint })
}
