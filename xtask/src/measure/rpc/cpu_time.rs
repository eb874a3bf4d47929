//! How much CPU time some threads of this process have had.

use std::time::Duration;

use anyhow::{Context, Result};

/// The threads of this process that there are now, by number.
pub(super) fn threads() -> Result<Vec<u32>> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        threads.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(threads)
}

/// What these threads have had together, by the scheduler's own count (nanoseconds).
pub(super) fn of(threads: &[u32]) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for thread in threads {
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))?;
        let nanoseconds = text.split_whitespace().next().context("schedstat is empty")?.parse()?;
        sum += Duration::from_nanos(nanoseconds);
    }
    Ok(sum)
}
