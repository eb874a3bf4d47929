//! What can be typed about credentials of a customer's own app registration.

use std::path::PathBuf;

use clap::Subcommand;
use domain::{Timestamp, WorkspaceId, name};

#[derive(Subcommand)]
pub(crate) enum CredentialVerb {
    /// Add a client secret; its Value is read from standard input and never typed as an argument
    AddSecret {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// The Application (client) ID of the app registration
        #[arg(long, value_name = "GUID")]
        client_id: String,
        /// The registration's directory: its Tenant ID, or one of its domains; that of the configured key if absent
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// When it expires, as the app registration shows it: 2027-03-01 or 2027-03-01T00:00:00Z
        #[arg(long, value_name = "DATE", value_parser = date)]
        expires: Timestamp,
    },
    /// Have a certificate made: its private key never leaves the service, the public part is written to a file to upload
    MakeCertificate {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
        /// The Application (client) ID of the app registration
        #[arg(long, value_name = "GUID")]
        client_id: String,
        /// The registration's directory: its Tenant ID, or one of its domains; that of the configured key if absent
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// Where the public part goes; byokd-<workspace>.pem if absent, - for standard output
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
        /// Replace a file that exists
        #[arg(long)]
        force: bool,
    },
    /// List the credentials, without their secrets, and as whom the directory is asked
    List {
        /// acme or workspaces/acme
        #[arg(value_parser = workspace)]
        workspace: WorkspaceId,
    },
    /// Have the directory give a token for exactly this credential
    Test {
        /// workspaces/acme/credentials/ and 32 hexadecimal digits
        #[arg(value_parser = credential)]
        credential: CredentialName,
    },
    /// Go over to a credential whose test passed within a day
    Activate {
        /// workspaces/acme/credentials/ and 32 hexadecimal digits
        #[arg(value_parser = credential)]
        credential: CredentialName,
    },
    /// Remove a credential that is not in use
    Remove {
        /// workspaces/acme/credentials/ and 32 hexadecimal digits
        #[arg(value_parser = credential)]
        credential: CredentialName,
    },
}

/// A credential by its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CredentialName(pub(crate) String);

fn workspace(text: &str) -> Result<WorkspaceId, String> {
    let parsed = if text.contains('/') { name::parse_workspace(text) } else { text.parse().map_err(Into::into) };
    parsed.map_err(|error| error.to_string())
}

fn credential(text: &str) -> Result<CredentialName, String> {
    let (workspace, id) = name::parse_credential(text).map_err(|error| error.to_string())?;
    Ok(CredentialName(name::credential(&workspace, id)))
}

/// A bare date is its first instant in UTC: rather a day early than late.
fn date(text: &str) -> Result<Timestamp, String> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    domain::usage::parse_time(&whole)
        .ok_or_else(|| "a date of expiry looks like 2027-03-01 or 2027-03-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A date is taken with and without a time, and nothing else is taken for one.
    #[test]
    fn a_date_of_expiry_is_a_day_or_an_instant() {
        assert_eq!(date("2027-03-01"), date("2027-03-01T00:00:00Z"));
        for bad in ["", "tomorrow", "2027-13-01", "2027-02-30", "01.03.2027", "2027-03-01T00:00:00"] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }

    /// A credential is named whole: an id alone does not say whose it is.
    #[test]
    fn a_credential_is_named_with_its_workspace() {
        let id = "00112233445566778899aabbccddeeff";
        assert!(credential(&format!("workspaces/acme/credentials/{id}")).is_ok());
        for bad in [id, "", "acme", &format!("acme/{id}"), &format!("workspaces/acme/credentials/{}", &id[1..])] {
            assert!(credential(bad).is_err(), "{bad}");
        }
    }
}
