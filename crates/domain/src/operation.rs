//! What a piece of administrative work is that takes longer than a call: what it is for, how far it is, how it ended.
//!
//! A transition consumes the operation and gives the next one, or says why not. The store compares: of two that move the same
//! operation at once, one wins.

use std::fmt;
use std::str::FromStr;

use crate::approval::Approval;
use crate::{AppId, DataKeyId, InvalidId, KeyLocation, KeyVersionId, Reason, TenantId, Timestamp, WorkspaceId};

/// An operation: a ULID, so that they sort by the time they were begun.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct OperationId(ulid::Ulid);

impl OperationId {
    /// From the time it begins and 10 random bytes.
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        let mut wide = [0; 16];
        wide[6..].copy_from_slice(&random);
        let millis = u64::try_from(at.micros() / 1_000).unwrap_or(0);
        Self(ulid::Ulid::from_parts(millis, u128::from_be_bytes(wide)))
    }

    /// The id from its 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(ulid::Ulid::from_bytes(bytes))
    }

    /// The 16 bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for OperationId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = ulid::Ulid::from_string(text).map_err(|_| InvalidId::Operation)?;
        // One id has one spelling: no lower case, and no letter that is read as a digit.
        if id.to_string() == text { Ok(Self(id)) } else { Err(InvalidId::Operation) }
    }
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Goes over to another version of the customer's key, with every data key under it.
    RotateKey {
        /// The version in force when it began.
        from: KeyVersionId,
        /// The version it goes over to.
        to: KeyVersionId,
    },
    /// Gives apps a new data key; the ones before go on opening.
    RotateDataKeys {
        /// One app, or every one.
        app: Option<AppId>,
        /// Data keys that became active before this; none that the operation itself makes.
        active_before: Timestamp,
    },
    /// Goes over to another key, with every data key under the one in force.
    ReplaceKey {
        /// The version in force when it was asked for.
        from: KeyVersionId,
        /// The version of the other key.
        to: KeyVersionId,
        /// The other key.
        key: KeyLocation,
        /// The Entra tenant of its vault.
        tenant: TenantId,
    },
    /// Goes back to the platform's key for new data; what is under the customer's stays there.
    LeaveCustomerKey,
    /// Destroys a data key: what it sealed can never be opened again (I-5).
    DestroyDataKey {
        /// Whose.
        app: AppId,
        /// Which.
        data_key: DataKeyId,
    },
}

impl OperationKind {
    /// From which version of a customer's key to which it goes, where it does.
    pub fn versions(&self) -> Option<(KeyVersionId, KeyVersionId)> {
        match self {
            Self::RotateKey { from, to } | Self::ReplaceKey { from, to, .. } => Some((*from, *to)),
            Self::RotateDataKeys { .. } | Self::LeaveCustomerKey | Self::DestroyDataKey { .. } => None,
        }
    }

    /// Its stable name in records: `rotate_key`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RotateKey { .. } => "rotate_key",
            Self::RotateDataKeys { .. } => "rotate_data_keys",
            Self::ReplaceKey { .. } => "replace_key",
            Self::LeaveCustomerKey => "leave_customer_key",
            Self::DestroyDataKey { .. } => "destroy_data_key",
        }
    }
}

/// Where an operation stands. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationState {
    /// Written down; nothing has been done yet.
    Planned,
    /// Under way, or waiting to go on.
    Running,
    /// Everything was done.
    Done,
    /// Ended on request; what was done until then stays and is whole.
    Cancelled,
    /// Ended because something cannot be done; what was done until then stays and is whole.
    Failed,
    /// Somebody else has to approve it; nothing has been done yet.
    AwaitingApproval,
    /// Approved, and waiting until it may begin; nothing has been done yet.
    Waiting,
    /// Ended because somebody else said no.
    Rejected,
    /// Ended because nobody answered in time.
    Expired,
}

impl OperationState {
    /// Whether there is still something to do.
    pub const fn is_open(self) -> bool {
        self.has_turn() || self.is_held_back()
    }

    /// Whether it is the one operation of its workspace that is worked on.
    pub const fn has_turn(self) -> bool {
        matches!(self, Self::Planned | Self::Running)
    }

    /// Whether nothing may be done of it yet. As many as are asked for may be.
    pub const fn is_held_back(self) -> bool {
        matches!(self, Self::AwaitingApproval | Self::Waiting)
    }

    /// The word for how it ended; `open` where it has not.
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Planned | Self::Running | Self::AwaitingApproval | Self::Waiting => "open",
        }
    }

    /// Whether an operation may go from this state to that one.
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Planned, Self::Running | Self::Cancelled | Self::Failed)
                | (Self::Running, Self::Done | Self::Cancelled | Self::Failed)
                | (
                    Self::AwaitingApproval,
                    Self::Waiting | Self::Rejected | Self::Expired | Self::Cancelled | Self::Failed
                )
                | (Self::Waiting, Self::Running | Self::Cancelled | Self::Failed)
        )
    }
}

/// How far it is, in data keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Progress {
    /// All that it concerns, as far as is known.
    pub total: u64,
    /// Done.
    pub done: u64,
    /// Tried without success so far.
    pub failing: u64,
}

/// An operation's row. At most one of a workspace is worked on at a time; others may await approval beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// What it does.
    pub kind: OperationKind,
    /// Where it stands.
    pub state: OperationState,
    /// How far it is.
    pub progress: Progress,
    /// Somebody asked to end it, and it has not ended yet.
    pub cancelling: bool,
    /// Why it waits, or why it failed.
    pub reason: Option<Reason>,
    /// Who began it.
    pub actor: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// When new data keys went over to the version it rotates to.
    pub switched_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it needs beside whoever asked for it; absent where nothing.
    pub approval: Option<Approval>,
}

/// Why an operation does not go on as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMoved {
    /// It has ended.
    #[error("the operation has ended")]
    Ended,
    /// The steps before are not done.
    #[error("the steps before this one are not done")]
    TooEarly,
    /// Something is still left to do.
    #[error("{left} data keys are still to be done")]
    Left {
        /// How many data keys.
        left: u64,
    },
    /// The configuration is not the one it was planned for.
    #[error("the key configuration moved on")]
    ConfigurationMoved,
    /// It is no such operation.
    #[error("the operation does something else")]
    OtherKind,
    /// Whoever asked for it cannot decide about it.
    #[error("the operation was asked for by the same caller")]
    OwnRequest,
    /// Nobody's decision is awaited.
    #[error("the operation awaits no decision")]
    NotAwaited,
    /// Nobody decided in time.
    #[error("nobody decided about the operation in time")]
    Unanswered,
}

impl Operation {
    /// A new one that has done nothing.
    pub fn plan(
        id: OperationId,
        workspace: WorkspaceId,
        kind: OperationKind,
        actor: &str,
        total: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            workspace,
            kind,
            state: OperationState::Planned,
            progress: Progress { total, done: 0, failing: 0 },
            cancelling: false,
            reason: None,
            actor: actor.to_owned(),
            created_at: now,
            updated_at: now,
            switched_at: None,
            finished_at: None,
            approval: None,
        }
    }

    /// Begins the work. Begun again, after a crash, it is the same.
    pub fn begin(self, now: Timestamp) -> Result<Self, NotMoved> {
        match self.state {
            OperationState::Planned => Ok(Self { state: OperationState::Running, updated_at: now, ..self }),
            OperationState::Waiting if self.not_before().is_some_and(|from| now >= from) => {
                Ok(Self { state: OperationState::Running, reason: None, updated_at: now, ..self })
            }
            OperationState::AwaitingApproval | OperationState::Waiting => Err(NotMoved::TooEarly),
            OperationState::Running => Ok(self),
            OperationState::Done
            | OperationState::Cancelled
            | OperationState::Failed
            | OperationState::Rejected
            | OperationState::Expired => Err(NotMoved::Ended),
        }
    }

    /// Notes how far it is, and why it waits if it does.
    pub fn report(self, progress: Progress, reason: Option<Reason>, now: Timestamp) -> Result<Self, NotMoved> {
        if !self.state.is_open() {
            return Err(NotMoved::Ended);
        }
        Ok(Self { progress, reason, updated_at: now, ..self })
    }

    /// Asks it to end. Whoever works on it ends it at the next whole step; one that nothing was done of ends here.
    pub fn ask_to_cancel(self, now: Timestamp) -> Result<Self, NotMoved> {
        if !self.state.is_open() {
            return Err(NotMoved::Ended);
        }
        if self.state.is_held_back() {
            return self.cancel(now);
        }
        Ok(Self { cancelling: true, updated_at: now, ..self })
    }

    /// Ends it before everything was done.
    pub fn cancel(self, now: Timestamp) -> Result<Self, NotMoved> {
        self.end(OperationState::Cancelled, None, now)
    }

    /// Ends it because of something that waiting does not cure.
    pub fn fail(self, why: Reason, now: Timestamp) -> Result<Self, NotMoved> {
        self.end(OperationState::Failed, Some(why), now)
    }

    /// Ends it as done.
    pub(crate) fn done(self, now: Timestamp) -> Result<Self, NotMoved> {
        self.end(OperationState::Done, None, now)
    }

    /// Ends a rotation of data keys, or a leaving, that has none left.
    pub fn finish_data_keys(self, left: u64, now: Timestamp) -> Result<Self, NotMoved> {
        match (&self.kind, left) {
            (OperationKind::RotateDataKeys { .. } | OperationKind::LeaveCustomerKey, 0) => self.done(now),
            (OperationKind::RotateDataKeys { .. } | OperationKind::LeaveCustomerKey, left) => {
                Err(NotMoved::Left { left })
            }
            (
                OperationKind::RotateKey { .. }
                | OperationKind::ReplaceKey { .. }
                | OperationKind::DestroyDataKey { .. },
                _,
            ) => Err(NotMoved::OtherKind),
        }
    }

    /// Ends a destruction: its data key is gone.
    pub fn finish_destruction(self, now: Timestamp) -> Result<Self, NotMoved> {
        match self.kind {
            OperationKind::DestroyDataKey { .. } => {
                let progress = Progress { done: self.progress.total, failing: 0, ..self.progress };
                Self { progress, ..self }.done(now)
            }
            OperationKind::RotateKey { .. }
            | OperationKind::ReplaceKey { .. }
            | OperationKind::RotateDataKeys { .. }
            | OperationKind::LeaveCustomerKey => Err(NotMoved::OtherKind),
        }
    }

    fn end(self, state: OperationState, reason: Option<Reason>, now: Timestamp) -> Result<Self, NotMoved> {
        if !self.state.is_open() {
            return Err(NotMoved::Ended);
        }
        if !self.state.may_become(state) {
            return Err(NotMoved::TooEarly);
        }
        Ok(Self { state, reason, cancelling: false, updated_at: now, finished_at: Some(now), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OperationState::{AwaitingApproval, Cancelled, Done, Expired, Failed, Planned, Rejected, Running, Waiting};

    fn planned() -> Operation {
        let at = Timestamp::from_micros(1_000_000);
        let kind = OperationKind::RotateDataKeys { app: None, active_before: at };
        Operation::plan(OperationId::new(at, [7; 10]), "acme".parse().unwrap(), kind, "ann", 3, at)
    }

    /// I-23: an operation only moves forward, and one that has ended stays as it ended.
    #[test]
    fn an_operation_never_moves_back() {
        let all = [Planned, Running, Done, Cancelled, Failed, AwaitingApproval, Waiting, Rejected, Expired];
        let allowed: Vec<_> =
            all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))).filter(|(a, b)| a.may_become(*b)).collect();
        let expected = [
            (Planned, Running),
            (Planned, Cancelled),
            (Planned, Failed),
            (Running, Done),
            (Running, Cancelled),
            (Running, Failed),
            (AwaitingApproval, Cancelled),
            (AwaitingApproval, Failed),
            (AwaitingApproval, Waiting),
            (AwaitingApproval, Rejected),
            (AwaitingApproval, Expired),
            (Waiting, Running),
            (Waiting, Cancelled),
            (Waiting, Failed),
        ];
        assert_eq!(allowed, expected);
        let now = Timestamp::from_micros(2_000_000);
        let ended = planned().begin(now).unwrap().cancel(now).unwrap();
        assert_eq!((ended.state, ended.finished_at), (Cancelled, Some(now)));
        for again in [
            ended.clone().begin(now),
            ended.clone().cancel(now),
            ended.clone().ask_to_cancel(now),
            ended.clone().fail(Reason::Internal, now),
            ended.clone().report(Progress::default(), None, now),
            ended.finish_data_keys(0, now),
        ] {
            assert_eq!(again, Err(NotMoved::Ended));
        }
    }

    /// What is left is not called done, and beginning twice is beginning once.
    #[test]
    fn nothing_is_done_while_something_is_left() {
        let now = Timestamp::from_micros(2_000_000);
        let running = planned().begin(now).unwrap();
        assert_eq!(running.clone().begin(Timestamp::from_micros(9)), Ok(running.clone()));
        assert_eq!(running.clone().finish_data_keys(1, now), Err(NotMoved::Left { left: 1 }));
        assert_eq!(planned().finish_data_keys(0, now), Err(NotMoved::TooEarly));
        assert_eq!(running.finish_data_keys(0, now).unwrap().state, Done);
    }

    /// An id has one spelling, and sorts by time.
    #[test]
    fn an_operation_has_one_spelling_and_sorts_by_time() {
        let [earlier, later] = [1, 2].map(|s| OperationId::new(Timestamp::from_micros(s * 1_000_000), [0xff; 10]));
        assert!(earlier < later);
        let text = earlier.to_string();
        assert_eq!(text.parse(), Ok(earlier));
        assert_eq!(OperationId::from_bytes(earlier.to_bytes()), earlier);
        for bad in [text.to_lowercase(), String::new(), text[1..].to_owned(), text + "0"] {
            assert!(bad.parse::<OperationId>().is_err(), "{bad:?}");
        }
    }
}
