//! What does a ciphertext say of itself? Its first 80 bytes.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | `"BYOK"` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | suite, 1 = KC-XAES-256-GCM |
//! | 6 | 1 | kind, 1 = message, 2 = stream |
//! | 7 | 1 | parameter, 0 for a message, 16 for a stream (log₂ of the segment length) |
//! | 8 | 16 | data key id |
//! | 24 | 24 | nonce |
//! | 48 | 32 | key commitment |
//!
//! The first 48 bytes are authenticated; the commitment is recomputed and compared.

/// Bytes of a header.
pub const HEADER_LEN: usize = 80;
/// Bytes of the header that stand in the authenticated data: everything before the commitment.
pub(crate) const AUTHENTICATED_LEN: usize = 48;

const MAGIC: [u8; 4] = *b"BYOK";
const VERSION: u8 = 1;
const SUITE: u8 = 1;
/// The last five bytes of a stream's nonce: segment number zero and the mark of the opening tag (F-50).
pub(crate) const STREAM_NONCE_TAIL: [u8; 5] = [0, 0, 0, 0, 2];

/// What stands after the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One ciphertext and its tag.
    Message,
    /// An opening tag, then segments.
    Stream,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::Stream => 2,
        }
    }

    const fn parameter(self) -> u8 {
        match self {
            Self::Message => 0,
            Self::Stream => 16,
        }
    }
}

/// A header of a format this crate reads. Nothing in it is authenticated before the ciphertext is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What stands after the header.
    pub kind: Kind,
    /// Which data key sealed it.
    pub data_key_id: [u8; 16],
    /// The 192-bit nonce.
    pub nonce: [u8; 24],
    /// The commitment to key and nonce.
    pub commitment: [u8; 32],
}

/// A fault that anybody can see in the public header; nothing here depends on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too short, or not ours, or a field that must not have this value.
    #[error("this is not a byokd ciphertext, or it was damaged")]
    Malformed,
    /// Ours, but of a version or suite that this build does not know.
    #[error("this ciphertext was written in a format this version does not know")]
    VersionUnsupported,
}

impl Header {
    /// Reads the header at the front of `bytes`; what follows it is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(HeaderError::Malformed)?;
        if header[..4] != MAGIC {
            return Err(HeaderError::Malformed);
        }
        // The version first: in another version every later byte may mean something else.
        if header[4] != VERSION || header[5] != SUITE {
            return Err(HeaderError::VersionUnsupported);
        }
        let kind = match (header[6], header[7]) {
            (1, 0) => Kind::Message,
            (2, 16) => Kind::Stream,
            _ => return Err(HeaderError::Malformed),
        };
        let nonce = array::<24>(header, 24);
        if matches!(kind, Kind::Stream) && nonce[19..] != STREAM_NONCE_TAIL {
            return Err(HeaderError::Malformed);
        }
        Ok(Self { kind, data_key_id: array(header, 8), nonce, commitment: array(header, 48) })
    }
}

/// The 48 authenticated bytes.
pub(crate) fn authenticated(kind: Kind, data_key_id: &[u8; 16], nonce: &[u8; 24]) -> [u8; AUTHENTICATED_LEN] {
    let mut bytes = [0; AUTHENTICATED_LEN];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4] = VERSION;
    bytes[5] = SUITE;
    bytes[6] = kind.byte();
    bytes[7] = kind.parameter();
    bytes[8..24].copy_from_slice(data_key_id);
    bytes[24..].copy_from_slice(nonce);
    bytes
}

fn array<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind) -> [u8; HEADER_LEN] {
        let mut nonce = [7; 24];
        if kind == Kind::Stream {
            nonce[19..].copy_from_slice(&STREAM_NONCE_TAIL);
        }
        let mut bytes = [9; HEADER_LEN];
        bytes[..AUTHENTICATED_LEN].copy_from_slice(&authenticated(kind, &[5; 16], &nonce));
        bytes
    }

    #[test]
    fn a_written_header_reads_back() {
        for kind in [Kind::Message, Kind::Stream] {
            let read = Header::parse(&header(kind)).unwrap();
            assert_eq!((read.kind, read.data_key_id, read.commitment), (kind, [5; 16], [9; 32]));
        }
    }

    /// Each reserved value is refused, and a future version is told apart from damage.
    #[test]
    fn every_unknown_value_of_every_reserved_byte_is_refused() {
        for kind in [Kind::Message, Kind::Stream] {
            for at in 0..8 {
                for value in 0..=255 {
                    let mut bytes = header(kind);
                    if bytes[at] == value {
                        continue;
                    }
                    bytes[at] = value;
                    let expected =
                        if at == 4 || at == 5 { HeaderError::VersionUnsupported } else { HeaderError::Malformed };
                    assert_eq!(Header::parse(&bytes), Err(expected), "byte {at} = {value}");
                }
            }
        }
    }

    #[test]
    fn a_header_one_byte_short_is_malformed() {
        let bytes = header(Kind::Message);
        for length in 0..HEADER_LEN {
            assert_eq!(Header::parse(&bytes[..length]), Err(HeaderError::Malformed));
        }
    }

    #[test]
    fn a_stream_whose_nonce_does_not_end_as_it_must_is_malformed() {
        for at in 43..48 {
            let mut bytes = header(Kind::Stream);
            bytes[at] ^= 1;
            assert_eq!(Header::parse(&bytes), Err(HeaderError::Malformed));
        }
    }
}
