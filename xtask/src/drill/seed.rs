//! Where a drill's choices come from: one printed number.

/// A small generator (SplitMix64, Steele, Lea and Flood 2014): for choices that must repeat, not for keys.
#[derive(Clone)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number nobody chose, for a run without `--seed`.
    pub(crate) fn drawn() -> std::io::Result<u64> {
        let mut bytes = [0; 8];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is above 0. The bias for the small ends used here is far below one in a billion.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A generator of its own, so that one task's choices do not depend on another's pace.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }
}
