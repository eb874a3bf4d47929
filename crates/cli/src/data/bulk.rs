//! `byokctl data reencrypt` of many: every file in a directory, or every line of base64.
//!
//! It can be stopped and run again at any time: what is under the app's present data key is left as it is, a file is replaced in
//! one step, and what could not be done stays as it was.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use client::Client;
use envelope::HEADER_LEN;
use tokio::io::{AsyncReadExt, BufReader};

use crate::args::{AppName, Global, Output, Pipe, Target};
use crate::connect::connect;
use crate::data::destination::Destination;
use crate::data::once_more::{NotDone, Terms, seal_again};
use crate::data::progress::Bar;
use crate::data::source::Source;
use crate::data::{context, files, inspect, lines, say};
use crate::failure::Failure;
use crate::output;
use crate::view::usage::{Bad, ReEncrypted};

/// Every file below the directory.
pub(crate) async fn run_files(global: &Global, target: Target, directory: &Path) -> Result<(), Failure> {
    let mut work = Work::begin(global, target).await?;
    let files = files::below(directory)?;
    let bar = Bar::of_many("re-encrypting", Some(files.len() as u64));
    let mut stopped = None;
    for (n, path) in files.iter().enumerate() {
        match work.file(path).await {
            Ok(()) => {}
            Err(NotDone { failure, its_own: true }) => work.bad(path.display().to_string(), &failure),
            Err(NotDone { failure, its_own: false }) => {
                stopped = Some(failure);
                break;
            }
        }
        bar.at(n as u64 + 1);
    }
    drop(bar);
    work.tell(global, stopped)
}

/// Every line of the input.
pub(crate) async fn run_lines(global: &Global, target: Target, pipe: Pipe) -> Result<(), Failure> {
    let mut work = Work::begin(global, target).await?;
    let source = Source::open(&pipe.file)?;
    let mut destination = Destination::open(&pipe.out, pipe.force, false)?;
    let to_a_file = !destination.is_pipe();
    let bar = Bar::new("re-encrypting", source.length, !to_a_file);
    let mut reader = BufReader::new(source.reader);
    let (mut number, mut read, mut stopped) = (0, 0, None);
    while let Some(line) = lines::next(&mut reader).await? {
        (number, read) = (number + 1, read + line.len() as u64);
        bar.at(read);
        let new = match stopped {
            // The rest is kept as it is, so that what was done is not lost and the next run goes on from here.
            Some(_) => None,
            None => match work.line(&line).await {
                Ok(new) => new,
                Err(NotDone { failure, its_own: true }) => {
                    work.bad(format!("line {number}"), &failure);
                    None
                }
                Err(NotDone { failure, its_own: false }) => {
                    stopped = Some(failure);
                    None
                }
            },
        };
        destination.write_all(new.as_deref().unwrap_or(&line)).await?;
    }
    drop(bar);
    destination.keep().await?;
    // Into a pipe goes data and nothing else.
    if to_a_file { work.tell(global, stopped) } else { work.end(stopped) }
}

/// What is done, and what is known of the app.
struct Work {
    client: Client,
    terms: Terms,
    done: ReEncrypted,
}

impl Work {
    async fn begin(global: &Global, target: Target) -> Result<Self, Failure> {
        let AppName { workspace, .. } = &target.app;
        let (app, parent) = (target.app.full(), domain::name::workspace(workspace));
        let terms = Terms { app, old: context(target.context)?, new: None };
        let client = connect(global).await?;
        let coverage = client.coverage(&parent, &terms.app).await?;
        let present = coverage.into_iter().flat_map(|app| app.data_keys).find(|key| key.present);
        let data_key = present.map(|key| id(&key.data_key).to_owned());
        Ok(Self { client, terms, done: ReEncrypted { data_key, ..ReEncrypted::default() } })
    }

    /// Whether what begins like this is under the present data key.
    fn is_done(&self, front: &[u8]) -> Result<bool, NotDone> {
        let header = inspect::header(front).map_err(|failure| NotDone { failure, its_own: true })?;
        Ok(self.done.data_key.as_deref() == Some(hex::encode(header.data_key_id).as_str()))
    }

    async fn file(&mut self, path: &Path) -> Result<(), NotDone> {
        let own = |failure| NotDone { failure, its_own: true };
        let mut source = Source::open(path).map_err(own)?;
        let before = metadata(path).map_err(own)?;
        let mut front = Vec::with_capacity(HEADER_LEN);
        let read = (&mut source.reader).take(HEADER_LEN as u64).read_to_end(&mut front).await;
        read.map_err(|error| own(super::read_failure(&error)))?;
        if self.is_done(&front)? {
            self.done.skipped += 1;
            return Ok(());
        }
        let stop = |failure| NotDone { failure, its_own: false };
        let mut destination = Destination::open(path, true, false).map_err(stop)?;
        destination.look_like(&before).map_err(stop)?;
        let reader = (&front[..]).chain(source.reader);
        let sealed = seal_again(&self.client, &self.terms, reader, destination.writer(), |_| {}).await?;
        // Somebody wrote it meanwhile: theirs is the newer one.
        if !same(&before, &metadata(path).map_err(own)?) {
            let hint = "run it again; let nobody write these files meanwhile";
            return Err(own(Failure::caller("the file was changed while it was encrypted again").hint(hint)));
        }
        destination.keep().await.map_err(stop)?;
        self.sealed_under(&sealed.data_key);
        Ok(())
    }

    /// What takes the line's place; `None`: it stays.
    async fn line(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, NotDone> {
        let own = |why: &str| {
            let hint = "check that each line is one ciphertext in base64";
            NotDone { failure: Failure::caller(why).hint(hint), its_own: true }
        };
        let text = lines::text(line).map_err(own)?;
        if text.is_empty() {
            return Ok(None);
        }
        let (old, spelling) = lines::decode(text).map_err(own)?;
        if self.is_done(&old)? {
            self.done.skipped += 1;
            return Ok(None);
        }
        let mut new = Vec::new();
        let sealed = seal_again(&self.client, &self.terms, &old[..], &mut new, |_| {}).await?;
        self.sealed_under(&sealed.data_key);
        let mut written = spelling.write(&new).into_bytes();
        if line.ends_with(b"\n") {
            written.push(b'\n');
        }
        Ok(Some(written))
    }

    /// A rotation gives the app another present data key: the answers say so.
    fn sealed_under(&mut self, data_key: &str) {
        self.done.re_encrypted += 1;
        self.done.data_key = Some(id(data_key).to_owned());
    }

    fn bad(&mut self, at: String, failure: &Failure) {
        self.done.bad.push(Bad { at, why: failure.message.clone() });
    }

    fn tell(self, global: &Global, stopped: Option<Failure>) -> Result<(), Failure> {
        match global.output {
            Output::Json => output::print(&output::document(&self.done)?)?,
            Output::Table => {
                let ReEncrypted { re_encrypted, skipped, data_key, .. } = &self.done;
                let key = data_key.as_deref().unwrap_or("none yet");
                say(&format!("{re_encrypted} encrypted again, {skipped} were already under data key {key}"));
            }
        }
        self.end(stopped)
    }

    fn end(self, stopped: Option<Failure>) -> Result<(), Failure> {
        let bad = &self.done.bad;
        bad.iter().for_each(|bad| say(&format!("{}: {}", bad.at, bad.why)));
        match (stopped, bad.len()) {
            (Some(failure), _) => {
                let done = self.done.re_encrypted;
                Err(failure.with_consequence(&format!("{done} were encrypted again before; run it again to go on")))
            }
            (None, 0) => Ok(()),
            (None, count) => Err(Failure::caller(format!("{count} could not be encrypted again and are as they were"))
                .hint("each is named above, or under `bad` in the JSON; check its app and context")),
        }
    }
}

/// The last part of a data key's name.
fn id(data_key: &str) -> &str {
    data_key.rsplit('/').next().unwrap_or_default()
}

fn metadata(path: &Path) -> Result<Metadata, Failure> {
    std::fs::metadata(path).map_err(|error| {
        Failure::caller(format!("{} cannot be read: {error}", path.display())).hint("check the file's permissions")
    })
}

/// Whether a file is the one it was, as far as its directory tells.
fn same(a: &Metadata, b: &Metadata) -> bool {
    let of = |m: &Metadata| (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    of(a) == of(b)
}
