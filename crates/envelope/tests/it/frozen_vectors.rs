//! The frozen vectors of format version 1: what is committed is what is made, opens, or is refused as it says.

use std::path::{Path, PathBuf};

use envelope::{BatchOpener, Header, HeaderError, payload};
use serde::de::DeserializeOwned;

use crate::support::implementation::{Implementation, Ours};
use crate::support::oracle::CORRECT;
use crate::support::vector_files::*;
use crate::support::{frozen, oracle};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

fn load<Case: DeserializeOwned>(name: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let file: File<Case> = serde_json::from_str(&text).unwrap();
    assert_eq!(file.format, "byokd/vectors/v1");
    assert!(!file.cases.is_empty(), "{name} is empty");
    file.cases
}

/// The names of the vectors with which an implementation disagrees.
pub(crate) fn disagreements(it: &dyn Implementation) -> Vec<String> {
    let mut names = Vec::new();
    for case in load::<MessageCase>("messages-v1.json") {
        let opened = it.open(&case.data_key.array(), &case.bound, &case.ciphertext.0);
        if opened.as_ref() != Some(&case.plaintext.0) {
            names.push(case.name);
        }
    }
    for case in load::<BatchCase>("batches-v1.json") {
        for item in &case.items {
            let bound = frozen::item_bound(&case, item);
            if it.open(&case.data_key.array(), &bound, &item.ciphertext.0).as_ref() != Some(&item.plaintext.0) {
                names.push(case.name.clone());
            }
        }
    }
    let streams = load::<StreamCase>("streams-v1.json");
    for case in &streams {
        let opened = it.open_stream(&case.data_key.array(), &case.bound, &case.ciphertext.0);
        if opened != Some(stream_plaintext(case.plaintext_length)) {
            names.push(case.name.clone());
        }
    }
    for case in load::<RefusedCase>("refused-v1.json") {
        if it.open_any(&case.data_key.array(), &case.bound, &case.bytes(&streams)).is_some() {
            names.push(case.name);
        }
    }
    names
}

/// A change that alters one of these bytes breaks every ciphertext in the world: it is a new format version.
#[test]
fn the_committed_vectors_are_the_ones_that_are_made() {
    for (name, text) in frozen::files() {
        let committed = std::fs::read_to_string(path(name)).unwrap_or_default();
        assert!(committed == text, "vectors/{name} differs from what is made; see examples/vectors.rs");
    }
}

#[test]
fn the_envelope_agrees_with_every_frozen_vector() {
    assert_eq!(disagreements(&Ours), Vec::<String>::new());
}

#[test]
fn the_second_implementation_agrees_with_every_frozen_vector() {
    assert_eq!(disagreements(&CORRECT), Vec::<String>::new());
}

/// Sealing again gives the same bytes in both implementations, authenticated data included.
#[test]
fn sealing_the_frozen_plaintexts_gives_the_frozen_ciphertexts() {
    // The ciphertext of the collision was solved for; its plaintext is what fell out, and seals to it all the same.
    for case in load::<MessageCase>("messages-v1.json") {
        let (key, id, nonce) = (case.data_key.array(), case.data_key_id.array(), case.nonce.array());
        for it in [&Ours as &dyn Implementation, &CORRECT] {
            assert_eq!(it.seal(&key, &id, &nonce, &case.bound, &case.plaintext.0), case.ciphertext.0, "{}", case.name);
        }
        assert_eq!(CORRECT.aad(&case.ciphertext.0, &case.bound), case.aad.0);
    }
    for case in load::<StreamCase>("streams-v1.json") {
        let (key, id, p, r) = (case.data_key.array(), case.data_key_id.array(), case.p.array(), case.r.array());
        let plaintext = stream_plaintext(case.plaintext_length);
        for it in [&Ours as &dyn Implementation, &CORRECT] {
            assert_eq!(it.seal_stream(&key, &id, &p, &r, &case.bound, &plaintext), case.ciphertext.0, "{}", case.name);
        }
    }
}

/// Which of the public faults it is, is part of the vectors; whatever needs a key is one fault.
#[test]
fn refused_vectors_name_the_fault_that_the_header_shows() {
    let streams = load::<StreamCase>("streams-v1.json");
    for case in load::<RefusedCase>("refused-v1.json") {
        let fault = match Header::parse(&case.bytes(&streams)) {
            Err(HeaderError::Malformed) => Fault::Malformed,
            Err(HeaderError::VersionUnsupported) => Fault::VersionUnsupported,
            Ok(_) => Fault::OpenFailed,
        };
        assert_eq!(fault, case.fault, "{}", case.name);
    }
}

/// GCM itself accepts the fixture under both keys: without that, refusing it would prove nothing.
#[test]
fn the_two_key_ciphertext_is_genuine_under_both_keys_to_gcm_alone() {
    let case = load::<MessageCase>("messages-v1.json").pop().unwrap();
    for key in frozen::collision_keys() {
        let derived = oracle::message_key(&key, &case.nonce.0[..12]);
        assert!(oracle::gcm_open(&derived, &case.nonce.0[12..], &case.aad.0, &case.ciphertext.0[80..]).is_some());
    }
    assert_eq!(case.data_key.0, frozen::collision_keys()[0]);
    assert!(Ours.open(&frozen::collision_keys()[1], &case.bound, &case.ciphertext.0).is_none());
}

#[test]
fn a_batch_opener_opens_every_item_and_items_of_other_batches_between_them() {
    let batches = load::<BatchCase>("batches-v1.json");
    for case in &batches {
        let key = case.data_key.array();
        let mut opener = BatchOpener::new(&key);
        for item in &case.items {
            let mut out = Vec::new();
            let bound = frozen::item_bound(case, item);
            bound.with(|binding| opener.open_next(binding, &item.ciphertext.0, &mut out)).unwrap();
            assert_eq!(out, item.plaintext.0);
            // Another batch's item has another prefix and another key: it fails, and the next one still opens.
            let foreign = &batches.iter().find(|other| other.name != case.name).unwrap().items[0];
            bound.with(|binding| opener.open_next(binding, &foreign.ciphertext.0, &mut out)).unwrap_err();
            assert_eq!(out, item.plaintext.0);
        }
    }
}

#[test]
fn wrapped_payloads_read_for_their_identity_and_for_no_other() {
    for case in load::<PayloadCase>("payloads-v1.json") {
        let id = case.data_key_id.array();
        let identity = payload::Identity {
            workspace: &case.workspace,
            app: &case.app,
            data_key_id: &id,
            protection: case.protection,
        };
        let mut key = [0; 32];
        payload::read(&case.payload.array(), &identity, &mut key).unwrap();
        assert_eq!((key.as_slice(), identity.hash().as_slice()), (&*case.data_key.0, &*case.identity_hash.0));
        assert_eq!(payload::key_check_value(&key).as_slice(), case.key_check_value.0);
        assert_eq!(key_check_value_by_rustcrypto(&key), case.key_check_value.0);
    }
    for case in load::<RefusedPayloadCase>("payloads-refused-v1.json") {
        let id = case.data_key_id.array();
        let identity = payload::Identity {
            workspace: &case.workspace,
            app: &case.app,
            data_key_id: &id,
            protection: case.protection,
        };
        // A payload of another length does not even have the type.
        let read = <[u8; payload::LEN]>::try_from(case.payload.0.as_slice())
            .map(|payload| payload::read(&payload, &identity, &mut [0; 32]));
        assert!(!matches!(read, Ok(Ok(()))), "{}", case.name);
    }
}

fn key_check_value_by_rustcrypto(key: &[u8; 32]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(b"byokd/kcv/v1");
    mac.finalize().into_bytes()[..16].to_vec()
}
