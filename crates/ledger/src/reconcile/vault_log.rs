//! What a customer exports of a Key Vault's log: `AuditEvent` records as Azure Monitor writes them to storage and event hubs
//! (`properties.…`, `identity.claim.…`), rows of the table `AzureDiagnostics` (`httpStatusCode_d`, `identity_claim_appid_g`), or rows
//! of the table `AZKVAuditLogs` (`HttpStatusCode`, `Identity.claim.appid`), by themselves or in the answer to a query.

use domain::ledger::Purpose;
use domain::{KeyVersionId, Timestamp};
use serde_json::{Map, Value};

/// What the key was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `KeyWrap`.
    Wrap,
    /// `KeyUnwrap`.
    Unwrap,
    /// Another use, under the log's own name. The service makes none: `KeyDecrypt` opens what was wrapped just as `KeyUnwrap` does.
    Other(&'static str),
}

/// The uses that the service never makes.
const OTHER_USES: [&str; 6] = ["KeyDecrypt", "KeyEncrypt", "KeySign", "KeyVerify", "KeyRelease", "KeyBackup"];

impl Operation {
    /// By the log's name of it; `None`: it uses no key.
    fn named(name: &str) -> Option<Self> {
        match name {
            "KeyWrap" => Some(Self::Wrap),
            "KeyUnwrap" => Some(Self::Unwrap),
            _ => OTHER_USES.into_iter().find(|other| *other == name).map(Self::Other),
        }
    }

    /// The log's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrap => "KeyWrap",
            Self::Unwrap => "KeyUnwrap",
            Self::Other(name) => name,
        }
    }

    /// Whether a call of ours for this purpose is logged so.
    pub(super) fn is(self, purpose: Purpose) -> bool {
        self == if purpose.wraps() { Self::Wrap } else { Self::Unwrap }
    }
}

/// A use of a key as the vault logged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line or the record's place in the file, from 1.
    pub place: u64,
    /// When.
    pub at: Timestamp,
    /// What for.
    pub operation: Operation,
    /// Every id in it, in lower case.
    pub ids: Vec<String>,
    /// The application that called; empty where nobody had said who.
    pub application: String,
    /// Of which version of the key, where it says.
    pub version: Option<KeyVersionId>,
    /// The status of the vault's answer, where it says.
    pub status: Option<u16>,
}

/// The uses of keys in a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct VaultLog {
    pub(super) entries: Vec<Entry>,
    /// The time of the first and of the last record, of whatever kind.
    pub(super) range: Option<(Timestamp, Timestamp)>,
    /// How many records of operations that use no key there are, reads and lists among them.
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
    /// A record without a time or an operation, or one of a use of a key that does not say whose.
    #[error("record {place} has no {what}")]
    Incomplete {
        /// From 1.
        place: u64,
        /// What it lacks.
        what: &'static str,
    },
}

impl VaultLog {
    /// Reads a log: `{"records":[…]}`, several such documents one a line, a JSON array, one record a line, or what Log Analytics
    /// answers to a query, `{"tables":[{"columns":[…],"rows":[…]}]}`.
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
                Value::Object(mut object) => match (object.remove("records"), object.remove("tables")) {
                    (Some(Value::Array(records)), None) => log.take_all(records, &mut place)?,
                    (None, Some(Value::Array(tables))) => {
                        for table in &tables {
                            log.take_all(rows(table).ok_or_else(|| unreadable.clone())?, &mut place)?;
                        }
                    }
                    (Some(_), _) | (None, Some(_)) => return Err(unreadable),
                    (None, None) => log.take_all(vec![Value::Object(object)], &mut place)?,
                },
                _ => return Err(unreadable),
            }
        }
        Ok(log)
    }

    /// How many uses there are.
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
        let Some(operation) = Operation::named(operation) else {
            self.other_operations += 1;
            return Ok(());
        };
        let properties = inner(record, &["properties", "Properties"]);
        let claims = inner(&inner(record, &["identity", "Identity"]), &["claim"]);
        let ids = [
            text(record, &["correlationId", "CorrelationId", "correlationId_s", "correlationId_g"]),
            text(record, &["requestId", "requestId_s", "requestId_g", "x-ms-request-id"]),
            text(&properties, &["requestId", "x-ms-request-id"]),
            text(&properties, &["clientRequestId", "x-ms-client-request-id"]),
        ];
        let application = text(&claims, &["appid", "azp"])
            .or_else(|| text(record, &["identity_claim_appid_g", "identity_claim_appid_s", "identity_claim_azp_g"]));
        // The key's id may be the key's without a version: then what was asked for has it.
        let uris = [&properties, record].into_iter().flat_map(|object| {
            ["id", "Id", "id_s", "requestUri", "RequestUri", "requestUri_s"]
                .iter()
                .filter_map(|name| text(object, &[name]))
        });
        let version = uris.filter_map(version).next();
        let status = number(&properties, "httpStatusCode")
            .or_else(|| number(record, "HttpStatusCode"))
            .or_else(|| number(record, "httpStatusCode_d"));
        // Whose a use was must be said: read as nobody's, it would be one of other people's.
        if application.is_none() && status.is_none_or(|status| (200..300).contains(&status)) {
            return Err(lacks("identity.claim.appid"));
        }
        self.entries.push(Entry {
            place,
            at,
            operation,
            ids: ids.into_iter().flatten().map(str::to_lowercase).collect(),
            application: application.unwrap_or_default().to_lowercase(),
            version,
            status: status.and_then(|status| u16::try_from(status).ok()),
        });
        Ok(())
    }
}

/// The rows of a table in an answer of Log Analytics, by the names of its columns.
fn rows(table: &Value) -> Option<Vec<Value>> {
    let names: Vec<&str> =
        table.get("columns")?.as_array()?.iter().map(|column| column.get("name")?.as_str()).collect::<Option<_>>()?;
    let row = |row: &Value| {
        let values = row.as_array().filter(|values| values.len() == names.len())?;
        let named = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.clone()));
        Some(Value::Object(named.collect()))
    };
    table.get("rows")?.as_array()?.iter().map(row).collect()
}

/// The object by the first of these names, which tools of Log Analytics write as text; empty where there is none.
fn inner(object: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    match names.iter().find_map(|name| object.get(*name)) {
        Some(Value::Object(inner)) => inner.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(_) | None => Map::new(),
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
