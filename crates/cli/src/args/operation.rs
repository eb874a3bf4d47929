//! `byokctl operation …`.

use clap::Subcommand;
use domain::{OperationId, WorkspaceId};

use super::names::{operation, workspace};

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
