//! `byokctl data …`.

use std::path::PathBuf;

use clap::Subcommand;
use domain::WorkspaceId;

use super::names::{AppName, app, entry, workspace};

#[derive(Subcommand)]
pub(crate) enum DataVerb {
    /// Encrypt a file or pipe of any size
    ///
    /// The result is a stream, whatever its size, unless --message asks for the compact form that one Encrypt call gives.
    Encrypt {
        #[command(flatten)]
        target: Target,
        /// Make one message (at most 4 MiB, 96 bytes longer than the input), which Decrypt and BatchDecrypt open
        #[arg(long)]
        message: bool,
        #[command(flatten)]
        pipe: Pipe,
    },
    /// Decrypt a file or pipe; messages and streams are told apart by their header
    ///
    /// Into a file, the plaintext appears only when all of it is authentic. Into a pipe it flows as it comes: if the end turns
    /// out not to be authentic, that is said and the exit code is not 0, and what was written must be discarded.
    Decrypt {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        pipe: Pipe,
    },
    /// Show what a ciphertext says of itself, without a key; or count many by data key
    ///
    /// One file is shown in full. Directories (with all that is in them), several files, and with --lines the lines of base64 in a
    /// file are counted by data key; what is no ciphertext is named. With --workspace the service is asked whose data keys they
    /// are and under which protection; nothing else is sent to it.
    Inspect {
        /// Ciphertexts, or directories of them; - or nothing is standard input
        #[arg(value_name = "PATH", default_value = "-")]
        paths: Vec<PathBuf>,
        /// Each line of the input is a ciphertext in base64
        #[arg(long)]
        lines: bool,
        /// Ask the service about this workspace's data keys: app and protection of each
        #[arg(long, value_name = "WORKSPACE", value_parser = workspace)]
        workspace: Option<WorkspaceId>,
    },
    /// Encrypt a ciphertext again under the app's present data key; or all in a directory or in lines of base64
    ///
    /// A message is opened and sealed inside the service. A stream is decrypted and encrypted through this program, in memory.
    /// Of many, those that are under the present data key already are left as they are, so that it can be run again at any time;
    /// each file is replaced in one step.
    #[command(visible_alias = "re-encrypt")]
    Reencrypt {
        #[command(flatten)]
        target: Target,
        /// An entry of the context to change to; repeatable. Absent: the same context
        #[arg(long = "new-context", value_name = "KEY=VALUE", value_parser = entry, conflicts_with = "no_context")]
        new_context: Vec<(String, String)>,
        /// Change to no context at all
        #[arg(long)]
        no_context: bool,
        /// FILE is a directory: encrypt every file in it again, and replace each in its place
        #[arg(long, conflicts_with_all = ["new_context", "no_context", "out", "force", "lines"])]
        in_place: bool,
        /// Each line of the input is a ciphertext in base64, and so is each of the output
        #[arg(long, conflicts_with_all = ["new_context", "no_context"])]
        lines: bool,
        #[command(flatten)]
        pipe: Pipe,
    },
}

/// For whom data is sealed.
#[derive(clap::Args)]
pub(crate) struct Target {
    /// workspaces/acme/apps/support-bot or acme/support-bot
    #[arg(long, value_name = "APP", value_parser = app)]
    pub(crate) app: AppName,
    /// An entry of the context, which is authenticated and not stored: the same entries open it; repeatable
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = entry)]
    pub(crate) context: Vec<(String, String)>,
}

/// Where data comes from and goes to.
#[derive(clap::Args)]
pub(crate) struct Pipe {
    /// What to read; - or nothing is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// What to write, appearing only when it is whole; - or nothing is standard output
    #[arg(short = 'o', long = "out-file", value_name = "FILE", default_value = "-")]
    pub(crate) out: PathBuf,
    /// Replace the output file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}
