//! What the JSON of validation, usage, coverage and of counts of stored ciphertexts holds. Fields are only added.

use client::pb;
use serde::Serialize;

use crate::view::{protection, time};

#[derive(Serialize)]
pub(crate) struct Validation {
    pub(crate) successful: bool,
    pub(crate) message: String,
    /// The next three are absent if nothing was sealed; the version also under the platform key.
    pub(crate) protection: Option<String>,
    pub(crate) data_key: Option<String>,
    pub(crate) key_version: Option<String>,
    /// The last three are absent if it was successful.
    pub(crate) reason: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) remedy: Option<String>,
}

fn said(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn at(at: Option<&client::Time>) -> Option<String> {
    time(at.map(|at| (at.seconds, at.nanos)))
}

impl From<pb::ValidateAppResponse> for Validation {
    fn from(v: pb::ValidateAppResponse) -> Self {
        Self {
            protection: (v.protection != 0).then(|| protection(v.protection)),
            successful: v.successful,
            message: v.message,
            data_key: said(v.data_key),
            key_version: said(v.key_version),
            reason: said(v.reason),
            owner: said(v.owner),
            remedy: said(v.remedy),
        }
    }
}

/// Messages, and bytes of plaintext.
#[derive(Serialize)]
pub(crate) struct Tally {
    pub(crate) sealed_messages: i64,
    pub(crate) sealed_bytes: i64,
    pub(crate) opened_messages: i64,
    pub(crate) opened_bytes: i64,
}

impl From<Option<pb::Tally>> for Tally {
    fn from(tally: Option<pb::Tally>) -> Self {
        let t = tally.unwrap_or_default();
        Self {
            sealed_messages: t.sealed_messages,
            sealed_bytes: t.sealed_bytes,
            opened_messages: t.opened_messages,
            opened_bytes: t.opened_bytes,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Usage {
    pub(crate) hours: Vec<HourOfUsage>,
}

#[derive(Serialize)]
pub(crate) struct HourOfUsage {
    pub(crate) start_time: Option<String>,
    pub(crate) app: String,
    pub(crate) protection: String,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

impl From<pb::HourOfUsage> for HourOfUsage {
    fn from(h: pb::HourOfUsage) -> Self {
        Self {
            start_time: at(h.start_time.as_ref()),
            app: h.app,
            protection: protection(h.protection),
            tally: h.tally.into(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Coverage {
    pub(crate) apps: Vec<AppCoverage>,
}

#[derive(Serialize)]
pub(crate) struct AppCoverage {
    pub(crate) app: String,
    pub(crate) protection: String,
    pub(crate) data_keys_left: i64,
    /// At most.
    pub(crate) messages_left: i64,
    pub(crate) protections: Vec<ProtectionCoverage>,
    pub(crate) data_keys: Vec<DataKeyCoverage>,
}

impl From<pb::AppCoverage> for AppCoverage {
    fn from(a: pb::AppCoverage) -> Self {
        Self {
            app: a.app,
            protection: protection(a.protection),
            data_keys_left: a.data_keys_left,
            messages_left: a.messages_left,
            protections: a.protections.into_iter().map(Into::into).collect(),
            data_keys: a.data_keys.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ProtectionCoverage {
    pub(crate) protection: String,
    pub(crate) data_keys: i64,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

impl From<pb::ProtectionCoverage> for ProtectionCoverage {
    fn from(p: pb::ProtectionCoverage) -> Self {
        Self { protection: protection(p.protection), data_keys: p.data_keys, tally: p.tally.into() }
    }
}

#[derive(Serialize)]
pub(crate) struct DataKeyCoverage {
    pub(crate) data_key: String,
    pub(crate) protection: String,
    pub(crate) state: String,
    pub(crate) present: bool,
    pub(crate) left: bool,
    pub(crate) create_time: Option<String>,
    pub(crate) activate_time: Option<String>,
    pub(crate) retire_time: Option<String>,
    #[serde(flatten)]
    pub(crate) tally: Tally,
    pub(crate) first_seal_time: Option<String>,
    pub(crate) last_seal_time: Option<String>,
    pub(crate) last_open_time: Option<String>,
}

impl From<pb::DataKeyCoverage> for DataKeyCoverage {
    fn from(k: pb::DataKeyCoverage) -> Self {
        let state = pb::DataKeyState::try_from(k.state).map_or_else(
            |_| format!("DATA_KEY_STATE_{}", k.state),
            |state| state.as_str_name().trim_start_matches("DATA_KEY_STATE_").to_owned(),
        );
        Self {
            state,
            protection: protection(k.protection),
            present: k.present,
            left: k.left,
            create_time: at(k.create_time.as_ref()),
            activate_time: at(k.activate_time.as_ref()),
            retire_time: at(k.retire_time.as_ref()),
            tally: k.tally.into(),
            first_seal_time: at(k.first_seal_time.as_ref()),
            last_seal_time: at(k.last_seal_time.as_ref()),
            last_open_time: at(k.last_open_time.as_ref()),
            data_key: k.data_key,
        }
    }
}

/// What `data inspect` counts in many ciphertexts.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Scanned {
    pub(crate) ciphertexts: u64,
    pub(crate) bytes: u64,
    pub(crate) data_keys: Vec<ScannedKey>,
    pub(crate) protections: Vec<ScannedProtection>,
    pub(crate) bad: Vec<Bad>,
}

#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
pub(crate) struct ScannedKey {
    pub(crate) data_key_id: String,
    pub(crate) messages: u64,
    pub(crate) streams: u64,
    pub(crate) bytes: u64,
    /// The last three are absent where the service was not asked, or does not know the data key.
    pub(crate) app: Option<String>,
    pub(crate) protection: Option<String>,
    pub(crate) present: Option<bool>,
}

/// Absent where the service was not asked; without a name where it does not know the data key.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub(crate) struct ScannedProtection {
    pub(crate) protection: Option<String>,
    pub(crate) ciphertexts: u64,
    pub(crate) bytes: u64,
}

/// What is no ciphertext, or could not be encrypted again.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Bad {
    /// A path, `line 7`, or both.
    pub(crate) at: String,
    pub(crate) why: String,
}

/// What `data reencrypt` did with many ciphertexts.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ReEncrypted {
    pub(crate) re_encrypted: u64,
    /// Were under the present data key already.
    pub(crate) skipped: u64,
    /// The present data key, if one is known.
    pub(crate) data_key: Option<String>,
    pub(crate) bad: Vec<Bad>,
}

/// A coverage with something left, for tests.
#[cfg(test)]
pub(crate) fn sample() -> pb::AppCoverage {
    let app = "workspaces/acme/apps/support-bot";
    let tally =
        |n: i64| Some(pb::Tally { sealed_messages: n, sealed_bytes: 100 * n, opened_messages: 1, opened_bytes: 9 });
    let key = |byte: &str, present: bool, n: i64| pb::DataKeyCoverage {
        data_key: format!("{app}/dataKeys/{}", byte.repeat(16)),
        protection: if present { pb::Protection::CustomerKey } else { pb::Protection::PlatformKey }.into(),
        state: pb::DataKeyState::Active.into(),
        present,
        left: !present,
        tally: tally(n),
        ..Default::default()
    };
    pb::AppCoverage {
        app: app.into(),
        protection: pb::Protection::CustomerKey.into(),
        protections: vec![pb::ProtectionCoverage {
            protection: pb::Protection::PlatformKey.into(),
            data_keys: 1,
            tally: tally(7),
        }],
        data_keys: vec![key("0f", false, 7), key("1f", true, 3)],
        data_keys_left: 1,
        messages_left: 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::document;

    /// Each document as programs read it, against the file that was agreed on. A field that changes or goes breaks this test.
    #[test]
    fn the_json_is_what_was_agreed_on() {
        let good = pb::ValidateAppResponse {
            successful: true,
            message: domain::validation::SUCCESSFUL.into(),
            protection: pb::Protection::CustomerKey.into(),
            data_key: "workspaces/acme/apps/support-bot/dataKeys/0f".into(),
            key_version: "workspaces/acme/key/versions/01".into(),
            ..Default::default()
        };
        let hour = pb::HourOfUsage {
            start_time: None,
            app: "workspaces/acme/apps/support-bot".into(),
            protection: pb::Protection::CustomerKey.into(),
            tally: Some(pb::Tally { sealed_messages: 3, sealed_bytes: 30, opened_messages: 2, opened_bytes: 20 }),
        };
        let key = ScannedKey {
            data_key_id: "0f".repeat(16),
            messages: 2,
            streams: 1,
            bytes: 400,
            app: Some("workspaces/acme/apps/support-bot".into()),
            protection: Some("PLATFORM_KEY".into()),
            present: Some(false),
        };
        let unknown = ScannedKey { data_key_id: "1f".repeat(16), messages: 1, bytes: 100, ..ScannedKey::default() };
        let bad = || vec![Bad { at: "line 7".into(), why: "the input is empty".into() }];
        let scanned = Scanned {
            ciphertexts: 4,
            bytes: 500,
            data_keys: vec![key, unknown],
            protections: vec![
                ScannedProtection { protection: None, ciphertexts: 1, bytes: 100 },
                ScannedProtection { protection: Some("PLATFORM_KEY".into()), ciphertexts: 3, bytes: 400 },
            ],
            bad: bad(),
        };
        let again = ReEncrypted { re_encrypted: 3, skipped: 1, data_key: Some("0f".repeat(16)), bad: bad() };
        let documents = [
            document(&Validation::from(good)),
            document(&Usage { hours: vec![hour.into()] }),
            document(&Coverage { apps: vec![sample().into()] }),
            document(&scanned),
            document(&again),
        ];
        let text: String = documents.into_iter().map(Result::unwrap).collect();
        assert_eq!(text, include_str!("../../tests/golden/usage.json"), "the JSON changed:\n{text}");
    }
}
