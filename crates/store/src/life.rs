//! How a key's life stands in columns, the same in every database, and which of its bytes are authenticated: all of them.

use domain::key_life::{
    AppSelection, Armed, Cause, Draft, EnforceAt, Enforcement, Held, KeyLife, PassingTest, Plan, Policy, Rehearsal,
    Revocation, Scheduled,
};
use domain::row_seal::RowBytes;
use domain::{Reason, Timestamp};

use crate::row::Row;

/// What of a life is neither its name, its count nor its time: as numbers, texts and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LifeColumns {
    pub(crate) state: i64,
    pub(crate) plan: Option<PlanColumns>,
    pub(crate) test: Option<TestColumns>,
    pub(crate) rehearsed: Option<i64>,
    pub(crate) held_why: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) revoked: Option<(i64, Timestamp)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanColumns {
    pub(crate) at: Timestamp,
    pub(crate) local: String,
    pub(crate) zone: String,
    pub(crate) policy: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestColumns {
    pub(crate) id: [u8; 16],
    pub(crate) config: [u8; 32],
    pub(crate) at: Timestamp,
}

const DRAFT: i64 = 1;
const SCHEDULED: i64 = 2;
const HELD: i64 = 3;
const ARMED: i64 = 4;
const IN_FORCE: i64 = 5;

impl LifeColumns {
    pub(crate) fn of(life: &KeyLife) -> Self {
        let revoked = life.revoked.map(|revoked| (cause_code(revoked.cause), revoked.since));
        let empty =
            |state| Self { state, plan: None, test: None, rehearsed: None, held_why: None, since: None, revoked };
        match &life.enforcement {
            Enforcement::Draft(Draft { kept }) => Self { plan: kept.as_ref().map(plan_columns), ..empty(DRAFT) },
            Enforcement::Scheduled(Scheduled { plan, test, rehearsed }) => Self {
                plan: Some(plan_columns(plan)),
                test: Some(test_columns(test)),
                rehearsed: rehearsed.map(rehearsal_code),
                ..empty(SCHEDULED)
            },
            Enforcement::Held(Held { plan, why, since }) => Self {
                plan: Some(plan_columns(plan)),
                held_why: Some(why.as_str().to_owned()),
                since: Some(*since),
                ..empty(HELD)
            },
            Enforcement::Armed(Armed { plan, test }) => {
                Self { plan: Some(plan_columns(plan)), test: Some(test_columns(test)), ..empty(ARMED) }
            }
            Enforcement::InForce { since } => Self { since: Some(*since), ..empty(IN_FORCE) },
        }
    }

    /// What they stand for. `None`: we never wrote these together.
    pub(crate) fn read(self) -> Option<(Enforcement, Option<Revocation>)> {
        let revoked = match self.revoked {
            None => None,
            Some((code, since)) => Some(Revocation { cause: cause(code)?, since }),
        };
        let plan = match self.plan {
            None => None,
            Some(plan) => {
                Some(Plan { at: EnforceAt::kept(&plan.local, &plan.zone, plan.at)?, policy: policy(plan.policy)? })
            }
        };
        let test = self.test.map(|test| PassingTest::kept(test.id, test.config, test.at));
        let rehearsed = match self.rehearsed {
            None => None,
            Some(code) => Some(rehearsal(code)?),
        };
        let enforcement = match (self.state, plan, test, rehearsed, self.held_why, self.since) {
            (DRAFT, kept, None, None, None, None) => Enforcement::Draft(Draft { kept }),
            (SCHEDULED, Some(plan), Some(test), rehearsed, None, None) => {
                Enforcement::Scheduled(Scheduled { plan, test, rehearsed })
            }
            (HELD, Some(plan), None, None, Some(why), Some(since)) => {
                let why = Reason::named(&why)?;
                Enforcement::Held(Held { plan, why, since })
            }
            (ARMED, Some(plan), Some(test), None, None, None) => Enforcement::Armed(Armed { plan, test }),
            (IN_FORCE, None, None, None, None, Some(since)) => Enforcement::InForce { since },
            _ => return None,
        };
        Some((enforcement, revoked))
    }
}

fn plan_columns(plan: &Plan) -> PlanColumns {
    let policy = match plan.policy {
        Policy::Stay => 1,
        Policy::Refuse => 2,
        Policy::RefuseStill => 3,
    };
    PlanColumns { at: plan.at.instant(), local: plan.at.local(), zone: plan.at.zone().to_owned(), policy }
}

fn test_columns(test: &PassingTest) -> TestColumns {
    TestColumns { id: *test.id(), config: *test.config_hash(), at: test.finished_at() }
}

const fn policy(code: i64) -> Option<Policy> {
    match code {
        1 => Some(Policy::Stay),
        2 => Some(Policy::Refuse),
        3 => Some(Policy::RefuseStill),
        _ => None,
    }
}

const fn rehearsal_code(rehearsal: Rehearsal) -> i64 {
    match rehearsal {
        Rehearsal::Day => 1,
        Rehearsal::Hour => 2,
    }
}

const fn rehearsal(code: i64) -> Option<Rehearsal> {
    match code {
        1 => Some(Rehearsal::Day),
        2 => Some(Rehearsal::Hour),
        _ => None,
    }
}

const fn cause_code(cause: Cause) -> i64 {
    match cause {
        Cause::KillSwitch => 1,
        Cause::Disconnected => 2,
    }
}

const fn cause(code: i64) -> Option<Cause> {
    match code {
        1 => Some(Cause::KillSwitch),
        2 => Some(Cause::Disconnected),
        _ => None,
    }
}

impl Row for KeyLife {
    const TABLE: &'static str = "key_lives";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let life = LifeColumns::of(self);
        let bytes = |number: i64| number.to_be_bytes();
        let number =
            |row: RowBytes, number: Option<i64>| row.optional(number.map(bytes).as_ref().map(<[u8; 8]>::as_slice));
        let time = |row: RowBytes, at: Option<Timestamp>| number(row, at.map(Timestamp::micros));
        let row = row.field(&self.change.to_be_bytes()).number(life.state);
        let plan = life.plan.as_ref();
        let row = time(row, plan.map(|plan| plan.at))
            .optional(plan.map(|plan| plan.local.as_bytes()))
            .optional(plan.map(|plan| plan.zone.as_bytes()));
        let row = number(row, plan.map(|plan| plan.policy));
        let test = life.test.as_ref();
        let row = row.optional(test.map(|test| test.id.as_slice())).optional(test.map(|test| test.config.as_slice()));
        let row = number(time(row, test.map(|test| test.at)), life.rehearsed);
        let row = time(row.optional(life.held_why.as_ref().map(String::as_bytes)), life.since);
        let row = number(row, life.revoked.map(|(cause, _)| cause));
        let row = time(row, life.revoked.map(|(_, since)| since));
        row.field(&[u8::from(self.every_app)]).number(self.changed_at.micros())
    }
}

impl Row for AppSelection {
    const TABLE: &'static str = "app_selections";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        row.field(self.app.as_str().as_bytes()).field(&[u8::from(self.selected)]).number(self.changed_at.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::sample::{lives, workspace_id};

    /// A stored number means one variant for ever, and every life is read back as it was written; columns we never wrote
    /// together are nobody's life.
    #[test]
    fn a_life_survives_its_columns() {
        let states: Vec<i64> = lives("acme").iter().map(|life| LifeColumns::of(life).state).collect();
        assert_eq!(states, [DRAFT, DRAFT, SCHEDULED, HELD, ARMED, IN_FORCE, IN_FORCE]);
        for life in lives("acme") {
            let columns = LifeColumns::of(&life);
            assert_eq!(columns.clone().read(), Some((life.enforcement, life.revoked)));
            for state in (0..7).filter(|state| *state != columns.state) {
                let read = LifeColumns { state, ..columns.clone() }.read();
                let both_fit = matches!((columns.state, state), (SCHEDULED, ARMED) | (ARMED, SCHEDULED));
                assert!(read.is_none() || both_fit, "{columns:?} as {state}");
            }
        }
        assert_eq!(
            (policy(0), policy(4), rehearsal(0), rehearsal(3), cause(0), cause(3)),
            (None, None, None, None, None, None)
        );
        assert_eq!(lives("acme")[0].workspace, workspace_id("acme"));
    }
}
