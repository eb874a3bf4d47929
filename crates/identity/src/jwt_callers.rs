//! Callers that show a token which an issuer signed: a Kubernetes service account, an application of a directory.
//!
//! Everything an issuer may say is written down beforehand: its name, the audience, its algorithms, how long its tokens live at
//! most, and which of its subjects are which callers. Whatever else a token says is not read.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::permission::{Caller, Grant};
use domain::{Clock, Timestamp};

use crate::jwks::{KeySet, NoKey, PublicKey};
use crate::jwt::{self, Algorithm, Claims, Unverified};
use crate::{Callers, ConfiguredCaller, Credential, Known};

/// How far an issuer's clock may be ahead of ours, in seconds. A token's end has no such room.
const AHEAD: i64 = 60;
/// The longest subject.
const LONGEST_SUBJECT: usize = 512;

/// Which subjects of an issuer: one, or all that begin alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectPattern {
    /// Exactly this one.
    Exact(String),
    /// All that begin so, and go on.
    Prefix(String),
}

/// The text is no pattern of subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubject {
    /// Empty, too long, or with characters that cannot be told apart by eye.
    #[error("write at most 512 visible ASCII characters")]
    Form,
    /// A `*` elsewhere than at the end, or nothing but it.
    #[error(
        "write a * at the end only, after at least eight characters: a prefix stands for all subjects that begin so"
    )]
    Star,
}

impl FromStr for SubjectPattern {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        if text.is_empty() || text.len() > LONGEST_SUBJECT || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidSubject::Form);
        }
        match text.strip_suffix('*') {
            None if text.contains('*') => Err(InvalidSubject::Star),
            None => Ok(Self::Exact(text.to_owned())),
            Some(prefix) if prefix.contains('*') || prefix.len() < 8 => Err(InvalidSubject::Star),
            Some(prefix) => Ok(Self::Prefix(prefix.to_owned())),
        }
    }
}

/// Who the subjects of a pattern are here.
#[derive(Debug, Clone)]
pub struct SubjectRule {
    /// Which subjects.
    pub subject: SubjectPattern,
    /// The name audit records carry.
    pub name: String,
    /// What they may do.
    pub grants: Vec<Grant>,
}

/// Somebody whose tokens are believed.
pub struct Issuer {
    /// `iss`, compared exactly.
    pub issuer: String,
    /// `aud` has to name it.
    pub audience: String,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// From `iat` to `exp` at most.
    pub longest_life: Duration,
    /// Its keys, which somebody keeps fresh.
    pub keys: Arc<KeySet>,
    /// Whose tokens.
    pub subjects: Vec<SubjectRule>,
}

/// Why issuers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuersRefused {
    /// Twice the same.
    #[error("the issuer {0} is configured twice; put its subjects together")]
    IssuerRepeated(String),
    /// A pattern twice: whose name would the audit carry?
    #[error("a subject of the issuer {0} is given to two callers")]
    SubjectRepeated(String),
}

struct Believed {
    issuer: Issuer,
    exact: HashMap<String, Arc<Caller>>,
    /// The longest first: the nearest rule counts.
    prefixes: Vec<(String, Arc<Caller>)>,
}

impl Believed {
    fn caller(&self, subject: &str) -> Option<Arc<Caller>> {
        let begins = |(prefix, _): &&(String, Arc<Caller>)| subject.len() > prefix.len() && subject.starts_with(prefix);
        let by_prefix = || self.prefixes.iter().find(begins).map(|(_, caller)| caller);
        self.exact.get(subject).or_else(by_prefix).map(Arc::clone)
    }
}

/// Accepts tokens that an issuer signed.
pub struct JwtCallers {
    issuers: HashMap<String, Believed>,
    configured: Vec<ConfiguredCaller>,
    clock: Arc<dyn Clock>,
}

impl JwtCallers {
    /// These issuers; `clock` says when a token is over.
    ///
    /// # Errors
    /// [`IssuersRefused`].
    pub fn new(issuers: impl IntoIterator<Item = Issuer>, clock: Arc<dyn Clock>) -> Result<Self, IssuersRefused> {
        let (mut all, mut configured) = (HashMap::new(), Vec::new());
        for issuer in issuers {
            let name = issuer.issuer.clone();
            let (mut exact, mut prefixes) = (HashMap::new(), Vec::<(String, Arc<Caller>)>::new());
            for rule in &issuer.subjects {
                configured.push(ConfiguredCaller {
                    name: rule.name.clone(),
                    certificate: None,
                    token: true,
                    grants: rule.grants.clone(),
                    expires: None,
                });
                let caller = Arc::new(Caller::new(&rule.name, &rule.grants));
                let repeated = match &rule.subject {
                    SubjectPattern::Exact(subject) => exact.insert(subject.clone(), caller).is_some(),
                    SubjectPattern::Prefix(prefix) => {
                        let repeated = prefixes.iter().any(|(other, _)| other == prefix);
                        prefixes.push((prefix.clone(), caller));
                        repeated
                    }
                };
                if repeated {
                    return Err(IssuersRefused::SubjectRepeated(name));
                }
            }
            prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            if all.insert(name.clone(), Believed { issuer, exact, prefixes }).is_some() {
                return Err(IssuersRefused::IssuerRepeated(name));
            }
        }
        Ok(Self { issuers: all, configured, clock })
    }

    fn known(&self, token: &str) -> Option<Known> {
        let (token, believed) = self.of_an_issuer(token)?;
        let issuer = &believed.issuer;
        let algorithm = token.algorithm(&issuer.algorithms).ok()?;
        let kid = token.key_id().ok()?;
        // Refused where it is not known now. If the issuer signs with a new key, its set is asked for, once for everybody.
        let (key, keys_until) = issuer.keys.known(kid).map_err(|_| issuer.keys.missing(kid)).ok()?;
        let claims = token.verify(&key, algorithm).ok()?;
        if !signs_for(&key, issuer, &claims) {
            return None;
        }
        let until = self.good_until(issuer, &claims)?.min(keys_until);
        let caller = believed.caller(claims.text("sub").filter(|sub| sub.len() <= LONGEST_SUBJECT)?)?;
        (self.clock.now().wall < until).then_some(Known { caller, until: Some(until) })
    }

    /// The key that is missing to say whose this token is; nothing where it is somebody's or nobody's.
    fn missing_key(&self, token: &str) -> Option<NoKey> {
        let (token, Believed { issuer, .. }) = self.of_an_issuer(token)?;
        token.algorithm(&issuer.algorithms).ok()?;
        let kid = token.key_id().ok()?;
        issuer.keys.known(kid).is_err().then(|| issuer.keys.missing(kid))
    }

    /// A token that can be read, and the issuer it says to be of: nothing of it is verified.
    fn of_an_issuer<'a>(&self, token: &'a str) -> Option<(Unverified<'a>, &Believed)> {
        // Nobody's keys are worth asking for where nobody is configured, and an opaque token has no dots.
        if self.issuers.is_empty() || token.bytes().filter(|b| *b == b'.').count() != 2 {
            return None;
        }
        let token = jwt::read(token).ok()?;
        token.plain().ok()?;
        let believed = self.issuers.get(&token.claimed_issuer()?)?;
        Some((token, believed))
    }

    /// Its end, if everything that is not about the subject holds.
    fn good_until(&self, issuer: &Issuer, claims: &Claims) -> Option<Timestamp> {
        let now = self.clock.now().wall.micros().div_euclid(1_000_000);
        // Read again from what was signed: before, it only chose whose keys to ask.
        let named = claims.text("iss") == Some(issuer.issuer.as_str()) && claims.is_for(&issuer.audience);
        let (begins, ends) = (claims.seconds("iat")?, claims.seconds("exp")?);
        let begun = begins <= now + AHEAD
            && match claims.says("nbf") {
                true => claims.seconds("nbf")? <= now + AHEAD,
                false => true,
            };
        let longest = i64::try_from(issuer.longest_life.as_secs()).unwrap_or(i64::MAX);
        let short = ends > begins && ends - begins <= longest;
        (named && begun && short && now < ends).then(|| Timestamp::from_micros(ends.saturating_mul(1_000_000)))
    }
}

/// Whether the key is this issuer's, where its set says whose it is: a directory lists keys of other issuers among its own, and
/// writes `{tenantid}` for the tenant that the token names.
fn signs_for(key: &PublicKey, issuer: &Issuer, claims: &Claims) -> bool {
    let tenant = claims.text("tid").unwrap_or_default();
    key.issuer().is_none_or(|said| said.replace("{tenantid}", tenant) == issuer.issuer)
}

impl Callers for JwtCallers {
    fn authenticate(&self, credential: Credential<'_>) -> Option<Known> {
        match credential {
            Credential::Bearer(token) => self.known(token),
            Credential::Certificate(_) | Credential::None => None,
        }
    }

    /// A key that an issuer withdrew takes its callers' connections along.
    fn generation(&self) -> u64 {
        self.issuers.values().map(|believed| believed.issuer.keys.losses()).fold(0, u64::wrapping_add)
    }

    fn has_keys_for(&self, credential: Credential<'_>) -> bool {
        match credential {
            Credential::Bearer(token) => self.missing_key(token) != Some(NoKey::Unavailable),
            Credential::Certificate(_) | Credential::None => true,
        }
    }

    fn configured(&self) -> Vec<ConfiguredCaller> {
        self.configured.clone()
    }
}

#[cfg(test)]
mod tests;
