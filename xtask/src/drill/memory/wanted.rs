//! What is searched for: each secret in every form in which it is still one.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::derived;
use super::kind::Kind;

/// One spelling of one secret.
pub(crate) struct Needle {
    pub(crate) kind: Kind,
    /// Whose number in [`Wanted`]'s order.
    pub(crate) secret: usize,
    pub(crate) form: &'static str,
    bytes: Vec<u8>,
}

/// So many bytes of a needle the automaton knows; the rest is compared.
const HEAD: usize = 16;

/// Everything that is searched for.
#[derive(Default)]
pub(crate) struct Wanted {
    known: HashSet<(Kind, Vec<u8>)>,
    secrets: Vec<(Kind, String)>,
    needles: Vec<Needle>,
}

impl Wanted {
    /// A key of 32 bytes that AES, HMAC or Ed25519 may have expanded.
    pub(crate) fn key(&mut self, kind: Kind, label: &str, key: &[u8; 32]) {
        let Some(secret) = self.add(kind, label, key) else { return };
        for (round, bytes) in derived::round_keys(key).iter().enumerate() {
            // Half of a key counts as one: a register that was spilled holds as much.
            let form = if round < 2 { "half of it, raw" } else { "AES round key" };
            self.push(kind, secret, form, bytes.to_vec());
        }
        for (form, pad) in [("HMAC's inner pad", 0x36), ("HMAC's outer pad", 0x5c)] {
            self.push(kind, secret, form, key.iter().map(|byte| byte ^ pad).collect());
        }
        self.spellings(kind, secret, key);
    }

    /// A value that is found as it is, or spelled in a text.
    pub(crate) fn value(&mut self, kind: Kind, label: &str, value: &[u8]) {
        let Some(secret) = self.add(kind, label, value) else { return };
        self.push(kind, secret, "raw", value.to_vec());
        let form = form_encoded(value);
        if form != value {
            self.push(kind, secret, "as a form's field", form);
        }
        self.spellings(kind, secret, value);
    }

    /// A number of a private key as its encoding has it: as it is, and backwards, as a library calculates with it. Half of one gives
    /// the rest back, so a half counts.
    pub(crate) fn number(&mut self, kind: Kind, label: &str, number: &[u8]) {
        let Some(secret) = self.add(kind, label, number) else { return };
        let backwards: Vec<u8> = number.iter().rev().copied().collect();
        let (first, last) = number.split_at(number.len() / 2);
        for half in [first, last] {
            self.push(kind, secret, "half a number", half.to_vec());
            self.push(kind, secret, "half a number, backwards", half.iter().rev().copied().collect());
        }
        self.spellings(kind, secret, number);
        self.spellings(kind, secret, &backwards);
    }

    fn add(&mut self, kind: Kind, label: &str, value: &[u8]) -> Option<usize> {
        if !self.known.insert((kind, value.to_vec())) {
            return None;
        }
        self.secrets.push((kind, label.to_owned()));
        Some(self.secrets.len() - 1)
    }

    fn spellings(&mut self, kind: Kind, secret: usize, value: &[u8]) {
        self.push(kind, secret, "hexadecimal", hex::encode(value).into());
        self.push(kind, secret, "hexadecimal", hex::encode_upper(value).into());
        for shift in 0..3 {
            let shifted = [&vec![0; shift][..], value].concat();
            let whole = &shifted[..shifted.len() / 3 * 3];
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let text = engine.encode(whole).into_bytes();
                // Less the group that holds the shift.
                let text = text[if shift == 0 { 0 } else { 4 }..].to_vec();
                if self.needles.last().is_none_or(|last| last.bytes != text) {
                    self.push(kind, secret, "base64", text);
                }
            }
        }
    }

    fn push(&mut self, kind: Kind, secret: usize, form: &'static str, bytes: Vec<u8>) {
        if bytes.len() >= HEAD {
            self.needles.push(Needle { kind, secret, form, bytes });
        }
    }

    /// How many secrets of a kind there are, and in how many forms they are searched.
    pub(crate) fn count(&self, kind: Kind) -> (usize, usize) {
        let secrets = self.secrets.iter().filter(|(of, _)| *of == kind).count();
        (secrets, self.needles.iter().filter(|needle| needle.kind == kind).count())
    }

    /// Of which of these kinds nothing is known, so that to find nothing means nothing.
    pub(crate) fn unknown(&self, kinds: &[Kind]) -> Vec<&'static str> {
        kinds.iter().filter(|kind| self.count(**kind).1 == 0).map(|kind| kind.name()).collect()
    }

    pub(crate) fn label(&self, secret: usize) -> &str {
        self.secrets.get(secret).map_or("", |(_, label)| label)
    }

    pub(crate) fn finder(&self) -> Result<Finder<'_>> {
        let heads = self.needles.iter().map(|needle| &needle.bytes[..HEAD]);
        let automaton = AhoCorasickBuilder::new().match_kind(MatchKind::Standard).build(heads)?;
        let longest = self.needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or(0);
        Ok(Finder { automaton, needles: &self.needles, longest })
    }
}

/// As a form posts it (WHATWG URL, application/x-www-form-urlencoded).
fn form_encoded(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len() * 3);
    for byte in value {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => text.push(*byte),
            b' ' => text.push(b'+'),
            _ => text.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    text
}

const PAGE: usize = 4096;
static ZEROS: [u8; PAGE] = [0; PAGE];

/// Finds all of it in one pass.
pub(crate) struct Finder<'a> {
    automaton: AhoCorasick,
    needles: &'a [Needle],
    /// The longest needle: so many bytes two pieces of one region must share.
    pub(crate) longest: usize,
}

impl<'a> Finder<'a> {
    /// Everything in `bytes`, by its offset. Pages of zeros are passed over: most of what is reserved was never used.
    pub(crate) fn find(&self, bytes: &[u8], mut found: impl FnMut(usize, &'a Needle)) {
        let mut from = None;
        for (number, page) in bytes.chunks(PAGE).enumerate() {
            let empty = *page == ZEROS[..page.len()];
            if empty {
                if let Some(from) = from.take() {
                    self.find_in(bytes, from, number * PAGE, &mut found);
                }
            } else {
                from.get_or_insert(number * PAGE);
            }
        }
        if let Some(from) = from {
            self.find_in(bytes, from, bytes.len(), &mut found);
        }
    }

    fn find_in(&self, bytes: &[u8], from: usize, to: usize, found: &mut impl FnMut(usize, &'a Needle)) {
        for head in self.automaton.find_overlapping_iter(&bytes[from..to]) {
            let needle = &self.needles[head.pattern().as_usize()];
            let at = from + head.start();
            if bytes[at..].starts_with(&needle.bytes) {
                found(at, needle);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each form in which a key may stand is found, wherever it begins, and nothing else is.
    #[test]
    fn every_form_is_found_and_nothing_else() {
        let mut wanted = Wanted::default();
        let key: [u8; 32] = std::array::from_fn(|at| (at as u8).wrapping_mul(73).wrapping_add(11));
        wanted.key(Kind::DataKey, "k", &key);
        let finder = wanted.finder().unwrap();
        let forms = |bytes: &[u8]| {
            let mut forms = Vec::new();
            finder.find(bytes, |_, needle| forms.push(needle.form));
            forms
        };
        let around = |bytes: &[u8]| [b"...", bytes, b"..."].concat();
        assert_eq!(forms(&around(&key)), ["half of it, raw"; 2]);
        assert_eq!(forms(&around(hex::encode(key).as_bytes())), ["hexadecimal"]);
        for shift in 0..3 {
            let text = URL_SAFE_NO_PAD.encode([&b"xyz"[..shift], &key, b"tail"].concat());
            assert_eq!(forms(&around(text.as_bytes())), ["base64"], "shifted by {shift}");
        }
        assert_eq!(forms(&around(&derived::round_keys(&key)[9])), ["AES round key"]);
        let mut other = key;
        (other[3], other[20]) = (0, 0);
        assert!(forms(&around(&other)).is_empty());
    }
    /// A secret is found as a form posts it, and each half of a private key's number whichever way round it stands; a kind of
    /// which nothing was given is told.
    #[test]
    fn forms_and_numbers_are_found() {
        let mut wanted = Wanted::default();
        wanted.value(Kind::RegistrationSecret, "s", b"abc8Q~0123456789abcdef");
        let number: Vec<u8> = (0..96).map(|at: u8| at.wrapping_mul(41).wrapping_add(7)).collect();
        wanted.number(Kind::RegistrationKey, "p", &number);
        let finder = wanted.finder().unwrap();
        let forms = |bytes: &[u8]| {
            let mut forms = Vec::new();
            finder.find(bytes, |_, needle| forms.push(needle.form));
            forms
        };
        assert_eq!(forms(b"..client_secret=abc8Q%7E0123456789abcdef&.."), ["as a form's field"]);
        assert_eq!(forms(b"..abc8Q~0123456789abcdef.."), ["raw"]);
        assert_eq!(forms(&number[48..]), ["half a number"]);
        let backwards: Vec<u8> = number.iter().rev().copied().collect();
        assert_eq!(forms(&backwards), ["half a number, backwards"; 2]);
        assert_eq!(forms(hex::encode(&number).as_bytes()), ["hexadecimal"]);
        assert_eq!(wanted.unknown(&[Kind::RegistrationKey, Kind::IssuedToken]), ["tokens as they are issued"]);
    }
}
