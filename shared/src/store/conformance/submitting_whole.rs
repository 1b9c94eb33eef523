//! A small run is submitted in one go: told, stored and sealed, or nothing of it.

use std::time::Duration;

use futures::future;

use super::{
    Fixture,
    samples::{Submission, account, other_account},
    steps::Steps,
};
use crate::{
    NewRun, RunId, RunPhase,
    audit::{AuditEvent, AuditKind},
    store::{CHUNK, OPEN_RUN_EXPIRES, Seal, Sealed, SharedStore, StoreError},
};

/// A run that was not submitted yet, and its submission.
struct Whole {
    run: NewRun,
    submission: Submission,
    seal: Seal,
}

impl Whole {
    fn new(steps: &Steps<'_>, submission: Submission) -> Self {
        let run = steps.new_run(&submission);
        let seal = Steps::seal_of(&run.id, &submission);
        Self { run, submission, seal }
    }

    async fn submit(&self, store: &SharedStore) -> Result<Sealed, StoreError> {
        store.submit(&self.run, &self.submission.requests, &self.seal, &told(&self.run.id)).await
    }
}

fn told(run: &RunId) -> AuditEvent {
    AuditEvent {
        what: AuditKind::Submitted,
        by: "api:hr-portal".into(),
        from: None,
        account: Some(account()),
        run: Some(run.clone()),
        plan: None,
        detail: None,
    }
}

async fn all_told(store: &SharedStore) -> Vec<Option<RunId>> {
    let entries = store.audit(1, 100).await.unwrap();
    entries.iter().map(|entry| entry.read().and_then(|event| event.run)).collect()
}

pub async fn a_run_submitted_in_one_go_is_as_one_that_was_opened_filled_and_sealed(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for size in [1, 3, CHUNK] {
        let whole = Whole::new(&steps, Submission::of_size(size));
        assert_eq!(whole.submit(&steps.store).await.unwrap(), Sealed::New { previous: None });
        let status = steps.status(&whole.run.id).await;
        assert_eq!((&status.run, status.phase), (&whole.run, RunPhase::Sealed));
        assert_eq!((status.counters.total, status.counters.pending), (size as u64, size as u64));
        assert_eq!(status.by_action, whole.seal.by_action);
        let kept: Vec<_> = (0..).zip(whole.submission.requests).collect();
        assert_eq!(steps.store.requests(&whole.run.id, 0, CHUNK).await.unwrap(), kept);
        assert_eq!(all_told(&steps.store).await.last(), Some(&Some(whole.run.id)));
    }
    assert_eq!(steps.store.audit_last().await.unwrap(), 3);
}

/// The answer may have been lost.
pub async fn the_same_run_submitted_again_is_new_again_and_told_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for again_after_end in [true, false] {
        let key = if again_after_end { "a" } else { "b" };
        let whole = Whole::new(&steps, Submission::of_size(1).keyed(key, "d", again_after_end));
        for _ in 0..2 {
            assert_eq!(whole.submit(&steps.store).await.unwrap(), Sealed::New { previous: None });
        }
        assert_eq!(steps.cancel(&whole.run.id, 9).await, 0);
        assert_eq!(whole.submit(&steps.store).await.unwrap(), Sealed::New { previous: None });
    }
    assert_eq!(steps.store.runs(None, 9).await.unwrap().len(), 2);
    assert_eq!(steps.store.audit_last().await.unwrap(), 2);
}

pub async fn the_same_content_submitted_in_one_go_is_one_run_and_told_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    let content = || Submission::of_size(2).keyed("k", "d", true);
    let first = Whole::new(&steps, content());
    assert_eq!(first.submit(store).await.unwrap(), Sealed::New { previous: None });
    let second = Whole::new(&steps, content());
    assert_eq!(second.submit(store).await.unwrap(), Sealed::Existing(first.run.id.clone()));
    assert_eq!(store.run(&second.run.id).await.unwrap(), None);
    assert_eq!(all_told(store).await, [Some(first.run.id.clone())]);
    // Over, it may begin again where its key says so.
    assert_eq!(steps.cancel(&first.run.id, 9).await, 0);
    assert_eq!(second.submit(store).await.unwrap(), Sealed::New { previous: Some(first.run.id) });
    assert_eq!(store.audit_last().await.unwrap(), 2);
}

pub async fn a_key_for_good_gives_back_its_run_after_it_is_over(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = Whole::new(&steps, Submission::of_size(1).keyed("k", "d", false));
    first.submit(&steps.store).await.unwrap();
    assert_eq!(steps.cancel(&first.run.id, 9).await, 0);
    let again = Whole::new(&steps, Submission::of_size(1).keyed("k", "d", false));
    assert_eq!(again.submit(&steps.store).await.unwrap(), Sealed::Existing(first.run.id));
}

pub async fn of_many_that_submit_the_same_at_once_one_makes_the_run(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let drafts: Vec<Whole> =
        (0..12).map(|_| Whole::new(&steps, Submission::of_size(1).keyed("k", "d", false))).collect();
    let answers = drafts
        .iter()
        .zip(0..)
        .map(|(draft, n)| draft.submit(if n % 2 == 0 { &steps.store } else { &second }));
    let answers: Vec<Sealed> = future::join_all(answers).await.into_iter().map(Result::unwrap).collect();
    let runs = steps.store.runs(None, 99).await.unwrap();
    assert_eq!(runs.len(), 1, "{answers:?}");
    let new = answers.iter().filter(|answer| **answer == Sealed::New { previous: None }).count();
    let existing = Sealed::Existing(runs[0].run.id.clone());
    assert_eq!((new, answers.iter().filter(|answer| **answer == existing).count()), (1, 11));
}

pub async fn what_is_refused_leaves_nothing_behind(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    let first = Whole::new(&steps, Submission::of_size(1).keyed("k", "d", false));
    first.submit(store).await.unwrap();
    let other = Whole::new(&steps, Submission::of_size(2).keyed("k", "other", false));
    assert_refused!(other.submit(store).await, StoreError::Conflict { .. });
    let nothing = Whole::new(&steps, Submission::of(&[]));
    assert_refused!(nothing.submit(store).await, StoreError::WrongPhase { .. });
    let mut wrong = Whole::new(&steps, Submission::of_size(2));
    wrong.seal.total = 3;
    assert_refused!(wrong.submit(store).await, StoreError::Incomplete { expected: 3, found: 2, .. });
    assert_eq!(store.runs(None, 9).await.unwrap().len(), 1);
    steps.pass(OPEN_RUN_EXPIRES + Duration::from_secs(1)).await;
    assert_eq!(store.expire_open_runs().await.unwrap(), 0);
}

pub async fn an_id_that_is_in_use_is_taken_for_a_run_in_one_go_too(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let store = &steps.store;
    let first = Whole::new(&steps, Submission::of_size(1));
    first.submit(store).await.unwrap();
    let (draft, seal) = steps.draft(&Submission::of_size(1)).await;
    for id in [&first.run.id, &draft] {
        let mut other = Whole::new(&steps, Submission::of_size(2));
        (other.run.id, other.run.reason) = (id.clone(), Some("another".into()));
        assert_refused!(other.submit(store).await, StoreError::IdTaken(_));
        (other.run.account, other.seal.idempotency.key) = (other_account(), "another".into());
        assert_refused!(other.submit(store).await, StoreError::IdTaken(_));
    }
    assert_eq!(steps.seal(&draft, &seal).await, Sealed::New { previous: None });
    assert_eq!(steps.status(&first.run.id).await.counters.total, 1);
}
