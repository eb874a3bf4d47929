//! A second implementation of the format, written from its specification on other libraries: `cmac` and `aes-gcm`.
//! It shares no code with the crate, and is slow and plain on purpose.
//!
//! Each rule that protects somebody can be left out, to show that a test notices.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use cmac::{Cmac, Mac};
use sha2::{Digest, Sha256};

use super::implementation::{Bound, Implementation};

/// Which rules this copy keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oracle {
    pub(crate) compares_commitment: bool,
    pub(crate) compares_whole_commitment: bool,
    pub(crate) prefixes_lengths: bool,
    pub(crate) binds_header: bool,
    pub(crate) binds_workspace: bool,
    pub(crate) binds_app: bool,
    pub(crate) binds_protection: bool,
    pub(crate) binds_context: bool,
    pub(crate) marks_last_segment: bool,
    pub(crate) numbers_segments: bool,
    pub(crate) refuses_empty_tail: bool,
    pub(crate) opens_with_tag: bool,
}

/// All rules kept.
pub(crate) const CORRECT: Oracle = Oracle {
    compares_commitment: true,
    compares_whole_commitment: true,
    prefixes_lengths: true,
    binds_header: true,
    binds_workspace: true,
    binds_app: true,
    binds_protection: true,
    binds_context: true,
    marks_last_segment: true,
    numbers_segments: true,
    refuses_empty_tail: true,
    opens_with_tag: true,
};

pub(crate) const SEGMENT: usize = 65_536;

pub(crate) fn cmac(key: &[u8; 32], message: &[u8]) -> [u8; 16] {
    let mut mac = <Cmac<aes::Aes256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The AES-256-GCM key for nonces that begin with `prefix`.
pub(crate) fn message_key(key: &[u8; 32], prefix: &[u8]) -> [u8; 32] {
    let halves = [1, 2].map(|i| cmac(key, &[&[0, i, b'X', 0], prefix].concat()));
    halves.concat().try_into().unwrap()
}

pub(crate) fn commitment(key: &[u8; 32], nonce: &[u8]) -> [u8; 32] {
    let halves = [1, 2].map(|i| cmac(key, &[b"XCMT", nonce, &[0, 1, 0, i]].concat()));
    halves.concat().try_into().unwrap()
}

pub(crate) fn gcm_seal(key: &[u8; 32], nonce: &[u8], aad: &[u8], msg: &[u8]) -> Vec<u8> {
    let nonce = Nonce::try_from(nonce).unwrap();
    Aes256Gcm::new(key.into()).encrypt(&nonce, Payload { msg, aad }).unwrap()
}

pub(crate) fn gcm_open(key: &[u8; 32], nonce: &[u8], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    let nonce = Nonce::try_from(nonce).unwrap();
    Aes256Gcm::new(key.into()).decrypt(&nonce, Payload { msg, aad }).ok()
}

impl Oracle {
    fn prefixed(&self, out: &mut Vec<u8>, part: &[u8]) {
        if self.prefixes_lengths {
            out.extend((part.len() as u32).to_be_bytes());
        }
        out.extend(part);
    }

    pub(crate) fn aad(&self, header: &[u8], bound: &Bound) -> Vec<u8> {
        let mut aad = Vec::new();
        self.prefixed(&mut aad, b"byokd/aad/v1");
        if self.binds_header {
            aad.extend(&header[..48]);
        }
        if self.binds_workspace {
            self.prefixed(&mut aad, bound.workspace.as_bytes());
        }
        if self.binds_app {
            self.prefixed(&mut aad, bound.app.as_bytes());
        }
        if self.binds_protection {
            aad.push(bound.protection);
        }
        if self.binds_context {
            aad.push(bound.context.len() as u8);
            for (key, value) in &bound.context {
                self.prefixed(&mut aad, key.as_bytes());
                self.prefixed(&mut aad, value.as_bytes());
            }
        }
        aad
    }

    fn committed(&self, key: &[u8; 32], header: &[u8]) -> bool {
        let expected = commitment(key, &header[24..48]);
        match (self.compares_commitment, self.compares_whole_commitment) {
            (false, _) => true,
            (true, false) => expected[..16] == header[48..64],
            (true, true) => expected == header[48..80],
        }
    }

    fn segment_nonce(&self, r: &[u8], i: usize, last: bool) -> Vec<u8> {
        let number = if self.numbers_segments { i as u32 } else { 1 };
        [r, &number.to_be_bytes(), &[u8::from(last)]].concat()
    }
}

pub(crate) fn header(kind: u8, parameter: u8, key: &[u8; 32], id: &[u8; 16], nonce: &[u8]) -> Vec<u8> {
    [b"BYOK".as_slice(), &[1, 1, kind, parameter], id, nonce, &commitment(key, nonce)].concat()
}

impl Implementation for Oracle {
    fn seal(&self, key: &[u8; 32], id: &[u8; 16], nonce: &[u8; 24], bound: &Bound, plaintext: &[u8]) -> Vec<u8> {
        let mut message = header(1, 0, key, id, nonce);
        let aad = self.aad(&message, bound);
        message.extend(gcm_seal(&message_key(key, &nonce[..12]), &nonce[12..], &aad, plaintext));
        message
    }

    fn open(&self, key: &[u8; 32], bound: &Bound, message: &[u8]) -> Option<Vec<u8>> {
        if message.len() < 96 || &message[..8] != b"BYOK\x01\x01\x01\x00" || !self.committed(key, message) {
            return None;
        }
        let aad = self.aad(message, bound);
        gcm_open(&message_key(key, &message[24..36]), &message[36..48], &aad, &message[80..])
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
        let nonce = [p.as_slice(), r, &[0, 0, 0, 0, 2]].concat();
        let mut stream = header(2, 16, key, id, &nonce);
        let aad = self.aad(&stream, bound);
        let key = message_key(key, p);
        stream.extend(gcm_seal(&key, &nonce[12..], &aad, b""));
        let aad = Sha256::digest(&aad);
        let segments = plaintext.len().div_ceil(SEGMENT).max(1);
        for i in 0..segments {
            let segment = &plaintext[i * SEGMENT..plaintext.len().min((i + 1) * SEGMENT)];
            stream.extend(gcm_seal(&key, &self.segment_nonce(r, i, i + 1 == segments), &aad, segment));
        }
        stream
    }

    fn open_stream(&self, key: &[u8; 32], bound: &Bound, stream: &[u8]) -> Option<Vec<u8>> {
        if stream.len() < 96
            || &stream[..8] != b"BYOK\x01\x01\x02\x10"
            || stream[43..48] != [0, 0, 0, 0, 2]
            || !self.committed(key, stream)
        {
            return None;
        }
        let aad = self.aad(stream, bound);
        let key = message_key(key, &stream[24..36]);
        if self.opens_with_tag {
            gcm_open(&key, &stream[36..48], &aad, &stream[80..96])?;
        }
        let aad = Sha256::digest(&aad);
        let (r, segments) = (&stream[36..43], &stream[96..]);
        let count = segments.len().div_ceil(SEGMENT + 16).max(1);
        let mut plaintext = Vec::new();
        for i in 0..count {
            let segment = &segments[i * (SEGMENT + 16)..segments.len().min((i + 1) * (SEGMENT + 16))];
            let last = i + 1 == count;
            let mut opened = gcm_open(&key, &self.segment_nonce(r, i, last), &aad, segment);
            if !self.marks_last_segment {
                opened = opened.or_else(|| gcm_open(&key, &self.segment_nonce(r, i, !last), &aad, segment));
            }
            let opened = opened?;
            if opened.is_empty() && i > 0 && self.refuses_empty_tail {
                return None;
            }
            plaintext.extend(opened);
        }
        Some(plaintext)
    }
}
