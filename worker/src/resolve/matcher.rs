//! Which request means which user of the directory, and which requests mean the same one. Pure.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use usher_shared::{
    Action, Outcome, Request, ResolvedUser, UserRef,
    store::{Remaining, Resolution},
};

use super::{index::KeyIndex, policy::settled};

/// A run's requests while they are read from the store.
#[derive(Debug)]
pub struct Gathered {
    index: KeyIndex<Entry>,
    /// The users were told apart before.
    again: bool,
}

/// One request, without its user's name, which is its key. Small: a run may have a million.
#[derive(Debug)]
struct Entry {
    seq: u64,
    line: u64,
    seen: Seen,
    action: Action,
    ambiguous: bool,
    /// Its key is the vendor's id, which no other user may stand for.
    by_id: bool,
}

/// Which user a request was found to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// None so far.
    Nobody,
    /// A user whom the vendor has given no id yet.
    WithoutId,
    /// The user with this id; 96 bits of it, so that a million ids do not collide.
    User(u64, u32),
    /// It was decided that there is none.
    Settled,
}

impl Gathered {
    /// Room for about so many requests.
    #[must_use]
    pub fn with_capacity(requests: u64) -> Self {
        let index = KeyIndex::with_capacity(usize::try_from(requests).unwrap_or(usize::MAX));
        Self { index, again: false }
    }

    /// Adds the request at a place of the run.
    pub fn push(&mut self, seq: u64, request: &Request) {
        self.add(seq, request.line, request.action, &request.user.key(), false);
    }

    /// Adds a job whose user is known since an earlier resolve: found by its id, not by what the file said, which may be
    /// somebody else's address by now. One that had no id is found by its address.
    pub fn push_known(&mut self, job: &Remaining) {
        self.again = true;
        self.add(job.seq, job.line, job.action, &job.user.key(), !job.user.id.is_empty());
    }

    fn add(&mut self, seq: u64, line: u64, action: Action, key: &str, by_id: bool) {
        let entry = Entry { seq, line, seen: Seen::Nobody, action, ambiguous: false, by_id };
        self.index.push(key, entry);
    }

    /// All requests are here.
    #[must_use]
    pub fn complete(mut self) -> Matcher {
        self.index.sort(|entry| entry.seq);
        let open = self.index.len() as u64;
        Matcher { open, index: self.index, first_of: HashMap::new(), again: self.again }
    }
}

/// Finds the requests that mean a user, by id (exactly) and by address (without case).
///
/// Of the requests that mean one user, the first in the file decides; another with the same action is its duplicate, another
/// with a different action contradicts it and is rejected. Of users that were told apart before, each is judged by itself.
#[derive(Debug)]
pub struct Matcher {
    index: KeyIndex<Entry>,
    /// The request that decides for a user.
    first_of: HashMap<u64, (u32, u32)>,
    open: u64,
    again: bool,
}

/// One request within a [`Matcher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

impl Matcher {
    /// How many requests there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.index.len() as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many requests have no resolution yet.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open
    }

    /// The requests that have no resolution yet, in file order.
    #[must_use]
    pub fn open_places(&self) -> Vec<Place> {
        let open = (0..self.index.len()).filter(|place| self.index.value(*place).seen == Seen::Nobody);
        let mut open: Vec<Place> = open.map(Place).collect();
        open.sort_unstable_by_key(|place| self.index.value(place.0).seq);
        open
    }

    /// Whether this is another user than the one whose id is asked for.
    #[must_use]
    pub fn is_another(&self, place: Place, user: &ResolvedUser) -> bool {
        self.index.value(place.0).by_id && self.index.key(place.0) != user.id
    }

    /// The user that a request names; `None` where lower case made the address too long to be one.
    #[must_use]
    pub fn user(&self, place: Place) -> Option<UserRef> {
        self.index.key(place.0).parse().ok()
    }

    /// Takes a user of the directory: adds to `found` what the requests that mean it resolve to. A user who is seen again (who
    /// moved from one listing to another while they were read) counts as seen last.
    pub fn see(
        &mut self,
        user: &ResolvedUser,
        judge: impl Fn(ResolvedUser, Action) -> Resolution,
        found: &mut Vec<(u64, Resolution)>,
    ) {
        self.take(None, user, &judge, found);
    }

    /// Takes the answer of a look-up by this request: it means this user even where the vendor names it otherwise.
    pub fn see_at(
        &mut self,
        place: Place,
        user: &ResolvedUser,
        judge: impl Fn(ResolvedUser, Action) -> Resolution,
        found: &mut Vec<(u64, Resolution)>,
    ) {
        self.take(Some(place.0), user, &judge, found);
    }

    /// Gives a request a resolution without a user, unless it has one.
    pub fn settle(&mut self, place: Place, resolution: Resolution, found: &mut Vec<(u64, Resolution)>) {
        let entry = self.index.value_mut(place.0);
        if entry.seen == Seen::Nobody {
            entry.seen = Seen::Settled;
            self.open -= 1;
            found.push((entry.seq, resolution));
        }
    }

    /// The memory that it holds, in bytes, as far as it can be told.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // A hash map keeps one byte of control beside each bucket, and an eighth of them free.
        let buckets = (self.first_of.capacity() * 8 / 7).next_power_of_two();
        self.index.bytes() + buckets * (size_of::<(u64, (u32, u32))>() + 1)
    }

    fn take(
        &mut self,
        forced: Option<usize>,
        user: &ResolvedUser,
        judge: &dyn Fn(ResolvedUser, Action) -> Resolution,
        found: &mut Vec<(u64, Resolution)>,
    ) {
        let identity = identity(user);
        let mut places: Vec<usize> = forced.into_iter().collect();
        if !user.id.is_empty() {
            places.extend(self.index.find(&user.id));
        }
        if let Some(email) = &user.email {
            places.extend(self.index.find(&email.to_lowercase()));
        }
        if places.is_empty() {
            return;
        }
        places.sort_unstable_by_key(|place| self.index.value(*place).seq);
        places.dedup();
        places.retain(|place| self.means(*place, identity, found));
        let known = self.deciding(identity);
        let Some(first) = known.or_else(|| places.first().copied()) else { return };
        if known.is_none()
            && let Seen::User(hash, check) = identity
        {
            self.first_of.insert(hash, (check, u32::try_from(first).unwrap_or(u32::MAX)));
        }
        let (first_line, first_action) = {
            let entry = self.index.value(first);
            (entry.line, entry.action)
        };
        for place in places {
            let entry = self.index.value_mut(place);
            let again = entry.seen == identity;
            if entry.seen == Seen::Nobody {
                self.open -= 1;
            }
            entry.seen = identity;
            let resolution = if place == first || (self.again && !again) {
                judge(user.clone(), entry.action)
            } else if again {
                continue;
            } else if entry.action == first_action {
                Resolution::Duplicate { of_line: first_line }
            } else {
                let message = format!(
                    "line {first_line} wants the same user to be {}d; one file can't want both",
                    first_action.as_str()
                );
                settled(Outcome::Rejected, "contradiction", message, Some(user.clone()))
            };
            found.push((entry.seq, resolution));
        }
    }

    /// Whether the request at a place may mean this user. One that has meant another is ambiguous from then on: an address that
    /// passed from one user to another while the directory was read must not decide about either.
    fn means(&mut self, place: usize, identity: Seen, found: &mut Vec<(u64, Resolution)>) -> bool {
        let entry = self.index.value_mut(place);
        match (entry.seen, identity) {
            _ if entry.ambiguous => false,
            // An invited user without an id tells nothing new of one who has got an id.
            (Seen::User(..), Seen::WithoutId) => false,
            (Seen::User(..), other) if entry.seen != other => {
                entry.ambiguous = true;
                let message = "two users of the directory had this name while it was read; submit it again";
                let resolution = settled(Outcome::Rejected, "ambiguous", message.to_owned(), None);
                found.push((entry.seq, resolution));
                false
            }
            _ => true,
        }
    }

    /// The request that decides for a user who was seen before.
    fn deciding(&self, identity: Seen) -> Option<usize> {
        let Seen::User(hash, check) = identity else { return None };
        let (known, place) = *self.first_of.get(&hash)?;
        let entry = self.index.value(place as usize);
        (known == check && !entry.ambiguous).then_some(place as usize)
    }
}

fn identity(user: &ResolvedUser) -> Seen {
    if user.id.is_empty() {
        return Seen::WithoutId;
    }
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, &user.id).hash(&mut hasher);
        hasher.finish()
    };
    Seen::User(hash(0), (hash(1) >> 32) as u32)
}

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;
