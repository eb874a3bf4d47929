//! Where do nonces come from?
//!
//! From AWS-LC's generator, a buffer at a time: asking it for each nonce would cost more than sealing the message. Each
//! thread has its own buffer, so that no lock is shared. Three things could make a nonce repeat, and are met here:
//! taking one twice (bytes are wiped as they are taken), a fork (noticed before each use), and a memory snapshot that
//! is restored twice (the caller's real-time reading goes into every nonce).

use std::cell::RefCell;

use aws_lc_rs::rand;
use forkguard::Guard;
use zeroize::Zeroize;

const NONCE_LEN: usize = 24;
/// As many whole nonces as fit a page.
const BUFFER_LEN: usize = 4096 / NONCE_LEN * NONCE_LEN;

thread_local! {
    static BUFFER: RefCell<Buffer> = RefCell::new(Buffer::new());
}

/// A nonce that no other call gives, on this or any other replica, but with negligible probability (I-17).
///
/// `real_time_nanos` is the caller's reading of the real-time clock; any reading is safe, and a true one protects
/// machines that are restored from a memory snapshot.
pub fn fresh_nonce(real_time_nanos: u64) -> [u8; NONCE_LEN] {
    let mut random = [0; NONCE_LEN];
    // A thread that is ending has no buffer any more; it still gets a nonce.
    if BUFFER.try_with(|buffer| buffer.borrow_mut().take(&mut random)).is_err() {
        fill(&mut random);
    }
    mixed(random, real_time_nanos)
}

/// XORs the clock into the last eight bytes: what was uniformly random stays so.
fn mixed(mut nonce: [u8; NONCE_LEN], real_time_nanos: u64) -> [u8; NONCE_LEN] {
    let tail = nonce.last_chunk_mut::<8>().expect("24 is more than 8");
    *tail = (u64::from_be_bytes(*tail) ^ real_time_nanos).to_be_bytes();
    nonce
}

struct Buffer {
    bytes: [u8; BUFFER_LEN],
    /// Bytes before this one are taken, and zero.
    taken: usize,
    /// `None` when no handler could be registered: then nothing is buffered.
    guard: Option<Guard>,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: [0; BUFFER_LEN], taken: BUFFER_LEN, guard: Guard::try_new().ok() }
    }

    fn take(&mut self, nonce: &mut [u8; NONCE_LEN]) {
        let forked = self.guard.as_mut().is_none_or(Guard::detected_fork);
        if forked || self.taken == BUFFER_LEN {
            fill(&mut self.bytes);
            self.taken = 0;
        }
        let from = &mut self.bytes[self.taken..self.taken + NONCE_LEN];
        nonce.copy_from_slice(from);
        from.fill(0);
        self.taken += NONCE_LEN;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

fn fill(bytes: &mut [u8]) {
    rand::fill(bytes).expect("AWS-LC's generator stops the process rather than fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two copies of one memory snapshot have the same random bytes; the clock tells them apart.
    #[test]
    fn the_clock_reaches_the_last_eight_bytes_and_no_others() {
        let mixed = mixed([0xff; NONCE_LEN], 0x0102_0304_0506_0708);
        assert_eq!(mixed[..16], [0xff; 16]);
        assert_eq!(mixed[16..], [0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf7]);
    }

    #[test]
    fn bytes_are_wiped_as_they_are_taken() {
        let mut buffer = Buffer::new();
        let mut nonce = [0; NONCE_LEN];
        for taken in 1..=BUFFER_LEN / NONCE_LEN {
            buffer.take(&mut nonce);
            assert!(buffer.bytes[..taken * NONCE_LEN].iter().all(|byte| *byte == 0));
            assert_ne!(nonce, [0; NONCE_LEN]);
        }
        assert_eq!(buffer.taken, BUFFER_LEN);
        buffer.take(&mut nonce);
        assert_eq!(buffer.taken, NONCE_LEN);
    }
}
