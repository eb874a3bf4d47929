//! How many durable acknowledgements a second one commit each gives, and how many a crowd of 256 that shares commits gets: without
//! a head outside of the database, and with one that follows every commit before it is acknowledged.
//!
//! `cargo run --release -p store --example group_commit`

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{DataKeyId, Protection};
use store::conformance::TestSeal;
use store::conformance::sample::{app_id, event, furnish, platform_key, workspace_id};
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use store::{Outside, Store};

const WAITERS: usize = 256;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Work {
    /// A data key and its wrapping: two rows at random places.
    InsertDataKey,
    /// An audit event: one row at the end of a chain.
    Record,
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "the table is what this is for")]
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(std::env::current_exe()?.parent().ok_or("the example is in a directory")?)?;
    let options = |name: &str| SqliteOptions {
        path: dir.path().join(name),
        row_seal: Arc::new(TestSeal::default()),
        root_check: [0; 16],
        cluster: [0; 16],
        durability: Durability::Full,
    };
    let seal = Arc::new(TestSeal::default());
    let outside = Outside { head: dir.path().join("head"), seal, root_checks: vec![[0; 16]] };
    for anchored in [false, true] {
        let store: Arc<dyn Store> = match anchored {
            false => Arc::new(SqliteStore::create_or_open(options("without.db"))?),
            true => Arc::new(SqliteStore::create_or_open_anchored(options("with.db"), &outside)?),
        };
        println!("{}", if anchored { "with a head outside" } else { "without a head outside" });
        measure(store).await?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what this is for")]
async fn measure(store: Arc<dyn Store>) -> Result<(), Box<dyn std::error::Error>> {
    furnish(&*store, &["acme"], &["bot"]).await;
    println!("{:<16} {:>12} {:>16} {:>8}", "acknowledged/s", "one by one", "256 waiting", "ratio");
    for (name, work) in [("insert_data_key", Work::InsertDataKey), ("record", Work::Record)] {
        // Interleaved rounds, best of each: the machine is shared.
        let (mut single, mut crowd) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            single = single.max(rate(&store, work, 1).await?);
            crowd = crowd.max(rate(&store, work, WAITERS).await?);
        }
        println!("{name:<16} {single:>12.0} {crowd:>16.0} {:>8.1}", crowd / single);
    }
    println!("{:<16} {:>12.0}", "look-ups/s", look_ups(&store).await?);
    Ok(())
}

/// Acknowledgements a second with that many waiting at a time.
async fn rate(store: &Arc<dyn Store>, work: Work, waiters: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let begun = now();
    let mut crowd = tokio::task::JoinSet::new();
    for waiter in 0..waiters {
        let store = Arc::clone(store);
        crowd.spawn(async move {
            let mut done = 0_u64;
            let mut id = seed(begun, waiter);
            while begun.elapsed() < ROUND {
                match work {
                    Work::InsertDataKey => {
                        id = id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let (mut key, mut wrapping) = platform_key("acme", "bot", id);
                        key.id = DataKeyId::from_bytes(spread(id));
                        wrapping.data_key = key.id;
                        store.insert_data_key(key, wrapping).await.map(drop)?;
                    }
                    Work::Record => store.record(event(Some("acme"), done)).await?,
                }
                done += 1;
            }
            Ok::<_, store::StoreError>(done)
        });
    }
    let mut done = 0;
    while let Some(one) = crowd.join_next().await {
        done += one??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// Another sequence of ids for each waiter and round.
fn seed(begun: Instant, waiter: usize) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one((begun, waiter))
}

/// Ids as they are in life: random from the first byte on.
fn spread(id: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&id.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&id.to_be_bytes());
    bytes
}

/// Look-ups of the active data key a second, each with its row's code checked, by eight readers.
async fn look_ups(store: &Arc<dyn Store>) -> Result<f64, Box<dyn std::error::Error>> {
    let (key, wrapping) = platform_key("acme", "bot", 1);
    store.insert_data_key(key.clone(), wrapping).await?;
    store.activate_data_key(&key.workspace, &key.app, key.id, key.created_at).await?;
    let begun = now();
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(store);
        readers.spawn(async move {
            let (acme, bot) = (workspace_id("acme"), app_id("bot"));
            let mut done = 0_u64;
            while begun.elapsed() < ROUND {
                store.active_data_key(&acme, &bot, Protection::PlatformKey).await?;
                done += 1;
            }
            Ok::<_, store::StoreError>(done)
        });
    }
    let mut done = 0;
    while let Some(one) = readers.join_next().await {
        done += one??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}
