//! Query strings and form bodies: `application/x-www-form-urlencoded`.

use std::collections::HashMap;

/// Pairs by name; of a repeated name the last value counts.
pub(crate) fn pairs(text: &str) -> HashMap<String, String> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(name), decode(value))
    };
    text.split('&').filter(|p| !p.is_empty()).map(pair).collect()
}

/// Percent-encoding of a value, in a query or a form.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let escaped = after.get(..2).and_then(|two| hex::decode(two).ok());
                match escaped.as_deref() {
                    Some([byte]) => {
                        out.push(*byte);
                        rest = &after[2..];
                    }
                    _ => out.push(b'%'),
                }
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Escapes are decoded; what is no escape stays as it is.
    #[test]
    fn escapes_are_decoded_and_stray_percents_kept() {
        let got = pairs("scope=https%3A%2F%2Fvault.azure.net%2F.default&a=b+c&%24skiptoken=25&bad=100%&flag");
        assert_eq!(got["scope"], "https://vault.azure.net/.default");
        assert_eq!((got["a"].as_str(), got["$skiptoken"].as_str()), ("b c", "25"));
        assert_eq!((got["bad"].as_str(), got["flag"].as_str()), ("100%", ""));
    }
}
