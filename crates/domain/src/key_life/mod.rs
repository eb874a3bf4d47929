//! The life of a workspace's customer key: where it stands, what may happen to it next, and what that means for each app.
//!
//! | module | question |
//! |---|---|
//! | [`phase`] | how far has it come, and what holds it back |
//! | [`instant`] | which instant does a local date, time and zone name |
//! | [`timing`] | until when may the date change, and when is it decided |
//! | [`evidence`] | which test proves that the key works |
//! | [`enforcement`] | how the date is set, decided and kept: the steps, as types |
//! | [`selection`] | which apps and bots are under the customer's key |
//! | [`revocation`] | how the customer's key is switched off here, and on again |
//! | [`ruling`] | under whose key is an app's new data at this moment |
//!
//! Every transition consumes the state it leaves and answers the next one with the record of it, or the reason why not.

pub mod enforcement;
pub mod evidence;
pub mod instant;
pub mod phase;
pub mod revocation;
pub mod ruling;
pub mod selection;
pub mod timing;

pub use enforcement::{Armed, Draft, Enforcement, Held, Plan, Policy, Rehearsal, Scheduled, Tested};
pub use evidence::{PassingTest, TestFacts};
pub use instant::{EnforceAt, InvalidInstant};
pub use phase::{Cause, Hold, Phase};
pub use revocation::Revocation;
pub use ruling::{Ruled, Ruling, protection_of};
pub use selection::{AppSelection, Preview, Selection, Wish};
pub use timing::{LONGEST_SKEW, Timing};

use crate::audit::AuditKind;
use crate::{Reason, Timestamp, WorkspaceId};

/// Everything that is decided about a workspace's customer key, apart from which key it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyLife {
    /// Whose key's.
    pub workspace: WorkspaceId,
    /// Counts its changes, from 1. A write needs exactly the next one: of two decisions made from the same reading one fails.
    pub change: u64,
    /// How far the enforcement has come.
    pub enforcement: Enforcement,
    /// Set while the key is switched off here.
    pub revoked: Option<Revocation>,
    /// Whether every app is under the customer's key, future ones too; otherwise those whose [`AppSelection`] says so.
    pub every_app: bool,
    /// When it last changed.
    pub changed_at: Timestamp,
}

/// What a transition that was allowed leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<S> {
    /// The next state.
    pub next: S,
    /// Its record, for the same transaction.
    pub record: AuditKind,
}

impl<S> Step<S> {
    /// The same step of the state around this one.
    pub fn map<T>(self, around: impl FnOnce(S) -> T) -> Step<T> {
        Step { next: around(self.next), record: self.record }
    }
}

impl KeyLife {
    /// Of a key that was just connected and encrypts nothing yet.
    pub fn draft(workspace: WorkspaceId, now: Timestamp) -> Self {
        let enforcement = Enforcement::Draft(Draft { kept: None });
        Self { workspace, change: 1, enforcement, revoked: None, every_app: true, changed_at: now }
    }

    /// Of a key that is in force without a date, for every app. Its first change is number 1.
    pub fn in_force(workspace: WorkspaceId, since: Timestamp) -> Self {
        let enforcement = Enforcement::InForce { since };
        Self { workspace, change: 0, enforcement, revoked: None, every_app: true, changed_at: since }
    }

    /// How far it has come at `now`, by this clock. `test` is the newest test of exactly this configuration.
    pub fn phase(&self, test: Option<&PassingTest>, now: Timestamp) -> Phase {
        match &self.enforcement {
            Enforcement::Draft(_) if test.is_some_and(|test| test.counts_at(now)) => Phase::Tested,
            Enforcement::Draft(_) => Phase::Draft,
            Enforcement::Scheduled(_) | Enforcement::Held(_) => Phase::Scheduled,
            Enforcement::Armed(armed) if now < armed.plan.at.instant() => Phase::Scheduled,
            Enforcement::Armed(_) | Enforcement::InForce { .. } => Phase::Enforced,
        }
    }

    /// What holds it back. A revocation stands before everything else.
    pub fn hold(&self) -> Hold {
        match (&self.revoked, &self.enforcement) {
            (Some(Revocation { cause: Cause::Disconnected, since }), _) => Hold::Disconnected { since: *since },
            (Some(Revocation { cause: Cause::KillSwitch, since }), _) => {
                Hold::Revoked { cause: Cause::KillSwitch, since: *since }
            }
            (None, Enforcement::Held(held)) => Hold::Held { why: held.why },
            (
                None,
                Enforcement::Draft(_) | Enforcement::Scheduled(_) | Enforcement::Armed(_) | Enforcement::InForce { .. },
            ) => Hold::None,
        }
    }

    /// The date that was asked for, if one was.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.enforcement {
            Enforcement::Draft(draft) => draft.kept.as_ref(),
            Enforcement::Scheduled(scheduled) => Some(&scheduled.plan),
            Enforcement::Held(held) => Some(&held.plan),
            Enforcement::Armed(armed) => Some(&armed.plan),
            Enforcement::InForce { .. } => None,
        }
    }

    /// Sets or moves the date by a passing test of exactly this configuration (I-22).
    pub fn schedule(self, test: PassingTest, plan: Plan, now: Timestamp, timing: Timing) -> Result<Step<Self>, Reason> {
        self.enforce(now, |enforcement| {
            let step = match enforcement {
                Enforcement::Draft(draft) => draft.schedule(test, plan, now, timing)?,
                Enforcement::Scheduled(scheduled) => scheduled.reschedule(test, plan, now, timing)?,
                Enforcement::Held(held) => held.reschedule(test, plan, now, timing)?,
                Enforcement::Armed(armed) => return Err(armed.refuses_edits(now)),
                Enforcement::InForce { .. } => return Err(Reason::KeyAlreadyEnforced),
            };
            Ok(step.map(Enforcement::Scheduled))
        })
    }

    /// Why neither the date nor the configuration changes any more, once the date is decided for (I-21).
    pub fn refuses_edits(&self, now: Timestamp) -> Option<Reason> {
        match &self.enforcement {
            Enforcement::Armed(armed) => Some(armed.refuses_edits(now)),
            Enforcement::InForce { .. } => Some(Reason::KeyAlreadyEnforced),
            Enforcement::Draft(_) | Enforcement::Scheduled(_) | Enforcement::Held(_) => None,
        }
    }

    /// The configuration is about to change: what was proven of the old one counts no more. Refused from the freeze on (I-21).
    pub fn edit(self, now: Timestamp, timing: Timing) -> Result<Self, Reason> {
        let enforcement = match self.enforcement {
            Enforcement::Draft(draft) => Enforcement::Draft(draft.edited(now, timing)?),
            Enforcement::Scheduled(scheduled) => Enforcement::Draft(scheduled.edited(now, timing)?),
            // What was held stays held: another configuration proves nothing by being another.
            Enforcement::Held(held) => Enforcement::Held(held),
            Enforcement::Armed(armed) => return Err(armed.refuses_edits(now)),
            Enforcement::InForce { .. } => return Err(Reason::KeyAlreadyEnforced),
        };
        Ok(Self { enforcement, change: self.change + 1, changed_at: now, ..self })
    }

    /// Decides for the date, within the freeze and before its end (I-20, I-22). Final.
    pub fn arm(self, test: PassingTest, now: Timestamp, timing: Timing) -> Result<Step<Self>, Reason> {
        self.enforce(now, |enforcement| match enforcement {
            Enforcement::Scheduled(scheduled) => Ok(scheduled.arm(test, now, timing)?.map(Enforcement::Armed)),
            Enforcement::Draft(_) => Err(Reason::KeyNotTested),
            Enforcement::Held(_) => Err(Reason::EnforcementHeld),
            Enforcement::Armed(_) | Enforcement::InForce { .. } => Err(Reason::KeyAlreadyEnforced),
        })
    }

    /// Decides against the date, from the freeze on. Final for this date; a later pass sets another.
    pub fn hold_back(self, why: Reason, now: Timestamp, timing: Timing) -> Result<Step<Self>, Reason> {
        self.enforce(now, |enforcement| match enforcement {
            Enforcement::Draft(draft) => Ok(draft.hold_back(why, now, timing)?.map(Enforcement::Held)),
            Enforcement::Scheduled(scheduled) => Ok(scheduled.hold_back(why, now, timing)?.map(Enforcement::Held)),
            Enforcement::Held(_) => Err(Reason::EnforcementHeld),
            Enforcement::Armed(_) | Enforcement::InForce { .. } => Err(Reason::KeyAlreadyEnforced),
        })
    }

    /// A rehearsal of the date was held. Refused where none is due any more: the date moved, or another replica was quicker.
    pub fn rehearse(self, rehearsal: Rehearsal, found: Option<Reason>, now: Timestamp) -> Result<Step<Self>, Reason> {
        self.enforce(now, |enforcement| match enforcement {
            Enforcement::Scheduled(scheduled) if scheduled.due(now) == Some(rehearsal) => {
                Ok(scheduled.rehearsed(rehearsal, found).map(Enforcement::Scheduled))
            }
            Enforcement::Scheduled(_) | Enforcement::Draft(_) | Enforcement::Held(_) => Err(Reason::EnforcementNotDue),
            Enforcement::Armed(_) | Enforcement::InForce { .. } => Err(Reason::KeyAlreadyEnforced),
        })
    }

    /// Whether the key rotates: once nothing but that and the selection of apps may change it. Before, another version is
    /// another configuration.
    pub fn rotates(&self) -> bool {
        match self.enforcement {
            Enforcement::Armed(_) | Enforcement::InForce { .. } => true,
            Enforcement::Draft(_) | Enforcement::Scheduled(_) | Enforcement::Held(_) => false,
        }
    }

    fn enforce(
        self,
        now: Timestamp,
        transition: impl FnOnce(Enforcement) -> Result<Step<Enforcement>, Reason>,
    ) -> Result<Step<Self>, Reason> {
        let Self { workspace, change, enforcement, revoked, every_app, .. } = self;
        let around =
            |enforcement| Self { workspace, change: change + 1, enforcement, revoked, every_app, changed_at: now };
        Ok(transition(enforcement)?.map(around))
    }
}

#[cfg(test)]
mod tests;
