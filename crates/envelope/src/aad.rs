//! Which bytes are authenticated with a ciphertext?
//!
//! `LP("byokd/aad/v1") ‖ header[0..48] ‖ LP(workspace) ‖ LP(app) ‖ protection ‖ n ‖ (LP(key) ‖ LP(value))*`, where
//! `protection` and `n`, the number of context entries, are one byte each. Everything of variable length has its length
//! in front, so that two bindings never give the same bytes.

use arrayvec::ArrayVec;

use crate::context::{Binding, MAX_CONTEXT_BYTES, MAX_CONTEXT_ENTRIES, length_prefix};
use crate::header::AUTHENTICATED_LEN;

const LABEL: &[u8] = b"\0\0\0\x0cbyokd/aad/v1";
/// Room for every context and for ids of up to 128 bytes; the service's have at most 63.
const INLINE: usize = LABEL.len() + AUTHENTICATED_LEN + 2 * (4 + 128) + 2 + MAX_CONTEXT_BYTES + 8 * MAX_CONTEXT_ENTRIES;

/// Authenticated data. On the stack and never zeroed first, unless ids are longer than any the service gives out.
///
/// Several kilobytes: built in place with [`Aad::write`] rather than returned, because a move would copy it all.
pub(crate) struct Aad {
    inline: ArrayVec<u8, INLINE>,
    spilled: Vec<u8>,
}

impl Aad {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { inline: ArrayVec::new_const(), spilled: Vec::new() }
    }

    /// Writes the data of one ciphertext and returns it.
    pub(crate) fn write(&mut self, header: &[u8; AUTHENTICATED_LEN], binding: &Binding<'_>) -> &[u8] {
        let workspace = binding.workspace.as_bytes();
        let app = binding.app.as_bytes();
        let parts: [&[u8]; 8] = [
            LABEL,
            header,
            &length_prefix(workspace.len()),
            workspace,
            &length_prefix(app.len()),
            app,
            &[binding.protection, binding.context.entries()],
            binding.context.encoded(),
        ];
        self.inline.clear();
        for part in parts {
            if self.inline.try_extend_from_slice(part).is_err() {
                self.spilled = parts.concat();
                return &self.spilled;
            }
        }
        &self.inline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;

    #[test]
    fn the_bytes_are_the_ones_specified() {
        let context = Context::from_entries([("k", "v")]).unwrap();
        let binding = Binding { workspace: "acme", app: "bot", protection: 2, context: &context };
        let mut expected = b"\0\0\0\x0cbyokd/aad/v1".to_vec();
        expected.extend([3; 48]);
        expected.extend(b"\0\0\0\x04acme\0\0\0\x03bot\x02\x01\0\0\0\x01k\0\0\0\x01v");
        assert_eq!(Aad::new().write(&[3; 48], &binding), expected);
    }

    /// Ids longer than any the service gives out spill to the heap; the bytes follow the same rule.
    #[test]
    fn long_ids_give_the_same_bytes_from_the_heap() {
        let workspace = "w".repeat(10_000);
        let context = Context::empty();
        let binding = Binding { workspace: &workspace, app: "a", protection: 1, context: &context };
        let mut aad = Aad::new();
        let written = aad.write(&[0; 48], &binding);
        assert_eq!(written.len(), 16 + 48 + 4 + 10_000 + 4 + 1 + 2);
        assert!(written.ends_with(b"w\0\0\0\x01a\x01\0"));
    }

    #[test]
    fn the_longest_context_stays_on_the_stack() {
        let entries = (0..16).map(|n| (format!("{n:02}"), "v".repeat(254)));
        let context = Context::from_entries(entries).unwrap();
        let id = "x".repeat(63);
        let binding = Binding { workspace: &id, app: &id, protection: 1, context: &context };
        let mut aad = Aad::new();
        aad.write(&[0; 48], &binding);
        assert!(aad.spilled.is_empty());
    }
}
