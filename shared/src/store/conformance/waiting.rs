//! Promise 5: waiting is not failing. A retry spends an attempt, a snooze spends none, and the store keeps the time.

use std::time::Duration;

use futures::future::{self, Either};
use tokio::time::{Instant, timeout};

use super::{
    Fixture,
    samples::{Submission, account, ask, attempt, retried, returned, throttled, worker},
    steps::Steps,
};
use crate::{
    Attempt, Verdict,
    store::{LeaseAsk, Store},
};

const SOON: Duration = Duration::from_secs(30);

/// Far beyond what noticing takes, far below what is waited for.
const NOTICED: Duration = Duration::from_secs(10);

pub async fn a_retry_spends_an_attempt_and_keeps_its_time(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let began_at = steps.now();
    for number in 1..=4 {
        let lease = steps.lease_one("w1").await;
        assert_eq!(lease.jobs[0].attempt, number);
        assert_eq!(lease.jobs[0].first_attempt_at, (number > 1).then_some(began_at));
        let due = steps.now().after(SOON);
        steps
            .finish(lease, vec![retried(0, attempt(steps.now(), &worker("w1"), Verdict::Transient), due)])
            .await;
        assert_eq!(steps.lease_nothing("w1").await.next_due, Some(due));
        steps.pass(SOON - Duration::from_millis(1)).await;
        assert_eq!(steps.lease_nothing("w1").await.next_due, Some(due));
        steps.pass(Duration::from_millis(1)).await;
    }
    let status = steps.status(&run).await;
    assert_eq!((status.effort.retries, status.effort.attempts, status.counters.queued), (4, 4, 1));
}

pub async fn a_snooze_spends_no_attempt_and_keeps_its_time(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    for _ in 0..20 {
        let lease = steps.lease_one("w1").await;
        assert_eq!((lease.jobs[0].attempt, lease.jobs[0].may_have_applied), (1, false));
        let due = steps.now().after(SOON);
        let tried = attempt(steps.now(), &worker("w1"), Verdict::Throttled);
        steps.finish(lease, vec![throttled(0, tried, due)]).await;
        assert_eq!(steps.lease_nothing("w1").await.next_due, Some(due));
        steps.pass(SOON - Duration::from_millis(1)).await;
        steps.lease_nothing("w1").await;
        steps.pass(Duration::from_millis(1)).await;
    }
    let effort = steps.status(&run).await.effort;
    assert_eq!((effort.throttled, effort.retries, effort.lost), (20, 0, 0));
}

pub async fn the_next_due_time_is_the_earliest_and_absent_where_none_waits(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    assert_eq!(steps.lease_nothing("w1").await.next_due, None);
    steps.queue(&Submission::of_size(3)).await;
    let start = steps.now();
    for (seq, seconds) in [(0, 50), (1, 20), (2, 80)] {
        let lease = steps.lease_one("w1").await;
        steps.finish(lease, vec![returned(seq, start.after(Duration::from_secs(seconds)))]).await;
    }
    let mut worked = Vec::new();
    for seconds in [20, 50, 80] {
        let due = start.after(Duration::from_secs(seconds));
        assert_eq!(steps.lease_nothing("w1").await.next_due, Some(due));
        steps.pass(due.since(steps.now())).await;
        let lease = steps.lease_one("w1").await;
        worked.push(lease.jobs[0].seq);
        steps.apply(lease).await;
    }
    assert_eq!(worked, [1, 0, 2]);
    assert_eq!(steps.lease_nothing("w1").await.next_due, None);
}

/// A job that waits for its time does not stand in the way of those behind it.
pub async fn a_waiting_job_holds_up_nobody(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(2)).await;
    let lease = steps.lease_one("w1").await;
    steps.finish(lease, vec![returned(0, steps.now().after(SOON))]).await;
    assert_eq!(steps.lease_one("w1").await.jobs[0].seq, 1);
    steps.pass(Duration::from_secs(5)).await;
    steps.lease_nothing("w2").await;
}

pub async fn a_time_that_has_passed_already_is_due_at_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(1)).await;
    let past = steps.now();
    steps.pass(Duration::from_secs(5)).await;
    let lease = steps.lease_one("w1").await;
    steps.finish(lease, vec![returned(0, past)]).await;
    steps.lease_one("w1").await;
}

/// "Already there" after a reply that was lost is our own doing; after a refusal for the rate limit it is not.
pub async fn only_a_try_whose_reply_was_lost_may_have_applied(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(1)).await;
    let tried = |verdict| attempt(steps.now(), &worker("w1"), verdict);
    let at = steps.now();
    let lease = steps.lease_one("w1").await;
    assert!(!lease.jobs[0].may_have_applied);
    steps.finish(lease, vec![throttled(0, tried(Verdict::Throttled), at)]).await;
    let lease = steps.lease_one("w1").await;
    assert!(!lease.jobs[0].may_have_applied, "the vendor refused: {lease:?}");
    let unsent = Attempt { calls: 0, http: None, ..tried(Verdict::Transient) };
    steps.finish(lease, vec![retried(0, unsent, at)]).await;
    let lease = steps.lease_one("w1").await;
    assert!(!lease.jobs[0].may_have_applied, "no call was made: {lease:?}");
    steps.finish(lease, vec![retried(0, tried(Verdict::Transient), at)]).await;
    let lease = steps.lease_one("w1").await;
    assert!(lease.jobs[0].may_have_applied, "the reply was lost: {lease:?}");
    steps.finish(lease, vec![throttled(0, tried(Verdict::Throttled), at)]).await;
    let lease = steps.lease_one("w1").await;
    assert!(lease.jobs[0].may_have_applied, "a later refusal does not change that: {lease:?}");
}

/// Seals runs one after the other until the waiter has noticed.
async fn seal_until_noticed(steps: &Steps<'_>, waiter: &dyn Store) {
    let account = account();
    let noticed = std::pin::pin!(waiter.wait_for_work(&account, NOTICED * 6));
    let sealing = std::pin::pin!(async {
        for _ in 0..20 {
            steps.submit(&Submission::of_size(1)).await;
        }
    });
    let began = Instant::now();
    if let Either::Right(((), noticed)) = future::select(noticed, sealing).await {
        timeout(NOTICED, noticed).await.expect("a seal ends the waiting for work");
    }
    assert!(began.elapsed() < NOTICED * 6, "it returned because its time was over");
}

pub async fn who_waits_for_work_notices_a_seal(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    seal_until_noticed(&steps, &*fixture.store()).await;
}

pub async fn who_waits_in_another_process_notices_a_seal(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    seal_until_noticed(&steps, &*fixture.second_handle().await).await;
}

pub async fn who_waits_for_work_notices_a_resume(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut runs = Vec::new();
    for n in 0..20 {
        runs.push(steps.queue(&Submission::of(&[&format!("user-{n}")])).await);
    }
    for run in &runs {
        steps.store.pause(run).await.unwrap();
    }
    steps.lease_nothing("w1").await;
    let account = account();
    let noticed = std::pin::pin!(steps.store.wait_for_work(&account, NOTICED * 6));
    let resuming = std::pin::pin!(async {
        for run in &runs {
            steps.store.resume(run).await.unwrap();
        }
    });
    if let Either::Right(((), noticed)) = future::select(noticed, resuming).await {
        timeout(NOTICED, noticed).await.expect("a resume ends the waiting for work");
    }
    let leased = steps.lease(&LeaseAsk { leases: 20, ..ask("w1") }).await;
    assert!(!leased.leases.is_empty(), "what was resumed can be leased");
}

pub async fn waiting_for_work_ends_by_itself(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let account = account();
    let waited = steps.store.wait_for_work(&account, Duration::from_millis(20));
    timeout(NOTICED, waited).await.expect("it never waits much longer than it was told to");
}

/// Whoever is told a time comes back then: not for a job of a paused run, nor of one that it does not work on.
pub async fn the_next_due_time_is_of_jobs_that_the_ask_may_be_given(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let start = steps.now();
    let mut runs = Vec::new();
    for (name, seconds) in [("a", 10), ("b", 20), ("c", 30)] {
        let run = steps.queue(&Submission::of(&[name])).await;
        let lease = steps.lease_one("w1").await;
        steps.finish(lease, vec![returned(0, start.after(Duration::from_secs(seconds)))]).await;
        runs.push(run);
    }
    let told = async |only_run| {
        let leased = steps.lease(&LeaseAsk { only_run, ..ask("w1") }).await;
        leased.next_due.map(|due| due.since(start).as_secs())
    };
    assert_eq!(told(None).await, Some(10));
    assert_eq!(told(Some(runs[2].clone())).await, Some(30));
    steps.store.pause(&runs[0]).await.unwrap();
    assert_eq!((told(None).await, told(Some(runs[0].clone())).await), (Some(20), None));
    steps.store.resume(&runs[0]).await.unwrap();
    assert_eq!(told(None).await, Some(10));
}
