//! Which calls are in flight on which user.

use std::collections::HashMap;
use std::hash::Hash;

/// Counts the calls in flight by what they are on.
#[derive(Debug)]
pub struct InFlight<K> {
    now: HashMap<K, u32>,
    most: u32,
}

impl<K: Hash + Eq> InFlight<K> {
    /// Nothing in flight.
    pub fn new() -> Self {
        Self { now: HashMap::new(), most: 0 }
    }

    /// One more call on `key` is in flight; returns how many are, this one included.
    pub fn enter(&mut self, key: K) -> u32 {
        let count = self.now.entry(key).or_default();
        *count += 1;
        self.most = self.most.max(*count);
        *count
    }

    /// One call on `key` has ended.
    pub fn leave(&mut self, key: &K) {
        if let Some(count) = self.now.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.now.remove(key);
            }
        }
    }

    /// The most calls on one key at the same time since the last [`InFlight::forget_most`].
    pub const fn most(&self) -> u32 {
        self.most
    }

    /// Begins the search for the most anew, from what is in flight.
    pub fn forget_most(&mut self) {
        self.most = self.now.values().copied().max().unwrap_or(0);
    }
}

impl<K: Hash + Eq> Default for InFlight<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_on_one_key_add_up_and_other_keys_do_not() {
        let mut flight = InFlight::new();
        assert_eq!((flight.enter(1), flight.enter(2), flight.enter(1)), (1, 1, 2));
        flight.leave(&1);
        flight.leave(&1);
        assert_eq!(flight.enter(1), 1);
        assert_eq!(flight.most(), 2);
        flight.forget_most();
        assert_eq!(flight.most(), 1);
    }
}
