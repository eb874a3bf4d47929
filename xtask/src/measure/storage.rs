//! What committing many small writes together gains: the store's own commands, on this disk, each acknowledged only when
//! it is durable.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use store::{
    Store,
    conformance::{TestSeal, sample},
    sqlite::{Durability, SqliteOptions, SqliteStore},
};
use tokio::{runtime::Runtime, task::JoinSet};

use super::{
    Effort,
    report::{Report, Target},
    rounds::{Contestant, interleave},
};
use crate::{stopwatch::Stopwatch, tool::target_directory};

const WORKSPACE: &str = "acme";
const APP: &str = "support-bot";
/// Callers who wait at the same time.
const CROWD: u64 = 256;
/// Data keys each of the crowd inserts in a turn, and one alone.
const EACH: u64 = 8;
const ALONE: u64 = 256;

/// Inserting a data key with its wrapping: alone, and by 256 callers at once.
pub(crate) fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    // Not in /tmp, which may be memory: a sync there costs nothing and proves nothing.
    let folder = tempfile::tempdir_in(target_directory()?).context("the target directory cannot be written")?;
    let runtime = Runtime::new()?;
    let store: Arc<dyn Store> = Arc::new(open(&folder.path().join("bench.db"))?);
    runtime.block_on(sample::furnish(&*store, &[WORKSPACE], &[APP]));

    let next = AtomicU64::new(0);
    let mut contestants = [
        Contestant::measured("single", || {
            let stopwatch = Stopwatch::start();
            runtime.block_on(insert(&*store, next.fetch_add(ALONE, Ordering::Relaxed), ALONE))?;
            Ok(stopwatch.elapsed().as_secs_f64() / ALONE as f64)
        }),
        Contestant::measured("group", || {
            let stopwatch = Stopwatch::start();
            runtime.block_on(crowd(&store, next.fetch_add(CROWD * EACH, Ordering::Relaxed)))?;
            Ok(stopwatch.elapsed().as_secs_f64() / (CROWD * EACH) as f64)
        }),
    ];
    let times = interleave(4 * effort.long_rounds, &mut contestants)?;
    let thousands = |name| 1e6 / times.nanoseconds(name);
    report.add("durable data keys, one caller", thousands("single"), "k/s", Target::None);
    report.add(format!("durable data keys, {CROWD} callers"), thousands("group"), "k/s", Target::None);
    let gain = times.throughput_ratio("group", "single");
    report.add(
        format!("SQLite group commit ({CROWD}) ÷ single"),
        gain,
        "×",
        Target::AtLeast { gate: 15.0, stretch: 25.0 },
    );
    Ok(())
}

fn open(path: &Path) -> Result<SqliteStore> {
    Ok(SqliteStore::create_or_open(SqliteOptions {
        path: path.to_path_buf(),
        row_seal: Arc::new(TestSeal::default()),
        root_check: [3; 16],
        cluster: [4; 16],
        durability: Durability::Full,
    })?)
}

async fn insert(store: &dyn Store, first: u64, count: u64) -> Result<()> {
    for n in first..first + count {
        let (key, wrapping) = sample::platform_key(WORKSPACE, APP, n);
        store.insert_data_key(key, wrapping).await?;
    }
    Ok(())
}

async fn crowd(store: &Arc<dyn Store>, first: u64) -> Result<()> {
    let mut callers = JoinSet::new();
    for caller in 0..CROWD {
        let store = Arc::clone(store);
        callers.spawn(async move { insert(&*store, first + caller * EACH, EACH).await });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}
