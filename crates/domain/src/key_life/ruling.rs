//! Under whose key an app's new data is at this moment, by one replica's own clock.

use crate::key_life::{Enforcement, KeyLife, LONGEST_SKEW, Plan, Policy, Selection};
use crate::{AppId, KeyConfig, Reason, Timestamp};

/// Under whose key an app's new data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// The customer's.
    CustomerKey,
    /// The platform's.
    PlatformKey,
    /// Too close to the date for this clock to say: ask again at `until`.
    Wait {
        /// When this clock can say.
        until: Timestamp,
    },
    /// Nobody's.
    Refuse(Reason),
}

/// A ruling and the time it is good for, by the clock it was asked with: from `from`, before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ruled {
    /// Under whose key.
    pub ruling: Ruling,
    /// No earlier than this.
    pub from: Timestamp,
    /// Earlier than this.
    pub until: Timestamp,
}

const EVER: (Timestamp, Timestamp) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));

impl Ruled {
    /// For ever, as far as the clock is concerned.
    pub const fn always(ruling: Ruling) -> Self {
        Self { ruling, from: EVER.0, until: EVER.1 }
    }

    /// Whether it is still good at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

/// Rules under whose key new data of `app` is at `now`, by what the store said at most C ago.
///
/// A key without a life is no key of ours: its row was taken away, and nothing is encrypted. Around an armed date nobody encrypts: with every
/// clock off by less than [`LONGEST_SKEW`], no ciphertext is under the wrong key (I-20).
pub fn protection_of(
    config: Option<&KeyConfig>,
    life: Option<&KeyLife>,
    selection: &Selection,
    app: &AppId,
    now: Timestamp,
) -> Ruled {
    // A key that was left protects nothing new.
    if config.is_none_or(|config| config.left_at.is_some()) || !selection.has(app) {
        return Ruled::always(Ruling::PlatformKey);
    }
    let Some(life) = life else { return Ruled::always(Ruling::Refuse(Reason::RowForged)) };
    let in_force = if life.revoked.is_some() { Ruling::Refuse(Reason::KeyRevoked) } else { Ruling::CustomerKey };
    match &life.enforcement {
        Enforcement::InForce { .. } => Ruled::always(in_force),
        Enforcement::Armed(armed) => around(&armed.plan, in_force, now),
        // Undecided at the date is decided against: nobody armed it in time for all to know (I-22).
        Enforcement::Scheduled(scheduled) => not_kept(Some(&scheduled.plan), now),
        Enforcement::Held(held) => not_kept(Some(&held.plan), now),
        Enforcement::Draft(draft) => not_kept(draft.kept.as_ref(), now),
    }
}

fn not_kept(plan: Option<&Plan>, now: Timestamp) -> Ruled {
    match plan {
        Some(Plan { policy: Policy::RefuseStill, .. }) => Ruled::always(Ruling::Refuse(Reason::EnforcementHeld)),
        Some(plan @ Plan { policy: Policy::Refuse, .. }) => around(plan, Ruling::Refuse(Reason::EnforcementHeld), now),
        Some(Plan { policy: Policy::Stay, .. }) | None => Ruled::always(Ruling::PlatformKey),
    }
}

/// The platform's key before the date (nobody's where its selected apps are refused already), `after` from it on, and nobody's
/// in between.
fn around(plan: &Plan, after: Ruling, now: Timestamp) -> Ruled {
    let before = plan.at.instant().saturating_sub(LONGEST_SKEW);
    let until = plan.at.instant().saturating_add(LONGEST_SKEW);
    if now < before {
        let ruling = match plan.policy {
            Policy::Stay | Policy::Refuse => Ruling::PlatformKey,
            Policy::RefuseStill => Ruling::Refuse(Reason::EnforcementHeld),
        };
        Ruled { ruling, from: EVER.0, until: before }
    } else if now < until {
        Ruled { ruling: Ruling::Wait { until }, from: before, until }
    } else {
        Ruled { ruling: after, from: until, until: EVER.1 }
    }
}
