//! How a program talks to byokd: where the service is, one method for each call, and refusals a program can act on.
//!
//! Unary calls carry a deadline. Streams carry none, because they last as long as their data; pings notice a peer that is gone.

mod client;
mod cut_off;
mod endpoint;
mod refused;
mod selections;
mod streams;

pub use api::byok::v1 as pb;
pub use client::{Client, Exported, Options, TlsIdentity};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use refused::{Error, Owner, Refused};
pub use selections::Selections;
pub use streams::{Progress, StreamError, StreamSealed};

/// A duration as requests carry it, in whole seconds.
pub fn whole_seconds(duration: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos: 0 }
}

/// A time as answers carry it.
pub type Time = prost_types::Timestamp;

/// Which fields of a request are set, by name.
pub fn mask(paths: &[&str]) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

/// A time as requests carry it, from microseconds since 1970-01-01T00:00:00Z.
pub fn time(micros: i64) -> Time {
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Time { seconds: micros.div_euclid(1_000_000), nanos }
}

/// The largest payload of one message, in bytes. Larger ones go through a stream.
pub const MESSAGE_MAX: usize = 4 * 1024 * 1024;
