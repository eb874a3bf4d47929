//! Ciphertexts that stand in lines, each in base64: as databases and logs export them.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use client::MESSAGE_MAX;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::data::read_failure;
use crate::failure::Failure;

/// The longest line: a message of 4 MiB in base64, and some room.
const LONGEST: u64 = (MESSAGE_MAX as u64 + 1024) / 3 * 4 + 16;

/// How a line's base64 is spelled, so that what takes its place is spelled alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spelling {
    url_safe: bool,
    padded: bool,
}

impl Spelling {
    fn engine(self) -> GeneralPurpose {
        let alphabet = if self.url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        let config = GeneralPurposeConfig::new()
            .with_encode_padding(self.padded)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent);
        GeneralPurpose::new(alphabet, config)
    }

    pub(crate) fn write(self, bytes: &[u8]) -> String {
        self.engine().encode(bytes)
    }
}

/// The bytes of a line, and how it was spelled.
pub(crate) fn decode(text: &str) -> Result<(Vec<u8>, Spelling), &'static str> {
    let spelling = Spelling { url_safe: text.contains(['-', '_']), padded: text.len().is_multiple_of(4) };
    let bytes = spelling.engine().decode(text).map_err(|_| "the line is not base64")?;
    Ok((bytes, spelling))
}

/// The next line with its end, `None` after the last.
pub(crate) async fn next(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = reader.take(LONGEST).read_until(b'\n', &mut line).await.map_err(|error| read_failure(&error))?;
    if read as u64 == LONGEST && !line.ends_with(b"\n") {
        return Err(Failure::caller("a line is longer than a message in base64 can be")
            .hint("give each ciphertext a line of its own; a stream belongs into a file"));
    }
    Ok((read > 0).then_some(line))
}

/// The text of a line without its end and the white space around it.
pub(crate) fn text(line: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(line).map(str::trim).map_err(|_| "the line is not base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written in a line's place is spelled as the line was: either alphabet, padded or not.
    #[test]
    fn a_line_keeps_its_spelling() {
        let bytes = [0xfb, 0xff, 0xbf, 0x01];
        for text in ["+/+/AQ==", "+/+/AQ", "-_-_AQ==", "-_-_AQ"] {
            let (decoded, spelling) = decode(text).unwrap();
            assert_eq!((decoded.as_slice(), spelling.write(&bytes).as_str()), (&bytes[..], text));
        }
        for bad in ["+/-_", "A", "not base64!", "AQ==AQ=="] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    /// Lines come one by one, the last also without its end; one that never ends is refused before memory is.
    #[tokio::test]
    async fn lines_come_one_by_one() {
        let mut reader = &b"one\n\ntwo"[..];
        let mut lines = Vec::new();
        while let Some(line) = next(&mut reader).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, [&b"one\n"[..], b"\n", b"two"]);
        let endless = tokio::io::BufReader::new(tokio::io::repeat(b'A'));
        assert!(next(&mut { endless }).await.is_err());
    }
}
