//! What the owner of a key sets as its tag, and what that proves.
//!
//! A nonce is 128 random bits, drawn for one workspace, one key and one directory; it counts for a day and once. When a test has seen
//! it, the proof is a row of its own, and the key is that workspace's and nobody else's.

use std::time::Duration;

use crate::{KeyLocation, KeyTestId, TenantId, Timestamp, WorkspaceId};

/// How long a nonce counts.
pub const NONCE_LIVES: Duration = Duration::from_secs(24 * 3_600);

/// The nonce that a workspace was given for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagNonce {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Of which key.
    pub key: KeyLocation,
    /// In which directory.
    pub tenant: TenantId,
    /// 128 random bits.
    pub value: [u8; 16],
    /// When it was drawn.
    pub drawn_at: Timestamp,
    /// When it was seen; it proves nothing from then on.
    pub consumed_at: Option<Timestamp>,
    /// The one before, so that a tag that is only late is told from one that is wrong.
    pub previous: Option<[u8; 16]>,
}

impl TagNonce {
    /// A new one. `before` is the one it takes the place of.
    pub fn drawn(
        workspace: WorkspaceId,
        key: KeyLocation,
        tenant: TenantId,
        value: [u8; 16],
        before: Option<&Self>,
        now: Timestamp,
    ) -> Self {
        let previous = before.map(|before| before.value);
        Self { workspace, key, tenant, value, drawn_at: now, consumed_at: None, previous }
    }

    /// When it ends.
    pub fn expires_at(&self) -> Timestamp {
        self.drawn_at.saturating_add(NONCE_LIVES)
    }

    /// Whether it can still prove something.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.consumed_at.is_none() && now < self.expires_at()
    }

    /// As it is set as a tag: 32 hexadecimal digits.
    pub fn text(&self) -> String {
        hex::encode(self.value)
    }
}

/// A key that was proven a workspace's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenKey {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which key. No two workspaces have the same one.
    pub key: KeyLocation,
    /// In which directory.
    pub tenant: TenantId,
    /// When.
    pub at: Timestamp,
    /// The test that saw the tag; absent where a replacement did.
    pub test: Option<KeyTestId>,
    /// The nonce it was proven by; absent for keys that were proven before nonces were drawn.
    pub nonce: Option<[u8; 16]>,
    /// Since when it has to be proven anew: the workspace was disconnected. The key stays claimed meanwhile.
    pub void_since: Option<Timestamp>,
    /// When the workspace let go of it, having protected nothing with it: anybody who proves it may have it.
    pub released_at: Option<Timestamp>,
}

impl ProvenKey {
    /// Whether it is proven in this directory now.
    pub fn counts_in(&self, tenant: &TenantId) -> bool {
        self.tenant == *tenant && self.void_since.is_none() && self.released_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cloud;

    /// A nonce counts for a day and once, and the one before it is remembered.
    #[test]
    fn a_nonce_counts_for_a_day_and_once() {
        let at = Timestamp::from_micros;
        let key = KeyLocation::from_parts(Cloud::Public, "acme-kv", "byok").unwrap();
        let tenant: TenantId = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap();
        let draw = |value, before: Option<&TagNonce>, now| {
            TagNonce::drawn("acme".parse().unwrap(), key.clone(), tenant.clone(), value, before, now)
        };
        let first = draw([0xab; 16], None, at(5));
        assert_eq!(first.text(), "ab".repeat(16));
        let last = first.expires_at().saturating_sub(Duration::from_micros(1));
        assert_eq!(
            (first.counts_at(at(5)), first.counts_at(last), first.counts_at(first.expires_at())),
            (true, true, false)
        );
        let used = TagNonce { consumed_at: Some(at(6)), ..first.clone() };
        assert!(!used.counts_at(at(6)));
        assert_eq!(draw([1; 16], Some(&first), at(7)).previous, Some([0xab; 16]));
    }
}
