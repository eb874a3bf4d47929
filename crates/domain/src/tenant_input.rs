//! What a person may type for a tenant: its id, with braces or not, one of its domains, or an address of the portal or the
//! sign-in that names it. What is unambiguous is taken.

use crate::domain_name::{DomainName, InvalidDomain};
use crate::{Cloud, TenantId};

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantInput {
    /// The tenant itself.
    Id(TenantId),
    /// A domain; whose it is has to be looked up.
    Domain(DomainName),
}

/// Why it names no tenant, and what to type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTenantInput {
    /// Nothing, or too much.
    #[error("type the Tenant ID, which Microsoft Entra ID shows under Overview, or a domain of the tenant")]
    Empty,
    /// `common`, `organizations` or `consumers`.
    #[error("that address is for every tenant; type the Tenant ID, which Microsoft Entra ID shows under Overview")]
    EveryTenant,
    /// Personal accounts.
    #[error("that is the tenant of personal Microsoft accounts; type the Tenant ID of your organisation")]
    Personal,
    /// An address of somewhere else, or without a tenant in it.
    #[error(
        "that address does not say which tenant; type the Tenant ID, which Microsoft Entra ID shows under Overview"
    )]
    OtherUrl,
    /// Nearly a GUID.
    #[error("a Tenant ID is a GUID such as 8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01: 32 hexadecimal digits and 4 hyphens")]
    Guid,
    /// A domain that is none.
    #[error(transparent)]
    Domain(#[from] InvalidDomain),
}

/// The tenant of all personal Microsoft accounts, which is nobody's organisation.
pub const PERSONAL_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The longest text that is looked at: a portal's address can be long.
const LONGEST: usize = 2_048;

/// Reads what was typed.
///
/// # Errors
/// [`InvalidTenantInput`], which says what to type.
pub fn parse(typed: &str) -> Result<TenantInput, InvalidTenantInput> {
    let typed = typed.trim();
    if typed.is_empty() || typed.len() > LONGEST {
        return Err(InvalidTenantInput::Empty);
    }
    match typed.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => in_url(rest),
        Some(_) => Err(InvalidTenantInput::OtherUrl),
        None => one(typed),
    }
}

/// An id or a domain.
fn one(text: &str) -> Result<TenantInput, InvalidTenantInput> {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    if let Ok(tenant) = bare.parse::<TenantId>() {
        let personal = tenant.as_str() == PERSONAL_ACCOUNTS;
        return if personal { Err(InvalidTenantInput::Personal) } else { Ok(TenantInput::Id(tenant)) };
    }
    if ["common", "organizations", "consumers"].iter().any(|shared| bare.eq_ignore_ascii_case(shared)) {
        return Err(InvalidTenantInput::EveryTenant);
    }
    // Braces, or hexadecimal digits and hyphens without a dot: somebody meant an id.
    let nearly = |b: u8| b.is_ascii_hexdigit() || b == b'-';
    if bare != text || (bare.len() >= 30 && bare.bytes().all(nearly)) {
        return Err(InvalidTenantInput::Guid);
    }
    Ok(TenantInput::Domain(text.parse()?))
}

/// `rest`: what follows `https://`.
fn in_url(rest: &str) -> Result<TenantInput, InvalidTenantInput> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    let host = host.to_ascii_lowercase();
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let segment = path.split('/').nth(1).filter(|s| !s.is_empty());
    let login = Cloud::ALL.iter().any(|cloud| cloud.login_host() == host);
    if login || host == "sts.windows.net" {
        return one(segment.ok_or(InvalidTenantInput::OtherUrl)?);
    }
    let portal =
        matches!(host.as_str(), "portal.azure.com" | "entra.microsoft.com" | "portal.azure.cn" | "portal.azure.us");
    if !portal {
        return Err(InvalidTenantInput::OtherUrl);
    }
    // The portal writes the tenant as the first part of the path, or after `#@`.
    let after_at = rest.split_once("#@").map(|(_, after)| after.split(['/', '?']).next().unwrap_or_default());
    one(after_at.or(segment).filter(|text| text.contains(['.', '-'])).ok_or(InvalidTenantInput::OtherUrl)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";

    /// An id is taken with braces, in capitals, and out of the addresses that name it; a domain likewise.
    #[test]
    fn what_names_one_tenant_is_taken() {
        let id = Ok(TenantInput::Id(ID.parse().unwrap()));
        for typed in [
            ID.to_owned(),
            ID.to_uppercase(),
            format!(" {{{ID}}} "),
            format!("https://login.microsoftonline.com/{ID}"),
            format!("HTTPS://LOGIN.microsoftonline.com/{ID}/v2.0/.well-known/openid-configuration"),
            format!("https://login.chinacloudapi.cn/{ID}/oauth2/v2.0/token?x=1"),
            format!("https://sts.windows.net/{ID}/"),
            format!("https://portal.azure.com/{ID}#home"),
            format!("https://portal.azure.com/#@{ID}/resource/subscriptions/s"),
        ] {
            assert_eq!(parse(&typed), id, "{typed}");
        }
        let domain = Ok(TenantInput::Domain("contoso.onmicrosoft.com".parse().unwrap()));
        for typed in [
            "contoso.onmicrosoft.com",
            "@Contoso.onmicrosoft.com",
            "https://login.microsoftonline.com/contoso.onmicrosoft.com/adminconsent",
            "https://portal.azure.com/#@contoso.onmicrosoft.com/resource/x",
        ] {
            assert_eq!(parse(typed), domain, "{typed}");
        }
    }

    /// What could mean several tenants, or none, is answered with what to type.
    #[test]
    fn what_names_no_one_tenant_is_answered_with_what_to_type() {
        use InvalidTenantInput as I;
        let long = "a".repeat(3_000);
        let personal = format!("https://login.microsoftonline.com/{PERSONAL_ACCOUNTS}/v2.0");
        for (typed, why) in [
            ("", I::Empty),
            (long.as_str(), I::Empty),
            ("organizations", I::EveryTenant),
            ("https://login.microsoftonline.com/common/oauth2", I::EveryTenant),
            (PERSONAL_ACCOUNTS, I::Personal),
            (personal.as_str(), I::Personal),
            ("https://login.microsoftonline.com/", I::OtherUrl),
            ("https://login.microsoftonline.com.evil.example/8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01", I::OtherUrl),
            ("https://x@login.microsoftonline.com/8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01", I::OtherUrl),
            ("http://login.microsoftonline.com/8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01", I::OtherUrl),
            ("https://portal.azure.com/#home", I::OtherUrl),
            ("https://contoso.sharepoint.com/", I::OtherUrl),
            ("{8a3c0e5b}", I::Guid),
            ("8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f0", I::Guid),
            ("owner@contoso.com", I::Domain(InvalidDomain::Address)),
            ("contoso", I::Domain(InvalidDomain::OneLabel)),
        ] {
            assert_eq!(parse(typed), Err(why), "{typed}");
        }
    }
}
