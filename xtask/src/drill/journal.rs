//! What was acknowledged: the drill's own record, kept outside the daemon's reach.

use std::sync::Mutex;

use sha2::{Digest, Sha256};

/// One Encrypt that was answered with OK.
pub(crate) struct Acknowledged {
    /// The app's resource name.
    pub(crate) app: String,
    /// The context it was sealed with.
    pub(crate) context: Vec<(String, String)>,
    pub(crate) ciphertext: Vec<u8>,
    /// SHA-256 of the plaintext, so that a wrong plaintext shows as well as a missing one.
    pub(crate) plaintext_hash: [u8; 32],
    /// In which round it was answered.
    pub(crate) round: u32,
}

/// All that was acknowledged. The drill's process outlives every daemon, so memory is durable enough.
#[derive(Default)]
pub(crate) struct Journal(Mutex<Vec<Acknowledged>>);

impl Journal {
    pub(crate) fn acknowledge(&self, entry: Acknowledged) {
        self.0.lock().expect("no holder of the journal panics").push(entry);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().expect("no holder of the journal panics").len()
    }

    /// Looks at every entry from number `from` on.
    pub(crate) fn each(&self, from: usize, mut look: impl FnMut(&Acknowledged)) {
        self.0.lock().expect("no holder of the journal panics").iter().skip(from).for_each(&mut look);
    }
}

pub(crate) fn hash(plaintext: &[u8]) -> [u8; 32] {
    Sha256::digest(plaintext).into()
}
