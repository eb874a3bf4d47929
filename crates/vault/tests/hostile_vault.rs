//! Answers no honest vault gives: redirects, lists without end, challenges out of place, bodies without measure.

#[path = "support/stub.rs"]
mod stub;
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    http::{ClientOptions, RetryOptions, Transport},
    time::{Duration as SdkDuration, OffsetDateTime},
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use domain::{KeyLocation, KeyVersionId};
use futures::TryStreamExt;
use stub::{Reply, Seen, Stub};
use support::{DEADLINE, options};
use vault::{
    AnswerFault, Class, CustomerKeys, KeyRef, KeyUnavailable,
    azure::{AzureKeys, ClientSecret, PlatformCredential},
};
use zeroize::Zeroizing;

const TENANT: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
const VAULT: &str = "contoso.vault.azure.net";
const LOGIN: &str = "login.microsoftonline.com";
const EVIL: &str = "evil.vault.azure.net";
const KID: &str = "https://contoso.vault.azure.net/keys/byok/0123456789abcdef0123456789abcdef";
const NAMES: [&str; 3] = [VAULT, LOGIN, EVIL];

fn challenge() -> Reply {
    let challenge = format!(r#"Bearer authorization="https://{LOGIN}/{TENANT}", resource="https://vault.azure.net""#);
    (401, vec![("www-authenticate", challenge)], String::new())
}

fn token() -> Reply {
    (200, Vec::new(), r#"{"token_type":"Bearer","expires_in":3600,"access_token":"canary-token"}"#.to_owned())
}

/// An honest directory and challenge, and `reply` to everything that carries a token.
fn otherwise(
    reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    move |seen| match (&*seen.host, &seen.authorization) {
        (LOGIN, _) => token(),
        (_, None) => challenge(),
        (_, Some(_)) => reply(seen),
    }
}

fn keys(stub: &Stub) -> AzureKeys {
    let secret = PlatformCredential::Secret(ClientSecret::new(Zeroizing::new("canary-secret".to_owned())));
    AzureKeys::new(options("11111111-2222-4333-8444-555555555555", secret, stub.addr, &stub.ca_pem)).unwrap()
}

fn at() -> (KeyRef, KeyVersionId) {
    let location = KeyLocation::from_vault_uri(&format!("https://{VAULT}"), "byok").unwrap();
    (KeyRef::of_platform(TENANT.parse().unwrap(), location), "0123456789abcdef0123456789abcdef".parse().unwrap())
}

async fn unwrap(stub: &Stub) -> Result<(), KeyUnavailable> {
    let (at, version) = at();
    keys(stub).unwrap(&at, version, &[1; 256], DEADLINE).await.map(|_| ())
}

fn fault(result: Result<(), KeyUnavailable>) -> AnswerFault {
    match result {
        Err(KeyUnavailable::AnswerInvalid { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

/// Whoever got the token besides the vault it was for.
fn strangers_with_a_token(stub: &Stub) -> Vec<Seen> {
    let canary = |seen: &Seen| seen.authorization.as_deref().is_some_and(|text| text.contains("canary-token"));
    stub.seen().into_iter().filter(|seen| canary(seen) && seen.host != VAULT).collect()
}

fn page(next: &str) -> Reply {
    let body = serde_json::json!({ "value": [{ "kid": KID, "attributes": { "enabled": true } }], "nextLink": next });
    (200, Vec::new(), body.to_string())
}

fn evil_page() -> Reply {
    page(&format!("https://{EVIL}/keys/byok/versions?api-version=2025-07-01"))
}

/// The token never leaves for another host by way of a list, though that host has a vault's name and a good certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_does_not_lead_the_token_astray() {
    let stub = Stub::start(&NAMES, otherwise(|_| evil_page())).await;
    let (at, _) = at();
    assert_eq!(fault(keys(&stub).versions(&at, DEADLINE).await.map(|_| ())), AnswerFault::OtherOrigin);
    assert!(strangers_with_a_token(&stub).is_empty());
    assert!(stub.seen().iter().all(|seen| seen.host != EVIL), "nothing at all was sent there");
}

/// The seeded bug: the same list read by the SDK without our guard sends the token away. If this ever fails, the SDK has
/// learnt to check by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_guard_the_token_would_be_sent_away() {
    let stub = Stub::start(&NAMES, otherwise(|_| evil_page())).await;
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(stub.ca_pem.as_bytes()).unwrap()])
        .resolve(VAULT, stub.addr)
        .resolve(EVIL, stub.addr)
        .build()
        .unwrap();
    let client_options = ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::new(client))),
        ..ClientOptions::default()
    };
    let options = KeyClientOptions { client_options, ..KeyClientOptions::default() };
    let bare = KeyClient::new(&format!("https://{VAULT}"), Arc::new(Canary), Some(options)).unwrap();
    let mut pages = bare.list_key_properties_versions("byok", None).unwrap().into_pages();
    for _ in 0..2 {
        pages.try_next().await.unwrap();
    }
    assert!(!strangers_with_a_token(&stub).is_empty());
}

#[derive(Debug)]
struct Canary;

#[async_trait::async_trait]
impl TokenCredential for Canary {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let until = OffsetDateTime::now_utc() + SdkDuration::hours(1);
        Ok(AccessToken::new(Secret::new("canary-token"), until))
    }
}

/// A redirect is not followed, before the token or with it, by a vault or by the directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed() {
    let elsewhere = || (307, vec![("location", format!("https://{EVIL}/"))], String::new());
    let with_token = Stub::start(&NAMES, otherwise(move |_| elsewhere())).await;
    assert_eq!(fault(unwrap(&with_token).await), AnswerFault::Redirect);
    let before = Stub::start(&NAMES, move |_| elsewhere()).await;
    assert_eq!(fault(unwrap(&before).await), AnswerFault::Redirect);
    let directory = move |seen: &Seen| if seen.host == LOGIN { elsewhere() } else { challenge() };
    let by_directory = Stub::start(&NAMES, directory).await;
    let why = unwrap(&by_directory).await.unwrap_err();
    assert!(matches!(why, KeyUnavailable::DirectoryRefused { .. }), "{why:?}");
    for stub in [with_token, before, by_directory] {
        let seen = stub.seen();
        assert!(seen.iter().all(|seen| seen.host != EVIL), "{seen:?}");
        let elsewhere_secret = seen.iter().any(|seen| seen.host != LOGIN && seen.body.contains("canary-secret"));
        assert!(!elsewhere_secret, "the secret goes to the login host only");
    }
}

/// A 401 to a token that brings no challenge is tried once more with a fresh token, as one that does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_401_without_a_challenge_is_tried_once_more() {
    let stub = Stub::start(&NAMES, otherwise(|_| (401, Vec::new(), "{}".into()))).await;
    let why = unwrap(&stub).await.unwrap_err();
    assert!(matches!(why, KeyUnavailable::Refused { status: 401, .. }), "{why:?}");
    let seen = stub.seen();
    assert_eq!(seen.iter().filter(|seen| seen.authorization.is_some()).count(), 2);
    assert_eq!(seen.iter().filter(|seen| seen.host == LOGIN).count(), 2, "the second token is a fresh one");
}

/// A vault that serves whoever asks, or challenges without naming a tenant, gets no token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_does_not_say_whose_it_is_gets_no_token() {
    let nobody = |text: &str| (401, vec![("www-authenticate", text.to_owned())], String::new());
    let replies: [Reply; 4] = [
        (200, Vec::new(), "{}".into()),
        (401, Vec::new(), "{}".into()),
        nobody(r#"Bearer resource="https://vault.azure.net""#),
        nobody(r#"Basic realm="vault""#),
    ];
    for reply in replies {
        let stub = Stub::start(&NAMES, move |_| reply.clone()).await;
        assert_eq!(fault(unwrap(&stub).await), AnswerFault::Challenge);
        assert!(stub.seen().iter().all(|seen| seen.host == VAULT && seen.authorization.is_none()));
    }
}

/// A refusal before the challenge keeps its meaning, and does not stand in for a challenge later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_before_the_challenge_keeps_its_meaning() {
    let asked = AtomicUsize::new(0);
    let reply = move |seen: &Seen| match (&*seen.host, &seen.authorization) {
        (LOGIN, _) => token(),
        (_, None) => match asked.fetch_add(1, Ordering::Relaxed) {
            0 => (
                403,
                Vec::new(),
                r#"{"error":{"code":"Forbidden","message":"a\nb","innererror":{"code":"ForbiddenByFirewall"}}}"#.into(),
            ),
            1 => (503, vec![("retry-after", "3".to_owned())], String::new()),
            _ => challenge(),
        },
        (_, Some(_)) => {
            let value = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, [7; 65]);
            (200, Vec::new(), serde_json::json!({ "kid": KID, "value": value }).to_string())
        }
    };
    let stub = Stub::start(&NAMES, reply).await;
    let (keys, (at, version)) = (keys(&stub), at());
    let unwrap = || keys.unwrap(&at, version, &[1; 256], DEADLINE);
    assert!(matches!(unwrap().await.map(|_| ()), Err(KeyUnavailable::Firewall(_))));
    let why = unwrap().await.map(|_| ()).unwrap_err();
    assert_eq!((why.class(), why.retry_after()), (Class::Transient, Some(std::time::Duration::from_secs(3))));
    assert!(unwrap().await.unwrap().payload.expose(|bytes| bytes.iter().all(|byte| *byte == 7)));
}

/// A body without measure is not read to its end, whether it says its length or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_measure_is_not_read() {
    let stub = Stub::start(&NAMES, otherwise(|_| (200, Vec::new(), "x".repeat(300 * 1024)))).await;
    assert_eq!(fault(unwrap(&stub).await), AnswerFault::TooLarge);
}

/// A list without end is ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_without_end_is_ended() {
    let stub = Stub::start(&NAMES, otherwise(|_| page("/keys/byok/versions?again=1"))).await;
    let (at, _) = at();
    assert_eq!(fault(keys(&stub).versions(&at, DEADLINE).await.map(|_| ())), AnswerFault::EndlessList);
    assert!(stub.seen().len() <= 410);
}

/// What a published refusal looks like, escapes and all, is understood through the SDK, which would have lost its code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_escaped_refusal_is_understood_through_the_sdk() {
    let body = "{\"error\":{\"code\":\"Forbidden\",\"message\":\"Caller is not authorized to perform action on resource.\\r\\nIf role assignments were changed recently, please observe propagation time.\\r\\nCaller: appid=canary-app;oid=canary-oid\\r\\n\",\"innererror\":{\"code\":\"ForbiddenByRbac\"}}}";
    let stub =
        Stub::start(&NAMES, otherwise(move |_| (403, vec![("x-ms-request-id", "req-9".to_owned())], body.to_owned())))
            .await;
    let why = unwrap(&stub).await.unwrap_err();
    assert!(matches!(why, KeyUnavailable::RoleMissing(_)), "{why:?}");
    assert_eq!(why.request_id(), Some("req-9"));
    assert!(!format!("{why} {why:?}").contains("canary"));
}

/// Paths hold the key and always the version that was asked; nothing is ever sent for "the newest" when unwrapping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unwrap_names_its_version() {
    let stub = Stub::start(
        &NAMES,
        otherwise(|_| (404, Vec::new(), r#"{"error":{"code":"KeyNotFound","message":"x"}}"#.into())),
    )
    .await;
    assert!(matches!(unwrap(&stub).await, Err(KeyUnavailable::NotFound(_))));
    let with_token: Vec<_> = stub.seen().into_iter().filter(|seen| seen.authorization.is_some()).collect();
    assert_eq!(with_token.len(), 1);
    assert_eq!(with_token[0].path, "/keys/byok/0123456789abcdef0123456789abcdef/unwrapkey");
    assert!(with_token[0].body.starts_with(r#"{"alg":"RSA-OAEP-256","#));
}
