//! Numbers from a seed. A simulated user, fault or delay depends on the seed and on what it is for, never on
//! the order in which calls happen to arrive, so that a run repeats although its calls race.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014),
//! written out here because the generators of the usual crate may change their output between versions.

use std::ops::RangeInclusive;

/// A stream of numbers that is fixed by its seed.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A 64-bit digest of `text`, equal on every machine and in every version; not for secrets.
pub fn digest(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| mix(hash ^ u64::from(byte)))
}

impl Seeded {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)))
    }

    /// The stream of `seed` for one purpose, told apart by `what` and `nth`.
    pub fn keyed(seed: u64, what: u64, nth: u64) -> Self {
        Self::new(seed ^ mix(what) ^ mix(nth.wrapping_mul(0xD6E8_FEB8_6659_FD93)))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `0..below`; 0 when `below` is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(below)) >> 64) as u64
    }

    /// A number within `range`; its start when the range is empty.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let width = range.end().saturating_sub(*range.start());
        range.start() + self.below(width.saturating_add(1))
    }

    /// A number in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of `items`, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Puts `items` into an order fixed by the stream.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_in_every_version() {
        let mut stream = Seeded::new(7);
        let first: Vec<u64> = (0..3).map(|_| stream.bits()).collect();
        let mut again = Seeded::new(7);
        assert_eq!(first, (0..3).map(|_| again.bits()).collect::<Vec<_>>());
        assert_ne!(first[0], Seeded::new(8).bits());
        assert_ne!(Seeded::keyed(7, 1, 2).bits(), Seeded::keyed(7, 2, 1).bits());
    }

    #[test]
    fn numbers_stay_within_their_range_and_reach_both_ends() {
        let mut stream = Seeded::new(1);
        let drawn: Vec<u64> = (0..1000).map(|_| stream.within(3..=5)).collect();
        assert!(drawn.iter().all(|n| (3..=5).contains(n)));
        assert!(drawn.contains(&3) && drawn.contains(&5));
    }

    #[test]
    fn a_share_is_drawn_about_as_often_as_it_says() {
        let hits = (0..10_000).filter(|&n| Seeded::keyed(42, digest("PUT /x"), n).unit() < 0.1).count();
        assert!((850..1150).contains(&hits), "{hits}");
    }
}
