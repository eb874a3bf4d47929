//! What stands behind the question mark: names and values, decoded. A name that comes twice is no answer of a directory and says nothing.

use axum::extract::Request;

/// The longest address that is looked at; codes are a kilobyte or two.
const LONGEST: usize = 8 * 1024;

/// The parameters of one request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(request: &Request) -> Self {
        Self::parse(request.uri().query().unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        if text.len() > LONGEST {
            return Self(Vec::new());
        }
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.filter_map(|(name, value)| Some((decoded(name)?, decoded(value)?))).collect())
    }

    /// The value of this name, if it comes once and is not empty.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.clone());
        if found.next().is_some() {
            return None;
        }
        value.filter(|value| !value.is_empty())
    }
}

/// Percent-encoding and `+` taken off. `None`: it is none, or not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values are decoded; what comes twice, is empty or is no encoding says nothing.
    #[test]
    fn a_parameter_counts_once() {
        let mut query = Query::parse("state=a%2Bb+c&error=&tenant=x&tenant=y&code=%zz&%73=1");
        assert_eq!(query.take("state").as_deref(), Some("a+b c"));
        assert_eq!((query.take("error"), query.take("tenant"), query.take("code")), (None, None, None));
        assert_eq!(query.take("s").as_deref(), Some("1"));
        assert_eq!(Query::parse(&format!("state={}", "a".repeat(9_000))).take("state"), None);
        assert_eq!(Query::parse("state=%ff").take("state"), None);
    }
}
