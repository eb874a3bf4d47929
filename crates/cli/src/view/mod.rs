//! What the JSON holds. Names and types are stable: fields are only added. docs/byokctl.md lists them.

use client::pb;

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

mod caller;
mod data;
mod guarded;
mod key;
mod key_test;
mod key_version;
mod operation;
mod selection;
mod tenant;
pub(crate) mod usage;
mod workspace;

pub(crate) use caller::{Caller, Callers, Role, Roles};
pub(crate) use data::{Inspected, Opened, Sealed};
pub(crate) use guarded::{Approval, Leaving, StillNeeded};
pub(crate) use key::{Key, Selected};
pub(crate) use key_test::{KeyTest, KeyTests, TestEvent, state};
pub(crate) use key_version::{Export, KeyVersion, KeyVersions, WrappedKey};
pub(crate) use operation::{Operation, Operations, Plan};
pub(crate) use selection::{SelectedApp, Selection};
pub(crate) use tenant::{Connecting, Connection, LookedUp, LookedUpDomain, Tenant};
pub(crate) use workspace::{App, Apps, Deleted, Workspace, Workspaces};

/// `CUSTOMER_KEY`, `PLATFORM_KEY`, or what a newer service means by a number.
pub(crate) fn protection(value: i32) -> String {
    pb::Protection::try_from(value).map_or_else(|_| format!("PROTECTION_{value}"), |p| p.as_str_name().to_owned())
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

fn short<E: TryFrom<i32>>(value: i32, prefix: &str, name: impl Fn(&E) -> &'static str) -> String {
    match E::try_from(value) {
        Ok(known) => name(&known).trim_start_matches(prefix).to_owned(),
        Err(_) => format!("{prefix}{value}"),
    }
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
            follow_new_versions: true,
            newest_version_counts: true,
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
        assert_eq!(text, include_str!("../../tests/golden/documents.json"), "the JSON changed:\n{text}");
    }

    /// Times are RFC 3339 in UTC; one out of range is absent rather than wrong.
    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(at(1_767_225_600)).as_deref(), Some("2026-01-01T00:00:00.123Z"));
        assert_eq!(time(at(i64::MAX)), None);
    }
}
