//! Reproducible bytes: a SHAKE-128 stream whose seed is a label.

use shake::{ExtendableOutput, Shake128, Shake128Reader, Update, XofReader};

pub(crate) struct Random(Shake128Reader);

impl Random {
    pub(crate) fn new(label: &str) -> Self {
        let mut shake = Shake128::default();
        shake.update(label.as_bytes());
        Self(shake.finalize_xof())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read(&mut bytes);
        bytes
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read(&mut bytes);
        bytes
    }

    /// A number below `bound`; the bias of the remainder does not matter here.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (u64::from_le_bytes(self.array()) % bound as u64) as usize
    }

    /// Text of up to `longest` characters out of very few, so that collisions are likely.
    pub(crate) fn text(&mut self, longest: usize) -> String {
        let length = self.below(longest + 1);
        (0..length).map(|_| ['a', 'b', '\u{e9}', '\0'][self.below(4)]).collect()
    }
}
