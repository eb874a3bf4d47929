//! `byokctl tenant …`.

use clap::Subcommand;
use domain::WorkspaceId;

use super::names::workspace;

#[derive(Subcommand)]
pub(crate) enum TenantVerb {
    /// Look up which directories domains and ids belong to; nothing is changed
    LookUp {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Domains and tenant ids, with commas between them
        domains: String,
    },
    /// Name a directory as the workspace's, and have consent given in it
    Connect {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// One of the directory's domains, or its id
        tenant: String,
        /// Wait until the directory is proven, or the consent is over
        #[arg(long)]
        wait: bool,
    },
    /// Read back the code that an admin was shown who consented by the address sent to them
    Complete {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Eight letters, such as BCDF-GHJK
        code: String,
    },
    /// Show where the directories stand, and ask each whether our application is there
    Status {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Ask no directory: tell what is known
        #[arg(long)]
        no_look: bool,
    },
    /// Let go of the directories: the workspace's key is held until they and the key are proven anew
    Disconnect {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// Do it: nothing is encrypted or decrypted under the workspace's key from then on
        #[arg(long)]
        yes: bool,
    },
    /// Credentials of an app that the customer registered in their own directory: two slots
    #[command(subcommand)]
    Credential(crate::credential::CredentialVerb),
    /// Go back to the platform's own app, once the key's vault has let it in
    UsePlatformApp {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
}
