//! `byokd dev`: the main job on one machine, with nothing to install and no cloud.
//!
//! Starts an emulated Key Vault and Entra ID (or uses one that runs), a database and the daemon; walks through what an app's
//! data goes through, over the same gRPC as everybody; then serves until Ctrl-C.

mod admin;
mod azure;
mod browser;
mod daemon;
mod home;
mod invite;
mod screen;
mod walk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use client::{Client, Endpoint, Options};
use tokio::signal::unix::{SignalKind, signal};

use crate::serve::{Address, Listener};
use crate::telemetry::{self, Format};
use crate::trouble::{Trouble, Troubles};

use self::azure::Azure;
use self::home::{Home, Tokens};
use self::screen::Screen;

/// What `byokd dev` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Exit after the walk; not 0 if a step failed
    #[arg(long)]
    once: bool,
    /// Serve at once, without the walk
    #[arg(long, conflicts_with = "once")]
    no_walk: bool,
    /// Keep everything in this directory; a fresh temporary one if absent
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen: plaintext, this machine only; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443")]
    grpc: SocketAddr,
    /// Where to listen for Event Grid: plaintext, this machine only; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7480")]
    http: SocketAddr,
    /// Where to listen for browsers that connect a directory: plaintext, this machine only; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7482")]
    pages: SocketAddr,
    /// Use an azure-emulator that already runs here, instead of one in this process
    #[arg(long, value_name = "ADDR", requires = "emulator_ca")]
    emulator: Option<SocketAddr>,
    /// The certificate (PEM) of that emulator's authority
    #[arg(long, value_name = "FILE", requires = "emulator")]
    emulator_ca: Option<PathBuf>,
    /// Open the database without syncing, so that a power loss takes what was acknowledged: for the drill's own proof
    #[cfg(feature = "drill")]
    #[arg(long, hide = true)]
    lose_acknowledged_writes: bool,
}

/// Interrupted by a signal, as shells count it.
const INTERRUPTED: u8 = 130;

/// Runs it; the exit code says whether every step showed what it was to show.
pub fn run(args: Args) -> Result<ExitCode, Troubles> {
    telemetry::start(Format::Text, tracing::Level::ERROR);
    secmem::harden(secmem::MemoryLock::Preferred)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|cause| Trouble::new(format_args!("no threads: {cause}"), "check the system's limits"))?;
    runtime.block_on(begin(args)).map_err(Into::into)
}

async fn begin(args: Args) -> Result<ExitCode, Trouble> {
    let interrupted = interrupted()?;
    tokio::pin!(interrupted);
    let mut screen = Screen::open();
    // A busy port is said before anything is made.
    let listener = Listener::plaintext_loopback(args.grpc)?;
    let http = Listener::plaintext_loopback(args.http)?;
    let hints_at = http.address();
    let pages = Listener::plaintext_loopback(args.pages)?;
    let Address::Tcp(pages_at) = pages.address() else { return Err(Trouble::new("no port", "name one with --pages")) };
    let Address::Tcp(at) = listener.address() else { return Err(Trouble::new("no port", "name one with --grpc")) };
    let endpoint = Endpoint::Loopback(at);
    let home = Home::open(args.data.as_deref())?;
    let azure = match (args.emulator, &args.emulator_ca) {
        (Some(addr), Some(ca)) => Azure::running(addr, crate::files::read(ca)?)?,
        (Some(_), None) | (None, _) => Azure::start(&home).await?,
    };
    let tokens = home.tokens()?;

    screen.title(&format!(
        "byokd {} on {endpoint}, with an emulated Azure on {}",
        env!("CARGO_PKG_VERSION"),
        azure.addr()
    ));
    #[cfg(feature = "drill")]
    let durability = match args.lose_acknowledged_writes {
        true => store::sqlite::Durability::LosesAcknowledgedWritesForDrills,
        false => store::sqlite::Durability::Full,
    };
    #[cfg(not(feature = "drill"))]
    let durability = store::sqlite::Durability::Full;
    let daemon = daemon::start(&home, &azure, &tokens, durability, (listener, http, pages)).await?;
    if args.no_walk {
        interrupted.await;
        daemon.stop().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let walked = tokio::select! {
        walked = walk_through((&endpoint, pages_at), &tokens, &azure, &home, &mut screen) => walked?,
        () = &mut interrupted => {
            daemon.stop().await?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    let walked = screen.outcome(walked);
    if !args.once {
        invite::print(&mut screen, &endpoint, &hints_at, &tokens, &home, &azure)?;
        interrupted.await;
        screen.line("stopping: calls under way may finish");
    }
    daemon.stop().await?;
    Ok(if walked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The walk of the two callers.
async fn walk_through(
    (endpoint, pages): (&Endpoint, SocketAddr),
    tokens: &Tokens,
    azure: &Azure,
    home: &Home,
    screen: &mut Screen,
) -> Result<bool, Trouble> {
    let (client, second) = (connect(endpoint, &tokens.dev).await?, connect(endpoint, &tokens.second).await?);
    Ok(walk::walk((client, second), azure, pages, home, screen).await)
}

async fn connect(endpoint: &Endpoint, token: &str) -> Result<Client, Trouble> {
    let options = Options { token: Some(token.to_owned()), ..Options::default() };
    let connected = Client::connect(endpoint, options).await;
    connected.map_err(|error| Trouble::new(error, "this is a fault of byokd: please report it"))
}

/// Ready when somebody wants this to end: Ctrl-C, a polite kill, a lost terminal.
fn interrupted() -> Result<impl Future<Output = ()>, Trouble> {
    let hear = |kind| signal(kind).map_err(|cause| Trouble::new(cause, "check the system's limits"));
    let (mut int, mut term) = (hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?);
    let mut hangup = hear(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
