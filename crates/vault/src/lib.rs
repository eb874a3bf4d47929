//! Customer keys: the seam to the vaults that hold them, what a vault may answer, and the platform's own root key.
//!
//! | module | question |
//! |---|---|
//! | [`keys`] | what may be asked of a vault |
//! | [`approach`] | what can be seen on the way to a key, before anything is asked of it |
//! | [`challenge`] | does the vault still let us use a key version |
//! | [`registered`] | as whom a vault is asked: the platform's app, or a customer's own registration |
//! | [`unavailable`] | why a key could not be used, who fixes it, and what becomes of keys in memory |
//! | [`azure`] | customer keys in Azure Key Vault |
//! | [`platform`] | what protects what is under no customer key, and authenticates rows |
//! | `conformance` | what every provider must do (feature `conformance`) |
//! | `memory` | a provider in memory, for tests (feature `memory`) |

pub mod approach;
pub mod azure;
pub mod challenge;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod keys;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
pub mod platform;
pub mod registered;
pub mod unavailable;

pub use approach::{Approach, Reached};
pub use keys::{CustomerKeys, KeyDescription, KeyRef, PAYLOAD_LEN, Unwrapped, VersionListing, WrappedBlob};
pub use registered::{Application, RegisteredApp};
pub use unavailable::{AnswerFault, Class, CredentialFault, KeyUnavailable, RegistrationFault, Trace};
