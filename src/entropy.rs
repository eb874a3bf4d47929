//! Where the daemon's random bytes come from.

use domain::Entropy;

/// The cryptography library's generator, seeded by the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        // Predictable keys would be worse than no service: without random bytes the process ends.
        if aws_lc_rs::rand::fill(out).is_err() {
            std::process::abort();
        }
    }
}
