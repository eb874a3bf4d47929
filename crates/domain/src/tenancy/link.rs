//! Where a directory stands with a workspace: a machine of few states, in which only a proof proves.
//!
//! ```text
//!  name ──► Named ── consent redirect ──► CameBack ── sign-in, or the key's tag ──► Proven
//!             ▲                                                                      │
//!             └───────────── named anew ◄── Disconnected ◄───────────────────────────┘
//! ```

use std::time::Duration;

use crate::{Cloud, KeyTestId, Reason, TenantId, Timestamp, WorkspaceId};

/// A directory that a workspace named as its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantLink {
    /// Whose.
    pub workspace: WorkspaceId,
    /// In which of Azure's clouds.
    pub cloud: Cloud,
    /// The directory.
    pub tenant: TenantId,
    /// As it was typed: a domain, or the id.
    pub typed: String,
    /// How it came onto the list.
    pub origin: Origin,
    /// Since when it is named: when it was first, or was again after a disconnection. Never the same twice, so that what was begun
    /// before a disconnection is told from what was begun after.
    pub named_at: Timestamp,
    /// Where it stands.
    pub standing: Standing,
    /// What the directory last said about our application there; absent while it was not asked.
    pub app: Option<AppSeen>,
}

/// How a directory came onto a workspace's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody asked for consent in it. From then on the list counts: no vault in another directory is used.
    Asked,
    /// A key was configured in it. Alone that restricts nothing.
    Implied,
}

/// Where a directory stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Named, which anybody can.
    Named,
    /// A browser came back from the consent page, or an admin's code was read back: no proof, since that redirect can be forged.
    CameBack {
        /// When.
        at: Timestamp,
    },
    /// It is the workspace's.
    Proven(Proof),
    /// The workspace was disconnected: what was proven counts no more.
    Disconnected {
        /// When.
        at: Timestamp,
    },
}

/// A proof that a directory is the workspace's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// When.
    pub at: Timestamp,
    /// How, and by whom.
    pub by: ProvenBy,
}

/// What proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProvenBy {
    /// Somebody signed in to exactly this directory, as a member of it.
    SignIn {
        /// Who: the object id there. With the directory's id that is the person, whatever their address is.
        object_id: String,
        /// Whether the directory says that they are one of its admins.
        admin: bool,
    },
    /// The owner of a key in it set the key's tag to this workspace's nonce, and our application was let in by that directory.
    KeyTag {
        /// The test that saw it; absent where a replacement did.
        test: Option<KeyTestId>,
    },
}

impl ProvenBy {
    /// The stable name: `SIGN_IN` or `KEY_TAG`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::SignIn { .. } => "SIGN_IN",
            Self::KeyTag { .. } => "KEY_TAG",
        }
    }
}

impl Standing {
    /// The stable name: `NAMED`, `CAME_BACK`, `PROVEN` or `DISCONNECTED`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Named => "NAMED",
            Self::CameBack { .. } => "CAME_BACK",
            Self::Proven(_) => "PROVEN",
            Self::Disconnected { .. } => "DISCONNECTED",
        }
    }
}

/// What a directory said of our application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppSeen {
    /// When it was asked.
    pub at: Timestamp,
    /// Why it gave no token; absent where it gave one.
    pub refused: Option<Reason>,
}

impl TenantLink {
    /// A directory that is named for the first time.
    pub fn named(
        workspace: WorkspaceId,
        cloud: Cloud,
        tenant: TenantId,
        typed: &str,
        origin: Origin,
        now: Timestamp,
    ) -> Self {
        let typed = typed.chars().take(253).collect();
        Self { workspace, cloud, tenant, typed, origin, named_at: now, standing: Standing::Named, app: None }
    }

    /// Named again. What was proven stays proven; what was disconnected begins anew.
    pub fn named_again(self, origin: Origin, now: Timestamp) -> Self {
        let origin = if self.origin == Origin::Asked { Origin::Asked } else { origin };
        let named_at = self.named_since(now);
        let standing = match self.standing {
            Standing::Disconnected { .. } => Standing::Named,
            stays @ (Standing::Named | Standing::CameBack { .. } | Standing::Proven(_)) => stays,
        };
        Self { origin, standing, named_at, ..self }
    }

    /// Since when it is named, if it is named or proven now. After a disconnection that is later than before, whatever the clock says.
    fn named_since(&self, now: Timestamp) -> Timestamp {
        match self.standing {
            Standing::Disconnected { .. } => now.max(self.named_at.saturating_add(Duration::from_micros(1))),
            Standing::Named | Standing::CameBack { .. } | Standing::Proven(_) => self.named_at,
        }
    }

    /// A browser came back from consent. That takes nothing away from a proof, and lifts no disconnection.
    pub fn came_back(self, at: Timestamp) -> Self {
        let standing = match self.standing {
            Standing::Named | Standing::CameBack { .. } => Standing::CameBack { at },
            stays @ (Standing::Proven(_) | Standing::Disconnected { .. }) => stays,
        };
        Self { standing, ..self }
    }

    /// It is proven. A sign-in is not replaced by a tag, which says less about who it was.
    pub fn proven(self, proof: Proof) -> Self {
        let named_at = self.named_since(proof.at);
        let standing = match (&self.standing, &proof.by) {
            (Standing::Proven(Proof { by: ProvenBy::SignIn { .. }, .. }), ProvenBy::KeyTag { .. }) => self.standing,
            (
                Standing::Named | Standing::CameBack { .. } | Standing::Proven(_) | Standing::Disconnected { .. },
                ProvenBy::SignIn { .. } | ProvenBy::KeyTag { .. },
            ) => Standing::Proven(proof),
        };
        Self { standing, named_at, ..self }
    }

    /// What was proven counts no more.
    pub fn disconnected(self, at: Timestamp) -> Self {
        Self { standing: Standing::Disconnected { at }, ..self }
    }

    /// The proof that counts, if there is one.
    pub fn proof(&self) -> Option<&Proof> {
        match &self.standing {
            Standing::Proven(proof) => Some(proof),
            Standing::Named | Standing::CameBack { .. } | Standing::Disconnected { .. } => None,
        }
    }

    /// Whether somebody signed in to it.
    pub fn is_signed_in(&self) -> bool {
        self.proof().is_some_and(|proof| matches!(proof.by, ProvenBy::SignIn { .. }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::tenancy) fn link(origin: Origin) -> TenantLink {
        let tenant = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap();
        TenantLink::named("acme".parse().unwrap(), Cloud::Public, tenant, "contoso.com", origin, at(1))
    }

    fn at(n: i64) -> Timestamp {
        Timestamp::from_micros(n)
    }

    fn signed_in(n: i64) -> Proof {
        Proof { at: at(n), by: ProvenBy::SignIn { object_id: "o".to_owned(), admin: true } }
    }

    /// The redirect from the consent page can be forged: it never proves, and never lifts a disconnection.
    #[test]
    fn coming_back_proves_nothing() {
        let back = link(Origin::Asked).came_back(at(2));
        assert_eq!((back.standing.as_str(), back.proof()), ("CAME_BACK", None));
        let gone = back.proven(signed_in(3)).disconnected(at(4)).came_back(at(5));
        assert_eq!(gone.standing, Standing::Disconnected { at: at(4) });
    }

    /// What was disconnected is proven anew or not at all.
    #[test]
    fn what_was_disconnected_begins_anew() {
        let gone = link(Origin::Asked).proven(signed_in(2)).disconnected(at(3));
        assert_eq!((gone.proof(), gone.is_signed_in()), (None, false));
        let again = gone.named_again(Origin::Asked, at(4));
        assert_eq!(again.standing, Standing::Named);
        assert!(again.proven(signed_in(4)).is_signed_in());
    }

    /// What was begun before a disconnection is told from what was begun after it by when the directory was named, also where a tag
    /// proved it in between, or the clock stands still or was set back. Naming it once more changes nothing.
    #[test]
    fn after_a_disconnection_it_is_named_at_another_time() {
        let before = link(Origin::Asked).named_at;
        let tag = Proof { at: at(4), by: ProvenBy::KeyTag { test: None } };
        let gone = link(Origin::Asked).disconnected(at(3));
        assert_eq!(gone.named_at, before, "nobody named it");
        for now in [4, 1, 0] {
            let again = gone.clone().named_again(Origin::Asked, at(now));
            assert!(again.named_at > before, "{now}");
            assert_eq!(again.clone().named_again(Origin::Asked, at(9)).named_at, again.named_at);
            assert_eq!(again.clone().proven(tag.clone()).named_at, again.named_at);
        }
        assert!(gone.proven(tag).named_at > before);
        assert_eq!(link(Origin::Asked).proven(signed_in(2)).named_again(Origin::Asked, at(9)).named_at, before);
    }

    /// A tag says that a key's owner meant this workspace, a sign-in says who: the tag does not overwrite it. Naming a directory
    /// again takes no proof away, and a list that counts goes on counting.
    #[test]
    fn a_proof_is_not_replaced_by_less() {
        let tag = Proof { at: at(5), by: ProvenBy::KeyTag { test: None } };
        let proven = link(Origin::Asked).proven(signed_in(2)).proven(tag.clone()).named_again(Origin::Implied, at(9));
        assert_eq!((proven.is_signed_in(), proven.origin), (true, Origin::Asked));
        assert!(link(Origin::Implied).proven(tag).proven(signed_in(6)).is_signed_in());
    }
}
