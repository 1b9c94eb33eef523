//! Promise 2: every job ends in exactly one outcome, and finishing a lease is one step.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, account, ask, attempt, finished, resolved, retried, returned, throttled, worker},
    steps::Steps,
};
use crate::{
    Action, Attempt, JobReport, Outcome, OutcomeRow, RunPhase, RunState, SnoozeReason, Then, Verdict,
    store::{LeaseAsk, StoreError},
};

pub async fn an_outcome_is_kept_to_the_letter(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of(&["Ann.Lee@Corp.Example"]);
    submission.requests[0].line = 4_711;
    submission.requests[0].reason = Some("=cmd|' /C'!A0".into());
    let run = steps.queue(&submission).await;
    steps.pass(Duration::from_secs(2)).await;
    let lease = steps.lease_one("host:17:x").await;
    let began_at = steps.now();
    steps.pass(Duration::from_millis(350)).await;
    let ended_at = steps.now();
    let code = "1001 | \u{0}\u{1F600} 漢字".to_owned();
    let message = format!("{{\"user\": 'null'; -- }}\r\n\t\u{1b}[31m\u{202e}{}", "long ".repeat(400));
    let tried = Attempt {
        began_at,
        ended_at,
        calls: 2,
        http: Some(404),
        verdict: Verdict::Rejected,
        code: Some(code.clone()),
        worker: worker("host:17:x"),
    };
    let then =
        Then::Finish { outcome: Outcome::Rejected, code: Some(code.clone()), message: Some(message.clone()) };
    steps.finish(lease, vec![JobReport { seq: 0, attempt: Some(tried.clone()), throttled: 0, then }]).await;

    let expected = OutcomeRow {
        seq: 0,
        line: 4_711,
        user: submission.requests[0].user.clone(),
        resolved: Some(resolved(&submission.requests[0].user)),
        action: Action::Deactivate,
        reason: submission.requests[0].reason.clone(),
        outcome: Outcome::Rejected,
        code: Some(code),
        message: Some(message),
        attempts: 1,
        first_attempt_at: Some(began_at),
        last_attempt_at: Some(ended_at),
        worker: Some(worker("host:17:x")),
    };
    assert_eq!(steps.outcomes(&run).await, [expected]);
    assert_eq!(steps.store.attempts(&run, 0).await.unwrap(), [tried]);
}

pub async fn every_outcome_can_be_an_end(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(Outcome::ALL.len())).await;
    let mut leased = steps.lease(&LeaseAsk { batch: 20, ..ask("w1") }).await;
    let reports = (0..).zip(Outcome::ALL).map(|(seq, outcome)| finished(seq, None, outcome)).collect();
    steps.finish(leased.leases.remove(0), reports).await;
    let counters = steps.status(&run).await.counters;
    assert!(Outcome::ALL.into_iter().all(|outcome| counters.of(outcome) == 1), "{counters:?}");
    let rows = steps.outcomes(&run).await;
    assert_eq!(rows.iter().map(|row| row.outcome).collect::<Vec<_>>(), Outcome::ALL);
    assert_eq!((rows[4].attempts, rows[4].first_attempt_at, rows[4].last_attempt_at), (0, None, None));
}

pub async fn a_finished_job_is_not_leased_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    let lease = steps.lease_one("w1").await;
    steps.apply(lease).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.jobs[0].seq, 1);
    steps.pass(Duration::from_secs(3600)).await;
    let lease = steps.lease_one("w2").await;
    assert_eq!(lease.jobs[0].seq, 1);
    steps.apply(lease).await;
    steps.pass(Duration::from_secs(3600)).await;
    steps.lease_nothing("w1").await;
    assert_eq!(steps.outcomes(&run).await.len(), 2);
}

pub async fn a_run_is_over_when_its_last_job_is(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    let first = steps.lease_one("w1").await;
    let second = steps.lease_one("w2").await;
    steps.apply(second).await;
    let status = steps.status(&run).await;
    assert_eq!(
        (status.phase, status.state(), status.finished_at),
        (RunPhase::Admitted, RunState::Running, None)
    );
    steps.pass(Duration::from_secs(4)).await;
    steps.apply(first).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.state()), (RunPhase::Finished, RunState::Finished));
    assert_eq!(status.finished_at, Some(steps.now()));
    assert_eq!(steps.store.unfinished(&account()).await.unwrap(), []);
}

pub async fn two_hundred_jobs_of_one_lease_end_one_by_one(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(200)).await;
    let lease = steps.lease(&LeaseAsk { batch: 200, ..ask("w1") }).await.leases.remove(0);
    let now = steps.now();
    let later = now.after(Duration::from_secs(60));
    let tried = |verdict| attempt(now, &worker("w1"), verdict);
    let reports: Vec<JobReport> = lease
        .jobs
        .iter()
        .filter_map(|job| match job.seq % 5 {
            0 => Some(finished(job.seq, Some(tried(Verdict::Applied)), Outcome::Applied)),
            1 => {
                let code = Some(format!("CODE-{}", job.seq));
                let then = Then::Finish { outcome: Outcome::Rejected, code, message: None };
                Some(JobReport { seq: job.seq, attempt: Some(tried(Verdict::Rejected)), throttled: 0, then })
            }
            2 => Some(retried(job.seq, tried(Verdict::Transient), later)),
            3 => Some(throttled(job.seq, tried(Verdict::Throttled), later)),
            _ => None,
        })
        .collect();
    steps.finish(lease, reports).await;

    let status = steps.status(&run).await;
    assert_eq!((status.counters.queued, status.counters.leased, status.counters.finished), (120, 0, 80));
    assert_eq!((status.counters.of(Outcome::Applied), status.counters.of(Outcome::Rejected)), (40, 40));
    assert_eq!((status.effort.retries, status.effort.throttled, status.effort.calls), (40, 40, 160));
    for row in steps.outcomes(&run).await {
        let expected = match row.seq % 5 {
            0 => (Outcome::Applied, None),
            1 => (Outcome::Rejected, Some(format!("CODE-{}", row.seq))),
            _ => panic!("has not ended: {row:?}"),
        };
        assert_eq!((row.outcome, row.code), expected);
    }

    // The jobs that no report named are due at once; the others at their time, told apart by their attempt.
    let untouched = steps.lease(&LeaseAsk { batch: 200, ..ask("w2") }).await.leases.remove(0);
    assert!(untouched.jobs.iter().all(|job| job.seq % 5 == 4 && job.attempt == 1), "{untouched:?}");
    assert_eq!(untouched.jobs.len(), 40);
    steps.apply(untouched).await;
    steps.pass(Duration::from_secs(61)).await;
    let waited = steps.lease(&LeaseAsk { leases: 2, batch: 200, ..ask("w2") }).await;
    let mut count = 0;
    for lease in waited.leases {
        for job in lease.jobs.iter() {
            count += 1;
            assert_eq!(
                (job.attempt, job.may_have_applied),
                if job.seq % 5 == 2 { (2, true) } else { (1, false) }
            );
        }
        steps.apply(lease).await;
    }
    assert_eq!(count, 80);
    assert_eq!(steps.status(&run).await.phase, RunPhase::Finished);
}

pub async fn jobs_that_no_report_names_go_back_untouched(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    let lease = steps.lease(&LeaseAsk { batch: 3, ..ask("w1") }).await.leases.remove(0);
    let before = lease.jobs.clone();
    let report = steps.applied(&lease, &lease.jobs[1]);
    steps.finish(lease, vec![report]).await;
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.queued, counters.leased, counters.finished), (2, 0, 1));
    assert_eq!(steps.store.attempts(&run, 0).await.unwrap(), []);
    let again = steps.lease(&LeaseAsk { batch: 3, ..ask("w2") }).await.leases.remove(0);
    assert_eq!(*again.jobs, [before[0].clone(), before[2].clone()]);
}

pub async fn every_attempt_is_listed_in_order_the_one_that_ended_it_last(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    let soon = Duration::from_secs(5);
    let mut tried = Vec::new();
    for (name, verdict) in
        [("w1", Verdict::Transient), ("w2", Verdict::Throttled), ("w3", Verdict::Unauthorized)]
    {
        let lease = steps.lease_one(name).await;
        assert_eq!(lease.jobs[0].seq, 0);
        let mut this = attempt(steps.now(), &worker(name), verdict);
        (this.http, this.calls) = (None, 3);
        tried.push(this.clone());
        let until = steps.now().after(soon);
        let report = match verdict {
            Verdict::Throttled => throttled(0, this, until),
            _ => retried(0, this, until),
        };
        steps.finish(lease, vec![report]).await;
        steps.pass(soon).await;
    }
    let lease = steps.lease_one("w4").await;
    tried.push(attempt(steps.now(), &worker("w4"), Verdict::Applied));
    steps.apply(lease).await;
    assert_eq!(steps.store.attempts(&run, 0).await.unwrap(), tried);
    assert_eq!(steps.store.attempts(&run, 1).await.unwrap(), []);
    let row = &steps.outcomes(&run).await[0];
    assert_eq!(
        (row.first_attempt_at, row.last_attempt_at),
        (Some(tried[0].began_at), Some(tried[3].ended_at))
    );
    assert_eq!(row.worker, Some(worker("w4")));
}

/// A refused call spent nothing of the job's budget, but it was made: the outcome counts every attempt that is listed.
pub async fn an_outcome_counts_the_attempts_that_are_listed(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(4)).await;
    let tried = |verdict| attempt(steps.now(), &worker("w1"), verdict);
    let mut leased = steps.lease(&LeaseAsk { leases: 4, ..ask("w1") }).await;
    let last = leased.leases.pop().unwrap();
    for lease in leased.leases {
        let seq = lease.jobs[0].seq;
        steps.finish(lease, vec![throttled(seq, tried(Verdict::Throttled), steps.now())]).await;
    }
    // The first is refused, tried in vain, and applied; the second refused and applied; the third refused, and with
    // the fourth, which has yet to be reported, cancelled.
    let lease = steps.lease_one("w1").await;
    assert_eq!((lease.jobs[0].seq, lease.jobs[0].attempt), (0, 1));
    steps.finish(lease, vec![retried(0, tried(Verdict::Transient), steps.now())]).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!((lease.jobs[0].seq, lease.jobs[0].attempt), (0, 2));
    steps.apply(lease).await;
    steps.apply(steps.lease_one("w1").await).await;
    assert_eq!(steps.cancel(&run, 10).await, 1);
    steps.finish(last, vec![throttled(3, tried(Verdict::Throttled), steps.now())]).await;

    let counted: Vec<_> = steps.outcomes(&run).await.iter().map(|row| row.attempts).collect();
    assert_eq!(counted, [3, 2, 1, 1]);
    for (seq, count) in (0..).zip(counted) {
        assert_eq!(steps.store.attempts(&run, seq).await.unwrap().len(), count as usize);
    }
    assert_eq!(steps.status(&run).await.effort.attempts, 7);
}

/// Whether the store refuses such a report or passes over it: only the lease on a job gives a right to it.
pub async fn a_report_on_a_job_of_another_lease_changes_nothing_of_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    let wrong = steps.lease_one("w1").await;
    let right = steps.lease_one("w2").await;
    let reports = vec![finished(0, None, Outcome::Applied), finished(1, None, Outcome::Rejected)];
    let _refused_or_not = steps.store.finish(wrong, reports).await;
    steps.check_counters().await;
    steps.apply(right).await;
    let row = steps.store.outcomes(&run, 1, 1).await.unwrap().remove(0);
    assert_eq!((row.outcome, row.worker), (Outcome::Applied, Some(worker("w2"))));
}

/// A worker that drains hands its jobs back; nothing was tried.
pub async fn a_job_that_was_handed_back_has_no_attempt(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    for reason in [SnoozeReason::Returned, SnoozeReason::Held, SnoozeReason::Returned] {
        let lease = steps.lease_one("w1").await;
        assert_eq!((lease.jobs[0].attempt, lease.jobs[0].first_attempt_at), (1, None));
        let then = Then::Snooze { until: steps.now(), reason };
        steps.finish(lease, vec![JobReport { then, ..returned(0, steps.now()) }]).await;
    }
    let effort = steps.status(&run).await.effort;
    assert_eq!((effort.attempts, effort.calls, effort.retries, effort.lost), (0, 0, 0, 0));
    assert_eq!((effort.first_attempt_at, effort.last_attempt_at), (None, None));
    assert_eq!(steps.store.attempts(&run, 0).await.unwrap(), []);
}

/// Not even what it says of its own jobs: such a worker is not to be believed.
pub async fn a_report_beyond_the_lease_or_given_twice_writes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    for seqs in [[0, 1], [0, 0]] {
        let lease = steps.lease_one("w1").await;
        let reports = seqs.map(|seq| finished(seq, None, Outcome::Applied)).to_vec();
        let ttl = lease.ttl;
        assert_refused!(steps.store.finish(lease, reports).await, StoreError::LeaseLapsed(_));
        assert_eq!(steps.outcomes(&run).await, []);
        steps.pass(ttl).await;
    }
    assert_eq!(steps.lease(&LeaseAsk { idle: true, ..ask("w1") }).await.leases[0].jobs[0].deaths, 2);
}

pub async fn a_retry_spends_an_attempt_even_where_none_was_recorded(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    for number in 1..=3 {
        let lease = steps.lease_one("w1").await;
        assert_eq!((lease.jobs[0].attempt, lease.jobs[0].first_attempt_at), (number, None));
        let report = JobReport { then: Then::Retry { at: steps.now() }, ..returned(0, steps.now()) };
        steps.finish(lease, vec![report]).await;
    }
    let effort = steps.status(&run).await.effort;
    assert_eq!((effort.retries, effort.attempts), (3, 0));
    steps.apply(steps.lease_one("w1").await).await;
    let row = steps.only_outcome(&run).await;
    assert_eq!((row.attempts, row.first_attempt_at), (1, Some(steps.now())));
}

/// Also where it made no call; but what the store ended by itself was nobody's doing.
pub async fn whoever_ended_a_job_is_named(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    let mut leased = steps.lease(&LeaseAsk { leases: 2, ..ask("w1") }).await;
    steps.finish(leased.leases.remove(0), vec![finished(0, None, Outcome::Drifted)]).await;
    steps.cancel(&run, 0).await;
    let tried = attempt(steps.now(), &worker("w1"), Verdict::Transient);
    steps.finish(leased.leases.remove(0), vec![retried(1, tried, steps.now())]).await;
    let rows = steps.outcomes(&run).await;
    let ends: Vec<_> = rows.iter().map(|row| (row.outcome, row.worker.clone())).collect();
    assert_eq!(ends, [(Outcome::Drifted, Some(worker("w1"))), (Outcome::Cancelled, None)]);
    assert!(rows[1].message.is_some(), "people are told why");
}

/// Workers' clocks differ: the first is the first in the ledger, the last the last.
pub async fn an_outcome_s_times_are_those_of_the_first_and_the_last_attempt_listed(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.pass(Duration::from_secs(60)).await;
    let ahead = steps.now().after(Duration::from_secs(30));
    let tried = attempt(ahead, &worker("ahead"), Verdict::Transient);
    steps.finish(steps.lease_one("ahead").await, vec![retried(0, tried, steps.now())]).await;
    steps.apply(steps.lease_one("w1").await).await;
    let row = steps.only_outcome(&run).await;
    assert_eq!((row.first_attempt_at, row.last_attempt_at), (Some(ahead), Some(steps.now())));
}
