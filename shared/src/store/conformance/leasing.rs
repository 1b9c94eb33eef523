//! Promises 8 and 9: urgent before normal before bulk, older first, file order within; never more than was asked for.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, TTL, account, ask, resolved, worker},
    steps::Steps,
};
use crate::{
    Action, Priority, RunId, RunPhase,
    store::{CHUNK, LeaseAsk, Leased, LeasedJob},
};

fn seqs(leased: &Leased) -> Vec<Vec<u64>> {
    leased.leases.iter().map(|lease| lease.jobs.iter().map(|job| job.seq).collect()).collect()
}

fn runs(leased: &Leased) -> Vec<RunId> {
    leased.leases.iter().map(|lease| lease.run.clone()).collect()
}

pub async fn a_lease_holds_all_that_is_known_of_its_jobs(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of(&["Ann.Lee@Corp.Example"]).priority(Priority::Urgent).activating();
    submission.requests[0].line = 17;
    submission.requests[0].reason = Some("é | \"back\"\n".into());
    let run = steps.submit(&submission).await;
    steps.pass(Duration::from_secs(7)).await;
    let resolved_at = steps.now();
    steps.resolve_all(&run).await;
    steps.pass(Duration::from_secs(7)).await;
    steps.promote_all(&run).await;

    let ttl = Duration::from_secs(42);
    let mut leased = steps.lease(&LeaseAsk { ttl, ..ask("w1") }).await;
    assert_eq!((leased.alone_waiting, &leased.hold), (0, &None));
    let lease = leased.leases.pop().unwrap();
    assert_eq!((&lease.account, &lease.worker, &lease.run), (&account(), &worker("w1"), &run));
    assert_eq!((lease.priority, lease.action), (Priority::Urgent, Action::Activate));
    assert_eq!((lease.granted_at, lease.ttl), (steps.now(), ttl));
    let user = resolved(&submission.requests[0].user);
    let request = submission.requests.remove(0);
    let expected = LeasedJob {
        seq: 0,
        request,
        user,
        resolved_at,
        attempt: 1,
        may_have_applied: false,
        deaths: 0,
        first_attempt_at: None,
    };
    assert_eq!(*lease.jobs, [expected]);
    assert_eq!(steps.status(&run).await.counters.leased, 1);
}

pub async fn a_leased_job_is_leased_to_nobody_else(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(2)).await;
    let mut second = Steps::new(fixture);
    second.store = fixture.second_handle().await;
    let first = steps.lease_one("w1").await;
    let other = second.lease_one("w2").await;
    assert_eq!((first.jobs[0].seq, other.jobs[0].seq), (0, 1));
    assert_ne!(first.token, other.token);
    steps.lease_nothing("w1").await;
    second.lease_nothing("w2").await;
    second.apply(other).await;
    steps.apply(first).await;
}

pub async fn file_order_holds_within_a_run(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(25)).await;
    let worked = steps.work_to_the_end("w1").await;
    assert_eq!(worked, (0..25).map(|seq| (run.clone(), seq)).collect::<Vec<_>>());
}

pub async fn no_more_is_leased_than_was_asked_for(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(12)).await;
    let leased = steps.lease(&LeaseAsk { leases: 3, ..ask("w1") }).await;
    assert_eq!(seqs(&leased), [[0], [1], [2]]);
    let leased = steps.lease(&LeaseAsk { leases: 2, batch: 3, ..ask("w1") }).await;
    assert_eq!(seqs(&leased), [[3, 4, 5], [6, 7, 8]]);
    assert!(steps.lease(&LeaseAsk { leases: 0, ..ask("w1") }).await.leases.is_empty());
    let leased = steps.lease(&LeaseAsk { leases: 9, batch: 2, ..ask("w1") }).await;
    assert_eq!(seqs(&leased), [vec![9, 10], vec![11]]);
    assert_eq!(steps.status(&run).await.counters.leased, 12);
}

pub async fn the_tokens_of_leases_differ(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(6)).await;
    let mut tokens = std::collections::BTreeSet::new();
    for _ in 0..2 {
        for lease in steps.lease(&LeaseAsk { leases: 3, ..ask("w1") }).await.leases {
            assert!(tokens.insert(lease.token), "{lease:?}");
        }
    }
    assert_eq!(tokens.len(), 6);
}

pub async fn urgent_comes_before_normal_and_normal_before_bulk(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let bulk = steps.queue(&Submission::of(&["a", "b"]).priority(Priority::Bulk)).await;
    let normal = steps.queue(&Submission::of(&["c", "d"])).await;
    let urgent = steps.queue(&Submission::of(&["e", "f"]).priority(Priority::Urgent)).await;
    let order = [(&urgent, 0), (&urgent, 1), (&normal, 0), (&normal, 1), (&bulk, 0), (&bulk, 1)];
    let order = order.map(|(run, seq)| (run.clone(), seq));
    assert_eq!(steps.work_to_the_end("w1").await, order);
}

/// An urgent job takes the next lease, whatever is half done.
pub async fn an_urgent_run_overtakes_a_bulk_run_under_way(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let bulk = steps.queue(&Submission::of_size(10).priority(Priority::Bulk)).await;
    let under_way = steps.lease(&LeaseAsk { leases: 4, ..ask("w1") }).await;
    assert_eq!(runs(&under_way), [bulk.clone(), bulk.clone(), bulk.clone(), bulk.clone()]);
    let urgent = steps.queue(&Submission::of(&["dismissed"]).priority(Priority::Urgent)).await;
    let next = steps.lease(&LeaseAsk { leases: 2, ..ask("w1") }).await;
    assert_eq!(runs(&next), [urgent, bulk]);
    assert_eq!(seqs(&next), [[0], [4]]);
}

pub async fn of_two_runs_of_one_priority_the_older_is_worked_first(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let older = steps.queue(&Submission::of(&["a", "b"])).await;
    steps.pass(Duration::from_secs(1)).await;
    let newer = steps.queue(&Submission::of(&["c", "d"])).await;
    let first = steps.lease_one("w1").await;
    assert_eq!((&first.run, first.jobs[0].seq), (&older, 0));
    let rest = steps.lease(&LeaseAsk { leases: 3, ..ask("w1") }).await;
    assert_eq!(runs(&rest), [older, newer.clone(), newer]);
}

/// Its jobs that waited do not lose their place for it.
pub async fn a_job_that_comes_due_again_keeps_its_place_before_newer_runs(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let older = steps.queue(&Submission::of(&["a"])).await;
    let lease = steps.lease_one("w1").await;
    let until = steps.now().after(Duration::from_secs(1));
    steps.finish(lease, vec![super::samples::returned(0, until)]).await;
    steps.queue(&Submission::of(&["b"])).await;
    steps.pass(Duration::from_secs(2)).await;
    assert_eq!(steps.lease_one("w1").await.run, older);
}

pub async fn a_changed_priority_counts_from_the_next_lease_on(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = steps.queue(&Submission::of(&["a", "b"])).await;
    let second = steps.queue(&Submission::of(&["c", "d"])).await;
    steps.store.set_priority(&second, Priority::Urgent).await.unwrap();
    assert_eq!(steps.status(&second).await.run.priority, Priority::Urgent);
    let lease = steps.lease_one("w1").await;
    assert_eq!((&lease.run, lease.priority), (&second, Priority::Urgent));
    steps.store.set_priority(&second, Priority::Bulk).await.unwrap();
    let lease = steps.lease_one("w1").await;
    assert_eq!((&lease.run, lease.priority), (&first, Priority::Normal));
}

pub async fn a_priority_changed_before_the_queue_is_filled_counts_there(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = steps.queue(&Submission::of(&["a"])).await;
    let second = steps.submit(&Submission::of(&["b", "c"])).await;
    steps.store.set_priority(&second, Priority::Urgent).await.unwrap();
    steps.resolve_all(&second).await;
    steps.admit(&second).await;
    steps.promote(&second, 1).await;
    steps.store.set_priority(&second, Priority::Bulk).await.unwrap();
    steps.promote(&second, CHUNK).await;
    let order = [(first, 0), (second.clone(), 0), (second, 1)];
    assert_eq!(steps.work_to_the_end("w1").await, order);
}

/// A vendor's batch call has one action; which jobs share a lease beyond that is the store's choice.
pub async fn actions_are_not_mixed_in_one_lease(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of_size(9);
    for n in [2, 3, 7] {
        submission.requests[n].action = Action::Activate;
    }
    steps.queue(&submission).await;
    let first = steps.lease(&LeaseAsk { batch: 20, ..ask("w1") }).await;
    assert_eq!((first.leases[0].action, first.leases[0].jobs[0].seq), (Action::Deactivate, 0));
    assert!(first.leases[0].jobs.len() >= 2, "neighbours of one action share a lease: {first:?}");
    let mut worked: Vec<u64> = seqs(&first).concat();
    for lease in first.leases {
        steps.apply(lease).await;
    }
    worked.extend(steps.work_to_the_end("w1").await.iter().map(|(_, seq)| *seq));
    worked.sort_unstable();
    assert_eq!(worked, (0..9).collect::<Vec<_>>());
}

pub async fn runs_are_not_mixed_in_one_lease(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = steps.queue(&Submission::of(&["a", "b"])).await;
    let second = steps.queue(&Submission::of(&["c", "d"])).await;
    let leased = steps.lease(&LeaseAsk { leases: 3, batch: 20, ..ask("w1") }).await;
    assert_eq!((runs(&leased), seqs(&leased)), (vec![first, second], vec![vec![0, 1], vec![0, 1]]));
}

pub async fn a_batch_takes_two_hundred_jobs(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(450)).await;
    let leased = steps.lease(&LeaseAsk { leases: 2, batch: 200, ..ask("w1") }).await;
    assert_eq!(seqs(&leased), [(0..200).collect::<Vec<_>>(), (200..400).collect::<Vec<_>>()]);
    for lease in leased.leases {
        steps.apply(lease).await;
    }
    assert_eq!(steps.status(&run).await.counters.finished, 400);
}

/// `usher run` works its own run: yesterday's wrong file does not come back to life with today's right one.
pub async fn who_asks_for_one_run_gets_nothing_of_another(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let other = steps.queue(&Submission::of(&["a", "b"]).priority(Priority::Urgent)).await;
    let own = steps.queue(&Submission::of(&["c", "d"]).priority(Priority::Bulk)).await;
    let only_own = LeaseAsk { leases: 9, only_run: Some(own.clone()), ..ask("w1") };
    let leased = steps.lease(&only_own).await;
    assert_eq!(runs(&leased), [own.clone(), own.clone()]);
    for lease in leased.leases {
        steps.apply(lease).await;
    }
    assert!(steps.lease(&only_own).await.leases.is_empty());
    assert_eq!(steps.status(&own).await.phase, RunPhase::Finished);
    assert_eq!(steps.status(&other).await.counters.queued, 2);
}

pub async fn two_workers_that_lease_at_once_share_the_jobs(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let run = steps.queue(&Submission::of_size(40)).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let (one, other) = (
            LeaseAsk { leases: 4, ttl: TTL, ..ask("w1") },
            LeaseAsk { leases: 2, batch: 2, ttl: TTL, ..ask("w2") },
        );
        let (one, other) = futures::future::join(steps.store.lease(&one), second.lease(&other)).await;
        for lease in one.unwrap().leases.into_iter().chain(other.unwrap().leases) {
            for job in lease.jobs.iter() {
                assert!(seen.insert(job.seq), "job {} is leased twice", job.seq);
            }
            steps.apply(lease).await;
        }
    }
    assert_eq!(seen.len(), 40);
    assert_eq!(steps.status(&run).await.phase, RunPhase::Finished);
}

/// A job that was passed over for its action is before one that came back, if the file says so.
pub async fn what_came_back_is_leased_in_file_order(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of_size(3);
    submission.requests[1].action = Action::Activate;
    steps.queue(&submission).await;
    let mut leased = steps.lease(&LeaseAsk { batch: 2, ..ask("w1") }).await;
    assert_eq!(seqs(&leased), [[0, 2]]);
    steps.finish(leased.leases.remove(0), Vec::new()).await;
    assert_eq!(seqs(&steps.lease(&LeaseAsk { leases: 3, ..ask("w1") }).await), [[0], [1], [2]]);
}

/// However many of another action stand between.
pub async fn a_lease_is_filled_with_what_stands_behind_another_action(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of_size(6);
    for n in 1..5 {
        submission.requests[n].action = Action::Activate;
    }
    steps.queue(&submission).await;
    assert_eq!(seqs(&steps.lease(&LeaseAsk { batch: 2, ..ask("w1") }).await), [[0, 5]]);
}
