//! What is stored, and how it is authenticated.
//!
//! [`Store`] and [`Transaction`] say what a database has to do; [`sqlite`] does it. Every row that decides something carries
//! a code made with a key that is not in the database, and each workspace's rows are covered as a set, so that a row which was
//! edited, moved, deleted or put back shows. [`conformance`] is the list of promises, as tests any database has to pass.
//!
//! Absent on purpose: plaintext keys, customer vaults, gRPC, and any clock. Times and ids come in with the rows.

mod callers;
mod contract;
mod error;
mod event;
mod head;
mod integration;
mod key_test_steps;
mod life;
mod row;
mod row_approval;
mod set;
mod tenancy;
mod usage;

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod sqlite;

pub use callers::CallerSet;
pub use contract::{
    Activation, ClusterId, ControlChange, Examined, Inserted, OthersWrote, RecordedDenial, Store, Transaction,
    UsageDropped, Verified,
};
pub use error::{Conflict, Outage, StoreError};
pub use event::RecordedEvent;
pub use head::{Head, HeadRefused, Outside};
