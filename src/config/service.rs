//! How long keys are served unasked, how much of a customer's vault we take, and how long things are kept.

use std::time::Duration;

use domain::key_config::LONGEST_LEASE;
use service::Options;

use super::LONGEST;
use super::document::Section;
use super::way_out::{WayOut, ranges};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest that a number of days may name: ten years.
const MOST_DAYS: u64 = 3_650;

/// The tables `[leases]`, `[vaults]` and `[kept]`; whatever is left out is as usual. Of `[vaults]`, where they may be, too.
pub(super) fn options(whole: &mut Section<'_, '_>, way_out: &mut WayOut) -> Options {
    let mut options = Options::default();
    leases(whole.section("leases"), &mut options);
    vaults(whole.section("vaults"), &mut options, way_out);
    kept(whole.section("kept"), &mut options);
    options
}

fn leases(mut section: Section<'_, '_>, options: &mut Options) {
    if let Some(key) = section.duration("key", SECOND, LONGEST_LEASE) {
        options.key_lease = key;
    }
    // Unless it is set, C follows H where that is lowered.
    options.control_lease = options.control_lease.min(options.key_lease);
    if let Some(control) = section.duration("control", 2 * SECOND, LONGEST_LEASE) {
        if control > options.key_lease {
            section.fault(
                "control",
                "is longer than the key lease",
                "write at most what `leases.key` is, which is 300s unless set",
            );
        }
        options.control_lease = control;
    }
    if options.control_lease < 2 * SECOND {
        section.fault("control", "would be shorter than 2s", "write a longer `leases.key`: C is never above it");
    }
    section.close();
}

fn vaults(mut section: Section<'_, '_>, options: &mut Options, way_out: &mut WayOut) {
    (way_out.never, way_out.approved.workspaces) = ranges(&mut section);
    let narrow = |count: Option<u64>| count.and_then(|count| u32::try_from(count).ok());
    if let Some(share) = narrow(section.count("share_percent", 1..101)) {
        options.vault_share_percent = share;
    }
    if let Some(replicas) = narrow(section.count("replicas", 1..1_001)) {
        options.replicas = replicas;
    }
    options.vault_limit = narrow(section.count("operations_in_10s", 1..1_000_001)).or(options.vault_limit);
    if let Some(deadline) = section.duration("deadline", SECOND, 60 * SECOND) {
        options.vault_deadline = deadline;
    }
    if let Some(deadline) = section.duration("test_deadline", 5 * SECOND, 300 * SECOND) {
        options.test_deadline = deadline;
    }
    if let Some(calls) = section.count("calls_per_workspace", 1..1_001).and_then(|count| usize::try_from(count).ok()) {
        options.vault_calls_per_workspace = calls;
    }
    match section.text("look_for_versions") {
        None => {}
        Some("never") => options.look_for_versions = None,
        Some(_) => {
            let every = section.duration("look_for_versions", 10 * SECOND, LONGEST);
            options.look_for_versions = every.or(options.look_for_versions);
        }
    }
    section.close();
}

fn kept(mut section: Section<'_, '_>, options: &mut Options) {
    let mut days = |key| section.count(key, 1..MOST_DAYS + 1).and_then(|days| u32::try_from(days).ok());
    for (key, kept) in [
        ("backups_days", &mut options.backups_kept),
        ("usage_days", &mut options.usage_kept),
        ("data_key_days", &mut options.data_key_age),
    ] {
        if let Some(days) = days(key) {
            *kept = DAY * days;
        }
    }
    section.close();
}
