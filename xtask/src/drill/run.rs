//! One drill from its first start to its verdict.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use azure_emulator::{Emulator, KeyOperation, Role, RoleScope};
use byokd::clock::SystemClock;
use client::{Client, pb};
use domain::Clock;
use indicatif::{ProgressBar, ProgressStyle};
use vault::CustomerKeys;
use vault::azure::{AzureKeys, AzureOptions, ClientSecret, DevelopmentConnector, PlatformCredential};

use super::checker::Checker;
use super::daemon::{Ground, program};
use super::journal::Journal;
use super::seed::Seed;
use super::{Death, Options, crash, load};
use crate::stopwatch::Stopwatch;

/// After how many rounds the acknowledged ciphertexts are checked; all of them once more at the end.
const CHECK_EVERY: u32 = 25;
/// Ahead of now: the soonest date that `byokd dev` takes, and a little.
const SOONEST_DATE: Duration = Duration::from_secs(8);
/// How long after now it has to have come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The workspaces under load: one under a customer key, one under the platform's.
pub(super) const WORKSPACES: [&str; 2] = ["workspaces/acme", "workspaces/globex"];

pub(super) async fn run(death: Death, rounds: u32, options: &Options) -> Result<()> {
    ensure!(rounds > 0, "a drill of no rounds shows nothing");
    let number = options.seed.map_or_else(Seed::drawn, Ok)?;
    println!("drill: {death:?}, {rounds} rounds, --seed {number}");
    let mut seed = Seed::new(number);
    let directory = tempfile::tempdir()?;
    let customer = Customer::start(directory.path()).await?;
    let ground = ground(death, options, directory.path(), &customer)?;
    std::fs::create_dir_all(&ground.files)?;
    set_up(&ground.start(false).await?.client, &customer).await?;

    let journal = Arc::new(Journal::default());
    let workspaces: Arc<[String]> = WORKSPACES.map(str::to_owned).into();
    let apps = Arc::new(AtomicU64::new(0));
    let progress = progress(rounds);
    let mut tally = Tally::default();
    let mut checked = 0;
    for round in 1..=rounds {
        let unsynced = one_round(death, &ground, &journal, &workspaces, &apps, round, &mut seed).await;
        match unsynced {
            Ok(unsynced) => tally.unsynced += unsynced,
            Err(error) => tally.lost.push(format!("round {round}: {error:#}")),
        }
        if round % CHECK_EVERY == 0 || round == rounds || !tally.lost.is_empty() {
            let whole = round == rounds;
            let from = if whole { 0 } else { checked };
            tally.lost.extend(check(&ground, &customer, &journal, from, directory.path()).await);
            checked = journal.len();
        }
        progress.set_position(round.into());
        progress.set_message(format!("{} acknowledged, {} lost", journal.len(), tally.lost.len()));
        if !tally.lost.is_empty() {
            break;
        }
    }
    progress.finish_and_clear();
    println!("data keys' apps made: {}", apps.load(std::sync::atomic::Ordering::Relaxed));
    verdict(death, &tally, journal.len())
}

/// What a run found.
#[derive(Default)]
struct Tally {
    lost: Vec<String>,
    unsynced: u64,
}

/// Start, load, death, and for a power loss what it takes away. Returns how many sectors had not been synced.
async fn one_round(
    death: Death,
    ground: &Ground,
    journal: &Arc<Journal>,
    workspaces: &Arc<[String]>,
    apps: &Arc<AtomicU64>,
    round: u32,
    seed: &mut Seed,
) -> Result<u64> {
    if let Some((_, images)) = &ground.shim {
        crash::begin(&ground.files, images)?;
    }
    let daemon = ground.start(true).await?;
    let load = load::run(daemon.client.clone(), workspaces.clone(), journal.clone(), apps.clone(), round, seed.split());
    let load = tokio::spawn(load);
    // Every other time while it is still cold and keys are being made and opened, else under full load.
    let life = if round.is_multiple_of(2) { 20 + seed.below(180) } else { 200 + seed.below(400) };
    tokio::time::sleep(Duration::from_millis(life)).await;
    daemon.kill();
    load.await?;
    match (death, &ground.shim) {
        (Death::PowerLoss { .. }, Some((_, images))) => crash::lose_power(&ground.files, images, seed),
        _ => Ok(0),
    }
}

/// The checker works on a copy: it must not finish for the daemon what the crash left undone.
pub(super) async fn check(
    ground: &Ground,
    customer: &Customer,
    journal: &Journal,
    from: usize,
    scratch: &Path,
) -> Vec<String> {
    let checked = async {
        let copy = tempfile::tempdir_in(scratch)?;
        for name in ["byokd.db", "byokd.db-wal"] {
            let file = ground.files.join(name);
            if file.exists() {
                std::fs::copy(&file, copy.path().join(name))?;
            }
        }
        let vault = customer.keys.clone();
        let mut checker = Checker::open(&copy.path().join("byokd.db"), &ground.files.join("platform.key"), vault)?;
        anyhow::Ok(checker.check(journal, from).await)
    };
    checked.await.unwrap_or_else(|error| vec![format!("the database cannot be read: {error:#}")])
}

fn verdict(death: Death, tally: &Tally, acknowledged: usize) -> Result<()> {
    println!("acknowledged: {acknowledged}");
    if tally.unsynced > 0 {
        println!("sectors written and not synced when the power went: {}", tally.unsynced);
    }
    for lost in tally.lost.iter().take(5) {
        println!("lost: {lost}");
    }
    let must_lose = death == Death::PowerLoss { synchronous_off: true };
    match (tally.lost.len(), must_lose) {
        (0, false) => println!("every acknowledged ciphertext opens"),
        (0, true) => bail!("nothing was lost without syncing: the drill would not notice"),
        (lost, true) => println!("{lost} losses found without syncing, as it must be"),
        (lost, false) => bail!("{lost} losses"),
    }
    ensure!(must_lose || acknowledged > 0, "nothing was acknowledged, so nothing was shown");
    Ok(())
}

pub(super) fn ground(death: Death, options: &Options, directory: &Path, customer: &Customer) -> Result<Ground> {
    let shim = match death {
        Death::Kill => None,
        Death::PowerLoss { .. } => {
            let shim = directory.join("unsynced.so");
            crash::build_shim(&shim)?;
            Some((shim, directory.join("images")))
        }
    };
    let emulator_ca = directory.join("emulator-ca.pem");
    std::fs::write(&emulator_ca, customer.emulator.ca_pem())?;
    Ok(Ground {
        program: program(options, death)?,
        files: directory.join("files"),
        emulator: customer.emulator.addr(),
        emulator_ca,
        synchronous_off: death == Death::PowerLoss { synchronous_off: true },
        shim,
    })
}

/// The customer's side, which outlives every daemon.
pub(super) struct Customer {
    pub(super) emulator: Emulator,
    pub(super) tenant: String,
    key: String,
    pub(super) keys: Arc<dyn CustomerKeys>,
}

impl Customer {
    pub(super) fn vault(&self) -> azure_emulator::VaultHandle {
        self.emulator.tenant("acme").vault("acme-keys")
    }

    pub(super) async fn start(directory: &Path) -> Result<Self> {
        let state_dir = Some(directory.join("emulator"));
        let emulator = Emulator::start(azure_emulator::Options { state_dir, ..Default::default() }).await?;
        let tenant = emulator.tenant("acme");
        let vault = tenant.vault("acme-keys");
        vault.create_key("byok", 2048, &[KeyOperation::WrapKey, KeyOperation::UnwrapKey]).await?;
        let app = emulator.app("byokd-dev");
        let principal = tenant.consent(&app);
        vault.assign_role(&principal, Role::CryptoServiceEncryptionUser, RoleScope::Vault);
        let secret = PlatformCredential::Secret(ClientSecret::new(app.add_secret().into()));
        let connector = DevelopmentConnector { addr: emulator.addr(), ca_pem: emulator.ca_pem().as_bytes().to_vec() };
        let (clock, entropy) = (Arc::new(byokd::clock::SystemClock), Arc::new(byokd::entropy::SystemEntropy));
        let options = AzureOptions::new(app.client_id(), secret, clock, entropy)?.development(connector);
        let keys = Arc::new(AzureKeys::new(options)?);
        Ok(Self {
            tenant: tenant.id().to_owned(),
            key: format!("{}/keys/byok", vault.url().trim_end_matches('/')),
            emulator,
            keys,
        })
    }
}

pub(super) async fn set_up(client: &Client, customer: &Customer) -> Result<()> {
    for name in WORKSPACES {
        let workspace_id = name.trim_start_matches("workspaces/").to_owned();
        let request = pb::CreateWorkspaceRequest { workspace_id, display_name: "drill".into() };
        client.create_workspace(request).await.context("cannot create a workspace")?;
    }
    let request = pb::ConfigureKeyRequest {
        name: format!("{}/key", WORKSPACES[0]),
        key_identifier: customer.key.clone(),
        tenant_id: customer.tenant.clone(),
        ..Default::default()
    };
    let key = client.configure_key(request).await.context("cannot configure the customer's key")?;
    put_in_force(client, customer, &key).await
}

/// The way a customer goes: proves the key theirs, tests it, sets the soonest date, and waits for it.
async fn put_in_force(client: &Client, customer: &Customer, key: &pb::Key) -> Result<()> {
    customer.vault().set_tag("byok", &key.ownership_tag, &key.ownership_nonce)?;
    let test = pb::TestConfigurationRequest { name: key.name.clone(), ..Default::default() };
    let test = client.test_configuration(test, |_| ()).await.context("cannot test the customer's key")?;
    ensure!(test.passed, "the customer's key does not pass its test: {:?}", test.steps);
    let at = SystemClock.now().wall.saturating_add(SOONEST_DATE).to_string();
    let schedule = pb::ScheduleEnforcementRequest {
        name: key.name.clone(),
        local_time: at.chars().take("2027-03-01T09:00:00".len()).collect(),
        time_zone: "UTC".to_owned(),
        ..Default::default()
    };
    client.schedule_enforcement(schedule).await.context("cannot set a date")?;
    let waited = Stopwatch::start();
    loop {
        let now = client.key(pb::GetKeyRequest { name: key.name.clone() }).await?;
        if now.phase() == pb::KeyPhase::Enforced {
            return Ok(());
        }
        ensure!(waited.elapsed() < PATIENCE, "the customer's key is not in force: {now:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// On a terminal only.
fn progress(rounds: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} rounds, {msg}, {eta} left");
    let bar = ProgressBar::new(rounds.into());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
