//! How much of a vault's quota this replica takes (I-27).
//!
//! A vault counts its operations over ten seconds, weighted by the key's size: 2,000 of RSA 2048 in an HSM weigh as much as 250
//! of RSA 4096. The customer's other users share it. Each replica therefore takes its part of a configured share, and a call
//! that would go beyond waits its turn. Probes do not wait; what they take, the next call waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Cloud, KeyLocation, KeyVersion};

use super::lock;

/// Over which a vault counts.
const WINDOW: Duration = Duration::from_secs(10);
/// So much may be taken at once, after a rest: a fifth of a window, so that no window sees more than six fifths of the share.
const BURST: Duration = Duration::from_secs(2);

/// What this replica may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// Percent of the vault's limit, over all replicas.
    pub(crate) percent: u32,
    /// Over how many replicas.
    pub(crate) replicas: u32,
    /// The vault's limit over ten seconds, where an operator knows better.
    pub(crate) limit: Option<u32>,
}

impl Share {
    /// For how long one operation with a key takes up the share.
    fn turn(&self, weight: Weight) -> Duration {
        let limit = u128::from(self.limit.unwrap_or(weight.0).max(1)) * u128::from(self.percent.clamp(1, 100));
        let micros = WINDOW.as_micros() * 100 * u128::from(self.replicas.max(1)) / limit;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// How many operations with a key a vault permits in ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight(u32);

impl Weight {
    /// Of an RSA key of so many bits, as Microsoft publishes it for a vault and region.
    pub(crate) fn of(key: &KeyVersion) -> Self {
        let hsm = match key.bits() {
            ..=2048 => 2_000,
            2049..=3072 => 500,
            _ => 250,
        };
        Self(if key.hsm { hsm } else { 2 * hsm })
    }
}

/// One vault's turns. A turn is taken by moving the time at which the share is free again.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Duration>);

impl Turns {
    /// Takes the next turn at `now` (boot time), and says how long to wait for it. `None`: longer than `patience`, and the
    /// turn is left to others.
    pub(crate) fn take(&self, now: Duration, weight: Weight, share: Share, patience: Duration) -> Option<Duration> {
        let mut free = lock(&self.0);
        let begins = (*free).max(now);
        let wait = begins.saturating_sub(now + BURST);
        if wait > patience {
            return None;
        }
        *free = begins + share.turn(weight);
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
    use super::*;

    const HALF: Share = Share { percent: 50, replicas: 1, limit: None };

    /// Calls that come as fast as they may in ten seconds, whenever those begin.
    fn most_in_a_window(share: Share, weight: Weight) -> usize {
        let turns = Turns::default();
        let begin = Duration::from_secs(100);
        let starts: Vec<Duration> =
            (0..5_000).map(|_| begin + turns.take(begin, weight, share, Duration::MAX).unwrap()).collect();
        let within = |from: Duration| starts.iter().filter(|at| **at >= from && **at < from + WINDOW).count();
        (0..20).map(|second| within(begin + Duration::from_secs(second))).max().unwrap()
    }

    /// I-27: in no ten seconds does a replica take more than its share and a fifth.
    #[test]
    fn no_window_sees_more_than_the_share_and_a_fifth() {
        assert_eq!(most_in_a_window(HALF, Weight(250)), 125 + 25);
        let one_of_three = Share { replicas: 3, ..HALF };
        assert!(3 * most_in_a_window(one_of_three, Weight(2_000)) <= 1_000 + 200);
        let known = Share { limit: Some(100), ..HALF };
        assert_eq!(most_in_a_window(known, Weight(4_000)), 50 + 10);
    }

    /// Who rests does not save up more than the burst, and who comes alone never waits.
    #[test]
    fn a_lone_call_never_waits() {
        let turns = Turns::default();
        for second in (0..1_000).step_by(7) {
            let now = Duration::from_secs(second);
            assert_eq!(turns.take(now, Weight(250), HALF, Duration::ZERO), Some(Duration::ZERO));
        }
    }

    /// The published limits.
    #[test]
    fn a_large_key_in_an_hsm_weighs_most() {
        let key = |bits: usize, hsm| {
            let location = KeyLocation::from_parts(Cloud::Public, "acme", "byok").unwrap();
            let id = domain::KeyVersionId::from_bytes([1; 16]);
            Weight::of(&KeyVersion {
                workspace: "acme".parse().unwrap(),
                id,
                location: location.at(id),
                modulus: vec![0x81; bits / 8],
                exponent: vec![1, 0, 1],
                thumbprint: [0; 32],
                hsm,
                recorded_at: domain::Timestamp::from_micros(0),
            })
        };
        let weights = [2048, 3072, 4096].map(|bits| (key(bits, true).0, key(bits, false).0));
        assert_eq!(weights, [(2_000, 4_000), (500, 1_000), (250, 500)]);
    }
}
