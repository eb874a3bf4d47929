//! What stands behind the question mark, or in a form: names and values, decoded. A name that comes twice is no answer of a directory:
//! neither value counts, and the whole counts as refused.

use axum::extract::Request;

/// The longest address that is looked at; codes are a kilobyte or two.
const LONGEST: usize = 8 * 1024;

/// What is read of a directory's answers.
const COUNT: [&str; 4] = ["state", "error", "tenant", "code"];

/// The parameters of one request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// What the address of a request says.
    pub(super) fn of(request: &Request) -> Self {
        Self::parse(request.uri().query().unwrap_or_default())
    }

    /// What an address or a form says.
    pub(super) fn parse(text: &str) -> Self {
        if text.len() > LONGEST {
            return Self(Vec::new());
        }
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.filter_map(|(name, value)| Some((decoded(name)?, decoded(value)?))).collect())
    }

    /// The value of this name, if it comes once and is not empty.
    pub(super) fn take(&self, name: &str) -> Option<String> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.clone());
        value.filter(|value| found.next().is_none() && !value.is_empty())
    }

    /// The refusal: what is called `error`, or that something that counts comes twice, which is not to be taken for its absence.
    pub(super) fn error(&self) -> Option<String> {
        let twice = |name: &&&str| self.0.iter().filter(|(key, _)| key == **name).count() > 1;
        match COUNT.iter().find(twice) {
            Some(name) => Some(format!("{name} comes twice")),
            None => self.take("error"),
        }
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

    /// What comes twice is a refusal, whichever of them it is and whatever stands there; other names are nobody's business.
    #[test]
    fn what_comes_twice_is_refused() {
        for text in
            ["error=&error=", "error=a&error=b", "tenant=x&tenant=x", "state=1&code=2&code=3", "state=1&%73tate=1"]
        {
            assert!(Query::parse(text).error().is_some(), "{text}");
        }
        assert_eq!(Query::parse("state=1&code=2&session_state=3&session_state=3").error(), None);
        assert_eq!(Query::parse("state=1&error=access_denied").error().as_deref(), Some("access_denied"));
    }

    /// Values are decoded; what comes twice, is empty or is no encoding says nothing.
    #[test]
    fn a_parameter_counts_once() {
        let query = Query::parse("state=a%2Bb+c&error=&tenant=x&tenant=y&code=%zz&%73=1");
        assert_eq!(query.take("state").as_deref(), Some("a+b c"));
        assert_eq!((query.take("error"), query.take("tenant"), query.take("code")), (None, None, None));
        assert_eq!(query.take("s").as_deref(), Some("1"));
        assert_eq!(Query::parse(&format!("state={}", "a".repeat(9_000))).take("state"), None);
        assert_eq!(Query::parse("state=%ff").take("state"), None);
    }
}
