//! The ledger: what makes a chain of events provable to somebody who has only a copy of it.
//!
//! `docs/ledger.md` specifies the bytes with numbered clauses; [`chain`] is its clause 2, [`checkpoint`] its clause 3.

pub mod chain;
pub mod checkpoint;
pub mod data_used;
pub mod entry;

pub use chain::{ChainName, Link, START};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use data_used::{DataUsed, UseOutcome};
pub use entry::{CalledVault, KeysPurged, KeysUsed, Purpose, VaultCall, WhyPurged};
