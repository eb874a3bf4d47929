//! Hints that a customer's key has a new version: they bring the next look into its vault forward, and do nothing else.
//!
//! A hint is two names and nothing is believed of it. It is kept only as a name to be compared with those of configured keys,
//! it never says where to connect, and however many come, each key is looked at once in [`SPACING`].

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use domain::KeyLocation;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::Service;
use crate::keys::lock;
use crate::seeded_bug::{Bugs, SeededBug};

/// The least time between two looks that hints asked for.
const SPACING: Duration = Duration::from_secs(10);
/// How many different names wait for the next look. What comes beyond is found by the look that comes by itself.
const MOST_WAITING: usize = 256;
/// No vault's or key's name is longer.
const LONGEST_NAME: usize = 127;

/// The names that were hinted at since the last look.
#[derive(Default)]
pub(crate) struct Hints {
    waiting: Mutex<HashSet<Hinted>>,
    arrived: Notify,
}

/// A key as a hint names it: vault and key, in lower case. The cloud is not told.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hinted {
    vault: String,
    key: String,
}

impl Hinted {
    pub(crate) fn of(location: &KeyLocation) -> Self {
        Self { vault: location.vault().to_owned(), key: location.key().to_owned() }
    }
}

impl Service {
    /// Somebody says that a key has a new version: its vault is asked soon instead of at the next turn, if any workspace uses
    /// it. Returns at once, and the same whether the key is known or not. Without [`Options::look_for_versions`] nothing
    /// looks, and hints change nothing.
    ///
    /// [`Options::look_for_versions`]: crate::Options::look_for_versions
    pub fn hint_new_version(&self, vault: &str, key: &str) {
        self.0.hints.add(vault, key);
    }
}

impl Hints {
    fn add(&self, vault: &str, key: &str) {
        if [vault, key].iter().any(|name| name.is_empty() || name.len() > LONGEST_NAME) {
            return;
        }
        let mut waiting = lock(&self.waiting);
        if waiting.len() < MOST_WAITING {
            waiting.insert(Hinted { vault: vault.to_ascii_lowercase(), key: key.to_ascii_lowercase() });
            self.arrived.notify_one();
        }
    }

    /// The names that wait, which then wait no longer.
    pub(crate) fn take(&self) -> HashSet<Hinted> {
        std::mem::take(&mut *lock(&self.waiting))
    }

    /// What measures the time between two looks: the first may be at once.
    pub(crate) fn pace() -> Interval {
        let mut pace = interval(SPACING);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    }

    /// Completes when there is a hint and the last look is [`SPACING`] ago. Dropped half-way it loses nothing.
    pub(crate) async fn due(&self, pace: &mut Interval, bugs: Bugs) {
        while lock(&self.waiting).is_empty() {
            self.arrived.notified().await;
        }
        if !bugs.has(SeededBug::HintsNotSpaced) {
            pace.tick().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// How many looks a minute of hints, one every 20 ms for the same key, leads to.
    async fn looks(bugs: Bugs) -> usize {
        let hints = Arc::new(Hints::default());
        let flood = tokio::spawn({
            let hints = hints.clone();
            async move {
                let mut every = interval(Duration::from_millis(20));
                for _ in 0..3_000 {
                    every.tick().await;
                    hints.add("Contoso-KV", "BYOK");
                }
            }
        });
        let (mut pace, mut looks) = (Hints::pace(), 0);
        while !flood.is_finished() {
            if tokio::time::timeout(SPACING, hints.due(&mut pace, bugs)).await.is_ok() {
                let taken = hints.take();
                assert_eq!(taken.len(), 1, "one key, however often it was named");
                looks += 1;
            }
        }
        looks
    }

    /// I-27: a flood of hints is a look every ten seconds.
    #[tokio::test(start_paused = true)]
    async fn a_flood_of_hints_is_a_few_looks() {
        let counted = looks(Bugs::default()).await;
        assert!((6..=8).contains(&counted), "{counted}");
        #[cfg(feature = "seeded-bugs")]
        {
            let flooded = looks(Bugs { seeded: Some(SeededBug::HintsNotSpaced) }).await;
            assert!(flooded > 1_000, "the seeded bug was not found: {flooded}");
        }
    }

    /// Hints for what nobody uses take bounded room, and what is no name takes none.
    #[test]
    fn hints_take_bounded_room() {
        let hints = Hints::default();
        for name in ["", &"x".repeat(128)] {
            hints.add("vault", name);
            hints.add(name, "key");
        }
        assert_eq!(hints.take().len(), 0);
        for n in 0..10_000 {
            hints.add("vault", &n.to_string());
        }
        assert_eq!(hints.take().len(), MOST_WAITING);
        assert_eq!(hints.take().len(), 0, "taken is taken");
    }
}
