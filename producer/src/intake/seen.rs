//! Which users a submission already has, in a few bytes each.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

use usher_shared::{Action, Request};

use super::row::{BadRow, Duplicate, Row, RowProblem};

/// Tables that grow one after another: a single one would hold its old and its new half at once while it grows.
const SHARDS: usize = 72;

/// Which users a submission already has: 128 bits of a keyed hash each, with line and action, so that 1,000,000 users
/// take some 30 MB (up to 55 bytes a user where the tables
/// have just grown). By chance two users of a million share 128 bits once in 10^26 submissions; nobody can make them,
/// because the keys are drawn anew for each submission.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Two independent 64-bit SipHashes: their keys are of one random family, and SipHash is a keyed random function.
    keys: [RandomState; 2],
    shards: Vec<HashMap<[u8; 16], First, BuildHasherDefault<AlreadyHashed>>>,
}

/// Where a user stood first: bytes rather than integers, which would be padded.
#[derive(Clone, Copy, Debug)]
struct First {
    line: [u8; 5],
    action: Action,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self {
            keys: [RandomState::new(), RandomState::new()],
            shards: (0..SHARDS).map(|_| HashMap::default()).collect(),
        }
    }

    /// What a request is beside those that came before it: new, a duplicate, or in contradiction to one.
    pub(crate) fn admit(&mut self, request: Request, action_column: Option<&str>) -> Row {
        let (line, action) = (request.line, request.action);
        match self.entry(request.user.key().as_bytes()) {
            Entry::Vacant(place) => {
                let [line @ .., _, _, _] = line.to_le_bytes();
                place.insert(First { line, action });
                Row::Request(request)
            }
            Entry::Occupied(first) => {
                let First { line: [a, b, c, d, e], action: first } = *first.get();
                let first_line = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
                let user = request.user;
                if first == action {
                    return Row::Duplicate(Duplicate { line, user, first_line });
                }
                let column = action_column.map(str::to_owned);
                let problem = RowProblem::Contradiction { user, here: action, first, first_line };
                Row::Bad(BadRow { line, column, problem })
            }
        }
    }

    fn entry(&mut self, user: &[u8]) -> Entry<'_, [u8; 16], First> {
        let [low, high] = self.keys.each_ref().map(|key| {
            let mut hasher = key.build_hasher();
            hasher.write(user);
            hasher.finish()
        });
        let mut hash = [0; 16];
        hash[..8].copy_from_slice(&low.to_le_bytes());
        hash[8..].copy_from_slice(&high.to_le_bytes());
        // The remainder is below SHARDS, whatever the width of usize.
        self.shards[(high % SHARDS as u64) as usize].entry(hash)
    }
}

/// Takes the first eight bytes of a key that is a hash itself.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
    /// The length of a key, which is always the same, is no part of it.
    fn write_usize(&mut self, _: usize) {}
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: u64, user: &str, action: Action) -> Request {
        Request { restore: None, line, user: user.parse().unwrap(), action, reason: None }
    }

    #[test]
    fn one_user_in_two_cases_is_a_duplicate_of_the_first_line() {
        let mut seen = Seen::new();
        let far = 700_000_000_000;
        assert!(matches!(seen.admit(request(far, "Ann@X", Action::Activate), None), Row::Request(_)));
        let again = seen.admit(request(far + 1, "ann@x", Action::Activate), None);
        let expected = Duplicate { line: far + 1, user: "ann@x".parse().unwrap(), first_line: far };
        assert_eq!(again, Row::Duplicate(expected));
    }

    #[test]
    fn a_contradiction_is_bad_and_names_both_lines() {
        let mut seen = Seen::new();
        seen.admit(request(2, "a@x", Action::Activate), None);
        let Row::Bad(bad) = seen.admit(request(5, "A@x", Action::Deactivate), Some("Action")) else {
            panic!()
        };
        assert_eq!(
            bad.to_string(),
            "line 5, column Action: this row says deactivate for A@x, line 2 says activate; remove one of the two"
        );
    }

    #[test]
    fn a_hundred_thousand_users_are_all_told_apart() {
        let mut seen = Seen::new();
        for line in 1..=100_000 {
            let row = seen.admit(request(line, &format!("u{line}@x"), Action::Activate), None);
            assert!(matches!(row, Row::Request(_)), "line {line}");
        }
    }
}
