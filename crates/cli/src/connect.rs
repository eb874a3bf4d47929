//! Which service a command talks to, and as whom.

use std::path::Path;

use client::{Client, Endpoint, Options, TlsIdentity};

use crate::args::Global;
use crate::failure::Failure;

/// Connects as the options and the environment say.
pub(crate) async fn connect(global: &Global) -> Result<Client, Failure> {
    let ca_pem = match (&global.server, &global.ca) {
        (Endpoint::Tls { .. }, None) => {
            return Err(Failure::caller("an https:// address needs the authority that vouches for it").hint(
                "name its certificate with --ca FILE; for a public one: --ca /etc/ssl/certs/ca-certificates.crt",
            ));
        }
        (_, None) => None,
        (_, Some(path)) => Some(std::fs::read(path).map_err(|error| {
            Failure::caller(format!("{} cannot be read: {error}", path.display())).hint("check --ca (or BYOKCTL_CA)")
        })?),
    };
    let identity = match (&global.certificate, &global.certificate_key) {
        (Some(certificate), Some(key)) => Some(TlsIdentity {
            certificate_pem: pem(certificate, "--certificate")?,
            key_pem: pem(key, "--certificate-key")?,
        }),
        _ => None,
    };
    let options = Options { ca_pem, identity, token: token(global)?, ..Options::default() };
    Ok(Client::connect(&global.server, options).await?)
}

fn pem(path: &Path, option: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::caller(format!("{} cannot be read: {error}", path.display())).hint(format!("check {option}"))
    })
}

fn token(global: &Global) -> Result<Option<String>, Failure> {
    let text = match &global.token_file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            Failure::caller(format!("the token file {} cannot be read: {error}", path.display()))
                .hint("check --token-file")
        })?,
        // Not a clap argument: help would print it, and an argument stands in the process list.
        None => match std::env::var("BYOKCTL_TOKEN") {
            Ok(text) => text,
            Err(_) => return Ok(None),
        },
    };
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::caller("the token is empty or holds characters that no token has")
            .hint("give the token alone, in --token-file or BYOKCTL_TOKEN"));
    }
    Ok(Some(token.to_owned()))
}
