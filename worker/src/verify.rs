//! After a run: is every user in the state that the outcome says? The directory itself is asked, by pages, never the ledger.

use std::sync::atomic::AtomicU64;

use futures::{StreamExt, stream};
use usher_shared::{
    Outcome, OutcomeRow, Priority, ResolvedUser, RunId, Status, UserRef,
    store::{Store, StoreError},
};

use crate::{
    provider::Provider,
    resolve::{
        Asked, Asker, CallGate, FEW, KeyIndex, LOOK_UPS_AT_ONCE, Patience, Way, after_first_page,
        before_any_call,
    },
};

/// Rows read at once.
const READ: usize = 2_000;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Users whose state was compared.
    pub checked: u64,
    /// Users who were said to be as wished, and are not: the run is not what its report says. Most often somebody, or a
    /// provisioning system, changed them after the run.
    pub disagreements: Vec<Disagreement>,
    /// Users whom the run did not change, and who are no longer as they were before it. For information: somebody else did it,
    /// or a call that failed had an effect all the same.
    pub changed_by_others: Vec<Disagreement>,
}

/// A user whose state is not what the outcome says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The line of the file, from 1.
    pub line: u64,
    /// The user as the producer named it.
    pub user: UserRef,
    /// What the run says.
    pub outcome: Outcome,
    /// The status that follows from it.
    pub expected: Status,
    /// The status in the directory; `None` where the user is not in it.
    pub found: Option<Status>,
}

/// Why a run is not verified. Nothing is changed by it; it can be done again at any time.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The vendor does not answer.
    #[error(transparent)]
    Asked(#[from] Asked),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the outcomes of a run say about its users, and what the directory says. Pure.
#[derive(Debug)]
pub struct Comparison {
    index: KeyIndex<Claim>,
}

#[derive(Debug)]
struct Claim {
    seq: u64,
    expected: Status,
    /// Whether the run says that it is so, rather than that it changed nothing.
    binding: bool,
    /// What the directory says; `None` where the user was not seen.
    found: Option<Status>,
}

/// One claim within a [`Comparison`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt(usize);

/// The status that follows from an outcome, and whether the run vouches for it. `None` where it says nothing about a user.
fn claim(row: &OutcomeRow) -> Option<(String, Claim)> {
    let user = row.resolved.as_ref()?;
    let (expected, binding) = match row.outcome {
        Outcome::Applied | Outcome::AlreadyApplied => (row.action.desired(), true),
        _ if row.changed_in_part() => (row.action.desired(), true),
        // A newer run decides about this user.
        Outcome::Superseded | Outcome::NotFound => return None,
        _ => (user.before.status, false),
    };
    let key = user.key();
    if key.is_empty() {
        return None;
    }
    Some((key, Claim { seq: row.seq, expected, binding, found: None }))
}

impl Comparison {
    /// No claims yet.
    #[must_use]
    pub fn with_capacity(rows: u64) -> Self {
        Self { index: KeyIndex::with_capacity(usize::try_from(rows).unwrap_or(usize::MAX)) }
    }

    /// Adds what an outcome says. All are added before a user is seen.
    pub fn add(&mut self, row: &OutcomeRow) {
        if let Some((key, claim)) = claim(row) {
            self.index.push(&key, claim);
        }
    }

    /// All outcomes are here.
    pub fn complete(&mut self) {
        self.index.sort(|claim| (!claim.binding, claim.seq));
    }

    /// Takes a user of the directory; who is seen again counts as seen last.
    pub fn see(&mut self, user: &ResolvedUser) {
        let by_id = if user.id.is_empty() { 0..0 } else { self.index.find(&user.id) };
        let by_email = user.email.as_ref().map_or(0..0, |email| self.index.find(&email.to_lowercase()));
        for place in by_id.chain(by_email) {
            self.index.value_mut(place).found = Some(user.before.status);
        }
    }

    /// Takes the answer of a look-up about a claim.
    pub fn see_at(&mut self, doubt: Doubt, user: Option<&ResolvedUser>) {
        self.index.value_mut(doubt.0).found = user.map(|user| user.before.status);
    }

    /// The claims that the directory does not bear out so far, those that the run vouches for first.
    #[must_use]
    pub fn doubts(&self) -> Vec<Doubt> {
        let mut doubts: Vec<usize> = (0..self.index.len())
            .filter(|place| {
                let claim = self.index.value(*place);
                claim.found != Some(claim.expected) && !self.outranked(*place)
            })
            .collect();
        doubts.sort_unstable_by_key(|place| {
            let claim = self.index.value(*place);
            (!claim.binding, claim.seq)
        });
        doubts.into_iter().map(Doubt).collect()
    }

    /// How many users are compared.
    #[must_use]
    pub fn checked(&self) -> u64 {
        (0..self.index.len()).filter(|place| !self.outranked(*place)).count() as u64
    }

    /// How many claims there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.index.len() as u64
    }

    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn user(&self, doubt: Doubt) -> Option<UserRef> {
        self.index.key(doubt.0).parse().ok()
    }

    /// Whether another row of the run says something about the same user: one that vouches for it, or an earlier one.
    fn outranked(&self, place: usize) -> bool {
        // Within a key, binding claims come first.
        place > 0 && self.index.key(place - 1) == self.index.key(place)
    }
}

/// Compares a run that is over with the directory.
pub async fn verify_run(
    store: &dyn Store,
    provider: &dyn Provider,
    gate: &dyn CallGate,
    run: &RunId,
) -> Result<Verification, VerifyError> {
    let calls = AtomicU64::new(0);
    let asker =
        Asker { provider, gate, priority: Priority::Normal, patience: Patience::default(), calls: &calls };
    let mut comparison = gather(store, run).await?;
    let pages = read_directory(&asker, &mut comparison).await?;
    // Pages are read one after another, and users move between them: what seems wrong is looked at itself, where that is
    // not more work than the listing was.
    let doubts = comparison.doubts();
    if doubts.len() as u64 <= FEW.max(pages) {
        look_at(&asker, &mut comparison, doubts).await?;
    }
    let mut verification = Verification { checked: comparison.checked(), ..Verification::default() };
    for doubt in comparison.doubts() {
        let Claim { seq, expected, binding, found } = *comparison.index.value(doubt.0);
        let rows = store.outcomes(run, seq, 1).await?;
        let Some(row) = rows.into_iter().find(|row| row.seq == seq) else { continue };
        let disagreement =
            Disagreement { line: row.line, user: row.user, outcome: row.outcome, expected, found };
        if binding {
            verification.disagreements.push(disagreement);
        } else {
            verification.changed_by_others.push(disagreement);
        }
    }
    verification.disagreements.sort_by_key(|found| found.line);
    verification.changed_by_others.sort_by_key(|found| found.line);
    Ok(verification)
}

async fn gather(store: &dyn Store, run: &RunId) -> Result<Comparison, VerifyError> {
    let total = store.run(run).await?.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?.counters.total;
    let mut comparison = Comparison::with_capacity(total);
    let mut from = 0;
    loop {
        let rows = store.outcomes(run, from, READ).await?;
        for row in &rows {
            comparison.add(row);
            from = row.seq + 1;
        }
        if rows.len() < READ {
            comparison.complete();
            return Ok(comparison);
        }
    }
}

/// Reads the directory, unless looking at each user is fewer calls. Returns the number of pages read to the end.
async fn read_directory(asker: &Asker<'_>, comparison: &mut Comparison) -> Result<u64, VerifyError> {
    let mut listings = asker.provider.listings();
    let count = listings.len() as u64;
    if before_any_call(comparison.len(), count) == Some(Way::LookUps) || listings.is_empty() {
        let all = comparison.doubts();
        look_at(asker, comparison, all).await?;
        return Ok(0);
    }
    let page = asker.page(&listings[0]).await?;
    page.users.iter().for_each(|user| comparison.see(user));
    if after_first_page(comparison.len(), page.total, asker.provider.page_size(), count) == Way::LookUps {
        let all = comparison.doubts();
        look_at(asker, comparison, all).await?;
        return Ok(0);
    }
    let mut pages = 1;
    match page.next {
        Some(next) => listings[0] = next,
        None => drop(listings.remove(0)),
    }
    for start in listings {
        let mut listing = asker.listing(start);
        while let Some(page) = listing.next().await? {
            page.users.iter().for_each(|user| comparison.see(user));
        }
        pages += listing.pages();
    }
    Ok(pages)
}

/// One look-up for each of these claims.
async fn look_at(
    asker: &Asker<'_>,
    comparison: &mut Comparison,
    doubts: Vec<Doubt>,
) -> Result<(), VerifyError> {
    let asker = *asker;
    let named: Vec<(Doubt, UserRef)> =
        doubts.into_iter().filter_map(|doubt| Some((doubt, comparison.user(doubt)?))).collect();
    let mut answers = stream::iter(named)
        .map(|(doubt, user)| async move { (doubt, asker.look_up(&user).await) })
        .buffered(LOOK_UPS_AT_ONCE);
    while let Some((doubt, answer)) = answers.next().await {
        // A look-up that is refused for this one name tells nothing: the doubt stays.
        if let Ok(found) = answer? {
            comparison.see_at(doubt, found.as_ref());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use usher_shared::{Action, UserState};

    use super::*;

    fn user(id: &str, email: &str, status: Status) -> ResolvedUser {
        let before = UserState { status, license: None, role: None, groups: vec![] };
        ResolvedUser { id: id.into(), email: Some(email.into()), before }
    }

    fn row(seq: u64, action: Action, outcome: Outcome, resolved: Option<ResolvedUser>) -> OutcomeRow {
        OutcomeRow {
            seq,
            line: seq + 1,
            user: "somebody".parse().unwrap(),
            resolved,
            action,
            reason: None,
            outcome,
            code: None,
            message: None,
            attempts: 0,
            first_attempt_at: None,
            last_attempt_at: None,
            worker: None,
        }
    }

    /// What is doubted after the directory showed these users: (place in the run, vouched for, expected).
    fn doubted(rows: &[OutcomeRow], directory: &[ResolvedUser]) -> (u64, Vec<(u64, bool, Status)>) {
        let mut comparison = Comparison::with_capacity(rows.len() as u64);
        rows.iter().for_each(|row| comparison.add(row));
        comparison.complete();
        directory.iter().for_each(|user| comparison.see(user));
        let doubts = comparison.doubts().into_iter().map(|doubt| {
            let claim = comparison.index.value(doubt.0);
            (claim.seq, claim.binding, claim.expected)
        });
        (comparison.checked(), doubts.collect())
    }

    #[test]
    fn who_was_changed_in_part_is_vouched_for_as_activated() {
        let before = user("a", "a@corp.example", Status::Inactive);
        let basic = OutcomeRow {
            code: Some(usher_shared::ACTIVATED_AS_BASIC.into()),
            ..row(0, Action::Activate, Outcome::NoSeat, Some(before.clone()))
        };
        let now = user("a", "a@corp.example", Status::Active);
        assert_eq!(doubted(std::slice::from_ref(&basic), &[now]).1, []);
        assert_eq!(doubted(&[basic], &[before]).1, [(0, true, Status::Active)]);
    }

    #[test]
    fn each_outcome_is_held_to_what_it_says_of_its_user() {
        use {Action::*, Outcome::*, Status::*};
        // (wanted, outcome, status before, status found, what is doubted: vouched for, expected)
        let cases = [
            (Deactivate, Applied, Active, Some(Inactive), None),
            (Deactivate, Applied, Active, Some(Active), Some((true, Inactive))),
            (Deactivate, Applied, Active, None, Some((true, Inactive))),
            (Deactivate, AlreadyApplied, Inactive, Some(Inactive), None),
            (Deactivate, AlreadyApplied, Active, Some(Active), Some((true, Inactive))),
            (Activate, Applied, Inactive, Some(Active), None),
            (Activate, Applied, Inactive, Some(Pending), Some((true, Active))),
            (Deactivate, Protected, Active, Some(Active), None),
            (Deactivate, Protected, Active, Some(Inactive), Some((false, Active))),
            (Deactivate, Rejected, Pending, Some(Pending), None),
            (Deactivate, Exhausted, Active, Some(Inactive), Some((false, Active))),
            (Deactivate, Cancelled, Active, Some(Active), None),
            (Deactivate, Poisoned, Active, None, Some((false, Active))),
        ];
        for (action, outcome, before, found, expected) in cases {
            let rows = [row(0, action, outcome, Some(user("a", "a@x.example", before)))];
            let directory: Vec<_> =
                found.map(|status| user("a", "a@x.example", status)).into_iter().collect();
            let expected = expected.map(|(binding, status)| (0, binding, status));
            assert_eq!(
                doubted(&rows, &directory),
                (1, expected.into_iter().collect()),
                "{action} {outcome} {found:?}"
            );
        }
    }

    #[test]
    fn what_a_newer_run_decides_and_what_nobody_is_is_not_compared() {
        let known = || Some(user("a", "a@x.example", Status::Active));
        let rows = [
            row(0, Action::Deactivate, Outcome::Superseded, known()),
            row(1, Action::Deactivate, Outcome::NotFound, None),
            row(2, Action::Deactivate, Outcome::Cancelled, None),
        ];
        assert_eq!(doubted(&rows, &[]), (0, vec![]));
    }

    #[test]
    fn a_contradicting_row_of_the_same_user_is_no_second_opinion() {
        let known = || Some(user("a", "a@x.example", Status::Active));
        let rows = [
            row(0, Action::Deactivate, Outcome::Applied, known()),
            row(1, Action::Activate, Outcome::Rejected, known()),
        ];
        assert_eq!(doubted(&rows, &[user("a", "a@x.example", Status::Inactive)]), (1, vec![]));
    }

    #[test]
    fn users_without_an_id_are_found_by_address_and_the_last_sight_counts() {
        let rows =
            [row(0, Action::Deactivate, Outcome::Rejected, Some(user("", "A@X.example", Status::Pending)))];
        assert_eq!(doubted(&rows, &[user("", "a@x.EXAMPLE", Status::Pending)]), (1, vec![]));
        let accepted = [user("", "a@x.example", Status::Pending), user("new", "a@x.example", Status::Active)];
        assert_eq!(doubted(&rows, &accepted), (1, vec![(0, false, Status::Pending)]));
    }
}
