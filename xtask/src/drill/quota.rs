//! A vault's quota, in simulated time: a rotation of many data keys with the limits on, and an hour of traffic of many apps.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use service::SeededBug;
use testkit::quota::{Hour, HourPlan, RotationPlan, RotationRun};

use crate::stopwatch::{Stopwatch, in_words};
use crate::table::{Lean, Table};

/// A vault that takes 25 operations a second: RSA 4096 in an HSM.
const SLOW: u32 = 250;
/// Of the budget, at least this is used.
const USED: f64 = 0.9;
/// And it takes as long as it said, within this.
const OFF: f64 = 0.2;

pub(super) fn run(data_keys: u32) -> Result<()> {
    rotations(data_keys)?;
    traffic()
}

fn rotations(data_keys: u32) -> Result<()> {
    let mut table = Table::new(&[
        ("rotation, simulated, limits on", Lean::Left),
        ("data keys", Lean::Right),
        ("budget used", Lean::Right),
        ("said", Lean::Right),
        ("took", Lean::Right),
        ("429", Lean::Right),
        ("first tries", Lean::Right),
        ("failed", Lean::Right),
        ("run in", Lean::Right),
    ]);
    let cases = [("RSA 2048, software: 400/s", None), ("RSA 4096, HSM: 25/s", Some(SLOW))];
    let mut runs: Vec<RotationRun> = Vec::new();
    for (name, limit) in cases {
        let watch = Stopwatch::start();
        let run = RotationPlan { data_keys, limit, requests_per_second: 100, bug: None }.run();
        table.row([
            name.to_owned(),
            data_keys.to_string(),
            format!("{:.1} %", 100.0 * run.used()),
            format!("{:.1} s", run.plan.eta.as_secs_f64()),
            format!("{:.1} s", run.took.as_secs_f64()),
            run.throttled.to_string(),
            run.first_tries.to_string(),
            run.failed_first_tries.to_string(),
            in_words(watch.elapsed()),
        ]);
        runs.push(run);
    }
    println!("{table}");
    for run in &runs {
        ensure!(run.used() >= USED, "only {:.2} of the budget was used", run.used());
        ensure!((run.of_eta() - 1.0).abs() <= OFF, "it took {:.2} of the time it said", run.of_eta());
        ensure!(run.throttled == 0, "the vault answered 429");
        ensure!(run.failed_first_tries == 0, "requests of apps with a held key failed");
    }
    let plan = RotationPlan { data_keys: data_keys.min(500), limit: Some(SLOW), requests_per_second: 10, bug: None };
    let ignored = RotationPlan { bug: Some(SeededBug::QuotaIgnored), ..plan }.run();
    if ignored.throttled == 0 {
        bail!("a quota that is ignored was not found");
    }
    println!("seeded bug QuotaIgnored: {} calls were answered 429", ignored.throttled);
    Ok(())
}

fn traffic() -> Result<()> {
    let plan = HourPlan {
        apps: 500,
        replicas: 3,
        lasts: Duration::from_secs(3_600),
        requests_per_second: 5_000,
        one_warm_in: 100,
        limit: SLOW,
        bug: None,
    };
    println!(
        "an hour of {} apps at {} requests a second, Zipf, on {} replicas and a vault of {} operations a second; \
         one replica restarts after a third, and all data keys are renewed after two thirds",
        plan.apps,
        plan.requests_per_second,
        plan.replicas,
        plan.limit / 10
    );
    println!(
        "every request is drawn; those that find no key in memory are all made, and of the others, which never reach the vault, \
         one in {}",
        plan.one_warm_in
    );
    let watch = Stopwatch::start();
    let hour = plan.run();
    let Hour { requests, made, cold, joined, operations, throttled, most_in_a_window, .. } = &hour;
    println!(
        "{requests} requests drawn, {made} made, {cold} waited for a key, {joined} would have waited for the same one"
    );
    println!("refused while cold: {:?}; refused while warm: {}", hour.refused, hour.failed_warm);
    println!(
        "{operations} vault operations, at most {most_in_a_window} in ten seconds of {SLOW}; {throttled} answered 429"
    );
    println!("apps with their key in memory at the end, by replica: {:?} of {}", hour.served, plan.apps);
    println!("simulated in {}", in_words(watch.elapsed()));
    ensure!(*throttled == 0, "the vault answered 429");
    ensure!(hour.served.iter().all(|apps| *apps >= 450), "apps were left without a key");
    ensure!(hour.failed_warm == 0, "a request whose key was held failed");
    Ok(())
}
