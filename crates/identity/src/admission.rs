//! Whom a connection let in last, so that its next request asks nobody.

use std::sync::{Arc, Mutex, PoisonError};

use domain::permission::Caller;
use domain::{Clock, Timestamp};

use crate::tokens::{Hash, token_hash};
use crate::{Callers, Credential};

/// Lets a connection's requests in. Each connection has one of its own, and a [`Caller`] of its own in it, so that the requests
/// of different connections count on nothing they share.
pub struct Admission {
    callers: Arc<dyn Callers>,
    clock: Arc<dyn Clock>,
    /// A connection stays on one thread, so nobody waits for this.
    last: Mutex<Option<Admitted>>,
}

struct Admitted {
    shown: Shown,
    generation: u64,
    until: Option<Timestamp>,
    caller: Arc<Caller>,
}

/// The hash of what was shown: the text of a token is kept nowhere.
#[derive(PartialEq, Eq)]
enum Shown {
    Token(Hash),
    Certificate(Hash),
}

impl Admission {
    /// One that has let nobody in.
    pub fn new(callers: Arc<dyn Callers>, clock: Arc<dyn Clock>) -> Self {
        Self { callers, clock, last: Mutex::default() }
    }

    /// One for another connection, that has let nobody in.
    pub fn for_another_connection(&self) -> Self {
        Self::new(self.callers.clone(), self.clock.clone())
    }

    /// Whether what is known is recent enough to say of somebody that they are nobody.
    pub fn is_current(&self) -> bool {
        self.callers.is_current()
    }

    /// Whether the keys are here that would tell whose this credential is. Only asked after it was nobody's.
    pub fn has_keys_for(&self, credential: Credential<'_>) -> bool {
        self.callers.has_keys_for(credential)
    }

    /// Who showed this, or nobody. The second time it neither waits nor allocates.
    pub fn admit(&self, credential: Credential<'_>) -> Option<Arc<Caller>> {
        let shown = match credential {
            Credential::Bearer(token) => Shown::Token(token_hash(token)),
            Credential::Certificate(peer) => Shown::Certificate(peer.fingerprint),
            Credential::None => return None,
        };
        // Read before the callers are asked: what changes meanwhile makes the answer an old one.
        let generation = self.callers.generation();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*last
            && known.generation == generation
            && known.shown == shown
            && known.until.is_none_or(|until| self.clock.now().wall < until)
        {
            return Some(known.caller.clone());
        }
        let known = self.callers.authenticate(credential)?;
        let caller = Arc::new(known.caller.of_its_own());
        *last = Some(Admitted { shown, generation, until: known.until, caller: caller.clone() });
        Some(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
    use std::time::Duration;

    use domain::Moment;

    use crate::Known;

    /// Knows one token, and counts how often it is asked.
    #[derive(Default)]
    struct One {
        asked: AtomicU64,
        generation: AtomicU64,
        gone: std::sync::atomic::AtomicBool,
        until: Option<Timestamp>,
    }

    impl Callers for One {
        fn authenticate(&self, credential: Credential<'_>) -> Option<Known> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let known = matches!(credential, Credential::Bearer("t")) && !self.gone.load(Ordering::Relaxed);
            known.then(|| Known { caller: Arc::new(Caller::platform("one")), until: self.until })
        }

        fn generation(&self) -> u64 {
            self.generation.load(Ordering::Relaxed)
        }
    }

    #[derive(Default)]
    struct Hand(AtomicI64);
    impl Clock for Hand {
        fn now(&self) -> Moment {
            Moment { wall: Timestamp::from_micros(self.0.load(Ordering::Relaxed)), boot: Duration::ZERO }
        }
    }

    fn lets_in(admission: &Admission, token: &str) -> bool {
        admission.admit(Credential::Bearer(token)).is_some()
    }

    /// The second request asks nobody; another token does, and is nobody.
    #[test]
    fn the_second_request_asks_nobody() {
        let callers = Arc::new(One::default());
        let admission = Admission::new(callers.clone(), Arc::new(Hand::default()));
        let first = admission.admit(Credential::Bearer("t")).unwrap();
        let second = admission.admit(Credential::Bearer("t")).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(callers.asked.load(Ordering::Relaxed), 1);
        assert!(!lets_in(&admission, "T") && !lets_in(&admission, ""));
        assert!(admission.admit(Credential::None).is_none());
        assert!(lets_in(&admission, "t"));
    }

    /// What a connection remembers is worth nothing once the callers changed.
    #[test]
    fn a_caller_who_is_removed_is_not_remembered() {
        let callers = Arc::new(One::default());
        let admission = Admission::new(callers.clone(), Arc::new(Hand::default()));
        assert!(lets_in(&admission, "t"));
        callers.gone.store(true, Ordering::Relaxed);
        callers.generation.fetch_add(1, Ordering::Relaxed);
        assert!(!lets_in(&admission, "t"));
    }

    /// A credential that ends while a connection lasts is refused on that connection too.
    #[test]
    fn a_credential_ends_on_a_connection_that_lasts() {
        let callers = Arc::new(One { until: Some(Timestamp::from_micros(1_000)), ..One::default() });
        let clock = Arc::new(Hand(AtomicI64::new(999)));
        let admission = Admission::new(callers.clone(), clock.clone());
        assert!(lets_in(&admission, "t") && lets_in(&admission, "t"));
        assert_eq!(callers.asked.load(Ordering::Relaxed), 1);
        clock.0.store(1_000, Ordering::Relaxed);
        callers.gone.store(true, Ordering::Relaxed); // as its registry has it from that instant on
        assert!(!lets_in(&admission, "t"));
    }

    /// Connections share no caller: what one counts, another never touches.
    #[test]
    fn connections_share_no_caller() {
        let admission = Admission::new(Arc::new(One::default()), Arc::new(Hand::default()));
        let here = admission.admit(Credential::Bearer("t")).unwrap();
        let there = admission.for_another_connection().admit(Credential::Bearer("t")).unwrap();
        assert!(!Arc::ptr_eq(&here, &there));
    }
}
