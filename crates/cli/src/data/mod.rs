//! `byokctl data …`: files and pipes of any size.

mod bulk;
mod decrypt;
pub(crate) mod destination;
mod encrypt;
mod files;
mod inspect;
mod lines;
mod once_more;
mod progress;
mod reencrypt;
mod scan;
mod source;

use std::collections::HashMap;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::args::{DataVerb, Global, Output};
use crate::failure::Failure;
use crate::{output, view};

pub(crate) async fn run(global: &Global, verb: DataVerb) -> Result<(), Failure> {
    match verb {
        DataVerb::Encrypt { target, message, pipe } => encrypt::run(global, target, message, pipe).await,
        DataVerb::Decrypt { target, pipe } => decrypt::run(global, target, pipe).await,
        DataVerb::Inspect { paths, lines, workspace } => match &paths[..] {
            [file] if !lines && workspace.is_none() && !file.is_dir() => inspect::run(global, file).await,
            paths => scan::run(global, paths, lines, workspace.as_ref()).await,
        },
        DataVerb::Reencrypt { target, lines: true, pipe, .. } => bulk::run_lines(global, target, pipe).await,
        DataVerb::Reencrypt { target, in_place: true, pipe, .. } => bulk::run_files(global, target, &pipe.file).await,
        DataVerb::Reencrypt { pipe, .. } if pipe.file.is_dir() => {
            Err(Failure::caller(format!("{} is a directory", pipe.file.display()))
                .hint("with --in-place every file in it is encrypted again, each in its place"))
        }
        DataVerb::Reencrypt { target, new_context, no_context, pipe, .. } => {
            reencrypt::run(global, target, new_context, no_context, pipe).await
        }
    }
}

/// Entries as requests carry them; the same key twice is refused rather than one value silently lost.
fn context(entries: Vec<(String, String)>) -> Result<HashMap<String, String>, Failure> {
    let mut context = HashMap::with_capacity(entries.len());
    for (key, value) in entries {
        if let Some(before) = context.insert(key.clone(), value) {
            return Err(Failure::caller(format!("the context has {key:?} twice (once with {before:?})"))
                .hint("give each context key once"));
        }
    }
    Ok(context)
}

/// All of an input that has to be one message, or a refusal that names the limit.
async fn whole_message(
    reader: impl AsyncRead + Unpin,
    limit: usize,
    what: &str,
    hint: &str,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells "too long" from "just fits".
    let read = reader.take(limit as u64 + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| read_failure(&error))?;
    if bytes.len() > limit {
        return Err(Failure::caller(format!("{what} is larger than {}", output::bytes(limit as u64))).hint(hint));
    }
    Ok(bytes)
}

fn read_failure(error: &io::Error) -> Failure {
    Failure::caller(format!("reading the input failed: {error}"))
        .hint("check the input file or the program before the pipe")
}

/// Tells what was sealed into a file: to a person on standard error, to a program on standard output. A pipe carries data
/// only, so there nothing is said.
fn tell_sealed(global: &Global, file: Option<&str>, sealed: &view::Sealed) -> Result<(), Failure> {
    match (file, global.output) {
        (None, _) => Ok(()),
        (Some(_), Output::Json) => output::print(&output::document(sealed)?),
        (Some(name), Output::Table) => {
            say(&format!(
                "{name}: {} under {}, {}",
                output::bytes(sealed.bytes_out),
                sealed.protection,
                sealed.data_key
            ));
            Ok(())
        }
    }
}

/// Talk, to standard error.
fn say(text: &str) {
    use std::io::Write;
    // If nobody listens, the exit code still speaks.
    let _ = writeln!(anstream::stderr().lock(), "{}", crate::failure::one_line(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A context key given twice is refused: one of the values would be lost, and with it the data.
    #[test]
    fn a_context_key_given_twice_is_refused() {
        let twice = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert!(context(twice).is_err());
        assert_eq!(context(vec![("a".to_owned(), "1".to_owned())]).unwrap().len(), 1);
    }

    /// A message one byte too long is refused; one that just fits is not.
    #[tokio::test]
    async fn a_message_has_a_limit() {
        assert_eq!(whole_message(&[1; 8][..], 8, "it", "stream it").await.unwrap().len(), 8);
        assert!(whole_message(&[1; 9][..], 8, "it", "stream it").await.is_err());
    }
}
