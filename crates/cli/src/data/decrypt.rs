//! `byokctl data decrypt`

use client::MESSAGE_MAX;
use envelope::{HEADER_LEN, Kind, OVERHEAD};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::args::{Global, Output, Pipe, Target};
use crate::connect::connect;
use crate::data::destination::Destination;
use crate::data::progress::Bar;
use crate::data::source::Source;
use crate::data::{context, inspect, read_failure, say, whole_message};
use crate::failure::Failure;
use crate::{output, view};

pub(crate) async fn run(global: &Global, target: Target, pipe: Pipe) -> Result<(), Failure> {
    let context = context(target.context)?;
    let app = target.app.full();
    let mut source = Source::open(&pipe.file)?;
    // What is no ciphertext at all is said before the service is asked.
    let (header, kind) = header(&mut source.reader).await?;
    let reader = (&header[..]).chain(source.reader);
    let mut destination = Destination::open(&pipe.out, pipe.force, true)?;
    let client = connect(global).await?;

    let opened = match kind {
        Kind::Message => {
            let hint = "check that it is complete and not followed by something else";
            let ciphertext = whole_message(reader, MESSAGE_MAX + OVERHEAD, "the message", hint).await?;
            let bytes_in = ciphertext.len() as u64;
            let answer = client.decrypt(&app, context, ciphertext.into()).await?;
            destination.write_all(&answer.plaintext).await?;
            view::Opened { bytes_in, bytes_out: answer.plaintext.len() as u64 }
        }
        Kind::Stream => {
            let bar = Bar::new("decrypting", source.length, destination.is_pipe());
            let mut written = 0;
            let outcome = client
                .decrypt_stream(&app, context, reader, destination.writer(), |now| {
                    written = now.written;
                    bar.at(now.read);
                })
                .await;
            match outcome {
                Ok(progress) => view::Opened { bytes_in: progress.read, bytes_out: progress.written },
                Err(error) if destination.is_pipe() && written > 0 => {
                    return Err(Failure::from(error)
                        .with_consequence("the end is not authentic: discard everything that was written"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let name = destination.file_name();
    destination.keep().await?;
    match (name, global.output) {
        (None, _) => Ok(()),
        (Some(_), Output::Json) => output::print(&output::document(&opened)?),
        (Some(name), Output::Table) => {
            say(&format!("{name}: {}, authentic", output::bytes(opened.bytes_out)));
            Ok(())
        }
    }
}

/// The input's header, which decides how the rest is read.
pub(crate) async fn header(reader: &mut (impl AsyncRead + Unpin)) -> Result<(Vec<u8>, Kind), Failure> {
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    reader.take(HEADER_LEN as u64).read_to_end(&mut bytes).await.map_err(|error| read_failure(&error))?;
    let header = inspect::header(&bytes)?;
    Ok((bytes, header.kind))
}
