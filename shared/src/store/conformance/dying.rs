//! Promise 6: a job that was held at two deaths of a worker is leased alone from then on; the innocent are not.

use super::{
    Fixture,
    samples::{Submission, TTL, account, ask, finished, returned},
    steps::Steps,
};
use crate::{
    Outcome, Priority, RunId, RunPhase,
    store::{Lease, LeaseAsk},
};

/// Lets a worker die `deaths` times while it holds the run's first job, and that job alone.
async fn die_holding_the_first_job(steps: &Steps<'_>, run: &RunId, deaths: usize) {
    for death in 0..deaths {
        let ask = LeaseAsk { only_run: Some(run.clone()), idle: true, ..ask(&format!("dying-{death}")) };
        let lease = steps.lease(&ask).await.leases.remove(0);
        assert_eq!(lease.jobs[0].seq, 0);
        steps.pass(TTL * 2).await;
    }
}

fn deaths(lease: &Lease) -> Vec<(u64, u32)> {
    lease.jobs.iter().map(|job| (job.seq, job.deaths)).collect()
}

pub async fn after_one_death_a_job_is_leased_like_any_other(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    die_holding_the_first_job(&steps, &run, 1).await;
    let leased = steps.lease(&LeaseAsk { batch: 5, ..ask("w1") }).await;
    assert_eq!(leased.alone_waiting, 0);
    assert_eq!(deaths(&leased.leases[0]), [(0, 1), (1, 0), (2, 0)]);
}

pub async fn after_two_deaths_a_job_is_not_given_to_a_busy_worker(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    let leased = steps.lease_nothing("busy").await;
    assert_eq!(leased.alone_waiting, 1);
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.queued, counters.leased), (1, 0));
}

pub async fn after_two_deaths_a_job_is_all_that_an_idle_worker_is_given(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(4)).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    let mut leased = steps.lease(&LeaseAsk { leases: 5, batch: 5, idle: true, ..ask("idle") }).await;
    assert_eq!(leased.leases.len(), 1, "{leased:?}");
    let alone = leased.leases.remove(0);
    assert_eq!(deaths(&alone), [(0, 2)]);
    assert_eq!((alone.jobs[0].attempt, alone.jobs[0].may_have_applied), (3, true));
    steps.apply(alone).await;

    let rest = steps.lease(&LeaseAsk { leases: 5, batch: 5, idle: true, ..ask("idle") }).await;
    assert_eq!(rest.alone_waiting, 0);
    assert_eq!(deaths(&rest.leases[0]), [(1, 0), (2, 0), (3, 0)]);
}

/// Without this the innocent would be poisoned: they stand in one batch with the one that kills.
pub async fn the_innocent_are_leased_while_one_waits_to_run_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(4)).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    let mut leased = steps.lease(&LeaseAsk { batch: 5, ..ask("busy") }).await;
    assert_eq!(leased.alone_waiting, 1);
    assert_eq!(deaths(&leased.leases[0]), [(1, 0), (2, 0), (3, 0)]);
    steps.apply(leased.leases.remove(0)).await;
    assert_eq!(steps.work_to_the_end("idle").await, [(run, 0)]);
}

/// While it runs alone in one process, another process works on.
pub async fn a_job_alone_in_one_process_stops_no_other(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    let alone = steps.lease(&LeaseAsk { idle: true, ..ask("idle") }).await.leases.remove(0);
    assert_eq!(deaths(&alone), [(0, 2)]);
    let others = steps.lease(&LeaseAsk { leases: 5, ..ask("w2") }).await;
    assert_eq!((others.leases.len(), others.alone_waiting), (2, 0));
}

/// 32 of 5,000 were poisoned in a simulation that counted deaths without this.
pub async fn each_job_of_a_batch_that_died_twice_is_leased_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(5)).await;
    for _ in 0..2 {
        assert_eq!(steps.lease(&LeaseAsk { batch: 3, ..ask("dying") }).await.leases[0].jobs.len(), 3);
        steps.pass(TTL * 2).await;
    }
    let innocent = steps.lease(&LeaseAsk { batch: 5, ..ask("busy") }).await;
    assert_eq!((deaths(&innocent.leases[0]), innocent.alone_waiting), (vec![(3, 0), (4, 0)], 3));
    for seq in 0..3 {
        let leased = steps.lease(&LeaseAsk { leases: 5, batch: 5, idle: true, ..ask("idle") }).await;
        assert_eq!(leased.leases.len(), 1);
        for lease in leased.leases {
            assert_eq!(deaths(&lease), [(seq, 2)]);
            steps.apply(lease).await;
        }
    }
}

pub async fn a_job_that_was_handed_back_still_runs_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    let idle = LeaseAsk { leases: 2, idle: true, ..ask("idle") };
    for _ in 0..2 {
        let lease = steps.lease(&idle).await.leases.remove(0);
        assert_eq!(deaths(&lease), [(0, 2)]);
        steps.finish(lease, vec![returned(0, steps.now())]).await;
    }
    let busy = steps.lease(&LeaseAsk { leases: 2, ..ask("busy") }).await;
    assert_eq!((deaths(&busy.leases[0]), busy.alone_waiting), (vec![(1, 0)], 1));
}

/// The worker decides that it is poisoned, after a look at the user; the store says how often.
pub async fn a_death_alone_is_counted_too(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    die_holding_the_first_job(&steps, &run, 3).await;
    let lease = steps.lease(&LeaseAsk { idle: true, ..ask("idle") }).await.leases.remove(0);
    assert_eq!((lease.jobs[0].deaths, lease.jobs[0].attempt), (3, 4));
    steps.finish(lease, vec![finished(0, None, Outcome::Poisoned)]).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.effort.lost), (RunPhase::Finished, 3));
    let row = steps.only_outcome(&run).await;
    assert_eq!((row.outcome, row.attempts), (Outcome::Poisoned, 3));
}

/// A worker empties its hands for it: were it given other jobs of that priority then, it would have stood still for
/// nothing, again and again. Urgent work comes first here, too.
pub async fn an_idle_worker_is_given_it_before_other_work_of_its_priority(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let older = steps.queue(&Submission::of(&["a", "b"])).await;
    let run = steps.queue(&Submission::of(&["kills"])).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    let urgent = steps.queue(&Submission::of(&["dismissed"]).priority(Priority::Urgent)).await;
    let idle = LeaseAsk { idle: true, ..ask("idle") };
    for expected in [urgent, run, older] {
        let lease = steps.lease(&idle).await.leases.remove(0);
        assert_eq!(lease.run, expected);
        steps.apply(lease).await;
    }
}

/// Nobody empties its hands for a job that is not due yet.
pub async fn a_job_to_run_alone_that_is_not_due_is_not_counted(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    let lease = steps.lease(&LeaseAsk { idle: true, ..ask("idle") }).await.leases.remove(0);
    let due = steps.now().after(TTL);
    steps.finish(lease, vec![returned(0, due)]).await;
    let leased = steps.lease_nothing("busy").await;
    assert_eq!((leased.alone_waiting, leased.next_due), (0, Some(due)));
    steps.pass(TTL).await;
    assert_eq!(steps.lease_nothing("busy").await.alone_waiting, 1);
}

/// Nor for one of a run that it does not work on.
pub async fn who_asks_for_one_run_counts_its_jobs_to_run_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let other = steps.queue(&Submission::of(&["kills"])).await;
    die_holding_the_first_job(&steps, &other, 2).await;
    let own = steps.queue(&Submission::of(&["a"])).await;
    let leased = steps.lease(&LeaseAsk { only_run: Some(own.clone()), idle: true, ..ask("w1") }).await;
    assert_eq!((&leased.leases[0].run, leased.alone_waiting), (&own, 0));
    let leased = steps.lease(&LeaseAsk { only_run: Some(other), ..ask("w2") }).await;
    assert_eq!((leased.leases.len(), leased.alone_waiting), (0, 1));
}

pub async fn a_job_that_waits_to_run_alone_is_cancelled_with_its_run(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    assert_eq!(steps.lease_nothing("busy").await.alone_waiting, 1);
    assert_eq!(steps.cancel(&run, 10).await, 0);
    assert_eq!(steps.lease_nothing("busy").await.alone_waiting, 0);
    assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::Cancelled);
    assert_eq!(steps.store.unfinished(&account()).await.unwrap(), []);
}

/// Otherwise a worker would drain for a job that nobody may run.
pub async fn a_paused_run_has_no_job_waiting_to_run_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    die_holding_the_first_job(&steps, &run, 2).await;
    assert_eq!(steps.lease_nothing("busy").await.alone_waiting, 1);
    steps.store.pause(&run).await.unwrap();
    assert_eq!(steps.lease_nothing("busy").await.alone_waiting, 0);
    assert!(steps.lease(&LeaseAsk { idle: true, ..ask("idle") }).await.leases.is_empty());
    steps.store.resume(&run).await.unwrap();
    assert_eq!(steps.lease(&LeaseAsk { idle: true, ..ask("idle") }).await.leases.len(), 1);
}
