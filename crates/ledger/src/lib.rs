//! An exported ledger, read and judged without the service that wrote it.
//!
//! | module | question |
//! |---|---|
//! | [`export`] | What are the lines of an export? |
//! | [`verify`] | Was anything altered, dropped, reordered or cut off? |
//! | [`reconcile`] | Does the customer's own Key Vault log say the same? |
//!
//! Input and output are the caller's: everything here is lines in, findings out. `docs/ledger.md` specifies the format, and
//! `reader/` holds a second verifier, in Python, written from it.

pub mod export;
mod finding;
pub mod reconcile;
pub mod verify;

pub use export::{CheckpointJson, End, Event, Head, Line};
pub use finding::{Finding, Report};
pub use verify::Verifier;
