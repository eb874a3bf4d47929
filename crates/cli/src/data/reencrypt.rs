//! `byokctl data reencrypt`

use client::{MESSAGE_MAX, pb};
use envelope::{Kind, OVERHEAD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::args::{Global, Pipe, Target};
use crate::connect::connect;
use crate::data::destination::{Destination, not_a_terminal};
use crate::data::progress::Bar;
use crate::data::source::Source;
use crate::data::{context, decrypt, encrypt, whole_message};
use crate::failure::Failure;
use crate::view;

/// Plaintext that waits between the two streams.
const IN_TRANSIT: usize = 256 * 1024;

pub(crate) async fn run(
    global: &Global,
    target: Target,
    new_context: Vec<(String, String)>,
    no_context: bool,
    pipe: Pipe,
) -> Result<(), Failure> {
    not_a_terminal(&pipe.out)?;
    let old = context(target.context)?;
    let new = match (new_context.is_empty(), no_context) {
        (true, false) => None,
        (_, true) => Some(Default::default()),
        (false, false) => Some(context(new_context)?),
    };
    let app = target.app.full();
    let mut source = Source::open(&pipe.file)?;
    let (header, kind) = decrypt::header(&mut source.reader).await?;
    let reader = (&header[..]).chain(source.reader);
    let mut destination = Destination::open(&pipe.out, pipe.force, false)?;
    let client = connect(global).await?;

    let sealed = match kind {
        Kind::Message => {
            let hint = "check that it is complete and not followed by something else";
            let ciphertext = whole_message(reader, MESSAGE_MAX + OVERHEAD, "the message", hint).await?;
            let bytes_in = ciphertext.len() as u64;
            let new_context = new.map(|entries| pb::NewContext { entries });
            let request = pb::ReEncryptRequest { app, ciphertext: ciphertext.into(), context: old, new_context };
            let answer = client.re_encrypt(request).await?;
            destination.write_all(&answer.ciphertext).await?;
            view::Sealed {
                bytes_in,
                bytes_out: answer.ciphertext.len() as u64,
                protection: view::protection(answer.protection),
                data_key: answer.data_key,
                key_version: Some(answer.key_version).filter(|name| !name.is_empty()),
            }
        }
        Kind::Stream => {
            let bar = Bar::new("re-encrypting", source.length, destination.is_pipe());
            let mut bytes_in = 0;
            let (mut plaintext, rest) = tokio::io::duplex(IN_TRANSIT);
            let new = new.unwrap_or_else(|| old.clone());
            // The second stream sees the end of the plaintext only after the first one proved that it is the end: a failed
            // decryption returns at once and never closes `plaintext`.
            let open = async {
                let progress = client
                    .decrypt_stream(&app, old, reader, &mut plaintext, |now| {
                        bytes_in = now.read;
                        bar.at(now.read);
                    })
                    .await?;
                plaintext.shutdown().await.map_err(client::StreamError::Write)?;
                Ok::<_, client::StreamError>(progress)
            };
            let seal = client.encrypt_stream(&app, new, rest, destination.writer(), |_| {});
            let (opened, sealed) = tokio::try_join!(open, seal)?;
            view::Sealed {
                bytes_in: opened.read,
                bytes_out: sealed.progress.written,
                protection: view::protection(sealed.protection),
                data_key: sealed.data_key,
                key_version: Some(sealed.key_version).filter(|name| !name.is_empty()),
            }
        }
    };
    encrypt::finish(global, destination, &sealed).await
}
