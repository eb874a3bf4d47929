//! How many requests a vault takes in ten seconds.
//!
//! Each use of a key weighs as its share of that key kind's own limit, and the shares are summed. In units where a
//! software RSA-2048 operation weighs 1 (4,000 in 10 s), a 3072-bit key weighs 4 (1,000), a 4096-bit key 8 (500), and
//! keys in an HSM twice that (2,000, 500, 250). A subscription takes five times as much as one vault.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::rsa_key::Bits;

const WINDOW_MICROS: i64 = 10_000_000;

/// What one vault admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Weighted uses of keys in 10 s (see the module's documentation); `None` is no limit.
    pub key_units: Option<u32>,
    /// All other requests in 10 s; `None` is no limit.
    pub other: Option<u32>,
    /// Whether a 429 says `Retry-After`.
    pub retry_after: bool,
}

impl Default for Limits {
    /// The published limits.
    fn default() -> Self {
        Self { key_units: Some(4_000), other: Some(4_000), retry_after: true }
    }
}

impl Limits {
    /// No limits, for measurements.
    pub const fn none() -> Self {
        Self { key_units: None, other: None, retry_after: true }
    }
}

/// What one use of such a key weighs.
pub(crate) const fn weight(bits: Bits, hsm: bool) -> u32 {
    let software = match bits {
        Bits::B2048 => 1,
        Bits::B3072 => 4,
        Bits::B4096 => 8,
    };
    if hsm { software * 2 } else { software }
}

/// What was admitted in the last ten seconds.
#[derive(Debug, Default)]
pub(crate) struct Window {
    admitted: VecDeque<(i64, u32)>,
    sum: u32,
}

impl Window {
    /// Admits `weight` at `now`, or says how many whole seconds to wait.
    pub(crate) fn admit(&mut self, now_micros: i64, weight: u32, limit: u32) -> Result<(), u64> {
        while let Some(&(at, old)) = self.admitted.front() {
            if now_micros - at < WINDOW_MICROS {
                break;
            }
            self.admitted.pop_front();
            self.sum -= old;
        }
        if self.sum.saturating_add(weight) <= limit {
            self.sum += weight;
            match self.admitted.back_mut() {
                // One entry per millisecond is exact enough and keeps the window small.
                Some((at, sum)) if now_micros - *at < 1_000 => *sum += weight,
                _ => self.admitted.push_back((now_micros, weight)),
            }
            return Ok(());
        }
        let mut over = (self.sum.saturating_add(weight)).saturating_sub(limit);
        for &(at, old) in &self.admitted {
            over = over.saturating_sub(old);
            if over == 0 {
                let micros = (at + WINDOW_MICROS - now_micros).max(1);
                return Err(u64::try_from(micros).unwrap_or(1).div_ceil(1_000_000));
            }
        }
        Err(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published table: HSM 2,000/500/250 and software 4,000/1,000/500 operations in 10 s, as one weighted sum.
    #[test]
    fn each_kind_of_key_reaches_its_published_limit() {
        let table = [
            (Bits::B2048, true, 2_000),
            (Bits::B3072, true, 500),
            (Bits::B4096, true, 250),
            (Bits::B2048, false, 4_000),
            (Bits::B3072, false, 1_000),
            (Bits::B4096, false, 500),
        ];
        for (bits, hsm, published) in table {
            let mut window = Window::default();
            let admitted = (0..10_000).take_while(|i| window.admit(*i, weight(bits, hsm), 4_000).is_ok()).count();
            assert_eq!(admitted, published, "{bits:?} hsm={hsm}");
        }
    }

    /// What is refused now is admitted after the time that `Retry-After` names, and not a second before.
    #[test]
    fn the_advised_wait_is_long_enough_and_not_longer() {
        let mut window = Window::default();
        assert_eq!(window.admit(0, 6, 10), Ok(()));
        assert_eq!(window.admit(3_000_000, 4, 10), Ok(()));
        let wait = window.admit(4_000_000, 5, 10).unwrap_err();
        assert_eq!(wait, 6);
        assert!(window.admit(9_000_000, 5, 10).is_err());
        assert_eq!(window.admit(10_000_000, 5, 10), Ok(()));
    }
}
