//! Callers that show a bearer token of which only a hash is kept.

use std::sync::Arc;

use domain::permission::Caller;
use domain::{Clock, Timestamp};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::{Callers, Credential};

/// A token that is accepted. Only its hash is known here: a token has enough entropy that it needs no slow hash.
#[derive(Debug, Clone)]
pub struct Token {
    /// The name audit records carry.
    pub name: String,
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
    /// From when on it is refused; absent: never.
    pub expires: Option<Timestamp>,
}

/// Why a set of tokens cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokensRefused {
    /// Two entries hold the same hash, so the caller's name would depend on their order.
    #[error("the tokens {first:?} and {second:?} are the same token; give each caller its own")]
    Repeated {
        /// The first entry's name.
        first: String,
        /// The second entry's name.
        second: String,
    },
    /// More than [`TokenCallers::MOST`]: every request is compared with every token.
    #[error("at most {} tokens are accepted", TokenCallers::MOST)]
    TooMany,
}

/// SHA-256 of a token's text: what is kept of it.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Accepts the tokens it was given, by hash. Every token is compared with every entry in constant time, so that neither
/// the position nor a shared prefix shows in how long it takes.
pub struct TokenCallers {
    entries: Vec<Entry>,
    clock: Option<Arc<dyn Clock>>,
}

struct Entry {
    sha256: Words,
    expires: Option<Timestamp>,
    caller: Caller,
}

impl TokenCallers {
    /// How many tokens are accepted at most.
    pub const MOST: usize = 256;

    /// Tokens without an expiry, as (name, SHA-256 of the token).
    pub fn new<N: Into<String>>(tokens: impl IntoIterator<Item = (N, [u8; 32])>) -> Result<Self, TokensRefused> {
        let tokens = tokens.into_iter().map(|(name, sha256)| Token { name: name.into(), sha256, expires: None });
        Self::of(tokens, None)
    }

    /// Tokens of which some may expire; `clock` says when.
    pub fn with_expiry(tokens: impl IntoIterator<Item = Token>, clock: Arc<dyn Clock>) -> Result<Self, TokensRefused> {
        Self::of(tokens, Some(clock))
    }

    fn of(tokens: impl IntoIterator<Item = Token>, clock: Option<Arc<dyn Clock>>) -> Result<Self, TokensRefused> {
        let mut entries: Vec<Entry> = Vec::new();
        for Token { name, sha256, expires } in tokens {
            let sha256 = words(&sha256);
            if let Some(same) = entries.iter().find(|entry| entry.sha256 == sha256) {
                return Err(TokensRefused::Repeated { first: same.caller.name().to_owned(), second: name });
            }
            entries.push(Entry { sha256, expires, caller: Caller::platform(&name) });
        }
        if entries.len() > Self::MOST {
            return Err(TokensRefused::TooMany);
        }
        Ok(Self { entries, clock })
    }
}

impl Callers for TokenCallers {
    fn authenticate(&self, credential: Credential<'_>) -> Option<&Caller> {
        let token = match credential {
            Credential::Bearer(token) => token,
            Credential::None => return None,
        };
        let shown = words(&token_hash(token));
        let mut found = u32::MAX;
        for (position, entry) in (0..).zip(&self.entries) {
            found.conditional_assign(&position, difference(&entry.sha256, &shown).ct_eq(&0));
        }
        let entry = self.entries.get(usize::try_from(found).ok()?)?;
        let expired = match (entry.expires, &self.clock) {
            (None, _) => false,
            (Some(expires), Some(clock)) => clock.now().wall >= expires,
            // An expiry that nobody can check counts as passed.
            (Some(_), None) => true,
        };
        if expired { None } else { Some(&entry.caller) }
    }
}

/// A hash in words: compared byte by byte, a hash takes as long as its making, on every request.
type Words = [u64; 4];

fn words(hash: &[u8; 32]) -> Words {
    let (words, _) = hash.as_chunks();
    std::array::from_fn(|i| u64::from_ne_bytes(words[i]))
}

/// The bits in which two hashes differ, all looked at, whichever they are.
fn difference(a: &Words, b: &Words) -> u64 {
    a.iter().zip(b).fold(0, |bits, (a, b)| bits | (a ^ b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use domain::Moment;

    fn name<'a>(callers: &'a TokenCallers, token: &str) -> Option<&'a str> {
        callers.authenticate(Credential::Bearer(token)).map(Caller::name)
    }

    /// Each token has its own name, and whatever is not one of them is nobody.
    #[test]
    fn only_the_exact_token_is_somebody() {
        let callers =
            TokenCallers::new([("billing", token_hash("correct-horse")), ("search", token_hash("battery"))]).unwrap();
        assert_eq!(name(&callers, "correct-horse"), Some("billing"));
        assert_eq!(name(&callers, "battery"), Some("search"));
        for stranger in ["", "correct-hors", "correct-horse ", "Correct-horse", "correct-horsebattery"] {
            assert_eq!(name(&callers, stranger), None, "{stranger:?}");
        }
        assert!(callers.authenticate(Credential::None).is_none());
        // The hash itself opens nothing: a leaked configuration is not a credential.
        assert_eq!(name(&callers, &hex::encode(token_hash("battery"))), None);
    }

    /// Without tokens nobody is let in.
    #[test]
    fn no_tokens_means_nobody() {
        let callers = TokenCallers::new(Vec::<(String, [u8; 32])>::new()).unwrap();
        assert_eq!(name(&callers, ""), None);
    }

    /// Each single bit of a hash decides.
    #[test]
    fn a_hash_that_differs_in_one_bit_is_another() {
        let hash = token_hash("t");
        assert_eq!(difference(&words(&hash), &words(&hash)), 0);
        for bit in 0..256 {
            let mut other = hash;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(difference(&words(&hash), &words(&other)).count_ones(), 1);
        }
    }

    struct Hand(AtomicI64);
    impl Clock for Hand {
        fn now(&self) -> Moment {
            Moment { wall: Timestamp::from_micros(self.0.load(Ordering::Relaxed)), boot: Duration::ZERO }
        }
    }

    /// A token is refused from the microsecond on at which it expires.
    #[test]
    fn a_token_ends_when_it_says() {
        let clock = Arc::new(Hand(AtomicI64::new(999)));
        let token = Token { name: "job".into(), sha256: token_hash("t"), expires: Some(Timestamp::from_micros(1_000)) };
        let callers = TokenCallers::with_expiry([token.clone()], clock.clone()).unwrap();
        assert_eq!(name(&callers, "t"), Some("job"));
        clock.0.store(1_000, Ordering::Relaxed);
        assert_eq!(name(&callers, "t"), None);
        // Nobody to ask for the time: the safe side.
        let blind = TokenCallers::of([token], None).unwrap();
        assert_eq!(name(&blind, "t"), None);
    }

    /// One token cannot be two callers: whose name would the audit carry?
    #[test]
    fn one_token_cannot_be_two_callers() {
        let refused = TokenCallers::new([("a", token_hash("t")), ("b", token_hash("t"))]).err();
        assert_eq!(refused, Some(TokensRefused::Repeated { first: "a".into(), second: "b".into() }));
    }
}
