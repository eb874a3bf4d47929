//! A question that only a vault which still lets us use a key version can answer.
//!
//! Nothing of it is stored: what was asked once could be answered from memory. It is sealed here, with the public half that was
//! recorded when the version was first seen, so that the vault is asked for one unwrap and for nothing else.

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use domain::{Entropy, KeyVersion};
use secmem::{OutOfLockedMemory, Secret};
use subtle::ConstantTimeEq;

use crate::PAYLOAD_LEN;

/// The first byte of a challenge. A data key's payload begins with 1, so that neither is ever taken for the other.
const MARK: u8 = 0;

/// The public half of one key version.
pub struct ChallengeKey(OaepPublicEncryptingKey);

impl ChallengeKey {
    /// The public half as it was recorded. `None`: it is no RSA key that takes RSA-OAEP-256.
    pub fn of(recorded: &KeyVersion) -> Option<Self> {
        let parts = PublicKeyComponents { n: &recorded.modulus[..], e: &recorded.exponent[..] };
        let key: PublicEncryptingKey = parts.try_into().ok()?;
        OaepPublicEncryptingKey::new(key).ok().map(Self)
    }

    /// Seals a challenge for the vault to unwrap: as long as the modulus. `None` when the cipher fails.
    pub fn seal(&self, challenge: &Challenge) -> Option<Vec<u8>> {
        let mut blob = vec![0; self.0.ciphertext_size()];
        let sealed = challenge.0.expose(|challenge| {
            self.0.encrypt(&OAEP_SHA256_MGF1SHA256, challenge, &mut blob, None).map(|sealed| sealed.len())
        });
        blob.truncate(sealed.ok()?);
        Some(blob)
    }
}

/// 32 fresh random bytes, in the length of a payload.
pub struct Challenge(Secret<PAYLOAD_LEN>);

impl Challenge {
    /// Draws one.
    ///
    /// # Errors
    /// When there is no locked memory for it.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self, OutOfLockedMemory> {
        let fill = |out: &mut [u8; PAYLOAD_LEN]| {
            out.fill(MARK);
            entropy.fill(&mut out[1..33]);
        };
        Secret::fill(fill).map(Self)
    }

    /// Whether this is what came back. Takes the same time wherever the two differ.
    pub fn is_answered_by(&self, answer: &Secret<PAYLOAD_LEN>) -> bool {
        self.0.expose(|asked| answer.expose(|answer| bool::from(asked.ct_eq(answer))))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use domain::{Clock, Cloud, KeyLocation, Moment, Timestamp};

    use super::*;
    use crate::{CustomerKeys, KeyRef, memory::MemoryKeys};

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Moment {
            Moment { wall: Timestamp::from_micros(0), boot: Duration::ZERO }
        }
    }

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    /// What is sealed with the recorded public half is answered by the vault's private half, and by nothing older.
    #[tokio::test]
    async fn a_vault_answers_a_fresh_challenge_and_an_older_answer_does_not() {
        let vault = MemoryKeys::new(Arc::new(Still));
        let location = KeyLocation::from_parts(Cloud::Public, "acme", "byok").unwrap();
        let at = KeyRef::of_platform("8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap(), location);
        let version = vault.create_key(&at);
        let second = Duration::from_secs(1);
        let described = vault.describe(&at, Some(version), second).await.unwrap();
        let key = ChallengeKey::of(&described.record(&"acme".parse().unwrap(), Timestamp::from_micros(0))).unwrap();
        let entropy = Counting(1.into());
        let (older, newer) = (Challenge::draw(&entropy).unwrap(), Challenge::draw(&entropy).unwrap());
        let answer = vault.unwrap(&at, version, &key.seal(&newer).unwrap(), second).await.unwrap().payload;
        assert!(newer.is_answered_by(&answer) && !older.is_answered_by(&answer));
    }

    /// A recorded public half that is none makes no challenge.
    #[test]
    fn what_is_no_public_key_asks_nothing() {
        let location = KeyLocation::from_parts(Cloud::Public, "acme", "byok").unwrap();
        let id = domain::KeyVersionId::from_bytes([1; 16]);
        let recorded = KeyVersion {
            workspace: "acme".parse().unwrap(),
            id,
            location: location.at(id),
            modulus: vec![0x81; 16],
            exponent: vec![1, 0, 1],
            thumbprint: [0; 32],
            hsm: false,
            recorded_at: Timestamp::from_micros(0),
            tenant: None,
        };
        assert!(ChallengeKey::of(&recorded).is_none());
    }
}
