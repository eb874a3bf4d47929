//! Which test proves that a configuration works: one that passed, of exactly that configuration, and not long ago (I-22).

use crate::key_life::LONGEST_SKEW;
use crate::key_test::COUNTS_FOR;
use crate::{ConfigHash, KeyTest, Reason, Timestamp};

/// What is known of a test, passed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TestFacts {
    /// Its id, a ULID.
    pub id: [u8; 16],
    /// Which configuration was tested, by its hash.
    pub config_hash: [u8; 32],
    /// When it ended.
    pub finished_at: Timestamp,
    /// Whether nothing in it failed.
    pub passed: bool,
}

/// A test that proves its configuration for 24 hours. Only [`PassingTest::admit`] makes one, and rows it was kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PassingTest {
    id: [u8; 16],
    config_hash: [u8; 32],
    finished_at: Timestamp,
}

impl PassingTest {
    /// Takes a test as the proof of the configuration with this hash, or says why it is none.
    pub fn admit(test: &TestFacts, config_hash: &[u8; 32], now: Timestamp) -> Result<Self, Reason> {
        let proof = Self { id: test.id, config_hash: test.config_hash, finished_at: test.finished_at };
        if test.config_hash != *config_hash {
            Err(Reason::TestOfAnotherConfiguration)
        } else if !test.passed {
            Err(Reason::KeyNotTested)
        } else if !proof.counts_at(now) {
            Err(Reason::TestOutdated)
        } else {
            Ok(proof)
        }
    }

    /// Looks for the proof of the configuration with this hash among its workspace's tests, which come newest first: the newest
    /// test of exactly this configuration decides, whatever passed before it. Otherwise says what is missing.
    pub fn among(tests: &[KeyTest], config: &ConfigHash, now: Timestamp) -> Result<Self, Reason> {
        let Some(test) = tests.iter().find(|test| test.config_hash == *config) else {
            let another = tests.iter().any(KeyTest::passed);
            return Err(if another { Reason::TestOfAnotherConfiguration } else { Reason::KeyNotTested });
        };
        let facts = TestFacts {
            id: test.id.to_bytes(),
            config_hash: test.config_hash.0,
            finished_at: test.finished_at,
            passed: test.passed(),
        };
        let proof = Self::admit(&facts, &config.0, now)?;
        if test.counts(config, now) { Ok(proof) } else { Err(Reason::TestOutdated) }
    }

    /// As it was kept: it counted when it was.
    pub fn kept(id: [u8; 16], config_hash: [u8; 32], finished_at: Timestamp) -> Self {
        Self { id, config_hash, finished_at }
    }

    /// Whether it still counts. One that ends in the future was timed by a clock that is wrong, and counts as little as an old one.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.finished_at <= now.saturating_add(LONGEST_SKEW) && now <= self.finished_at.saturating_add(COUNTS_FOR)
    }

    /// The test's id.
    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// The configuration it proves.
    pub fn config_hash(&self) -> &[u8; 32] {
        &self.config_hash
    }

    /// When it ended.
    pub fn finished_at(&self) -> Timestamp {
        self.finished_at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn test() -> TestFacts {
        TestFacts { id: [1; 16], config_hash: [2; 32], finished_at: NOW, passed: true }
    }

    /// I-22: only a test that passed, of exactly this configuration, within the last day is a proof; each other is told apart.
    #[test]
    fn only_a_fresh_passed_test_of_this_configuration_is_a_proof() {
        let admit = |test, now| PassingTest::admit(&test, &[2; 32], now).map(|_| ());
        let day = NOW.saturating_add(COUNTS_FOR);
        assert_eq!(admit(test(), NOW), Ok(()));
        assert_eq!(admit(test(), day), Ok(()));
        assert_eq!(admit(test(), day.saturating_add(Duration::from_micros(1))), Err(Reason::TestOutdated));
        assert_eq!(admit(test(), NOW.saturating_sub(Duration::from_secs(1))), Err(Reason::TestOutdated));
        assert_eq!(admit(TestFacts { passed: false, ..test() }, NOW), Err(Reason::KeyNotTested));
        let other = TestFacts { config_hash: [3; 32], ..test() };
        assert_eq!(admit(other, NOW), Err(Reason::TestOfAnotherConfiguration));
    }
}
