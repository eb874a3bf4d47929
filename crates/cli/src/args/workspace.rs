//! `byokctl workspace …`.

use clap::Subcommand;
use domain::WorkspaceId;

use super::names::workspace;

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
