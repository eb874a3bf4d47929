//! The way out of the process: the one HTTP client for vaults and directories, and the only code that sends.
//!
//! | module | answers |
//! |---|---|
//! | `sender` | how a request is sent and its answer read: no redirects, no proxy of the environment, TLS only, bounded answers |
//! | `resolve` | where a name leads, and whether anybody may be reached there |
//! | `message` | what is sent and received, in buffers that are wiped |
//! | `named` | how a host that an operator named is reached: an issuer's |
//! | `development` | how an emulator on this machine is reached under the real names; not in a production build |
//!
//! It knows neither vaults nor tokens: who calls has checked where a request goes, and what an answer means is theirs to say.

#[cfg(feature = "development-connector")]
mod development;
mod message;
mod named;
mod resolve;
mod sender;

#[cfg(feature = "development-connector")]
pub use self::development::{DevelopmentConnector, KnownNames};
pub use self::{
    message::{Received, Request, Wiped, wipe},
    named::is_a_host,
    resolve::NotResolved,
    sender::{ConnectorRefused, NoAnswer, Sender},
};
