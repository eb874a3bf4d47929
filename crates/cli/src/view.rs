//! What the JSON holds. Names and types are stable: fields are only added. docs/byokctl.md lists them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::pb;
use serde::Serialize;

use crate::failure::Failure;

/// RFC 3339 in UTC; `None` if the answer has no time.
pub(crate) fn time(seconds_and_nanos: Option<(i64, i32)>) -> Option<String> {
    let (seconds, nanos) = seconds_and_nanos?;
    let micros = seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos) / 1_000)?;
    Some(domain::Timestamp::from_micros(micros).to_string())
}

macro_rules! time {
    ($field:expr) => {
        time($field.as_ref().map(|at| (at.seconds, at.nanos)))
    };
}

mod guarded;

pub(crate) use guarded::{Approval, Leaving, StillNeeded};

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
    pub(crate) follow_new_versions: bool,
    pub(crate) newest_version_counts: bool,
    pub(crate) configure_time: Option<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) ownership_tag: String,
    pub(crate) ownership_nonce: String,
    /// When new data went back under the platform's key; absent while it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leave_time: Option<String>,
    /// When the vault last proved that it lets us unwrap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_probe_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) denied: Option<Denied>,
    /// `DRAFT`, `TESTED`, `SCHEDULED`, `ENFORCED`.
    pub(crate) phase: String,
    /// What holds it back; absent where nothing does.
    pub(crate) hold: Option<String>,
    pub(crate) hold_since: Option<String>,
    /// Whether every app is under it, future ones too.
    pub(crate) every_app: bool,
    /// The date from which it is used, if one was set.
    pub(crate) enforcement: Option<Enforcement>,
}

/// The date from which a key is used.
#[derive(Serialize)]
pub(crate) struct Enforcement {
    pub(crate) local_time: String,
    pub(crate) time_zone: String,
    pub(crate) time: Option<String>,
    /// `STAY` or `REFUSE`.
    pub(crate) otherwise: String,
    pub(crate) freeze_time: Option<String>,
    pub(crate) armed: bool,
}

impl From<pb::Enforcement> for Enforcement {
    fn from(e: pb::Enforcement) -> Self {
        Self {
            time: time!(e.time),
            freeze_time: time!(e.freeze_time),
            otherwise: pb::enforcement::Otherwise::try_from(e.otherwise)
                .map_or_else(|_| format!("OTHERWISE_{}", e.otherwise), |otherwise| otherwise.as_str_name().to_owned()),
            local_time: e.local_time,
            time_zone: e.time_zone,
            armed: e.armed,
        }
    }
}

/// While the vault refuses the key.
#[derive(Serialize)]
pub(crate) struct Denied {
    pub(crate) since: Option<String>,
    pub(crate) reason: String,
    pub(crate) owner: String,
    pub(crate) remedy: String,
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
            follow_new_versions: k.follow_new_versions,
            newest_version_counts: k.newest_version_counts,
            configure_time: time!(k.configure_time),
            leave_time: time!(k.leave_time),
            last_probe_time: time!(k.last_probe_time),
            denied: k.denied_since.is_some().then(|| Denied {
                since: time!(k.denied_since),
                reason: k.denied_reason().as_str_name().trim_start_matches("REASON_").to_owned(),
                owner: k.denied_owner.clone(),
                remedy: k.denied_remedy.clone(),
            }),
            name: k.name,
            key_identifier: k.key_identifier,
            tenant_id: k.tenant_id,
            current_version: k.current_version,
            warnings: k.warnings,
            ownership_tag: k.ownership_tag,
            ownership_nonce: k.ownership_nonce,
            phase: pb::KeyPhase::try_from(k.phase)
                .map_or_else(|_| format!("PHASE_{}", k.phase), |phase| phase.as_str_name().to_owned()),
            hold: k.hold.as_ref().and_then(hold),
            hold_since: k.hold.as_ref().and_then(|hold| time!(hold.since)),
            every_app: k.every_app,
            enforcement: k.enforcement.map(Into::into),
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
    pub(crate) in_force: bool,
    /// Whose current wrapping is under it.
    pub(crate) data_keys: i64,
    pub(crate) safe_to_disable: bool,
    /// Absent if it is.
    pub(crate) not_safe_to_disable: Option<String>,
    pub(crate) safe_to_delete: bool,
    /// Absent if it is.
    pub(crate) not_safe_to_delete: Option<String>,
}

fn text(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A reason's name without its prefix; `None` for none.
pub(crate) fn reason(value: i32) -> Option<String> {
    match pb::Reason::try_from(value) {
        Ok(pb::Reason::Unspecified) => None,
        Ok(reason) => Some(reason.as_str_name().trim_start_matches("REASON_").to_owned()),
        Err(_) => Some(format!("REASON_{value}")),
    }
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
            in_force: v.in_force,
            data_keys: v.data_keys,
            safe_to_disable: v.safe_to_disable,
            not_safe_to_disable: text(v.not_safe_to_disable),
            safe_to_delete: v.safe_to_delete,
            not_safe_to_delete: text(v.not_safe_to_delete),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct KeyVersions {
    pub(crate) versions: Vec<KeyVersion>,
}

/// One line of `key test`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum TestEvent {
    Started { step: String },
    Ended(KeyTestStep),
    Finished(KeyTest),
}

impl TestEvent {
    /// The event as one line of JSON.
    pub(crate) fn line(event: &pb::test_configuration_response::Event) -> Result<String, Failure> {
        use pb::test_configuration_response::Event;
        let event = match event.clone() {
            Event::Started(started) => Self::Started { step: step(started) },
            Event::Ended(ended) => Self::Ended(ended.into()),
            Event::Finished(test) => Self::Finished(test.into()),
        };
        let text = serde_json::to_string(&event).map_err(|error| {
            Failure::caller(format!("the answer has no JSON form: {error}")).hint("use --output table")
        })?;
        Ok(text + "\n")
    }
}

#[derive(Serialize)]
pub(crate) struct KeyTestStep {
    pub(crate) step: String,
    pub(crate) state: String,
    pub(crate) duration_ms: u64,
    pub(crate) finding: String,
    /// The last four are absent where a step simply passed.
    pub(crate) reason: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) remedy: Option<String>,
    pub(crate) command: Option<String>,
}

impl From<pb::KeyTestStepResult> for KeyTestStep {
    fn from(s: pb::KeyTestStepResult) -> Self {
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let took = s.duration.and_then(|took| std::time::Duration::try_from(took).ok()).unwrap_or_default();
        Self {
            step: step(s.step),
            state: state(s.state),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            finding: s.finding,
            reason: said(s.reason),
            owner: said(s.owner),
            remedy: said(s.remedy),
            command: said(s.command),
        }
    }
}

/// What a rotation takes.
#[derive(Serialize)]
pub(crate) struct Plan {
    pub(crate) from_version: String,
    pub(crate) to_version: String,
    pub(crate) data_keys: i64,
    pub(crate) vault_calls: i64,
    pub(crate) calls_per_second: f64,
    pub(crate) eta_seconds: f64,
}

impl From<pb::RotationPlan> for Plan {
    fn from(p: pb::RotationPlan) -> Self {
        let eta_seconds = p.eta.map_or(0.0, |eta| eta.seconds as f64 + f64::from(eta.nanos) / 1e9);
        Self {
            from_version: p.from_version,
            to_version: p.to_version,
            data_keys: p.data_keys,
            vault_calls: p.vault_calls,
            calls_per_second: p.calls_per_second,
            eta_seconds,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct KeyTest {
    pub(crate) name: String,
    pub(crate) config_hash: String,
    pub(crate) start_time: Option<String>,
    pub(crate) finish_time: Option<String>,
    pub(crate) passed: bool,
    /// Absent where it did not pass.
    pub(crate) counts_until: Option<String>,
    pub(crate) steps: Vec<KeyTestStep>,
}

impl From<pb::KeyTest> for KeyTest {
    fn from(t: pb::KeyTest) -> Self {
        Self {
            start_time: time!(t.start_time),
            finish_time: time!(t.finish_time),
            counts_until: time!(t.counts_until),
            name: t.name,
            config_hash: t.config_hash,
            passed: t.passed,
            steps: t.steps.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) workspace: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) actor: String,
    pub(crate) from_version: Option<String>,
    pub(crate) to_version: Option<String>,
    pub(crate) app: Option<String>,
    pub(crate) total: i64,
    pub(crate) done: i64,
    pub(crate) failing: i64,
    pub(crate) cancelling: bool,
    /// Why it waits, or why it failed.
    pub(crate) reason: Option<String>,
    pub(crate) remedy: Option<String>,
    pub(crate) create_time: Option<String>,
    pub(crate) update_time: Option<String>,
    pub(crate) switch_time: Option<String>,
    pub(crate) finish_time: Option<String>,
    /// The last four are absent where nobody has to approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<Approval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_key: Option<String>,
}

impl From<pb::Operation> for Operation {
    fn from(o: pb::Operation) -> Self {
        let kind = pb::OperationKind::try_from(o.kind).map_or_else(
            |_| format!("OPERATION_KIND_{}", o.kind),
            |kind| kind.as_str_name().trim_start_matches("OPERATION_KIND_").to_owned(),
        );
        let state = pb::OperationState::try_from(o.state).map_or_else(
            |_| format!("OPERATION_STATE_{}", o.state),
            |state| state.as_str_name().trim_start_matches("OPERATION_STATE_").to_owned(),
        );
        Self {
            kind,
            state,
            reason: reason(o.reason),
            create_time: time!(o.create_time),
            update_time: time!(o.update_time),
            switch_time: time!(o.switch_time),
            finish_time: time!(o.finish_time),
            approval: o.approval.map(Into::into),
            key_identifier: text(o.key_identifier),
            tenant_id: text(o.tenant_id),
            data_key: text(o.data_key),
            name: o.name,
            workspace: o.workspace,
            actor: o.actor,
            from_version: text(o.from_version),
            to_version: text(o.to_version),
            app: text(o.app),
            total: o.total,
            done: o.done,
            failing: o.failing,
            cancelling: o.cancelling,
            remedy: text(o.remedy),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct KeyTests {
    pub(crate) tests: Vec<KeyTest>,
}

/// `NAME_RESOLUTION`, or what a newer service means by a number.
pub(crate) fn step(value: i32) -> String {
    short::<pb::KeyTestStep>(value, "KEY_TEST_STEP_", pb::KeyTestStep::as_str_name)
}

/// `PASSED`, or what a newer service means by a number.
pub(crate) fn state(value: i32) -> String {
    short::<pb::KeyTestStepState>(value, "KEY_TEST_STEP_STATE_", pb::KeyTestStepState::as_str_name)
}

fn short<E: TryFrom<i32>>(value: i32, prefix: &str, name: impl Fn(&E) -> &'static str) -> String {
    match E::try_from(value) {
        Ok(known) => name(&known).trim_start_matches(prefix).to_owned(),
        Err(_) => format!("{prefix}{value}"),
    }
}

#[derive(Serialize)]
pub(crate) struct Operations {
    pub(crate) operations: Vec<Operation>,
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
            ownership_tag: "byok-enrol".into(),
            ownership_nonce: "00112233445566778899aabbccddeeff".into(),
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
            in_force: true,
            data_keys: 3,
            safe_to_disable: false,
            not_safe_to_disable: "it wraps new data keys".into(),
            safe_to_delete: true,
            not_safe_to_delete: String::new(),
        };
        let plan = pb::RotationPlan {
            from_version: version.name.clone(),
            to_version: version.name.clone(),
            data_keys: 3,
            vault_calls: 11,
            calls_per_second: 320.0,
            eta: Some(client::whole_seconds(std::time::Duration::from_secs(2))),
        };
        let operation = pb::Operation {
            name: "operations/01JABCDEFGHJKMNPQRSTVWXYZ0".into(),
            workspace: "workspaces/acme".into(),
            kind: pb::OperationKind::RotateKey.into(),
            state: pb::OperationState::Running.into(),
            actor: "ann".into(),
            to_version: version.name.clone(),
            total: 3,
            done: 1,
            reason: pb::Reason::KeyDisabled.into(),
            remedy: "re-enable that version".into(),
            ..Default::default()
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
            document(&Plan::from(plan)),
            document(&Operations { operations: vec![operation.into()] }),
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
