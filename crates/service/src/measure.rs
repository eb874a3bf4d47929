//! A key table filled by hand, so that the look-up can be measured without a million vault calls before.

use std::sync::Arc;
use std::time::Duration;

use domain::lease::KeyLease;
use domain::{BootId, Clock, DataKeyId, Entropy, KeyVersionId, Moment, Protection, Timestamp, WorkspaceId};
use envelope::ExpandedKey;
use secmem::{Locked, Secret};

use crate::keys::control::ControlLease;
use crate::keys::journal::Journal;
use crate::keys::probing::Pace;
use crate::keys::standing::Stamp;
use crate::keys::table::Proof;
use crate::keys::{AppRef, DataKeyName, KeyTable, OpenKey, Standing};
use crate::seeded_bug::Bugs;

/// A table of open data keys, one for each app.
pub struct FilledTable {
    table: KeyTable,
    clock: Box<dyn Clock>,
}

/// A data key's name, as a request brings it: its texts are no one else's.
pub struct Name(DataKeyName);

impl Name {
    /// The data key's id.
    pub fn id(&self) -> [u8; 16] {
        *self.0.id.as_bytes()
    }
}

impl FilledTable {
    /// `workspaces` × `apps` data keys under the customers' keys, all leases fresh by `clock`.
    ///
    /// # Panics
    /// When memory runs out.
    pub fn new(workspaces: usize, apps: usize, clock: Box<dyn Clock>, entropy: &dyn Entropy) -> (Self, Vec<Name>) {
        let (second, now) = (Duration::from_secs(1), clock.now());
        let control = Arc::new(ControlLease::new(Duration::from_secs(300), Bugs::default()));
        control.was_read(now);
        control.beat(now);
        let journal = Arc::new(Journal::new(Arc::new(Still), BootId::from_bytes([0; 16]), Bugs::default()));
        let table = KeyTable::new(1, control, Pace { every: second, again: second }, journal, Bugs::default());
        let mut names = Vec::with_capacity(workspaces * apps);
        for w in 0..workspaces {
            let id: WorkspaceId = format!("workspace-{w}").parse().expect("a well-formed id");
            let workspace = table.existing_workspace(&id);
            let standing = Standing {
                workspace: workspace.clone(),
                epoch: workspace.epoch(),
                asked_at: now,
                config: None,
                ruled: domain::key_life::Ruled::always(domain::key_life::Ruling::CustomerKey),
                revoked: false,
            };
            let version = KeyVersionId::from_bytes([1; 16]);
            let lease = table.lease_of(&workspace, Some(version));
            let asked_in = lease.generation();
            let proof = Proof { version, lease: KeyLease::from_proof(now, Duration::from_secs(300)), asked_in };
            for a in 0..apps {
                let app = format!("app-{a}").parse().expect("a well-formed id");
                let data_key = DataKeyId::from_bytes(domain::entropy::random(entropy));
                let name = AppRef { workspace: &id, app: &app }.data_key(data_key).to_owned();
                let secret: Secret<32> = Secret::fill(|key| entropy.fill(key)).expect("memory for a key");
                let secret = Locked::new(|| secret.expose(ExpandedKey::new)).expect("memory for a key");
                let under = (Protection::CustomerKey, Some(version));
                let stamp = Stamp::of(&standing);
                let key = OpenKey::new(data_key, under, secret, lease.clone(), workspace.clone(), stamp);
                table
                    .admit(name.borrow(), key, Some(proof), &standing)
                    .unwrap_or_else(|_| unreachable!("nobody else changes this table"));
                assert!(table.seal_under(name.borrow(), &standing), "the key was just taken in");
                names.push(Name(name));
            }
        }
        (Self { table, clock }, names)
    }

    /// Names in the given order, with texts of their own, made just now as a request's are.
    ///
    /// # Panics
    /// When an index is out of range.
    pub fn requests(names: &[Name], order: impl IntoIterator<Item = usize>) -> Vec<Name> {
        let fresh = |name: &Name| {
            let app = &name.0.app;
            let workspace = app.workspace.as_str().parse().expect("it was well formed");
            let id = app.app.as_str().parse().expect("it was well formed");
            Name(AppRef { workspace: &workspace, app: &id }.data_key(name.0.id).to_owned())
        };
        order.into_iter().map(|i| fresh(&names[i])).collect()
    }

    /// Finds each key as Decrypt does, checks its lease and standing, and fetches it. Returns how many were found.
    pub fn find_to_open(&self, requests: &[Name]) -> u64 {
        let now = self.clock.now();
        let read = |key: &OpenKey| key.right_to_open(now).map(|_| key.secret.touch());
        requests.iter().map(|name| u64::from(self.table.with_open(name.0.borrow(), read).flatten().is_some())).sum()
    }

    /// Finds each app's key as Encrypt does, checks its lease and standing, and fetches it.
    pub fn find_to_seal(&self, requests: &[Name]) -> u64 {
        let now = self.clock.now();
        let read = |key: &OpenKey, stamp: &Stamp| {
            let right = key.lease.right(now).filter(|_| stamp.is_fresh(&key.workspace, now));
            right.map(|_| key.secret.touch())
        };
        let found = |name: &Name| self.table.with_sealing(name.0.app.borrow(), read).flatten().is_some();
        requests.iter().map(|name| u64::from(found(name))).sum()
    }
}

/// A clock that stands still.
pub struct Still;

impl Clock for Still {
    fn now(&self) -> Moment {
        Moment { wall: Timestamp::from_micros(1_800_000_000_000_000), boot: Duration::from_secs(1_000) }
    }
}
