//! Where a customer's key is: a parsed form that can only hold an allow-listed vault.
//!
//! A token for every customer's vault goes wherever this type says, so it is never built from a URL as such: the text is
//! taken apart, each part is checked, and the URL is put together again from the parts.

use std::fmt;
use std::sync::Arc;

use crate::KeyVersionId;

/// An Azure cloud. Each has its own vault suffix and login host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cloud {
    /// Azure's public cloud.
    Public,
    /// Azure operated in China.
    China,
    /// Azure for the US government.
    UsGovernment,
}

impl Cloud {
    /// All clouds.
    pub const ALL: [Self; 3] = [Self::Public, Self::China, Self::UsGovernment];

    /// What follows the vault's name in its host name.
    pub const fn vault_suffix(self) -> &'static str {
        match self {
            Self::Public => ".vault.azure.net",
            Self::China => ".vault.azure.cn",
            Self::UsGovernment => ".vault.usgovcloudapi.net",
        }
    }

    /// What follows a managed HSM's name in its host name.
    pub const fn managed_hsm_suffix(self) -> &'static str {
        match self {
            Self::Public => ".managedhsm.azure.net",
            Self::China => ".managedhsm.azure.cn",
            Self::UsGovernment => ".managedhsm.usgovcloudapi.net",
        }
    }

    /// The host that issues tokens.
    pub const fn login_host(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::China => "login.chinacloudapi.cn",
            Self::UsGovernment => "login.microsoftonline.us",
        }
    }

    /// The name kept in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::China => "china",
            Self::UsGovernment => "us-government",
        }
    }
}

/// Why a text does not name a key in an Azure Key Vault. Each has one sentence a person can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyIdentifier {
    /// Empty, too long, or holding white space, control characters, non-ASCII or percent-encoding.
    #[error("a key identifier is plain ASCII without spaces or percent-encoding, at most 300 characters")]
    Characters,
    /// Not `https://`.
    #[error("a key identifier begins with https://")]
    Scheme,
    /// Holds `@`, a port, a query or a fragment.
    #[error("a key identifier has no user name, port, query or fragment")]
    Extras,
    /// The host is not one label before an Azure Key Vault suffix.
    #[error("the host must be a vault's own name, such as my-vault.vault.azure.net")]
    Host,
    /// The vault's name breaks Azure's rule.
    #[error(
        "a vault name has 3 to 24 letters, digits and single hyphens, begins with a letter and does not end with a hyphen"
    )]
    VaultName,
    /// The path is not `/keys/{name}` or `/keys/{name}/{version}`.
    #[error("the path must be /keys/NAME or /keys/NAME/VERSION; copy the Key Identifier from the Azure portal")]
    Path,
    /// The key's name breaks Azure's rule.
    #[error("a key name has 1 to 127 letters, digits and hyphens")]
    KeyName,
    /// The version is not 32 hexadecimal digits.
    #[error("a key version has 32 hexadecimal digits")]
    Version,
    /// A managed HSM: recognised, not supported.
    #[error("managed HSMs are not supported yet; use a key in an Azure Key Vault (Premium keeps it in an HSM)")]
    ManagedHsm,
}

/// A key in a vault: cloud, vault name and key name, lower case (Azure's identifiers ignore case).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyLocation {
    cloud: Cloud,
    vault: Arc<str>,
    key: Arc<str>,
}

/// What a person typed: a key, and a version if the identifier had one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyIdentifier {
    /// The key.
    pub location: KeyLocation,
    /// The version, when the identifier named one.
    pub version: Option<KeyVersionId>,
}

impl KeyLocation {
    /// From already separated parts, as a row holds them.
    pub fn from_parts(cloud: Cloud, vault: &str, key: &str) -> Result<Self, InvalidKeyIdentifier> {
        Ok(Self { cloud, vault: vault_name(vault)?, key: key_name(key)? })
    }

    /// From a vault's URI (`https://my-vault.vault.azure.net/`, with or without the slash) and a key's name.
    pub fn from_vault_uri(uri: &str, key: &str) -> Result<Self, InvalidKeyIdentifier> {
        let (cloud, vault, path) = split(uri)?;
        if !matches!(path, "" | "/") {
            return Err(InvalidKeyIdentifier::Path);
        }
        Ok(Self { cloud, vault, key: key_name(key)? })
    }

    /// The cloud.
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// The vault's name, one label.
    pub fn vault(&self) -> &str {
        &self.vault
    }

    /// The key's name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The vault's host name, put together from the parts.
    pub fn host(&self) -> String {
        format!("{}{}", self.vault, self.cloud.vault_suffix())
    }

    /// The vault's URI with a trailing slash.
    pub fn vault_uri(&self) -> String {
        format!("https://{}/", self.host())
    }

    /// This key at one version.
    pub fn at(&self, version: KeyVersionId) -> KeyVersionLocation {
        KeyVersionLocation { key: self.clone(), version }
    }
}

/// Prints the key's URL without a version.
impl fmt::Display for KeyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}/keys/{}", self.host(), self.key)
    }
}

impl fmt::Debug for KeyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLocation({self})")
    }
}

/// One version of a key: what a `kid` says, and all it can say.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyVersionLocation {
    key: KeyLocation,
    version: KeyVersionId,
}

impl KeyVersionLocation {
    /// Reads a `kid` as a vault returns it: a full key URL with its version.
    pub fn parse(kid: &str) -> Result<Self, InvalidKeyIdentifier> {
        let identifier = KeyIdentifier::parse(kid)?;
        let version = identifier.version.ok_or(InvalidKeyIdentifier::Version)?;
        Ok(identifier.location.at(version))
    }

    /// The key.
    pub fn key(&self) -> &KeyLocation {
        &self.key
    }

    /// The version.
    pub fn version(&self) -> KeyVersionId {
        self.version
    }
}

/// Prints the `kid`.
impl fmt::Display for KeyVersionLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.key, self.version)
    }
}

impl fmt::Debug for KeyVersionLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyVersionLocation({self})")
    }
}

impl KeyIdentifier {
    /// Reads `https://VAULT.SUFFIX/keys/NAME[/VERSION]`, with or without a trailing slash.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyIdentifier> {
        let (cloud, vault, path) = split(text)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let rest = path.strip_prefix("/keys/").ok_or(InvalidKeyIdentifier::Path)?;
        let (key, version) = match rest.split_once('/') {
            None => (rest, None),
            Some((key, version)) => {
                let version = version.to_ascii_lowercase();
                (key, Some(version.parse().map_err(|_| InvalidKeyIdentifier::Version)?))
            }
        };
        Ok(Self { location: KeyLocation { cloud, vault, key: key_name(key)? }, version })
    }
}

/// Takes an `https` URL of a vault apart: cloud, vault name, and the path as it stands.
fn split(text: &str) -> Result<(Cloud, Arc<str>, &str), InvalidKeyIdentifier> {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'%' && b != b'\\';
    if text.is_empty() || text.len() > 300 || !text.bytes().all(plain) {
        return Err(InvalidKeyIdentifier::Characters);
    }
    let scheme = text.get(..8).filter(|s| s.eq_ignore_ascii_case("https://")).ok_or(InvalidKeyIdentifier::Scheme)?;
    let rest = &text[scheme.len()..];
    if rest.contains(['@', ':', '?', '#']) {
        return Err(InvalidKeyIdentifier::Extras);
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.to_ascii_lowercase();
    for cloud in Cloud::ALL {
        if let Some(vault) = host.strip_suffix(cloud.vault_suffix()) {
            return Ok((cloud, vault_name(vault)?, path));
        }
        if host.ends_with(cloud.managed_hsm_suffix()) {
            return Err(InvalidKeyIdentifier::ManagedHsm);
        }
    }
    Err(InvalidKeyIdentifier::Host)
}

/// Azure's rule for vault names, one label: 3 to 24 of `[0-9a-zA-Z-]`, a letter first, no `--`, no hyphen last.
fn vault_name(text: &str) -> Result<Arc<str>, InvalidKeyIdentifier> {
    if text.contains('.') {
        return Err(InvalidKeyIdentifier::Host);
    }
    let well_formed = (3..=24).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && text.as_bytes()[0].is_ascii_alphabetic()
        && !text.contains("--")
        && !text.ends_with('-');
    if well_formed { Ok(text.to_ascii_lowercase().into()) } else { Err(InvalidKeyIdentifier::VaultName) }
}

/// Azure's rule for key names: `^[0-9a-zA-Z-]{1,127}$`.
fn key_name(text: &str) -> Result<Arc<str>, InvalidKeyIdentifier> {
    let well_formed = (1..=127).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if well_formed { Ok(text.to_ascii_lowercase().into()) } else { Err(InvalidKeyIdentifier::KeyName) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InvalidKeyIdentifier as No;

    const VERSION: &str = "0123456789abcdef0123456789abcdef";

    /// A portal's Key Identifier is read with and without its version, in any case, and printed in one form.
    #[test]
    fn a_key_identifier_from_the_portal_is_read() {
        let text = format!("https://Contoso-KV.Vault.Azure.Net/keys/Byok-Key/{VERSION}");
        let read = KeyIdentifier::parse(&text).unwrap();
        assert_eq!(read.version.unwrap().to_string(), VERSION);
        assert_eq!(read.location.to_string(), "https://contoso-kv.vault.azure.net/keys/byok-key");
        let same = KeyLocation::from_vault_uri("https://contoso-kv.vault.azure.net/", "byok-key").unwrap();
        assert_eq!(read.location, same);
        let china = KeyIdentifier::parse("https://contoso.vault.azure.cn/keys/k").unwrap();
        assert_eq!(china.location.cloud(), Cloud::China);
    }

    /// Nothing that could send our token to another host is ever a key identifier.
    #[test]
    fn no_other_host_can_be_named() {
        let cases = [
            ("https://contoso.vault.azure.net.evil.example/keys/k", No::Host),
            ("https://evil.example/keys/k", No::Host),
            ("https://contosovault.azure.net/keys/k", No::Host),
            ("https://a.b.vault.azure.net/keys/k", No::Host),
            ("https://.vault.azure.net/keys/k", No::VaultName),
            ("https://vault.azure.net/keys/k", No::Host),
            ("https://contoso.vault.azure.net./keys/k", No::Host),
            ("https://user@contoso.vault.azure.net/keys/k", No::Extras),
            ("https://contoso.vault.azure.net:443/keys/k", No::Extras),
            ("https://contoso.vault.azure.net/keys/k?x=1", No::Extras),
            ("https://contoso.vault.azure.net/keys/k#x", No::Extras),
            ("http://contoso.vault.azure.net/keys/k", No::Scheme),
            ("https:/contoso.vault.azure.net/keys/k", No::Scheme),
            ("contoso.vault.azure.net/keys/k", No::Scheme),
            ("https://127.0.0.1/keys/k", No::Host),
            ("https://[::1]/keys/k", No::Extras),
            ("https://contoso%2evault.azure.net/keys/k", No::Characters),
            ("https://contos\u{43e}.vault.azure.net/keys/k", No::Characters),
            ("https://contoso.vault.azure.net\\@evil.example/keys/k", No::Characters),
            ("https://contoso.vault.azure.net/keys/k\n", No::Characters),
            ("https://contoso--x.vault.azure.net/keys/k", No::VaultName),
            ("https://9contoso.vault.azure.net/keys/k", No::VaultName),
            ("https://contoso.vault.azure.net/secrets/k", No::Path),
            ("https://contoso.vault.azure.net/", No::Path),
            ("https://contoso.vault.azure.net/keys//v", No::Version),
            ("https://contoso.vault.azure.net/keys/../k", No::Version),
            ("https://contoso.vault.azure.net/keys/k_1", No::KeyName),
            ("https://contoso.vault.azure.net/keys/k/latest", No::Version),
            ("https://pool.managedhsm.azure.net/keys/k", No::ManagedHsm),
        ];
        for (text, why) in cases {
            assert_eq!(KeyIdentifier::parse(text), Err(why), "{text}");
        }
    }
}
