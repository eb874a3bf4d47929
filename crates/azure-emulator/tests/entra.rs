//! The directory behaves as Entra ID is documented to, from natural causes alone.

mod common;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use azure_emulator::{Cloud, EmulatorClock as _, FederatedCredential, IssuedCertificate, RealClock};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Reply, World};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

fn now() -> i64 {
    RealClock.unix_micros() / 1_000_000
}

fn sign(key: &KeyPair, header: &Value, claims: &Value) -> String {
    let padding: &'static dyn RsaEncoding = if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn key_of(certificate: &IssuedCertificate) -> KeyPair {
    let der = PrivatePkcs8KeyDer::from_pem_slice(certificate.key_pem.as_bytes()).unwrap();
    KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap()
}

/// A good assertion's claims; tests spoil one at a time.
fn claims(world: &World) -> Value {
    json!({
        "aud": format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", world.contoso.id()),
        "iss": world.app.client_id(), "sub": world.app.client_id(), "jti": "1", "nbf": now(), "exp": now() + 300,
    })
}

async fn present(world: &World, assertion: &str) -> Reply {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", world.app.client_id()),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
        ("scope", "https://vault.azure.net/.default"),
    ];
    world.token_reply(world.contoso.id(), &form).await
}

#[tokio::test]
async fn discovery_names_the_tenant_by_id_or_domain_in_both_versions() {
    let world = World::start().await;
    let get = |path: String| {
        let world = &world;
        async move { world.send(world.client.get(world.login(&path))).await.unwrap() }
    };
    let id = world.contoso.id();
    for name in [id, "contoso.onmicrosoft.com", "CONTOSO.example"] {
        let v2 = get(format!("/{name}/v2.0/.well-known/openid-configuration")).await;
        assert_eq!(v2.body["issuer"], format!("https://login.microsoftonline.com/{id}/v2.0"), "{name}");
        let v1 = get(format!("/{name}/.well-known/openid-configuration")).await;
        assert_eq!(v1.body["issuer"], format!("https://sts.windows.net/{id}/"), "{name}");
    }
    let unknown = get("/nobody.example/v2.0/.well-known/openid-configuration".into()).await;
    assert_eq!(unknown.aadsts(), (400, "invalid_request", Some(90002)));
    let keys = get(format!("/{id}/discovery/v2.0/keys")).await;
    assert_eq!((&keys.body["keys"][0]["kty"], &keys.body["keys"][0]["use"]), (&json!("RSA"), &json!("sig")));
    // A tenant of another cloud is unknown here.
    let elsewhere = world.emulator.tenant_in(Cloud::China, "lantian");
    let reply = world.token_reply(elsewhere.id(), &world.by_secret(&world.secret)).await;
    assert_eq!(reply.aadsts(), (400, "invalid_request", Some(90002)));
}

#[tokio::test]
async fn a_secret_gives_a_token_and_each_thing_wrong_its_own_number() {
    let world = World::start().await;
    let ask = |secret: String| {
        let world = &world;
        async move { world.token_reply(world.contoso.id(), &world.by_secret(&secret)).await }
    };
    let good = ask(world.secret.clone()).await;
    let seconds = good.body["expires_in"].as_i64().unwrap();
    assert!((3_600..=5_400).contains(&seconds), "{seconds}");
    assert_eq!(ask("wrong".into()).await.aadsts(), (401, "invalid_client", Some(7000215)));
    let expired = world.app.add_secret_expiring(Some(now() - 1));
    assert_eq!(ask(expired).await.aadsts(), (401, "invalid_client", Some(7000222)));

    world.contoso.disable(&world.app);
    assert_eq!(ask(world.secret.clone()).await.aadsts(), (400, "unauthorized_client", Some(7000112)));
    world.contoso.enable(&world.app);
    world.contoso.withdraw_consent(&world.app);
    assert_eq!(ask(world.secret.clone()).await.aadsts(), (400, "invalid_grant", Some(65001)));
    world.contoso.remove(&world.app);
    assert_eq!(ask(world.secret.clone()).await.aadsts(), (401, "unauthorized_client", Some(7000229)));
    let back = world.contoso.consent(&world.app);
    assert_ne!(back, world.us, "consent after removal makes a new principal, without the old one's roles");
    assert_eq!(ask(world.secret.clone()).await.status, 200);

    for (name, value, number) in [
        ("client_id", "11111111-2222-4333-8444-555555555555", 700016),
        ("scope", "https://vault.azure.net/keys", 1002012),
        ("scope", "https://nothing.example/.default", 500011),
        ("grant_type", "password", 70003),
    ] {
        let mut form = world.by_secret(&world.secret);
        form.iter_mut().filter(|(n, _)| *n == name).for_each(|pair| pair.1 = value);
        assert_eq!(world.token_reply(world.contoso.id(), &form).await.aadsts().2, Some(number), "{name}={value}");
    }
    let by_domain = world.token_reply("contoso.example", &world.by_secret(&world.secret)).await;
    assert_eq!(by_domain.status, 200);
}

#[tokio::test]
async fn a_certificate_assertion_is_taken_in_every_form_the_sdks_send() {
    let world = World::start().await;
    let issued = world.app.issue_certificate(now() - 60, now() + 3_600).unwrap();
    let key = key_of(&issued);
    for (alg, name, thumbprint) in [
        ("RS256", "x5t", &issued.info.x5t),
        ("RS256", "x5t#S256", &issued.info.x5t_s256),
        ("PS256", "x5t#S256", &issued.info.x5t_s256),
        ("PS256", "x5t", &issued.info.x5t),
    ] {
        let header = json!({"alg": alg, "typ": "JWT", name: thumbprint});
        let reply = present(&world, &sign(&key, &header, &claims(&world))).await;
        assert_eq!(reply.status, 200, "{alg} {name}: {reply:?}");
        let token = reply.body["access_token"].as_str().unwrap();
        assert_eq!(world.call("GET", "/keys/k1/", token, Value::Null).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn each_flaw_of_a_certificate_assertion_has_its_own_number() {
    let world = World::start().await;
    let issued = world.app.issue_certificate(now() - 60, now() + 3_600).unwrap();
    let key = key_of(&issued);
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": issued.info.x5t_s256});
    for (claim, value, number) in [
        ("aud", json!("https://login.microsoftonline.com/other/oauth2/v2.0/token"), 700023),
        ("exp", json!(now() - 3_600), 700024),
        ("nbf", json!(now() + 3_600), 700024),
        ("sub", json!("somebody else"), 700021),
    ] {
        let mut spoiled = claims(&world);
        spoiled[claim] = value;
        assert_eq!(present(&world, &sign(&key, &header, &spoiled)).await.aadsts().2, Some(number), "{claim}");
    }
    let unknown = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": "AAAA"});
    assert_eq!(present(&world, &sign(&key, &unknown, &claims(&world))).await.aadsts().2, Some(700027));
    let stranger = KeyPair::generate(KeySize::Rsa2048).unwrap();
    assert_eq!(present(&world, &sign(&stranger, &header, &claims(&world))).await.aadsts().2, Some(7000274));
    assert_eq!(present(&world, "not a token").await.aadsts().2, Some(50027));

    let good = sign(&key, &header, &claims(&world));
    assert_eq!(present(&world, &good).await.status, 200);
    assert_eq!(present(&world, &good).await.status, 200, "as Entra ID, an assertion may be sent again");
    world.app.refuse_replayed_assertions(true);
    assert_eq!(present(&world, &good).await.status, 200);
    assert_eq!(present(&world, &good).await.aadsts().2, Some(7000274));
    world.app.refuse_replayed_assertions(false);

    assert!(world.app.revoke_certificate(&issued.info.x5t_s256));
    assert_eq!(present(&world, &good).await.aadsts().2, Some(7000214));
    let old = world.app.issue_certificate(now() - 7_200, now() - 3_600).unwrap();
    let header = json!({"alg": "RS256", "typ": "JWT", "x5t": old.info.x5t});
    assert_eq!(present(&world, &sign(&key_of(&old), &header, &claims(&world))).await.aadsts().2, Some(1000502));
    assert!(world.app.add_certificate(b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n").is_err());
}

#[tokio::test]
async fn a_federated_assertion_counts_by_issuer_subject_audience_and_signature() {
    let world = World::start().await;
    let issuer = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let n = URL_SAFE_NO_PAD.encode(issuer.public_key().modulus().big_endian_without_leading_zero());
    world.app.add_federated_credential(FederatedCredential {
        issuer: "https://issuer.example".into(),
        subject: "workload:byokd".into(),
        audience: "api://AzureADTokenExchange".into(),
        jwks: json!({"keys": [{"kty": "RSA", "kid": "one", "n": n, "e": "AQAB"}]}),
    });
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "one"});
    let good = json!({
        "iss": "https://issuer.example", "sub": "workload:byokd", "aud": ["api://AzureADTokenExchange"],
        "exp": now() + 300,
    });
    assert_eq!(present(&world, &sign(&issuer, &header, &good)).await.status, 200);
    for (claim, value, number) in [
        ("iss", json!("https://issuer.example/"), 700211),
        ("sub", json!("workload:other"), 700213),
        ("aud", json!("api://other"), 700212),
        ("exp", json!(now() - 3_600), 700024),
    ] {
        let mut spoiled = good.clone();
        spoiled[claim] = value;
        assert_eq!(present(&world, &sign(&issuer, &header, &spoiled)).await.aadsts().2, Some(number), "{claim}");
    }
    let stranger = KeyPair::generate(KeySize::Rsa2048).unwrap();
    assert_eq!(present(&world, &sign(&stranger, &header, &good)).await.aadsts().2, Some(7000274));
}
