//! What stands between the official crates and the network, against an emulated vault and directory that misbehave.

mod support;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use azure_emulator::{Disturbance, Falsified, Fault, FederatedCredential, Operation, Scope, VaultRefusal};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use domain::{Clock, KeyVersionId};
use support::{DEADLINE, RealTime, World, options, payload};
use vault::{
    AnswerFault, Class, CustomerKeys, KeyRef, KeyUnavailable,
    azure::{AzureKeys, AzureRefused, CertificateKey, ConnectorRefused, PlatformCredential},
};

/// A provider that has wrapped once, and what it wrapped.
async fn warm(world: &World) -> (AzureKeys, KeyRef, KeyVersionId, Vec<u8>) {
    let (at, version) = world.key("byok").await;
    let keys = world.keys();
    let blob = keys.wrap(&at, version, &payload(7), DEADLINE).await.unwrap().blob;
    world.emulator.clear_calls();
    (keys, at, version, blob)
}

fn fault_of<T>(result: Result<T, KeyUnavailable>) -> AnswerFault {
    match result {
        Err(KeyUnavailable::AnswerInvalid { fault, .. }) => fault,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

fn refusal<T>(result: Result<T, KeyUnavailable>) -> KeyUnavailable {
    match result {
        Err(why) => why,
        Ok(_) => panic!("it was accepted"),
    }
}

/// A vault that names another tenant gets no token: not even one is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_of_another_tenant_is_refused_before_any_token() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    world.emulator.faults().switch_on(Fault::Answer(Falsified::ChallengeTenant), Scope::everywhere());
    world.emulator.clear_calls();
    let why = refusal(world.keys().wrap(&at, version, &payload(7), DEADLINE).await);
    assert!(matches!(why, KeyUnavailable::TenantMismatch(_)), "{why:?}");
    assert_eq!(world.emulator.count(Operation::Challenge), 1);
    assert_eq!(world.emulator.count(Operation::Token), 0, "no token was asked for");
    assert_eq!(world.emulator.count(Operation::WrapKey), 0, "none was sent");
}

/// A vault that moves to another directory is noticed at the next call, and its old tenant's token is not tried there again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_moved_is_noticed() {
    let world = World::start().await;
    let (keys, at, version, blob) = warm(&world).await;
    world.vault.move_to_tenant(world.emulator.tenant("fabrikam").id());
    let why = refusal(keys.unwrap(&at, version, &blob, DEADLINE).await);
    assert!(matches!(why, KeyUnavailable::TenantMismatch(_)), "{why:?}");
    assert_eq!(world.emulator.count(Operation::UnwrapKey), 1);
}

/// A challenge for a resource outside the vault's own domain is refused: the SDK's check is on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_for_another_resource_is_refused() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    world.emulator.faults().switch_on(Fault::Answer(Falsified::ChallengeResource), Scope::everywhere());
    assert_eq!(fault_of(world.keys().wrap(&at, version, &payload(7), DEADLINE).await), AnswerFault::Challenge);
    assert_eq!(world.emulator.count(Operation::WrapKey), 0, "no token was sent");
}

/// A list that goes on at another host ends there: nothing is sent, least of all the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_goes_on_elsewhere_is_refused() {
    let world = World::start().await;
    let (keys, at, ..) = warm(&world).await;
    for _ in 0..26 {
        world.vault.rotate_key("byok").await.unwrap();
    }
    world.emulator.faults().switch_on(Fault::Answer(Falsified::ForeignNextLink), Scope::everywhere());
    assert_eq!(fault_of(keys.versions(&at, DEADLINE).await), AnswerFault::OtherOrigin);
    let calls = world.emulator.calls();
    assert!(calls.iter().all(|call| call.host == world.vault.host()), "{calls:?}");
    assert_eq!(world.emulator.count(Operation::ListVersions), 1);
}

/// I-15: an answer that is false in one place is refused for that, or comes out as it is where only the service can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_answer_is_not_taken_for_true() {
    let world = World::start().await;
    let (keys, at, version, blob) = warm(&world).await;
    world.vault.rotate_key("byok").await.unwrap();
    let faults = world.emulator.faults();
    let before = keys.describe(&at, Some(version), DEADLINE).await.unwrap();
    for (false_answer, fault) in
        [(Falsified::BadJson, AnswerFault::Unreadable), (Falsified::WrongKid, AnswerFault::OtherKey)]
    {
        let on = faults.switch_on(Fault::Answer(false_answer), Scope::everywhere());
        assert_eq!(fault_of(keys.unwrap(&at, version, &blob, DEADLINE).await), fault);
        assert_eq!(fault_of(keys.wrap(&at, version, &payload(7), DEADLINE).await), fault);
        assert_eq!(fault_of(keys.describe(&at, Some(version), DEADLINE).await), fault);
        faults.clear(on);
    }
    let on = faults.switch_on(Fault::Answer(Falsified::WrongPlaintext), Scope::everywhere());
    let other = keys.unwrap(&at, version, &blob, DEADLINE).await.unwrap();
    assert!(!other.payload.expose(|bytes| bytes.iter().all(|byte| *byte == 7)), "the content is the caller's to check");
    faults.clear(on);
    faults.switch_on(Fault::Answer(Falsified::WrongPublicKey), Scope::everywhere());
    let substituted = keys.describe(&at, Some(version), DEADLINE).await.unwrap();
    assert_ne!(substituted.thumbprint, before.thumbprint, "a substituted key shows in the thumbprint");
}

/// Fifty first calls at once make one challenge and ask for one token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_herd_makes_one_challenge_and_asks_for_one_token() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    let keys = Arc::new(world.keys());
    world.emulator.clear_calls();
    let herd: Vec<_> = (0..50)
        .map(|_| {
            let (keys, at) = (Arc::clone(&keys), at.clone());
            tokio::spawn(async move { keys.wrap(&at, version, &payload(7), DEADLINE).await.map(|_| ()) })
        })
        .collect();
    for one in herd {
        one.await.unwrap().unwrap();
    }
    assert_eq!(world.emulator.count(Operation::Challenge), 1);
    assert_eq!(world.emulator.count(Operation::Token), 1);
    assert_eq!(world.emulator.count(Operation::WrapKey), 50);
}

/// A rejected token is thrown away and the call made once more with a fresh one; a second rejection is final.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_token_is_replaced_exactly_once() {
    let world = World::start().await;
    let (keys, at, version, blob) = warm(&world).await;
    let invalid = Fault::Vault(VaultRefusal::TokenInvalid);
    let once = Scope::everywhere().operation(Operation::UnwrapKey).times(1);
    world.emulator.faults().switch_on(invalid, once);
    keys.unwrap(&at, version, &blob, DEADLINE).await.unwrap();
    assert_eq!((world.emulator.count(Operation::UnwrapKey), world.emulator.count(Operation::Token)), (2, 1));
    world.emulator.clear_calls();
    keys.unwrap(&at, version, &blob, DEADLINE).await.unwrap();
    assert_eq!(world.emulator.count(Operation::Token), 0, "the fresh one is kept");
    world.emulator.faults().switch_on(invalid, Scope::everywhere().operation(Operation::UnwrapKey));
    world.emulator.clear_calls();
    let why = refusal(keys.unwrap(&at, version, &blob, DEADLINE).await);
    assert!(matches!(why, KeyUnavailable::Refused { status: 401, .. }), "{why:?}");
    assert_eq!(why.class(), Class::Ours);
    assert_eq!((world.emulator.count(Operation::UnwrapKey), world.emulator.count(Operation::Token)), (2, 1));
}

/// A way that is disturbed is an outage, of the kind it is, and is not tried again here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disturbed_way_is_an_outage() {
    let world = World::start().await;
    let (keys, at, version, blob) = warm(&world).await;
    let short = Duration::from_millis(300);
    for (disturbance, expected) in [
        (Disturbance::DropBefore, KeyUnavailable::Unreachable),
        (Disturbance::DropAfter, KeyUnavailable::Unreachable),
        (Disturbance::DropMidAnswer, KeyUnavailable::Unreachable),
        (Disturbance::Reset, KeyUnavailable::Unreachable),
        (Disturbance::Timeout, KeyUnavailable::TimedOut { waited: short }),
        (Disturbance::SlowDrip { millis: 50 }, KeyUnavailable::TimedOut { waited: short }),
        (Disturbance::Delay { millis: 2_000 }, KeyUnavailable::TimedOut { waited: short }),
    ] {
        let scope = Scope::everywhere().operation(Operation::UnwrapKey);
        let fault = world.emulator.faults().switch_on(Fault::Wire(disturbance), scope);
        world.emulator.clear_calls();
        let deadline = if matches!(expected, KeyUnavailable::TimedOut { .. }) { short } else { DEADLINE };
        let why = refusal(keys.unwrap(&at, version, &blob, deadline).await);
        assert_eq!(why, expected, "{disturbance:?}");
        assert_eq!(why.class(), Class::Transient);
        assert!(world.emulator.count(Operation::UnwrapKey) <= 1, "{disturbance:?} is not tried again here");
        world.emulator.faults().clear(fault);
        keys.unwrap(&at, version, &blob, DEADLINE).await.unwrap_or_else(|why| panic!("after {disturbance:?}: {why:?}"));
    }
}

/// A certificate of a stranger, and a name that does not exist, are told apart; both are outages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_and_a_name_that_does_not_exist_are_told_apart() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    for (disturbance, expected) in [
        (Disturbance::UntrustedCertificate, KeyUnavailable::Unreachable),
        (Disturbance::NameUnknown, KeyUnavailable::NameUnknown),
    ] {
        let fault =
            world.emulator.faults().switch_on(Fault::Wire(disturbance), Scope::everywhere().host(world.vault.host()));
        assert_eq!(refusal(world.keys().wrap(&at, version, &payload(7), DEADLINE).await), expected);
        world.emulator.faults().clear(fault);
    }
    let fault = world
        .emulator
        .faults()
        .switch_on(Fault::Wire(Disturbance::NameUnknown), Scope::everywhere().host("login.microsoftonline.com"));
    let why = refusal(world.keys().wrap(&at, version, &payload(7), DEADLINE).await);
    assert_eq!(why, KeyUnavailable::DirectoryUnreachable, "the directory's absence is not the vault's");
    world.emulator.faults().clear(fault);
}

/// I-25: when the directory is silent the call ends at its deadline and says whose silence it was; the directory's one
/// asking is shared, and serves the callers who still wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_directory_does_not_hold_a_call_beyond_its_deadline() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    let keys = Arc::new(world.keys());
    let hold = world
        .emulator
        .faults()
        .switch_on(Fault::Wire(Disturbance::Hold), Scope::everywhere().operation(Operation::Token));
    world.emulator.clear_calls();
    let patient = tokio::spawn({
        let (keys, at) = (Arc::clone(&keys), at.clone());
        async move { keys.wrap(&at, version, &payload(7), DEADLINE).await.map(|_| ()) }
    });
    let why = refusal(keys.wrap(&at, version, &payload(7), Duration::from_millis(150)).await);
    assert_eq!(why, KeyUnavailable::DirectoryUnreachable);
    world.emulator.faults().clear(hold);
    patient.await.unwrap().unwrap();
    assert_eq!(world.emulator.count(Operation::Token), 1);
}

/// A certificate's signed assertion is taken by the directory; one of another certificate is refused as what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_proves_who_we_are() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    let now = RealTime.now().wall.micros() / 1_000_000;
    let issued = world.app.issue_certificate(now - 60, now + 3_600).unwrap();
    let key = CertificateKey::read(issued.key_pem.as_bytes(), issued.certificate_pem.as_bytes()).unwrap();
    world.app.remove_secrets();
    let certificate = || PlatformCredential::Certificate(key.clone());
    world.keys_as(certificate()).wrap(&at, version, &payload(7), DEADLINE).await.unwrap();
    world.app.refuse_replayed_assertions(true);
    for _ in 0..2 {
        world.keys_as(certificate()).wrap(&at, version, &payload(7), DEADLINE).await.unwrap();
    }
    world.app.remove_certificates();
    let why = refusal(world.keys_as(certificate()).wrap(&at, version, &payload(7), DEADLINE).await);
    assert!(matches!(why, KeyUnavailable::CertificateRefused(_)), "{why:?}");
}

/// Another issuer's token, read from a file, proves who we are without a secret of our own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federated_token_proves_who_we_are() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    world.app.remove_secrets();
    let issuer = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = issuer.public_key();
    let (n, e) = (public.modulus(), public.exponent());
    let jwk = serde_json::json!({
        "kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256",
        "n": B64.encode(n.big_endian_without_leading_zero()), "e": B64.encode(e.big_endian_without_leading_zero()),
    });
    world.app.add_federated_credential(FederatedCredential {
        issuer: "https://cluster.example".into(),
        subject: "system:serviceaccount:byokd:byokd".into(),
        audience: "api://AzureADTokenExchange".into(),
        jwks: serde_json::json!({ "keys": [jwk] }),
    });
    let now = RealTime.now().wall.micros() / 1_000_000;
    let token = |subject: &str| {
        let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": "k1" });
        let claims = serde_json::json!({
            "iss": "https://cluster.example", "sub": subject, "aud": "api://AzureADTokenExchange",
            "iat": now, "nbf": now - 10, "exp": now + 600,
        });
        let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let mut signature = vec![0; issuer.public_modulus_len()];
        issuer.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}\n", B64.encode(signature))
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let keys = world.keys_as(PlatformCredential::FederatedTokenFile(file.clone()));
    let why = refusal(keys.wrap(&at, version, &payload(7), DEADLINE).await);
    assert!(matches!(why, KeyUnavailable::CredentialUnusable(_)), "there is no file yet: {why:?}");
    std::fs::write(&file, token("system:serviceaccount:other:other")).unwrap();
    let why = refusal(keys.wrap(&at, version, &payload(7), DEADLINE).await);
    assert!(matches!(why, KeyUnavailable::FederationMismatch(_)), "{why:?}");
    std::fs::write(&file, token("system:serviceaccount:byokd:byokd")).unwrap();
    keys.wrap(&at, version, &payload(7), DEADLINE).await.unwrap();
}

/// The development connector leads to this machine and nowhere else, and a client id is a GUID.
#[tokio::test]
async fn the_development_connector_leads_nowhere_else() {
    let world = World::start().await;
    for elsewhere in ["203.0.113.1:443", "0.0.0.0:443", "[2001:db8::1]:443", "10.0.0.1:443"] {
        let refused = AzureKeys::new(options(
            world.app.client_id(),
            world.secret_credential(),
            elsewhere.parse().unwrap(),
            world.emulator.ca_pem(),
        ));
        assert_eq!(refused.err(), Some(AzureRefused::Connector(ConnectorRefused::NotLoopback)), "{elsewhere}");
    }
    let no_ca = AzureKeys::new(options(world.app.client_id(), world.secret_credential(), world.emulator.addr(), "x"));
    assert_eq!(no_ca.err(), Some(AzureRefused::Connector(ConnectorRefused::CertificateUnreadable)));
}

/// What holds a secret prints none of it.
#[tokio::test]
async fn a_credential_prints_nothing_secret() {
    let world = World::start().await;
    let printed = format!("{:?} {:#?}", world.secret_credential(), world.secret_credential());
    assert!(!printed.contains(&world.secret), "{printed}");
}

/// Who looks at the way to a key asks anew each time: a token that is held, a connection that is open and a challenge that was
/// seen say how things were. And a vault of another tenant is sent nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_a_key_is_looked_at_anew() {
    let world = World::start().await;
    let (keys, at, ..) = warm(&world).await;
    let approach = keys.approach();
    for asked in 1..=2 {
        approach.challenge(&at, DEADLINE).await.unwrap();
        approach.sign_in(&at, DEADLINE).await.unwrap();
        assert_eq!(world.emulator.count(Operation::Challenge), asked);
        assert_eq!(world.emulator.count(Operation::Token), asked);
    }
    let stranger =
        world.emulator.faults().switch_on(Fault::Wire(Disturbance::UntrustedCertificate), Scope::everywhere());
    assert_eq!(refusal(approach.reach(&at, DEADLINE).await), KeyUnavailable::Unreachable);
    world.emulator.faults().clear(stranger);
    assert!(approach.reach(&at, DEADLINE).await.unwrap().seen_as.is_some_and(|address| address.is_loopback()));
    world.vault.move_to_tenant(world.emulator.tenant("fabrikam").id());
    world.emulator.clear_calls();
    let why = refusal(approach.challenge(&at, DEADLINE).await);
    assert!(matches!(why, KeyUnavailable::TenantMismatch(_)), "{why:?}");
    assert_eq!(world.emulator.count(Operation::Token), 0);
    let calls = world.emulator.calls();
    assert_eq!(calls.len(), 1, "nothing but the anonymous request: {calls:?}");
}

/// A kept token hides that consent was withdrawn; a token asked for now does not, and the kept one is left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_consent_shows_in_a_fresh_token() {
    let world = World::start().await;
    let (keys, at, version, blob) = warm(&world).await;
    keys.prove_consent(&at, DEADLINE).await.unwrap();
    assert_eq!(world.emulator.count(Operation::Token), 1, "asked for although one was kept");
    world.contoso.withdraw_consent(&world.app);
    keys.unwrap(&at, version, &blob, DEADLINE).await.unwrap();
    let why = refusal(keys.prove_consent(&at, DEADLINE).await);
    assert!(matches!(why, KeyUnavailable::ConsentMissing(_)), "{why:?}");
    assert_eq!(why.class(), Class::Denied);
    world.contoso.disable(&world.app);
    assert_eq!(refusal(keys.prove_consent(&at, DEADLINE).await).class(), Class::Denied);
}
