//! What the service records of itself: its calls to vaults, its receipts for keys it wiped, and how much keys were used.
//!
//! Each is one event for many happenings, so that a chain grows with time and not with traffic.

use crate::{BootId, DataKeyId, Hour, KeyVersionId, Reason, Tally, Timestamp};

/// What a vault was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A data key was wrapped.
    Wrap,
    /// A data key was unwrapped.
    Unwrap,
    /// A fresh challenge was unwrapped: nobody's data, and in the vault's log an unwrap as well.
    Probe,
    /// A step of a configuration's test wrapped.
    TestWrap,
    /// A step of a configuration's test unwrapped.
    TestUnwrap,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Wrap, Self::Unwrap, Self::Probe, Self::TestWrap, Self::TestUnwrap];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
            Self::Probe => "probe",
            Self::TestWrap => "test-wrap",
            Self::TestUnwrap => "test-unwrap",
        }
    }

    /// Whether the vault's log calls it `KeyWrap`; else `KeyUnwrap`.
    pub const fn wraps(self) -> bool {
        matches!(self, Self::Wrap | Self::TestWrap)
    }
}

/// One call to a vault, as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultCall {
    /// What for.
    pub purpose: Purpose,
    /// When it was asked.
    pub at: Timestamp,
    /// How it ended: done, refused for a reason, or absent when no answer came.
    pub outcome: Option<Result<(), Reason>>,
    /// The vault's `x-ms-request-id`.
    pub request_id: Option<Box<str>>,
    /// The `x-ms-client-request-id` that the call carried.
    pub client_request_id: Option<Box<str>>,
}

const OK: &str = "OK";
const NO_ANSWER: &str = "NO_ANSWER";

impl VaultCall {
    /// In one line: purpose, microseconds since the event's `from_micros`, outcome, both ids (`-` for none).
    fn line(&self, from: Timestamp) -> String {
        let outcome = match self.outcome {
            Some(Ok(())) => OK,
            Some(Err(reason)) => reason.as_str(),
            None => NO_ANSWER,
        };
        let (request, client) =
            (self.request_id.as_deref().unwrap_or("-"), self.client_request_id.as_deref().unwrap_or("-"));
        let after = self.at.micros().saturating_sub(from.micros());
        format!("{} {after} {outcome} {request} {client}", self.purpose.as_str())
    }
}

/// Calls to one version of a customer's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalledVault {
    /// The version.
    pub version: KeyVersionId,
    /// Who called.
    pub boot: BootId,
    /// In the order in which they ended. Empty only where there was no room for any.
    pub calls: Vec<VaultCall>,
    /// How many more there were that nobody had room to write down.
    pub left_out: u64,
}

impl CalledVault {
    /// The event's stable name.
    pub const EVENT: &'static str = "vault.called";

    pub(crate) fn details(&self) -> Vec<(&'static str, String)> {
        let from = self.calls.iter().map(|call| call.at).min().unwrap_or(Timestamp::from_micros(0));
        let mut details = vec![
            ("version", self.version.to_string()),
            ("replica", hex::encode(self.boot.as_bytes())),
            ("from_micros", from.micros().to_string()),
        ];
        if self.left_out > 0 {
            details.push(("left_out", self.left_out.to_string()));
        }
        details.extend(self.calls.iter().map(|call| ("call", call.line(from))));
        details
    }

    /// Reads the calls back from an event's details. `None`: they are none.
    pub fn calls<T: AsRef<str>>(details: &[(T, T)]) -> Option<(KeyVersionId, Vec<ReadCall<'_>>)> {
        let of = |wanted: &str| details.iter().find(|(name, _)| name.as_ref() == wanted).map(|(_, v)| v.as_ref());
        let version = of("version")?.parse().ok()?;
        let from: i64 = of("from_micros")?.parse().ok()?;
        let lines = details.iter().filter(|(name, _)| name.as_ref() == "call").map(|(_, line)| line.as_ref());
        Some((version, lines.map(|line| ReadCall::read(line, from)).collect::<Option<_>>()?))
    }
}

/// A call as a ledger's reader finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadCall<'a> {
    /// What for.
    pub purpose: Purpose,
    /// When it was asked.
    pub at: Timestamp,
    /// `OK`, `NO_ANSWER`, or a reason.
    pub outcome: &'a str,
    /// The vault's id of it.
    pub request_id: Option<&'a str>,
    /// Our own id of it.
    pub client_request_id: Option<&'a str>,
}

impl<'a> ReadCall<'a> {
    fn read(line: &'a str, from: i64) -> Option<Self> {
        let mut words = line.split(' ');
        let (purpose, after, outcome) = (words.next()?, words.next()?, words.next()?);
        let mut id = || words.next().map(|id| Some(id).filter(|id| *id != "-"));
        let (request_id, client_request_id) = (id()?, id()?);
        let purpose = *Purpose::ALL.iter().find(|known| known.as_str() == purpose)?;
        let at = Timestamp::from_micros(from.checked_add(after.parse().ok()?)?);
        words.next().is_none().then_some(Self { purpose, at, outcome, request_id, client_request_id })
    }

    /// Whether an answer came.
    pub fn is_answered(&self) -> bool {
        self.outcome != NO_ANSWER
    }
}

/// Why a replica wiped keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhyPurged {
    /// The customer's vault or directory denied the version.
    Denied,
    /// The customer's key was switched off here.
    Revoked,
    /// The lease ended, and nobody used them since.
    Lapsed,
    /// Their app was deleted.
    AppDeleted,
    /// Their workspace was deleted.
    WorkspaceDeleted,
    /// The data key was destroyed.
    Destroyed,
}

impl WhyPurged {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Revoked => "revoked",
            Self::Lapsed => "lapsed",
            Self::AppDeleted => "app-deleted",
            Self::WorkspaceDeleted => "workspace-deleted",
            Self::Destroyed => "destroyed",
        }
    }
}

/// A replica's receipt: at the event's time it had wiped these keys from its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysPurged {
    /// The version they were under; absent: the platform's key.
    pub version: Option<KeyVersionId>,
    /// Which life of which replica.
    pub boot: BootId,
    /// Why.
    pub why: WhyPurged,
    /// How many data keys.
    pub data_keys: u64,
}

impl KeysPurged {
    /// The event's stable name.
    pub const EVENT: &'static str = "keys.purged";

    pub(crate) fn details(&self) -> Vec<(&'static str, String)> {
        vec![
            ("version", self.version.map_or_else(|| "platform".to_owned(), |version| version.to_string())),
            ("replica", hex::encode(self.boot.as_bytes())),
            ("why", self.why.as_str().to_owned()),
            ("data_keys", self.data_keys.to_string()),
        ]
    }
}

/// What one replica sealed and opened in one hour, by data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysUsed {
    /// The hour, of UTC.
    pub hour: Hour,
    /// Which life of which replica.
    pub boot: BootId,
    /// The data keys that were used most, most used first.
    pub keys: Vec<(DataKeyId, Tally)>,
    /// How many others there were, and what they did together.
    pub others: (u64, Tally),
}

impl KeysUsed {
    /// The event's stable name.
    pub const EVENT: &'static str = "keys.used";
    /// How many data keys are named one by one.
    pub const NAMED: usize = 50;

    /// Of all of an hour's counts.
    pub fn of(hour: Hour, boot: BootId, mut keys: Vec<(DataKeyId, Tally)>) -> Self {
        keys.sort_by_key(|(id, tally)| (std::cmp::Reverse(tally.seals.saturating_add(tally.opens)), *id));
        let rest = keys.split_off(keys.len().min(Self::NAMED));
        let mut sum = Tally::default();
        rest.iter().for_each(|(_, tally)| sum.add(tally));
        Self { hour, boot, keys, others: (rest.len() as u64, sum) }
    }

    pub(crate) fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = vec![("hour", self.hour.start().to_string()), ("replica", hex::encode(self.boot.as_bytes()))];
        let counts = |t: &Tally| format!("{} {} {} {}", t.seals, t.sealed_bytes, t.opens, t.opened_bytes);
        details.extend(self.keys.iter().map(|(id, tally)| ("data_key", format!("{id} {}", counts(tally)))));
        let (count, tally) = &self.others;
        if *count > 0 {
            details.push(("others", format!("{count} {}", counts(tally))));
        }
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written of a call is read back as it was.
    #[test]
    fn calls_are_read_back_as_they_were_written() {
        let call = |purpose, micros, outcome, request_id: Option<&str>| VaultCall {
            purpose,
            at: Timestamp::from_micros(micros),
            outcome,
            request_id: request_id.map(Into::into),
            client_request_id: Some("c-1".into()),
        };
        let called = CalledVault {
            version: KeyVersionId::from_bytes([1; 16]),
            boot: BootId::from_bytes([2; 16]),
            calls: vec![
                call(Purpose::Unwrap, 900, Some(Ok(())), Some("r-1")),
                call(Purpose::Probe, 700, Some(Err(Reason::KeyDisabled)), Some("r-2")),
                call(Purpose::Wrap, 1_000, None, None),
            ],
            left_out: 0,
        };
        let details = called.details();
        let details: Vec<(String, String)> = details.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        let (version, read) = CalledVault::calls(&details).unwrap();
        assert_eq!(version, called.version);
        let read: Vec<_> = read.iter().map(|c| (c.purpose, c.at.micros(), c.outcome, c.request_id)).collect();
        let expected = [
            (Purpose::Unwrap, 900, "OK", Some("r-1")),
            (Purpose::Probe, 700, "KEY_DISABLED", Some("r-2")),
            (Purpose::Wrap, 1_000, "NO_ANSWER", None),
        ];
        assert_eq!(read, expected);
    }

    /// However many keys were used, an hour's event has a bounded length and misses no message.
    #[test]
    fn an_hours_event_is_bounded_and_complete() {
        let tally = |seals| Tally { seals, sealed_bytes: 10 * seals, ..Tally::default() };
        let keys = (0..200u8).map(|n| (DataKeyId::from_bytes([n; 16]), tally(u64::from(n)))).collect();
        let used = KeysUsed::of(Hour::of_number(7), BootId::from_bytes([1; 16]), keys);
        assert_eq!((used.keys.len(), used.others.0), (50, 150));
        assert_eq!(used.keys[0].1.seals, 199, "the most used one first");
        let named: u64 = used.keys.iter().map(|(_, tally)| tally.seals).sum();
        assert_eq!(named + used.others.1.seals, (0..200).sum());
        assert_eq!(used.details().len(), 53);
    }
}
