//! Three replicas in simulated time around one enforcement date: no ciphertext is ever under the wrong key.

use std::sync::Arc;

use domain::key_life::Policy;
use service::SeededBug;
use testkit::enforcement::{Decision, Run, ground, simulate};
use testkit::revocation::Ground;

/// Enough for every kind of trouble; the drill runs thousands.
const SEEDS: u64 = 60;
/// At most so many with each seeded bug; the first few hundred find each.
const SEEDS_FOR_A_BUG: u64 = 500;

fn prepared() -> Arc<Ground> {
    Arc::new(tokio::runtime::Runtime::new().unwrap().block_on(ground(Policy::Stay)))
}

fn runs(ground: &Arc<Ground>) -> impl Iterator<Item = Run> {
    (0..SEEDS).map(move |seed| simulate(ground, seed, None))
}

/// I-20, I-22: with clocks that are off, lines that are cut, processes that stand still or die and a key that is disabled, each date is
/// decided once, by a test from within its freeze, and kept by every replica's own clock; or not kept by any.
#[test]
fn the_date_is_kept_or_not_by_all_replicas_alike() {
    let ground = prepared();
    let (mut armed, mut close) = (0, 0);
    for run in runs(&ground) {
        assert!(run.broken.is_empty(), "{run:#?}");
        armed += usize::from(run.decision == Decision::Armed);
        close += run.close;
    }
    assert!(armed > 10, "{armed} dates kept: nothing was shown");
    assert!(close > 1_000, "{close} messages close to the date: nothing was shown");
}

/// A seed repeats its run.
#[test]
fn a_seed_repeats_its_run() {
    let ground = prepared();
    for seed in 0..5 {
        let [one, two] = [(); 2].map(|()| simulate(&ground, seed, None));
        assert_eq!((one.plan, one.decision, one.recorded), (two.plan, two.decision, two.recorded));
    }
}

/// Each fault put in on purpose breaks a promise in some run.
#[test]
fn each_seeded_bug_is_found() {
    let ground = prepared();
    for bug in [SeededBug::RulingKept, SeededBug::ArmedUntested, SeededBug::ArmedLate] {
        let found = (0..SEEDS_FOR_A_BUG).any(|seed| !simulate(&ground, seed, Some(bug)).broken.is_empty());
        assert!(found, "{bug:?} was not found");
    }
}
