//! What a submission holds, in figures.

use std::collections::BTreeMap;

use usher_shared::Action;

use crate::intake::{BadRow, Duplicate};

/// What a submission holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Requests, duplicates and bad rows not counted.
    pub requests: u64,
    /// How many of them of each action.
    pub by_action: BTreeMap<Action, u64>,
    /// Rows that repeat an earlier one.
    pub duplicates: Listed<Duplicate>,
    /// Rows that can't be read.
    pub bad: Listed<BadRow>,
    /// SHA-256 over account and requests, in hexadecimal.
    pub digest: String,
}

/// The first of many, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The first of them, at most [`Listed::KEPT`]; [`FillOptions::notice`](super::FillOptions::notice) is told of
    /// every one.
    pub first: Vec<T>,
    /// All of them.
    pub total: u64,
}

impl<T> Listed<T> {
    /// How many are kept: more than anybody reads, and little memory.
    pub const KEPT: usize = 1_000;

    pub(super) fn push(&mut self, item: T) {
        self.total += 1;
        if self.first.len() < Self::KEPT {
            self.first.push(item);
        }
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { first: Vec::new(), total: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_are_kept() {
        let mut listed = Listed::default();
        (0..2_500).for_each(|item| listed.push(item));
        assert_eq!((listed.total, listed.first.len(), listed.first[999]), (2_500, 1_000, 999));
    }
}
