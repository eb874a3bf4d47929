//! What a test of a key's configuration consists of, what it found, and how long that counts.
//!
//! The steps run in one order, and each depends on those before it: the first that does not pass is the one to act on. A
//! result is bound to the hash of exactly the configuration that was tested, so that no other can be enforced with it (I-22).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::{KeyLocation, KeyVersionId, Reason, TenantId, Timestamp, WorkspaceId};

/// How long a passed test counts, from the moment it was begun.
pub const COUNTS_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Which configuration was tested: `SHA-256(LP("byokd/config/v1") ‖ LP(workspace) ‖ LP(key url) ‖ LP(tenant) ‖ LP(version))`,
/// where LP is a u32 length, big endian, and the bytes, and the version is 32 hexadecimal digits or nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConfigHash(pub [u8; 32]);

impl ConfigHash {
    /// The hash of this configuration. `version`: the one that wraps, where it is named already.
    pub fn of(workspace: &WorkspaceId, key: &KeyLocation, tenant: &TenantId, version: Option<KeyVersionId>) -> Self {
        let version = version.map(|version| version.to_string()).unwrap_or_default();
        let mut hash = Sha256::new();
        for part in ["byokd/config/v1", workspace.as_str(), &key.to_string(), tenant.as_str(), &version] {
            // Every part is an id or a URL of a few hundred bytes.
            hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigHash({self})")
    }
}

/// One test: a ULID, so that they sort by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct KeyTestId(ulid::Ulid);

/// A text that is no test's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a test's id is a ULID in capitals")]
pub struct InvalidKeyTestId;

impl KeyTestId {
    /// From the time the test begins and 10 random bytes.
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        let mut wide = [0; 16];
        wide[6..].copy_from_slice(&random);
        let millis = u64::try_from(at.micros() / 1_000).unwrap_or(0);
        Self(ulid::Ulid::from_parts(millis, u128::from_be_bytes(wide)))
    }

    /// Its 16 bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }
}

impl fmt::Display for KeyTestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for KeyTestId {
    type Err = InvalidKeyTestId;
    fn from_str(text: &str) -> Result<Self, InvalidKeyTestId> {
        let id = ulid::Ulid::from_string(text).map(Self).map_err(|_| InvalidKeyTestId)?;
        // Small letters are read too; one id must have one spelling.
        if id.to_string() == text { Ok(id) } else { Err(InvalidKeyTestId) }
    }
}

macro_rules! steps {
    ($($(#[doc = $doc:literal])* $step:ident $number:literal $name:literal $title:literal;)*) => {
        /// A step of the test, in the order in which they run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Step { $($(#[doc = $doc])* $step,)* }

        impl Step {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$step,)*];

            /// The number kept in rows and sent to clients; it never changes.
            pub const fn number(self) -> u8 {
                match self { $(Self::$step => $number,)* }
            }

            /// The name in the contract.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$step => $name,)* }
            }

            /// What a person reads.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$step => $title,)* }
            }
        }
    };
}

steps! {
    /// The vault's name leads to an address a vault can have.
    NameResolution 1 "NAME_RESOLUTION" "name resolution";
    /// A TLS connection is made, and the vault says under which address it sees us.
    Network 2 "NETWORK" "network";
    /// The vault names the bound tenant as its own, before it is sent any token.
    Tenant 3 "TENANT" "tenant";
    /// The directory gives us a fresh token, and the vault lets us in with it.
    Authentication 4 "AUTHENTICATION" "authentication";
    /// The key shows the nonce of this workspace: who set that tag owns the vault.
    Ownership 5 "OWNERSHIP" "ownership";
    /// Type, size, operations, dates, protection.
    Key 6 "KEY" "key";
    /// The vault wraps.
    Wrap 7 "WRAP" "wrap";
    /// The same version unwraps, to the same bytes.
    Unwrap 8 "UNWRAP" "unwrap by version";
    /// What was tampered with does not unwrap.
    TamperedUnwrap 9 "TAMPERED_UNWRAP" "tampered unwrap refused";
    /// A payload is encrypted and decrypted under a data key that this key wraps and that is thrown away.
    DataPath 10 "DATA_PATH" "encrypt and decrypt";
}

impl Step {
    /// The step of this number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|step| i64::from(step.number()) == number)
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    /// As it should.
    Passed,
    /// It does not prevent use, and deserves attention.
    Warning,
    /// Somebody has to act.
    Failed,
    /// A step before it did not pass.
    NotRun,
    /// A role is missing where it may have been assigned minutes ago: Azure takes a while to tell its vaults.
    PendingPropagation,
}

impl StepState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Passed, Self::Warning, Self::Failed, Self::NotRun, Self::PendingPropagation];

    /// The number kept in rows and sent to clients; it never changes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Passed => 1,
            Self::Warning => 2,
            Self::Failed => 3,
            Self::NotRun => 4,
            Self::PendingPropagation => 5,
        }
    }

    /// The name in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Warning => "WARNING",
            Self::Failed => "FAILED",
            Self::NotRun => "NOT_RUN",
            Self::PendingPropagation => "PENDING_PROPAGATION",
        }
    }

    /// The state of this number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| i64::from(state.number()) == number)
    }

    /// Whether the steps after it may run, and the test may pass.
    pub const fn goes_on(self) -> bool {
        match self {
            Self::Passed | Self::Warning => true,
            Self::Failed | Self::NotRun | Self::PendingPropagation => false,
        }
    }
}

/// What one step found. Fit for the workspace's admins: it names their vault and key, and nobody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResult {
    /// Which step.
    pub step: Step,
    /// How it ended.
    pub state: StepState,
    /// How long it took, by the boot clock; whole microseconds.
    pub duration: Duration,
    /// What was seen, in one or two sentences; empty for a step that was not run.
    pub finding: String,
    /// Why it did not simply pass.
    pub reason: Option<Reason>,
    /// What to do, if there is something.
    pub remedy: Option<String>,
    /// A command of the Azure CLI that does it, with the customer's own names, to be pasted.
    pub command: Option<String>,
}

impl StepResult {
    /// A step that a failure before it stopped.
    pub fn not_run(step: Step) -> Self {
        Self {
            step,
            state: StepState::NotRun,
            duration: Duration::ZERO,
            finding: String::new(),
            reason: None,
            remedy: None,
            command: None,
        }
    }
}

/// A test that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTest {
    /// Its id.
    pub id: KeyTestId,
    /// Whose configuration.
    pub workspace: WorkspaceId,
    /// Exactly which configuration.
    pub config_hash: ConfigHash,
    /// When it began.
    pub started_at: Timestamp,
    /// When its last step ended.
    pub finished_at: Timestamp,
    /// Every step, in order.
    pub steps: Vec<StepResult>,
}

impl KeyTest {
    /// Whether every step ran and none failed.
    pub fn passed(&self) -> bool {
        let all_there = self.steps.iter().map(|result| result.step).eq(Step::ALL.iter().copied());
        all_there && self.steps.iter().all(|result| result.state.goes_on())
    }

    /// The first step that did not pass, if one did not.
    pub fn first_failure(&self) -> Option<&StepResult> {
        self.steps.iter().find(|result| !result.state.goes_on())
    }

    /// Until when it counts, if it passed.
    pub fn counts_until(&self) -> Option<Timestamp> {
        self.passed().then(|| self.started_at.saturating_add(COUNTS_FOR))
    }

    /// Whether, at `now`, it is a passing test of exactly this configuration that still counts (I-22). One from the future
    /// does not: the clock was set back since.
    pub fn counts(&self, config: &ConfigHash, now: Timestamp) -> bool {
        self.config_hash == *config && self.started_at <= now && self.counts_until().is_some_and(|until| now <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(workspace: &str, key: &str, version: Option<u8>) -> ConfigHash {
        let key = crate::key_identifier::KeyIdentifier::parse(key).unwrap().location;
        let tenant = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap();
        let version = version.map(|byte| KeyVersionId::from_bytes([byte; 16]));
        ConfigHash::of(&workspace.parse().unwrap(), &key, &tenant, version)
    }

    fn test(states: impl IntoIterator<Item = StepState>) -> KeyTest {
        let steps = Step::ALL.iter().zip(states);
        KeyTest {
            id: KeyTestId::new(Timestamp::from_micros(1_000_000), [7; 10]),
            workspace: "acme".parse().unwrap(),
            config_hash: hash("acme", "https://acme.vault.azure.net/keys/byok", None),
            started_at: Timestamp::from_micros(1_000_000),
            finished_at: Timestamp::from_micros(2_000_000),
            steps: steps.map(|(step, state)| StepResult { state, ..StepResult::not_run(*step) }).collect(),
        }
    }

    /// I-22: another workspace, key or version is another configuration, and none can be spelled to look like another. The
    /// hash is frozen: stored tests are bound by it.
    #[test]
    fn every_part_of_a_configuration_counts() {
        let acme = "https://acme.vault.azure.net/keys/byok";
        let all = [
            hash("acme", acme, None),
            hash("acme", acme, Some(1)),
            hash("acme", acme, Some(2)),
            hash("acme-1", acme, None),
            hash("acme", "https://acme.vault.azure.net/keys/byok1", None),
            hash("acme", "https://acme1.vault.azure.net/keys/byok", None),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(all[..n].iter().all(|other| other != one), "{n}");
        }
        let by_hand = |parts: [&str; 5]| {
            let mut bytes = Vec::new();
            for part in parts {
                bytes.extend_from_slice(&[0, 0, 0, u8::try_from(part.len()).unwrap()]);
                bytes.extend_from_slice(part.as_bytes());
            }
            ConfigHash(Sha256::digest(bytes).into())
        };
        let tenant = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
        assert_eq!(all[0], by_hand(["byokd/config/v1", "acme", acme, tenant, ""]));
        assert_eq!(all[1], by_hand(["byokd/config/v1", "acme", acme, tenant, &"01".repeat(16)]));
    }

    /// I-22: a test passes when every step ran and none failed; a warning passes; nothing else does, wherever it stands.
    #[test]
    fn a_test_passes_only_as_a_whole() {
        assert!(test([StepState::Passed; 10]).passed());
        assert!(test([StepState::Warning; 10]).passed());
        assert!(!test([StepState::Passed; 9]).passed(), "a step is missing");
        assert!(!test([]).passed());
        for at in 0..Step::ALL.len() {
            for bad in [StepState::Failed, StepState::NotRun, StepState::PendingPropagation] {
                let mut states = [StepState::Passed; 10];
                states[at] = bad;
                let test = test(states);
                assert!(!test.passed());
                assert_eq!(test.first_failure().map(|first| first.step), Some(Step::ALL[at]));
                assert_eq!(test.counts_until(), None);
            }
        }
        let mut doubled = test([StepState::Passed; 10]);
        doubled.steps[9] = doubled.steps[8].clone();
        assert!(!doubled.passed(), "a step stands twice where another belongs");
    }

    /// I-22: a passing test counts for a day, for its own configuration, and not before it was made.
    #[test]
    fn a_result_counts_for_a_day_and_one_configuration() {
        let passed = test([StepState::Passed; 10]);
        let day = i64::try_from(COUNTS_FOR.as_micros()).unwrap();
        let at = |micros| Timestamp::from_micros(1_000_000 + micros);
        assert!(passed.counts(&passed.config_hash, at(0)) && passed.counts(&passed.config_hash, at(day)));
        assert!(!passed.counts(&passed.config_hash, at(day + 1)));
        assert!(!passed.counts(&passed.config_hash, at(-1)), "the clock was set back");
        assert!(!passed.counts(&ConfigHash([0; 32]), at(0)));
        let failed = test([StepState::Failed; 10]);
        assert!(!failed.counts(&failed.config_hash, at(0)));
    }

    /// One test has one spelling, and numbers mean one thing for ever: rows hold them.
    #[test]
    fn what_is_stored_is_read_back() {
        let id = test([]).id;
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_lowercase().parse::<KeyTestId>().is_err());
        for bad in ["", "01ARZ", "01ARZ3NDEKTSV4RRFFQ69G5FAVX", "../../../../../../../../etc"] {
            assert!(bad.parse::<KeyTestId>().is_err(), "{bad}");
        }
        for (number, step) in (1..).zip(Step::ALL) {
            assert_eq!((Step::of_number(number), i64::from(step.number())), (Some(*step), number));
        }
        for (number, state) in (1..).zip(StepState::ALL) {
            assert_eq!((StepState::of_number(number), i64::from(state.number())), (Some(state), number));
        }
        assert_eq!((Step::of_number(0), Step::of_number(11), StepState::of_number(6)), (None, None, None));
        for reason in Reason::ALL {
            assert_eq!(Reason::named(reason.as_str()), Some(*reason));
        }
    }
}
