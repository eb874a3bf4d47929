//! `byokctl caller …`.

use clap::Subcommand;
use domain::permission::Grant;
use domain::{CallerId, CertificateName, Timestamp};

use super::names::time;

#[derive(Subcommand)]
pub(crate) enum CallerVerb {
    /// Make a caller; it has no token yet, and its id is never given out twice
    Create {
        /// The id, such as billing: 3 to 63 lower-case letters, digits and hyphens
        #[arg(value_parser = caller)]
        caller: CallerId,
        /// What it may do, such as platform-service@*/support-* or auditor@acme; may be given more than once
        #[arg(long = "grant", value_name = "GRANT", required = true, value_parser = grant)]
        grants: Vec<Grant>,
        /// The name of its certificate: a SPIFFE ID or a DNS name
        #[arg(long, value_name = "NAME", value_parser = certificate)]
        certificate_name: Option<CertificateName>,
        /// From when on it is refused, such as 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires: Option<Timestamp>,
    },
    /// List all callers, those of the configuration too
    List,
    /// Show one caller
    Show {
        /// billing or callers/billing; of one in the configuration its name there
        caller: String,
    },
    /// Give a caller grants; you hold them yourself
    Grant {
        /// billing or callers/billing
        #[arg(value_parser = caller)]
        caller: CallerId,
        /// Such as auditor@acme
        #[arg(required = true, value_name = "GRANT", value_parser = grant)]
        grants: Vec<Grant>,
    },
    /// Take grants away
    RevokeGrant {
        /// billing or callers/billing
        #[arg(value_parser = caller)]
        caller: CallerId,
        /// As caller show has them
        #[arg(required = true, value_name = "GRANT", value_parser = grant)]
        grants: Vec<Grant>,
    },
    /// Refuse a caller until it is enabled
    Disable {
        /// billing or callers/billing
        #[arg(value_parser = caller)]
        caller: CallerId,
    },
    /// Let a disabled caller in again; you hold all that it was given
    Enable {
        /// billing or callers/billing
        #[arg(value_parser = caller)]
        caller: CallerId,
    },
    /// Say until when, or by which certificate, a caller is let in; you hold all that it was given, unless you only take away
    Set {
        /// billing or callers/billing
        #[arg(value_parser = caller)]
        caller: CallerId,
        /// From when on it is refused, such as 2027-01-01T00:00:00Z, or never
        #[arg(long, value_name = "TIME", value_parser = expiry)]
        expires: Option<Expiry>,
        /// The name of its certificate, or none
        #[arg(long, value_name = "NAME", value_parser = shown, required_unless_present = "expires")]
        certificate_name: Option<Shown>,
    },
    /// Make a token and print it, this once; you hold all that the caller was given
    IssueToken {
        /// billing or callers/billing
        #[arg(value_parser = caller)]
        caller: CallerId,
        /// From when on it is refused, such as 2027-01-01T00:00:00Z; never if absent
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires: Option<Timestamp>,
    },
    /// Take a token away
    RemoveToken {
        /// billing or callers/billing
        #[arg(value_parser = caller)]
        caller: CallerId,
        /// a or b, as caller show has it
        #[arg(value_parser = ["a", "b"])]
        slot: String,
    },
    /// Delete a caller; its id stays taken
    Delete {
        /// billing or callers/billing
        #[arg(value_parser = caller)]
        caller: CallerId,
        /// Do it: this cannot be undone
        #[arg(long)]
        yes: bool,
    },
    /// List the roles and their actions
    Roles,
}

/// From when on, or never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry(pub(crate) Option<Timestamp>);

/// A certificate's name, or none.
#[derive(Debug, Clone)]
pub(crate) struct Shown(pub(crate) Option<CertificateName>);

fn caller(text: &str) -> Result<CallerId, String> {
    text.strip_prefix("callers/").unwrap_or(text).parse().map_err(|invalid: domain::InvalidId| invalid.to_string())
}

fn grant(text: &str) -> Result<Grant, String> {
    text.parse().map_err(|invalid: domain::permission::InvalidGrant| invalid.to_string())
}

fn certificate(text: &str) -> Result<CertificateName, String> {
    text.parse().map_err(|invalid: domain::InvalidCertificateName| invalid.to_string())
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" { Ok(Expiry(None)) } else { time(text).map(|at| Expiry(Some(at))) }
}

fn shown(text: &str) -> Result<Shown, String> {
    if text == "none" { Ok(Shown(None)) } else { certificate(text).map(|name| Shown(Some(name))) }
}
