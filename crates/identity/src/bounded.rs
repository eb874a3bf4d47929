//! JSON from strangers: how large, how deep and how repetitive it may be before it is looked at.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

/// What an object may measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of text.
    pub(crate) bytes: usize,
    /// Objects and lists within each other; the object itself counts.
    pub(crate) depth: usize,
    /// Members of the object.
    pub(crate) members: usize,
}

/// The object, if it keeps to the bounds and names no member twice (a second reader could believe the other one).
pub(crate) fn object(text: &[u8], bounds: Bounds) -> Option<Map<String, Value>> {
    if text.len() > bounds.bytes || depth(text) > bounds.depth {
        return None;
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let map = reader.deserialize_map(Once { members: bounds.members }).ok()?;
    reader.end().ok()?;
    Some(map)
}

/// How deep brackets go, those inside of texts left out. Meaningful for JSON; for anything else the parser decides.
fn depth(text: &[u8]) -> usize {
    let (mut now, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                now += 1;
                deepest = deepest.max(now);
            }
            (false, b'}' | b']') => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Once {
    members: usize,
}

impl<'de> Visitor<'de> for Once {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members have different names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if map.len() >= self.members || map.insert(name, value).is_some() {
                return Err(A::Error::custom("too many members, or one twice"));
            }
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Bounds = Bounds { bytes: 200, depth: 3, members: 3 };

    /// Within the bounds an object is read; one byte, level, member or repetition more, and nothing of it is.
    #[test]
    fn what_is_too_large_too_deep_or_said_twice_is_not_read() {
        let read = |text: &str| object(text.as_bytes(), SMALL).is_some();
        assert!(read(r#"{"a":1,"b":[[2]],"c":"}}}}]]][[[{{{\"[[[["}"#));
        for bad in [
            r#"{"a":[[[1]]]}"#,
            r#"{"a":{"b":{"c":{}}}}"#,
            r#"{"a":1,"b":2,"c":3,"d":4}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1}{"a":1}"#,
            r#"[1]"#,
            r#"{"a":"#,
            "",
        ] {
            assert!(!read(bad), "{bad}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(200));
        assert!(!read(&long));
        assert!(object("[".repeat(100_000).as_bytes(), Bounds { bytes: 1_000_000, ..SMALL }).is_none());
    }
}
