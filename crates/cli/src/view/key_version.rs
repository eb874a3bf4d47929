//! The versions of a key, and the wrapped keys that are exported.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::pb;
use serde::Serialize;

use super::{protection, text, time};

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
