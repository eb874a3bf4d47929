//! How audit events are chained: each carries a hash over itself and over the one before.

use domain::audit::AuditEvent;
use domain::ledger::Link;
pub(crate) use domain::ledger::START;
use domain::{Timestamp, WorkspaceId};

/// An event as it stands in its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Whose chain; absent for the platform's own.
    pub workspace: Option<WorkspaceId>,
    /// Its number in the chain, from 1, without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// The event's stable name, e.g. `key.configured`.
    pub name: String,
    /// The event's details in their fixed order.
    pub details: Vec<(String, String)>,
    /// The hash of the event before; 32 zero bytes before the first.
    pub previous: [u8; 32],
    /// SHA-256 over everything above.
    pub hash: [u8; 32],
}

impl RecordedEvent {
    /// The event that follows the one with number `seq` and hash `previous`.
    pub(crate) fn following(event: &AuditEvent, seq: u64, previous: [u8; 32]) -> Self {
        let (name, details) = event.what.record();
        let mut recorded = Self {
            workspace: event.workspace.clone(),
            seq: seq + 1,
            at: event.at,
            actor: event.actor.clone(),
            name: name.to_owned(),
            details: details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            previous,
            hash: START,
        };
        recorded.hash = recorded.expected_hash();
        recorded
    }

    /// The hash its content asks for.
    pub fn expected_hash(&self) -> [u8; 32] {
        let Self { workspace, seq, at, actor, name, details, previous, hash: _ } = self;
        Link { workspace: workspace.as_ref(), number: *seq, at: *at, actor, name, details, previous }.hash()
    }

    /// Whether it is whole and follows the event with that number and hash.
    pub fn follows(&self, seq: u64, hash: &[u8; 32]) -> bool {
        self.seq == seq + 1 && self.previous == *hash && self.hash == self.expected_hash()
    }
}

#[cfg(test)]
mod tests {
    use domain::audit::AuditKind;

    use super::*;

    fn chain() -> Vec<RecordedEvent> {
        let event = |app: &str| AuditEvent {
            workspace: Some("acme".parse().unwrap()),
            at: Timestamp::from_micros(7),
            actor: "ann".to_owned(),
            what: AuditKind::AppUpserted { app: app.parse().unwrap() },
        };
        let first = RecordedEvent::following(&event("one"), 0, START);
        let second = RecordedEvent::following(&event("two"), first.seq, first.hash);
        vec![first, second]
    }

    /// I-24: an event that was altered, renumbered or put behind another no longer follows.
    #[test]
    fn an_altered_event_does_not_follow() {
        let [first, second] = &chain()[..] else { panic!() };
        assert!(first.follows(0, &START) && second.follows(1, &first.hash));
        let alterations: [fn(&mut RecordedEvent); 6] = [
            |e| e.workspace = None,
            |e| e.at = Timestamp::from_micros(8),
            |e| e.actor.push('x'),
            |e| e.name = "app.deleted".to_owned(),
            |e| e.details[0].1 = "three".to_owned(),
            |e| e.details.clear(),
        ];
        for alter in alterations {
            let mut altered = second.clone();
            alter(&mut altered);
            assert!(!altered.follows(1, &first.hash));
        }
        assert!(!second.follows(0, &START), "the first event is missing");
    }
}
