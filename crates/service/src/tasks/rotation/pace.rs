//! How fast a rotation may go: by this replica's share of the vault's quota, which it waits its turns for like everybody (I-27).

use std::time::Duration;

use domain::rotation::{CALLS_PER_DATA_KEY, Rate, VersionUse};
use domain::{KeyVersion, VaultLimit};

use crate::core::Core;

/// What a call to a vault takes, as measured by others: how many have to be under way for a rate.
const USUAL_CALL: Duration = Duration::from_millis(55);

/// How fast, and how many data keys at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Calls a second.
    pub(crate) rate: Rate,
    /// Data keys under way: enough for the rate also where calls take four times the usual, and not so many that others wait
    /// long behind them.
    pub(crate) at_once: usize,
}

impl Core {
    /// Of the workspace's places at its vault, those that a rotation takes: the others are left to requests.
    fn rotation_places(&self) -> usize {
        (self.options.vault_calls_per_workspace * 3 / 4).max(1)
    }

    /// How long the births of so many data keys under this version take: a wrap and an unwrap each.
    pub(crate) fn births_take(&self, version: &KeyVersion, data_keys: usize) -> Duration {
        let by_share = 2 * self.share().turn(VaultLimit::of(version));
        let by_calls = 2 * USUAL_CALL / u32::try_from(self.births_at_once()).unwrap_or(1);
        by_share.max(by_calls).saturating_mul(u32::try_from(data_keys).unwrap_or(u32::MAX))
    }

    /// The pace of going over to `to`, from what is under which version now.
    pub(crate) fn pace(&self, uses: &[VersionUse], versions: &[KeyVersion], to: &KeyVersion) -> Pace {
        let share = self.share();
        let left = uses.iter().filter(|found| found.version != to.id && found.data_keys > 0);
        let (mut data_keys, mut time) = (0u64, 0.0);
        for found in left {
            let from = versions.iter().find(|version| version.id == found.version).unwrap_or(to);
            data_keys += found.data_keys;
            time += found.data_keys as f64 * share.data_key(from, to).as_secs_f64();
        }
        let mean = match data_keys {
            0 => share.data_key(to, to).as_secs_f64(),
            some => time / some as f64,
        };
        let by_share = CALLS_PER_DATA_KEY as f64 / mean;
        let turn = share.turn(VaultLimit::of(to)).as_secs_f64().max(1e-6);
        let wanted = (4.0 * USUAL_CALL.as_secs_f64() / turn).ceil() as usize + 2;
        let at_once = wanted.min(self.rotation_places());
        let by_calls = at_once as f64 / USUAL_CALL.as_secs_f64();
        Pace { rate: Rate::per_second(by_share.min(by_calls)), at_once }
    }
}
