//! One ciphertext, sealed again under the app's present data key.

use std::collections::HashMap;

use client::{Client, MESSAGE_MAX, StreamError, pb};
use envelope::{Kind, OVERHEAD};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::data::{decrypt, whole_message};
use crate::failure::Failure;
use crate::view;
use tokio::io::AsyncReadExt;

/// Plaintext that waits between the two streams.
const IN_TRANSIT: usize = 256 * 1024;

/// For which app, and from which context to which.
pub(crate) struct Terms {
    pub(crate) app: String,
    pub(crate) old: HashMap<String, String>,
    /// Absent: the same.
    pub(crate) new: Option<HashMap<String, String>>,
}

/// Why a ciphertext was not sealed again.
pub(crate) struct NotDone {
    pub(crate) failure: Failure,
    /// It is this ciphertext's own fault: others may do better.
    pub(crate) its_own: bool,
}

impl From<NotDone> for Failure {
    fn from(not_done: NotDone) -> Self {
        not_done.failure
    }
}

impl From<client::Error> for NotDone {
    fn from(error: client::Error) -> Self {
        use pb::Reason::{CiphertextMalformed, CiphertextVersionUnsupported, DecryptionFailed, PlaintextTooLarge};
        let its_own = matches!(
            error.refused().and_then(|refused| refused.known_reason()),
            Some(DecryptionFailed | CiphertextMalformed | CiphertextVersionUnsupported | PlaintextTooLarge)
        );
        Self { failure: error.into(), its_own }
    }
}

impl From<StreamError> for NotDone {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Call(error) => error.into(),
            StreamError::Read(_) => Self { failure: error.into(), its_own: true },
            StreamError::Write(_) => Self { failure: error.into(), its_own: false },
        }
    }
}

/// Reads a ciphertext and writes what takes its place. What was written counts only if this answers well.
pub(crate) async fn seal_again(
    client: &Client,
    terms: &Terms,
    mut reader: impl AsyncRead + Unpin + Send,
    writer: &mut (dyn AsyncWrite + Unpin + Send),
    progress: impl Fn(u64),
) -> Result<view::Sealed, NotDone> {
    let own = |failure| NotDone { failure, its_own: true };
    let (header, kind) = decrypt::header(&mut reader).await.map_err(own)?;
    let reader = (&header[..]).chain(reader);
    match kind {
        Kind::Message => {
            let hint = "check that it is complete and not followed by something else";
            let whole = whole_message(reader, MESSAGE_MAX + OVERHEAD, "the message", hint).await;
            let ciphertext = whole.map_err(own)?;
            let bytes_in = ciphertext.len() as u64;
            let request = pb::ReEncryptRequest {
                app: terms.app.clone(),
                ciphertext: ciphertext.into(),
                context: terms.old.clone(),
                new_context: terms.new.clone().map(|entries| pb::NewContext { entries }),
            };
            let answer = client.re_encrypt(request).await?;
            writer.write_all(&answer.ciphertext).await.map_err(StreamError::Write)?;
            Ok(view::Sealed {
                bytes_in,
                bytes_out: answer.ciphertext.len() as u64,
                protection: view::protection(answer.protection),
                data_key: answer.data_key,
                key_version: Some(answer.key_version).filter(|name| !name.is_empty()),
            })
        }
        Kind::Stream => {
            let (mut plaintext, rest) = tokio::io::duplex(IN_TRANSIT);
            let new = terms.new.clone().unwrap_or_else(|| terms.old.clone());
            // The second stream sees the end of the plaintext only after the first one proved that it is the end: a failed
            // decryption returns at once and never closes `plaintext`.
            let open = async {
                let told = |now: client::Progress| progress(now.read);
                let opened = client.decrypt_stream(&terms.app, terms.old.clone(), reader, &mut plaintext, told).await?;
                plaintext.shutdown().await.map_err(StreamError::Write)?;
                Ok::<_, StreamError>(opened)
            };
            let seal = client.encrypt_stream(&terms.app, new, rest, writer, |_| {});
            let (opened, sealed) = tokio::try_join!(open, seal)?;
            Ok(view::Sealed {
                bytes_in: opened.read,
                bytes_out: sealed.progress.written,
                protection: view::protection(sealed.protection),
                data_key: sealed.data_key,
                key_version: Some(sealed.key_version).filter(|name| !name.is_empty()),
            })
        }
    }
}
