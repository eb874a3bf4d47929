//! How much was sealed and opened under a data key since somebody last looked.
//!
//! A message costs one atomic addition to a number that belongs to its data key alone: messages and bytes stand in one word.
//! The meters outlive the open key, so that what was counted is not lost when the key is taken away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use domain::{Protection, Tally};

use super::{DataKeyName, DataKeyRef, lock};

/// What an answer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing that counts.
    Nothing,
    /// Messages that were sealed, and their bytes.
    Sealed(u64, u64),
    /// Messages that were opened, and their bytes.
    Opened(u64, u64),
}

impl Done {
    /// One message of so many bytes was sealed.
    pub(crate) fn sealed(bytes: usize) -> Self {
        Self::Sealed(1, bytes as u64)
    }

    /// One message of so many bytes was opened.
    pub(crate) fn opened(bytes: usize) -> Self {
        Self::Opened(1, bytes as u64)
    }
}

/// A data key's two meters, on a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Meters {
    seals: Meter,
    opens: Meter,
}

impl Meters {
    #[inline]
    pub(crate) fn count(&self, done: Done) {
        match done {
            Done::Nothing => {}
            Done::Sealed(messages, bytes) => self.seals.count(messages, bytes),
            Done::Opened(messages, bytes) => self.opens.count(messages, bytes),
        }
    }

    /// What was counted since the last time. Nothing is counted twice, and nothing is lost.
    fn take(&self) -> Tally {
        let ((seals, sealed_bytes), (opens, opened_bytes)) = (self.seals.take(), self.opens.take());
        Tally { seals, sealed_bytes, opens, opened_bytes }
    }
}

/// Messages in the upper 24 bits, bytes in the lower 40.
#[derive(Default)]
struct Meter {
    packed: AtomicU64,
    /// What did not fit there any more.
    messages: AtomicU64,
    bytes: AtomicU64,
}

const BYTES: u32 = 40;
/// Half of what either part holds: between it and the end there is room for whatever is under way (at most 4 MiB each).
const FULL: u64 = 1 << 63 | 1 << (BYTES - 1);

impl Meter {
    #[inline]
    fn count(&self, messages: u64, bytes: u64) {
        let before = self.packed.fetch_add(messages << BYTES | bytes, Ordering::Relaxed);
        if before & FULL != 0 {
            self.make_room();
        }
    }

    #[cold]
    fn make_room(&self) {
        let packed = self.packed.swap(0, Ordering::Relaxed);
        self.messages.fetch_add(packed >> BYTES, Ordering::Relaxed);
        self.bytes.fetch_add(packed & ((1 << BYTES) - 1), Ordering::Relaxed);
    }

    fn take(&self) -> (u64, u64) {
        self.make_room();
        (self.messages.swap(0, Ordering::Relaxed), self.bytes.swap(0, Ordering::Relaxed))
    }
}

/// The meters of all data keys that were opened here. Looked at when a key is opened and when counts are collected, and never
/// by a request whose key is ready.
#[derive(Default)]
pub(crate) struct AllMeters(Mutex<HashMap<DataKeyName, (Protection, Arc<Meters>)>>);

impl AllMeters {
    /// The meters of a data key: whatever becomes of the open key, they stay the same.
    pub(crate) fn of(&self, key: DataKeyRef<'_>, protection: Protection) -> Arc<Meters> {
        let mut all = lock(&self.0);
        let (_, meters) = all.entry(key.to_owned()).or_insert_with(|| (protection, Arc::default()));
        meters.clone()
    }

    /// Hands over what was counted since the last time, key by key. Meters in which nobody counts any more are let go.
    pub(crate) fn collect(&self, mut counted: impl FnMut(&DataKeyName, Protection, Tally)) {
        lock(&self.0).retain(|name, (protection, meters)| {
            // Before they are read: whoever could still count in them holds them.
            let in_use = Arc::strong_count(meters) > 1;
            let tally = meters.take();
            if !tally.is_none() {
                counted(name, *protection, tally);
            }
            in_use
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AppName;

    fn name(app: &str) -> DataKeyName {
        let app = AppName { workspace: "acme".parse().unwrap(), app: app.parse().unwrap() };
        DataKeyName { app, id: domain::DataKeyId::from_bytes([1; 16]) }
    }

    /// However many threads count, and whoever looks meanwhile, every message and byte is counted once.
    #[test]
    fn nothing_is_lost_and_nothing_counted_twice() {
        let meters = Meters::default();
        let mut sum = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|i| meters.count(Done::Sealed(i % 3, 1 << 22))));
            }
            scope.spawn(|| (0..10_000).for_each(|_| meters.count(Done::opened(5))));
            (0..100).for_each(|_| sum.add(&meters.take()));
        });
        sum.add(&meters.take());
        let expected = Tally { seals: 4 * 9_999, sealed_bytes: 40_000 << 22, opens: 10_000, opened_bytes: 50_000 };
        assert_eq!(sum, expected);
    }

    /// More than one word holds is moved aside in time, in messages and in bytes.
    #[test]
    fn a_word_that_fills_up_makes_room() {
        let meter = Meter::default();
        // 160 GB in large pieces; and more messages than 24 bits hold.
        (0..40_000).for_each(|_| meter.count(1, 1 << 22));
        (0..20_000).for_each(|_| meter.count(1_000, 0));
        (0..300_000).for_each(|_| meter.count(0, 1 << 22));
        assert_eq!(meter.take(), (20_040_000, 340_000 << 22));
        assert_eq!(meter.take(), (0, 0));
    }

    /// Meters outlive the open key, are the same when it is opened again, and go when nobody holds them.
    #[test]
    fn meters_outlive_the_open_key() {
        let all = AllMeters::default();
        let open = all.of(name("bot").borrow(), Protection::CustomerKey);
        open.count(Done::sealed(7));
        drop(open);
        let again = all.of(name("bot").borrow(), Protection::CustomerKey);
        again.count(Done::sealed(8));
        let mut seen = Vec::new();
        all.collect(|name, protection, tally| seen.push((name.clone(), protection, tally.seals, tally.sealed_bytes)));
        assert_eq!(seen, [(name("bot"), Protection::CustomerKey, 2, 15)]);
        drop(again);
        all.collect(|_, _, _| panic!("nothing was counted"));
        assert!(lock(&all.0).is_empty());
    }
}
