//! `byokctl key …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use domain::{AppId, KeyVersionId, WorkspaceId};

use super::names::{AppName, DataKeyName, age, app, data_key, lease, workspace};

#[derive(Subcommand)]
pub(crate) enum KeyVerb {
    /// Connect the customer's key: it is read and proved by wrapping and unwrapping; a draft until it is tested and a date set
    Configure {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// The key's Key Identifier, or its vault's URI together with --key-name
        #[arg(long, value_name = "URL")]
        key_identifier: String,
        /// The key's name, if --key-identifier is a vault's URI
        #[arg(long, value_name = "NAME")]
        key_name: Option<String>,
        /// The vault's directory: its Tenant ID, or one of its domains
        #[arg(long, value_name = "TENANT")]
        tenant: String,
        /// The longest time a data key is used after the vault last said yes, 1s to 300s
        #[arg(long, value_name = "SECONDS", value_parser = lease)]
        lease: Option<Duration>,
        /// Whether a new version that is found in the vault is rotated to by itself; yes if never said
        #[arg(long, value_name = "YES|NO", value_parser = clap::builder::BoolishValueParser::new())]
        follow_new_versions: Option<bool>,
        /// Whether disabling the newest version takes the key back while data is under an older one; yes if never said
        #[arg(long, value_name = "YES|NO", value_parser = clap::builder::BoolishValueParser::new())]
        newest_version_counts: Option<bool>,
    },
    /// Show the key's configuration
    Status {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
    /// Test the key's configuration step by step; says which step failed, why, and what to paste to mend it
    Test {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        #[command(flatten)]
        candidate: Candidate,
    },
    /// List the tests there have been, newest first
    Tests {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
    /// Set or move the date from which the selected apps' new data is under the customer's key; needs a passed test
    Schedule {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// By the clocks in --zone: 2027-03-01 (its first instant) or 2027-03-01T09:00
        #[arg(long, value_name = "DATE")]
        at: String,
        /// An IANA zone, such as Europe/Berlin or UTC
        #[arg(long)]
        zone: String,
        /// What happens to the selected apps if the date cannot be kept
        #[arg(long, value_enum, default_value_t = Otherwise::Stay)]
        otherwise: Otherwise,
    },
    /// Choose which apps and bots are under the customer's key: their new data goes over, old data keeps its key
    Select {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Every app and bot, future ones too
        #[arg(long, conflicts_with_all = ["only", "add", "remove"], required_unless_present_any = ["only", "add", "remove"])]
        every: bool,
        /// This app, and no others than those named so; repeatable
        #[arg(long, value_name = "APP", conflicts_with_all = ["add", "remove"])]
        only: Vec<AppId>,
        /// This app too; repeatable
        #[arg(long, value_name = "APP")]
        add: Vec<AppId>,
        /// This app no more; repeatable
        #[arg(long, value_name = "APP")]
        remove: Vec<AppId>,
        /// Say what would happen, and change nothing
        #[arg(long)]
        preview: bool,
    },
    /// Switch the key off here: nothing is encrypted or decrypted under it until it is restored; nothing is deleted
    Revoke {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Do it: its apps stop
        #[arg(long)]
        yes: bool,
    },
    /// Switch the key on again
    Restore {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
    /// List the key's recorded versions, newest first: what is under each, and whether it may be disabled or deleted
    Versions {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
    /// Export the wrapped data keys: with them and the customer's vault the data is readable without this service
    Export {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Write the JSON document to FILE, which appears only when it is whole
        #[arg(short = 'o', long = "out-file", value_name = "FILE")]
        out: Option<PathBuf>,
        /// Replace FILE if it exists
        #[arg(long, requires = "out")]
        force: bool,
    },
    /// Go over to another version of the key, with every data key, and watch it
    Rotate {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// The version, 32 hexadecimal digits; the newest one in the vault if absent
        #[arg(long, value_name = "VERSION")]
        to: Option<KeyVersionId>,
        /// Only show what it would take
        #[arg(long)]
        dry_run: bool,
        /// Do not wait for its end: `operation watch` does
        #[arg(long, conflicts_with = "dry_run")]
        no_wait: bool,
    },
    /// Give apps new data keys, and watch it; the ones before go on opening
    RotateDataKeys {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// This app or bot alone: acme/support-bot
        #[arg(long, value_name = "APP", value_parser = app)]
        app: Option<AppName>,
        /// Only where the present data key has been active for longer, such as 90d, 12h, 30m or 45s
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Option<Duration>,
        /// Do not wait for its end: `operation watch` does
        #[arg(long)]
        no_wait: bool,
    },
    /// Go over to another key, with every data key; test it first, and set its tag and the old one's
    ///
    /// In another vault or tenant this only asks for it: somebody else approves it, and then it waits a day in which it can be
    /// cancelled.
    Replace {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// The other key's Key Identifier, or its vault's URI together with --key-name
        #[arg(long, value_name = "URL")]
        key_identifier: String,
        /// The key's name, if --key-identifier is a vault's URI
        #[arg(long, value_name = "NAME")]
        key_name: Option<String>,
        /// The vault's directory: its Tenant ID, or one of its domains
        #[arg(long, value_name = "TENANT")]
        tenant: String,
        /// Only show what it would take
        #[arg(long)]
        dry_run: bool,
        /// Do not wait for its end: `operation watch` does
        #[arg(long, conflicts_with = "dry_run")]
        no_wait: bool,
    },
    /// Ask for going back to the platform's key for new data; somebody else approves it
    ///
    /// What is under the customer's key stays there and needs it: the answer lists it by app.
    Leave {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Only list what still needs the customer's key; also when the workspace has left it
        #[arg(long)]
        dry_run: bool,
    },
    /// Ask for the destruction of a retired data key; somebody else approves it, and it waits seven days
    ///
    /// What it sealed can never be opened again, by anybody.
    DestroyDataKey {
        /// workspaces/acme/apps/support-bot/dataKeys/ID, as answers and `data inspect` name it
        #[arg(value_parser = data_key)]
        data_key: DataKeyName,
        /// Ask for it: it cannot be undone once it is done
        #[arg(long)]
        yes: bool,
    },
    /// Watch which apps and bots are under the key: as it is now, then each change, until Ctrl-C
    Watch {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
}

/// A key to test before it is configured; the configured one if absent.
#[derive(clap::Args)]
pub(crate) struct Candidate {
    /// Test this key instead: its Key Identifier, or its vault's URI together with --key-name
    #[arg(long, value_name = "URL", requires = "tenant")]
    pub(crate) key_identifier: Option<String>,
    /// The key's name, if --key-identifier is a vault's URI
    #[arg(long, value_name = "NAME", requires = "key_identifier")]
    pub(crate) key_name: Option<String>,
    /// The vault's directory: its Tenant ID, or one of its domains
    #[arg(long, value_name = "TENANT", requires = "key_identifier")]
    pub(crate) tenant: Option<String>,
}

/// What happens to the selected apps if a date cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Otherwise {
    /// They stay on the platform's key, and the date is tried again.
    Stay,
    /// They are refused until it can be.
    Refuse,
}
