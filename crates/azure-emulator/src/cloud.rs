//! Which host name belongs to which cloud and to which part of it.

use serde::{Deserialize, Serialize};

/// The reserved host of the emulator's own administration. `.internal` is never delegated in public DNS.
pub const ADMIN_HOST: &str = "admin.emulator.internal";

/// One of Azure's separate clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// `vault.azure.net`
    #[default]
    Public,
    /// `vault.azure.cn`
    China,
    /// `vault.usgovcloudapi.net`
    UsGovernment,
}

impl Cloud {
    /// Every cloud.
    pub const ALL: [Self; 3] = [Self::Public, Self::China, Self::UsGovernment];

    /// What follows a vault's name, without the leading dot; with `https://` before it, the audience of its tokens.
    pub const fn vault_domain(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::China => "vault.azure.cn",
            Self::UsGovernment => "vault.usgovcloudapi.net",
        }
    }

    /// Where its users and applications sign in.
    pub const fn login_host(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::China => "login.chinacloudapi.cn",
            Self::UsGovernment => "login.microsoftonline.us",
        }
    }

    /// The host in the `iss` claim of version 1.0 tokens.
    pub(crate) const fn token_service(self) -> &'static str {
        match self {
            Self::Public | Self::UsGovernment => "sts.windows.net",
            Self::China => "sts.chinacloudapi.cn",
        }
    }

    /// The audience a vault of this cloud accepts.
    pub(crate) fn vault_audience(self) -> String {
        format!("https://{}", self.vault_domain())
    }
}

/// What a host name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Site {
    Vault,
    Login(Cloud),
    Admin,
}

impl Site {
    /// `host` without a port, in any case. `None`: no host of ours.
    pub(crate) fn of(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        if host == ADMIN_HOST {
            return Some(Self::Admin);
        }
        if let Some(cloud) = Cloud::ALL.into_iter().find(|c| c.login_host() == host) {
            return Some(Self::Login(cloud));
        }
        let (name, rest) = host.split_once('.')?;
        let ours = !name.is_empty() && Cloud::ALL.into_iter().any(|c| c.vault_domain() == rest);
        ours.then_some(Self::Vault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vault's host is exactly one label before the suffix, as in Azure.
    #[test]
    fn a_vault_host_is_one_label_before_the_suffix() {
        assert_eq!(Site::of("V1.vault.azure.net"), Some(Site::Vault));
        assert_eq!(Site::of("v1.vault.usgovcloudapi.net"), Some(Site::Vault));
        assert_eq!(Site::of("login.chinacloudapi.cn"), Some(Site::Login(Cloud::China)));
        for foreign in ["a.b.vault.azure.net", ".vault.azure.net", "vault.azure.net", "v1.vault.azure.net.evil.example"]
        {
            assert_eq!(Site::of(foreign), None, "{foreign}");
        }
    }
}
