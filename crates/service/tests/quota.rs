//! I-27: a vault's quota is used and kept, in simulated time. `cargo xtask drill rotate` does the same with 10,000 data keys and an
//! hour of traffic.

use std::time::Duration;

use service::SeededBug;
use testkit::quota::{HourPlan, RotationPlan};

/// A rotation uses at least nine tenths of its share of the vault, ends when it said it would, meets no 429, and no request of an
/// app whose key is held fails or waits meanwhile: with the limits published for the key's size, and with those of a slow vault.
#[test]
fn a_rotation_uses_its_share_and_ends_when_it_said() {
    for (data_keys, limit) in [(1_000, None), (150, Some(250))] {
        let run = RotationPlan { data_keys, limit, requests_per_second: 100, bug: None }.run();
        assert!(run.used() >= 0.9, "{:.2} of the budget: {run:?}", run.used());
        assert!((0.8..=1.2).contains(&run.of_eta()), "{:.2} of the time it said: {run:?}", run.of_eta());
        assert_eq!((run.throttled, run.failed_first_tries), (0, 0), "{run:?}");
        assert!(run.first_tries > 100, "{run:?}");
    }
}

/// Seeded bug: calls that go out as they come are answered 429.
#[test]
fn a_rotation_without_a_quota_is_throttled() {
    let plan = RotationPlan { data_keys: 150, limit: Some(250), requests_per_second: 20, bug: None };
    let run = RotationPlan { bug: Some(SeededBug::QuotaIgnored), ..plan }.run();
    assert!(run.throttled > 0, "the seeded bug was not found: {run:?}");
}

/// First uses by hundreds of apps, on three replicas, a restart and new data keys for all: a vault of 25 operations a second never
/// answers 429. The seeded bug is found by the same traffic.
#[test]
fn traffic_meets_no_429() {
    let plan = HourPlan {
        apps: 150,
        replicas: 3,
        lasts: Duration::from_secs(360),
        requests_per_second: 500,
        one_warm_in: 20,
        limit: 250,
        bug: None,
    };
    let quiet = plan.run();
    assert_eq!((quiet.throttled, quiet.failed_warm), (0, 0), "{quiet:?}");
    assert!(quiet.most_in_a_window <= 200, "half of 250, what three replicas save up, and their probes: {quiet:?}");
    assert!(quiet.operations > 600, "{quiet:?}");
    // Nor does the herd starve itself: two minutes after all data keys were renewed most apps are served on every replica.
    assert!(quiet.served.iter().all(|apps| *apps >= 90), "{quiet:?}");
    let loud = HourPlan { bug: Some(SeededBug::QuotaIgnored), lasts: Duration::from_secs(60), ..plan }.run();
    assert!(loud.throttled > 0, "the seeded bug was not found: {loud:?}");
}
