//! Which data keys do not exist: a flood of made-up ids must reach neither the database twice nor a vault once.

use std::collections::HashSet;
use std::sync::Mutex;

use foldhash::fast::RandomState;

use super::{DataKeyName, DataKeyRef, lock};

/// Remembers the newest unknown ids, in at most two sets of half the size: when one is full, the older one goes.
///
/// Right for as long as nothing of the workspace changes, which is what the epoch says; a data key's id is drawn at random
/// when it is made, so that an id which was asked for before does not come into being later.
pub(crate) struct Unknown {
    sets: Mutex<Sets>,
    half: usize,
}

#[derive(Default)]
struct Sets {
    young: HashSet<(DataKeyName, u64), RandomState>,
    old: HashSet<(DataKeyName, u64), RandomState>,
}

impl Unknown {
    pub(crate) fn new(most: usize) -> Self {
        Self { sets: Mutex::default(), half: (most / 2).max(1) }
    }

    /// Whether this id was found not to exist in this epoch of its workspace.
    pub(crate) fn has(&self, key: DataKeyRef<'_>, epoch: u64) -> bool {
        let sets = lock(&self.sets);
        let name = (key.to_owned(), epoch);
        sets.young.contains(&name) || sets.old.contains(&name)
    }

    /// Remembers that it does not exist.
    pub(crate) fn add(&self, key: DataKeyName, epoch: u64) {
        let mut sets = lock(&self.sets);
        if sets.young.len() >= self.half {
            sets.old = std::mem::take(&mut sets.young);
        }
        sets.young.insert((key, epoch));
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let sets = lock(&self.sets);
        sets.young.len() + sets.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AppName;
    use domain::DataKeyId;

    /// However many ids are made up, the memory for them is bounded, the newest are known, and a change forgets all.
    #[test]
    fn a_flood_of_ids_is_remembered_within_bounds() {
        let unknown = Unknown::new(100);
        let app = AppName { workspace: "acme".parse().unwrap(), app: "bot".parse().unwrap() };
        let name = |i: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&i.to_be_bytes());
            DataKeyName { app: app.clone(), id: DataKeyId::from_bytes(id) }
        };
        for i in 0..10_000 {
            unknown.add(name(i), 7);
            assert!(unknown.len() <= 100);
        }
        assert!(unknown.has(name(9_999).borrow(), 7) && unknown.has(name(9_951).borrow(), 7));
        assert!(!unknown.has(name(9_999).borrow(), 8) && !unknown.has(name(0).borrow(), 7));
    }
}
