//! JSON Web Tokens as Entra ID makes and checks them (RFC 7519, RFC 7515): RS256 out, RS256 and PS256 in.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::rsa_key::{NotAKey, RsaKey};

pub(crate) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Unpadded base64url, as JOSE has it; padding is tolerated because some clients send it.
pub(crate) fn from_b64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// One key that signs tokens, with the id its JWKS entry has.
pub(crate) struct SigningKey {
    pub(crate) key: RsaKey,
    pub(crate) kid: String,
}

impl SigningKey {
    fn new(key: RsaKey) -> Self {
        let kid = b64(&digest::digest(&digest::SHA256, key.public_der()).as_ref()[..20]);
        Self { key, kid }
    }

    fn create() -> Result<Self, NotAKey> {
        Ok(Self::new(RsaKey::generate(crate::rsa_key::Bits::B2048)?))
    }

    /// Its entry in a key set; `issuer`: whose tokens it signs.
    pub(crate) fn jwk(&self, issuer: &str) -> Value {
        json!({
            "kty": "RSA", "use": "sig", "kid": self.kid, "x5t": self.kid,
            "n": b64(&self.key.modulus()), "e": b64(&self.key.exponent()), "issuer": issuer,
        })
    }

    pub(crate) fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": "RS256", "x5t": self.kid, "kid": self.kid})
    }

    /// RS256 under any header.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let signature = self.key.sign_rs256(signed.as_bytes());
        format!("{signed}.{}", b64(&signature))
    }
}

/// Header and claims as they are signed.
pub(crate) fn signed_part(header: &Value, claims: &Value) -> String {
    format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.to_string().as_bytes()))
}

/// The directory's signing keys: the newest signs, the older ones still verify.
pub(crate) struct Signer {
    keys: RwLock<Vec<Arc<SigningKey>>>,
    /// Somebody else's; made when first asked for.
    stranger: OnceLock<Option<SigningKey>>,
}

impl Signer {
    pub(crate) fn new(key: RsaKey) -> Self {
        Self { keys: RwLock::new(vec![Arc::new(SigningKey::new(key))]), stranger: OnceLock::new() }
    }

    pub(crate) fn create() -> Result<Self, NotAKey> {
        Ok(Self::new(RsaKey::generate(crate::rsa_key::Bits::B2048)?))
    }

    /// From now on a fresh key signs. The ones before stay listed until the emulator ends; only the first is kept on disk.
    pub(crate) fn rotate(&self) -> Result<(), NotAKey> {
        let fresh = Arc::new(SigningKey::create()?);
        self.keys.write().unwrap_or_else(PoisonError::into_inner).push(fresh);
        Ok(())
    }

    /// The keys before the newest are listed no more.
    pub(crate) fn retire(&self) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let older = keys.len().saturating_sub(1);
        keys.drain(..older);
    }

    fn keys(&self) -> Vec<Arc<SigningKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn newest(&self) -> Arc<SigningKey> {
        self.keys().pop().expect("there is a key from the start on, and the newest is never removed")
    }

    /// A key that is not this directory's.
    pub(crate) fn stranger(&self) -> Option<&SigningKey> {
        self.stranger.get_or_init(|| SigningKey::create().ok()).as_ref()
    }

    /// The same, if anybody asked for it yet.
    pub(crate) fn stranger_so_far(&self) -> Option<&SigningKey> {
        self.stranger.get().and_then(Option::as_ref)
    }

    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        self.newest().key.pkcs8().to_vec()
    }

    pub(crate) fn jwks(&self, issuer: &str) -> Value {
        let keys: Vec<Value> = self.keys().iter().map(|key| key.jwk(issuer)).collect();
        json!({"keys": keys})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let key = self.newest();
        key.sign(&key.header(), claims)
    }

    /// The claims of a token of ours; nothing but the signature is checked.
    pub(crate) fn open(&self, token: &str) -> Option<Value> {
        let parsed = Jwt::parse(token)?;
        let ours = self.keys().iter().any(|k| parsed.is_signed_by(k.key.public_der()));
        (parsed.header["alg"] == "RS256" && ours).then_some(parsed.claims)
    }
}

/// A token taken apart. Nothing is verified until one of the `is_signed_by` functions says so.
pub(crate) struct Jwt {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    signed: String,
    signature: Vec<u8>,
}

impl Jwt {
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| -> Option<Value> {
            let value: Value = serde_json::from_slice(&from_b64(part)?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed: signed.to_owned(),
            signature: from_b64(signature)?,
        })
    }

    fn parameters(&self) -> Option<&'static RsaParameters> {
        match self.header["alg"].as_str()? {
            "RS256" => Some(&RSA_PKCS1_2048_8192_SHA256),
            "PS256" => Some(&RSA_PSS_2048_8192_SHA256),
            _ => None,
        }
    }

    /// `public_der`: `RSAPublicKey`.
    pub(crate) fn is_signed_by(&self, public_der: &[u8]) -> bool {
        self.parameters().is_some_and(|parameters| {
            UnparsedPublicKey::new(parameters, public_der).verify(self.signed.as_bytes(), &self.signature).is_ok()
        })
    }

    /// `jwks`: a JSON Web Key Set (RFC 7517). The key is the one with the token's `kid`.
    pub(crate) fn is_signed_by_one_of(&self, jwks: &Value) -> bool {
        let Some(parameters) = self.parameters() else { return false };
        let keys = jwks["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter(|k| k["kid"] == self.header["kid"] && k["kty"] == "RSA").any(|key| {
            let part = |name: &str| key[name].as_str().and_then(from_b64);
            let (Some(n), Some(e)) = (part("n"), part("e")) else { return false };
            RsaPublicKeyComponents { n, e }.verify(parameters, self.signed.as_bytes(), &self.signature).is_ok()
        })
    }

    pub(crate) fn text(&self, claim: &str) -> &str {
        self.claims[claim].as_str().unwrap_or_default()
    }

    /// A NumericDate claim in Unix seconds; fractions are cut.
    pub(crate) fn seconds(&self, claim: &str) -> Option<i64> {
        seconds(&self.claims, claim)
    }

    /// `aud` as a list, however it was written.
    pub(crate) fn audiences(&self) -> Vec<&str> {
        match &self.claims["aud"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

pub(crate) fn seconds(claims: &Value, claim: &str) -> Option<i64> {
    // Dates beyond i64 saturate, which is what a comparison needs.
    claims[claim].as_i64().or_else(|| claims[claim].as_f64().map(|s| s as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token whose claims, header or signature were touched is nobody's.
    #[test]
    fn a_touched_token_does_not_verify() {
        let signer = Signer::create().unwrap();
        let token = signer.sign(&json!({"aud": "x", "exp": 5}));
        assert_eq!(signer.open(&token).unwrap()["exp"], 5);
        let forged = token.replacen('.', ".e30", 1);
        assert!(signer.open(&forged).is_none());
        let parts: Vec<&str> = token.split('.').collect();
        let none = format!("{}.{}.", b64(br#"{"alg":"none"}"#), parts[1]);
        assert!(signer.open(&none).is_none());
        assert!(Signer::create().unwrap().open(&token).is_none());
        assert!(Jwt::parse(&token).unwrap().is_signed_by_one_of(&signer.jwks("i")));
        assert!(!Jwt::parse(&token).unwrap().is_signed_by_one_of(&Signer::create().unwrap().jwks("i")));
    }
}
