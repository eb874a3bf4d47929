//! A signed token: how it is taken apart, and that its claims are seen only by who has verified its signature.
//!
//! What a token says of itself chooses among the keys and algorithms we already allow; it never adds one. What the claims must
//! be is said by who asks (`entra::rules`, `jwt_callers`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::bounded::{self, Bounds};
use crate::jwks::{Family, PublicKey};

/// The longest token that is looked at, in bytes.
pub const LONGEST_TOKEN: usize = 16 * 1024;
const HEADER: Bounds = Bounds { bytes: 4 * 1024, depth: 3, members: 32 };
const CLAIMS: Bounds = Bounds { bytes: LONGEST_TOKEN, depth: 8, members: 128 };
/// The longest key id.
pub(crate) const LONGEST_KID: usize = 256;

/// The algorithms there are here: public keys only, none that a shared secret could stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Ps256, Self::Es256];

    /// The name in a token's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of this name, in exactly this spelling.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The keys it goes with.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Rs256 | Self::Ps256 => Family::Rsa,
            Self::Es256 => Family::P256,
        }
    }

    const fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
        }
    }
}

/// Why a token is none, or none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// Larger than any real one.
    #[error("the token is larger than {LONGEST_TOKEN} bytes")]
    TooLarge,
    /// Not three parts of base64url with a JSON object in the first.
    #[error("the token is not three parts of base64url, or its header no object")]
    Malformed,
    /// `crit`, or another member that only a reader who knows it may skip.
    #[error("the token's header asks for an extension")]
    Extension,
    /// An algorithm outside the list, `none` among them.
    #[error("the token's algorithm is not one that is allowed")]
    Algorithm,
    /// No usable `kid`.
    #[error("the token does not say which key signed it")]
    NoKeyId,
    /// The key is of another kind than the algorithm, or says that it is for another one.
    #[error("the token's algorithm is not its key's")]
    KeyKind,
    /// The signature is not the key's over these bytes.
    #[error("the token's signature does not verify")]
    Signature,
    /// Signed, and too deep, too large or ambiguous all the same.
    #[error("the token's claims are too large, too deep, or say something twice")]
    Claims,
}

/// A token whose signature nobody has verified yet. It gives away nothing but which key to look for.
pub struct Unverified<'a> {
    pub(crate) header: Map<String, Value>,
    signed: &'a str,
    claims: &'a str,
    signature: &'a str,
}

/// Takes a token apart.
///
/// # Errors
/// [`NotAToken::TooLarge`], [`NotAToken::Malformed`].
pub fn read(token: &str) -> Result<Unverified<'_>, NotAToken> {
    if token.len() > LONGEST_TOKEN {
        return Err(NotAToken::TooLarge);
    }
    take_apart(token)
}

pub(crate) fn take_apart(token: &str) -> Result<Unverified<'_>, NotAToken> {
    let (signed, signature) = token.rsplit_once('.').ok_or(NotAToken::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(NotAToken::Malformed)?;
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !plain(header) || !plain(claims) || !plain(signature) || header.is_empty() || claims.is_empty() {
        return Err(NotAToken::Malformed);
    }
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| NotAToken::Malformed)?;
    let header = bounded::object(&header, HEADER).ok_or(NotAToken::Malformed)?;
    Ok(Unverified { header, signed, claims, signature })
}

impl Unverified<'_> {
    /// Its algorithm, if it is one of those allowed.
    pub fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, NotAToken> {
        let named = self.header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
        named.filter(|alg| allowed.contains(alg)).ok_or(NotAToken::Algorithm)
    }

    /// Refuses what asks to be understood before it is believed (RFC 7515 §4.1.11), and keys that a token brings along.
    pub fn plain(&self) -> Result<(), NotAToken> {
        let asks = ["crit", "b64", "zip", "jwk", "jku", "x5u", "enc"];
        if asks.iter().any(|name| self.header.contains_key(*name)) { Err(NotAToken::Extension) } else { Ok(()) }
    }

    /// Which key is said to have signed it.
    pub fn key_id(&self) -> Result<&str, NotAToken> {
        let kid = self.header.get("kid").and_then(Value::as_str);
        kid.filter(|kid| !kid.is_empty() && kid.len() <= LONGEST_KID).ok_or(NotAToken::NoKeyId)
    }

    /// Whose it says to be, unverified: good for nothing but to choose whose keys and rules it then has to pass.
    pub fn claimed_issuer(&self) -> Option<String> {
        match self.claims_as_said().ok()?.0.remove("iss") {
            Some(Value::String(issuer)) => Some(issuer),
            _ => None,
        }
    }

    /// The claims, if this key signed them in this way.
    pub fn verify(&self, key: &PublicKey, algorithm: Algorithm) -> Result<Claims, NotAToken> {
        if !key.fits(algorithm) {
            return Err(NotAToken::KeyKind);
        }
        let signed = self.signed.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, signed, key.decoding(), algorithm.library()) {
            Ok(true) => self.claims_as_said(),
            Ok(false) | Err(_) => Err(NotAToken::Signature),
        }
    }

    /// What a reader does who believes the header: no signature, or a MAC under the key that it holds.
    #[cfg(test)]
    pub(crate) fn verify_as_it_says(&self, public: &[u8]) -> Result<Claims, NotAToken> {
        let believed = match self.header.get("alg").and_then(Value::as_str) {
            Some("none") => self.signature.is_empty(),
            Some("HS256") => {
                let key = jsonwebtoken::DecodingKey::from_secret(public);
                let signed = self.signed.as_bytes();
                jsonwebtoken::crypto::verify(self.signature, signed, &key, jsonwebtoken::Algorithm::HS256) == Ok(true)
            }
            _ => false,
        };
        if believed { self.claims_as_said() } else { Err(NotAToken::Signature) }
    }

    /// What a reader takes who sets no bounds: the last of what is said twice.
    #[cfg(test)]
    pub(crate) fn claims_of_a_careless_reader(&self) -> Option<Claims> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(self.claims).ok()?).ok().map(Claims)
    }

    pub(crate) fn claims_as_said(&self) -> Result<Claims, NotAToken> {
        let claims = URL_SAFE_NO_PAD.decode(self.claims).map_err(|_| NotAToken::Malformed)?;
        bounded::object(&claims, CLAIMS).map(Claims).ok_or(NotAToken::Claims)
    }
}

/// What a token says. Absent and of another type are the same: not said.
#[derive(Debug)]
pub struct Claims(pub(crate) Map<String, Value>);

impl Claims {
    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A date in Unix seconds, between 1970 and 9999; a fraction is cut.
    pub fn seconds(&self, name: &str) -> Option<i64> {
        let value = self.0.get(name)?;
        let whole = value.as_i64().or_else(|| {
            let fraction = value.as_f64().filter(|s| s.is_finite() && (0.0..1e12).contains(s))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the fraction is what is to be cut, and the range is checked"
            )]
            Some(fraction as i64)
        })?;
        (0..=253_402_300_799).contains(&whole).then_some(whole)
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    /// A list of texts; one that holds anything else is not said.
    pub fn texts(&self, name: &str) -> Option<Vec<&str>> {
        self.0.get(name)?.as_array()?.iter().map(Value::as_str).collect()
    }

    /// Whether `aud` names this audience: as a text, or in a list of texts.
    pub fn is_for(&self, audience: &str) -> bool {
        self.text("aud") == Some(audience) || self.texts("aud").is_some_and(|all| all.contains(&audience))
    }

    /// Whether anything is said under this name.
    pub fn says(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
