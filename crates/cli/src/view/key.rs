//! The customer's key: its configuration, its life, and the apps under it.

use client::pb;
use serde::Serialize;

use super::time;

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
    /// Until when the nonce counts; absent once it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ownership_nonce_expire_time: Option<String>,
    /// When it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ownership_prove_time: Option<String>,
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

/// `HELD: KEY_DISABLED`, `REVOKED: KILL_SWITCH`.
fn hold(hold: &pb::KeyHold) -> Option<String> {
    match pb::key_hold::State::try_from(hold.state) {
        Ok(pb::key_hold::State::None | pb::key_hold::State::Unspecified) => None,
        // It is its own cause.
        Ok(state @ pb::key_hold::State::Disconnected) => Some(state.as_str_name().to_owned()),
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
            ownership_nonce_expire_time: time!(k.ownership_nonce_expire_time),
            ownership_prove_time: time!(k.ownership_prove_time),
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
