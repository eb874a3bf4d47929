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
    /// Make the platform's own key.
    #[command(subcommand)]
    PlatformKey(PlatformKeyCommand),
    /// Look at the database of a daemon that is not running.
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
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Verify every row, every set of rows and every audit chain.
    Check(ConfigFile),
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
