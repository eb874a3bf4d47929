//! `byokctl data encrypt`

use client::MESSAGE_MAX;

use crate::args::{Global, Pipe, Target};
use crate::connect::connect;
use crate::data::destination::{Destination, not_a_terminal};
use crate::data::progress::Bar;
use crate::data::source::Source;
use crate::data::{context, tell_sealed, whole_message};
use crate::failure::Failure;
use crate::view;

pub(crate) async fn run(global: &Global, target: Target, message: bool, pipe: Pipe) -> Result<(), Failure> {
    not_a_terminal(&pipe.out)?;
    let context = context(target.context)?;
    let app = target.app.full();
    let source = Source::open(&pipe.file)?;
    let mut destination = Destination::open(&pipe.out, pipe.force, false)?;
    let client = connect(global).await?;

    let sealed = if message {
        let hint = "leave out --message: a stream has no limit";
        let plaintext = whole_message(source.reader, MESSAGE_MAX, "the input", hint).await?;
        let bytes_in = plaintext.len() as u64;
        let answer = client.encrypt(&app, context, plaintext.into()).await?;
        destination.write_all(&answer.ciphertext).await?;
        view::Sealed {
            bytes_in,
            bytes_out: answer.ciphertext.len() as u64,
            protection: view::protection(answer.protection),
            data_key: answer.data_key,
            key_version: Some(answer.key_version).filter(|name| !name.is_empty()),
        }
    } else {
        let bar = Bar::new("encrypting", source.length, destination.is_pipe());
        let outcome =
            client.encrypt_stream(&app, context, source.reader, destination.writer(), |now| bar.at(now.read)).await;
        let cut_off = |failure: Failure| match destination.is_pipe() {
            true => failure.with_consequence("what was written is not a whole ciphertext"),
            false => failure,
        };
        let sealed = outcome.map_err(|error| cut_off(error.into()))?;
        view::Sealed {
            bytes_in: sealed.progress.read,
            bytes_out: sealed.progress.written,
            protection: view::protection(sealed.protection),
            data_key: sealed.data_key,
            key_version: Some(sealed.key_version).filter(|name| !name.is_empty()),
        }
    };
    finish(global, destination, &sealed).await
}

/// Gives the file its name and tells what is in it.
pub(crate) async fn finish(global: &Global, destination: Destination, sealed: &view::Sealed) -> Result<(), Failure> {
    let name = destination.file_name();
    destination.keep().await?;
    tell_sealed(global, name.as_deref(), sealed)
}
