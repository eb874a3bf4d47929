//! How a workspace goes over to another version of its customer's key, and when the old one is needed no more.
//!
//! ```text
//! plan ─► wrap and verify ─► switch ─► (late ones) ─► done ─► safe to disable ─► safe to delete
//! ```
//!
//! Every data key, in every state, gets one more wrapping, which is the current one from then on; none is taken away (I-4).
//! Only when nothing is left under another version do new data keys go over: a version that wraps and does not unwrap is found
//! out before anything depends on it. What was born under the old version until the switch follows after it; from the switch
//! on, a birth in the old wrap epoch fails, so that this comes to an end.

use std::time::Duration;

use crate::operation::{NotMoved, Operation, OperationKind, OperationState};
use crate::{KeyConfig, KeyVersionId, Timestamp};

/// Vault calls for one data key: unwrap by the version it is under, wrap by the new one, unwrap again.
pub const CALLS_PER_DATA_KEY: u64 = 3;
/// Vault calls before the first data key: wrap and unwrap of random bytes.
pub const CALLS_TO_PROVE: u64 = 2;

/// How many calls a second a rotation makes at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

impl Rate {
    /// So many calls in so much time.
    pub fn over(calls: u64, time: Duration) -> Self {
        // More calls than an f64 counts exactly take longer than anybody waits.
        Self::per_second(calls as f64 / time.as_secs_f64().max(1e-6))
    }

    /// So many a second; at least one in ten seconds.
    pub fn per_second(calls: f64) -> Self {
        Self(calls.max(0.1))
    }

    /// Calls a second.
    pub fn calls_per_second(self) -> f64 {
        self.0
    }

    /// The lower of two.
    pub fn min(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }

    /// How long so many calls take.
    pub fn time_for(self, calls: u64) -> Duration {
        // More calls than an f64 counts exactly take longer than anybody waits.
        Duration::try_from_secs_f64(calls as f64 / self.0).unwrap_or(Duration::MAX)
    }
}

/// What a rotation will take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The version in force.
    pub from: KeyVersionId,
    /// The version to go over to.
    pub to: KeyVersionId,
    /// Data keys that are under another version than that.
    pub data_keys: u64,
    /// Calls to the vault.
    pub vault_calls: u64,
    /// At what rate they are made.
    pub rate: Rate,
    /// How long that takes, if the vault answers.
    pub eta: Duration,
}

impl Plan {
    /// The plan for going over to `to`, from what is under which version now.
    pub fn new(from: KeyVersionId, to: KeyVersionId, uses: &[VersionUse], rate: Rate) -> Self {
        let data_keys = left(uses, to);
        let vault_calls = data_keys.saturating_mul(CALLS_PER_DATA_KEY).saturating_add(CALLS_TO_PROVE);
        Self { from, to, data_keys, vault_calls, rate, eta: rate.time_for(vault_calls) }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.from == self.to && self.data_keys == 0
    }
}

/// What the store holds under one version of a customer's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionUse {
    /// The version.
    pub version: KeyVersionId,
    /// Data keys whose current wrapping is under it.
    pub data_keys: u64,
    /// When a data key last got a current wrapping under another version instead.
    pub left_at: Option<Timestamp>,
}

/// How many data keys are under another version than `to`.
pub fn left(uses: &[VersionUse], to: KeyVersionId) -> u64 {
    uses.iter().filter(|found| found.version != to).map(|found| found.data_keys).sum()
}

/// A rotation by the step it is at. Obtained from its operation; each step consumes the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// Nothing has been done.
    Planned(Planned),
    /// Data keys are being wrapped by the new version.
    Wrapping(Wrapping),
    /// New data keys are under the new version; late ones follow.
    Switched(Switched),
    /// It has ended.
    Ended,
}

/// See [`Rotation::Planned`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned(Operation);
/// See [`Rotation::Wrapping`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapping(Operation);
/// See [`Rotation::Switched`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched(Operation);

impl Rotation {
    /// The step an operation is at.
    pub fn of(operation: Operation) -> Result<Self, NotMoved> {
        operation.kind.versions().ok_or(NotMoved::OtherKind)?;
        Ok(match (operation.state, operation.switched_at) {
            (OperationState::Planned | OperationState::AwaitingApproval | OperationState::Waiting, _) => {
                Self::Planned(Planned(operation))
            }
            (OperationState::Running, None) => Self::Wrapping(Wrapping(operation)),
            (OperationState::Running, Some(_)) => Self::Switched(Switched(operation)),
            (
                OperationState::Done
                | OperationState::Cancelled
                | OperationState::Failed
                | OperationState::Rejected
                | OperationState::Expired,
                _,
            ) => Self::Ended,
        })
    }
}

impl Planned {
    /// The new version has wrapped and unwrapped random bytes: data keys may be put under it.
    pub fn begin(self, now: Timestamp) -> Result<Operation, NotMoved> {
        self.0.begin(now)
    }
}

impl Wrapping {
    /// Puts the new version, or the other key, in force for new data keys, in the next wrap epoch. `uses` is what was read after the last data
    /// key was wrapped, `config` what the transaction reads that writes both: whoever changed it meanwhile has won.
    pub fn switch(
        self,
        config: &KeyConfig,
        uses: &[VersionUse],
        now: Timestamp,
    ) -> Result<(Operation, KeyConfig), NotMoved> {
        let (from, to) = self.0.kind.versions().ok_or(NotMoved::OtherKind)?;
        if config.current_version != from {
            return Err(NotMoved::ConfigurationMoved);
        }
        match left(uses, to) {
            0 => {}
            left => return Err(NotMoved::Left { left }),
        }
        // Where the version is in force already and only stragglers were moved, no birth has to be kept out.
        let wrap_epoch = if from == to { config.wrap_epoch } else { config.wrap_epoch.saturating_add(1) };
        let config = KeyConfig { current_version: to, wrap_epoch, ..config.clone() };
        let config = match &self.0.kind {
            OperationKind::ReplaceKey { key, tenant, .. } => {
                KeyConfig { location: key.clone(), tenant: tenant.clone(), ..config }
            }
            OperationKind::RotateKey { .. }
            | OperationKind::RotateDataKeys { .. }
            | OperationKind::LeaveCustomerKey
            | OperationKind::DestroyDataKey { .. } => config,
        };
        Ok((Operation { switched_at: Some(now), updated_at: now, ..self.0 }, config))
    }
}

impl Switched {
    /// Ends it. `uses` was read after the switch: whatever was born before it shows.
    pub fn finish(self, uses: &[VersionUse], now: Timestamp) -> Result<Operation, NotMoved> {
        let (_, to) = self.0.kind.versions().ok_or(NotMoved::OtherKind)?;
        match left(uses, to) {
            0 => self.0.done(now),
            left => Err(NotMoved::Left { left }),
        }
    }
}

/// Whether the customer may disable or delete a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Nothing needs it.
    Safe,
    /// It wraps new data keys.
    InForce,
    /// Data keys are under it.
    DataKeys {
        /// How many.
        count: u64,
    },
    /// A rotation to it is under way.
    Target,
    /// Nothing is under it, and disabling the newest version switches the key off all the same.
    Newest,
    /// A replica may still act on what it read before.
    TooRecent {
        /// From when on it is safe, if nothing changes.
        safe_at: Timestamp,
    },
    /// Backups of the time before the switch are still kept.
    InBackups {
        /// Until when.
        until: Timestamp,
    },
    /// The customer's newest export of wrapped keys is older than the switch, and needs this version.
    InExport {
        /// When it was made.
        made_at: Timestamp,
    },
}

impl Safety {
    /// Whether it is.
    pub fn is_safe(self) -> bool {
        self == Self::Safe
    }
}

/// As a sentence that follows "not safe: ".
impl std::fmt::Display for Safety {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Safe => f.write_str("nothing needs it"),
            Self::InForce => f.write_str("it wraps new data keys"),
            Self::DataKeys { count: 1 } => f.write_str("1 data key is under it"),
            Self::DataKeys { count } => write!(f, "{count} data keys are under it"),
            Self::Target => f.write_str("a rotation to it is under way"),
            Self::Newest => {
                f.write_str("it is the key's newest version as far as is known, whose switch is the whole key's")
            }
            Self::TooRecent { safe_at } => write!(f, "it was in use until a short while ago; safe from {safe_at}"),
            Self::InBackups { until } => write!(f, "backups that need it are kept until {until}"),
            Self::InExport { made_at } => {
                write!(f, "the newest export of wrapped keys, of {made_at}, needs it: export again")
            }
        }
    }
}

/// What was handed out of wrapped keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exports {
    /// When a page of them was last handed out, of an export that was ended or broken off.
    pub last_page: Option<Timestamp>,
    /// When the newest export began that was handed out whole.
    pub whole_since: Option<Timestamp>,
}

/// Everything the two answers below depend on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The version that wraps new data keys; absent where none does any more: the key was left.
    pub in_force: Option<KeyVersionId>,
    /// What may be the newest version of that key, where the newest one's switch counts as the whole key's.
    pub newest: &'a [KeyVersionId],
    /// What is under which version.
    pub uses: &'a [VersionUse],
    /// The workspace's operations; those that are no rotations are passed over.
    pub operations: &'a [Operation],
    /// Now.
    pub now: Timestamp,
    /// How long a replica acts on what it read (C).
    pub read_holds_for: Duration,
}

impl Facts<'_> {
    /// Whether the customer may disable `version` now: no current wrapping is under it, none will come, and every replica that
    /// serves has read as much.
    pub fn safe_to_disable(&self, version: KeyVersionId) -> Safety {
        if Some(version) == self.in_force {
            return Safety::InForce;
        }
        let found = self.uses.iter().find(|found| found.version == version);
        if let Some(count) = found.map(|found| found.data_keys).filter(|count| *count > 0) {
            return Safety::DataKeys { count };
        }
        let is_target = |kind: &OperationKind| kind.versions().is_some_and(|(_, to)| to == version);
        if self.operations.iter().any(|operation| operation.state.is_open() && is_target(&operation.kind)) {
            return Safety::Target;
        }
        let key_is_needed = self.in_force.is_some() || self.uses.iter().any(|found| found.data_keys > 0);
        if key_is_needed && self.newest.contains(&version) {
            return Safety::Newest;
        }
        match self.needed_until(version).map(|until| until.saturating_add(self.read_holds_for)) {
            Some(safe_at) if self.now <= safe_at => Safety::TooRecent { safe_at },
            Some(_) | None => Safety::Safe,
        }
    }

    /// Whether the customer may delete `version`: as for disabling, and nothing outside the database needs it either. Backups
    /// are kept for `backups_kept`; an export that is whole replaces those before it.
    pub fn safe_to_delete(&self, version: KeyVersionId, backups_kept: Duration, exports: Exports) -> Safety {
        let disable = self.safe_to_disable(version);
        let (Safety::Safe, Some(until)) = (disable, self.needed_until(version)) else { return disable };
        if let Some(made_at) = exports.last_page
            && exports.whole_since.is_none_or(|begun| begun <= until)
        {
            return Safety::InExport { made_at };
        }
        let gone_at = until.saturating_add(backups_kept);
        if self.now <= gone_at { Safety::InBackups { until: gone_at } } else { Safety::Safe }
    }

    /// When the database last changed from needing a version to not needing it; absent if it never did.
    fn needed_until(&self, version: KeyVersionId) -> Option<Timestamp> {
        let left = self.uses.iter().filter(|found| found.version == version).filter_map(|found| found.left_at);
        let operations = self.operations.iter().filter_map(|operation| match operation.kind.versions() {
            Some((from, to)) if from == version && to != version => operation.switched_at,
            Some((_, to)) if to == version => operation.finished_at,
            Some(_) | None => None,
        });
        left.chain(operations).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::OperationId;
    use crate::{Cloud, KeyLocation};

    const C: Duration = Duration::from_secs(300);

    fn version(n: u8) -> KeyVersionId {
        KeyVersionId::from_bytes([n; 16])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn under(n: u8, data_keys: u64) -> VersionUse {
        VersionUse { version: version(n), data_keys, left_at: None }
    }

    fn planned(from: u8, to: u8) -> Operation {
        let kind = OperationKind::RotateKey { from: version(from), to: version(to) };
        Operation::plan(OperationId::new(at(10), [1; 10]), "acme".parse().unwrap(), kind, "ann", 3, at(10))
    }

    fn config(n: u8) -> KeyConfig {
        KeyConfig {
            workspace: "acme".parse().unwrap(),
            location: KeyLocation::from_parts(Cloud::Public, "acme-kv", "byok").unwrap(),
            tenant: "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap(),
            current_version: version(n),
            wrap_epoch: 4,
            lease: C,
            configured_at: at(1),
            left_at: None,
            choices: crate::key_config::VersionChoices::default(),
        }
    }

    fn wrapping(operation: Operation) -> Wrapping {
        let Ok(Rotation::Planned(planned)) = Rotation::of(operation) else { panic!("not planned") };
        let Ok(Rotation::Wrapping(wrapping)) = Rotation::of(planned.begin(at(11)).unwrap()) else { panic!("no start") };
        wrapping
    }

    /// A plan counts every data key that is not under the new version, three calls for each, at the vault's rate.
    #[test]
    fn a_plan_has_counts_calls_and_time() {
        let rate = Rate::over(320, Duration::from_secs(1));
        let plan = Plan::new(version(1), version(3), &[under(1, 9_000), under(2, 1_000), under(3, 7)], rate);
        assert_eq!((plan.data_keys, plan.vault_calls), (10_000, 30_002));
        assert_eq!(plan.eta.as_secs(), 93, "320 calls a second");
        assert!(!plan.is_empty());
        assert!(Plan::new(version(3), version(3), &[under(3, 7)], rate).is_empty());
        assert!((Rate::over(3, Duration::from_millis(240)).calls_per_second() - 12.5).abs() < 1e-9);
    }

    /// I-23: new data keys go over only when nothing is left, only once, and only from the version it was planned for.
    #[test]
    fn the_switch_comes_after_the_last_data_key_and_once() {
        let step = wrapping(planned(1, 2));
        let early = step.clone().switch(&config(1), &[under(1, 1), under(2, 9)], at(12));
        assert_eq!(early.unwrap_err(), NotMoved::Left { left: 1 });
        let moved = step.clone().switch(&config(3), &[under(2, 10)], at(12));
        assert_eq!(moved.unwrap_err(), NotMoved::ConfigurationMoved);
        let (operation, after) = step.switch(&config(1), &[under(2, 10)], at(12)).unwrap();
        assert_eq!((after.current_version, after.wrap_epoch), (version(2), 5));
        let Ok(Rotation::Switched(step)) = Rotation::of(operation) else { panic!("not switched") };
        assert_eq!(step.clone().finish(&[under(1, 2), under(2, 10)], at(13)), Err(NotMoved::Left { left: 2 }));
        let done = step.finish(&[under(2, 12)], at(14)).unwrap();
        assert_eq!((done.state, Rotation::of(done)), (OperationState::Done, Ok(Rotation::Ended)));
    }

    /// The answer in each case, and from when on it changes.
    #[test]
    fn a_version_is_safe_to_disable_when_nothing_needs_it_any_more() {
        let running = planned(1, 2).begin(at(11)).unwrap();
        let switched = Operation { switched_at: Some(at(20)), ..running.clone() };
        let done = Operation { state: OperationState::Done, finished_at: Some(at(30)), ..switched.clone() };
        let ask = |n, in_force, uses: &[VersionUse], operation: &Operation, now| {
            let operations = std::slice::from_ref(operation);
            let facts = Facts {
                in_force: Some(version(in_force)),
                newest: &[version(5)],
                uses,
                operations,
                now: at(now),
                read_holds_for: C,
            };
            facts.safe_to_disable(version(n))
        };
        assert_eq!(ask(1, 1, &[], &running, 1_000), Safety::InForce);
        assert_eq!(ask(2, 1, &[], &running, 1_000), Safety::Target);
        assert_eq!(ask(1, 2, &[under(1, 2)], &switched, 1_000), Safety::DataKeys { count: 2 });
        let left = [VersionUse { left_at: Some(at(25)), ..under(1, 0) }];
        assert_eq!(ask(1, 2, &left, &done, 325), Safety::TooRecent { safe_at: at(325) });
        assert_eq!(ask(1, 2, &left, &done, 326), Safety::Safe);
        assert_eq!(ask(9, 2, &left, &done, 26), Safety::Safe, "a version that was never used");
        assert_eq!(ask(5, 2, &left, &done, 326), Safety::Newest, "nothing is under it, and its switch is the key's");
        assert_eq!(ask(5, 5, &left, &done, 326), Safety::InForce);
    }

    /// Deleting also waits for what is outside the database: backups, and the export the customer holds.
    #[test]
    fn deleting_waits_for_backups_and_exports() {
        let done = Operation {
            state: OperationState::Done,
            switched_at: Some(at(20)),
            finished_at: Some(at(30)),
            ..planned(1, 2)
        };
        let (uses, operations) = ([under(1, 0)], [done]);
        let kept = Duration::from_secs(10_000);
        let pages = |last, begun: Option<i64>| Exports { last_page: Some(at(last)), whole_since: begun.map(at) };
        let none = Exports::default();
        let ask = |now, exported| {
            let facts = Facts {
                in_force: Some(version(2)),
                newest: &[version(2)],
                uses: &uses,
                operations: &operations,
                now: at(now),
                read_holds_for: C,
            };
            facts.safe_to_delete(version(1), kept, exported)
        };
        assert_eq!(ask(100, none), Safety::TooRecent { safe_at: at(320) });
        assert_eq!(ask(400, none), Safety::InBackups { until: at(10_020) });
        assert_eq!(ask(20_000, pages(20, Some(20))), Safety::InExport { made_at: at(20) });
        assert_eq!(ask(20_000, pages(30, None)), Safety::InExport { made_at: at(30) }, "broken off");
        assert_eq!(ask(20_000, pages(30, Some(20))), Safety::InExport { made_at: at(30) }, "begun before the switch");
        assert_eq!(ask(20_000, pages(30, Some(21))), Safety::Safe);
        assert_eq!(ask(20_000, none), Safety::Safe);
    }
}
