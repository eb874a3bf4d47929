//! How a set of rows is covered: one sum that any added, removed or replaced row changes.
//!
//! Each row's code is stretched to 2,048 bits and the results are added, lane by lane, modulo 2⁶⁴. Adding and taking away a
//! row are one step each, whatever the size of the set. 256 bits would not do: whoever has collected enough old rows of a
//! database could look for a combination with the same sum (a generalised birthday search over the codes, about 2³² steps
//! with a million of them); at 2,048 bits that search needs about 2⁹⁰ rows and steps. The sum is stored in a row with its
//! own code, so it cannot be replaced by one for another set either.

use domain::row_seal::RowMac;
use sha2::{Digest as _, Sha256};

const LANES: usize = 32;

/// The bytes a sum takes in a row.
pub(crate) const SUM_LEN: usize = LANES * 8;

/// The sum over a set of rows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SetSum([u64; LANES]);

impl SetSum {
    /// The sum of no rows.
    pub(crate) const EMPTY: Self = Self([0; LANES]);

    /// Adds the row with this code.
    pub(crate) fn add(&mut self, row: &RowMac) {
        for (lane, part) in self.0.iter_mut().zip(stretch(row)) {
            *lane = lane.wrapping_add(part);
        }
    }

    /// Takes away the row with this code.
    pub(crate) fn remove(&mut self, row: &RowMac) {
        for (lane, part) in self.0.iter_mut().zip(stretch(row)) {
            *lane = lane.wrapping_sub(part);
        }
    }

    pub(crate) fn to_bytes(&self) -> [u8; SUM_LEN] {
        let mut bytes = [0; SUM_LEN];
        for (out, lane) in bytes.chunks_exact_mut(8).zip(self.0) {
            out.copy_from_slice(&lane.to_be_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; SUM_LEN]) -> Self {
        let mut lanes = [0; LANES];
        for (lane, part) in lanes.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *lane = u64::from_be_bytes(*part);
        }
        Self(lanes)
    }
}

/// SHA-256 in counter mode over the row's code and key id: eight blocks of four lanes.
fn stretch(row: &RowMac) -> [u64; LANES] {
    let mut lanes = [0; LANES];
    for (counter, four) in (0u8..).zip(lanes.chunks_exact_mut(4)) {
        let block: [u8; 32] = Sha256::new()
            .chain_update(row.code)
            .chain_update([counter])
            .chain_update(row.key.as_bytes())
            .finalize()
            .into();
        for (lane, part) in four.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = u64::from_be_bytes(*part);
        }
    }
    lanes
}

#[cfg(test)]
mod tests {
    use domain::PlatformKeyId;

    use super::*;

    fn row(n: u8) -> RowMac {
        RowMac { key: PlatformKeyId::from_bytes([7; 16]), code: [n; 32] }
    }

    /// The sum says which rows there are, and nothing about the order they came in.
    #[test]
    fn the_sum_depends_on_the_rows_and_not_on_their_order() {
        let (mut a, mut b) = (SetSum::EMPTY, SetSum::EMPTY);
        for n in 0..50 {
            a.add(&row(n));
            b.add(&row(49 - n));
        }
        assert!(a == b);
        assert!(SetSum::from_bytes(&a.to_bytes()) == a);
        a.remove(&row(7));
        assert!(a != b, "a removed row shows");
        a.add(&row(50));
        assert!(a != b, "a replaced row shows");
        a.remove(&row(50));
        a.add(&row(7));
        assert!(a == b);
        b.add(&row(7));
        assert!(a != b, "a doubled row shows");
        let mut other_key = row(7);
        other_key.key = PlatformKeyId::from_bytes([8; 16]);
        b.remove(&other_key);
        assert!(a != b, "the same code under another platform key is another row");
    }
}
