//! The cap of a day: distinct users over all runs, counted whole or not at all, by one run at a time.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, account, other_account},
    steps::Steps,
};
use crate::{
    RunId,
    store::{CHUNK, RESERVING, Reserved, SharedStore, StoreError},
};

const DAY: i64 = 20_777;

fn users(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("id-{number}")).collect()
}

/// A run that is resolved, of users of its own.
async fn resolved(steps: &Steps<'_>) -> RunId {
    let run = steps.submit(&Submission::of_size(2)).await;
    steps.resolve_all(&run).await;
    run
}

async fn reserve(store: &SharedStore, run: &RunId, names: &[&str], cap: u64) -> Reserved {
    store.reserve(run, DAY, &users(names), cap).await.unwrap()
}

pub async fn a_user_counts_once_a_day_whatever_run_counts_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (first, second) = (resolved(&steps).await, resolved(&steps).await);
    let store = &steps.store;
    assert_eq!(reserve(store, &first, &["a", "b", "a"], 10).await, Reserved::Counted { used: 2 });
    assert_eq!(reserve(store, &first, &["b", "c"], 10).await, Reserved::Counted { used: 3 });
    steps.admit(&first).await;
    assert_eq!(reserve(store, &second, &["c", "d"], 10).await, Reserved::Counted { used: 4 });
    assert_eq!(reserve(store, &second, &[], 10).await, Reserved::Counted { used: 4 });
}

pub async fn what_is_too_much_is_not_counted_at_all(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = resolved(&steps).await;
    let store = &steps.store;
    assert_eq!(reserve(store, &run, &["a", "b"], 3).await, Reserved::Counted { used: 2 });
    assert_eq!(reserve(store, &run, &["b", "c", "d"], 3).await, Reserved::Over { used: 2 });
    assert_eq!(reserve(store, &run, &["c"], 3).await, Reserved::Counted { used: 3 });
    assert_eq!(reserve(store, &run, &["d"], 3).await, Reserved::Over { used: 3 });
    assert_eq!(reserve(store, &run, &["e"], 0).await, Reserved::Over { used: 3 });
    // More is allowed by now.
    assert_eq!(reserve(store, &run, &["d"], 4).await, Reserved::Counted { used: 4 });
}

/// A worker that dies in between begins anew.
pub async fn the_same_run_again_counts_nothing_twice(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = resolved(&steps).await;
    for _ in 0..3 {
        assert_eq!(reserve(&steps.store, &run, &["a", "b"], 2).await, Reserved::Counted { used: 2 });
    }
}

pub async fn each_day_and_each_account_has_a_count_of_its_own(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = resolved(&steps).await;
    let elsewhere = steps.submit(&Submission::of_size(1).to(other_account())).await;
    steps.resolve_all(&elsewhere).await;
    assert_eq!(reserve(&steps.store, &run, &["a", "b"], 2).await, Reserved::Counted { used: 2 });
    let next = steps.store.reserve(&run, DAY + 1, &users(&["c"]), 2).await.unwrap();
    assert_eq!(next, Reserved::Counted { used: 1 });
    assert_eq!(reserve(&steps.store, &elsewhere, &["a"], 2).await, Reserved::Counted { used: 1 });
    assert_eq!(reserve(&steps.store, &run, &["c"], 2).await, Reserved::Over { used: 2 });
}

pub async fn one_run_counts_at_a_time_until_it_is_admitted(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (first, second) = (resolved(&steps).await, resolved(&steps).await);
    let (store, other) = (&steps.store, fixture.second_handle().await);
    assert_eq!(reserve(store, &first, &["a"], 2).await, Reserved::Counted { used: 1 });
    assert_eq!(reserve(&other, &second, &["b"], 2).await, Reserved::Busy(first.clone()));
    assert_eq!(reserve(store, &first, &["b"], 2).await, Reserved::Counted { used: 2 });
    steps.admit(&first).await;
    assert_eq!(reserve(&other, &second, &["c"], 2).await, Reserved::Over { used: 2 });
    assert_eq!(reserve(&other, &second, &["b"], 2).await, Reserved::Counted { used: 2 });
}

pub async fn a_run_that_is_over_counts_no_more(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (first, second) = (resolved(&steps).await, resolved(&steps).await);
    assert_eq!(reserve(&steps.store, &first, &["a"], 5).await, Reserved::Counted { used: 1 });
    assert_eq!(steps.cancel(&first, CHUNK).await, 0);
    // What it counted stays until it is taken back.
    assert_eq!(reserve(&steps.store, &second, &["b"], 5).await, Reserved::Counted { used: 2 });
    assert_eq!(steps.store.unreserve(&first, DAY).await.unwrap(), 0);
    assert_eq!(reserve(&steps.store, &second, &["c"], 5).await, Reserved::Counted { used: 2 });
}

pub async fn a_run_that_is_not_heard_of_lets_the_next_one_count(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (first, second) = (resolved(&steps).await, resolved(&steps).await);
    assert_eq!(reserve(&steps.store, &first, &["a"], 9).await, Reserved::Counted { used: 1 });
    steps.pass(RESERVING - Duration::from_secs(1)).await;
    assert_eq!(reserve(&steps.store, &first, &["b"], 9).await, Reserved::Counted { used: 2 });
    steps.pass(RESERVING - Duration::from_secs(1)).await;
    assert_eq!(reserve(&steps.store, &second, &["c"], 9).await, Reserved::Busy(first.clone()));
    steps.pass(Duration::from_secs(2)).await;
    assert_eq!(reserve(&steps.store, &second, &["c"], 9).await, Reserved::Counted { used: 3 });
    assert_eq!(reserve(&steps.store, &first, &["d"], 9).await, Reserved::Busy(second.clone()));
}

pub async fn a_run_that_took_back_lets_the_next_one_count(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (first, second) = (resolved(&steps).await, resolved(&steps).await);
    assert_eq!(reserve(&steps.store, &first, &["a", "b"], 3).await, Reserved::Counted { used: 2 });
    assert_eq!(reserve(&steps.store, &first, &["c", "d"], 3).await, Reserved::Over { used: 2 });
    assert_eq!(reserve(&steps.store, &second, &["d"], 3).await, Reserved::Busy(first.clone()));
    assert_eq!(steps.store.unreserve(&first, DAY).await.unwrap(), 0);
    assert_eq!(reserve(&steps.store, &second, &["x", "y", "z"], 3).await, Reserved::Counted { used: 3 });
}

pub async fn what_was_counted_is_taken_back_in_chunks(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (run, other) = (resolved(&steps).await, resolved(&steps).await);
    for chunk in [0..CHUNK, CHUNK..2 * CHUNK, 2 * CHUNK..2 * CHUNK + 3] {
        let end = chunk.end as u64;
        let counted = steps.store.reserve(&run, DAY, &numbered(chunk), 10_000).await.unwrap();
        assert_eq!(counted, Reserved::Counted { used: end });
    }
    assert_eq!(steps.store.unreserve(&run, DAY + 1).await.unwrap(), 0, "nothing was counted that day");
    assert!(matches!(reserve(&steps.store, &run, &[], 10_000).await, Reserved::Counted { .. }));
    let mut left = steps.store.unreserve(&run, DAY).await.unwrap();
    assert_eq!(left, CHUNK as u64 + 3);
    // Half taken back, it still counts.
    assert_eq!(reserve(&steps.store, &other, &[], 10_000).await, Reserved::Busy(run.clone()));
    for _ in 0..2 {
        left = steps.store.unreserve(&run, DAY).await.unwrap();
    }
    assert_eq!(left, 0);
    assert_eq!(steps.store.unreserve(&run, DAY).await.unwrap(), 0);
    assert_eq!(reserve(&steps.store, &other, &["x"], 10_000).await, Reserved::Counted { used: 1 });
}

/// It was counted for both, so it is counted as long as one of them has it.
pub async fn whom_two_runs_count_stays_counted_when_one_takes_back(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (first, second) = (resolved(&steps).await, resolved(&steps).await);
    assert_eq!(reserve(&steps.store, &first, &["a", "b"], 3).await, Reserved::Counted { used: 2 });
    steps.pass(RESERVING * 2).await;
    assert_eq!(reserve(&steps.store, &second, &["b", "c"], 3).await, Reserved::Counted { used: 3 });
    steps.admit(&second).await;
    assert_eq!(steps.store.unreserve(&first, DAY).await.unwrap(), 0);
    assert_eq!(reserve(&steps.store, &first, &["d"], 3).await, Reserved::Counted { used: 3 });
    assert_eq!(reserve(&steps.store, &first, &["e"], 3).await, Reserved::Over { used: 3 });
}

pub async fn only_a_resolved_run_counts_its_users(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let refused = async |run: &RunId| {
        let answer = steps.store.reserve(run, DAY, &users(&["a"]), 9).await;
        assert_refused!(answer, StoreError::WrongPhase { .. });
    };
    let sealed = steps.submit(&Submission::of_size(1)).await;
    refused(&sealed).await;
    let admitted = resolved(&steps).await;
    steps.admit(&admitted).await;
    refused(&admitted).await;
    let called_off = resolved(&steps).await;
    assert_eq!(steps.cancel(&called_off, 1).await, 1);
    refused(&called_off).await;
    let nobody = "20261120-zzzzzz".parse().unwrap();
    assert_refused!(steps.store.reserve(&nobody, DAY, &[], 9).await, StoreError::NoSuchRun(_));
    assert_refused!(steps.store.unreserve(&nobody, DAY).await, StoreError::NoSuchRun(_));
    assert_eq!(steps.store.unfinished(&account()).await.unwrap().len(), 3);
}
