//! What an assertion says, and what a certificate credential refuses.

use std::time::Duration;

use aws_lc_rs::{
    encoding::AsDer,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey},
};
use domain::{Moment, Timestamp};
use rcgen::{CertificateParams, KeyPair as CertifiedPair};
use serde_json::Value;

use super::*;

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Moment {
        Moment { wall: Timestamp::from_micros(1_800_000_000_500_000), boot: Duration::from_secs(1) }
    }
}

struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// An RSA key in PKCS#8 and a certificate for it, both in DER.
fn pair(size: KeySize) -> (KeyPair, Vec<u8>, Vec<u8>) {
    let rsa = KeyPair::generate(size).unwrap();
    let key = rsa.as_der().unwrap().as_ref().to_vec();
    let certified = CertifiedPair::try_from(key.clone()).unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&certified).unwrap();
    (rsa, key, certificate.der().to_vec())
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::engine::general_purpose::STANDARD;
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn assertion(key: CertificateKey) -> CertificateAssertion {
    CertificateAssertion {
        key,
        client_id: "11111111-2222-4333-8444-555555555555".into(),
        audience: "https://login.microsoftonline.com/t/oauth2/v2.0/token".into(),
        clock: Arc::new(Noon),
        entropy: Arc::new(Sevens),
    }
}

/// An assertion names us, the one endpoint it is for and the certificate, for ten minutes at most, and is signed by PS256.
#[test]
fn an_assertion_is_what_the_directory_asks_for() {
    let (rsa, key, certificate) = pair(KeySize::Rsa2048);
    let signed = assertion(CertificateKey::read(&key, &certificate).unwrap()).sign().unwrap();
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, rsa.public_key());
    public.verify(message.as_bytes(), &B64.decode(signature).unwrap()).unwrap();
    let parts: Vec<Value> =
        message.split('.').map(|part| serde_json::from_slice(&B64.decode(part).unwrap()).unwrap()).collect();
    let [header, claims] = &parts[..] else { panic!("three parts") };
    assert_eq!(header["alg"], "PS256");
    assert_eq!(header["x5t#S256"], B64.encode(Sha256::digest(&certificate)));
    assert_eq!(header.get("x5t"), None, "SHA-1 is used nowhere");
    assert_eq!(claims["aud"], "https://login.microsoftonline.com/t/oauth2/v2.0/token");
    assert_eq!((&claims["iss"], &claims["sub"]), (&claims["sub"], &claims["iss"]));
    assert_eq!(claims["iss"], "11111111-2222-4333-8444-555555555555");
    assert_eq!(claims["jti"], "07".repeat(16));
    let at = |claim: &str| claims[claim].as_i64().unwrap();
    assert!(at("nbf") < 1_800_000_000 && 1_800_000_000 < at("exp") && at("exp") - at("nbf") <= 600);
}

/// Key and certificate are read as PEM and as DER.
#[test]
fn pem_and_der_are_the_same() {
    let (_, key, certificate) = pair(KeySize::Rsa2048);
    let (key_pem, certificate_pem) = (pem("PRIVATE KEY", &key), pem("CERTIFICATE", &certificate));
    for key in [&key[..], key_pem.as_bytes()] {
        for certificate in [&certificate[..], certificate_pem.as_bytes()] {
            assert!(CertificateKey::read(key, certificate).is_ok());
        }
    }
}

/// A credential that could not work is refused before a customer waits for it.
#[test]
fn a_credential_that_cannot_work_is_refused() {
    let (_, key, certificate) = pair(KeySize::Rsa2048);
    let (_, other_key, other_certificate) = pair(KeySize::Rsa2048);
    let elliptic = CertifiedPair::generate().unwrap();
    let elliptic_certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&elliptic).unwrap();
    let refusal = |key: &[u8], certificate: &[u8]| CertificateKey::read(key, certificate).err();
    use CertificateRefused as No;
    assert_eq!(refusal(&key, &other_certificate), Some(No::KeyAndCertificateDiffer));
    assert_eq!(refusal(&other_key, &certificate), Some(No::KeyAndCertificateDiffer));
    assert_eq!(refusal(b"", &certificate), Some(No::KeyUnreadable));
    assert_eq!(refusal(b"-----BEGIN PRIVATE KEY-----", &certificate), Some(No::KeyUnreadable));
    assert_eq!(refusal(&elliptic.serialize_der(), elliptic_certificate.der()), Some(No::KeyUnsuitable));
    assert_eq!(refusal(&key, b""), Some(No::CertificateUnreadable));
    assert_eq!(refusal(&key, b"not a certificate"), Some(No::CertificateUnreadable));
}

/// Neither the key nor anything signed is printed.
#[test]
fn a_certificate_key_is_not_printed() {
    let (_, key, certificate) = pair(KeySize::Rsa2048);
    let read = CertificateKey::read(&key, &certificate).unwrap();
    assert_eq!(format!("{read:?}"), "CertificateKey { .. }");
    assert_eq!(format!("{:?}", assertion(read)), "CertificateAssertion { .. }");
}

/// A federated token is read anew each time; a file that is missing, empty or something else is our fault and says so.
#[tokio::test]
async fn a_federated_token_is_read_anew() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let federated = FederatedAssertion { file: file.clone() };
    let unusable = KeyUnavailable::CredentialUnusable(CredentialFault::FederatedTokenFile);
    assert_eq!(federated.read().await, Err(unusable.clone()), "missing");
    for (content, read) in [
        ("aaa.bbb.ccc\n", Ok("aaa.bbb.ccc".to_owned())),
        ("ddd.eee.fff", Ok("ddd.eee.fff".to_owned())),
        ("", Err(unusable.clone())),
        ("\n", Err(unusable.clone())),
        ("aaa&client_id=other", Err(unusable)),
    ] {
        std::fs::write(&file, content).unwrap();
        assert_eq!(federated.read().await, read, "{content:?}");
    }
    assert!(!format!("{federated:?}").contains("token"));
}
