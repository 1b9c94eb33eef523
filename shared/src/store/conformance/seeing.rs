//! What can be seen of runs and jobs: statuses, listings, pages of outcomes.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, account, ask, attempt, finished, retried, throttled, worker},
    steps::Steps,
};
use crate::{
    Action, Counters, Effort, Outcome, Priority, RunId, RunStatus, Timestamp, Verdict,
    store::{LeaseAsk, StoreError},
};

fn ids(statuses: Vec<RunStatus>) -> Vec<RunId> {
    statuses.into_iter().map(|status| status.run.id).collect()
}

pub async fn an_empty_store_answers_every_question(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.new_run(&Submission::of_size(1)).id;
    assert_eq!(steps.store.run(&run).await.unwrap(), None);
    assert_eq!(steps.store.runs(None, 10).await.unwrap(), []);
    assert_eq!(steps.store.unfinished(&account()).await.unwrap(), []);
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 0);
    assert!(!steps.store.release(&account()).await.unwrap());
    let leased = steps.lease_nothing("w1").await;
    assert_eq!((leased.next_due, leased.alone_waiting, leased.hold), (None, 0, None));
}

pub async fn a_run_that_there_is_not_is_named_by_whoever_is_asked(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(1)).await;
    let submission = Submission::of_size(1);
    let run = steps.new_run(&submission).id;
    let store = &steps.store;
    assert_refused!(store.append(&run, 0, &submission.requests).await, StoreError::NoSuchRun(_));
    assert_refused!(store.seal(&run, &Steps::seal_of(&run, &submission)).await, StoreError::NoSuchRun(_));
    assert_refused!(
        store.take_steward(&run, &worker("w1"), Duration::from_secs(9)).await,
        StoreError::NoSuchRun(_)
    );
    assert_refused!(store.requests(&run, 0, 10).await, StoreError::NoSuchRun(_));
    assert_refused!(store.admit(&run).await, StoreError::NoSuchRun(_));
    assert_refused!(store.promote(&run, 10).await, StoreError::NoSuchRun(_));
    assert_refused!(store.pause(&run).await, StoreError::NoSuchRun(_));
    assert_refused!(store.resume(&run).await, StoreError::NoSuchRun(_));
    assert_refused!(store.cancel(&run, 10).await, StoreError::NoSuchRun(_));
    assert_refused!(store.set_priority(&run, Priority::Urgent).await, StoreError::NoSuchRun(_));
    assert_refused!(store.outcomes(&run, 0, 10).await, StoreError::NoSuchRun(_));
    assert_refused!(store.attempts(&run, 0).await, StoreError::NoSuchRun(_));
    assert_refused!(store.duplicates(&run).await, StoreError::NoSuchRun(_));
    assert_eq!(store.run(&run).await.unwrap(), None);
    assert!(steps.lease(&LeaseAsk { only_run: Some(run), ..ask("w1") }).await.leases.is_empty());
}

/// To all but its producer an open run is not there.
pub async fn an_open_run_is_no_run_to_others(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (run, _) = steps.draft(&Submission::of_size(1)).await;
    let store = &steps.store;
    assert!(store.pause(&run).await.is_err());
    assert!(store.cancel(&run, 10).await.is_err());
    assert!(store.admit(&run).await.is_err());
    assert!(store.promote(&run, 10).await.is_err());
    assert!(!store.outcomes(&run, 0, 10).await.is_ok_and(|rows| !rows.is_empty()));
    assert_eq!(store.run(&run).await.unwrap(), None);
}

pub async fn what_a_run_has_cost_is_summed_up(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    assert_eq!(steps.status(&run).await.effort, Effort::default());
    steps.pass(Duration::from_secs(10)).await;
    let first = steps.now();
    let tried = |at: Timestamp, calls, verdict| {
        let mut tried = attempt(at, &worker("w1"), verdict);
        (tried.calls, tried.ended_at) = (calls, at.after(Duration::from_millis(120)));
        tried
    };
    let report = throttled(0, tried(first, 2, Verdict::Throttled), first.after(Duration::from_secs(1)));
    steps.finish(steps.lease_one("w1").await, vec![report]).await;
    let report = retried(1, tried(first, 3, Verdict::Transient), first.after(Duration::from_secs(5)));
    steps.finish(steps.lease_one("w1").await, vec![report]).await;
    let report = finished(2, None, Outcome::Drifted);
    steps.finish(steps.lease_one("w1").await, vec![report]).await;
    steps.pass(Duration::from_secs(5)).await;
    let last = steps.now();
    for seq in [0, 1] {
        let mut report = finished(seq, Some(tried(last, 1, Verdict::Applied)), Outcome::Applied);
        report.throttled = 2;
        steps.finish(steps.lease_one("w1").await, vec![report]).await;
    }
    let effort = Effort {
        attempts: 4,
        calls: 7,
        throttled: 5,
        retries: 1,
        lost: 0,
        first_attempt_at: Some(first),
        last_attempt_at: Some(last.after(Duration::from_millis(120))),
    };
    assert_eq!(steps.status(&run).await.effort, effort);
}

pub async fn the_counters_say_where_every_job_is(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(6)).await;
    let seen = async || {
        let Counters { total, pending, queued, leased, finished, .. } = steps.status(&run).await.counters;
        (total, pending, queued, leased, finished)
    };
    assert_eq!(seen().await, (6, 6, 0, 0, 0));
    steps.resolve_all(&run).await;
    steps.admit(&run).await;
    assert_eq!(seen().await, (6, 6, 0, 0, 0));
    steps.promote(&run, 4).await;
    assert_eq!(seen().await, (6, 2, 4, 0, 0));
    let leased = steps.lease(&LeaseAsk { leases: 3, ..ask("w1") }).await;
    assert_eq!(seen().await, (6, 2, 1, 3, 0));
    for lease in leased.leases.into_iter().take(2) {
        steps.apply(lease).await;
    }
    assert_eq!(seen().await, (6, 2, 1, 1, 2));
    steps.promote(&run, 4).await;
    assert_eq!(seen().await, (6, 0, 3, 1, 2));
}

pub async fn the_newest_runs_come_first_and_no_more_than_asked(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut runs = Vec::new();
    for n in 0..5 {
        let priority = [Priority::Urgent, Priority::Bulk][n % 2];
        runs.push(steps.submit(&Submission::of(&[&format!("user-{n}")]).priority(priority)).await);
        steps.pass(Duration::from_secs(1)).await;
    }
    // One that is over is a run like any other.
    assert_eq!(steps.cancel(&runs[3], 10).await, 0);
    runs.reverse();
    assert_eq!(ids(steps.store.runs(None, 10).await.unwrap()), runs);
    assert_eq!(ids(steps.store.runs(None, 2).await.unwrap()), runs[..2]);
    let listed = steps.store.runs(None, 1).await.unwrap().remove(0);
    assert_eq!(listed, steps.status(&runs[0]).await);
}

pub async fn unfinished_runs_come_in_the_order_in_which_they_are_worked(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submit = Vec::new();
    for (n, priority) in
        [Priority::Bulk, Priority::Normal, Priority::Urgent, Priority::Normal, Priority::Urgent]
            .into_iter()
            .enumerate()
    {
        submit.push(steps.submit(&Submission::of(&[&format!("user-{n}")]).priority(priority)).await);
        steps.pass(Duration::from_secs(1)).await;
    }
    let over = steps.queue(&Submission::of(&["over"])).await;
    steps.work_to_the_end_of(&over, "w1").await;
    for run in &submit[..4] {
        steps.release_into_queue(run).await;
    }
    let [bulk, normal, urgent, later_normal, not_admitted] = <[RunId; 5]>::try_from(submit).unwrap();
    let expected = [urgent, normal, later_normal, bulk, not_admitted];
    assert_eq!(ids(steps.store.unfinished(&account()).await.unwrap()), expected);
}

pub async fn outcomes_come_in_pages_that_can_be_resumed_anywhere(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(20)).await;
    let seqs = async |from_seq, limit| {
        let rows = steps.store.outcomes(&run, from_seq, limit).await.unwrap();
        rows.iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    assert!(seqs(0, 10).await.is_empty());
    // Every other job ends, the later ones first.
    let leased = steps.lease(&LeaseAsk { leases: 20, ..ask("w1") }).await;
    for lease in leased.leases.into_iter().rev().filter(|lease| lease.jobs[0].seq % 2 == 0) {
        steps.apply(lease).await;
    }
    assert_eq!(seqs(0, 4).await, [0, 2, 4, 6]);
    assert_eq!(seqs(7, 4).await, [8, 10, 12, 14]);
    assert_eq!(seqs(15, 4).await, [16, 18]);
    assert!(seqs(19, 4).await.is_empty());
    assert_eq!(seqs(18, 1).await, [18]);
    assert!(seqs(1_000_000, 4).await.is_empty());
    assert_eq!(seqs(0, 5_000).await.len(), 10);
}

/// Reports of a large run are read page by page while it is worked.
pub async fn an_outcome_that_was_read_does_not_change(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of_size(3);
    submission.requests[1].action = Action::Activate;
    let run = steps.queue(&submission).await;
    steps.apply(steps.lease_one("w1").await).await;
    let read = steps.outcomes(&run).await;
    steps.pass(Duration::from_secs(60)).await;
    steps.work_to_the_end("w2").await;
    let all = steps.outcomes(&run).await;
    assert_eq!((&all[..1], all.len()), (&read[..], 3));
    assert_eq!(
        all.iter().map(|row| row.action).collect::<Vec<_>>(),
        [Action::Deactivate, Action::Activate, Action::Deactivate]
    );
}

pub async fn the_time_is_that_of_the_stores_clock(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(steps.store.now().await.unwrap(), steps.now());
    steps.pass(Duration::from_millis(1_234_567)).await;
    assert_eq!(steps.store.now().await.unwrap(), steps.now());
}

pub async fn another_handle_sees_the_same(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let run = steps.queue(&Submission::of_size(3)).await;
    steps.apply(steps.lease_one("w1").await).await;
    assert_eq!(second.run(&run).await.unwrap(), Some(steps.status(&run).await));
    assert_eq!(second.outcomes(&run, 0, 10).await.unwrap(), steps.outcomes(&run).await);
    assert_eq!(second.attempts(&run, 0).await.unwrap(), steps.store.attempts(&run, 0).await.unwrap());
    let lease = steps.lease_one("w1").await;
    let report = steps.applied(&lease, &lease.jobs[0]);
    second.finish(lease, vec![report]).await.unwrap();
    assert_eq!(steps.status(&run).await.counters.finished, 2);
}

/// The urgent run is resolved first, too.
pub async fn unfinished_runs_that_are_not_admitted_come_by_priority(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut runs = Vec::new();
    for priority in [Priority::Bulk, Priority::Normal, Priority::Urgent, Priority::Normal] {
        let name = format!("user-{}", runs.len());
        runs.push(steps.submit(&Submission::of(&[&name]).priority(priority)).await);
        steps.pass(Duration::from_secs(1)).await;
    }
    steps.store.set_priority(&runs[0], Priority::Urgent).await.unwrap();
    let expected = [0, 2, 1, 3].map(|n: usize| runs[n].clone());
    assert_eq!(ids(steps.store.unfinished(&account()).await.unwrap()), expected);
}
