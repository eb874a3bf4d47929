//! What can be typed: nouns here, the verbs of each beside.

mod app;
mod caller;
mod data;
mod key;
mod names;
mod operation;
mod tenant;
mod workspace;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use client::Endpoint;

pub(crate) use app::{AppVerb, Kind};
pub(crate) use caller::CallerVerb;
pub(crate) use data::{DataVerb, Pipe, Target};
pub(crate) use key::{Candidate, KeyVerb, Otherwise};
pub(crate) use names::{AppName, Scope};
pub(crate) use operation::OperationVerb;
pub(crate) use tenant::TenantVerb;
pub(crate) use workspace::WorkspaceVerb;

const EXIT_CODES: &str = "\
Exit codes: 0 done · 2 the caller can fix it (usage, names, files, wrong ciphertext) · 3 the customer can (their vault, key or \
directory) · 4 the service's operators can · 130 interrupted · 141 the reader of a pipe went away.";

/// The command line.
#[derive(Parser)]
#[command(name = "byokctl", version, about = "Administers byokd and encrypts and decrypts files with it", after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// What every command takes.
#[derive(clap::Args)]
pub(crate) struct Global {
    /// Where byokd listens: unix:/path, https://host:port, or http://127.0.0.1:port
    #[arg(
        long,
        global = true,
        env = "BYOKCTL_SERVER",
        value_name = "ADDRESS",
        default_value = "http://127.0.0.1:7443"
    )]
    pub(crate) server: Endpoint,
    /// A file that holds the bearer token; else the variable BYOKCTL_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The authorities (PEM) that may vouch for an https:// address; required there
    #[arg(long, global = true, env = "BYOKCTL_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A client certificate (PEM) to show to an https:// address, with --certificate-key; a token that is given as well counts alone
    #[arg(long, global = true, env = "BYOKCTL_CERTIFICATE", value_name = "FILE", requires = "certificate_key")]
    pub(crate) certificate: Option<PathBuf>,
    /// The private key (PEM) of --certificate
    #[arg(long, global = true, env = "BYOKCTL_CERTIFICATE_KEY", value_name = "FILE", requires = "certificate")]
    pub(crate) certificate_key: Option<PathBuf>,
    /// How answers are printed; docs/byokctl.md lists the fields of the JSON
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people; may change.
    Table,
    /// For programs; fields are only added.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Noun {
    /// Customers of the platform
    #[command(subcommand)]
    Workspace(WorkspaceVerb),
    /// Apps and bots of a workspace
    #[command(subcommand)]
    App(AppVerb),
    /// The customer's key of a workspace
    #[command(subcommand)]
    Key(KeyVerb),
    /// What takes longer than a call, or a second person: rotations, another key, leaving the key, destroying a data key
    #[command(subcommand)]
    Operation(OperationVerb),
    /// Files and pipes of any size
    #[command(subcommand)]
    Data(DataVerb),
    /// The ledger: what was done, in chains that nobody can change unseen
    #[command(subcommand)]
    Audit(crate::audit::AuditVerb),
    /// Who may call, and what they were given
    #[command(subcommand)]
    Caller(CallerVerb),
    /// The directories (Entra tenants) a workspace is connected to
    #[command(subcommand)]
    Tenant(TenantVerb),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use client::pb;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    /// clap's own check of the definitions: no clashing names, no impossible requirement.
    #[test]
    fn the_definitions_are_consistent() {
        Args::command().debug_assert();
    }

    /// What `operation` is said to be about is every kind of operation there is.
    #[test]
    fn the_help_of_operation_names_every_kind() {
        let command = Args::command();
        let about = command.find_subcommand("operation").unwrap().get_about().unwrap().to_string();
        for (kind, words) in [
            (pb::OperationKind::RotateKey, "rotations"),
            (pb::OperationKind::RotateDataKeys, "rotations"),
            (pb::OperationKind::ReplaceKey, "another key"),
            (pb::OperationKind::LeaveCustomerKey, "leaving the key"),
            (pb::OperationKind::DestroyDataKey, "destroying a data key"),
        ] {
            assert!(about.contains(words), "{kind:?}: {about}");
        }
        assert!(pb::OperationKind::try_from(6).is_err(), "a new kind has its words in the help, and its line here");
    }

    /// The commands of the guide are typed as the tour shows them.
    #[test]
    fn the_commands_of_the_tour_parse() {
        for line in [
            "byokctl workspace create acme --display-name Acme",
            "byokctl app upsert workspaces/acme/apps/bot --kind bot",
            "byokctl key configure acme --key-identifier https://v.vault.azure.net/keys/k --tenant 8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01 --lease 2s",
            "byokctl data encrypt --app acme/bot --context order=42 in.txt -o out.byok",
            "byokctl --output json data inspect out.byok",
            "byokctl data decrypt --app acme/bot --server unix:/run/byokd.sock",
            "byokctl key export acme --output json",
            "byokctl key test acme",
            "byokctl key test acme --key-identifier https://v.vault.azure.net/keys/k --tenant 8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01",
            "byokctl key tests acme --output json",
            "byokctl key rotate acme --dry-run",
            "byokctl key rotate workspaces/acme --to 00112233445566778899aabbccddeeff --no-wait",
            "byokctl key rotate-data-keys acme --app acme/bot --older-than 90d",
            "byokctl operation watch 01JABCDEFGHJKMNPQRSTVWXYZ0",
            "byokctl key schedule acme --at 2027-03-01T09:00 --zone Europe/Berlin --otherwise refuse",
            "byokctl key select acme --every --preview",
            "byokctl key select acme --only support-bot --only crm",
            "byokctl key select acme --add support-bot --remove crm",
            "byokctl key revoke acme --yes",
            "byokctl key restore acme",
            "byokctl operation show 01JABCDEFGHJKMNPQRSTVWXYZ0",
            "byokctl operation approve operations/01JABCDEFGHJKMNPQRSTVWXYZ0",
            "byokctl operation reject 01JABCDEFGHJKMNPQRSTVWXYZ0",
            "byokctl key replace acme --key-identifier https://v.vault.azure.net/keys/k --tenant 8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01 --dry-run",
            "byokctl key leave acme --dry-run",
            "byokctl key destroy-data-key workspaces/acme/apps/bot/dataKeys/00112233445566778899aabbccddeeff --yes",
            "byokctl key watch acme --output json",
            "byokctl caller create billing --grant platform-service@*/support-* --grant auditor@acme --expires 2027-01-01T00:00:00Z",
            "byokctl caller grant callers/billing auditor@acme-*",
            "byokctl caller revoke-grant billing auditor@acme-*",
            "byokctl caller set billing --expires never --certificate-name spiffe://platform.example/billing",
            "byokctl caller issue-token billing --output json",
            "byokctl caller remove-token billing a",
            "byokctl caller delete billing --yes",
            "byokctl tenant credential add-secret acme --client-id 8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01 --expires 2027-03-01",
            "byokctl tenant credential make-certificate acme --client-id 8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01 --out byokd-acme.pem",
            "byokctl tenant credential list acme --output json",
            "byokctl tenant credential test workspaces/acme/credentials/00112233445566778899aabbccddeeff",
            "byokctl tenant credential activate workspaces/acme/credentials/00112233445566778899aabbccddeeff",
            "byokctl tenant credential remove workspaces/acme/credentials/00112233445566778899aabbccddeeff",
            "byokctl tenant use-platform-app acme",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in ["byokctl data encrypt in.txt", "byokctl --server http://10.0.0.1:1 workspace list", "byokctl key"]
        {
            let Err(error) = parse(line) else { panic!("{line} was accepted") };
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
