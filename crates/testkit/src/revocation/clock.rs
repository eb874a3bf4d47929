//! A replica's clocks in simulated time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::{Clock, Moment, Timestamp};
use tokio::time::Instant;

/// 2027-03-01T09:00:00Z.
const BEGIN: i64 = 1_803_891_600_000_000;

/// The time of a run: what really passed.
#[derive(Clone, Copy)]
pub(crate) struct Time(Instant);

impl Time {
    /// From now on.
    #[expect(clippy::disallowed_methods, reason = "the runtime's time is paused: it is the simulated one")]
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    /// How much of it has passed.
    #[expect(clippy::disallowed_methods, reason = "the runtime's time is paused: it is the simulated one")]
    pub(crate) fn passed(self) -> Duration {
        Instant::now() - self.0
    }

    /// Waits until so much has passed.
    pub(crate) async fn until(self, passed: Duration) {
        tokio::time::sleep_until(self.0 + passed).await;
    }
}

/// Both clocks of one replica. Real time can be stepped.
pub(crate) struct ReplicaClock {
    time: Time,
    boot: Duration,
    stepped: AtomicI64,
}

impl ReplicaClock {
    /// A host that has been up for `boot`.
    pub(crate) fn new(time: Time, boot: Duration) -> Arc<Self> {
        Arc::new(Self { time, boot, stepped: AtomicI64::new(0) })
    }

    /// Steps real time.
    pub(crate) fn step(&self, micros: i64) {
        self.stepped.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for ReplicaClock {
    fn now(&self) -> Moment {
        let passed = self.time.passed();
        let micros = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
        let wall = Timestamp::from_micros(BEGIN + micros + self.stepped.load(Ordering::Relaxed));
        Moment { wall, boot: self.boot + passed }
    }
}
