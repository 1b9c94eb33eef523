//! What producers and stewards say: requests, seals, and what the requests are resolved to.

use std::collections::BTreeMap;

use usher_shared::{
    Action, Clock, NewRun, Outcome, Priority, Request, ResolvedUser, RunId, Status, Terms, UserState,
    store::{Idempotency, Resolution, Seal},
};

use super::{
    calls::Call,
    ops::{Found, Wish},
    player::{Draft, Player, World, account, tenths, worker},
};

/// Each user by its number. The last has no id yet.
fn resolved(user: u8) -> ResolvedUser {
    ResolvedUser {
        id: if user == 5 { String::new() } else { format!("ID{user}") },
        email: Some(format!("user{user}@corp.example")),
        before: UserState { status: Status::Active, license: None, role: None, groups: Vec::new() },
    }
}

impl<W: World> Player<'_, W> {
    pub(super) fn open(&mut self, branch: bool, priority: Priority) -> Call {
        let letters = b"23456789abcdefghjkmnpqrstvwxyz";
        let (high, low) = (self.runs.len() / letters.len(), self.runs.len() % letters.len());
        let id = format!("20261120-aaaa{}{}", char::from(letters[high]), char::from(letters[low]));
        let id: RunId = id.parse().unwrap();
        self.runs.push(Draft {
            id: id.clone(),
            account: account(branch),
            requests: BTreeMap::new(),
            users: BTreeMap::new(),
        });
        Call::OpenRun(NewRun {
            // Every third one is a plan.
            terms: Terms { plan: low % 3 == 1, ..Terms::default() },
            id,
            account: account(branch),
            priority,
            reason: None,
            asked_by: "test".into(),
            source: None,
            created_at: self.clock.now(),
        })
    }

    /// What is told of places beyond the first is remembered: a place that is taken keeps what it has.
    pub(super) fn append(&mut self, run: u8, first: u64, wishes: &[Wish]) -> Option<Call> {
        let number = usize::from(run) % self.runs.len().max(1);
        let draft = self.runs.get_mut(number)?;
        let mut requests = Vec::new();
        for (seq, wish) in (first..).zip(wishes) {
            let name = if wish.by_id && wish.user != 5 {
                format!("ID{}", wish.user)
            } else {
                format!("User{}@corp.example", wish.user)
            };
            let request = Request {
                restore: None,
                line: seq + 1,
                user: name.parse().unwrap(),
                action: wish.action,
                reason: None,
            };
            draft.requests.entry(seq).or_insert_with(|| request.clone());
            draft.users.entry(seq).or_insert(wish.user);
            requests.push(request);
        }
        Some(Call::Append(draft.id.clone(), first, requests))
    }

    pub(super) fn seal(
        &self,
        run: u8,
        key: Option<u8>,
        digest: bool,
        again: bool,
        miscount: bool,
    ) -> Option<Call> {
        let draft = self.run(run)?;
        let mut by_action = BTreeMap::<Action, u64>::new();
        for request in draft.requests.values() {
            *by_action.entry(request.action).or_default() += 1;
        }
        let idempotency = Idempotency {
            key: key.map_or_else(|| format!("key of {}", draft.id), |key| format!("key {key}")),
            digest: format!("{} of {}", if digest { "digest" } else { "another digest" }, draft.account),
            again_after_end: again,
        };
        let total = draft.requests.len() as u64 + u64::from(miscount);
        Some(Call::Seal(draft.id.clone(), Seal { total, by_action, idempotency }))
    }

    pub(super) fn submit(
        &mut self,
        branch: bool,
        priority: Priority,
        key: Option<u8>,
        wishes: &[Wish],
    ) -> Vec<Call> {
        let open = self.open(branch, priority);
        let number = u8::try_from(self.runs.len() - 1).unwrap();
        let append = self.append(number, 0, wishes);
        let seal = self.seal(number, key, true, true, false);
        [Some(open), append, seal].into_iter().flatten().collect()
    }

    pub(super) fn queue(
        &mut self,
        branch: bool,
        priority: Priority,
        wishes: &[Wish],
        found: &[Found],
    ) -> Vec<Call> {
        let mut calls = self.resolved(branch, priority, wishes, found);
        let id = self.runs.last().unwrap().id.clone();
        calls.extend([Call::Admit(id.clone()), Call::Promote(id, 500)]);
        calls
    }

    pub(super) fn resolved(
        &mut self,
        branch: bool,
        priority: Priority,
        wishes: &[Wish],
        found: &[Found],
    ) -> Vec<Call> {
        let mut calls = self.submit(branch, priority, None, wishes);
        let draft = self.runs.last().unwrap();
        let (id, steward) = (draft.id.clone(), self.stewards.len());
        let found = found.iter().copied().chain(std::iter::repeat(Found::User));
        let places: Vec<_> = draft.requests.keys().copied().zip(found).collect();
        calls.push(Call::TakeSteward(id.clone(), worker(0), tenths(50_u8)));
        calls.push(Call::Resolve(steward, self.resolutions(&id, places)));
        calls.push(Call::FinishResolving(steward));
        calls
    }

    /// What is found of the requests at these places. No two of a run are jobs on one user: the steward's duty.
    pub(super) fn resolutions(
        &self,
        run: &RunId,
        places: impl IntoIterator<Item = (u64, Found)>,
    ) -> Vec<(u64, Resolution)> {
        let draft = self.draft(run);
        let of = |seq: u64, found| {
            let Some(user) = draft.users.get(&seq).copied() else {
                // There is no such request.
                return Resolution::Duplicate { of_line: 1 };
            };
            let first = draft.users.iter().find(|(_, other)| **other == user).map_or(seq, |(seq, _)| *seq);
            let settled = |outcome, code: Option<&str>, user| Resolution::Settled {
                outcome,
                code: code.map(ToOwned::to_owned),
                message: None,
                user,
            };
            match found {
                Found::Nobody => settled(Outcome::NotFound, None, None),
                Found::Protected => settled(Outcome::Protected, Some("owner"), Some(resolved(user))),
                Found::Duplicate => Resolution::Duplicate { of_line: 1 },
                Found::User if first < seq => Resolution::Duplicate { of_line: first + 1 },
                Found::User => Resolution::Change(resolved(user)),
            }
        };
        places.into_iter().map(|(seq, found)| (seq, of(seq, found))).collect()
    }
}
