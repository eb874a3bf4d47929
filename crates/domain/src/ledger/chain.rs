//! Which bytes of an event its hash covers, and how that ties it to the event before.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::name::InvalidName;
use crate::row_seal::RowBytes;
use crate::{Timestamp, WorkspaceId, name};

/// The hash before a chain's first event.
pub const START: [u8; 32] = [0; 32];

/// A chain's name: `workspaces/{workspace}`, or `platform` for the platform's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChainName(Option<WorkspaceId>);

impl ChainName {
    /// A workspace's chain, or the platform's.
    pub fn of(workspace: Option<WorkspaceId>) -> Self {
        Self(workspace)
    }

    /// Whose; absent for the platform's.
    pub fn workspace(&self) -> Option<&WorkspaceId> {
        self.0.as_ref()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(workspace) => f.write_str(&name::workspace(workspace)),
            None => f.write_str("platform"),
        }
    }
}

impl FromStr for ChainName {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "platform" { Ok(Self(None)) } else { name::parse_workspace(text).map(|id| Self(Some(id))) }
    }
}

/// An event as its chain hashes it.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a, T: AsRef<str>> {
    /// Whose chain; absent for the platform's own.
    pub workspace: Option<&'a WorkspaceId>,
    /// From 1, without gaps.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: &'a str,
    /// Its stable name.
    pub name: &'a str,
    /// Its details, in order.
    pub details: &'a [(T, T)],
    /// The hash of the event before; [`START`] before the first.
    pub previous: &'a [u8; 32],
}

impl<T: AsRef<str>> Link<'_, T> {
    /// The hash its content asks for: SHA-256 over its fields in order, each length-prefixed, the count of details before them.
    pub fn hash(&self) -> [u8; 32] {
        let mut bytes = RowBytes::of("audit event")
            .optional(self.workspace.map(|workspace| workspace.as_str().as_bytes()))
            .field(&self.number.to_be_bytes())
            .number(self.at.micros())
            .field(self.actor.as_bytes())
            .field(self.name.as_bytes())
            .field(&(self.details.len() as u64).to_be_bytes());
        for (key, value) in self.details {
            bytes = bytes.field(key.as_ref().as_bytes()).field(value.as_ref().as_bytes());
        }
        Sha256::digest(bytes.field(self.previous).as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes never change: a chain is checked years after it was written, by others' programs too.
    #[test]
    fn the_hash_of_an_event_is_this_for_ever() {
        let workspace = "acme".parse().unwrap();
        let details = [("app", "support-bot")];
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let (actor, name) = ("ann", "app.upserted");
        let link =
            Link { workspace: Some(&workspace), number: 1, at, actor, name, details: &details, previous: &START };
        assert_eq!(
            hex::encode(link.hash()),
            "51f587fa8401e0527113a801d51b9d9dbf6ef3aa8e1f31fca10c131fe002ac65",
            "made by the reader in Python"
        );
        let platform = Link { workspace: None, ..link };
        assert_ne!(platform.hash(), link.hash());
    }

    /// A chain is named as its owner is.
    #[test]
    fn a_chain_has_one_name() {
        for text in ["platform", "workspaces/acme"] {
            assert_eq!(text.parse::<ChainName>().unwrap().to_string(), text);
        }
        for bad in ["", "acme", "workspaces/acme/key", "Platform"] {
            assert!(bad.parse::<ChainName>().is_err(), "{bad}");
        }
    }
}
