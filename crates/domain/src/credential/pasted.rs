//! What people paste where an app's id or a secret belongs: what is meant is taken where there is one meaning, and
//! what is not what was asked for is called what it is.

use super::ClientId;
use crate::{Reason, TenantId};

/// A secret is not shorter; Entra ID makes them of 40 characters.
const SHORTEST_SECRET: usize = 16;
/// No client secret is longer.
const LONGEST_SECRET: usize = 256;

/// Why something pasted was not taken. Never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPaste {
    /// Not a GUID.
    #[error("the client id is not a GUID; copy the Application (client) ID from the app registration's overview")]
    ClientId,
    /// A GUID where a secret's value is needed.
    #[error("this is the secret's ID: paste its Value; it is shown only right after the secret was made")]
    SecretId,
    /// A private key.
    #[error("this is a private key, which belongs to nobody but its owner; it was not kept")]
    PrivateKey,
    /// A certificate where a secret is needed.
    #[error("this is a certificate and not a secret; have one made here instead, and upload its public part")]
    Certificate,
    /// Not 16 to 256 characters.
    #[error("a client secret has 16 to 256 characters")]
    SecretLength,
    /// White space within, or characters that no secret has.
    #[error("a client secret has neither white space nor characters outside ASCII")]
    SecretCharacters,
}

impl InvalidPaste {
    /// The reason as clients see it.
    pub const fn reason(self) -> Reason {
        match self {
            Self::ClientId | Self::Certificate | Self::SecretLength | Self::SecretCharacters => Reason::RequestInvalid,
            Self::SecretId => Reason::SecretIdPasted,
            Self::PrivateKey => Reason::PrivateKeyPasted,
        }
    }
}

/// A text that holds a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateKeyPasted;

/// The GUID in a text that may have white space or braces around it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text)
}

/// Reads an Application (client) ID: a GUID, with or without braces.
///
/// # Errors
/// [`InvalidPaste::ClientId`].
pub fn client_id(text: &str) -> Result<ClientId, InvalidPaste> {
    bare(text).parse().map_err(|_| InvalidPaste::ClientId)
}

/// Whether a text holds a private key, whatever else it holds.
///
/// # Errors
/// [`PrivateKeyPasted`].
pub fn refuse_private_key(text: &str) -> Result<(), PrivateKeyPasted> {
    let begins = text.split("-----BEGIN ").skip(1);
    let label = |rest: &str| rest.split("-----").next().is_some_and(|label| label.contains("PRIVATE KEY"));
    if begins.into_iter().any(label) { Err(PrivateKeyPasted) } else { Ok(()) }
}

/// Finds a client secret's value in what was pasted: the white space around it is none of it. Borrowed, so that no copy is made.
///
/// # Errors
/// [`InvalidPaste`], which never repeats the text.
pub fn check_secret(text: &str) -> Result<&str, InvalidPaste> {
    refuse_private_key(text).map_err(|PrivateKeyPasted| InvalidPaste::PrivateKey)?;
    let value = text.trim();
    if value.contains("-----BEGIN ") {
        return Err(InvalidPaste::Certificate);
    }
    if bare(value).parse::<TenantId>().is_ok() {
        return Err(InvalidPaste::SecretId);
    }
    if !(SHORTEST_SECRET..=LONGEST_SECRET).contains(&value.len()) {
        return Err(InvalidPaste::SecretLength);
    }
    if !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(InvalidPaste::SecretCharacters);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";

    /// What has one meaning is taken however it was copied.
    #[test]
    fn what_is_unambiguous_is_taken() {
        for text in [GUID.to_owned(), format!("{{{GUID}}}"), format!("  {GUID}\n"), GUID.to_uppercase()] {
            assert_eq!(client_id(&text).unwrap().as_str(), GUID, "{text:?}");
        }
        assert_eq!(check_secret("  abc8Q~0123456789abcdef\r\n"), Ok("abc8Q~0123456789abcdef"));
    }

    /// What was asked for and what was pasted differ, and the difference is called by its name.
    #[test]
    fn what_is_something_else_is_called_what_it_is() {
        use InvalidPaste::*;
        for text in ["", "app", "contoso.com", &GUID[1..], &format!("{{{GUID}")] {
            assert_eq!(client_id(text), Err(ClientId), "{text}");
        }
        let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        for (text, why) in [
            (GUID.to_owned(), SecretId),
            (format!(" {{{GUID}}}\n"), SecretId),
            ("short".to_owned(), SecretLength),
            ("x".repeat(257), SecretLength),
            ("two words of a secret".to_owned(), SecretCharacters),
            ("umlaut-ä-umlaut-ä-umlaut".to_owned(), SecretCharacters),
            (pem("CERTIFICATE"), Certificate),
            (pem("PRIVATE KEY"), PrivateKey),
            (pem("RSA PRIVATE KEY"), PrivateKey),
            (pem("ENCRYPTED PRIVATE KEY"), PrivateKey),
            (pem("CERTIFICATE") + &pem("PRIVATE KEY"), PrivateKey),
        ] {
            assert_eq!(check_secret(&text), Err(why), "{why}");
        }
    }
}
