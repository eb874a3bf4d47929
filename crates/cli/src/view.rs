//! What the JSON holds. Names and types are stable: fields are only added. docs/byokctl.md lists them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::pb;
use serde::Serialize;

/// RFC 3339 in UTC; `None` if the answer has no time.
fn time(seconds_and_nanos: Option<(i64, i32)>) -> Option<String> {
    let (seconds, nanos) = seconds_and_nanos?;
    let micros = seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos) / 1_000)?;
    Some(domain::Timestamp::from_micros(micros).to_string())
}

macro_rules! time {
    ($field:expr) => {
        time($field.as_ref().map(|at| (at.seconds, at.nanos)))
    };
}

/// `CUSTOMER_KEY`, `PLATFORM_KEY`, or what a newer service means by a number.
pub(crate) fn protection(value: i32) -> String {
    pb::Protection::try_from(value).map_or_else(|_| format!("PROTECTION_{value}"), |p| p.as_str_name().to_owned())
}

#[derive(Serialize)]
pub(crate) struct Workspace {
    pub(crate) name: String,
    pub(crate) display_name: String,
    pub(crate) create_time: Option<String>,
}

impl From<pb::Workspace> for Workspace {
    fn from(w: pb::Workspace) -> Self {
        Self { create_time: time!(w.create_time), name: w.name, display_name: w.display_name }
    }
}

#[derive(Serialize)]
pub(crate) struct Workspaces {
    pub(crate) workspaces: Vec<Workspace>,
}

#[derive(Serialize)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) display_name: String,
    pub(crate) create_time: Option<String>,
}

impl From<pb::App> for App {
    fn from(a: pb::App) -> Self {
        let kind =
            pb::AppKind::try_from(a.kind).map_or_else(|_| format!("APP_KIND_{}", a.kind), |k| k.as_str_name().into());
        Self { kind, create_time: time!(a.create_time), name: a.name, display_name: a.display_name }
    }
}

#[derive(Serialize)]
pub(crate) struct Apps {
    pub(crate) apps: Vec<App>,
}

#[derive(Serialize)]
pub(crate) struct Deleted {
    pub(crate) deleted: String,
}

#[derive(Serialize)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) key_identifier: String,
    pub(crate) tenant_id: String,
    pub(crate) current_version: String,
    pub(crate) lease_seconds: i64,
    pub(crate) configure_time: Option<String>,
    pub(crate) warnings: Vec<String>,
    /// `DRAFT`, `TESTED`, `SCHEDULED`, `ENFORCED`.
    pub(crate) phase: String,
    /// What holds it back; absent where nothing does.
    pub(crate) hold: Option<String>,
    pub(crate) hold_since: Option<String>,
    /// Whether every app is under it, future ones too.
    pub(crate) every_app: bool,
}

/// What a change of the selection did, or would do.
#[derive(Serialize)]
pub(crate) struct Selected {
    pub(crate) to_customer_key: Vec<String>,
    pub(crate) to_platform_key: Vec<String>,
    pub(crate) unchanged: i32,
    pub(crate) data_keys: i32,
    pub(crate) revision: u64,
    /// Absent for a preview.
    pub(crate) effective_time: Option<String>,
}

impl From<pb::SelectAppsResponse> for Selected {
    fn from(s: pb::SelectAppsResponse) -> Self {
        Self {
            effective_time: time!(s.effective_time),
            to_customer_key: s.to_customer_key,
            to_platform_key: s.to_platform_key,
            unchanged: s.unchanged,
            data_keys: s.data_keys,
            revision: s.revision,
        }
    }
}

/// `HELD: KEY_DISABLED`, `REVOKED: KILL_SWITCH`.
fn hold(hold: &pb::KeyHold) -> Option<String> {
    match pb::key_hold::State::try_from(hold.state) {
        Ok(pb::key_hold::State::None | pb::key_hold::State::Unspecified) => None,
        Ok(state) => Some(format!("{}: {}", state.as_str_name(), hold.cause)),
        Err(_) => Some(format!("STATE_{}: {}", hold.state, hold.cause)),
    }
}

impl From<pb::Key> for Key {
    fn from(k: pb::Key) -> Self {
        Self {
            lease_seconds: k.lease.map_or(0, |lease| lease.seconds),
            configure_time: time!(k.configure_time),
            name: k.name,
            key_identifier: k.key_identifier,
            tenant_id: k.tenant_id,
            current_version: k.current_version,
            warnings: k.warnings,
            phase: pb::KeyPhase::try_from(k.phase)
                .map_or_else(|_| format!("PHASE_{}", k.phase), |phase| phase.as_str_name().to_owned()),
            hold: k.hold.as_ref().and_then(hold),
            hold_since: k.hold.as_ref().and_then(|hold| time!(hold.since)),
            every_app: k.every_app,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct KeyVersion {
    pub(crate) name: String,
    pub(crate) kid: String,
    pub(crate) bits: i32,
    pub(crate) hsm: bool,
    pub(crate) thumbprint: String,
    pub(crate) record_time: Option<String>,
}

impl From<pb::KeyVersion> for KeyVersion {
    fn from(v: pb::KeyVersion) -> Self {
        Self {
            record_time: time!(v.record_time),
            name: v.name,
            kid: v.kid,
            bits: v.bits,
            hsm: v.hsm,
            thumbprint: v.thumbprint,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct KeyVersions {
    pub(crate) versions: Vec<KeyVersion>,
}

/// The export that FORMAT.md specifies: the way out of this service.
#[derive(Serialize)]
pub(crate) struct Export {
    pub(crate) format: &'static str,
    pub(crate) wrapped_keys: Vec<WrappedKey>,
}

impl From<Vec<pb::WrappedKey>> for Export {
    fn from(keys: Vec<pb::WrappedKey>) -> Self {
        Self { format: "byokd/export/v1", wrapped_keys: keys.into_iter().map(Into::into).collect() }
    }
}

#[derive(Serialize)]
pub(crate) struct WrappedKey {
    pub(crate) data_key_id: String,
    pub(crate) workspace_id: String,
    pub(crate) app_id: String,
    pub(crate) protection: String,
    pub(crate) kid: String,
    pub(crate) algorithm: String,
    /// Standard base64.
    pub(crate) blob: String,
    pub(crate) create_time: Option<String>,
}

impl From<pb::WrappedKey> for WrappedKey {
    fn from(w: pb::WrappedKey) -> Self {
        Self {
            protection: protection(w.protection),
            blob: STANDARD.encode(&w.blob),
            create_time: time!(w.create_time),
            data_key_id: w.data_key_id,
            workspace_id: w.workspace_id,
            app_id: w.app_id,
            kid: w.kid,
            algorithm: w.algorithm,
        }
    }
}

/// What `data encrypt` and `data reencrypt` say of a file they wrote.
#[derive(Serialize)]
pub(crate) struct Sealed {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) protection: String,
    pub(crate) data_key: String,
    /// Absent under the platform key.
    pub(crate) key_version: Option<String>,
}

/// What `data decrypt` says of a file it wrote.
#[derive(Serialize)]
pub(crate) struct Opened {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// What `data inspect` reads in a header.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Inspected {
    pub(crate) kind: &'static str,
    pub(crate) format_version: u8,
    pub(crate) suite: &'static str,
    pub(crate) data_key_id: String,
    pub(crate) size: u64,
    pub(crate) plaintext_size: u64,
    /// Absent for a message.
    pub(crate) segments: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::document;

    fn at(seconds: i64) -> Option<(i64, i32)> {
        Some((seconds, 123_456_789))
    }

    /// Each document as programs read it, against the file that was agreed on. A field that changes or goes breaks this test.
    #[test]
    fn the_json_is_what_was_agreed_on() {
        let key = pb::Key {
            name: "workspaces/acme/key".into(),
            key_identifier: "https://acme.vault.azure.net/keys/orders".into(),
            tenant_id: "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".into(),
            current_version: "workspaces/acme/key/versions/00112233445566778899aabbccddeeff".into(),
            warnings: vec!["purge protection is off".into()],
            phase: pb::KeyPhase::Enforced.into(),
            hold: Some(pb::KeyHold {
                state: pb::key_hold::State::Revoked.into(),
                cause: "KILL_SWITCH".into(),
                ..Default::default()
            }),
            every_app: true,
            ..Default::default()
        };
        let version = pb::KeyVersion {
            name: key.current_version.clone(),
            kid: format!("{}/00112233445566778899aabbccddeeff", key.key_identifier),
            bits: 3072,
            hsm: true,
            thumbprint: "dGh1bWI".into(),
            record_time: None,
        };
        let wrapped = pb::WrappedKey {
            data_key_id: "0f".repeat(16),
            workspace_id: "acme".into(),
            app_id: "support-bot".into(),
            protection: pb::Protection::CustomerKey.into(),
            kid: version.kid.clone(),
            algorithm: "RSA-OAEP-256".into(),
            blob: vec![0xfb, 0xff, 0].into(),
            create_time: None,
        };
        let bot = pb::App {
            name: "workspaces/acme/apps/support-bot".into(),
            kind: pb::AppKind::Bot.into(),
            display_name: "Support \"bot\"".into(),
            create_time: None,
        };
        let workspace =
            pb::Workspace { name: "workspaces/acme".into(), display_name: "Acme".into(), create_time: None };
        let sealed = Sealed {
            bytes_in: 1,
            bytes_out: 113,
            protection: protection(pb::Protection::PlatformKey.into()),
            data_key: "workspaces/acme/apps/support-bot/dataKeys/0f".into(),
            key_version: None,
        };
        let documents = [
            document(&Workspaces { workspaces: vec![workspace.into()] }),
            document(&Apps { apps: vec![bot.into()] }),
            document(&Deleted { deleted: "workspaces/acme".into() }),
            document(&Key::from(key)),
            document(&KeyVersions { versions: vec![version.into()] }),
            document(&Export::from(vec![wrapped])),
            document(&sealed),
            document(&Opened { bytes_in: 113, bytes_out: 1 }),
        ];
        let text: String = documents.into_iter().map(Result::unwrap).collect();
        assert_eq!(text, include_str!("../tests/golden/documents.json"), "the JSON changed:\n{text}");
    }

    /// Times are RFC 3339 in UTC; one out of range is absent rather than wrong.
    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(at(1_767_225_600)).as_deref(), Some("2026-01-01T00:00:00.123Z"));
        assert_eq!(time(at(i64::MAX)), None);
    }
}
