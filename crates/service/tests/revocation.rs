//! Three replicas in simulated time: a key that was taken back is not served for longer than promised.

use std::sync::Arc;
use std::time::Duration;

use service::SeededBug;
use testkit::revocation::{Ground, Run, simulate};

/// Enough for every kind of trouble; the drill runs thousands.
const SEEDS: u64 = 60;

fn ground() -> Arc<Ground> {
    Arc::new(tokio::runtime::Runtime::new().unwrap().block_on(Ground::prepare()))
}

fn runs(ground: &Arc<Ground>, bug: Option<SeededBug>) -> impl Iterator<Item = Run> {
    (0..SEEDS).map(move |seed| simulate(ground, seed, bug))
}

/// I-7 to I-13: whatever is cut, slow, paused or stepped, every promise about revocation holds.
#[test]
fn every_promise_holds_under_every_trouble() {
    let ground = ground();
    let mut quiet: Vec<Duration> = Vec::new();
    for run in runs(&ground, None) {
        assert!(run.broken.is_empty(), "{run:#?}");
        quiet.extend(run.plan.is_quiet().then_some(run.last_served));
    }
    quiet.sort_unstable();
    assert!(quiet.len() > 20 && quiet.last().is_some_and(|last| *last <= Duration::from_secs(60)), "{quiet:?}");
}

/// A seed repeats its run.
#[test]
fn a_seed_repeats_its_run() {
    let ground = ground();
    for seed in 0..10 {
        let [one, two] = [(); 2].map(|()| simulate(&ground, seed, None));
        assert_eq!((one.plan, one.last_served, one.after_seen), (two.plan, two.last_served, two.after_seen));
    }
}

/// Each fault put in on purpose breaks a promise in some run.
#[test]
fn each_seeded_bug_is_found() {
    let ground = ground();
    let bugs = [
        SeededBug::LeaseFromAnswer,
        SeededBug::OlderGenerationAdmitted,
        SeededBug::OutageRenews,
        SeededBug::ControlLeaseIgnored,
        SeededBug::FeedIgnored,
        SeededBug::PauseNotNoticed,
    ];
    for bug in bugs {
        assert!(runs(&ground, Some(bug)).any(|run| !run.broken.is_empty()), "{bug:?} was not found");
    }
    let slow = |run: Run| run.plan.is_quiet() && run.last_served > Duration::from_secs(60);
    assert!(runs(&ground, Some(SeededBug::NeverProbed)).any(slow), "a service that never probes was not found");
}
