//! Nothing a vault answers is used before it was found to be the answer to what was asked.

use domain::{KeyLocation, KeyVersionId};
use serde_json::{Value, json};

use super::*;

const KID: &str = "https://contoso.vault.azure.net/keys/byok/0123456789abcdef0123456789abcdef";

fn asked() -> KeyVersionLocation {
    KeyVersionLocation::parse(KID).unwrap()
}

fn trace() -> Trace {
    Trace::of_vault(Some("req-1"))
}

fn fault<T>(result: Result<T, KeyUnavailable>) -> AnswerFault {
    match result {
        Err(KeyUnavailable::AnswerInvalid { fault, trace: told }) => {
            assert_eq!(told, trace());
            fault
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

fn answer(kid: &str, value: &[u8]) -> String {
    json!({ "kid": kid, "value": B64.encode(value) }).to_string()
}

/// The request says RSA-OAEP-256 and nothing else.
#[test]
fn only_rsa_oaep_256_is_asked_for() {
    let request: Value = serde_json::from_slice(operation(&[7; 65]).as_ref()).unwrap();
    assert_eq!(request, json!({ "alg": "RSA-OAEP-256", "value": B64.encode([7; 65]) }));
    for len in [0, 1, 2, 3, 256, 512] {
        assert!(serde_json::from_slice::<Value>(operation(&vec![1; len]).as_ref()).is_ok());
    }
}

/// I-15: an answer for another version, key, vault or host is refused, whatever it holds.
#[test]
fn an_answer_for_another_key_is_refused() {
    for other in [
        "https://contoso.vault.azure.net/keys/byok/ffffffffffffffffffffffffffffffff",
        "https://contoso.vault.azure.net/keys/other/0123456789abcdef0123456789abcdef",
        "https://fabrikam.vault.azure.net/keys/byok/0123456789abcdef0123456789abcdef",
        "https://contoso.vault.azure.cn/keys/byok/0123456789abcdef0123456789abcdef",
        "https://evil.example/keys/byok/0123456789abcdef0123456789abcdef",
        "https://contoso.vault.azure.net/keys/byok",
        "",
    ] {
        assert_eq!(fault(unwrapped(answer(other, &[7; 65]).as_bytes(), &asked(), &trace())), AnswerFault::OtherKey);
        assert_eq!(fault(wrapped(answer(other, &[7; 256]).as_bytes(), &asked(), &trace())), AnswerFault::OtherKey);
    }
    let shouted = answer(&KID.to_uppercase().replace("HTTPS://", "https://").replace("/KEYS/", "/keys/"), &[7; 65]);
    assert!(unwrapped(shouted.as_bytes(), &asked(), &trace()).is_ok(), "identifiers ignore case");
}

/// Exactly 65 bytes come out of an unwrap, with or without padding.
#[test]
fn an_unwrapped_payload_has_exactly_its_length() {
    let payload: [u8; 65] = std::array::from_fn(|i| i as u8);
    let opened = unwrapped(answer(KID, &payload).as_bytes(), &asked(), &trace()).unwrap();
    assert!(opened.expose(|opened| *opened == payload));
    let padded = json!({ "kid": KID, "value": format!("{}=", B64.encode(payload)) }).to_string();
    assert!(unwrapped(padded.as_bytes(), &asked(), &trace()).unwrap().expose(|opened| *opened == payload));
    for len in (0..65).chain(66..100) {
        let short = answer(KID, &vec![1; len]);
        assert_eq!(fault(unwrapped(short.as_bytes(), &asked(), &trace())), AnswerFault::WrongLength, "{len} bytes");
    }
    for len in [0, 65, 255, 257, 511, 513] {
        let odd = answer(KID, &vec![1; len]);
        assert_eq!(fault(wrapped(odd.as_bytes(), &asked(), &trace())), AnswerFault::WrongLength, "{len} bytes");
    }
}

/// Anything that is not the promised JSON is refused as such.
#[test]
fn an_unreadable_answer_is_refused() {
    let good = answer(KID, &[7; 65]);
    for len in 0..good.len() {
        assert_eq!(
            fault(unwrapped(&good.as_bytes()[..len], &asked(), &trace())),
            AnswerFault::Unreadable,
            "cut to {len}"
        );
    }
    for bad in [
        json!({ "kid": KID }).to_string(),
        json!({ "kid": KID, "value": null }).to_string(),
        json!({ "kid": KID, "value": "not base64!" }).to_string(),
        json!({ "kid": 1, "value": "AA" }).to_string(),
        "<html>".into(),
    ] {
        assert_eq!(fault(unwrapped(bad.as_bytes(), &asked(), &trace())), AnswerFault::Unreadable, "{bad}");
    }
}

fn bundle(change: impl FnOnce(&mut Value)) -> Key {
    let mut bundle = json!({
        "key": { "kid": KID, "kty": "RSA", "n": B64.encode([0xc1; 256]), "e": "AQAB", "key_ops": ["wrapKey", "unwrapKey"] },
        "attributes": { "enabled": true, "nbf": 10, "exp": 20, "recoveryLevel": "Recoverable+Purgeable" },
        "tags": { "byok-enrol": "nonce" },
    });
    change(&mut bundle);
    serde_json::from_value(bundle).unwrap()
}

fn read(bundle: Key, version: Option<&str>) -> Result<KeyDescription, KeyUnavailable> {
    let location: KeyLocation = asked().key().clone();
    let version: Option<KeyVersionId> = version.map(|version| version.parse().unwrap());
    description(bundle, &location, version, &trace())
}

/// A description says what the vault said, in the service's own terms.
#[test]
fn a_key_is_described() {
    let described = read(bundle(|_| {}), Some("0123456789abcdef0123456789abcdef")).unwrap();
    assert_eq!(described.kid, asked());
    assert_eq!((described.modulus.len(), &described.exponent[..]), (256, &[1, 0, 1][..]));
    assert_eq!(described.not_before, Some(Timestamp::from_micros(10_000_000)));
    assert_eq!(described.expires, Some(Timestamp::from_micros(20_000_000)));
    assert_eq!(described.recovery_level.as_deref(), Some("Recoverable+Purgeable"));
    assert_eq!(described.tags.get("byok-enrol").map(String::as_str), Some("nonce"));
    assert!(described.enabled && !described.hsm && !described.managed && !described.exportable);
    let hsm = read(bundle(|b| b["key"]["kty"] = json!("RSA-HSM")), None).unwrap();
    assert!(hsm.hsm && hsm.thumbprint == described.thumbprint);
    let zero_padded =
        read(bundle(|b| b["key"]["n"] = json!(B64.encode([&[0][..], &[0xc1; 256]].concat()))), None).unwrap();
    assert_eq!(zero_padded.modulus, described.modulus);
    assert!(read(bundle(|b| b["attributes"]["exportable"] = json!(true)), None).unwrap().exportable);
    assert!(read(bundle(|b| b["release_policy"] = json!({ "data": "e30" })), None).unwrap().exportable);
    assert!(!read(bundle(|b| b["attributes"] = json!({})), None).unwrap().enabled, "silence is not yes");
}

/// A description of something else, or of nothing, is refused.
#[test]
fn a_description_that_does_not_fit_is_refused() {
    let other = Some("ffffffffffffffffffffffffffffffff");
    assert_eq!(fault(read(bundle(|_| {}), other)), AnswerFault::OtherKey);
    let elsewhere = KID.replace("contoso", "fabrikam");
    assert_eq!(fault(read(bundle(|b| b["key"]["kid"] = json!(elsewhere)), None)), AnswerFault::OtherKey);
    assert_eq!(fault(read(bundle(|b| b["key"]["n"] = json!("")), None)), AnswerFault::Unreadable);
    assert_eq!(fault(read(bundle(|b| b["key"] = json!({ "kid": KID })), None)), AnswerFault::Unreadable);
    let elliptic = read(bundle(|b| b["key"]["kty"] = json!("EC")), None).unwrap_err();
    assert_eq!(elliptic, KeyUnavailable::NotRsa(trace()));
}
