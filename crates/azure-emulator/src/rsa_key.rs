//! What an RSA key can do here: generate, import, wrap, unwrap, sign. All by aws-lc-rs.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, KeyPairComponents, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm,
    OaepPrivateDecryptingKey, OaepPublicEncryptingKey, Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey,
    PrivateDecryptingKey,
};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use serde::{Deserialize, Serialize};

/// The algorithms Key Vault offers for RSA keys. Only the first is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    RsaOaep256,
    RsaOaep,
    Rsa15,
}

impl Algorithm {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "RSA-OAEP-256" => Some(Self::RsaOaep256),
            "RSA-OAEP" => Some(Self::RsaOaep),
            "RSA1_5" => Some(Self::Rsa15),
            _ => None,
        }
    }

    fn oaep(self) -> Option<&'static OaepAlgorithm> {
        match self {
            Self::RsaOaep256 => Some(&OAEP_SHA256_MGF1SHA256),
            Self::RsaOaep => Some(&OAEP_SHA1_MGF1SHA1),
            Self::Rsa15 => None,
        }
    }
}

/// The sizes Key Vault offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum Bits {
    /// 2048 bits.
    B2048,
    /// 3072 bits.
    B3072,
    /// 4096 bits.
    B4096,
}

impl TryFrom<u32> for Bits {
    type Error = String;

    fn try_from(bits: u32) -> Result<Self, String> {
        match bits {
            2048 => Ok(Self::B2048),
            3072 => Ok(Self::B3072),
            4096 => Ok(Self::B4096),
            other => Err(format!("{other} is not a size of RSA keys here: 2048, 3072 or 4096")),
        }
    }
}

impl From<Bits> for u32 {
    fn from(bits: Bits) -> Self {
        match bits {
            Bits::B2048 => 2048,
            Bits::B3072 => 3072,
            Bits::B4096 => 4096,
        }
    }
}

/// The key material is not an RSA key of a size offered here, or its parts do not fit each other.
#[derive(Debug, thiserror::Error)]
#[error("not an RSA key of 2048, 3072 or 4096 bits")]
pub(crate) struct NotAKey;

/// The vault's cryptography refused: input too long, or a ciphertext that does not open. Deliberately says no more.
#[derive(Debug, thiserror::Error)]
#[error("the parameter is incorrect")]
pub(crate) struct Failed;

/// The parts of an imported key, as in a JSON Web Key (RFC 7518 §6.3), big-endian.
pub(crate) struct Parts {
    pub(crate) n: Vec<u8>,
    pub(crate) e: Vec<u8>,
    pub(crate) d: Vec<u8>,
    pub(crate) p: Vec<u8>,
    pub(crate) q: Vec<u8>,
    pub(crate) dp: Vec<u8>,
    pub(crate) dq: Vec<u8>,
    pub(crate) qi: Vec<u8>,
}

/// A private RSA key.
pub(crate) struct RsaKey {
    pkcs8: Vec<u8>,
    pair: KeyPair,
    bits: Bits,
    oaep: OaepPrivateDecryptingKey,
    oaep_public: OaepPublicEncryptingKey,
    pkcs1: OnceLock<Option<(Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey)>>,
}

impl RsaKey {
    /// A fresh key. Takes 50 ms to several seconds of one core: call it off the async threads.
    pub(crate) fn generate(bits: Bits) -> Result<Self, NotAKey> {
        let size = match bits {
            Bits::B2048 => KeySize::Rsa2048,
            Bits::B3072 => KeySize::Rsa3072,
            Bits::B4096 => KeySize::Rsa4096,
        };
        Self::of(KeyPair::generate(size).map_err(|_| NotAKey)?)
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, NotAKey> {
        Self::of(KeyPair::from_pkcs8(der).map_err(|_| NotAKey)?)
    }

    pub(crate) fn import(parts: &Parts) -> Result<Self, NotAKey> {
        let components = KeyPairComponents {
            public_key: aws_lc_rs::rsa::PublicKeyComponents { n: &parts.n, e: &parts.e },
            d: &parts.d,
            p: &parts.p,
            q: &parts.q,
            dP: &parts.dp,
            dQ: &parts.dq,
            qInv: &parts.qi,
        };
        Self::of(KeyPair::from_components(&components).map_err(|_| NotAKey)?)
    }

    fn of(pair: KeyPair) -> Result<Self, NotAKey> {
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| NotAKey)?;
        let pkcs8 = der.as_ref().to_vec();
        let private = PrivateDecryptingKey::from_pkcs8(&pkcs8).map_err(|_| NotAKey)?;
        let bits = u32::try_from(private.key_size_bits()).map_err(|_| NotAKey)?;
        let bits = Bits::try_from(bits).map_err(|_| NotAKey)?;
        let oaep_public = OaepPublicEncryptingKey::new(private.public_key()).map_err(|_| NotAKey)?;
        let oaep = OaepPrivateDecryptingKey::new(private).map_err(|_| NotAKey)?;
        Ok(Self { pkcs8, pair, bits, oaep, oaep_public, pkcs1: OnceLock::new() })
    }

    /// PKCS#8, unencrypted: for the emulator's state directory.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    pub(crate) fn bits(&self) -> Bits {
        self.bits
    }

    /// Big-endian, without leading zeros.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        self.pair.public_key().modulus().big_endian_without_leading_zero().to_vec()
    }

    /// Big-endian, without leading zeros.
    pub(crate) fn exponent(&self) -> Vec<u8> {
        self.pair.public_key().exponent().big_endian_without_leading_zero().to_vec()
    }

    /// The public key as `RSAPublicKey` (RFC 8017 A.1.1).
    pub(crate) fn public_der(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256.
    pub(crate) fn sign_rs256(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .expect("a checked key signs any message");
        signature
    }

    fn pkcs1(&self) -> Option<&(Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey)> {
        let make = || {
            let private = PrivateDecryptingKey::from_pkcs8(&self.pkcs8).ok()?;
            let public = Pkcs1PublicEncryptingKey::new(private.public_key()).ok()?;
            Some((Pkcs1PrivateDecryptingKey::new(private).ok()?, public))
        };
        self.pkcs1.get_or_init(make).as_ref()
    }

    pub(crate) fn encrypt(&self, algorithm: Algorithm, plaintext: &[u8]) -> Result<Vec<u8>, Failed> {
        let mut out = vec![0; self.oaep_public.ciphertext_size()];
        let written = match algorithm.oaep() {
            Some(oaep) => self.oaep_public.encrypt(oaep, plaintext, &mut out, None).map_err(|_| Failed)?.len(),
            None => self.pkcs1().ok_or(Failed)?.1.encrypt(plaintext, &mut out).map_err(|_| Failed)?.len(),
        };
        out.truncate(written);
        Ok(out)
    }

    pub(crate) fn decrypt(&self, algorithm: Algorithm, ciphertext: &[u8]) -> Result<Vec<u8>, Failed> {
        let mut out = vec![0; self.oaep.min_output_size()];
        let written = match algorithm.oaep() {
            Some(oaep) => self.oaep.decrypt(oaep, ciphertext, &mut out, None).map_err(|_| Failed)?.len(),
            None => self.pkcs1().ok_or(Failed)?.0.decrypt(ciphertext, &mut out).map_err(|_| Failed)?.len(),
        };
        out.truncate(written);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest wrap inputs of RSA-OAEP-256: 190, 318 and 446 bytes (RFC 8017 §7.1.1: k − 2·hLen − 2).
    #[test]
    fn each_size_wraps_its_largest_input_and_no_more() {
        for (bits, largest) in [(Bits::B2048, 190), (Bits::B3072, 318), (Bits::B4096, 446)] {
            let key = RsaKey::generate(bits).unwrap();
            assert_eq!(key.bits(), bits);
            let plaintext = vec![0x5a; largest];
            let wrapped = key.encrypt(Algorithm::RsaOaep256, &plaintext).unwrap();
            assert_eq!(wrapped.len() * 8, u32::from(bits) as usize);
            assert_eq!(key.decrypt(Algorithm::RsaOaep256, &wrapped).unwrap(), plaintext);
            assert!(key.encrypt(Algorithm::RsaOaep256, &vec![0x5a; largest + 1]).is_err());
        }
    }

    /// A wrapped key opens only under the algorithm and the key that made it, unchanged and whole.
    #[test]
    fn another_algorithm_key_or_bit_does_not_unwrap() {
        let (ours, other) = (RsaKey::generate(Bits::B2048).unwrap(), RsaKey::generate(Bits::B2048).unwrap());
        for algorithm in [Algorithm::RsaOaep256, Algorithm::RsaOaep, Algorithm::Rsa15] {
            let wrapped = ours.encrypt(algorithm, b"data key").unwrap();
            assert_eq!(ours.decrypt(algorithm, &wrapped).unwrap(), b"data key");
            assert_ne!(other.decrypt(algorithm, &wrapped).ok().as_deref(), Some(&b"data key"[..]));
        }
        let mut wrapped = ours.encrypt(Algorithm::RsaOaep256, b"data key").unwrap();
        assert!(ours.decrypt(Algorithm::RsaOaep, &wrapped).is_err());
        assert!(ours.decrypt(Algorithm::RsaOaep256, &wrapped[..255]).is_err());
        wrapped[100] ^= 1;
        assert!(ours.decrypt(Algorithm::RsaOaep256, &wrapped).is_err());
    }

    /// A key written to the state directory is the same key when read back.
    #[test]
    fn a_stored_key_is_the_same_key() {
        let key = RsaKey::generate(Bits::B2048).unwrap();
        let again = RsaKey::from_pkcs8(key.pkcs8()).unwrap();
        let wrapped = key.encrypt(Algorithm::RsaOaep256, b"x").unwrap();
        assert_eq!(again.decrypt(Algorithm::RsaOaep256, &wrapped).unwrap(), b"x");
        assert_eq!((again.modulus(), again.exponent()), (key.modulus(), vec![1, 0, 1]));
    }
}
