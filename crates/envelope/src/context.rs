//! What is a ciphertext bound to, besides its key?

/// Most entries a context may have.
pub const MAX_CONTEXT_ENTRIES: usize = 16;
/// Most bytes all keys and values of a context may have together.
pub const MAX_CONTEXT_BYTES: usize = 4096;

/// The encryption context: authenticated with the ciphertext, not kept in it. Without exactly the same entries nothing
/// opens.
///
/// Held as it stands in the authenticated data: sorted by the raw bytes of the keys, nothing normalised. An empty
/// context and an absent one are the same.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Context {
    entries: u8,
    /// `(LP(key) ‖ LP(value))*`
    encoded: Vec<u8>,
}

/// Why entries are not a context. All of it is the caller's to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContext {
    /// More than [`MAX_CONTEXT_ENTRIES`].
    #[error("the context has more than {MAX_CONTEXT_ENTRIES} entries")]
    TooManyEntries,
    /// More than [`MAX_CONTEXT_BYTES`] in keys and values.
    #[error("the context's keys and values have more than {MAX_CONTEXT_BYTES} bytes together")]
    TooLong,
    /// A key without a name.
    #[error("the context has an empty key")]
    EmptyKey,
    /// One key twice: which value would hold is not said.
    #[error("the context has the same key twice")]
    RepeatedKey,
}

impl Context {
    /// The context without entries.
    pub const fn empty() -> Self {
        Self { entries: 0, encoded: Vec::new() }
    }

    /// The context of these entries, in any order.
    pub fn from_entries<K: AsRef<str>, V: AsRef<str>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, InvalidContext> {
        // One more than allowed is enough to know; the rest of a hostile list is not collected.
        let mut entries: Vec<(K, V)> = entries.into_iter().take(MAX_CONTEXT_ENTRIES + 1).collect();
        if entries.len() > MAX_CONTEXT_ENTRIES {
            return Err(InvalidContext::TooManyEntries);
        }
        let bytes: usize = entries.iter().map(|(key, value)| key.as_ref().len() + value.as_ref().len()).sum();
        if bytes > MAX_CONTEXT_BYTES {
            return Err(InvalidContext::TooLong);
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.as_ref().as_bytes().cmp(b.as_ref().as_bytes()));
        if entries.first().is_some_and(|(key, _)| key.as_ref().is_empty()) {
            return Err(InvalidContext::EmptyKey);
        }
        if entries.windows(2).any(|pair| pair[0].0.as_ref() == pair[1].0.as_ref()) {
            return Err(InvalidContext::RepeatedKey);
        }
        let mut encoded = Vec::with_capacity(bytes + 8 * entries.len());
        for (key, value) in &entries {
            for part in [key.as_ref(), value.as_ref()] {
                encoded.extend_from_slice(&length_prefix(part.len()));
                encoded.extend_from_slice(part.as_bytes());
            }
        }
        Ok(Self { entries: entries.len() as u8, encoded })
    }

    /// The number of entries, 0 … 16.
    pub fn entries(&self) -> u8 {
        self.entries
    }

    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// How many, not what: entries are the customer's data.
impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({} entries)", self.entries)
    }
}

/// Everything outside the ciphertext that must be the same for it to open.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Id of the workspace.
    pub workspace: &'a str,
    /// Id of the app.
    pub app: &'a str,
    /// The data key's protection: 1 platform key, 2 customer key.
    pub protection: u8,
    /// The caller's own entries.
    pub context: &'a Context,
}

/// `LP`'s four bytes: the length, big-endian.
pub(crate) fn length_prefix(length: usize) -> [u8; 4] {
    // Only ids and context entries are prefixed; a length that does not fit would not be unambiguous any more.
    u32::try_from(length).expect("no id or context entry has 4 GiB").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: usize) -> Vec<(String, String)> {
        (0..count).map(|n| (format!("k{n:02}"), String::new())).collect()
    }

    #[test]
    fn the_order_in_which_entries_are_given_does_not_matter() {
        let a = Context::from_entries([("b", "2"), ("a", "1"), ("B", "3")]).unwrap();
        let b = Context::from_entries([("B", "3"), ("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.encoded(), b"\0\0\0\x01B\0\0\0\x013\0\0\0\x01a\0\0\0\x011\0\0\0\x01b\0\0\0\x012");
    }

    #[test]
    fn limits_hold_to_the_byte() {
        assert!(Context::from_entries(numbered(16)).is_ok());
        assert_eq!(Context::from_entries(numbered(17)), Err(InvalidContext::TooManyEntries));
        let value = "v".repeat(MAX_CONTEXT_BYTES - 1);
        assert!(Context::from_entries([("k", &value)]).is_ok());
        assert_eq!(Context::from_entries([("kk", &value)]), Err(InvalidContext::TooLong));
    }

    #[test]
    fn an_empty_or_repeated_key_is_refused_and_an_empty_value_is_not() {
        assert_eq!(Context::from_entries([("a", "1"), ("", "2")]), Err(InvalidContext::EmptyKey));
        assert_eq!(Context::from_entries([("a", "1"), ("b", "2"), ("a", "1")]), Err(InvalidContext::RepeatedKey));
        assert!(Context::from_entries([("a", "")]).is_ok());
        assert_eq!(Context::from_entries(numbered(0)).unwrap(), Context::empty());
    }

    /// Text that looks alike is not the same: nothing is normalised.
    #[test]
    fn nothing_is_normalised() {
        let composed = Context::from_entries([("n", "\u{e9}")]).unwrap();
        let decomposed = Context::from_entries([("n", "e\u{301}")]).unwrap();
        assert_ne!(composed, decomposed);
    }

    #[test]
    fn a_context_in_a_log_shows_no_entry() {
        assert_eq!(format!("{:?}", Context::from_entries([("secret", "value")]).unwrap()), "Context(1 entries)");
    }
}
