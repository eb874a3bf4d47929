//! The callers of the database, as this replica last read them.
//!
//! Whoever reads the database hands over what it found, and says at each reading that it is still so. Without a reading for as long
//! as the replica may act on what it read, nobody is let in, and who was let in before is asked again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use domain::caller::StoredCaller;
use domain::permission::Caller;
use domain::{CertificateName, Clock, Moment, Timestamp};

use crate::tokens::{Hash, token_hash};
use crate::{Callers, Credential, Known, PeerNames};

/// The database's callers. Asked like any others; not touched by a request whose connection knows its caller.
pub struct CallerRegistry {
    clock: Arc<dyn Clock>,
    /// How long what was read may be acted on.
    bound: Duration,
    /// The names of the configuration: they win.
    reserved: OnceLock<HashSet<String>>,
    present: RwLock<Present>,
    generation: AtomicU64,
}

#[derive(Default)]
struct Present {
    read_at: Option<Moment>,
    by_token: HashMap<Hash, (Arc<Caller>, Option<Timestamp>)>,
    by_certificate: HashMap<CertificateName, (Arc<Caller>, Option<Timestamp>)>,
}

impl CallerRegistry {
    /// One that knows nobody yet.
    pub fn new(clock: Arc<dyn Clock>, bound: Duration) -> Self {
        let (reserved, present) = (OnceLock::new(), RwLock::default());
        Self { clock, bound, reserved, present, generation: AtomicU64::new(0) }
    }

    /// These names are the configuration's: nobody of the database is let in under one. Said once, before anybody is asked.
    pub fn reserve(&self, names: impl IntoIterator<Item = String>) {
        let _ = self.reserved.set(names.into_iter().collect());
    }

    /// These are all there are, by a reading that was asked for at `read_at`.
    pub fn know(&self, callers: &[StoredCaller], read_at: Moment) {
        let (mut by_token, mut by_certificate) = (HashMap::new(), HashMap::new());
        for stored in callers {
            if self.reserved.get().is_some_and(|names| names.contains(stored.id.as_str())) {
                continue;
            }
            // Its own expiry is looked at when it calls; what is disabled or deleted is not even here.
            if stored.disabled || stored.deleted_at.is_some() {
                continue;
            }
            let caller = Arc::new(Caller::new(stored.id.as_str(), &stored.grants));
            for token in stored.tokens.iter().flatten() {
                by_token.insert(token.sha256, (caller.clone(), sooner(token.expires, stored.expires)));
            }
            if let Some(certificate) = &stored.certificate {
                by_certificate.insert(certificate.clone(), (caller.clone(), stored.expires));
            }
        }
        *self.write() = Present { read_at: Some(read_at), by_token, by_certificate };
        // After what is to be seen: who reads the new number finds the new callers.
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// What is known here was still so, by a reading that was asked for at `read_at`.
    pub fn still(&self, read_at: Moment) {
        let mut present = self.write();
        // Before the first whole reading there is nothing that could still be so.
        if present.read_at.is_some() {
            present.read_at = Some(read_at);
        }
    }

    /// What is known here is not to be relied on: nobody is let in until it is known anew.
    pub fn forget(&self) {
        let mut present = self.write();
        if present.read_at.is_none() {
            return;
        }
        *present = Present::default();
        drop(present);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Whether there is anything to be relied on: a whole reading that was not let go.
    pub fn is_known(&self) -> bool {
        self.read().read_at.is_some()
    }

    /// Lets go of what is older than it may be. Said now and then by whoever reads: a clock that was set back does not prolong it.
    pub fn lapse(&self) {
        if !self.is_current() {
            self.forget();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Present> {
        self.present.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Present> {
        self.present.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

impl Callers for CallerRegistry {
    fn authenticate(&self, credential: Credential<'_>) -> Option<Known> {
        let (now, present) = (self.clock.now(), self.read());
        let read_at = present.read_at.filter(|read_at| now.since(*read_at) <= self.bound)?;
        let (caller, until) = match credential {
            Credential::Bearer(token) => {
                let (caller, expires) = present.by_token.get(&token_hash(token))?;
                (caller, *expires)
            }
            Credential::Certificate(peer) => {
                let mut found = peer.names.iter().filter_map(|name| present.by_certificate.get(name));
                let (caller, expires) = found.next()?;
                // A certificate that is two callers' is nobody's.
                if found.any(|(other, _)| !Arc::ptr_eq(other, caller)) {
                    return None;
                }
                (caller, sooner(*expires, Some(peer.until)))
            }
            Credential::None => return None,
        };
        if until.is_some_and(|until| until <= now.wall) {
            return None;
        }
        // A connection that remembers the caller asks again before the reading is too old.
        let until = sooner(until, Some(read_at.wall.saturating_add(self.bound)));
        Some(Known { caller: caller.clone(), until })
    }

    fn names(&self, peer: &PeerNames) -> bool {
        let present = self.read();
        peer.names.iter().any(|name| present.by_certificate.contains_key(name))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn is_current(&self) -> bool {
        let now = self.clock.now();
        self.read().read_at.is_some_and(|read_at| now.since(read_at) <= self.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    use domain::caller::StoredToken;

    use crate::{Admission, CertificateCallers, CertificateHolder, EitherCallers};

    #[derive(Default)]
    struct Hand(AtomicU64);
    impl Hand {
        fn set(&self, seconds: u64) {
            self.0.store(seconds, Ordering::Relaxed);
        }
    }
    impl Clock for Hand {
        fn now(&self) -> Moment {
            moment(self.0.load(Ordering::Relaxed))
        }
    }

    fn moment(seconds: u64) -> Moment {
        let wall = Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000);
        Moment { wall, boot: Duration::from_secs(seconds) }
    }

    fn stored(id: &str, token: &str) -> StoredCaller {
        let (at, by) = (moment(0).wall, "root".to_owned());
        let token = StoredToken { sha256: token_hash(token), issued_by: by.clone(), issued_at: at, expires: None };
        StoredCaller {
            id: id.parse().unwrap(),
            certificate: None,
            tokens: [Some(token), None],
            grants: vec!["platform-service".parse().unwrap()],
            expires: None,
            disabled: false,
            created_by: by.clone(),
            created_at: at,
            changed_by: by,
            changed_at: at,
            deleted_at: None,
            hands: Vec::new(),
        }
    }

    fn registry() -> (Arc<Hand>, Arc<CallerRegistry>, Admission) {
        let clock = Arc::new(Hand::default());
        let registry = Arc::new(CallerRegistry::new(clock.clone(), Duration::from_secs(300)));
        let admission = Admission::new(registry.clone(), clock.clone());
        (clock, registry, admission)
    }

    fn name(admission: &Admission, token: &str) -> Option<String> {
        admission.admit(Credential::Bearer(token)).map(|caller| caller.name().to_owned())
    }

    /// Who is taken out of the database is refused on a connection that knew it, as soon as that was read.
    #[test]
    fn a_caller_who_is_removed_is_refused_on_a_connection_that_lasts() {
        let (_, registry, admission) = registry();
        assert_eq!(name(&admission, "t"), None);
        assert!(!registry.is_current(), "nothing was read yet");
        registry.know(&[stored("billing", "t"), stored("search", "u")], moment(0));
        assert_eq!(name(&admission, "t").as_deref(), Some("billing"));
        let disabled = StoredCaller { disabled: true, ..stored("billing", "t") };
        registry.know(&[disabled, stored("search", "u")], moment(1));
        assert_eq!(name(&admission, "t"), None);
        assert_eq!(name(&admission, "u").as_deref(), Some("search"));
        registry.know(&[stored("search", "u").delete("root", moment(2).wall)], moment(2));
        assert_eq!(name(&admission, "u"), None);
        assert!(registry.is_current());
    }

    /// A replica that cannot read the database lets nobody in after C, who was let in before included, whatever the clock on the
    /// wall is set to.
    #[test]
    fn without_a_reading_nobody_is_let_in() {
        let (clock, registry, admission) = registry();
        registry.know(&[stored("billing", "t")], moment(0));
        assert!(name(&admission, "t").is_some());
        clock.set(300);
        registry.still(moment(200));
        assert!(name(&admission, "t").is_some(), "asked again, and let in until 500");
        clock.set(499);
        assert!(name(&admission, "t").is_some());
        clock.set(501);
        assert!(name(&admission, "t").is_none() && !registry.is_current());
        registry.lapse();
        registry.still(moment(501));
        assert!(name(&admission, "t").is_none(), "what was let go is not still so");
        registry.know(&[stored("billing", "t")], moment(501));
        assert!(name(&admission, "t").is_some());
        registry.forget();
        assert!(name(&admission, "t").is_none());
    }

    /// Tokens and callers end when they say, also on a connection that lasts.
    #[test]
    fn what_expires_ends_on_a_connection_that_lasts() {
        let (clock, registry, admission) = registry();
        let mut ends = stored("billing", "t");
        ends.tokens[1] = ends.tokens[0].clone().map(|token| StoredToken {
            sha256: token_hash("second"),
            expires: Some(moment(10).wall),
            ..token
        });
        ends.expires = Some(moment(20).wall);
        registry.know(&[ends], moment(0));
        assert!(name(&admission, "t").is_some() && name(&admission, "second").is_some());
        clock.set(10);
        assert!(name(&admission, "second").is_none() && name(&admission, "t").is_some());
        clock.set(20);
        assert!(name(&admission, "t").is_none());
    }

    /// A name of the configuration is nobody's in the database.
    #[test]
    fn a_configured_name_wins() {
        let (_, registry, admission) = registry();
        registry.reserve(["billing".to_owned()]);
        registry.know(&[stored("billing", "t"), stored("search", "u")], moment(0));
        assert_eq!((name(&admission, "t"), name(&admission, "u").as_deref()), (None, Some("search")));
    }

    /// By certificate, until the certificate or the caller ends; of two callers' names it is nobody's.
    #[test]
    fn a_certificate_is_one_callers() {
        let (_, registry, admission) = registry();
        let with = |id: &str, name: &str| StoredCaller {
            certificate: Some(name.parse().unwrap()),
            tokens: [None, None],
            ..stored(id, "-")
        };
        registry.know(&[with("chat", "spiffe://a/chat"), with("web", "web.example")], moment(0));
        let shown = |names: &[&str]| {
            let names: Vec<CertificateName> = names.iter().map(|name| name.parse().unwrap()).collect();
            let peer = PeerNames { fingerprint: [names_number(&names); 32], names, until: moment(9).wall };
            admission.admit(Credential::Certificate(&peer)).map(|caller| caller.name().to_owned())
        };
        assert_eq!(shown(&["spiffe://a/chat"]).as_deref(), Some("chat"));
        assert_eq!(shown(&["other.example", "web.example"]).as_deref(), Some("web"));
        assert_eq!(shown(&["web.example", "spiffe://a/chat"]), None);
        assert_eq!(shown(&[]), None);
    }

    /// A certificate whose name the configuration and the database both know is nobody's: of one caller or of two, and also when
    /// the configured one has expired.
    #[test]
    fn a_certificate_of_the_configuration_and_of_the_database_is_nobodys() {
        let (clock, registry, _) = registry();
        let holder = |name: &str, certificate: &str, expires: Option<u64>| CertificateHolder {
            name: name.to_owned(),
            certificate: certificate.parse().unwrap(),
            grants: vec!["platform-service".parse().unwrap()],
            expires: expires.map(|at| moment(at).wall),
        };
        let configured = [
            holder("chat", "chat.example", None),
            holder("both", "both.example", None),
            holder("old", "old.example", Some(5)),
        ];
        let configured = CertificateCallers::new(configured, clock.clone()).unwrap();
        let with = |id: &str, name: &str| StoredCaller {
            certificate: Some(name.parse().unwrap()),
            tokens: [None, None],
            ..stored(id, "-")
        };
        registry
            .know(&[with("web", "web.example"), with("two", "both.example"), with("new", "old.example")], moment(0));
        let either = EitherCallers(configured, registry);
        let shown = |names: &[&str]| {
            let names = names.iter().map(|name| name.parse().unwrap()).collect();
            let peer = PeerNames { fingerprint: [1; 32], names, until: moment(90).wall };
            either.authenticate(Credential::Certificate(&peer)).map(|known| known.caller.name().to_owned())
        };
        for at in [0, 6] {
            clock.set(at);
            assert_eq!(shown(&["chat.example"]).as_deref(), Some("chat"));
            assert_eq!(shown(&["web.example"]).as_deref(), Some("web"));
            for nobodys in [&["both.example"] as &[_], &["old.example"], &["chat.example", "web.example"], &[]] {
                assert_eq!(shown(nobodys), None, "{nobodys:?} at {at}");
            }
        }
    }

    fn names_number(names: &[CertificateName]) -> u8 {
        names.iter().map(|name| u8::try_from(name.to_string().len()).unwrap()).fold(0, u8::wrapping_add)
    }
}
