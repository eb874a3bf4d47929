//! What any implementation of the format can do, so that promises are checked on several.

use std::collections::BTreeMap;

use envelope::{Binding, Context, Header, Kind, PROLOGUE_LEN, StreamOpener, StreamSealer, open, seal};
use serde::{Deserialize, Serialize};

/// An owned binding, as vectors write it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) workspace: String,
    pub(crate) app: String,
    pub(crate) protection: u8,
    pub(crate) context: BTreeMap<String, String>,
}

impl Bound {
    pub(crate) fn new(workspace: &str, app: &str, protection: u8, context: &[(&str, &str)]) -> Self {
        let context = context.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { workspace: workspace.to_owned(), app: app.to_owned(), protection, context }
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&Binding<'_>) -> T) -> T {
        let context = Context::from_entries(&self.context).expect("vectors hold valid contexts");
        f(&Binding { workspace: &self.workspace, app: &self.app, protection: self.protection, context: &context })
    }
}

pub(crate) trait Implementation {
    fn seal(&self, key: &[u8; 32], id: &[u8; 16], nonce: &[u8; 24], bound: &Bound, plaintext: &[u8]) -> Vec<u8>;
    fn open(&self, key: &[u8; 32], bound: &Bound, ciphertext: &[u8]) -> Option<Vec<u8>>;
    fn seal_stream(
        &self,
        key: &[u8; 32],
        id: &[u8; 16],
        p: &[u8; 12],
        r: &[u8; 7],
        bound: &Bound,
        plaintext: &[u8],
    ) -> Vec<u8>;
    fn open_stream(&self, key: &[u8; 32], bound: &Bound, ciphertext: &[u8]) -> Option<Vec<u8>>;

    /// Opens whichever kind the header says it is.
    fn open_any(&self, key: &[u8; 32], bound: &Bound, ciphertext: &[u8]) -> Option<Vec<u8>> {
        match Header::parse(ciphertext).ok()?.kind {
            Kind::Message => self.open(key, bound, ciphertext),
            Kind::Stream => self.open_stream(key, bound, ciphertext),
        }
    }
}

/// The crate under test.
pub(crate) struct Ours;

impl Implementation for Ours {
    fn seal(&self, key: &[u8; 32], id: &[u8; 16], nonce: &[u8; 24], bound: &Bound, plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        bound.with(|binding| seal(key, id, nonce, binding, plaintext, &mut out));
        out
    }

    fn open(&self, key: &[u8; 32], bound: &Bound, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        let opened = bound.with(|binding| open(key, binding, ciphertext, &mut out));
        assert!(opened.is_ok() || out == b"before", "a failure left something behind");
        opened.ok().map(|()| out.split_off(b"before".len()))
    }

    fn seal_stream(
        &self,
        key: &[u8; 32],
        id: &[u8; 16],
        p: &[u8; 12],
        r: &[u8; 7],
        bound: &Bound,
        plaintext: &[u8],
    ) -> Vec<u8> {
        let (mut sealer, prologue) = bound.with(|binding| StreamSealer::new(key, id, *p, *r, binding));
        let mut out = prologue.to_vec();
        sealer.push(plaintext, &mut out).expect("tests stay far below the limit");
        sealer.finish(&mut out).expect("tests stay far below the limit");
        out
    }

    fn open_stream(&self, key: &[u8; 32], bound: &Bound, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let (prologue, segments) = ciphertext.split_first_chunk::<PROLOGUE_LEN>()?;
        let mut opener = bound.with(|binding| StreamOpener::new(key, binding, prologue)).ok()?;
        let mut out = Vec::new();
        opener.push(segments, &mut out).ok()?;
        opener.finish(&mut out).ok()?;
        Some(out)
    }
}
