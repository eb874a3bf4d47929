//! `byokd`: the daemon's commands.

use std::path::PathBuf;
use std::process::ExitCode;

use byokd::command::{self, InitFrom};
use byokd::trouble::Trouble;
use clap::{Args, Parser, Subcommand};

/// Measured to serve an eighth more calls than the C library's allocator: short-lived buffers of a few sizes, freed by the
/// thread that made them.
///
/// Wiped as they are freed: plaintexts, tokens and unwrapped keys pass buffers of libraries that wipe nothing.
#[global_allocator]
static ALLOCATOR: secmem::Wiping<mimalloc::MiMalloc> = secmem::Wiping(mimalloc::MiMalloc);

/// A key service for SaaS platforms whose customers bring their own key.
#[derive(Parser)]
#[command(name = "byokd", version, about, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve over TLS or a Unix socket, until SIGTERM.
    Serve(ConfigFile),
    /// Try it: the daemon with an emulated Azure, a walk through what it does, then serve until Ctrl-C.
    #[cfg(feature = "dev")]
    Dev(byokd::dev::Args),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make the platform's own key, and go over to another.
    #[command(subcommand)]
    PlatformKey(PlatformKeyCommand),
    /// Look at the database of a daemon that is not running, or accept a restored one.
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Report every fault of a configuration and of the files it names.
    Check(ConfigFile),
}

#[derive(Subcommand)]
enum PlatformKeyCommand {
    /// Create a platform key; an existing file is never touched.
    Init(Init),
    /// Say which keys the file has, and, while the service does not run, how much of the database is under each.
    List(ConfigFile),
    /// Add a key that opens and does not seal yet. Back the file up before it is promoted.
    Add(ConfigFile),
    /// Make a key the one that seals. The service must not run.
    Promote(OneKey),
    /// Seal every row anew under the key that seals. The service must not run; goes on where it was interrupted.
    Reseal(ConfigFile),
    /// Take a key that nothing is under out of the file, for good. The service must not run.
    Remove(OneKey),
}

#[derive(Args)]
struct OneKey {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The key's id.
    #[arg(long, value_name = "ID")]
    key: domain::PlatformKeyId,
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Verify every row, every set of rows and every audit chain.
    Check(ConfigFile),
    /// Accept a database that does not stand where its head says, as after a restore: without names, only say what would be lost.
    Accept(AcceptArgs),
}

#[derive(Args)]
struct AcceptArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The revision of the database that is accepted, as it was printed.
    #[arg(long, value_name = "REVISION", requires = "approved_by")]
    revision: Option<u64>,
    /// Who accepts it: given twice, by two people. Their names stand in the platform's audit chain.
    #[arg(long, value_name = "NAME", requires = "revision")]
    approved_by: Vec<String>,
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Init {
    /// The path of the new file, which will hold the key itself.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A configuration that names the file, and the vault's key that wraps it if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    keep_to_small_pages();
    let out = &mut std::io::stdout();
    let done = match Cli::parse().command {
        Command::Serve(ConfigFile { config }) => command::serve(&config),
        #[cfg(feature = "dev")]
        Command::Dev(args) => match byokd::dev::run(args) {
            Ok(code) => return code,
            Err(troubles) => Err(troubles),
        },
        Command::Config(ConfigCommand::Check(ConfigFile { config })) => command::config_check(&config, out),
        Command::Store(StoreCommand::Check(ConfigFile { config })) => command::store_check(&config, out),
        Command::Store(StoreCommand::Accept(AcceptArgs { config, revision, approved_by })) => {
            command::store_accept(&config, &command::Accept { revision, approved_by }, out)
        }
        Command::PlatformKey(PlatformKeyCommand::List(ConfigFile { config })) => {
            command::platform_key_list(&config, out)
        }
        Command::PlatformKey(PlatformKeyCommand::Add(ConfigFile { config })) => command::platform_key_add(&config, out),
        Command::PlatformKey(PlatformKeyCommand::Promote(OneKey { config, key })) => {
            command::platform_key_promote(&config, key, out)
        }
        Command::PlatformKey(PlatformKeyCommand::Reseal(ConfigFile { config })) => {
            command::platform_key_reseal(&config, out)
        }
        Command::PlatformKey(PlatformKeyCommand::Remove(OneKey { config, key })) => {
            command::platform_key_remove(&config, key, out)
        }
        Command::PlatformKey(PlatformKeyCommand::Init(Init { file, config })) => match (file, config) {
            (Some(file), _) => command::platform_key_init(InitFrom::File(file), out),
            (None, Some(config)) => command::platform_key_init(InitFrom::Config(config), out),
            // clap asks for one of the two.
            (None, None) => Err(Trouble::new("no file is named", "name one with --file or --config").into()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(troubles) => {
            anstream::eprintln!("{troubles}");
            ExitCode::FAILURE
        }
    }
}

/// The allocator asks for huge pages, and each of its size classes that is touched once then costs 2 MiB: measured, two thirds
/// of what a daemon holds. A kernel that refuses costs memory and nothing else.
fn keep_to_small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
