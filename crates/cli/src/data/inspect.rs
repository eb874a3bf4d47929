//! `byokctl data inspect`: what a ciphertext says of itself, without a key.

use std::path::Path;

use envelope::{HEADER_LEN, Header, HeaderError, Kind, OVERHEAD};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::args::Global;
use crate::data::read_failure;
use crate::data::source::Source;
use crate::failure::Failure;
use crate::output;
use crate::view::Inspected;

/// Plaintext bytes in every segment of a stream but the last.
const SEGMENT: u64 = 65_536;
const TAG: u64 = 16;
/// A stream's header and opening tag.
const PROLOGUE: u64 = 96;
const SEGMENTS_MAX: u64 = 1 << 24;

pub(crate) async fn run(global: &Global, file: &Path) -> Result<(), Failure> {
    let found = inspect(Source::open(file)?.reader).await?;
    let mut fields = vec![
        ("kind", found.kind.to_owned()),
        ("format version", found.format_version.to_string()),
        ("suite", found.suite.to_owned()),
        ("data key", found.data_key_id.clone()),
        ("size", format!("{} ({} bytes)", output::bytes(found.size), found.size)),
        ("plaintext", format!("{} ({} bytes)", output::bytes(found.plaintext_size), found.plaintext_size)),
    ];
    fields.extend(found.segments.map(|count| ("segments", count.to_string())));
    output::one(global, &fields, &found)
}

/// Reads a header, or says in one sentence why it is none.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, Failure> {
    Header::parse(bytes).map_err(|error| match error {
        HeaderError::Malformed if bytes.is_empty() => {
            Failure::caller("the input is empty").hint("check the file, or the program before the pipe")
        }
        HeaderError::Malformed => malformed("the input does not begin as a byokd ciphertext does, or is cut off"),
        HeaderError::VersionUnsupported => {
            Failure::caller("the ciphertext's format version or suite is not known to this release")
                .hint("use a byokctl of the release that wrote it, or a newer one")
        }
    })
}

pub(crate) async fn inspect(mut reader: impl AsyncRead + Unpin) -> Result<Inspected, Failure> {
    let mut front = Vec::with_capacity(HEADER_LEN);
    (&mut reader).take(HEADER_LEN as u64).read_to_end(&mut front).await.map_err(|error| read_failure(&error))?;
    header(&front)?;
    let rest = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await.map_err(|error| read_failure(&error))?;
    describe(&front, front.len() as u64 + rest)
}

/// What a ciphertext of `size` bytes says of itself that begins with `front`.
pub(crate) fn describe(front: &[u8], size: u64) -> Result<Inspected, Failure> {
    let header = header(front)?;
    let (kind, segments, plaintext_size) = match header.kind {
        Kind::Message => ("message", None, size.checked_sub(OVERHEAD as u64)),
        Kind::Stream => {
            let segments = segments(size);
            ("stream", segments, segments.and_then(|count| size.checked_sub(PROLOGUE + count * TAG)))
        }
    };
    let plaintext_size = plaintext_size.ok_or_else(|| malformed(&format!("a {kind} cannot have {size} bytes")))?;
    // The header parsed: offsets 4 and 5 are a version and a suite that exist.
    let (format_version, suite) = (front[4], "KC-XAES-256-GCM");
    let data_key_id = hex::encode(header.data_key_id);
    Ok(Inspected { kind, format_version, suite, data_key_id, size, plaintext_size, segments })
}

/// How many segments a stream of `size` bytes has; `None` if none can be that long. Only a stream's single segment may be
/// empty.
fn segments(size: u64) -> Option<u64> {
    let body = size.checked_sub(PROLOGUE)?;
    let count = body.div_ceil(SEGMENT + TAG);
    let last = body.checked_sub(count.checked_sub(1)? * (SEGMENT + TAG))?;
    let whole = last > TAG || (count == 1 && last == TAG);
    (whole && count <= SEGMENTS_MAX).then_some(count)
}

fn malformed(what: &str) -> Failure {
    Failure::caller(what).hint("check that the stored bytes are complete and unchanged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(length: usize) -> Vec<u8> {
        let binding =
            envelope::Binding { workspace: "acme", app: "bot", protection: 2, context: &envelope::Context::empty() };
        let (mut sealer, prologue) = envelope::StreamSealer::new(&[1; 32], &[2; 16], [3; 12], [4; 7], &binding);
        let mut out = prologue.to_vec();
        sealer.push(&vec![5; length], &mut out).unwrap();
        sealer.finish(&mut out).unwrap();
        out
    }

    fn message(length: usize) -> Vec<u8> {
        let binding =
            envelope::Binding { workspace: "acme", app: "bot", protection: 1, context: &envelope::Context::empty() };
        let mut out = Vec::new();
        envelope::seal(&[1; 32], &[2; 16], &[3; 24], &binding, &vec![5; length], &mut out);
        out
    }

    /// Size, plaintext and segments are what was sealed, at every edge of a segment.
    #[tokio::test]
    async fn what_is_shown_is_what_was_sealed() {
        for (length, expected) in [(0, 1), (1, 1), (65_535, 1), (65_536, 1), (65_537, 2), (131_072, 2), (131_073, 3)] {
            let found = inspect(&stream(length)[..]).await.unwrap();
            assert_eq!((found.kind, found.segments, found.plaintext_size), ("stream", Some(expected), length as u64));
            assert_eq!(found.data_key_id, "02".repeat(16));
        }
        for length in [0, 1, 5_000] {
            let found = inspect(&message(length)[..]).await.unwrap();
            assert_eq!((found.kind, found.segments, found.plaintext_size), ("message", None, length as u64));
        }
    }

    /// Whatever is cut off, foreign or from the future gets one sentence, and nothing panics.
    #[tokio::test]
    async fn garbage_gets_one_clear_error() {
        let (stream, message) = (stream(65_537), message(10));
        let mut future = message.clone();
        future[4] = 2;
        let mut odd = stream.clone();
        odd.truncate(96 + 65_552 + 16); // an empty last segment that is not alone
        for bad in
            [&b""[..], b"BYOK", &[0; 200], b"age-encryption.org/v1\n", &message[..95], &stream[..111], &future, &odd]
        {
            let refused = inspect(bad).await.unwrap_err();
            assert_eq!(refused.exit, crate::failure::Exit::Caller);
            assert!(!refused.message.is_empty() && !refused.hint.is_empty());
        }
        for length in 0..stream.len().min(300) {
            let _ = inspect(&stream[..length]).await;
        }
    }
}
