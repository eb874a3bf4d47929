//! What can be typed about the ledger.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::ledger::ChainName;

#[derive(Subcommand)]
pub(crate) enum AuditVerb {
    /// List a chain's events, oldest first
    List {
        /// acme, workspaces/acme, or platform
        #[arg(value_parser = chain)]
        chain: ChainName,
        /// Only events with a number above this one
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
        /// Only so many, the newest
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        last: u32,
        /// Only events of this name, such as key.configured, or of this kind, such as key
        #[arg(long, value_name = "NAME")]
        event: Option<String>,
    },
    /// Write a chain as JSON lines that can be verified without the service
    Export {
        /// acme, workspaces/acme, or platform
        #[arg(value_parser = chain)]
        chain: ChainName,
        /// Where to: a file, which appears when it is whole and is gone on with if it was broken off; or - for standard output
        #[arg(short = 'o', long = "out", value_name = "FILE", default_value = "-")]
        out: PathBuf,
        /// Only events with a number above this one
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
        /// Replace a file that exists
        #[arg(long)]
        force: bool,
        /// To an OpenTelemetry collector instead (OTLP over gRPC), as log records: https://HOST:4317 or http://127.0.0.1:4317
        #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["out", "force"])]
        otlp: Option<client::Endpoint>,
        /// The authorities (PEM) that may vouch for an https:// collector; required there
        #[arg(long, value_name = "FILE", requires = "otlp")]
        otlp_ca: Option<PathBuf>,
    },
    /// Verify an export, without the service: whatever was altered, dropped, reordered or cut off is named
    Verify {
        /// The export; - for standard input
        export: PathBuf,
        #[command(flatten)]
        known: Known,
    },
    /// Hold the customer's own Key Vault log against an export, without the service: what one side only has is named
    Reconcile {
        /// The export of the workspace's chain; - for standard input
        export: PathBuf,
        /// The vault's log: AuditEvent records of Azure Monitor, or rows of AZKVAuditLogs or AzureDiagnostics, as JSON or JSON lines
        #[arg(long, value_name = "FILE")]
        vault_log: PathBuf,
        /// The service's application (client) id, as the customer's directory shows it
        #[arg(long, value_name = "GUID")]
        application: String,
        /// What one side only has counts so far from either end of the other's time: what was under way then, or not yet written by
        /// another replica, is nobody's fault
        #[arg(long, value_name = "SECONDS", default_value_t = ledger::reconcile::MARGIN.as_secs())]
        margin: u64,
        #[command(flatten)]
        known: Known,
    },
    /// Show a chain's newest checkpoint, which says how far it had come; keep it apart from the service
    Checkpoint {
        /// acme, workspaces/acme, or platform
        #[arg(value_parser = chain)]
        chain: ChainName,
        /// Have one made now
        #[arg(long)]
        now: bool,
        /// Write it to a file, for audit verify --checkpoint
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
        /// Replace a file that exists
        #[arg(long, requires = "out")]
        force: bool,
    },
}

/// What whoever judges an export knows from elsewhere than the export.
#[derive(Args)]
pub(crate) struct Known {
    /// A checkpoint that was kept (audit checkpoint -o FILE): what it has seen must be there, and by its key
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint: Vec<PathBuf>,
    /// The key that checkpoints must be signed by, as it was told before: 64 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    pub(super) public_key: Vec<[u8; 32]>,
    /// Expect only events with a number above this one, as audit export --after wrote them; what stands before is not looked at. An
    /// export that begins later misses some
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(super) after: u64,
}

fn chain(text: &str) -> Result<ChainName, String> {
    let full = if text == "platform" || text.contains('/') { text.to_owned() } else { format!("workspaces/{text}") };
    full.parse().map_err(|invalid: domain::name::InvalidName| invalid.to_string())
}

fn public_key(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "a public key is 64 lower-case hexadecimal digits".to_owned();
    ledger::export::hash(text.trim()).ok_or_else(wrong)
}
