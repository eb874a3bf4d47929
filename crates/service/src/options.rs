//! How long things may take and how large they may be.

use std::time::Duration;

use domain::approval::{BEFORE_DESTROYING, BEFORE_REPLACING};
use domain::key_config::LONGEST_LEASE;
use domain::key_life::Timing;
use domain::key_life::timing::FREEZE_MARGIN;

/// The largest payload of one Encrypt: 4 MiB.
pub const MOST_PLAINTEXT: usize = 4 << 20;
/// The largest ciphertext of one Decrypt: 4 MiB and what the envelope adds.
pub const MOST_CIPHERTEXT: usize = MOST_PLAINTEXT + envelope::OVERHEAD;
/// The most items of one batch.
pub const MOST_BATCH_ITEMS: usize = 1_000;
/// The most bytes of one batch, all items together: 4 MiB of payload (and, to open, what the envelope adds to each).
pub const MOST_BATCH_BYTES: usize = 4 << 20;
/// The most entries of one page of a list.
pub const MOST_PAGE: usize = 1_000;
/// The entries of a page when nothing is asked for.
pub const USUAL_PAGE: usize = 100;
/// Wrapped keys of one page of an export.
pub const EXPORT_PAGE: usize = 500;
/// How long what the store said is believed without reading it again (C), unless set lower. Never above H.
pub const CONTROL_LEASE: Duration = Duration::from_secs(300);
/// How many messages a process seals under a data key, from each time it opens it, before it retires it and makes another. A
/// data key seals at most 2⁴⁰ in its life (I-17); counts are kept in memory alone, and this leaves room for 256 openings, one
/// after the other or in as many processes side by side, that each come close to it.
pub const SEALS_PER_OPENING: u64 = 1 << 32;

/// What an operator or a test may set. [`Options::default`] is what production uses.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long one piece of work behind a cold key may take, all its vault and database calls together. 10 s.
    /// It belongs to the work and not to the caller: others may be waiting for the same key.
    pub vault_deadline: Duration,
    /// How long a test of a configuration may take, all its steps together. 30 s; each call has `vault_deadline` besides.
    pub test_deadline: Duration,
    /// How many calls to one workspace's vault may be under way at once. 16: a vault that hangs holds up its own
    /// workspace and nobody else.
    pub vault_calls_per_workspace: usize,
    /// How many messages this process seals under one data key before it goes over to a new one. [`SEALS_PER_OPENING`].
    pub seals_per_data_key: u64,
    /// How old a data key may grow before the next use makes another. A year; the ones before go on opening.
    pub data_key_age: Duration,
    /// How often the vaults of workspaces that chose so are asked for new versions of keys. 5 min; `None`: rotations are begun
    /// by hand alone.
    pub look_for_versions: Option<Duration>,
    /// How long the platform keeps backups of its database: for so long after a rotation an old key version must not be
    /// deleted. 35 days.
    pub backups_kept: Duration,
    /// For how long usage is kept by the hour; by data key it is kept for ever. 400 days.
    pub usage_kept: Duration,
    /// How many unknown data keys are remembered as unknown. 32,768.
    pub unknown_keys: usize,
    /// H: the longest a data key is served after its vault was last asked and said yes. [`LONGEST_LEASE`], which is also the
    /// most; a workspace's own bound may be lower.
    pub key_lease: Duration,
    /// C: a replica that has not read the store for so long serves nothing. [`CONTROL_LEASE`], which is also the most.
    pub control_lease: Duration,
    /// How long before the last moment to decide it an enforcement date stops changing. 60 s.
    pub freeze_margin: Duration,
    /// How much of that margin a decision for the date leaves to its own commit. 15 s.
    pub commit_slack: Duration,
    /// How soon a date that was not kept is tried again. 15 min.
    pub held_again: Duration,
    /// How often the store is asked what changed. 500 ms.
    pub feed_every: Duration,
    /// How often a key version in use is probed (P), ± 20 %. 30 s.
    pub probe_every: Duration,
    /// How soon a probe that did not succeed is repeated, and how far apart two successes are that re-admit after a
    /// denial. 5 s.
    pub probe_again: Duration,
    /// How much of a vault's published limit all replicas together take, in percent. 50: the customer's others use it too.
    pub vault_share_percent: u32,
    /// How many replicas take it. 1.
    pub replicas: u32,
    /// A vault's operations in ten seconds, where an operator knows better than what is published for the key's size.
    pub vault_limit: Option<u32>,
    /// How long a replacement by a key of another vault or tenant waits after its approval. [`BEFORE_REPLACING`]; no configuration of
    /// `serve` changes it.
    pub before_replacing: Duration,
    /// How long the destruction of a data key waits after its approval (I-5). [`BEFORE_DESTROYING`]; no configuration of `serve`
    /// changes it.
    pub before_destroying: Duration,
    /// Whether somebody has to have signed in to a tenant before a key in it passes a test. No, unless an operator says so.
    pub require_sign_in: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            vault_deadline: Duration::from_secs(10),
            test_deadline: Duration::from_secs(30),
            vault_calls_per_workspace: 16,
            seals_per_data_key: SEALS_PER_OPENING,
            data_key_age: Duration::from_secs(365 * 24 * 3_600),
            look_for_versions: Some(Duration::from_secs(300)),
            backups_kept: Duration::from_secs(35 * 24 * 3_600),
            usage_kept: Duration::from_secs(400 * 24 * 3_600),
            unknown_keys: 32_768,
            key_lease: LONGEST_LEASE,
            control_lease: CONTROL_LEASE,
            freeze_margin: FREEZE_MARGIN,
            commit_slack: Duration::from_secs(15),
            held_again: Duration::from_secs(15 * 60),
            feed_every: Duration::from_millis(500),
            probe_every: Duration::from_secs(30),
            probe_again: Duration::from_secs(5),
            vault_share_percent: 50,
            replicas: 1,
            vault_limit: None,
            before_replacing: BEFORE_REPLACING,
            before_destroying: BEFORE_DESTROYING,
            require_sign_in: false,
        }
    }
}

impl Options {
    /// The bounds that an enforcement date is kept by.
    pub fn timing(&self) -> Timing {
        let control_lease = self.control_lease.min(LONGEST_LEASE);
        Timing { control_lease, margin: self.freeze_margin, slack: self.commit_slack }
    }
}
