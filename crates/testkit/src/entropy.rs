//! Randomness that a seed repeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::Entropy;
use sha2::{Digest, Sha256};

/// SHA-256 of seed and counter, block after block. For tests: whoever knows the seed knows every key.
pub struct SeededEntropy {
    seed: u64,
    block: AtomicU64,
}

impl SeededEntropy {
    /// The same seed gives the same bytes in the same order.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, block: AtomicU64::new(0) })
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let block = self.block.fetch_add(1, Ordering::Relaxed);
            let mut hash = Sha256::new();
            hash.update(self.seed.to_be_bytes());
            hash.update(block.to_be_bytes());
            chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
        }
    }
}
