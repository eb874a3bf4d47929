//! Attacks on the way out to vaults, as a table: what is tried, under which reason it is refused, and that nothing of ours left. The table
//! stands in `docs/attacks.md`.
//!
//! Each attack runs against a stub that records what it is sent, under the real names. Where the refusal is ours to get wrong, a
//! fault is put in, and the row has to fail.

#[path = "../../../tests/golden/attacks_document.rs"]
mod document;
#[path = "support/stub.rs"]
mod stub;
mod support;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::{KeyLocation, Reason, WorkspaceId, key_identifier::KeyIdentifier};
use futures::{FutureExt, future::BoxFuture};
use outbound::{Ranges, Rules, SeededBug};
use stub::{Reply, Seen, Stub};
use support::{DEADLINE, options};
use vault::{
    CustomerKeys, KeyRef, KeyUnavailable,
    azure::{Approved, AzureKeys, ClientSecret, PlatformCredential},
};
use zeroize::Zeroizing;

const TENANT: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
const ANOTHER: &str = "11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01";
const VAULT: &str = "contoso.vault.azure.net";
const LOGIN: &str = "login.microsoftonline.com";
const EVIL: &str = "evil.vault.azure.net";
const KID: &str = "https://contoso.vault.azure.net/keys/byok/0123456789abcdef0123456789abcdef";
const NAMES: [&str; 3] = [VAULT, LOGIN, EVIL];
/// An address as a vault of the public cloud has one.
const FINE: &str = "20.61.100.1";

/// What came of an attack.
#[derive(Debug)]
struct Outcome {
    /// Why the call was refused; none where it was served.
    refused: Option<Reason>,
    /// What was sent that should not have been.
    strayed: Vec<String>,
}

type Attack = fn(Option<SeededBug>) -> BoxFuture<'static, Outcome>;

/// One line: what is tried, its reason, how, and the fault with which it would succeed.
type Row = (&'static str, Reason, Attack, Option<SeededBug>);

const TABLE: &[Row] = &[
    (
        "a name that leads to the machine itself",
        Reason::VaultAddressForbidden,
        |bug| leads_to(&["127.0.0.1"], bug),
        Some(SeededBug::AddressesNotChecked),
    ),
    (
        "a name that leads to the metadata service",
        Reason::VaultAddressForbidden,
        |bug| leads_to(&["169.254.169.254"], bug),
        Some(SeededBug::AddressesNotChecked),
    ),
    (
        "the same, as an IPv4 address inside an IPv6 one",
        Reason::VaultAddressForbidden,
        |bug| leads_to(&["::ffff:169.254.169.254"], bug),
        Some(SeededBug::AddressesNotChecked),
    ),
    (
        "the same, through NAT64",
        Reason::VaultAddressForbidden,
        |bug| leads_to(&["64:ff9b::a9fe:a9fe"], bug),
        Some(SeededBug::AddressesNotChecked),
    ),
    (
        "a name that leads to the host's agent",
        Reason::VaultAddressForbidden,
        |bug| leads_to(&["168.63.129.16"], bug),
        Some(SeededBug::AddressesNotChecked),
    ),
    (
        "an inward address behind a good one",
        Reason::VaultAddressForbidden,
        |bug| leads_to(&[FINE, "127.0.0.1"], bug),
        Some(SeededBug::FirstAddressOnly),
    ),
    (
        "a private address behind a good one",
        Reason::VaultAddressNotApproved,
        |bug| leads_to(&[FINE, "10.20.0.5"], bug),
        Some(SeededBug::FirstAddressOnly),
    ),
    (
        "a name that leads into the platform's own network",
        Reason::VaultAddressForbidden,
        |bug| leads_to(&["20.99.0.1"], bug),
        Some(SeededBug::OwnRangesForgotten),
    ),
    (
        "a private address that nobody approved",
        Reason::VaultAddressNotApproved,
        |bug| leads_to(&["10.20.0.5"], bug),
        Some(SeededBug::EveryPrivateApproved),
    ),
    (
        "a private address that is approved for another workspace, which has a connection to it",
        Reason::VaultAddressNotApproved,
        approved_for_another,
        Some(SeededBug::OneClientForAll),
    ),
    (
        "a name that leads elsewhere once it was looked at",
        Reason::VaultAddressForbidden,
        rebound,
        Some(SeededBug::AddressesNotChecked),
    ),
    ("a redirect before any token", Reason::VaultAnswerInvalid, |_| answered(|_| elsewhere()), None),
    (
        "a redirect of a request with a token",
        Reason::VaultAnswerInvalid,
        |_| answered(|seen| honest(seen).unwrap_or_else(elsewhere)),
        None,
    ),
    (
        "a redirect of the request with our secret",
        Reason::EntraRefused,
        |_| answered(|seen| if seen.host == LOGIN { elsewhere() } else { challenge(TENANT) }),
        None,
    ),
    ("a list that goes on at another host", Reason::VaultAnswerInvalid, |_| next_link(), None),
    (
        "a challenge that names another tenant",
        Reason::VaultTenantMismatch,
        |_| answered(|seen| if seen.host == LOGIN { token() } else { challenge(ANOTHER) }),
        None,
    ),
];

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/attacks.md");

/// Nothing of the table succeeds, and nothing of ours goes anywhere by it; the page has the table as it went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the table is what a person reads of this test (--nocapture)")]
async fn every_attack_is_refused_and_nothing_is_sent() {
    let mut rows = Vec::new();
    for (what, reason, attack, bug) in TABLE {
        let outcome = attack(None).await;
        assert_eq!(outcome.refused, Some(*reason), "{what}: {outcome:?}");
        assert!(outcome.strayed.is_empty(), "{what}: {outcome:?}");
        let fault = bug.map_or_else(|| "none is put in".to_owned(), |bug| format!("`{bug:?}`"));
        rows.push(vec![(*what).to_owned(), format!("`{reason}`"), fault]);
    }
    let table = document::table(&["what is tried", "refused with", "the fault with which it succeeds"], rows);
    println!("{table}");
    document::compare(PAGE, "crates/vault/tests/attacks.rs", &table);
}

/// Each row whose refusal is an address's is one that a fault makes succeed: the table would notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_lets_its_attack_through() {
    for (what, reason, attack, bug) in TABLE {
        let Some(bug) = bug else { continue };
        let outcome = attack(Some(*bug)).await;
        assert_ne!(outcome.refused, Some(*reason), "{bug:?} does not let through: {what}");
        assert!(!outcome.strayed.is_empty(), "{bug:?} sends nothing: {what}");
    }
}

/// What is not a vault's name never becomes one: no attack of this kind gets as far as a name server.
#[test]
fn a_name_that_only_looks_like_a_vaults_is_none() {
    for text in [
        "https://contoso.vault.azure.net@evil.example/keys/byok",
        "https://user:word@contoso.vault.azure.net/keys/byok",
        "https://contoso.vault.azure.net.evil.example/keys/byok",
        "https://contoso-vault.azure.net/keys/byok",
        "https://contoso.vault.azure.net.:443/keys/byok",
        "https://contoso.vault.azure.net:8443/keys/byok",
        "https://a.contoso.vault.azure.net/keys/byok",
        "https://contoso.vault.azure.net%2eevil.example/keys/byok",
        "https://contoso.v\u{430}ult.azure.net/keys/byok",
        "https://169.254.169.254/keys/byok",
        "https://[::1]/keys/byok",
        "http://contoso.vault.azure.net/keys/byok",
        "https://contoso.vault.azure.net/keys/byok?to=https://evil.example",
        "https://contoso.vault.azure.net/keys/byok#@evil.example",
        "https://contoso.vault.azure.net\\@evil.example/keys/byok",
    ] {
        assert!(KeyIdentifier::parse(text).is_err(), "{text}");
    }
}

fn challenge(tenant: &str) -> Reply {
    let challenge = format!(r#"Bearer authorization="https://{LOGIN}/{tenant}", resource="https://vault.azure.net""#);
    (401, vec![("www-authenticate", challenge)], String::new())
}

fn token() -> Reply {
    (200, Vec::new(), r#"{"token_type":"Bearer","expires_in":3600,"access_token":"canary-token"}"#.to_owned())
}

fn elsewhere() -> Reply {
    (307, vec![("location", format!("https://{EVIL}/"))], String::new())
}

/// What an honest directory and vault say until a token is shown to the vault.
fn honest(seen: &Seen) -> Option<Reply> {
    match (&*seen.host, &seen.authorization) {
        (LOGIN, _) => Some(token()),
        (_, None) => Some(challenge(TENANT)),
        (_, Some(_)) => None,
    }
}

fn unwrapped() -> Reply {
    let value = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, [7; 65]);
    (200, Vec::new(), serde_json::json!({ "kid": KID, "value": value }).to_string())
}

fn workspace(id: &str) -> WorkspaceId {
    id.parse().unwrap()
}

fn ranges(texts: &[&str]) -> Ranges {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Asks through `stub`, where names lead to what `answers` says, as far as the rules see.
fn keys(
    stub: &Stub,
    answers: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
    approved: &[(&str, &[&str])],
    bug: Option<SeededBug>,
) -> AzureKeys {
    let secret = PlatformCredential::Secret(ClientSecret::new(Zeroizing::new("canary-secret".to_owned())));
    let workspaces: HashMap<_, _> = approved.iter().map(|(id, texts)| (workspace(id), ranges(texts))).collect();
    let rules = Rules { bug, ..Rules::new(ranges(&["20.99.0.0/16"]), None) };
    let options = options("11111111-2222-4333-8444-555555555555", secret, stub.addr, &stub.ca_pem)
        .development_answers(Arc::new(answers))
        .by_rules(rules, Approved { workspaces, platform: Ranges::default() });
    AzureKeys::new(options).unwrap()
}

fn at(id: &str) -> KeyRef {
    let location = KeyLocation::from_vault_uri(&format!("https://{VAULT}"), "byok").unwrap();
    KeyRef::of_platform(TENANT.parse().unwrap(), location).of(&workspace(id))
}

async fn unwrap(keys: &AzureKeys, id: &str) -> Result<(), KeyUnavailable> {
    let version = "0123456789abcdef0123456789abcdef".parse().unwrap();
    keys.unwrap(&at(id), version, &[1; 256], DEADLINE).await.map(|_| ())
}

fn refused<T>(result: Result<T, KeyUnavailable>) -> Option<Reason> {
    result.err().map(|why| why.reason())
}

fn told(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|seen| format!("{}{}", seen.host, seen.path)).collect()
}

/// The login host where it is, the vault wherever `addresses` say: nothing at all may reach the vault.
fn leads_to(addresses: &'static [&'static str], bug: Option<SeededBug>) -> BoxFuture<'static, Outcome> {
    async move {
        let stub = Stub::start(&NAMES, |seen| honest(seen).unwrap_or_else(unwrapped)).await;
        let answers = move |host: &str| {
            let addresses = if host == VAULT { addresses } else { &[FINE] };
            addresses.iter().map(|text| text.parse().unwrap()).collect()
        };
        let refused = refused(unwrap(&keys(&stub, answers, &[], bug), "acme").await);
        Outcome { refused, strayed: told(&stub.seen()) }
    }
    .boxed()
}

/// Acme may go there and does; another workspace asks for the same vault.
fn approved_for_another(bug: Option<SeededBug>) -> BoxFuture<'static, Outcome> {
    async move {
        let stub = Stub::start(&NAMES, |seen| honest(seen).unwrap_or_else(unwrapped)).await;
        let answers = |host: &str| vec![if host == VAULT { "10.20.0.5" } else { FINE }.parse().unwrap()];
        let keys = keys(&stub, answers, &[("acme", &["10.20.0.0/16"]), ("initech", &["10.21.0.0/16"])], bug);
        unwrap(&keys, "acme").await.expect("what is approved is reached");
        let before = stub.seen().len();
        let mut outcome = Outcome { refused: None, strayed: Vec::new() };
        for other in ["initech", "globex"] {
            outcome.refused = refused(unwrap(&keys, other).await);
            outcome.strayed = told(&stub.seen()[before..]);
        }
        outcome
    }
    .boxed()
}

/// The first answer is fine; the next one, for the next connection, leads inward.
fn rebound(bug: Option<SeededBug>) -> BoxFuture<'static, Outcome> {
    async move {
        let stub = Stub::start(&NAMES, |_| (200, Vec::new(), "{}".to_owned())).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let times = Arc::clone(&asked);
        let answers = move |_: &str| {
            let first = times.fetch_add(1, Ordering::Relaxed) == 0;
            vec![if first { FINE } else { "127.0.0.1" }.parse().unwrap()]
        };
        let keys = keys(&stub, answers, &[], bug);
        keys.approach().reach(&at("acme"), DEADLINE).await.expect("the first answer is fine");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "one look-up serves the check and the connection");
        let before = stub.seen().len();
        let refused = refused(keys.approach().reach(&at("acme"), DEADLINE).await);
        Outcome { refused, strayed: told(&stub.seen()[before..]) }
    }
    .boxed()
}

/// Honest addresses, dishonest answers: nothing may reach another host, and no token one that did not name its tenant.
fn answered(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> BoxFuture<'static, Outcome> {
    async move {
        let stub = Stub::start(&NAMES, reply).await;
        let keys = keys(&stub, |_| vec![FINE.parse().unwrap()], &[], None);
        let refused = refused(unwrap(&keys, "acme").await);
        Outcome { refused, strayed: strayed(&stub) }
    }
    .boxed()
}

fn next_link() -> BoxFuture<'static, Outcome> {
    async move {
        let page = serde_json::json!({
            "value": [{ "kid": KID, "attributes": { "enabled": true } }],
            "nextLink": format!("https://{EVIL}/keys/byok/versions?api-version=2025-07-01"),
        });
        let page = move |seen: &Seen| honest(seen).unwrap_or_else(|| (200, Vec::new(), page.to_string()));
        let stub = Stub::start(&NAMES, page).await;
        let keys = keys(&stub, |_| vec![FINE.parse().unwrap()], &[], None);
        let refused = refused(keys.versions(&at("acme"), DEADLINE).await);
        Outcome { refused, strayed: strayed(&stub) }
    }
    .boxed()
}

/// What reached another host, a token that was sent where the bound tenant had not been named, and our secret anywhere but at
/// the login host.
fn strayed(stub: &Stub) -> Vec<String> {
    let seen = stub.seen();
    let named = |seen: &Seen| seen.host == VAULT && seen.authorization.is_none();
    let first_token = seen.iter().position(|seen| seen.authorization.is_some());
    let too_early = first_token.is_some_and(|first| !seen[..first].iter().any(named));
    let strays = seen.iter().filter(|seen| {
        let secret = seen.body.contains("canary-secret") && seen.host != LOGIN;
        seen.host == EVIL || secret || (too_early && seen.authorization.is_some())
    });
    told(&strays.cloned().collect::<Vec<_>>())
}
