//! The vector files, as FORMAT.md describes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::implementation::Bound;

/// Bytes, written as lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl Hex {
    pub(crate) fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().expect("a field of fixed length has that length")
    }
}

impl<T: AsRef<[u8]>> From<T> for Hex {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct File<Case> {
    pub(crate) format: String,
    pub(crate) about: String,
    pub(crate) cases: Vec<Case>,
}

impl<Case> File<Case> {
    pub(crate) fn new(about: &str, cases: Vec<Case>) -> Self {
        Self { format: "byokd/vectors/v1".to_owned(), about: about.to_owned(), cases }
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MessageCase {
    pub(crate) name: String,
    pub(crate) data_key: Hex,
    pub(crate) data_key_id: Hex,
    pub(crate) nonce: Hex,
    #[serde(flatten)]
    pub(crate) bound: Bound,
    pub(crate) aad: Hex,
    pub(crate) plaintext: Hex,
    pub(crate) ciphertext: Hex,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct BatchCase {
    pub(crate) name: String,
    pub(crate) data_key: Hex,
    pub(crate) data_key_id: Hex,
    pub(crate) prefix: Hex,
    pub(crate) start: Hex,
    pub(crate) workspace: String,
    pub(crate) app: String,
    pub(crate) protection: u8,
    pub(crate) items: Vec<BatchItem>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct BatchItem {
    pub(crate) context: std::collections::BTreeMap<String, String>,
    pub(crate) plaintext: Hex,
    pub(crate) ciphertext: Hex,
}

/// Byte i of the plaintext is i mod 251.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StreamCase {
    pub(crate) name: String,
    pub(crate) data_key: Hex,
    pub(crate) data_key_id: Hex,
    pub(crate) p: Hex,
    pub(crate) r: Hex,
    #[serde(flatten)]
    pub(crate) bound: Bound,
    pub(crate) plaintext_length: usize,
    pub(crate) ciphertext: Hex,
}

/// What a reader says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Fault {
    Malformed,
    VersionUnsupported,
    OpenFailed,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RefusedCase {
    pub(crate) name: String,
    pub(crate) why: String,
    pub(crate) fault: Fault,
    pub(crate) data_key: Hex,
    #[serde(flatten)]
    pub(crate) bound: Bound,
    pub(crate) ciphertext: Vec<Part>,
}

/// A ciphertext is its parts, one after the other.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", untagged)]
pub(crate) enum Part {
    Bytes { hex: Hex },
    OfStream { stream: String, from: usize, to: usize },
}

impl RefusedCase {
    pub(crate) fn bytes(&self, streams: &[StreamCase]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.ciphertext {
            match part {
                Part::Bytes { hex } => bytes.extend(&hex.0),
                Part::OfStream { stream, from, to } => {
                    let whole = streams.iter().find(|case| case.name == *stream).expect("a part names a stream");
                    bytes.extend(&whole.ciphertext.0[*from..*to]);
                }
            }
        }
        bytes
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PayloadCase {
    pub(crate) name: String,
    pub(crate) data_key: Hex,
    pub(crate) data_key_id: Hex,
    pub(crate) workspace: String,
    pub(crate) app: String,
    pub(crate) protection: u8,
    pub(crate) identity_hash: Hex,
    pub(crate) payload: Hex,
    pub(crate) key_check_value: Hex,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RefusedPayloadCase {
    pub(crate) name: String,
    pub(crate) why: String,
    pub(crate) data_key_id: Hex,
    pub(crate) workspace: String,
    pub(crate) app: String,
    pub(crate) protection: u8,
    pub(crate) payload: Hex,
}

pub(crate) fn stream_plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}
