//! The way out of the process: the one HTTP client for vaults and directories, and the only code that sends.
//!
//! | module | answers |
//! |---|---|
//! | `sender` | how a request is sent and its answer read: no redirects, TLS only, bounded answers, a client for each set of ranges |
//! | `connect` | how a connection is made: to an address that was checked, with the name in TLS |
//! | `resolve` | where a name leads, asked once for each connection |
//! | `rules` | whether anybody may be reached there |
//! | `range` | what kinds of addresses there are |
//! | `proxy` | how a connection is made through a proxy that an operator named |
//! | `message` | what is sent and received, in buffers that are wiped |
//! | `named` | how a host that an operator named is reached: an issuer's |
//! | `development` | how an emulator on this machine is reached under the real names; not in a production build |
//!
//! It knows neither vaults nor tokens: who calls has checked where a request goes, and what an answer means is theirs to say.

mod connect;
#[cfg(feature = "development-connector")]
mod development;
mod message;
mod named;
mod proxy;
mod range;
mod resolve;
mod rules;
mod sender;

#[cfg(feature = "development-connector")]
pub use self::development::{Answers, DevelopmentConnector, KnownNames};
#[cfg(feature = "seeded-bugs")]
pub use self::rules::SeededBug;
pub use self::{
    message::{Received, Request, Wiped, wipe},
    named::is_a_host,
    proxy::{InvalidProxy, Proxy},
    range::{InvalidRange, Kind, Range, Ranges, kind},
    resolve::NotResolved,
    rules::Rules,
    sender::{ConnectorRefused, NoAnswer, Sender},
};
