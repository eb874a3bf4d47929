//! What a customer exports of a Key Vault's log: `AuditEvent` records as Azure Monitor writes them to storage and event hubs
//! (`properties.…`, `identity.claim.…`), or rows of the table `AzureDiagnostics` (`httpStatusCode_d`, `identity_claim_appid_g`).

use domain::{KeyVersionId, Timestamp};
use serde_json::{Map, Value};

/// A wrap or an unwrap as the vault logged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line or the record's place in the file, from 1.
    pub place: u64,
    /// When.
    pub at: Timestamp,
    /// `KeyWrap`; else `KeyUnwrap`.
    pub wraps: bool,
    /// Every id in it, in lower case.
    pub ids: Vec<String>,
    /// The application that called; empty where nobody had said who.
    pub application: String,
    /// Of which version of the key, where it says.
    pub version: Option<KeyVersionId>,
    /// The status of the vault's answer, where it says.
    pub status: Option<u16>,
}

/// The wraps and unwraps of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct VaultLog {
    pub(super) entries: Vec<Entry>,
    /// The time of the first and of the last record, of whatever kind.
    pub(super) range: Option<(Timestamp, Timestamp)>,
    /// How many records of other operations there are: they use no key.
    pub other_operations: u64,
}

/// Why a file is no log of a Key Vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotALog {
    /// Neither one JSON document nor JSON lines.
    #[error("record {place} is no JSON object")]
    Unreadable {
        /// From 1.
        place: u64,
    },
    /// A record without a time or an operation.
    #[error("record {place} has no {what}")]
    Incomplete {
        /// From 1.
        place: u64,
        /// What it lacks.
        what: &'static str,
    },
}

impl VaultLog {
    /// Reads a log: `{"records":[…]}`, several such documents one a line, a JSON array, or one record a line.
    ///
    /// # Errors
    /// [`NotALog`].
    pub fn read(text: &str) -> Result<Self, NotALog> {
        let mut log = Self::default();
        let mut place = 0;
        let stream = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}')).into_iter::<Value>();
        for value in stream {
            let unreadable = NotALog::Unreadable { place: place + 1 };
            match value.map_err(|_| unreadable.clone())? {
                Value::Array(records) => log.take_all(records, &mut place)?,
                Value::Object(mut object) => match object.remove("records") {
                    Some(Value::Array(records)) => log.take_all(records, &mut place)?,
                    Some(_) => return Err(unreadable),
                    None => log.take_all(vec![Value::Object(object)], &mut place)?,
                },
                _ => return Err(unreadable),
            }
        }
        Ok(log)
    }

    /// How many wraps and unwraps there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn take_all(&mut self, records: Vec<Value>, place: &mut u64) -> Result<(), NotALog> {
        for record in records {
            *place += 1;
            let Value::Object(record) = record else { return Err(NotALog::Unreadable { place: *place }) };
            self.take(&record, *place)?;
        }
        Ok(())
    }

    fn take(&mut self, record: &Map<String, Value>, place: u64) -> Result<(), NotALog> {
        let lacks = |what| NotALog::Incomplete { place, what };
        let category = text(record, &["category", "Category"]).unwrap_or("AuditEvent");
        if category != "AuditEvent" {
            self.other_operations += 1;
            return Ok(());
        }
        let at = text(record, &["time", "TimeGenerated", "TimeGenerated [UTC]"]).and_then(domain::usage::parse_time);
        let at = at.ok_or_else(|| lacks("time"))?;
        self.range = Some(self.range.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
        let operation = text(record, &["operationName", "OperationName"]).ok_or_else(|| lacks("operationName"))?;
        let wraps = match operation {
            "KeyWrap" => true,
            "KeyUnwrap" => false,
            _ => {
                self.other_operations += 1;
                return Ok(());
            }
        };
        let empty = Map::new();
        let inner = |name: &str| record.get(name).and_then(Value::as_object).unwrap_or(&empty);
        let properties = inner("properties");
        let claims = inner("identity").get("claim").and_then(Value::as_object).unwrap_or(&empty);
        let ids = [
            text(record, &["correlationId", "CorrelationId", "correlationId_s", "correlationId_g"]),
            text(record, &["requestId", "requestId_s", "requestId_g", "x-ms-request-id"]),
            text(properties, &["requestId", "x-ms-request-id"]),
            text(properties, &["clientRequestId", "x-ms-client-request-id"]),
        ];
        let application = text(claims, &["appid", "azp"])
            .or_else(|| text(record, &["identity_claim_appid_g", "identity_claim_appid_s", "identity_claim_azp_g"]));
        let uri = text(properties, &["id", "requestUri"]).or_else(|| text(record, &["id_s", "requestUri_s"]));
        let status = number(properties, "httpStatusCode").or_else(|| number(record, "httpStatusCode_d"));
        self.entries.push(Entry {
            place,
            at,
            wraps,
            ids: ids.into_iter().flatten().map(str::to_lowercase).collect(),
            application: application.unwrap_or_default().to_lowercase(),
            version: uri.and_then(version),
            status: status.and_then(|status| u16::try_from(status).ok()),
        });
        Ok(())
    }
}

/// The first of these that is there and not empty.
fn text<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    names.iter().filter_map(|name| object.get(*name)?.as_str()).map(str::trim).find(|text| !text.is_empty())
}

/// A number, which some exports write as text or with a fraction.
fn number(object: &Map<String, Value>, name: &str) -> Option<u64> {
    match object.get(name)? {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().map(|number| number as u64)),
        Value::String(text) => text.trim().split('.').next()?.parse().ok(),
        _ => None,
    }
}

/// The version in `https://…/keys/{name}/{version}…`.
fn version(uri: &str) -> Option<KeyVersionId> {
    let after = uri.split("/keys/").nth(1)?;
    after.split(['/', '?']).nth(1)?.to_lowercase().parse().ok()
}
