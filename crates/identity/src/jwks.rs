//! An issuer's public keys: how a key set is read, kept and refreshed.
//!
//! A set is fetched from one fixed address. It is refreshed in the background, and at once when a token names a key that is not
//! in it, but then for everybody together at most once in [`Freshness::pause`] and by one request at a time, so that tokens with
//! invented key ids make nobody ask the issuer; until it was asked, nobody can say that it lists no such key. While the issuer is away, the keys stay good for [`Freshness::longest`]; after
//! that, and before they were ever fetched, no token of the issuer is believed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Clock, Timestamp};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use url::Url;

use crate::bounded::{self, Bounds};
use crate::jwt::{Algorithm, LONGEST_KID};
use crate::web::{Web, WebAnswer, WebRequest};

const SET: Bounds = Bounds { bytes: WebAnswer::LONGEST, depth: 6, members: 16 };
/// An issuer's OpenID configuration.
const DOCUMENT: Bounds = Bounds { bytes: 64 * 1024, depth: 6, members: 256 };
/// More keys than any issuer lists at once.
const MOST_KEYS: usize = 200;
/// Key ids that were not listed and are remembered, so that invented ones cost a bounded room.
const MOST_MISSED: usize = 256;
/// An issuer that does not answer in this time is away.
const DEADLINE: Duration = Duration::from_secs(10);

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Rsa,
    P256,
}

/// One public key that signs tokens.
pub struct PublicKey {
    family: Family,
    /// The only algorithm it says to be for.
    algorithm: Option<String>,
    issuer: Option<String>,
    decoding: DecodingKey,
    /// What tells it from another: modulus and exponent, or the point.
    pub(crate) public: Vec<u8>,
}

impl PublicKey {
    /// From one entry of a set (RFC 7517); nothing where it is not for signatures, too weak, or of a kind unknown here.
    fn read(entry: &Map<String, Value>) -> Option<(String, Self)> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let kid = text("kid").filter(|kid| !kid.is_empty() && kid.len() <= LONGEST_KID)?;
        if text("use").is_some_and(|wanted| wanted != "sig") {
            return None;
        }
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
        let (family, decoding, public) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                let n: Vec<u8> = n.into_iter().skip_while(|byte| *byte == 0).collect();
                // 2048 to 8192 bits, and an exponent of at most 33 bits that is odd.
                let usable = (256..=1024).contains(&n.len()) && (1..=5).contains(&e.len()) && e.last()? % 2 == 1;
                if !usable || e == [1] {
                    return None;
                }
                (Family::Rsa, DecodingKey::from_rsa_raw_components(&n, &e), [n, e].concat())
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                let point = [&[4][..], &x, &y].concat();
                (Family::P256, DecodingKey::from_ec_der(&point), point)
            }
            _ => return None,
        };
        let key = Self {
            family,
            algorithm: text("alg").map(str::to_owned),
            issuer: text("issuer").map(str::to_owned),
            decoding,
            public,
        };
        Some((kid.to_owned(), key))
    }

    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family() && self.algorithm.as_deref().is_none_or(|named| named == algorithm.as_str())
    }

    /// Whether it is the same key, for the same.
    fn is(&self, other: &Self) -> bool {
        self.public == other.public && self.issuer == other.issuer && self.algorithm == other.algorithm
    }

    pub(crate) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// Whose tokens it signs, where the set says so: Entra ID does, with `{tenantid}` standing for the tenant.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }
}

/// The keys of one answer, by id. A key id that stands for two keys stands for none.
fn read_set(body: &[u8]) -> Option<HashMap<String, Arc<PublicKey>>> {
    let set = bounded::object(body, SET)?;
    let entries = set.get("keys")?.as_array()?;
    if entries.len() > MOST_KEYS {
        return None;
    }
    let mut keys = HashMap::new();
    let mut twice = Vec::new();
    for entry in entries {
        let Some((kid, key)) = PublicKey::read(entry.as_object()?) else { continue };
        if keys.insert(kid.clone(), Arc::new(key)).is_some() {
            twice.push(kid);
        }
    }
    for kid in twice {
        keys.remove(&kid);
    }
    // An issuer that lists nothing has withdrawn what it listed. Entries of which none is usable are a mistake of the issuer's;
    // the set before is worth more.
    (entries.is_empty() || !keys.is_empty()).then_some(keys)
}

/// How long keys are good, and how often they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Refreshed in the background after this.
    pub refresh: Duration,
    /// Believed for no longer than this.
    pub longest: Duration,
    /// Between two attempts: after a failure, and for unknown key ids.
    pub pause: Duration,
}

impl Default for Freshness {
    /// Refreshed every hour, believed for a day, asked at most every 30 seconds.
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(3_600),
            longest: Duration::from_secs(86_400),
            pause: Duration::from_secs(30),
        }
    }
}

/// Why no key can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// The set is known, and the key is not in it.
    #[error("the issuer lists no such key")]
    Unknown,
    /// The set was never fetched, is too old, or lists nothing; or it is from before the key was looked for.
    #[error("the issuer's keys cannot be had")]
    Unavailable,
}

struct Fetched {
    keys: HashMap<String, Arc<PublicKey>>,
    /// Since boot.
    at: Duration,
    /// On the wall, for who has to say until when.
    until: Timestamp,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// At this address.
    At(Url),
    /// Where this issuer's OpenID configuration says: at `{issuer}/.well-known/openid-configuration`, in a document that names
    /// exactly this issuer, and on the issuer's own host.
    Discovered {
        /// The issuer, as tokens name it.
        issuer: String,
    },
}

impl KeySource {
    fn host(&self) -> Option<String> {
        match self {
            Self::At(url) => url.host_str().map(str::to_owned),
            Self::Discovered { issuer } => Url::parse(issuer).ok()?.host_str().map(str::to_owned),
        }
    }

    /// The set as it was answered; nothing where the issuer says something else than it must.
    async fn fetch(&self, web: &dyn Web) -> Option<WebAnswer> {
        let get = async |url: Url| web.send(WebRequest::get(url)).await.ok().filter(|answer| answer.status == 200);
        let at = match self {
            Self::At(url) => url.clone(),
            Self::Discovered { issuer } => {
                let document = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let answer = get(Url::parse(&document).ok()?).await?;
                let document = bounded::object(&answer.body, DOCUMENT)?;
                let said = |name: &str| document.get(name).and_then(Value::as_str);
                let at = Url::parse(said("jwks_uri")?).ok()?;
                let own = Url::parse(issuer).ok()?.origin() == at.origin() && at.scheme() == "https";
                if said("issuer") != Some(issuer.as_str()) || !own {
                    return None;
                }
                at
            }
        };
        get(at).await
    }
}

/// One issuer's keys. Cheap to ask; asks the issuer itself as the module says.
pub struct KeySet {
    source: KeySource,
    web: Arc<dyn Web>,
    clock: Arc<dyn Clock>,
    freshness: Freshness,
    fetched: ArcSwapOption<Fetched>,
    /// When the issuer was last asked, since boot.
    tried: Mutex<Option<Duration>>,
    flight: tokio::sync::Mutex<()>,
    wanted: tokio::sync::Notify,
    /// Key ids that are not listed, and since when that is known or asked, since boot.
    missed: Mutex<HashMap<String, Duration>>,
    /// Counts the answers in which a key was gone or another one.
    losses: AtomicU64,
}

impl KeySet {
    /// The keys at this address; nothing is fetched yet.
    pub fn new(source: KeySource, web: Arc<dyn Web>, clock: Arc<dyn Clock>, freshness: Freshness) -> Self {
        Self {
            source,
            web,
            clock,
            freshness,
            fetched: ArcSwapOption::empty(),
            tried: Mutex::default(),
            flight: tokio::sync::Mutex::default(),
            wanted: tokio::sync::Notify::new(),
            missed: Mutex::default(),
            losses: AtomicU64::new(0),
        }
    }

    /// The key of this id, and until when the set it is from is good. Waits for nobody.
    pub fn known(&self, kid: &str) -> Result<(Arc<PublicKey>, Timestamp), NoKey> {
        let fetched = self.fetched.load();
        let good = |set: &&Arc<Fetched>| !set.keys.is_empty() && self.age(set) < self.freshness.longest;
        let good = fetched.as_ref().filter(good).ok_or(NoKey::Unavailable)?;
        good.keys.get(kid).map(|key| (Arc::clone(key), good.until)).ok_or(NoKey::Unknown)
    }

    /// The key of this id. Asks the issuer when it is unknown, but not more often than is bearable.
    pub async fn find(&self, kid: &str) -> Result<Arc<PublicKey>, NoKey> {
        if let Ok((key, _)) = self.known(kid) {
            return Ok(key);
        }
        self.refresh_once(|| self.known(kid).is_err()).await;
        // What an issuer lists that did not answer the last time nobody knows.
        let away = |why| if why == NoKey::Unknown && self.is_away() { NoKey::Unavailable } else { why };
        self.known(kid).map(|(key, _)| key).map_err(away)
    }

    /// Why no key of this id is known, and asks for a refresh without waiting for it. An id is unknown only to a set that was asked
    /// for since it was first looked for: until then, be it that the issuer may not be asked again yet or does not answer, nobody can
    /// say that it lists no such key.
    pub fn missing(&self, kid: &str) -> NoKey {
        self.want();
        let since = self.miss(kid, self.clock.now().boot);
        let fetched = self.fetched.load();
        let judges =
            |set: &Arc<Fetched>| !set.keys.is_empty() && since <= set.at && self.age(set) < self.freshness.longest;
        if fetched.as_ref().is_some_and(judges) { NoKey::Unknown } else { NoKey::Unavailable }
    }

    /// Since when this id is missed. Where there are too many, the one that is missed for longest is forgotten: should it come again,
    /// it is looked for again.
    fn miss(&self, kid: &str, now: Duration) -> Duration {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = missed.get(kid) {
            return *since;
        }
        if missed.len() >= MOST_MISSED {
            let oldest = missed.iter().min_by_key(|(_, since)| **since).map(|(kid, _)| kid.clone());
            oldest.and_then(|kid| missed.remove(&kid));
        }
        missed.insert(kid.to_owned(), now);
        now
    }

    /// Whether the issuer was asked since it last answered.
    fn is_away(&self) -> bool {
        let tried = *self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = self.fetched.load().as_ref().map(|set| set.at);
        tried > answered
    }

    /// Asks for a refresh without waiting for it: [`KeySet::keep_fresh`] does it, as often as is bearable.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Counts up whenever a key that was listed is listed no more, or is another one.
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// Keeps the keys fresh until it is dropped: fetches them now, on every refresh that is due, and when somebody wants it.
    pub async fn keep_fresh(&self) {
        loop {
            self.refresh_once(|| true).await;
            let due = self.due_in();
            tokio::select! {
                () = tokio::time::sleep(due) => {}
                () = self.wanted.notified() => {
                    // Whoever wants it again meanwhile is served by the same answer.
                    tokio::time::sleep(self.rest_of_pause()).await;
                }
            }
        }
    }

    fn due_in(&self) -> Duration {
        let fetched = self.fetched.load();
        let due = fetched.as_ref().map(|set| self.freshness.refresh.saturating_sub(self.age(set)));
        due.unwrap_or_default().max(self.freshness.pause)
    }

    fn age(&self, set: &Fetched) -> Duration {
        self.clock.now().boot.saturating_sub(set.at)
    }

    fn rest_of_pause(&self) -> Duration {
        let tried = *self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |at: Duration| self.clock.now().boot.saturating_sub(at);
        tried.map(|at| self.freshness.pause.saturating_sub(since(at))).unwrap_or_default()
    }

    /// One request at a time; who waited for another's asks `still_wanted` first.
    async fn refresh_once(&self, still_wanted: impl Fn() -> bool) {
        let _turn = self.flight.lock().await;
        if !still_wanted() || !self.rest_of_pause().is_zero() {
            return;
        }
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.now().boot);
        let asked = self.clock.now();
        let answer = tokio::time::timeout(DEADLINE, self.source.fetch(&*self.web)).await;
        let Some(keys) = answer.ok().flatten().and_then(|answer| read_set(&answer.body)) else {
            let host = self.source.host();
            tracing::warn!(host, "an issuer's keys could not be fetched; those known stay");
            return;
        };
        let longest = i64::try_from(self.freshness.longest.as_micros()).unwrap_or(i64::MAX);
        let until = Timestamp::from_micros(asked.wall.micros().saturating_add(longest));
        let before = self.fetched.swap(Some(Arc::new(Fetched { keys, at: asked.boot, until })));
        let now = self.fetched.load();
        let Some(now) = now.as_ref() else { return };
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).retain(|kid, _| !now.keys.contains_key(kid));
        let Some(before) = before else { return };
        // What was listed and is no more need not be looked for: it was withdrawn.
        for kid in before.keys.keys().filter(|kid| !now.keys.contains_key(*kid)) {
            self.miss(kid, now.at);
        }
        if before.keys.iter().any(|(kid, key)| now.keys.get(kid).is_none_or(|other| !other.is(key))) {
            self.losses.fetch_add(1, Ordering::AcqRel);
        }
    }

    #[cfg(test)]
    pub(crate) fn remembers_missed(&self) -> usize {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Any key: what a reader without the rule about key ids would take.
    #[cfg(test)]
    pub(crate) fn any(&self) -> Option<Arc<PublicKey>> {
        self.fetched
            .load()
            .as_ref()
            .and_then(|set| set.keys.values().find(|k| k.issuer().is_some_and(|i| i.contains('{'))).cloned())
    }
}
