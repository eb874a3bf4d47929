//! `byokctl app …`.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use domain::{Timestamp, WorkspaceId};

use super::names::{AppName, Scope, age, app, scope, time, workspace};

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
