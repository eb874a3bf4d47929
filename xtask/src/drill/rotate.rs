//! A rotation of many data keys while the daemon is killed again and again and apps go on sealing; at its end the old version
//! is disabled in the vault, and everything that was ever acknowledged must open.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use azure_emulator::Operation as VaultOperation;
use client::{Client, pb};

use super::journal::{Acknowledged, Journal, hash};
use super::run::{Customer, WORKSPACES, check, ground, set_up};
use super::seed::Seed;
use super::{Death, Options, load};
use crate::stopwatch::Stopwatch;

/// How long the rotation may go without getting further before the drill gives up.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn run(data_keys: u32, kills: u32, options: &Options) -> Result<()> {
    ensure!(data_keys > 0, "a rotation of nothing shows nothing");
    let number = options.seed.map_or_else(Seed::drawn, Ok)?;
    println!("drill: a rotation of {data_keys} data keys, {kills} kills, --seed {number}");
    let mut seed = Seed::new(number);
    let directory = tempfile::tempdir()?;
    let customer = Customer::start(directory.path()).await?;
    let ground = ground(Death::Kill, options, directory.path(), &customer)?;
    std::fs::create_dir_all(&ground.files)?;
    let journal = Arc::new(Journal::default());
    let mut daemon = ground.start(false).await?;
    set_up(&daemon.client, &customer).await?;
    fill(&daemon.client, data_keys, &journal).await?;

    let vault = customer.emulator.tenant("acme").vault("acme-keys");
    let old = vault.latest("byok")?;
    vault.rotate_key("byok").await?;
    customer.emulator.clear_calls();
    let name = format!("{}/key", WORKSPACES[0]);
    let request = |validate_only| pb::RotateKeyRequest { name: name.clone(), version: String::new(), validate_only };
    let dry = daemon.client.rotate_key(request(true)).await?;
    let plan = dry.plan.context("no plan")?;
    ensure!(dry.operation.is_none(), "a dry run began something");
    let started = Stopwatch::start();
    let operation = daemon.client.rotate_key(request(false)).await?.operation.context("no operation")?.name;

    let workspaces: Arc<[String]> = [WORKSPACES[0].to_owned()].into();
    let apps = Arc::new(AtomicU64::new(0));
    let mut down = Duration::ZERO;
    for round in 1..=kills {
        // New data keys are born all the while.
        let load =
            load::run(daemon.client.clone(), workspaces.clone(), journal.clone(), apps.clone(), round, seed.split());
        let load = tokio::spawn(load);
        // A random point of what is left, so that the kills fall on every step sooner or later.
        let now = watch(&daemon.client, &operation, |now| now.done > 0 || !is_open(now)).await?;
        let left = u64::try_from(now.total - now.done).unwrap_or(0);
        let until = now.done + i64::try_from(seed.below(left / u64::from(kills - round + 1) + 1))?;
        let now = watch(&daemon.client, &operation, |now| now.done >= until || !is_open(now)).await?;
        println!("kill {round}: {} of {} data keys done, {:?}", now.done, now.total, now.state());
        daemon.kill();
        load.await?;
        let restarting = Stopwatch::start();
        daemon = ground.start(false).await?;
        down += restarting.elapsed();
    }
    let done = watch(&daemon.client, &operation, |now| !is_open(now)).await?;
    let took = started.elapsed();
    ensure!(done.state() == pb::OperationState::Done, "it ended as {:?}", done.state());

    let versions = daemon.client.key_versions(pb::ListKeyVersionsRequest { parent: name }).await?.versions;
    let left: Vec<_> = versions.iter().filter(|version| !version.in_force && version.data_keys > 0).collect();
    ensure!(left.is_empty(), "data keys are left under an old version: {left:?}");
    let under: i64 = versions.iter().map(|version| version.data_keys).sum();
    let calls = [VaultOperation::WrapKey, VaultOperation::UnwrapKey]
        .map(|of| customer.emulator.count(of))
        .iter()
        .sum::<usize>();
    let planned = plan.eta.map_or(0.0, |eta| eta.seconds as f64 + f64::from(eta.nanos) / 1e9);
    let working = took.saturating_sub(down).as_secs_f64();
    println!("data keys under the new version: {under} ({} when it was planned)", plan.data_keys);
    println!("vault calls: {calls} ({} planned), at most {:.0} a second", plan.vault_calls, plan.calls_per_second);
    println!("time: {working:.1} s at work ({planned:.1} s planned), {:.1} s of restarts", down.as_secs_f64());
    daemon.kill();

    // The customer does what the service said is safe; only the new version opens anything now.
    vault.disable_key_version("byok", &old.version)?;
    let lost = check(&ground, &customer, &journal, 0, directory.path()).await;
    println!("acknowledged: {}", journal.len());
    for lost in lost.iter().take(5) {
        println!("lost: {lost}");
    }
    if !lost.is_empty() {
        bail!("{} losses", lost.len());
    }
    println!("every acknowledged ciphertext opens, with the old version disabled");
    Ok(())
}

/// Apps, and a ciphertext of each: so many data keys.
async fn fill(client: &Client, data_keys: u32, journal: &Arc<Journal>) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..8u32 {
        let (client, journal) = (client.clone(), journal.clone());
        tasks.spawn(async move {
            for n in (worker..data_keys).step_by(8) {
                let app = format!("{}/apps/before-{n}", WORKSPACES[0]);
                let kind = pb::AppKind::App.into();
                client
                    .upsert_app(pb::UpsertAppRequest { name: app.clone(), kind, display_name: "drill".into() })
                    .await?;
                let plaintext = format!("secret {n}").into_bytes();
                let plaintext_hash = hash(&plaintext);
                // The limits of the vault are on: what it throttles is asked again.
                let answer = loop {
                    match client.encrypt(&app, Default::default(), plaintext.clone().into()).await {
                        Ok(answer) => break answer,
                        Err(client::Error::Refused(refused)) if refused.reason == "VAULT_THROTTLED" => {
                            tokio::time::sleep(Duration::from_millis(500)).await;
                        }
                        Err(error) => return Err(error.into()),
                    }
                };
                let ciphertext = answer.ciphertext.to_vec();
                journal.acknowledge(Acknowledged { app, context: Vec::new(), ciphertext, plaintext_hash, round: 0 });
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Looks at the operation until it is as wanted; gives up when it stands still.
async fn watch(client: &Client, name: &str, wanted: impl Fn(&pb::Operation) -> bool) -> Result<pb::Operation> {
    let (mut moved, mut last) = (Stopwatch::start(), None);
    loop {
        let now = client.operation(pb::GetOperationRequest { name: name.to_owned() }).await?;
        if wanted(&now) {
            return Ok(now);
        }
        if last.as_ref() != Some(&now) {
            (moved, last) = (Stopwatch::start(), Some(now));
        } else if moved.elapsed() > PATIENCE {
            bail!("the rotation stands still: {last:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_open(operation: &pb::Operation) -> bool {
    matches!(operation.state(), pb::OperationState::Planned | pb::OperationState::Running)
}
