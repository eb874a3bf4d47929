//! What one peer may take of the daemon.

use std::time::Duration;

use domain::Entropy;

/// Bounds on connections and calls. Everything a stranger can send is bounded by one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one more is closed at once.
    pub connections: usize,
    /// Calls at once on one connection, announced to the peer, who is expected to wait.
    pub streams_per_connection: u32,
    /// Calls under way on one connection; one more is answered `QUOTA_EXCEEDED`.
    pub calls_per_connection: usize,
    /// How long a peer may take for the TLS handshake, and again for its first bytes of HTTP/2.
    pub handshake: Duration,
    /// A connection without a call for this long is closed.
    pub idle: Duration,
    /// A connection is told to go away at this age, give or take a tenth, so that load spreads over replicas.
    pub age: Duration,
    /// How long the calls of a connection that was told to go away may go on.
    pub age_grace: Duration,
    /// The longest a unary call may take, and the longest a stream may stand still, whatever the caller asked for.
    pub longest_call: Duration,
    /// How long calls under way may go on after the order to stop.
    pub drain: Duration,
}

impl Limits {
    /// The largest message in either direction: 4 MiB of payload and 64 KiB for what is around it.
    pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024 + 64 * 1024;
    /// The largest header list of a request.
    pub const HEADER_LIST_BYTES: u32 = 8 * 1024;
    /// Streams opened and reset before they were taken up ("rapid reset"); one more ends the connection.
    pub(super) const RESETS_BEFORE_ACCEPT: usize = 20;
    /// Streams we had to reset because of the peer's errors; one more ends the connection.
    pub(super) const RESETS_BY_PEERS_ERRORS: usize = 128;
    /// How much one stream may send ahead of being read.
    pub(super) const STREAM_WINDOW: u32 = 1024 * 1024;
    /// How much one connection may send ahead of being read.
    pub(super) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
    /// The largest HTTP/2 frame we take; also the unit in which large payloads are read.
    pub(super) const FRAME: u32 = 256 * 1024;
    /// How much of an answer waits in memory for a slow reader, for each stream.
    pub(super) const SEND_BUFFER: usize = 1024 * 1024;
    /// A ping this often, so that a peer that vanished is noticed.
    pub(super) const PING_EVERY: Duration = Duration::from_secs(30);
    /// How long a ping's answer may take.
    pub(super) const PING_ANSWER: Duration = Duration::from_secs(20);

    /// This connection's age limit: [`Limits::age`] ± 10 %, so that connections opened together do not end together.
    pub(super) fn jittered_age(&self, entropy: &dyn Entropy) -> Duration {
        let [random] = domain::entropy::random::<1>(entropy);
        self.age.mul_f64(0.9 + 0.2 * f64::from(random) / 255.0)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            streams_per_connection: 256,
            calls_per_connection: 256,
            handshake: Duration::from_secs(5),
            idle: Duration::from_secs(15 * 60),
            age: Duration::from_secs(60 * 60),
            age_grace: Duration::from_secs(60),
            longest_call: Duration::from_secs(60),
            drain: Duration::from_secs(25),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);
    impl Entropy for Always {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    /// Connections opened in the same second end spread over a fifth of their age.
    #[test]
    fn connections_opened_together_do_not_end_together() {
        let limits = Limits { age: Duration::from_secs(1_000), ..Limits::default() };
        assert_eq!(limits.jittered_age(&Always(0)).as_secs_f64().round(), 900.0);
        assert_eq!(limits.jittered_age(&Always(255)).as_secs_f64().round(), 1_100.0);
    }
}
