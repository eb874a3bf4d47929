//! Whose vault answers: the tenant a vault's challenge names. A check against the bound tenant, never its source.

use domain::TenantId;
use url::Url;

/// What a challenge says about the vault's tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// The bound one.
    Bound,
    /// Another.
    Another,
    /// None that can be read.
    None,
}

/// Reads `Bearer authorization="https://login…/TENANT", resource="…"` and compares TENANT with `bound`.
pub(super) fn tenant(challenge: &str, bound: &TenantId) -> Named {
    let Some(authority) = parameter(challenge, "authorization").or_else(|| parameter(challenge, "authorization_uri"))
    else {
        return Named::None;
    };
    let Ok(authority) = Url::parse(authority) else { return Named::None };
    let named = authority.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    match named.parse::<TenantId>() {
        Ok(named) if authority.scheme() == "https" && named == *bound => Named::Bound,
        Ok(_) => Named::Another,
        Err(_) => Named::None,
    }
}

/// The value of `name="value"` in the first `Bearer` challenge.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let scheme = challenge.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "))?;
    let mut rest = &challenge[scheme.len()..];
    loop {
        let (found, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if found.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";

    fn named(challenge: &str) -> Named {
        tenant(challenge, &BOUND.parse().unwrap())
    }

    /// A vault of the bound tenant is recognised in every form its challenge has.
    #[test]
    fn the_bound_tenant_is_recognised() {
        for challenge in [
            format!(
                r#"Bearer authorization="https://login.microsoftonline.com/{BOUND}", resource="https://vault.azure.net""#
            ),
            format!(r#"bearer  authorization="https://login.windows.net/{}", resource="x""#, BOUND.to_uppercase()),
            format!(
                r#"Bearer resource="https://vault.azure.net", authorization="https://login.microsoftonline.com/{BOUND}/""#
            ),
            format!(r#"Bearer error=invalid_token, authorization_uri="https://login.microsoftonline.us/{BOUND}""#),
        ] {
            assert_eq!(named(&challenge), Named::Bound, "{challenge}");
        }
    }

    /// Another tenant, or none to be read, is never taken for the bound one, whatever else the challenge says.
    #[test]
    fn no_other_tenant_passes() {
        let other = "11111111-2222-4333-8444-555555555555";
        let another =
            format!(r#"Bearer authorization="https://login.microsoftonline.com/{other}", resource="{BOUND}""#);
        assert_eq!(named(&another), Named::Another);
        let hidden = format!(r#"Bearer authorization="https://login.microsoftonline.com/{other}/{BOUND}""#);
        assert_eq!(named(&hidden), Named::Another);
        let plain_http = format!(r#"Bearer authorization="http://login.microsoftonline.com/{BOUND}""#);
        assert_eq!(named(&plain_http), Named::Another);
        for unreadable in [
            "",
            "Bearer",
            "Basic realm=x",
            &format!(r#"PoP authorization="https://login.microsoftonline.com/{BOUND}""#),
            r#"Bearer authorization="https://login.microsoftonline.com/common""#,
            r#"Bearer resource="https://vault.azure.net""#,
            &format!(r#"Bearer resource="x, authorization=https://login.microsoftonline.com/{BOUND}"#),
            &format!(r#"Bearer x="authorization=\"https://login.microsoftonline.com/{BOUND}""#),
            "B\u{e9}arer authorization=x",
        ] {
            assert_eq!(named(unreadable), Named::None, "{unreadable}");
        }
    }
}
