//! What needs a second person: asked for by one, approved or rejected by another, and done only when a waiting period is over.
//!
//! ```text
//! asked ─► awaiting approval ─► waiting ─► running ─► …
//!               │                  └─► cancelled, by anybody who may cancel
//!               └─► rejected, expired, cancelled
//! ```
//!
//! There is this one mechanism for everything. It is part of the operation it is about, so that who asked, who decided and what
//! was decided about are one row.

use std::time::Duration;

use crate::operation::{NotMoved, Operation, OperationId, OperationKind, OperationState};
use crate::{Timestamp, WorkspaceId};

/// How long a request stays open. Nobody's answer is a no.
pub const STAYS_OPEN: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long a replacement by a key of another vault or tenant waits after its approval: time in which any owner can stop it.
pub const BEFORE_REPLACING: Duration = Duration::from_secs(24 * 3_600);
/// How long the destruction of a data key waits after its approval (I-5).
pub const BEFORE_DESTROYING: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What an operation needs beside whoever asked for it, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Approval {
    /// Until when somebody may decide.
    pub approve_by: Timestamp,
    /// How long it waits after it was approved.
    pub waits: Duration,
    /// Absent while nobody has decided.
    pub decision: Option<Decision>,
}

/// What somebody else decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Yes or no.
    pub approved: bool,
}

impl Approval {
    /// From when on it may be done; absent while it is not approved.
    pub fn not_before(&self) -> Option<Timestamp> {
        let approved = self.decision.as_ref().filter(|decision| decision.approved)?;
        Some(approved.at.saturating_add(self.waits))
    }
}

impl Operation {
    /// A new one that nothing is done of before somebody else has approved it and `waits` is over.
    pub fn ask(
        id: OperationId,
        workspace: WorkspaceId,
        kind: OperationKind,
        actor: &str,
        total: u64,
        waits: Duration,
        now: Timestamp,
    ) -> Self {
        let approval = Approval { approve_by: now.saturating_add(STAYS_OPEN), waits, decision: None };
        Self {
            state: OperationState::AwaitingApproval,
            approval: Some(approval),
            ..Self::plan(id, workspace, kind, actor, total, now)
        }
    }

    /// Somebody else says yes. From now on it waits.
    pub fn approve(self, by: &str, now: Timestamp) -> Result<Self, NotMoved> {
        self.decide(by, true, now)
    }

    /// Somebody else says no: it ends. Who asked withdraws by cancelling.
    pub fn reject(self, by: &str, now: Timestamp) -> Result<Self, NotMoved> {
        self.decide(by, false, now)
    }

    /// Nobody answered in time: it ends.
    pub fn expire(self, now: Timestamp) -> Result<Self, NotMoved> {
        match (self.state, &self.approval) {
            (OperationState::AwaitingApproval, Some(approval)) if now >= approval.approve_by => {
                Ok(Self { state: OperationState::Expired, updated_at: now, finished_at: Some(now), ..self })
            }
            (OperationState::AwaitingApproval, _) => Err(NotMoved::TooEarly),
            (state, _) => Err(not_awaited(state)),
        }
    }

    /// From when on it may be begun: at once, where nobody has to approve it.
    pub fn not_before(&self) -> Option<Timestamp> {
        match &self.approval {
            None => Some(self.created_at),
            Some(approval) => approval.not_before(),
        }
    }

    fn decide(self, by: &str, approved: bool, now: Timestamp) -> Result<Self, NotMoved> {
        let (OperationState::AwaitingApproval, Some(approval)) = (self.state, &self.approval) else {
            return Err(not_awaited(self.state));
        };
        if by == self.actor {
            return Err(NotMoved::OwnRequest);
        }
        if now >= approval.approve_by {
            return Err(NotMoved::Unanswered);
        }
        let decision = Some(Decision { by: by.to_owned(), at: now, approved });
        let approval = Some(Approval { decision, ..approval.clone() });
        let (state, finished_at) = match approved {
            true => (OperationState::Waiting, None),
            false => (OperationState::Rejected, Some(now)),
        };
        Ok(Self { state, approval, updated_at: now, finished_at, ..self })
    }
}

fn not_awaited(state: OperationState) -> NotMoved {
    if state.is_open() { NotMoved::NotAwaited } else { NotMoved::Ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn asked() -> Operation {
        let kind = OperationKind::LeaveCustomerKey;
        let id = OperationId::new(at(0), [7; 10]);
        Operation::ask(id, "acme".parse().unwrap(), kind, "ann", 3, Duration::from_secs(24 * 3_600), at(0))
    }

    /// I-5: nothing begins without somebody else's yes, nor before the waiting period is over.
    #[test]
    fn nothing_begins_before_another_approved_and_the_wait_is_over() {
        assert_eq!(asked().begin(at(HOUR)), Err(NotMoved::TooEarly));
        assert_eq!(asked().approve("ann", at(HOUR)), Err(NotMoved::OwnRequest));
        assert_eq!(asked().reject("ann", at(HOUR)), Err(NotMoved::OwnRequest));
        let approved = asked().approve("bob", at(HOUR)).unwrap();
        assert_eq!((approved.state, approved.not_before()), (OperationState::Waiting, Some(at(25 * HOUR))));
        assert_eq!(approved.clone().begin(at(25 * HOUR - 1)), Err(NotMoved::TooEarly));
        assert_eq!(approved.clone().begin(at(25 * HOUR)).unwrap().state, OperationState::Running);
        assert_eq!(approved.clone().approve("eve", at(HOUR)), Err(NotMoved::NotAwaited), "decided once");
        assert_eq!(approved.clone().reject("eve", at(HOUR)), Err(NotMoved::NotAwaited), "stopped by cancelling");
        let stopped = approved.ask_to_cancel(at(2 * HOUR)).unwrap();
        assert_eq!((stopped.state, stopped.finished_at), (OperationState::Cancelled, Some(at(2 * HOUR))));
    }

    /// A no ends it, and so does nobody's answer; both for good.
    #[test]
    fn a_no_and_no_answer_end_it() {
        let rejected = asked().reject("bob", at(HOUR)).unwrap();
        assert_eq!((rejected.state, rejected.not_before()), (OperationState::Rejected, None));
        assert_eq!(rejected.clone().approve("eve", at(HOUR)), Err(NotMoved::Ended));
        assert_eq!(rejected.begin(at(1_000 * HOUR)), Err(NotMoved::Ended));
        let late = at(7 * 24 * HOUR);
        assert_eq!(asked().expire(at(7 * 24 * HOUR - 1)), Err(NotMoved::TooEarly));
        assert_eq!(
            asked().approve("bob", late),
            Err(NotMoved::Unanswered),
            "also before anybody has written that down"
        );
        let expired = asked().expire(late).unwrap();
        assert_eq!(expired.state, OperationState::Expired);
        assert_eq!(expired.approve("bob", late), Err(NotMoved::Ended));
    }

    /// What needs nobody's approval cannot be approved, and begins at once.
    #[test]
    fn what_needs_no_approval_takes_none() {
        let id = OperationId::new(at(0), [7; 10]);
        let kind = OperationKind::LeaveCustomerKey;
        let planned = Operation::plan(id, "acme".parse().unwrap(), kind, "ann", 3, at(0));
        assert_eq!(planned.clone().approve("bob", at(1)), Err(NotMoved::NotAwaited));
        assert_eq!(planned.begin(at(0)).unwrap().state, OperationState::Running);
    }
}
