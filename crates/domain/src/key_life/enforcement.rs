//! How the date is set, decided and kept: `Draft → Tested → Scheduled → Armed`, or `Held`.
//!
//! Each step spends the one before, so that a date without a test, or a decision without a date, does not compile.

use crate::audit::AuditKind;
use crate::key_life::{EnforceAt, PassingTest, Step, Timing};
use crate::{Reason, Timestamp};

use std::time::Duration;

/// How far the enforcement of a key has come, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// No date, or one that was kept over an edit.
    Draft(Draft),
    /// A date, and a test that passed before it was set.
    Scheduled(Scheduled),
    /// Decided against, for that date.
    Held(Held),
    /// Decided for: the date is kept on every replica's own clock.
    Armed(Armed),
    /// In force without a date. No transition leads here: tests and measurements begin with it.
    InForce {
        /// Since when.
        since: Timestamp,
    },
}

/// From when on the key is to be used, and what happens if it cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    /// The date.
    pub at: EnforceAt,
    /// What happens to the selected apps if the date is not kept.
    pub policy: Policy,
}

/// What happens to the selected apps at a date that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// They stay on the platform's key.
    #[default]
    Stay,
    /// They are refused.
    Refuse,
    /// They are refused already: a date before this one was not kept, and its refusal goes on.
    RefuseStill,
}

impl Policy {
    /// The name in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stay => "STAY",
            Self::Refuse | Self::RefuseStill => "REFUSE",
        }
    }
}

/// A try of what the date will do, while there is time to mend what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rehearsal {
    /// A day before.
    Day,
    /// An hour before.
    Hour,
}

impl Rehearsal {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Hour => "HOUR",
        }
    }

    /// How long before the date it is due.
    pub const fn before(self) -> Duration {
        match self {
            Self::Day => Duration::from_secs(24 * 60 * 60),
            Self::Hour => Duration::from_secs(60 * 60),
        }
    }
}

/// Connected; nothing is proven of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Draft {
    /// The date from before an edit: it still stands, and is decided like any other.
    pub kept: Option<Plan>,
}

/// Proven to work, and not yet with a date.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tested {
    test: PassingTest,
}

/// A date, set by a test that passed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scheduled {
    /// The date.
    pub plan: Plan,
    /// The test that it was set by.
    pub test: PassingTest,
    /// The last rehearsal that was held.
    pub rehearsed: Option<Rehearsal>,
}

/// A date that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Held {
    /// The date.
    pub plan: Plan,
    /// What was wrong.
    pub why: Reason,
    /// When it was decided.
    pub since: Timestamp,
}

/// A date that will be, or was, kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Armed {
    /// The date.
    pub plan: Plan,
    /// The test it was decided by.
    pub test: PassingTest,
}

impl Plan {
    /// This plan in the place of another: what is refused since a date that was not kept stays refused, unless that is not
    /// wanted any more.
    fn after(self, before: &Plan, now: Timestamp) -> Self {
        let policy = match (before.policy, self.policy) {
            (_, Policy::Stay) => Policy::Stay,
            (Policy::RefuseStill, _) => Policy::RefuseStill,
            (Policy::Refuse, _) if before.instant() <= now => Policy::RefuseStill,
            (Policy::Stay | Policy::Refuse, _) => Policy::Refuse,
        };
        Self { policy, ..self }
    }

    fn instant(&self) -> Timestamp {
        self.at.instant()
    }

    fn check(&self, now: Timestamp, timing: Timing) -> Result<(), Reason> {
        match self.instant() {
            at if at <= now => Err(Reason::EnforcementDatePast),
            at if at < timing.soonest(now) => Err(Reason::EnforcementDateTooSoon),
            _ => Ok(()),
        }
    }

    fn check_not_frozen(&self, now: Timestamp, timing: Timing) -> Result<(), Reason> {
        if now < timing.freeze(self.instant()) { Ok(()) } else { Err(Reason::EnforcementFrozen) }
    }

    fn hold_back(self, why: Reason, now: Timestamp, timing: Timing) -> Result<Step<Held>, Reason> {
        if now < timing.freeze(self.instant()) {
            return Err(Reason::EnforcementNotDue);
        }
        let record = AuditKind::EnforcementHeld { at: self.instant(), why };
        Ok(Step { next: Held { plan: self, why, since: now }, record })
    }
}

impl Draft {
    /// Sets a date; one that was kept over an edit may be moved until its freeze.
    pub(super) fn schedule(
        self,
        test: PassingTest,
        plan: Plan,
        now: Timestamp,
        timing: Timing,
    ) -> Result<Step<Scheduled>, Reason> {
        let plan = match &self.kept {
            None => plan,
            Some(kept) => {
                kept.check_not_frozen(now, timing)?;
                plan.after(kept, now)
            }
        };
        self.tested(test).schedule(plan, now, timing)
    }

    /// A test of exactly this configuration passed.
    pub fn tested(self, test: PassingTest) -> Tested {
        Tested { test }
    }

    /// The configuration changes once more.
    pub(super) fn edited(self, now: Timestamp, timing: Timing) -> Result<Self, Reason> {
        if let Some(plan) = &self.kept {
            plan.check_not_frozen(now, timing)?;
        }
        Ok(self)
    }

    pub(super) fn hold_back(self, why: Reason, now: Timestamp, timing: Timing) -> Result<Step<Held>, Reason> {
        self.kept.ok_or(Reason::EnforcementNotDue)?.hold_back(why, now, timing)
    }
}

impl Tested {
    /// Sets the date. The test must count still, and the date be far enough for every replica to know of it.
    pub fn schedule(self, plan: Plan, now: Timestamp, timing: Timing) -> Result<Step<Scheduled>, Reason> {
        if !self.test.counts_at(now) {
            return Err(Reason::TestOutdated);
        }
        plan.check(now, timing)?;
        let record = AuditKind::EnforcementScheduled { at: plan.at.clone(), policy: plan.policy };
        Ok(Step { next: Scheduled { plan, test: self.test, rehearsed: None }, record })
    }
}

impl Scheduled {
    /// Moves the date, until the freeze.
    pub fn reschedule(
        self,
        test: PassingTest,
        plan: Plan,
        now: Timestamp,
        timing: Timing,
    ) -> Result<Step<Self>, Reason> {
        self.plan.check_not_frozen(now, timing)?;
        Tested { test }.schedule(plan.after(&self.plan, now), now, timing)
    }

    /// The configuration changes: a draft again, with the date it had.
    pub fn edited(self, now: Timestamp, timing: Timing) -> Result<Draft, Reason> {
        self.plan.check_not_frozen(now, timing)?;
        Ok(Draft { kept: Some(self.plan) })
    }

    /// Decides for the date: within the freeze, by a test of the very configuration that was scheduled, and early enough for
    /// every replica that serves at the date to have read it.
    pub fn arm(self, test: PassingTest, now: Timestamp, timing: Timing) -> Result<Step<Armed>, Reason> {
        let at = self.plan.instant();
        if now < timing.freeze(at) {
            return Err(Reason::EnforcementNotDue);
        }
        if now >= timing.decide_before(at) {
            return Err(Reason::EnforcementMissed);
        }
        if test.config_hash() != self.test.config_hash() {
            return Err(Reason::TestOfAnotherConfiguration);
        }
        if !test.counts_at(now) {
            return Err(Reason::TestOutdated);
        }
        let record = AuditKind::EnforcementArmed { at };
        Ok(Step { next: Armed { plan: self.plan, test }, record })
    }

    /// Decides against it.
    pub fn hold_back(self, why: Reason, now: Timestamp, timing: Timing) -> Result<Step<Held>, Reason> {
        self.plan.hold_back(why, now, timing)
    }

    /// A rehearsal was held. `found`: what stands in the way of the date.
    pub fn rehearsed(self, rehearsal: Rehearsal, found: Option<Reason>) -> Step<Self> {
        let record = AuditKind::EnforcementRehearsed { at: self.plan.instant(), rehearsal, found };
        Step { next: Self { rehearsed: Some(rehearsal), ..self }, record }
    }

    /// Which rehearsal is due, if one is.
    pub fn due(&self, now: Timestamp) -> Option<Rehearsal> {
        let due = |rehearsal: &Rehearsal| {
            now >= self.plan.instant().saturating_sub(rehearsal.before()) && self.rehearsed < Some(*rehearsal)
        };
        [Rehearsal::Hour, Rehearsal::Day].into_iter().find(due)
    }
}

impl Held {
    /// Sets another date. What was refused since the one before stays refused, unless that is not wanted any more.
    pub fn reschedule(
        self,
        test: PassingTest,
        plan: Plan,
        now: Timestamp,
        timing: Timing,
    ) -> Result<Step<Scheduled>, Reason> {
        Tested { test }.schedule(plan.after(&self.plan, now), now, timing)
    }
}

impl Armed {
    /// Why nothing about the configuration or the date changes any more.
    pub fn refuses_edits(&self, now: Timestamp) -> Reason {
        if now < self.plan.instant() { Reason::EnforcementFrozen } else { Reason::KeyAlreadyEnforced }
    }
}
