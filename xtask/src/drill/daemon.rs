//! The daemon under the drill: a process of its own, started, found ready, and killed by its number.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::{Client, Endpoint, Options};

use super::{Death, Options as DrillOptions};
use crate::stopwatch::Stopwatch;
use crate::tool::Cargo;

/// How long a start may take before it counts as a failure to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every start of the daemon needs.
pub(crate) struct Ground {
    pub(crate) program: PathBuf,
    /// The daemon's files, the database's among them.
    pub(crate) files: PathBuf,
    pub(crate) emulator: SocketAddr,
    pub(crate) emulator_ca: PathBuf,
    pub(crate) synchronous_off: bool,
    /// The shim and the directory of its images.
    pub(crate) shim: Option<(PathBuf, PathBuf)>,
}

/// A running daemon and a connection to it. Dropped, it is killed.
pub(crate) struct Daemon {
    process: Child,
    pub(crate) client: Client,
    /// Where it listens.
    pub(crate) at: SocketAddr,
}

/// Builds the daemon, or takes the one that is there.
pub(crate) fn program(options: &DrillOptions, death: Death) -> Result<PathBuf> {
    if let Some(directory) = &options.binaries {
        let program = directory.join("byokd");
        return program.is_file().then_some(program).with_context(|| format!("no byokd in {}", directory.display()));
    }
    let mut args = vec!["build", "--quiet", "--locked", "--package", "byokd"];
    let seeded = death == Death::PowerLoss { synchronous_off: true };
    if seeded {
        // The one way to open a database that loses writes is in no other build.
        args.extend(["--features", "drill", "--target-dir", "target/drill"]);
    }
    let cargo = Cargo::of_this_workspace();
    crate::tool::run(&mut cargo.command(&args))?;
    let target = crate::tool::workspace_root().join("target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
    Ok(if seeded { crate::tool::workspace_root().join("target/drill") } else { target }.join("debug/byokd"))
}

impl Ground {
    /// Starts the daemon and waits until it answers. `watched`: under the shim.
    pub(crate) async fn start(&self, watched: bool) -> Result<Daemon> {
        let at = free_port()?;
        let log = self.files.with_extension("log");
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = Command::new(&self.program);
        command.args(["dev", "--no-walk", "--data"]).arg(&self.files).arg("--grpc").arg(at.to_string());
        command.args(["--http", "127.0.0.1:0", "--pages", "127.0.0.1:0"]);
        command.arg("--emulator").arg(self.emulator.to_string()).arg("--emulator-ca").arg(&self.emulator_ca);
        if self.synchronous_off {
            command.arg("--lose-acknowledged-writes");
        }
        if let (Some((shim, images)), true) = (&self.shim, watched) {
            command.env("LD_PRELOAD", shim).env("POWER_LOSS_FILES", &self.files).env("POWER_LOSS_IMAGES", images);
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut process = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        match self.ready(&mut process, at).await {
            Ok(client) => Ok(Daemon { process, client, at }),
            Err(error) => {
                kill(&mut process);
                Err(error.context(format!("the daemon did not come up; its last words: {}", last_words(&log))))
            }
        }
    }

    async fn ready(&self, process: &mut Child, at: SocketAddr) -> Result<Client> {
        let waited = Stopwatch::start();
        loop {
            if let Some(status) = process.try_wait()? {
                bail!("it ended with {status}");
            }
            // It listens before it is ready, so the token's file may not be there yet.
            let attempt = async {
                let token = Some(std::fs::read_to_string(self.files.join("token"))?);
                let options = Options { token, connect_timeout: Duration::from_secs(1), ..Options::default() };
                anyhow::Ok(Client::connect(&Endpoint::Loopback(at), options).await?)
            };
            match attempt.await {
                Ok(client) => return Ok(client),
                Err(_) if waited.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Daemon {
    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(mut self) {
        kill(&mut self.process);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        kill(&mut self.process);
    }
}

fn kill(process: &mut Child) {
    // Both fail only for a process that is gone already.
    drop(process.kill());
    drop(process.wait());
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let from = text.len().saturating_sub(600);
    text.get(from..).unwrap_or_default().trim().to_owned()
}
