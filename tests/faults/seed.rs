//! Chance that can be had again: a scenario's seed is printed when it starts and when it fails.

use std::ops::Range;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The variable that gives every scenario this seed in place of a random one.
pub const VARIABLE: &str = "USHER_FAULT_SEED";

/// What a scenario draws its faults from.
#[derive(Debug)]
pub struct Seed {
    scenario: &'static str,
    number: u64,
    chance: StdRng,
}

impl Seed {
    /// The seed that the environment names, or a random one.
    pub fn of(scenario: &'static str) -> Self {
        let number = match std::env::var(VARIABLE) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{VARIABLE}={text:?} is no number")),
            Err(_) => u64::from(rand::random::<u32>()),
        };
        eprintln!("{scenario}: {VARIABLE}={number}");
        Self { scenario, number, chance: StdRng::seed_from_u64(number) }
    }

    /// The number itself, for other sources of chance.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A number of this range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        self.chance.random_range(range)
    }

    /// A place in a list of so many.
    pub fn place(&mut self, length: usize) -> usize {
        self.chance.random_range(0..length)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { scenario, number, .. } = self;
            eprintln!("to run it again: tests/chaos --seed {number} {scenario}");
        }
    }
}
