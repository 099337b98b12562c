//! Numbers that a seed decides.

use std::ops::RangeInclusive;

/// A sequence of numbers that look random and are the same for the same seed: SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of its own, for somebody who draws at the same time.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.number())
    }

    /// A number of the range.
    pub(crate) fn of(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.number() % (range.end() - range.start() + 1)
    }

    /// One of these.
    pub(crate) fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.of(0..=all.len() as u64 - 1) as usize]
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
