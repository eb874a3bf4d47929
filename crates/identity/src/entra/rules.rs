//! Which id_token is believed, rule by rule. Each has a name of its own, so that a refusal says which, and a test can leave out
//! any one of them and see a forged token pass.

use domain::tenant_input::PERSONAL_ACCOUNTS;
use domain::{TenantId, Timestamp};

use super::{AdminRole, ObjectId, SignedIn};
use crate::jwks::{KeySet, NoKey, PublicKey};
use crate::jwt::{self, Algorithm, Claims, NotAToken, Unverified};

/// How far the directory's clock and ours may differ, in seconds.
const SKEW: i64 = 120;
/// The one algorithm: what a directory could switch to is switched on here first.
const ALGORITHM: Algorithm = Algorithm::Rs256;
/// Roles of one account; more than any directory has.
const MOST_ROLES: usize = 256;

/// What has to hold, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// At most 16 KiB.
    Size,
    /// Three parts, and a header that is an object.
    Form,
    /// RS256: neither `none` nor one whose secret could be the public key.
    Algorithm,
    /// Nothing that asks to be understood first.
    Extensions,
    /// It says which key.
    KeyId,
    /// The directory lists that key.
    KeyKnown,
    /// That key signed exactly this.
    Signature,
    /// Shallow, small, and nothing said twice.
    Ambiguity,
    /// `tid` is a GUID.
    TenantForm,
    /// `tid` is not that of personal accounts.
    NotPersonal,
    /// `tid` is the expected tenant.
    Tenant,
    /// `iss` is the template with the `tid`, exactly.
    Issuer,
    /// The key is listed for that issuer.
    KeyIssuer,
    /// `aud` is our application and nobody else.
    Audience,
    /// `exp` is there and ahead.
    Expiry,
    /// `nbf` has come.
    NotBefore,
    /// `iat` is not ahead.
    IssuedAt,
    /// `ver` is 2.0.
    Version,
    /// `nonce` is this sign-in's.
    Nonce,
    /// `oid` is a GUID.
    ObjectId,
    /// `acct` says what kind of account it is.
    AccountKind,
    /// `acct` does not say guest.
    NotAGuest,
    /// Memberships are in the token, and not elsewhere.
    GroupsInFull,
    /// `wids` is there.
    RolesSaid,
    /// `wids` has an administrator's role.
    Administrator,
}

/// An id_token that is not believed, or proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id_token breaks the rule {rule:?}")]
pub struct IdTokenRefused {
    /// The first rule it breaks.
    pub rule: Rule,
}

/// What the id_token must be about.
pub(super) struct Expected<'a> {
    pub(super) client_id: &'a str,
    pub(super) login_host: &'a str,
    pub(super) tenant: &'a TenantId,
    pub(super) nonce: &'a str,
}

impl Expected<'_> {
    fn issuer(&self, tenant: &str) -> String {
        format!("https://{}/{tenant}/v2.0", self.login_host)
    }
}

/// The rules: all of them, but in a test of the rules themselves.
#[derive(Default)]
pub(super) struct Rules {
    #[cfg(test)]
    pub(super) without: Vec<Rule>,
}

/// Why no one is signed in.
pub(super) enum NotBelieved {
    Rule(Rule),
    KeysUnavailable,
}

impl From<Rule> for NotBelieved {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl Rules {
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test leaves a rule out")]
    const fn counts(&self, _rule: Rule) -> bool {
        true
    }

    #[cfg(test)]
    fn counts(&self, rule: Rule) -> bool {
        !self.without.contains(&rule)
    }

    fn hold(&self, rule: Rule, holds: bool) -> Result<(), Rule> {
        if holds || !self.counts(rule) { Ok(()) } else { Err(rule) }
    }

    /// Who signed in, if every rule holds.
    pub(super) async fn check(
        &self,
        token: &str,
        keys: &KeySet,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<SignedIn, NotBelieved> {
        self.hold(Rule::Size, token.len() <= jwt::LONGEST_TOKEN)?;
        let unverified = jwt::take_apart(token).map_err(|_| Rule::Form)?;
        let (claims, key_issuer) = self.verified(&unverified, keys).await?;
        Ok(self.claims(&claims, key_issuer.as_deref(), expected, now)?)
    }

    /// The claims of a token that a key of the directory signed, and whose that key is.
    async fn verified(&self, token: &Unverified<'_>, keys: &KeySet) -> Result<(Claims, Option<String>), NotBelieved> {
        let algorithm = token.algorithm(&[ALGORITHM]);
        self.hold(Rule::Algorithm, algorithm.is_ok())?;
        self.hold(Rule::Extensions, token.plain().is_ok())?;
        let key = match token.key_id() {
            Ok(kid) => keys.find(kid).await,
            Err(_) => {
                self.hold(Rule::KeyId, false)?;
                Err(NoKey::Unknown)
            }
        };
        let key = match key {
            Ok(key) => key,
            Err(NoKey::Unavailable) => return Err(NotBelieved::KeysUnavailable),
            Err(NoKey::Unknown) => self.key_without_the_rule(keys)?,
        };
        let verified = self.signed(token, &key, algorithm.ok());
        let claims = match verified {
            Ok(claims) => claims,
            Err(NotAToken::Claims) => {
                self.hold(Rule::Ambiguity, false)?;
                self.ambiguous(token)?
            }
            Err(
                NotAToken::Signature
                | NotAToken::KeyKind
                | NotAToken::Malformed
                | NotAToken::TooLarge
                | NotAToken::Extension
                | NotAToken::Algorithm
                | NotAToken::NoKeyId,
            ) => {
                self.hold(Rule::Signature, false)?;
                token.claims_as_said().map_err(|_| Rule::Ambiguity)?
            }
        };
        Ok((claims, key.issuer().map(str::to_owned)))
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test leaves the rule out")]
    fn key_without_the_rule(&self, _keys: &KeySet) -> Result<std::sync::Arc<PublicKey>, Rule> {
        Err(Rule::KeyKnown)
    }

    /// A reader that takes whichever key verifies.
    #[cfg(test)]
    fn key_without_the_rule(&self, keys: &KeySet) -> Result<std::sync::Arc<PublicKey>, Rule> {
        keys.any().filter(|_| !self.counts(Rule::KeyKnown)).ok_or(Rule::KeyKnown)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test leaves the rule out")]
    fn signed(&self, token: &Unverified<'_>, key: &PublicKey, said: Option<Algorithm>) -> Result<Claims, NotAToken> {
        token.verify(key, said.ok_or(NotAToken::Algorithm)?)
    }

    /// A reader that believes what a header says about how it was signed: `none`, or HMAC with what it holds as the key.
    #[cfg(test)]
    fn signed(&self, token: &Unverified<'_>, key: &PublicKey, said: Option<Algorithm>) -> Result<Claims, NotAToken> {
        match said {
            Some(algorithm) => token.verify(key, algorithm),
            None => token.verify_as_it_says(&key.public),
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test leaves the rule out")]
    fn ambiguous(&self, _token: &Unverified<'_>) -> Result<Claims, Rule> {
        Err(Rule::Ambiguity)
    }

    /// A reader that takes the last of what is said twice, however deep.
    #[cfg(test)]
    fn ambiguous(&self, token: &Unverified<'_>) -> Result<Claims, Rule> {
        token.claims_of_a_careless_reader().ok_or(Rule::Ambiguity)
    }

    fn claims(
        &self,
        claims: &Claims,
        key_issuer: Option<&str>,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<SignedIn, Rule> {
        let now = now.micros().div_euclid(1_000_000);
        let tid = claims.text("tid").unwrap_or_default();
        let tenant = tid.parse().ok().filter(|parsed: &TenantId| parsed.as_str() == tid);
        let tenant = self.needed(Rule::TenantForm, tenant, || expected.tenant.clone())?;
        self.hold(Rule::NotPersonal, tid != PERSONAL_ACCOUNTS)?;
        self.hold(Rule::Tenant, tid == expected.tenant.as_str())?;
        self.hold(Rule::Issuer, claims.text("iss") == Some(expected.issuer(tid).as_str()))?;
        let fits = |issuer: &str| issuer.replace("{tenantid}", tid) == expected.issuer(tid);
        self.hold(Rule::KeyIssuer, key_issuer.is_some_and(fits))?;
        self.hold(Rule::Audience, claims.text("aud") == Some(expected.client_id))?;
        self.hold(Rule::Expiry, claims.seconds("exp").is_some_and(|exp| now < exp.saturating_add(SKEW)))?;
        self.hold(Rule::NotBefore, claims.seconds("nbf").is_some_and(|nbf| now >= nbf.saturating_sub(SKEW)))?;
        self.hold(Rule::IssuedAt, claims.seconds("iat").is_some_and(|iat| now >= iat.saturating_sub(SKEW)))?;
        self.hold(Rule::Version, claims.text("ver") == Some("2.0"))?;
        // Our own text, fresh for this sign-in: a difference of timing tells an attacker nothing they could use.
        let nonce = claims.text("nonce").is_some_and(|nonce| !nonce.is_empty() && nonce == expected.nonce);
        self.hold(Rule::Nonce, nonce)?;
        let object_id = claims.text("oid").and_then(|oid| oid.parse().ok());
        let object_id = self.needed(Rule::ObjectId, object_id, || ObjectId(expected.tenant.clone()))?;
        let account_kind = claims.number("acct");
        self.hold(Rule::AccountKind, matches!(account_kind, Some(0 | 1)))?;
        self.hold(Rule::NotAGuest, account_kind != Some(1))?;
        let elsewhere = ["_claim_names", "_claim_sources", "hasgroups", "groups:src1"].iter().any(|n| claims.says(n));
        self.hold(Rule::GroupsInFull, !elsewhere)?;
        let roles = claims.texts("wids").filter(|roles| roles.len() <= MOST_ROLES);
        let roles = self.needed(Rule::RolesSaid, roles, Vec::new)?;
        let role = AdminRole::ALL.into_iter().find(|role| roles.contains(&role.template()));
        let admin_role = self.needed(Rule::Administrator, role, || AdminRole::GlobalAdministrator)?;
        Ok(SignedIn { tenant, object_id, admin_role })
    }

    /// What a rule finds, without which there is nothing to go on with.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a test leaves the rule out")]
    fn needed<T>(&self, rule: Rule, found: Option<T>, _careless: impl FnOnce() -> T) -> Result<T, Rule> {
        found.ok_or(rule)
    }

    /// A reader without the rule makes something up.
    #[cfg(test)]
    fn needed<T>(&self, rule: Rule, found: Option<T>, careless: impl FnOnce() -> T) -> Result<T, Rule> {
        found.or_else(|| (!self.counts(rule)).then(careless)).ok_or(rule)
    }
}
