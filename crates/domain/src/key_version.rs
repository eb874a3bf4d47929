//! What is recorded of one version of a customer's key when it is first seen.

use crate::{KeyVersionId, KeyVersionLocation, TenantId, Timestamp, WorkspaceId};

/// A version of a workspace's customer key. Recorded once; the same `kid` with another modulus is an alarm, never an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// Whose key.
    pub workspace: WorkspaceId,
    /// The version, as the vault names it.
    pub id: KeyVersionId,
    /// The full `kid`: allow-listed host, key name, version.
    pub location: KeyVersionLocation,
    /// The RSA modulus, big endian, no leading zero byte.
    pub modulus: Vec<u8>,
    /// The RSA public exponent, big endian, no leading zero byte.
    pub exponent: Vec<u8>,
    /// RFC 7638 thumbprint (SHA-256) of the public key.
    pub thumbprint: [u8; 32],
    /// Whether the key lives in an HSM (`RSA-HSM`).
    pub hsm: bool,
    /// When this version was first seen and recorded.
    pub recorded_at: Timestamp,
    /// The Entra tenant its vault belongs to, where that is settled for ever: absent, it is the configuration's. Settled when a
    /// replacement is begun, after which the configuration's may be another.
    pub tenant: Option<TenantId>,
}

impl KeyVersion {
    /// The modulus' size in bits: 2048, 3072 or 4096.
    pub fn bits(&self) -> usize {
        self.modulus.len() * 8
    }
}
