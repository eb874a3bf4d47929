//! What a key in a vault is: versions with attributes, and a rotation policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::jwt::b64;
use crate::operation::Operation;
use crate::rsa_key::{Bits, RsaKey};

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyOperation {
    /// `encrypt`
    Encrypt,
    /// `decrypt`
    Decrypt,
    /// `sign`: may be listed; the emulator does not offer the operation.
    Sign,
    /// `verify`: as `sign`.
    Verify,
    /// `wrapKey`
    WrapKey,
    /// `unwrapKey`
    UnwrapKey,
}

impl KeyOperation {
    /// What Key Vault gives a new RSA key.
    pub const DEFAULT: [Self; 6] =
        [Self::Encrypt, Self::Decrypt, Self::Sign, Self::Verify, Self::WrapKey, Self::UnwrapKey];

    /// Just what wrapping needs.
    pub const WRAP: [Self; 2] = [Self::WrapKey, Self::UnwrapKey];

    pub(crate) fn of(operation: Operation) -> Option<Self> {
        match operation {
            Operation::WrapKey => Some(Self::WrapKey),
            Operation::UnwrapKey => Some(Self::UnwrapKey),
            Operation::Encrypt => Some(Self::Encrypt),
            Operation::Decrypt => Some(Self::Decrypt),
            _ => None,
        }
    }
}

/// One version.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeyVersion {
    /// 32 hex characters.
    pub(crate) id: String,
    pub(crate) bits: Bits,
    pub(crate) hsm: bool,
    pub(crate) key_ops: Vec<KeyOperation>,
    pub(crate) enabled: bool,
    /// Unix seconds, as are the other dates.
    pub(crate) nbf: Option<i64>,
    pub(crate) exp: Option<i64>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) exportable: bool,
    /// Backs a certificate.
    pub(crate) managed: bool,
    pub(crate) release_policy: Option<Value>,
    /// Kept in a file of its own.
    #[serde(skip)]
    pub(crate) material: Option<Arc<RsaKey>>,
}

/// How the vault protects deleted keys, as `attributes` shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    pub(crate) level: &'static str,
    pub(crate) days: u16,
}

impl KeyVersion {
    pub(crate) fn attributes(&self, recovery: Recovery) -> Value {
        let mut attributes = Map::new();
        attributes.insert("enabled".into(), self.enabled.into());
        if let Some(nbf) = self.nbf {
            attributes.insert("nbf".into(), nbf.into());
        }
        if let Some(exp) = self.exp {
            attributes.insert("exp".into(), exp.into());
        }
        attributes.insert("created".into(), self.created.into());
        attributes.insert("updated".into(), self.updated.into());
        attributes.insert("recoveryLevel".into(), recovery.level.into());
        attributes.insert("recoverableDays".into(), recovery.days.into());
        attributes.insert("exportable".into(), self.exportable.into());
        if self.hsm {
            attributes.insert("hsmPlatform".into(), "2".into());
        }
        Value::Object(attributes)
    }

    /// The bundle that most operations answer.
    pub(crate) fn bundle(&self, kid: &str, recovery: Recovery) -> Value {
        let (n, e) = match &self.material {
            Some(key) => (b64(&key.modulus()), b64(&key.exponent())),
            None => (String::new(), String::new()),
        };
        let kty = if self.hsm { "RSA-HSM" } else { "RSA" };
        let mut bundle = json!({
            "key": {"kid": kid, "kty": kty, "key_ops": self.key_ops, "n": n, "e": e},
            "attributes": self.attributes(recovery),
        });
        self.add_extras(&mut bundle);
        bundle
    }

    /// An item of a list: no public key.
    pub(crate) fn item(&self, kid: &str, recovery: Recovery) -> Value {
        let mut item = json!({"kid": kid, "attributes": self.attributes(recovery)});
        self.add_extras(&mut item);
        if let Value::Object(fields) = &mut item {
            fields.remove("release_policy");
        }
        item
    }

    fn add_extras(&self, to: &mut Value) {
        if !self.tags.is_empty() {
            to["tags"] = json!(self.tags);
        }
        if self.managed {
            to["managed"] = true.into();
        }
        if let Some(policy) = &self.release_policy {
            to["release_policy"] = policy.clone();
        }
    }
}

/// A key: its versions, oldest first, never empty.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Key {
    /// As it was first written; looked up without regard to case.
    pub(crate) name: String,
    pub(crate) versions: Vec<KeyVersion>,
    pub(crate) rotation: Option<Value>,
}

impl Key {
    /// `""` is the latest.
    pub(crate) fn version(&self, id: &str) -> Option<&KeyVersion> {
        if id.is_empty() { self.versions.last() } else { self.versions.iter().find(|v| v.id.eq_ignore_ascii_case(id)) }
    }

    pub(crate) fn version_mut(&mut self, id: &str) -> Option<&mut KeyVersion> {
        if id.is_empty() {
            return self.versions.last_mut();
        }
        self.versions.iter_mut().find(|v| v.id.eq_ignore_ascii_case(id))
    }
}

/// A deleted key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DeletedKey {
    pub(crate) key: Key,
    pub(crate) deleted: i64,
    pub(crate) purge_at: i64,
}
