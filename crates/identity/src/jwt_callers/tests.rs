//! Tokens of an issuer with keys of its own, signed here, and everything that may be wrong with them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Moment;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::jwks::{Freshness, KeySource};
use crate::web::{NoWebAnswer, Web, WebAnswer, WebRequest};

const ISSUER: &str = "https://issuer.example/tenant";
const START: i64 = 1_800_000_000;

struct Hand(AtomicI64);
impl Clock for Hand {
    fn now(&self) -> Moment {
        let seconds = self.0.load(Ordering::SeqCst);
        let boot = Duration::from_secs(u64::try_from(seconds - START).unwrap() + 100);
        Moment { wall: Timestamp::from_micros(seconds * 1_000_000), boot }
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Pair {
    Rsa(RsaPair),
    Ec(EcdsaKeyPair),
}

impl Pair {
    fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let n = b64(public.modulus().big_endian_without_leading_zero());
                let e = b64(public.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": n, "e": e})
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
        }
    }

    fn sign(&self, header: &Value, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding =
                    if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", b64(signature))
    }
}

/// Answers what it is given, and counts.
#[derive(Default)]
struct Served {
    documents: Mutex<HashMap<String, Value>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Web for Served {
    async fn send(&self, request: WebRequest) -> Result<WebAnswer, NoWebAnswer> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.documents.lock().unwrap().get(request.url.as_str()).map(ToString::to_string);
        let body = found.ok_or(NoWebAnswer)?;
        Ok(WebAnswer { status: 200, body: Zeroizing::new(body.into_bytes()) })
    }
}

struct World {
    clock: Arc<Hand>,
    served: Arc<Served>,
    keys: Arc<KeySet>,
    callers: JwtCallers,
    rsa: Pair,
    ec: Pair,
}

const JWKS: &str = "https://issuer.example/keys";

impl World {
    /// With the issuer's keys fetched.
    async fn fetched() -> Self {
        let world = Self::of(KeySource::At(JWKS.parse().unwrap()));
        let _ = world.keys.find("rsa").await;
        world
    }

    fn of(source: KeySource) -> Self {
        let clock = Arc::new(Hand(AtomicI64::new(START)));
        let served = Arc::new(Served::default());
        let rsa = Pair::Rsa(RsaPair::generate(KeySize::Rsa2048).unwrap());
        let ec = Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
        let set = json!({"keys": [rsa.jwk("rsa"), ec.jwk("ec")]});
        served.documents.lock().unwrap().insert(JWKS.to_owned(), set);
        let keys = Arc::new(KeySet::new(source, served.clone(), clock.clone(), Freshness::default()));
        let rule = |subject: &str, name: &str| SubjectRule {
            subject: subject.parse().unwrap(),
            name: name.to_owned(),
            grants: vec![Grant::EVERYTHING],
        };
        let issuer = Issuer {
            issuer: ISSUER.to_owned(),
            audience: "byokd".to_owned(),
            algorithms: Algorithm::ALL.to_vec(),
            longest_life: Duration::from_secs(3_600),
            keys: keys.clone(),
            subjects: vec![
                rule("system:serviceaccount:chat:worker", "chat"),
                rule("system:serviceaccount:*", "cluster"),
                rule("system:serviceaccount:batch:*", "batch"),
            ],
        };
        let callers = JwtCallers::new([issuer], clock.clone()).unwrap();
        Self { clock, served, keys, callers, rsa, ec }
    }

    fn who(&self, token: &str) -> Option<String> {
        let known = self.callers.authenticate(Credential::Bearer(token))?;
        Some(known.caller.name().to_owned())
    }

    fn token(&self, claims: &Value) -> String {
        self.rsa.sign(&header(), &claims.to_string())
    }
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"})
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["other", "byokd"], "sub": "system:serviceaccount:chat:worker",
        "iat": START - 10, "nbf": START - 10, "exp": START + 600,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// RS256, PS256 and ES256 tokens name their caller, by the nearest rule, until they end.
#[tokio::test]
async fn a_signed_token_names_its_caller_until_it_ends() {
    let world = World::fetched().await;
    let text = claims().to_string();
    let signed = [
        world.rsa.sign(&header(), &text),
        world.rsa.sign(&json!({"alg": "PS256", "kid": "rsa"}), &text),
        world.ec.sign(&json!({"alg": "ES256", "kid": "ec"}), &text),
    ];
    for token in &signed {
        assert_eq!(world.who(token).as_deref(), Some("chat"));
    }
    for (subject, who) in [
        ("system:serviceaccount:chat:workers", Some("cluster")),
        ("system:serviceaccount:batch:nightly", Some("batch")),
        ("system:serviceaccount:batch:", Some("cluster")),
        ("system:serviceaccount:", None),
        ("system:node:n1", None),
        ("", None),
    ] {
        assert_eq!(world.who(&world.token(&with("sub", json!(subject)))).as_deref(), who, "{subject}");
    }
    let known = world.callers.authenticate(Credential::Bearer(&signed[0])).unwrap();
    assert_eq!(known.until, Some(Timestamp::from_micros((START + 600) * 1_000_000)));
    world.clock.0.store(START + 599, Ordering::SeqCst);
    assert!(world.who(&signed[0]).is_some());
    world.clock.0.store(START + 600, Ordering::SeqCst);
    assert!(world.who(&signed[0]).is_none(), "without any room beyond its end");
}

/// Everything else that a token may be is nobody, and all of it looks the same from outside.
#[tokio::test]
async fn every_other_token_is_nobody() {
    let world = World::fetched().await;
    let good = world.token(&claims());
    assert!(world.who(&good).is_some());
    let parts: Vec<&str> = good.split('.').collect();
    let text = claims().to_string();
    let signed = |header: Value| world.rsa.sign(&header, &text);
    let nested = (0..200).fold("1".to_owned(), |inner, _| format!("[{inner}]"));
    let bombs = format!("{{\"iss\":\"{ISSUER}\",\"x\":{nested}}}");
    let mut bad = vec![
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("four parts", format!("{good}.x")),
        ("two parts", parts[..2].join(".")),
        ("padding", format!("{good}=")),
        ("a blank", format!("{good} ")),
        ("too long", format!("{good}{}", "A".repeat(17_000))),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("none", format!("{}.{}.", b64(json!({"alg": "none", "kid": "rsa"}).to_string()), parts[1])),
        ("none in capitals", format!("{}.{}.", b64(json!({"alg": "NONE", "kid": "rsa"}).to_string()), parts[1])),
        ("HS256", signed(json!({"alg": "HS256", "kid": "rsa"}))),
        ("RS512", signed(json!({"alg": "RS512", "kid": "rsa"}))),
        ("an RSA signature called ES256", signed(json!({"alg": "ES256", "kid": "rsa"}))),
        ("the other key's id", signed(json!({"alg": "RS256", "kid": "ec"}))),
        ("no key id", signed(json!({"alg": "RS256"}))),
        ("an unknown key id", signed(json!({"alg": "RS256", "kid": "new"}))),
        ("a key of its own", signed(json!({"alg": "RS256", "kid": "rsa", "jwk": world.rsa.jwk("rsa")}))),
        ("keys elsewhere", signed(json!({"alg": "RS256", "kid": "rsa", "jku": "https://evil.example/keys"}))),
        ("an extension", signed(json!({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}))),
        ("a header that is a list", signed(json!(["RS256"]))),
        ("other claims", format!("{}.{}.{}", parts[0], b64(with("sub", json!("x")).to_string()), parts[2])),
        ("a claim twice", world.rsa.sign(&header(), &text.replacen('{', "{\"sub\":\"x\",", 1))),
        ("deep claims", world.rsa.sign(&header(), &bombs)),
        ("claims that are no object", world.rsa.sign(&header(), "[]")),
    ];
    for (name, value) in [
        ("iss", json!("https://issuer.example/tenant/")),
        ("iss", json!(["https://issuer.example/tenant"])),
        ("iss", json!("https://other.example")),
        ("aud", json!("byok")),
        ("aud", json!(["byokd", 1])),
        ("aud", json!({"byokd": true})),
        ("sub", json!(7)),
        ("exp", json!(START)),
        ("exp", json!(START - 10)),
        ("exp", json!((START + 600).to_string())),
        ("exp", json!(START + 3_591)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(1e300)),
        ("nbf", json!(START + 61)),
        ("nbf", json!("soon")),
        ("iat", json!(START + 61)),
    ] {
        bad.push((name, world.token(&with(name, value))));
    }
    for name in ["iss", "aud", "sub", "exp", "iat"] {
        bad.push((name, world.token(&without(name))));
    }
    for (what, token) in bad {
        assert!(world.who(&token).is_none(), "{what}: {token}");
    }
    assert!(world.who(&world.token(&without("nbf"))).is_some(), "nbf may be left out");
    assert!(world.callers.authenticate(Credential::None).is_none());
    let nobody = JwtCallers::new([], world.clock.clone()).unwrap();
    assert!(nobody.authenticate(Credential::Bearer(&good)).is_none());
}

/// An algorithm that an issuer is not configured for is refused, though the key could do it.
#[tokio::test]
async fn an_algorithm_that_is_not_configured_is_refused() {
    let mut world = World::fetched().await;
    world.callers.issuers.get_mut(ISSUER).unwrap().issuer.algorithms = vec![Algorithm::Es256];
    assert!(world.who(&world.token(&claims())).is_none());
    let token = world.ec.sign(&json!({"alg": "ES256", "kid": "ec"}), &claims().to_string());
    assert!(world.who(&token).is_some());
}

/// Before the keys were fetched, and once they are too old, no token of the issuer is anybody; asking does not wait.
#[tokio::test]
async fn without_fresh_keys_nobody_is_known() {
    let world = World::of(KeySource::At(JWKS.parse().unwrap()));
    let token = world.token(&claims());
    assert!(world.who(&token).is_none());
    assert_eq!(world.served.asked.load(Ordering::SeqCst), 0, "who is asked here does not wait for anybody");
    world.keys.find("rsa").await.unwrap();
    assert!(world.who(&token).is_some());
    world.clock.0.store(START + 86_400, Ordering::SeqCst);
    let later =
        json!({"iat": START + 86_390, "exp": START + 86_500, "iss": ISSUER, "aud": "byokd", "sub": claims()["sub"]});
    assert!(world.who(&world.token(&later)).is_none(), "a day old");
}

/// Of a token under a key that could not be asked for yet nobody says that it is nobody's: before the keys were ever fetched, while
/// the issuer may not be asked again, and while it does not answer. Once it was asked and lists no such key, the token is nobody's.
#[tokio::test]
async fn a_token_is_nobodys_only_by_keys_that_were_asked_for_since() {
    let world = World::of(KeySource::At(JWKS.parse().unwrap()));
    let judged = |token: &str| {
        assert!(world.who(token).is_none());
        world.callers.has_keys_for(Credential::Bearer(token))
    };
    let at = |seconds: i64| world.clock.0.store(START + seconds, Ordering::SeqCst);
    assert!(!judged(&world.token(&claims())), "never fetched");
    world.keys.find("rsa").await.unwrap();
    let new = world.rsa.sign(&json!({"alg": "RS256", "kid": "new"}), &claims().to_string());
    at(10);
    assert!(!judged(&new));
    let _ = world.keys.find("new").await;
    assert_eq!(world.served.asked.load(Ordering::SeqCst), 1, "asked a moment ago");
    assert!(!judged(&new));
    let documents = std::mem::take(&mut *world.served.documents.lock().unwrap());
    at(31);
    assert_eq!(world.keys.find("new").await.err(), Some(NoKey::Unavailable), "it was asked, and did not answer");
    assert!(!judged(&new));
    *world.served.documents.lock().unwrap() = documents;
    at(62);
    assert_eq!(world.keys.find("new").await.err(), Some(NoKey::Unknown));
    assert!(judged(&new), "it was asked since, and lists no such key");
    at(63);
    let later = world.rsa.sign(&json!({"alg": "RS256", "kid": "later"}), &claims().to_string());
    assert!(!judged(&later), "another key may be listed by now");

    // What no key could make anybody's is nobody's at once.
    for other in [
        "opaque".to_owned(),
        world.rsa.sign(&json!({"alg": "HS256", "kid": "newer"}), &claims().to_string()),
        world.rsa.sign(&json!({"alg": "RS256"}), &claims().to_string()),
        world
            .rsa
            .sign(&json!({"alg": "RS256", "kid": "newer"}), &with("iss", json!("https://other.example")).to_string()),
        world.token(&with("aud", json!("other"))),
        world.token(&with("sub", json!("nobody"))),
    ] {
        assert!(judged(&other), "{other}");
    }
    assert!(world.callers.has_keys_for(Credential::None));

    // A key that was listed and is no more was withdrawn; that need not be asked again.
    world.served.documents.lock().unwrap().insert(JWKS.to_owned(), json!({"keys": [world.ec.jwk("ec")]}));
    at(94);
    let _ = world.keys.find("another").await;
    assert!(judged(&world.token(&claims())));
}

/// However many key ids are invented, those remembered are few, and a new key is found all the same.
#[tokio::test]
async fn invented_key_ids_take_a_bounded_room() {
    let world = World::fetched().await;
    for n in 0..1_000 {
        assert_eq!(world.keys.missing(&format!("invented {n}")), NoKey::Unknown, "the set is of this very second");
    }
    assert!(world.keys.remembers_missed() <= 256);
    world.served.documents.lock().unwrap().insert(JWKS.to_owned(), json!({"keys": [world.rsa.jwk("invented 999")]}));
    world.clock.0.store(START + 31, Ordering::SeqCst);
    assert!(world.keys.find("invented 999").await.is_ok());
}

/// A key that the issuer withdraws ends what connections remember.
#[tokio::test]
async fn a_withdrawn_key_is_forgotten_by_connections_too() {
    let world = World::fetched().await;
    let token = world.token(&claims());
    let before = world.callers.generation();
    world.served.documents.lock().unwrap().insert(JWKS.to_owned(), json!({"keys": [world.ec.jwk("ec")]}));
    world.clock.0.store(START + 31, Ordering::SeqCst);
    let _ = world.keys.find("unknown").await;
    assert_ne!(world.callers.generation(), before);
    assert!(world.who(&token).is_none());
}

/// An issuer that lists nothing any more has withdrawn its keys; an answer that is no set, or holds nothing usable, is a mistake
/// that takes nobody's key away.
#[tokio::test]
async fn an_empty_set_withdraws_the_only_key() {
    for (answer, stays) in [
        (json!({"keys": []}), false),
        (json!({"keys": {}}), true),
        (json!({}), true),
        (json!({"keys": [7]}), true),
        (json!({"keys": [{"kty": "oct", "kid": "rsa", "k": "AAAA"}]}), true),
    ] {
        let world = World::fetched().await;
        let token = world.token(&claims());
        let before = world.callers.generation();
        world.served.documents.lock().unwrap().insert(JWKS.to_owned(), answer.clone());
        world.clock.0.store(START + 31, Ordering::SeqCst);
        let _ = world.keys.find("unknown").await;
        assert_eq!(world.served.asked.load(Ordering::SeqCst), 2);
        assert_eq!(world.who(&token).is_some(), stays, "{answer}");
        assert_eq!(world.callers.generation() == before, stays, "{answer}");
    }
}

/// Where the set says whose a key is, it signs for nobody else; `{tenantid}` is the token's own tenant.
#[tokio::test]
async fn a_key_of_another_issuer_signs_for_nobody_here() {
    for (bound, tid, lets_in) in [
        (ISSUER, None, true),
        ("https://issuer.example/{tenantid}", Some("tenant"), true),
        ("https://issuer.example/{tenantid}", Some("other"), false),
        ("https://issuer.example/{tenantid}", None, false),
        ("https://issuer.example/other", Some("tenant"), false),
        ("https://other.example/tenant", None, false),
    ] {
        let world = World::of(KeySource::At(JWKS.parse().unwrap()));
        let mut key = world.rsa.jwk("rsa");
        key["issuer"] = json!(bound);
        world.served.documents.lock().unwrap().insert(JWKS.to_owned(), json!({"keys": [key]}));
        let _ = world.keys.find("rsa").await;
        let claims = tid.map_or_else(claims, |tid| with("tid", json!(tid)));
        assert_eq!(world.who(&world.token(&claims)).is_some(), lets_in, "{bound} {tid:?}");
    }
}

/// Every rule's name is the configuration's: reserved, listed, and counted where somebody has to be left who administers.
#[tokio::test]
async fn every_subjects_caller_is_of_the_configuration() {
    let configured = World::of(KeySource::At(JWKS.parse().unwrap())).callers.configured();
    let names: Vec<&str> = configured.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["chat", "cluster", "batch"]);
    let plain = |one: &ConfiguredCaller| {
        one.token && one.certificate.is_none() && one.expires.is_none() && one.grants == [Grant::EVERYTHING]
    };
    assert!(configured.iter().all(plain));
}

/// Keys are found through the issuer's own document, which has to name exactly the issuer and stay on its host.
#[tokio::test]
async fn discovery_stays_with_the_issuer() {
    let document = format!("{ISSUER}/.well-known/openid-configuration");
    for (issuer, at, found) in [
        (ISSUER, JWKS, true),
        ("https://issuer.example/other", JWKS, false),
        (ISSUER, "https://elsewhere.example/keys", false),
        (ISSUER, "http://issuer.example/keys", false),
        (ISSUER, "https://169.254.169.254/keys", false),
        (ISSUER, "https://[2001:db8::1]/keys", false),
    ] {
        let world = World::of(KeySource::Discovered { issuer: ISSUER.to_owned() });
        {
            let mut documents = world.served.documents.lock().unwrap();
            let set = documents[JWKS].clone();
            documents.insert(at.to_owned(), set);
            documents.insert(document.clone(), json!({"issuer": issuer, "jwks_uri": at}));
        }
        assert_eq!(world.keys.find("rsa").await.is_ok(), found, "{issuer} {at}");
    }
}

/// An issuer may be named by an IPv6 address: its key set is at the same one, however that is written, and the same port.
#[tokio::test]
async fn an_issuer_at_an_ipv6_address_stays_there() {
    const SIX: &str = "https://[2001:db8::1]:8443/tenant";
    for (at, found) in [
        ("https://[2001:db8::1]:8443/keys", true),
        ("https://[2001:DB8:0:0::1]:8443/keys", true),
        ("https://[2001:db8::1]/keys", false),
        ("https://[2001:db8::2]:8443/keys", false),
        ("https://[::1]:8443/keys", false),
        ("https://[::ffff:169.254.169.254]:8443/keys", false),
        ("https://2001:db8::1:8443/keys", false),
        ("http://[2001:db8::1]:8443/keys", false),
    ] {
        let world = World::of(KeySource::Discovered { issuer: SIX.to_owned() });
        {
            let mut documents = world.served.documents.lock().unwrap();
            let set = documents[JWKS].clone();
            documents.insert(url::Url::parse(at).map_or_else(|_| at.to_owned(), String::from), set);
            let document = json!({"issuer": SIX, "jwks_uri": at});
            documents.insert(format!("{SIX}/.well-known/openid-configuration"), document);
        }
        assert_eq!(world.keys.find("rsa").await.is_ok(), found, "{at}");
    }
}

/// A pattern is one subject or a long enough prefix.
#[test]
fn a_subject_is_exact_or_a_prefix() {
    assert_eq!("a:b".parse(), Ok(SubjectPattern::Exact("a:b".into())));
    assert_eq!("system:serviceaccount:*".parse(), Ok(SubjectPattern::Prefix("system:serviceaccount:".into())));
    for bad in ["*", "short:*", "a*b", "system:*:x*"] {
        assert_eq!(bad.parse::<SubjectPattern>(), Err(InvalidSubject::Star), "{bad}");
    }
    for bad in ["", "a b", "ä", "a\n", &"x".repeat(513)] {
        assert_eq!(bad.parse::<SubjectPattern>(), Err(InvalidSubject::Form), "{bad}");
    }
}
