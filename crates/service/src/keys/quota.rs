//! How much of a vault's quota this replica takes (I-27).
//!
//! What a vault permits and what of it is ours is in [`domain::vault_limit`]. A call that would go beyond waits its turn. Probes do
//! not wait; what they take, the next call waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Cloud, KeyLocation, VaultLimit, VaultShare};

use super::lock;

/// So much may be taken at once, after a rest: a fifth of a window, so that no window sees more than six fifths of the share.
const BURST: Duration = Duration::from_secs(2);

/// One vault's turns. A turn is taken by moving the time at which the share is free again.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Duration>);

impl Turns {
    /// Takes the next turn at `now` (boot time), and says how long to wait for it. `None`: longer than `patience`, and the
    /// turn is left to others.
    pub(crate) fn take(
        &self,
        now: Duration,
        limit: VaultLimit,
        share: VaultShare,
        patience: Duration,
    ) -> Option<Duration> {
        let mut free = lock(&self.0);
        let begins = (*free).max(now);
        let wait = begins.saturating_sub(now + BURST);
        if wait > patience {
            return None;
        }
        *free = begins + share.turn(limit);
        Some(wait)
    }
}

/// The turns of every vault that was asked.
#[derive(Default)]
pub(crate) struct Quotas(Mutex<HashMap<VaultName, Arc<Turns>>>);

type VaultName = (Cloud, Box<str>);

impl Quotas {
    /// Whatever workspaces use it, it is one vault.
    pub(crate) fn of(&self, at: &KeyLocation) -> Arc<Turns> {
        lock(&self.0).entry((at.cloud(), at.vault().into())).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use domain::vault_limit::WINDOW;

    use super::*;

    const HALF: VaultShare = VaultShare { percent: 50, replicas: 1, limit: None };

    /// Calls that come as fast as they may in ten seconds, whenever those begin.
    fn most_in_a_window(share: VaultShare, limit: VaultLimit) -> usize {
        let turns = Turns::default();
        let begin = Duration::from_secs(100);
        let starts: Vec<Duration> =
            (0..5_000).map(|_| begin + turns.take(begin, limit, share, Duration::MAX).unwrap()).collect();
        let within = |from: Duration| starts.iter().filter(|at| **at >= from && **at < from + WINDOW).count();
        (0..20).map(|second| within(begin + Duration::from_secs(second))).max().unwrap()
    }

    /// I-27: in no ten seconds does a replica take more than its share and a fifth.
    #[test]
    fn no_window_sees_more_than_the_share_and_a_fifth() {
        assert_eq!(most_in_a_window(HALF, VaultLimit::published(4096, true)), 125 + 25);
        let one_of_three = VaultShare { replicas: 3, ..HALF };
        assert!(3 * most_in_a_window(one_of_three, VaultLimit::published(2048, true)) <= 1_000 + 200);
        let known = VaultShare { limit: Some(100), ..HALF };
        assert_eq!(most_in_a_window(known, VaultLimit::published(2048, false)), 50 + 10);
    }

    /// Who rests does not save up more than the burst, and who comes alone never waits.
    #[test]
    fn a_lone_call_never_waits() {
        let turns = Turns::default();
        for second in (0..1_000).step_by(7) {
            let now = Duration::from_secs(second);
            assert_eq!(turns.take(now, VaultLimit::published(4096, true), HALF, Duration::ZERO), Some(Duration::ZERO));
        }
    }
}
