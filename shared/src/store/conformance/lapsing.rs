//! Promise 3: a worker that dies loses nothing, and a write with a lapsed lease is refused.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, TTL, account, ask, finished, retried, worker},
    steps::Steps,
};
use crate::{
    Attempt, Outcome, RunPhase, Verdict,
    store::{LeaseAsk, StoreError},
};

const MOMENT: Duration = Duration::from_millis(1);

pub async fn a_lease_holds_until_its_time_and_no_longer(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.lease_one("w1").await;
    steps.pass(TTL - MOMENT).await;
    steps.lease_nothing("w2").await;
    steps.pass(MOMENT * 2).await;
    let lease = steps.lease_one("w2").await;
    assert_eq!(lease.worker, worker("w2"));
    steps.apply(lease).await;
    assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::Applied);
}

pub async fn a_lease_can_be_finished_until_its_time(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let lease = steps.lease_one("w1").await;
    steps.pass(TTL - MOMENT).await;
    steps.apply(lease).await;
    assert_eq!(steps.only_outcome(&run).await.attempts, 1);
}

/// Even while nobody else has leased the job: whoever comes next must find what it expects.
pub async fn a_lapsed_lease_writes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let mut lease = steps.lease_one("w1").await;
    steps.pass(TTL + MOMENT).await;
    assert_refused!(steps.store.renew(&mut lease, TTL).await, StoreError::LeaseLapsed(_));
    let report = steps.applied(&lease, &lease.jobs[0]);
    assert_refused!(steps.store.finish(lease, vec![report]).await, StoreError::LeaseLapsed(_));
    steps.check_counters().await;
    assert_eq!(steps.outcomes(&run).await, []);
    assert_eq!(steps.status(&run).await.effort.calls, 0);
    assert_eq!(steps.lease_one("w2").await.jobs[0].attempt, 2);
}

pub async fn a_slow_worker_does_not_overwrite_the_truth(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let mut slow = steps.lease_one("w1").await;
    steps.pass(TTL * 2).await;
    let current = steps.lease_one("w2").await;
    assert_ne!(slow.token, current.token);
    assert_refused!(steps.store.renew(&mut slow, TTL).await, StoreError::LeaseLapsed(_));
    let late = vec![finished(0, None, Outcome::Rejected)];
    assert_refused!(steps.store.finish(slow, late).await, StoreError::LeaseLapsed(_));
    steps.check_counters().await;
    assert_eq!(steps.status(&run).await.counters.leased, 1);
    steps.apply(current).await;
    let row = steps.only_outcome(&run).await;
    assert_eq!((row.outcome, row.worker), (Outcome::Applied, Some(worker("w2"))));
}

/// The same worker, slow once: its own later lease is another right.
pub async fn a_lapsed_lease_is_not_revived_by_a_later_one_of_the_same_worker(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let mut slow = steps.lease_one("w1").await;
    steps.pass(TTL * 2).await;
    let current = steps.lease_one("w1").await;
    assert_refused!(steps.store.renew(&mut slow, TTL).await, StoreError::LeaseLapsed(_));
    let late = vec![finished(0, None, Outcome::Rejected)];
    assert_refused!(steps.store.finish(slow, late).await, StoreError::LeaseLapsed(_));
    steps.apply(current).await;
    assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::Applied);
}

pub async fn a_renewed_lease_lives_on(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    let mut lease = steps.lease(&LeaseAsk { batch: 2, ..ask("w1") }).await.leases.remove(0);
    for _ in 0..4 {
        steps.pass(TTL * 3 / 4).await;
        steps.store.renew(&mut lease, TTL).await.unwrap();
        steps.lease_nothing("w2").await;
    }
    steps.pass(TTL - MOMENT).await;
    steps.apply(lease).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.effort.lost), (RunPhase::Finished, 0));
}

pub async fn a_renewed_lease_lapses_at_its_new_time(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(1)).await;
    let mut lease = steps.lease_one("w1").await;
    steps.pass(TTL / 3).await;
    steps.store.renew(&mut lease, TTL * 2).await.unwrap();
    steps.pass(TTL * 2 - MOMENT).await;
    steps.lease_nothing("w2").await;
    steps.pass(MOMENT * 2).await;
    steps.lease_one("w2").await;
    assert_refused!(steps.store.renew(&mut lease, TTL).await, StoreError::LeaseLapsed(_));
}

pub async fn a_lapsed_job_runs_again_and_its_attempt_is_recorded_as_lost(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let granted_at = steps.now();
    steps.lease_one("w1").await;
    steps.pass(TTL * 2).await;
    let lease = steps.lease_one("w2").await;
    let job = &lease.jobs[0];
    assert_eq!((job.attempt, job.deaths, job.may_have_applied), (2, 1, true));
    assert_eq!(job.first_attempt_at, Some(granted_at));
    steps.apply(lease).await;

    let attempts = steps.store.attempts(&run, 0).await.unwrap();
    assert_eq!(attempts.len(), 2);
    let lost = Attempt {
        began_at: granted_at,
        ended_at: granted_at.after(TTL),
        calls: attempts[0].calls,
        http: None,
        verdict: Verdict::Lost,
        code: None,
        worker: worker("w1"),
    };
    assert_eq!(attempts[0], lost);
    assert_eq!((attempts[1].verdict, &attempts[1].worker), (Verdict::Applied, &worker("w2")));
    let effort = steps.status(&run).await.effort;
    assert_eq!((effort.attempts, effort.lost, effort.calls), (2, 1, 1));
    assert_eq!(effort.first_attempt_at, Some(granted_at));
    let row = steps.only_outcome(&run).await;
    assert_eq!((row.attempts, row.first_attempt_at), (2, Some(granted_at)));
}

pub async fn all_jobs_of_a_lapsed_batch_run_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(300)).await;
    steps.lease(&LeaseAsk { batch: 200, ..ask("w1") }).await;
    steps.pass(TTL * 2).await;
    let again = steps.lease(&LeaseAsk { leases: 2, batch: 200, ..ask("w2") }).await;
    let jobs: Vec<_> = again.leases.iter().flat_map(|lease| lease.jobs.iter()).collect();
    assert_eq!(jobs.len(), 300);
    for job in jobs {
        assert_eq!((job.attempt, job.deaths), if job.seq < 200 { (2, 1) } else { (1, 0) }, "{job:?}");
    }
    assert_eq!(steps.status(&run).await.effort.lost, 200);
    for lease in again.leases {
        steps.apply(lease).await;
    }
    assert_eq!(steps.status(&run).await.phase, RunPhase::Finished);
}

/// The lost attempt counts, and a retry after it counts on.
pub async fn a_retry_after_a_lost_attempt_counts_on(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(1)).await;
    steps.lease_one("w1").await;
    steps.pass(TTL * 2).await;
    let lease = steps.lease_one("w2").await;
    let tried = super::samples::attempt(steps.now(), &worker("w2"), Verdict::Transient);
    steps.finish(lease, vec![retried(0, tried, steps.now())]).await;
    let job = steps.lease_one("w2").await.jobs[0].clone();
    assert_eq!((job.attempt, job.deaths, job.may_have_applied), (3, 1, true));
}

/// Whoever asks next reclaims, whatever it asks for: a small `only_run` worker must not leave another's jobs lying.
pub async fn a_lapse_is_reclaimed_by_any_ask_of_the_account(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of(&["a"])).await;
    let other = steps.queue(&Submission::of(&["b"])).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.run, run);
    steps.pass(TTL * 2).await;
    steps.lease(&LeaseAsk { only_run: Some(other), ..ask("w2") }).await;
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.queued, counters.leased), (1, 0));
}

pub async fn a_seat_is_given_back_when_it_is_dropped(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for name in ["w1", "w2", "w1"] {
        let seat = steps.store.take_seat(&worker(name)).await.unwrap();
        drop(seat);
    }
    drop(fixture.second_handle().await.take_seat(&worker("w3")).await.unwrap());
}

/// With one seat, its next holder reclaims at once what the last left leased; with many, leases lapse by their time alone.
pub async fn a_seat_taken_after_a_death_reclaims_only_where_there_is_but_one(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let run = steps.queue(&Submission::of_size(1)).await;
    let seat = steps.store.take_seat(&worker("w1")).await.unwrap();
    let lease = steps.lease_one("w1").await;
    match second.take_seat(&worker("w2")).await {
        Ok(_another) => {
            steps.lease_nothing("w2").await;
            steps.apply(lease).await;
        }
        Err(StoreError::SeatTaken(_)) => {
            steps.lease_nothing("w1").await;
            drop(seat);
            let _seat = second.take_seat(&worker("w2")).await.unwrap();
            let report = steps.applied(&lease, &lease.jobs[0]);
            assert_refused!(steps.store.finish(lease, vec![report]).await, StoreError::LeaseLapsed(_));
            let lease = second.lease(&ask("w2")).await.unwrap().leases.remove(0);
            assert_eq!(
                (lease.jobs[0].attempt, lease.jobs[0].deaths, lease.jobs[0].may_have_applied),
                (2, 1, true)
            );
            steps.apply(lease).await;
            assert_eq!(steps.store.attempts(&run, 0).await.unwrap()[0].verdict, Verdict::Lost);
        }
        Err(other) => panic!("neither a seat nor that it is taken: {other:?}"),
    }
    assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::Applied);
    assert_eq!(steps.store.unfinished(&account()).await.unwrap(), []);
}
