//! Callers that show a bearer token of which only a hash is kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use domain::permission::{Caller, Grant, Role};
use domain::{Clock, Timestamp};
use sha2::{Digest, Sha256};

use crate::{Callers, ConfiguredCaller, Credential, Known};

/// A token that is accepted. Only its hash is known here: a token has enough entropy that it needs no slow hash.
#[derive(Debug, Clone)]
pub struct Token {
    /// The name audit records carry.
    pub name: String,
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
    /// What its holder may do.
    pub grants: Vec<Grant>,
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
}

/// SHA-256 of a token's text: what is kept of it.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

pub(crate) type Hash = [u8; 32];

/// Accepts the tokens it was given, by hash.
///
/// A look-up in a map and not a comparison with every entry in constant time: what such a look-up shows by how long it takes is
/// how much of a stored SHA-256 begins like the one of the token shown. To use that, somebody would need texts whose hashes begin
/// as they choose, and would learn a hash, which opens nothing and leads back to no token of 128 random bits or more. The map's
/// own hashing has a random key in each process. So a caller's request costs the same among one and among thousands.
pub struct TokenCallers {
    entries: HashMap<Hash, Accepted>,
    configured: Vec<ConfiguredCaller>,
    clock: Option<Arc<dyn Clock>>,
}

struct Accepted {
    expires: Option<Timestamp>,
    caller: Arc<Caller>,
}

impl TokenCallers {
    /// Tokens whose holders may do everything, without an expiry, as (name, SHA-256 of the token): for development and tests.
    pub fn new<N: AsRef<str>>(tokens: impl IntoIterator<Item = (N, [u8; 32])>) -> Result<Self, TokensRefused> {
        let grants = || vec![Grant::everywhere(Role::PlatformService), Grant::EVERYTHING];
        let all = tokens.into_iter().map(|(name, sha256)| Token {
            name: name.as_ref().to_owned(),
            sha256,
            grants: grants(),
            expires: None,
        });
        Self::of(all, None)
    }

    /// Tokens with what their holders may do, of which some may expire; `clock` says when.
    pub fn granted(tokens: impl IntoIterator<Item = Token>, clock: Arc<dyn Clock>) -> Result<Self, TokensRefused> {
        Self::of(tokens, Some(clock))
    }

    fn of(tokens: impl IntoIterator<Item = Token>, clock: Option<Arc<dyn Clock>>) -> Result<Self, TokensRefused> {
        let (mut entries, mut configured) = (HashMap::new(), Vec::new());
        for Token { name, sha256, grants, expires } in tokens {
            let caller = Caller::new(&name, &grants);
            configured.push(ConfiguredCaller { name, certificate: None, token: true, grants, expires });
            match entries.entry(sha256) {
                Entry::Vacant(free) => free.insert(Accepted { expires, caller: Arc::new(caller) }),
                Entry::Occupied(taken) => {
                    let (first, second) = (taken.get().caller.name().to_owned(), caller.name().to_owned());
                    return Err(TokensRefused::Repeated { first, second });
                }
            };
        }
        Ok(Self { entries, configured, clock })
    }
}

impl Callers for TokenCallers {
    fn authenticate(&self, credential: Credential<'_>) -> Option<Known> {
        let token = match credential {
            Credential::Bearer(token) => token,
            Credential::Certificate(_) | Credential::None => return None,
        };
        let found = self.entries.get(&token_hash(token))?;
        let expired = match (found.expires, &self.clock) {
            (None, _) => false,
            (Some(expires), Some(clock)) => clock.now().wall >= expires,
            // An expiry that nobody can check counts as passed.
            (Some(_), None) => true,
        };
        (!expired).then(|| Known { caller: found.caller.clone(), until: found.expires })
    }

    /// The set never changes.
    fn generation(&self) -> u64 {
        0
    }

    fn configured(&self) -> Vec<ConfiguredCaller> {
        self.configured.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use domain::Moment;
    use domain::permission::{Decrypt, Target, permit};

    fn name(callers: &TokenCallers, token: &str) -> Option<String> {
        callers.authenticate(Credential::Bearer(token)).map(|known| known.caller.name().to_owned())
    }

    /// Each token has its own name, and whatever is not one of them is nobody.
    #[test]
    fn only_the_exact_token_is_somebody() {
        let callers =
            TokenCallers::new([("billing", token_hash("correct-horse")), ("search", token_hash("battery"))]).unwrap();
        assert_eq!(name(&callers, "correct-horse").as_deref(), Some("billing"));
        assert_eq!(name(&callers, "battery").as_deref(), Some("search"));
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

    /// Among thousands of tokens each is its own caller.
    #[test]
    fn thousands_of_tokens_are_thousands_of_callers() {
        let tokens = (0..5_000).map(|i| (format!("caller-{i}"), token_hash(&format!("token-{i}"))));
        let callers = TokenCallers::new(tokens).unwrap();
        for i in [0, 1, 2_499, 4_999] {
            assert_eq!(name(&callers, &format!("token-{i}")), Some(format!("caller-{i}")));
        }
        assert_eq!(name(&callers, "token-5000"), None);
    }

    struct Hand(AtomicI64);
    impl Clock for Hand {
        fn now(&self) -> Moment {
            Moment { wall: Timestamp::from_micros(self.0.load(Ordering::Relaxed)), boot: Duration::ZERO }
        }
    }

    fn token(grant: &str, expires: Option<i64>) -> Token {
        Token {
            name: "job".into(),
            sha256: token_hash("t"),
            grants: vec![grant.parse().unwrap()],
            expires: expires.map(Timestamp::from_micros),
        }
    }

    /// A token is refused from the microsecond on at which it expires.
    #[test]
    fn a_token_ends_when_it_says() {
        let clock = Arc::new(Hand(AtomicI64::new(999)));
        let callers = TokenCallers::granted([token("*", Some(1_000))], clock.clone()).unwrap();
        assert_eq!(name(&callers, "t").as_deref(), Some("job"));
        clock.0.store(1_000, Ordering::Relaxed);
        assert_eq!(name(&callers, "t"), None);
        // Nobody to ask for the time: the safe side.
        let ends = Some(Timestamp::from_micros(1_000));
        let blind = TokenCallers::of([Token { expires: ends, ..token("*", None) }], None).unwrap();
        assert_eq!(name(&blind, "t"), None);
    }

    /// A token's holder may do what was granted, and no more.
    #[test]
    fn a_token_gives_what_was_granted() {
        let clock = Arc::new(Hand(AtomicI64::new(0)));
        let callers = TokenCallers::granted([token("platform-service@acme", None)], clock).unwrap();
        let caller = callers.authenticate(Credential::Bearer("t")).unwrap().caller;
        let app = |workspace: &str| Target::App(workspace.parse().unwrap(), "bot".parse().unwrap());
        assert!(permit::<Decrypt>(&caller, app("acme")).is_ok());
        assert!(permit::<Decrypt>(&caller, app("other")).is_err());
    }

    /// One token cannot be two callers: whose name would the audit carry?
    #[test]
    fn one_token_cannot_be_two_callers() {
        let refused = TokenCallers::new([("a", token_hash("t")), ("b", token_hash("t"))]).err();
        assert_eq!(refused, Some(TokensRefused::Repeated { first: "a".into(), second: "b".into() }));
    }
}
