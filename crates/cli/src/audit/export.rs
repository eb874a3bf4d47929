//! `byokctl audit export`: a chain as JSON lines, to a file or a pipe.
//!
//! A file gets its name when it is whole. What came before a broken connection stays beside it, as `FILE.partial`, and the next
//! attempt goes on after the last event in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use client::Exported;
use domain::ledger::ChainName;
use ledger::export::{End, FORMAT, Head, Line};

use super::{not_an_answer, read_checkpoint, read_event, unreadable};
use crate::args::Global;
use crate::connect::connect;
use crate::failure::Failure;
use ledger::CheckpointJson;

pub(crate) async fn run(
    global: &Global,
    chain: &ChainName,
    out: &Path,
    after: u64,
    force: bool,
) -> Result<(), Failure> {
    if out.as_os_str() == "-" {
        let mut pages = Pages::begin(global, chain, after).await?;
        let mut pipe = BufWriter::new(io::stdout().lock());
        pages.write_to(&mut pipe, Done::default()).await?;
        return pipe.flush().map_err(|error| Failure::stdout(&error));
    }
    if out.exists() && !force {
        return Err(Failure::caller(format!("{} exists already", out.display()))
            .hint("choose another name, or replace it with --force"));
    }
    let partial = partial_name(out);
    let (mut file, done) = go_on(&partial, chain, after)?;
    let from = done.last.unwrap_or(after);
    if let Some(last) = done.last {
        eprintln_line(&format!("going on after event {last}"));
    }
    let mut pages = Pages::begin(global, chain, from).await?;
    if done.head.as_ref().is_some_and(|head| !pages.goes_on(head)) {
        return Err(Failure::caller(format!("{} is of another chain, installation or key", partial.display()))
            .hint("remove it, and export anew"));
    }
    let written = {
        let mut writer = BufWriter::new(&mut file);
        let outcome = pages.write_to(&mut writer, done).await;
        let flushed = writer.flush().map_err(|error| unwritable(&partial, &error));
        outcome.and_then(|count| flushed.map(|()| count))
    };
    let count = written.map_err(|failure| {
        failure.with_consequence("what came stays in the .partial file, and the same command goes on with it")
    })?;
    file.sync_all().map_err(|error| unwritable(&partial, &error))?;
    fs::rename(&partial, out).map_err(|error| unwritable(out, &error))?;
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The name is durable once the directory is. Some file systems cannot: then the system decides when.
    let _ = File::open(parent).and_then(|directory| directory.sync_all());
    eprintln_line(&format!("{count} events of {chain} are in {}", out.display()));
    Ok(())
}

/// What is said of an export before which the service could not write its latest events.
pub(super) const BEHIND: &str =
    "the service could not write its latest events before this export: they will be in a later one";

/// What a broken export left behind.
#[derive(Default)]
struct Done {
    head: Option<Head>,
    /// The last event's number and how many there are.
    last: Option<u64>,
    count: u64,
    /// The last event's hash.
    hash: String,
}

/// Opens the partial file where it can be gone on with: after its last whole event.
fn go_on(partial: &Path, chain: &ChainName, after: u64) -> Result<(File, Done), Failure> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(partial);
    let mut file = opened.map_err(|error| unwritable(partial, &error))?;
    let (mut done, mut whole) = (Done::default(), 0);
    let mut reader = BufReader::new(&mut file);
    let mut text = String::new();
    loop {
        text.clear();
        match reader.read_line(&mut text) {
            Ok(0) => break,
            Ok(read) if text.ends_with('\n') => match Line::read(text.trim_end_matches('\n')) {
                Ok(Line::Head(head)) if whole == 0 && head.chain == chain.to_string() && head.after == after => {
                    done.head = Some(head);
                    whole += read as u64;
                }
                Ok(Line::Event(event)) if done.head.is_some() => {
                    (done.last, done.hash) = (Some(event.number), event.hash);
                    done.count += 1;
                    whole += read as u64;
                }
                Ok(Line::Head(_) | Line::Event(_) | Line::End(_)) | Err(_) => break,
            },
            // Half a line, or no text: what comes after it cannot be trusted.
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => break,
            Err(error) => return Err(unreadable(partial, &error)),
        }
    }
    if done.last.is_none() {
        (done, whole) = (Done::default(), 0);
    }
    let cut = file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0)));
    cut.map_err(|error| unwritable(partial, &error))?;
    Ok((file, done))
}

/// An export as it comes.
pub(super) struct Pages {
    pages: Exported,
    head: Head,
}

impl Pages {
    pub(super) async fn begin(global: &Global, chain: &ChainName, after: u64) -> Result<Self, Failure> {
        let from = i64::try_from(after).map_err(|_| Failure::caller("no chain is so long").hint("lower --after"))?;
        let mut pages = connect(global).await?.export_events(&chain.to_string(), from).await?;
        let first = pages.next().await?.ok_or_else(not_an_answer)?;
        let head = Head {
            byokd_ledger: FORMAT,
            cluster: hex::encode(&first.cluster),
            chain: first.chain,
            public_key: hex::encode(&first.public_key),
            after,
        };
        if head.chain == chain.to_string() { Ok(Self { pages, head }) } else { Err(not_an_answer()) }
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// The next answer; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<client::pb::ExportEventsResponse>, Failure> {
        Ok(self.pages.next().await?)
    }

    fn goes_on(&self, head: &Head) -> bool {
        let is = |head: &Head| (head.cluster.clone(), head.chain.clone(), head.public_key.clone());
        is(head) == is(&self.head)
    }

    /// Writes the lines that are missing. How many events there are in all.
    async fn write_to(&mut self, out: &mut impl Write, done: Done) -> Result<u64, Failure> {
        let mut count = done.count;
        let mut line = |line: Line| {
            let text = line.write() + "\n";
            out.write_all(text.as_bytes()).map_err(|error| Failure::from(client::StreamError::Write(error)))
        };
        if done.head.is_none() {
            line(Line::Head(self.head.clone()))?;
        }
        let mut before = done.last.map(|_| done.hash);
        while let Some(answer) = self.pages.next().await? {
            for event in answer.events {
                let event = read_event(event);
                // What is gone on with must be the same chain.
                if before.take().is_some_and(|hash| hash != event.previous) {
                    return Err(Failure::caller("the partial export does not fit the chain as it is now")
                        .hint("keep the .partial file: it may show what was changed; then export to another name"));
                }
                count += 1;
                line(Line::Event(event))?;
            }
            if let Some(checkpoint) = answer.checkpoint {
                let checkpoint = CheckpointJson::from(&read_checkpoint(&checkpoint)?);
                line(Line::End(End { events: count, checkpoint, behind: answer.behind }))?;
                if answer.behind {
                    eprintln_line(BEHIND);
                }
                return Ok(count);
            }
        }
        Err(not_an_answer())
    }
}

fn partial_name(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    out.with_file_name(name)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::caller(format!("{} cannot be written: {error}", path.display()))
        .hint("check the directory, its permissions and its free space")
}

/// Talk goes to standard error.
pub(super) fn eprintln_line(text: &str) {
    // Nobody is left to be told that telling failed.
    let _ = writeln!(anstream::stderr().lock(), "{}", crate::failure::one_line(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a broken connection left is gone on with after its last whole event, and half a line counts for nothing.
    #[test]
    fn a_broken_export_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let partial = partial_name(&dir.path().join("acme.jsonl"));
        let chain: ChainName = "workspaces/acme".parse().unwrap();
        let head = Line::Head(Head {
            byokd_ledger: FORMAT,
            cluster: "00".repeat(16),
            chain: chain.to_string(),
            public_key: "11".repeat(32),
            after: 0,
        });
        let event = |number| {
            Line::Event(ledger::Event {
                number,
                time: ledger::Event::time_text(0),
                time_micros: 0,
                actor: "ann".to_owned(),
                event: "app.upserted".to_owned(),
                details: vec![],
                previous: "00".repeat(32),
                hash: format!("{number:064x}"),
            })
        };
        let whole: String = [head, event(1), event(2)].iter().map(|line| line.write() + "\n").collect();
        fs::write(&partial, format!("{whole}{{\"number\":3,\"ti")).unwrap();
        let (_, done) = go_on(&partial, &chain, 0).unwrap();
        assert_eq!((done.last, done.count, done.hash), (Some(2), 2, format!("{:064x}", 2)));
        assert_eq!(fs::read_to_string(&partial).unwrap(), whole);
        let (_, done) = go_on(&partial, &"platform".parse().unwrap(), 0).unwrap();
        assert_eq!((done.last, fs::read(&partial).unwrap().len()), (None, 0), "another chain's is begun anew");
    }
}
