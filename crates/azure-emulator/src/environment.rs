//! Where the emulator's time and randomness come from: the one place that reads the ambient ones.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// The emulator's clock. A closure that returns microseconds since 1970 UTC is one.
pub trait EmulatorClock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn unix_micros(&self) -> i64;
}

impl<F: Fn() -> i64 + Send + Sync + 'static> EmulatorClock for F {
    fn unix_micros(&self) -> i64 {
        self()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

impl EmulatorClock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "the one reading of real time in the emulator")]
    fn unix_micros(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// Identifiers and secrets. With a seed every run gives the same ones; RSA keys are always freshly generated.
pub(crate) struct Randomness {
    seed: Option<u64>,
    drawn: AtomicU64,
    system: SystemRandom,
}

impl Randomness {
    /// `drawn`: how many identifiers a run with this seed has used up before, so that none comes twice.
    pub(crate) fn new(seed: Option<u64>, drawn: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(drawn), system: SystemRandom::new() }
    }

    /// How many identifiers a seed has given so far.
    pub(crate) fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    fn bytes16(&self) -> [u8; 16] {
        let mut out = [0; 16];
        match self.seed {
            Some(seed) => {
                let n = self.drawn.fetch_add(1, Ordering::Relaxed);
                let hash = digest::digest(&digest::SHA256, &[seed.to_be_bytes(), n.to_be_bytes()].concat());
                out.copy_from_slice(&hash.as_ref()[..16]);
            }
            None => self.system.fill(&mut out).expect("the system's random source answers once it was seeded"),
        }
        out
    }

    /// A GUID (version 4, lower case).
    pub(crate) fn guid(&self) -> String {
        let mut b = self.bytes16();
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let h = hex::encode(b);
        format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
    }

    /// 32 hex characters: a key version.
    pub(crate) fn version(&self) -> String {
        hex::encode(self.bytes16())
    }

    /// A client secret of the length and alphabet that Entra ID shows.
    pub(crate) fn client_secret(&self) -> String {
        use base64::Engine as _;
        let bytes = [self.bytes16(), self.bytes16()].concat();
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        format!("{}8Q~{}", &text[..3], &text[3..37])
    }

    /// A number in `0..bound` (`bound` > 0).
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let b = self.bytes16();
        u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed replays the identifiers of a run.
    #[test]
    fn the_same_seed_gives_the_same_identifiers() {
        let start = |seed| Randomness::new(Some(seed), 0);
        let (a, b, c) = (start(7), start(7), start(8));
        let first = a.guid();
        assert_eq!(first, b.guid());
        assert_ne!(first, c.guid());
        assert_ne!(first, a.guid());
        assert_eq!(a.client_secret().len(), 40);
        let resumed = Randomness::new(Some(7), b.drawn());
        assert_ne!(resumed.guid(), first);
    }
}
