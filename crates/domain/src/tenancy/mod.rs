//! Which directories a workspace is connected to, and how it was proven that they, and its key, are its own.
//!
//! | module | question |
//! |---|---|
//! | [`typed`] | which directories does a list that a person typed name |
//! | [`link`] | where does a directory stand: named, come back from consent, proven, disconnected |
//! | [`connection`] | which directories may a workspace's vaults be in |
//! | [`nonce`] | what does the owner of a key set as its tag, and what does that prove |

pub mod connection;
pub mod link;
pub mod nonce;
pub mod typed;

pub use connection::Connection;
pub use link::{AppSeen, Origin, Proof, ProvenBy, Standing, TenantLink};
pub use nonce::{NONCE_LIVES, ProvenKey, TagNonce};
pub use typed::{Entry, NotAList};
