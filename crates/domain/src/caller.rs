//! A caller that is kept in the database: by what it is known, what it was given, and what is recorded when that changes.

use crate::permission::{Caller, Grant, permit_to_give};
use crate::{CallerId, CertificateName, Timestamp};

/// Somebody who may call, as the database has it. Of a token only the SHA-256 is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCaller {
    /// The id, which audit records carry; never given out twice.
    pub id: CallerId,
    /// The name of its certificate; absent: none is accepted.
    pub certificate: Option<CertificateName>,
    /// Its tokens: two places, so that a new one is in use before the old one goes.
    pub tokens: [Option<StoredToken>; 2],
    /// What it may do.
    pub grants: Vec<Grant>,
    /// From when on it is refused; absent: never.
    pub expires: Option<Timestamp>,
    /// Whether it is refused until somebody enables it.
    pub disabled: bool,
    /// Who created it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
    /// When it was deleted: a tombstone, which keeps its id from being given out again.
    pub deleted_at: Option<Timestamp>,
    /// Everybody who ever made or changed it, each once, in that order; only ever longer, up to [`StoredCaller::MOST_HANDS`]. Empty
    /// for what was not changed since this is kept.
    pub hands: Vec<String>,
}

/// A token that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// SHA-256 of its text.
    pub sha256: [u8; 32],
    /// Who had it made, and saw it.
    pub issued_by: String,
    /// When.
    pub issued_at: Timestamp,
    /// From when on it is refused; absent: never.
    pub expires: Option<Timestamp>,
}

/// The place of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenSlot {
    /// The first.
    A,
    /// The second.
    B,
}

impl TokenSlot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// `a` or `b`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// Its place in [`StoredCaller::tokens`].
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// The place with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.as_str() == name)
    }
}

impl StoredCaller {
    /// Whether it is let in at this time, whatever it shows.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.deleted_at.is_none() && !self.disabled && self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether it could change callers now: it is let in, by something it can show, and was given that.
    pub fn administers(&self, now: Timestamp) -> bool {
        let live = |token: &StoredToken| token.expires.is_none_or(|expires| now < expires);
        let known = self.certificate.is_some() || self.tokens.iter().flatten().any(live);
        self.is_open(now) && known && permit_to_give(&Caller::new(self.id.as_str(), &self.grants)).is_ok()
    }

    /// So many names of those who had a hand in it are kept. Where there are as many, it may be that somebody is missing.
    pub const MOST_HANDS: usize = 64;

    /// Everybody who is known to have made or changed it, or to have seen a token of it; some of them more than once.
    pub fn known_hands(&self) -> impl Iterator<Item = &str> {
        let issued = self.tokens.iter().flatten().map(|token| token.issued_by.as_str());
        let kept = self.hands.iter().map(String::as_str);
        [self.created_by.as_str(), self.changed_by.as_str()].into_iter().chain(issued).chain(kept)
    }

    /// Whether this person ever had a hand in it: they may hold, or have held, its credential. Where more had than are kept, anybody
    /// may.
    pub fn may_be(&self, person: &str) -> bool {
        self.hands.len() >= Self::MOST_HANDS || self.known_hands().any(|hand| hand == person)
    }

    /// The same caller, changed by somebody: they are remembered for good, beside all who are known to have been before.
    pub fn changed(self, by: &str, at: Timestamp) -> Self {
        let mut hands = self.hands.clone();
        for hand in self.known_hands().chain([by]) {
            if hands.len() < Self::MOST_HANDS && !hands.iter().any(|known| known == hand) {
                hands.push(hand.to_owned());
            }
        }
        Self { hands, changed_by: by.to_owned(), changed_at: at, ..self }
    }

    /// The first place without a token that would still be accepted.
    pub fn free_slot(&self, now: Timestamp) -> Option<TokenSlot> {
        let over = |token: &StoredToken| token.expires.is_some_and(|expires| expires <= now);
        TokenSlot::ALL.into_iter().find(|slot| self.tokens[slot.index()].as_ref().is_none_or(over))
    }

    /// What is left of it: nothing by which anybody could be let in.
    pub fn delete(self, by: &str, at: Timestamp) -> Self {
        let changed = self.changed(by, at);
        Self { certificate: None, tokens: [None, None], grants: Vec::new(), deleted_at: Some(at), ..changed }
    }
}

/// What happened to a caller, as its event says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerChanged {
    /// Which caller.
    pub caller: CallerId,
    /// What happened.
    pub change: CallerChange,
    /// The grants it is about: all in the platform's chain, those of the workspace in a workspace's.
    pub grants: Vec<Grant>,
}

/// What can happen to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerChange {
    /// It was created, with these grants.
    Created,
    /// It was given these grants.
    Granted,
    /// These grants were taken away.
    Revoked,
    /// It is refused from now on.
    Disabled,
    /// It is let in again.
    Enabled,
    /// From when on it is refused.
    Expires(Option<Timestamp>),
    /// By which certificate it is known.
    Certificate(Option<CertificateName>),
    /// A token was made for it.
    TokenIssued(TokenSlot, Option<Timestamp>),
    /// A token of it is refused from now on.
    TokenRemoved(TokenSlot),
    /// It was deleted.
    Deleted,
}

impl CallerChanged {
    /// The event's stable name.
    pub const fn event(&self) -> &'static str {
        match self.change {
            CallerChange::Created => "caller.created",
            CallerChange::Granted => "caller.granted",
            CallerChange::Revoked => "caller.grants_revoked",
            CallerChange::Disabled => "caller.disabled",
            CallerChange::Enabled => "caller.enabled",
            CallerChange::Expires(_) => "caller.expiry_set",
            CallerChange::Certificate(_) => "caller.certificate_set",
            CallerChange::TokenIssued(..) => "caller.token_issued",
            CallerChange::TokenRemoved(_) => "caller.token_removed",
            CallerChange::Deleted => "caller.deleted",
        }
    }

    /// Its details in a fixed order: the caller, what is particular to the change, and each grant.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        let expires = |at: Option<Timestamp>| ("expires", at.map_or_else(|| "never".to_owned(), |at| at.to_string()));
        let mut details = vec![("caller", self.caller.to_string())];
        match &self.change {
            CallerChange::Expires(at) => details.push(expires(*at)),
            CallerChange::Certificate(name) => {
                details.push(("certificate", name.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)));
            }
            CallerChange::TokenIssued(slot, at) => details.extend([("slot", slot.as_str().to_owned()), expires(*at)]),
            CallerChange::TokenRemoved(slot) => details.push(("slot", slot.as_str().to_owned())),
            CallerChange::Created
            | CallerChange::Granted
            | CallerChange::Revoked
            | CallerChange::Disabled
            | CallerChange::Enabled
            | CallerChange::Deleted => {}
        }
        details.extend(self.grants.iter().map(|grant| ("grant", grant.to_string())));
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(grants: &[&str]) -> StoredCaller {
        let at = Timestamp::from_micros(1);
        let token = StoredToken { sha256: [1; 32], issued_by: "ann".into(), issued_at: at, expires: None };
        StoredCaller {
            id: "billing".parse().unwrap(),
            certificate: None,
            tokens: [None, Some(token)],
            grants: grants.iter().map(|grant| grant.parse().unwrap()).collect(),
            expires: None,
            disabled: false,
            created_by: "root".into(),
            created_at: at,
            changed_by: "root".into(),
            changed_at: at,
            deleted_at: None,
            hands: Vec::new(),
        }
    }

    /// Who administers can show something, is let in, and was given it for the platform.
    #[test]
    fn an_administrator_can_really_call() {
        let now = Timestamp::from_micros(100);
        let good = caller(&["platform-operator"]);
        assert!(good.administers(now));
        let ended = Some(now);
        for other in [
            caller(&["auditor"]),
            caller(&["callers.change@acme"]),
            StoredCaller { disabled: true, ..good.clone() },
            StoredCaller { expires: ended, ..good.clone() },
            StoredCaller { tokens: [None, None], ..good.clone() },
            StoredCaller {
                tokens: [None, good.tokens[1].clone().map(|t| StoredToken { expires: ended, ..t })],
                ..good.clone()
            },
            good.clone().delete("root", now),
        ] {
            assert!(!other.administers(now), "{other:?}");
        }
    }

    /// Whoever once had a hand in a caller may be it, for good: whatever others do with it later, and when its tokens are gone. Of one
    /// that more have changed than are kept, nobody is ruled out.
    #[test]
    fn a_hand_in_it_is_never_forgotten() {
        let at = Timestamp::from_micros(2);
        let later = caller(&[]).changed("eve", at).changed("carl", at);
        let without = StoredCaller { tokens: [None, None], ..later }.changed("dora", at).changed("carl", at);
        assert_eq!(without.hands, ["root", "ann", "eve", "carl", "dora"]);
        assert!(without.may_be("ann") && without.may_be("eve") && !without.may_be("bob"));
        let gone = without.clone().delete("fred", at);
        assert!(["ann", "eve", "fred"].into_iter().all(|name| gone.may_be(name)) && !gone.may_be("bob"));
        let many = (0..100).fold(without, |caller, n| caller.changed(&format!("p{n}"), at));
        assert_eq!(many.hands.len(), StoredCaller::MOST_HANDS);
        assert!(many.may_be("bob"));
    }

    /// Whoever saw a token or set the certificate may be the caller.
    #[test]
    fn who_had_a_hand_in_it_may_be_it() {
        let caller = caller(&[]);
        assert!(caller.may_be("root") && caller.may_be("ann") && !caller.may_be("bob"));
        assert_eq!(caller.free_slot(Timestamp::from_micros(2)), Some(TokenSlot::A));
        assert_eq!(TokenSlot::named("b"), Some(TokenSlot::B));
        assert_eq!(TokenSlot::named("c"), None);
    }
}
