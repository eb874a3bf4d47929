//! The ciphertext format, and the only code that turns plaintext into ciphertext and back.
//!
//! The construction is KC-XAES-256-GCM: a 192-bit random nonce, a key of its own for every message, and a 32-byte
//! commitment to the key. `FORMAT.md` beside this crate specifies every byte in numbered clauses; comments here cite
//! them as `F-n`. The crate is pure: no clock, no I/O; the one source of randomness is [`fresh_nonce`].
//!
//! | to | use |
//! |---|---|
//! | keep a data key ready for use | [`ExpandedKey`] |
//! | seal or open one message | [`seal`], [`open`] |
//! | seal or open many under one key | [`BatchSealer`], [`BatchOpener`] |
//! | seal or open a payload of any size | [`StreamSealer`], [`StreamOpener`] |
//! | read what a ciphertext says of itself | [`Header::parse`] |
//! | make and check the bytes a vault wraps | [`payload`] |
//!
//! Every failure to open is the same [`OpenFailed`]: what a stranger could learn from two different answers is theirs
//! to use.

mod aad;
mod batch;
mod context;
mod gcm;
mod header;
pub mod kc_xaes;
mod kdf;
mod message;
mod nonce;
pub mod payload;
mod stream;

pub use batch::{BATCH_LIMIT, BatchFull, BatchOpener, BatchSealer};
pub use context::{Binding, Context, InvalidContext, MAX_CONTEXT_BYTES, MAX_CONTEXT_ENTRIES};
pub use header::{HEADER_LEN, Header, HeaderError, Kind};
pub use kdf::{ExpandedKey, Key};
pub use message::{OVERHEAD, OpenFailed, TAG_LEN, open, seal};
pub use nonce::fresh_nonce;
pub use stream::{PROLOGUE_LEN, SEGMENT_LEN, SEGMENT_LIMIT, StreamOpener, StreamSealer, StreamTooLong};
