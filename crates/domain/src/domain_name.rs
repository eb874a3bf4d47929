//! What a person may type as a domain of theirs, and what stands for it: lower case, as DNS has it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A domain such as `contoso.com`: plain ASCII in lower case, at least two labels. An international name is in its `xn--` form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(Arc<str>);

/// Why a text is no domain. Says what to write instead, and never repeats the text (it may hold control characters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDomain {
    /// Nothing there.
    #[error("a domain is missing; write it as example.com")]
    Empty,
    /// More than 253 characters, or a label of more than 63.
    #[error("a domain has at most 253 characters, and at most 63 between two dots")]
    TooLong,
    /// A whole e-mail address.
    #[error("write the domain alone: what follows the @")]
    Address,
    /// Something with `/`, `:` or a query.
    #[error("write the domain alone, without https:// and without a path")]
    Url,
    /// Letters beyond ASCII.
    #[error("write an international domain in its ASCII form, which begins with xn--")]
    International,
    /// No dot.
    #[error("a domain has at least one dot, as example.com has")]
    OneLabel,
    /// Digits and dots alone.
    #[error("that is an address and not a domain")]
    IpAddress,
    /// Anything else that no domain has.
    #[error("a domain has letters, digits and inner hyphens between its dots, and does not end with one")]
    Characters,
}

impl DomainName {
    /// The domain as text, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = InvalidDomain;

    /// White space around it and one leading `@` are taken away: people write `@contoso.com`.
    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        let text = text.trim();
        let text = text.strip_prefix('@').unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidDomain::Empty);
        }
        if text.contains('@') {
            return Err(InvalidDomain::Address);
        }
        if text.contains(['/', ':', '?', '#', '\\']) {
            return Err(InvalidDomain::Url);
        }
        if text.chars().any(|c| c.is_alphabetic() && !c.is_ascii()) {
            return Err(InvalidDomain::International);
        }
        if text.len() > 253 || text.split('.').any(|label| label.len() > 63) {
            return Err(InvalidDomain::TooLong);
        }
        let lower = text.to_ascii_lowercase();
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let label = |l: &str| !l.is_empty() && l.bytes().all(inner) && !l.starts_with('-') && !l.ends_with('-');
        if !lower.split('.').all(label) {
            return Err(InvalidDomain::Characters);
        }
        let Some((_, last)) = lower.rsplit_once('.') else { return Err(InvalidDomain::OneLabel) };
        if last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidDomain::IpAddress);
        }
        Ok(Self(lower.into()))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What people write for a domain is taken: with capitals, an @ before it, blanks around it.
    #[test]
    fn a_domain_is_taken_as_people_write_it() {
        for (text, domain) in [
            ("contoso.com", "contoso.com"),
            (" @Contoso.COM\t", "contoso.com"),
            ("a-b.c1.example", "a-b.c1.example"),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
            ("contoso.onmicrosoft.com", "contoso.onmicrosoft.com"),
        ] {
            assert_eq!(text.parse::<DomainName>().map(|d| d.to_string()), Ok(domain.to_owned()), "{text:?}");
        }
    }

    /// What is no domain is refused by the rule it breaks, before anybody is asked about it.
    #[test]
    fn what_is_no_domain_is_refused_with_what_to_write() {
        use InvalidDomain as I;
        let long = format!("{}.com", "a".repeat(64));
        let longer = format!("{}com", "abc.".repeat(70));
        for (text, why) in [
            ("", I::Empty),
            (" @ ", I::Empty),
            ("admin@contoso.com", I::Address),
            ("@@contoso.com", I::Address),
            ("https://contoso.com", I::Url),
            ("contoso.com/x", I::Url),
            ("contoso.com:443", I::Url),
            ("contoso.com?x", I::Url),
            ("münchen.example", I::International),
            ("contoso", I::OneLabel),
            ("organizations", I::OneLabel),
            ("common", I::OneLabel),
            ("10.0.0.1", I::IpAddress),
            ("contoso.com.", I::Characters),
            (".contoso.com", I::Characters),
            ("-contoso.com", I::Characters),
            ("contoso-.com", I::Characters),
            ("con toso.com", I::Characters),
            ("contoso.com\0", I::Characters),
            ("contoso.com\r\nhost: x", I::Url),
            ("con%2ftoso.com", I::Characters),
            ("con_toso.com", I::Characters),
            ("..", I::Characters),
            (&long, I::TooLong),
            (&longer, I::TooLong),
        ] {
            assert_eq!(text.parse::<DomainName>(), Err(why), "{text:?}");
        }
    }
}
