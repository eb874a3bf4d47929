//! What is kept of a data key (never its bytes), and the order of its life.

use crate::{AppId, DataKeyId, KeyVersionId, PlatformKeyId, Protection, Timestamp, WorkspaceId};

/// A data key's row: everything but the key. The wrapped bytes live apart, in [`Wrapping`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKey {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Which app's it is; a data key serves exactly one.
    pub app: AppId,
    /// 16 random bytes.
    pub id: DataKeyId,
    /// Under whose key it was born (I-18).
    pub protection: Protection,
    /// Where it stands in its life.
    pub state: DataKeyState,
    /// `HMAC(data key, "byokd/kcv/v1")[..16]`: lets a rewrap and an audit compare without a second plaintext.
    pub key_check_value: [u8; 16],
    /// The configuration's wrap epoch it was wrapped in; an insert under an old epoch fails.
    pub wrap_epoch: u64,
    /// When it was inserted as `Pending`.
    pub created_at: Timestamp,
    /// When it became `Active`.
    pub activated_at: Option<Timestamp>,
    /// When it became `Retired`.
    pub retired_at: Option<Timestamp>,
    /// When it was destroyed: its wrapped bytes were erased, and this row is what is left of it (I-5).
    pub destroyed_at: Option<Timestamp>,
}

impl DataKey {
    /// Whether it may open ciphertexts: by its state, and because it still exists.
    pub fn opens(&self) -> bool {
        self.state.decrypts() && self.destroyed_at.is_none()
    }
}

/// `Pending → Staged → Active → Retired`; `Pending → Abandoned` for the loser of a race.
/// Destruction is an operation of its own, with approval and a waiting period (I-5), and not a state reached from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataKeyState {
    /// Wrapped and stored, not yet unwrapped again and compared. Encrypts nothing.
    Pending,
    /// Proven and durable, not yet for Encrypt.
    Staged,
    /// Encrypts and decrypts. At most one for (workspace, app, protection) (I-19).
    Active,
    /// Decrypts only.
    Retired,
    /// Never encrypted anything: another replica's key won.
    Abandoned,
}

impl DataKeyState {
    /// Whether a key may go from this state to that one.
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::Staged | Self::Active | Self::Abandoned)
                | (Self::Staged, Self::Active | Self::Abandoned)
                // Abandoned: the configuration it was made for never came into force, so that it has sealed nothing.
                | (Self::Active, Self::Retired | Self::Abandoned)
        )
    }

    /// Whether a key in this state may open ciphertexts. A staged one has sealed none yet, but is proven.
    pub const fn decrypts(self) -> bool {
        matches!(self, Self::Staged | Self::Active | Self::Retired)
    }
}

/// One wrapping of a data key. Rows are only ever added (I-4); the blob is sealed once more under the platform's wrap key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapping {
    /// Whose data key.
    pub workspace: WorkspaceId,
    /// Which data key.
    pub data_key: DataKeyId,
    /// The key that wrapped it; unwrap names exactly this one.
    pub wrapped_by: WrappingKey,
    /// How the blob was made.
    pub scheme: WrapScheme,
    /// The wrapped payload, sealed under the platform's wrap key, so that a leaked dump needs both.
    pub sealed_blob: Vec<u8>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Which key wrapped a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WrappingKey {
    /// A version of the customer's key (the full URL is in the workspace's `KeyVersion` row).
    Customer(KeyVersionId),
    /// A key of the platform root.
    Platform(PlatformKeyId),
}

/// How a wrapped blob was made. Stored, so that another scheme can come beside these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WrapScheme {
    /// RSA-OAEP with SHA-256 and MGF1-SHA-256, by the customer's vault.
    RsaOaep256,
    /// AES-256-GCM under a key derived from the platform root.
    PlatformAesGcm,
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataKeyState::{Abandoned, Active, Pending, Retired, Staged};

    /// I-2, I-19: a key only moves forward, and nothing comes back to `Active` or out of `Abandoned`.
    #[test]
    fn a_data_key_never_moves_back() {
        let all = [Pending, Staged, Active, Retired, Abandoned];
        let allowed: Vec<_> =
            all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))).filter(|(a, b)| a.may_become(*b)).collect();
        let expected = [
            (Pending, Staged),
            (Pending, Active),
            (Pending, Abandoned),
            (Staged, Active),
            (Staged, Abandoned),
            (Active, Retired),
            (Active, Abandoned),
        ];
        assert_eq!(allowed, expected);
    }
}
