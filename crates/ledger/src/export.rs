//! The lines of an export: a head, the events, an end. Each is one JSON object in exactly one form.

use domain::Timestamp;
use domain::ledger::{ChainName, Checkpoint, Link, SignedCheckpoint};
use serde::{Deserialize, Serialize};

/// The version of this format.
pub const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// [`FORMAT`].
    pub byokd_ledger: u32,
    /// The installation: 32 hexadecimal digits.
    pub cluster: String,
    /// `workspaces/{workspace}` or `platform`.
    pub chain: String,
    /// The Ed25519 key of its checkpoints, 64 hexadecimal digits. Believe it only if you know it from elsewhere.
    pub public_key: String,
    /// The number of the event before the first one here; 0 for a whole chain.
    pub after: u64,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// From 1, without gaps.
    pub number: u64,
    /// For people: the same as `time_micros`, in RFC 3339 with milliseconds.
    pub time: String,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time_micros: i64,
    /// Who did it; `service` for the service itself.
    pub actor: String,
    /// Its stable name.
    pub event: String,
    /// Names and values, in order; a name may come more than once.
    pub details: Vec<(String, String)>,
    /// The hash of the event before, 64 hexadecimal digits.
    pub previous: String,
    /// The hash of this one.
    pub hash: String,
}

impl Event {
    /// The text of a time.
    pub fn time_text(micros: i64) -> String {
        Timestamp::from_micros(micros).to_string()
    }

    /// The hash its content asks for, in this chain; `None` if `previous` is no hash.
    pub fn expected_hash(&self, chain: &ChainName) -> Option<[u8; 32]> {
        let link = Link {
            workspace: chain.workspace(),
            number: self.number,
            at: Timestamp::from_micros(self.time_micros),
            actor: &self.actor,
            name: &self.event,
            details: &self.details,
            previous: &hash(&self.previous)?,
        };
        Some(link.hash())
    }

    /// The value of a detail.
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How many events there are between the first line and this one.
    pub events: u64,
    /// Where the chain ended when it was exported, signed.
    pub checkpoint: CheckpointJson,
    /// Whether the service could not write its own latest events before it: they are not here, and will be in a later one. Nobody
    /// signs this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
}

/// A signed checkpoint, as an export ends with it and as it is kept in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointJson {
    /// The installation: 32 hexadecimal digits.
    pub cluster: String,
    /// `workspaces/{workspace}` or `platform`.
    pub chain: String,
    /// The last event's number.
    pub number: u64,
    /// The last event's hash.
    pub head: String,
    /// For people: the same as `time_micros`.
    pub time: String,
    /// When it was signed, in microseconds since 1970-01-01T00:00:00Z.
    pub time_micros: i64,
    /// The Ed25519 key, 64 hexadecimal digits.
    pub public_key: String,
    /// The signature, 128 hexadecimal digits.
    pub signature: String,
}

impl CheckpointJson {
    /// As the domain has it; `None` if a field is not what it should be.
    pub fn read(&self) -> Option<SignedCheckpoint> {
        let mut signature = [0; 64];
        decode(&self.signature, &mut signature)?;
        let mut cluster = [0; 16];
        decode(&self.cluster, &mut cluster)?;
        let checkpoint = Checkpoint {
            cluster,
            chain: self.chain.parse().ok()?,
            number: self.number,
            head: hash(&self.head)?,
            at: Timestamp::from_micros(self.time_micros),
        };
        let same_time = Event::time_text(self.time_micros) == self.time;
        same_time.then_some(SignedCheckpoint { checkpoint, public_key: hash(&self.public_key)?, signature })
    }
}

impl From<&SignedCheckpoint> for CheckpointJson {
    fn from(signed: &SignedCheckpoint) -> Self {
        let Checkpoint { cluster, chain, number, head, at } = &signed.checkpoint;
        Self {
            cluster: hex::encode(cluster),
            chain: chain.to_string(),
            number: *number,
            head: hex::encode(head),
            time: at.to_string(),
            time_micros: at.micros(),
            public_key: hex::encode(signed.public_key),
            signature: hex::encode(signed.signature),
        }
    }
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The first.
    Head(Head),
    /// An event.
    Event(Event),
    /// The last.
    End(End),
}

/// A line that is none of an export, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotALine {
    /// Not a JSON object of one of the three kinds.
    #[error("it is no line of an export")]
    Unreadable,
    /// It says the same in other bytes than an export writes.
    #[error("it is not written as an export writes it")]
    OtherForm,
}

impl Line {
    /// Reads a line, without its line end. There is one way to write each: another is refused, so that no byte can change unseen.
    ///
    /// # Errors
    /// [`NotALine`].
    pub fn read(text: &str) -> Result<Self, NotALine> {
        let unreadable = |_| NotALine::Unreadable;
        let line = if text.starts_with("{\"number\":") {
            Self::Event(serde_json::from_str(text).map_err(unreadable)?)
        } else if text.starts_with("{\"events\":") {
            Self::End(serde_json::from_str(text).map_err(unreadable)?)
        } else {
            Self::Head(serde_json::from_str(text).map_err(unreadable)?)
        };
        if line.write() == text { Ok(line) } else { Err(NotALine::OtherForm) }
    }

    /// The line as an export writes it, without its line end.
    pub fn write(&self) -> String {
        let written = match self {
            Self::Head(head) => serde_json::to_string(head),
            Self::Event(event) => serde_json::to_string(event),
            Self::End(end) => serde_json::to_string(end),
        };
        written.expect("strings and numbers always have a JSON form")
    }
}

/// 32 bytes from 64 lower-case hexadecimal digits.
pub fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    decode(text, &mut bytes).map(|()| bytes)
}

pub(crate) fn decode(text: &str, out: &mut [u8]) -> Option<()> {
    // One value has one spelling.
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    hex::decode_to_slice(text, out).ok()
}
