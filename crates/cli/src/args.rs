//! What can be typed: nouns, then verbs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use client::Endpoint;
use domain::{AppId, KeyVersionId, OperationId, TenantId, Timestamp, WorkspaceId, name};

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
    /// Work that takes longer than a call: rotations
    #[command(subcommand)]
    Operation(OperationVerb),
    /// Files and pipes of any size
    #[command(subcommand)]
    Data(DataVerb),
    /// The ledger: what was done, in chains that nobody can change unseen
    #[command(subcommand)]
    Audit(crate::audit::AuditVerb),
}

#[derive(Subcommand)]
pub(crate) enum WorkspaceVerb {
    /// Create a workspace; its id is never given out twice
    Create {
        /// The id, such as acme: 3 to 63 lower-case letters, digits and hyphens
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// A name for people; the id if absent
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
    },
    /// Show one workspace
    Get {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
    /// List all workspaces
    List,
    /// Delete a workspace: nothing of it encrypts or decrypts any more, and its id stays taken
    Delete {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Do it: this cannot be undone here
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum AppVerb {
    /// Create an app or bot, or change its display name
    Upsert {
        /// workspaces/acme/apps/support-bot or acme/support-bot
        #[arg(value_parser = app)]
        app: AppName,
        /// Cannot change later
        #[arg(long, value_enum, default_value_t = Kind::App)]
        kind: Kind,
        /// A name for people; the id if absent
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
    },
    /// List a workspace's apps and bots
    List {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
    /// Delete an app or bot: it neither encrypts nor decrypts any more, and its id stays taken
    Delete {
        /// workspaces/acme/apps/support-bot or acme/support-bot
        #[arg(value_parser = app)]
        app: AppName,
        /// Do it: this cannot be undone here
        #[arg(long)]
        yes: bool,
    },
    /// Store and retrieve a credential of an app, to show that its data is under the customer's key
    Validate {
        /// workspaces/acme/apps/support-bot or acme/support-bot
        #[arg(value_parser = app)]
        app: AppName,
    },
    /// Show what was encrypted and decrypted, by hour (UTC), app and protection
    Usage {
        /// One app (acme/support-bot), or all of a workspace (acme)
        #[arg(value_parser = scope)]
        scope: Scope,
        /// So long before the end, such as 7d, 12h or 90m; a day if absent
        #[arg(long, value_name = "AGE", value_parser = age, conflicts_with = "from")]
        last: Option<Duration>,
        /// From the hour of this time, such as 2026-11-01T00:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<Timestamp>,
        /// To the end of the hour of this time; now if absent
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Timestamp>,
    },
    /// Show each app's data keys: under whose key they are, what was done under them, and what is left to encrypt again
    Coverage {
        /// One app (acme/support-bot), or all of a workspace (acme)
        #[arg(value_parser = scope)]
        scope: Scope,
    },
}

/// Apps and bots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    App,
    Bot,
}

/// What happens to the selected apps if a date cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Otherwise {
    /// They stay on the platform's key, and the date is tried again.
    Stay,
    /// They are refused until it can be.
    Refuse,
}

#[derive(Subcommand)]
pub(crate) enum KeyVerb {
    /// Connect the customer's key: it is read, proved by wrapping and unwrapping, and in force at once
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
        /// The Tenant ID of the vault's directory
        #[arg(long, value_name = "GUID")]
        tenant: TenantId,
        /// The longest time a data key is used after the vault last said yes, 1s to 300s
        #[arg(long, value_name = "SECONDS", value_parser = lease)]
        lease: Option<Duration>,
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
        /// The Tenant ID of the vault's directory
        #[arg(long, value_name = "GUID")]
        tenant: TenantId,
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
}

#[derive(Subcommand)]
pub(crate) enum OperationVerb {
    /// Show one operation
    #[command(alias = "show")]
    Get {
        /// Its id, or operations/ID
        #[arg(value_parser = operation)]
        operation: OperationId,
    },
    /// List a workspace's operations, newest first
    List {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
    /// Watch an operation to its end
    Watch {
        /// Its id, or operations/ID
        #[arg(value_parser = operation)]
        operation: OperationId,
    },
    /// Ask an operation to end; what it has done stays and is whole
    Cancel {
        /// Its id, or operations/ID
        #[arg(value_parser = operation)]
        operation: OperationId,
    },
    /// Approve what somebody else asked for; it is done when its waiting period is over
    Approve {
        /// Its id, or operations/ID
        #[arg(value_parser = operation)]
        operation: OperationId,
    },
    /// Reject what somebody else asked for
    Reject {
        /// Its id, or operations/ID
        #[arg(value_parser = operation)]
        operation: OperationId,
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
    /// The Tenant ID of the vault's directory
    #[arg(long, value_name = "GUID", requires = "key_identifier")]
    pub(crate) tenant: Option<TenantId>,
}

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

/// A workspace, or one app of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) workspace: WorkspaceId,
    pub(crate) app: Option<AppId>,
}

impl Scope {
    /// `workspaces/{workspace}`
    pub(crate) fn parent(&self) -> String {
        name::workspace(&self.workspace)
    }

    /// `workspaces/{workspace}/apps/{app}`; empty for all.
    pub(crate) fn app(&self) -> String {
        self.app.as_ref().map_or_else(String::new, |app| name::app(&self.workspace, app))
    }
}

/// An app or bot by its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppName {
    pub(crate) workspace: WorkspaceId,
    pub(crate) app: AppId,
}

impl AppName {
    /// `workspaces/{workspace}/apps/{app}`
    pub(crate) fn full(&self) -> String {
        name::app(&self.workspace, &self.app)
    }
}

fn workspace(text: &str) -> Result<WorkspaceId, String> {
    let parsed = if text.contains('/') { name::parse_workspace(text) } else { text.parse().map_err(Into::into) };
    parsed.map_err(|error| error.to_string())
}

fn app(text: &str) -> Result<AppName, String> {
    let full = match text.split_once('/') {
        Some((workspace, app)) if workspace != "workspaces" && !app.contains('/') => {
            format!("workspaces/{workspace}/apps/{app}")
        }
        Some(_) | None => text.to_owned(),
    };
    let (workspace, app) = name::parse_app(&full).map_err(|error| error.to_string())?;
    Ok(AppName { workspace, app })
}

fn scope(text: &str) -> Result<Scope, String> {
    match workspace(text) {
        Ok(workspace) => Ok(Scope { workspace, app: None }),
        Err(_) if text.contains('/') => app(text).map(|AppName { workspace, app }| Scope { workspace, app: Some(app) }),
        Err(error) => Err(error),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    domain::usage::parse_time(text).ok_or_else(|| "a time looks like 2026-11-01T00:00:00Z".to_owned())
}

fn entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the key before = is empty".into()),
        Some((key, value)) => Ok((key.into(), value.into())),
        None => Err("an entry looks like key=value".into()),
    }
}

fn operation(text: &str) -> Result<OperationId, String> {
    let parsed = if text.contains('/') { name::parse_operation(text) } else { text.parse().map_err(Into::into) };
    parsed.map_err(|error| error.to_string())
}

/// A data key by its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataKeyName(pub(crate) String);

fn data_key(text: &str) -> Result<DataKeyName, String> {
    let (workspace, app, id) = name::parse_data_key(text).map_err(|error| error.to_string())?;
    Ok(DataKeyName(name::data_key(&workspace, &app, id)))
}

/// A number with `s`, `m`, `h` or `d`.
fn age(text: &str) -> Result<Duration, String> {
    let bad = || "an age looks like 90d, 12h, 30m or 45s".to_owned();
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    count.checked_mul(seconds).filter(|all| *all <= 100 * 365 * 86_400).map(Duration::from_secs).ok_or_else(bad)
}

/// Seconds, with or without the `s`.
fn lease(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse::<u64>();
    match seconds {
        Ok(seconds @ 1..=300) => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err("a lease is 1s to 300s".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    /// clap's own check of the definitions: no clashing names, no impossible requirement.
    #[test]
    fn the_definitions_are_consistent() {
        Args::command().debug_assert();
    }

    /// Short and full names mean the same thing; other forms are refused before anything is sent.
    #[test]
    fn names_are_taken_short_or_full() {
        assert_eq!(app("acme/support-bot"), app("workspaces/acme/apps/support-bot"));
        assert_eq!(workspace("acme"), workspace("workspaces/acme"));
        for bad in ["acme", "", "acme/", "/bot", "acme/b", "acme/x/y", "workspaces/acme", "ACME/bot", "acme/b\not"] {
            assert!(app(bad).is_err(), "{bad:?} was accepted");
        }
    }

    /// A context entry splits at its first `=`; an empty key and a missing `=` are refused.
    #[test]
    fn context_entries_are_key_and_value() {
        assert_eq!(entry("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(entry("a="), Ok(("a".into(), String::new())));
        assert!(entry("a").is_err() && entry("=a").is_err());
    }

    /// A lease outside the contract is refused here, with the bounds.
    #[test]
    fn a_lease_has_bounds() {
        assert_eq!(lease("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(lease("300"), Ok(Duration::from_secs(300)));
        for bad in ["0", "301", "5m", "", "-1", "1.5"] {
            assert!(lease(bad).is_err(), "{bad:?} was accepted");
        }
    }

    /// An age has a unit, and an operation's id one spelling.
    #[test]
    fn ages_and_operations_are_checked_here() {
        assert_eq!(age("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!((age("12h"), age("0s")), (Ok(Duration::from_secs(43_200)), Ok(Duration::ZERO)));
        for bad in ["", "d", "90", "-1d", "1w", "1.5h", "99999999999999999999d", "400000d", "1é"] {
            assert!(age(bad).is_err(), "{bad:?} was accepted");
        }
        let id = "01JABCDEFGHJKMNPQRSTVWXYZ0";
        assert_eq!(operation(id), operation(&format!("operations/{id}")));
        assert!(operation(id).is_ok() && operation(&id.to_lowercase()).is_err() && operation("x/y").is_err());
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
