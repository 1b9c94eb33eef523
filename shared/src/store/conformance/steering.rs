//! Promise 8: pause, cancel and hold take effect at the next lease; what is in flight finishes.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, TTL, account, ask, attempt, finished, other_account, retried, returned, worker},
    steps::Steps,
};
use crate::{
    Hold, HoldReason, Outcome, Priority, RunPhase, RunState, Verdict,
    store::{LeaseAsk, StoreError},
};

fn hold(steps: &Steps<'_>, seconds: Option<u64>) -> Hold {
    Hold {
        reason: HoldReason::Scope,
        message: "the scope user:write is missing | é\n".into(),
        since: steps.now(),
        until: seconds.map(|seconds| steps.now().after(Duration::from_secs(seconds))),
    }
}

// -- pause and resume --------------------------------------------------------------------------------------------------

pub async fn a_paused_run_is_not_leased_until_it_is_resumed(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    let in_flight = steps.lease_one("w1").await;
    for _ in 0..2 {
        steps.store.pause(&run).await.unwrap();
    }
    let status = steps.status(&run).await;
    assert_eq!((status.paused, status.state(), status.phase), (true, RunState::Paused, RunPhase::Admitted));
    steps.lease_nothing("w2").await;
    steps.apply(in_flight).await;
    steps.lease_nothing("w1").await;
    steps.pass(Duration::from_secs(3_600)).await;
    steps.lease_nothing("w1").await;
    for _ in 0..2 {
        steps.store.resume(&run).await.unwrap();
    }
    let status = steps.status(&run).await;
    assert_eq!((status.paused, status.state()), (false, RunState::Running));
    assert_eq!(steps.work_to_the_end("w1").await.len(), 2);
}

pub async fn a_paused_run_holds_up_no_other(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let paused = steps.queue(&Submission::of(&["a", "b"]).priority(Priority::Urgent)).await;
    let other = steps.queue(&Submission::of(&["c", "d"]).priority(Priority::Bulk)).await;
    steps.store.pause(&paused).await.unwrap();
    let leased = steps.lease(&LeaseAsk { leases: 9, ..ask("w1") }).await;
    assert_eq!(leased.leases.len(), 2);
    assert!(leased.leases.iter().all(|lease| lease.run == other), "{leased:?}");
}

pub async fn a_job_that_goes_back_to_a_paused_run_waits_with_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    let reported = steps.lease_one("w1").await;
    let lapsing = steps.lease_one("w2").await;
    steps.store.pause(&run).await.unwrap();
    let tried = attempt(steps.now(), &worker("w1"), Verdict::Transient);
    steps.finish(reported, vec![retried(0, tried, steps.now())]).await;
    drop(lapsing);
    steps.pass(TTL * 2).await;
    steps.lease_nothing("w3").await;
    steps.store.resume(&run).await.unwrap();
    assert_eq!(steps.lease(&LeaseAsk { leases: 9, ..ask("w3") }).await.leases.len(), 3);
}

pub async fn a_run_paused_before_its_queue_is_filled_stays_paused(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    steps.resolve_all(&run).await;
    steps.store.pause(&run).await.unwrap();
    steps.admit(&run).await;
    // Whether a paused run's queue is filled meanwhile is the store's choice.
    let _ = steps.store.promote(&run, 500).await;
    steps.lease_nothing("w1").await;
    steps.store.resume(&run).await.unwrap();
    while steps.promote(&run, 500).await > 0 {}
    assert_eq!(steps.work_to_the_end("w1").await.len(), 2);
}

// -- cancel ------------------------------------------------------------------------------------------------------------

pub async fn a_cancel_goes_in_chunks_and_leaves_what_is_in_flight(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(6)).await;
    let in_flight = steps.lease_one("w1").await;
    assert_eq!(steps.cancel(&run, 2).await, 4);
    let status = steps.status(&run).await;
    assert_eq!((status.cancelled, status.state()), (true, RunState::Cancelling));
    assert_eq!((status.counters.of(Outcome::Cancelled), status.counters.leased), (2, 1));
    steps.lease_nothing("w2").await;
    assert_eq!(steps.cancel(&run, 2).await, 2);
    assert_eq!(steps.cancel(&run, 2).await, 1);
    assert_eq!(steps.cancel(&run, 2).await, 1);
    steps.pass(Duration::from_secs(1)).await;
    steps.apply(in_flight).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.state()), (RunPhase::Cancelled, RunState::Cancelled));
    assert_eq!(status.finished_at, Some(steps.now()));
    assert_eq!((status.counters.of(Outcome::Applied), status.counters.of(Outcome::Cancelled)), (1, 5));
    let rows = steps.outcomes(&run).await;
    assert_eq!(rows.len(), 6);
    assert_eq!((rows[5].attempts, &rows[5].worker), (0, &None));
    assert!(rows[5].resolved.is_some());
}

pub async fn a_run_can_be_cancelled_at_any_step_after_the_seal(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let sealed = steps.submit(&Submission::of_size(3)).await;
    let resolved = steps.submit(&Submission::of_size(3)).await;
    steps.resolve_all(&resolved).await;
    let admitted = steps.submit(&Submission::of_size(3)).await;
    steps.resolve_all(&admitted).await;
    steps.admit(&admitted).await;
    let half_promoted = steps.submit(&Submission::of_size(3)).await;
    steps.resolve_all(&half_promoted).await;
    steps.admit(&half_promoted).await;
    assert_eq!(steps.promote(&half_promoted, 1).await, 2);
    let paused = steps.queue(&Submission::of_size(3)).await;
    steps.store.pause(&paused).await.unwrap();
    for run in [sealed, resolved, admitted, half_promoted, paused] {
        let mut left = 3;
        for _ in 0..3 {
            let now_left = steps.cancel(&run, 2).await;
            assert!(now_left < left || left == 0, "{now_left} of {left} are left");
            left = now_left;
            if left == 0 {
                break;
            }
        }
        let status = steps.status(&run).await;
        assert_eq!((left, status.phase), (0, RunPhase::Cancelled));
        assert_eq!(status.counters.of(Outcome::Cancelled), 3);
        assert_eq!(steps.outcomes(&run).await.len(), 3);
    }
    assert_eq!(steps.store.unfinished(&account()).await.unwrap(), []);
    steps.lease_nothing("w1").await;
}

/// An answer would be taken for "call again" by a worker that fills the queue, without end.
pub async fn a_run_being_cancelled_is_not_promoted(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    steps.resolve_all(&run).await;
    steps.admit(&run).await;
    assert_eq!(steps.cancel(&run, 1).await, 2);
    assert_refused!(steps.store.promote(&run, 10).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.status(&run).await.counters.queued, 0);
    assert_eq!(steps.cancel(&run, 10).await, 0);
    // Over, as after the last promotion: nothing is pending.
    assert_eq!(steps.promote(&run, 10).await, 0);
}

pub async fn a_cancel_ends_the_resolving(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    let steward = steps.take_steward(&run).await;
    assert_eq!(steps.cancel(&run, 1).await, 1);
    let late = [(1, crate::store::Resolution::Duplicate { of_line: 1 })];
    assert_refused!(steps.store.resolve(&steward, &late).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.renew_steward(&steward, TTL).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.cancel(&run, 10).await, 0);
    assert!(steps.store.finish_resolving(steward).await.is_err());
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.status(&run).await.phase, RunPhase::Cancelled);
}

/// What was left out at the resolve has no outcome to wait for.
pub async fn a_cancel_does_not_wait_for_duplicates(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    let duplicate = crate::store::Resolution::Duplicate { of_line: 1 };
    steps.resolve_except(&run, &std::collections::BTreeMap::from([(1, duplicate)])).await;
    assert_eq!(steps.cancel(&run, 10).await, 0);
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.counters.total, status.counters.finished), (RunPhase::Cancelled, 2, 2));
    assert_eq!(steps.outcomes(&run).await.iter().map(|row| row.seq).collect::<Vec<_>>(), [0, 2]);
}

pub async fn a_job_in_flight_of_a_cancelled_run_keeps_the_outcome_that_it_got(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(steps.cancel(&run, 10).await, 1);
    let tried = attempt(steps.now(), &worker("w1"), Verdict::NotFound);
    steps.finish(lease, vec![finished(0, Some(tried), Outcome::NotFound)]).await;
    assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::NotFound);
    assert!(steps.status(&run).await.phase.is_over());
}

pub async fn a_job_of_a_cancelled_run_is_not_tried_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    let mut leased = steps.lease(&LeaseAsk { leases: 3, ..ask("w1") }).await;
    assert_eq!(steps.cancel(&run, 10).await, 3);
    let soon = steps.now().after(Duration::from_secs(5));
    let tried = |verdict| attempt(steps.now(), &worker("w1"), verdict);
    steps.finish(leased.leases.remove(0), vec![retried(0, tried(Verdict::Transient), soon)]).await;
    let throttled = super::samples::throttled(1, tried(Verdict::Throttled), soon);
    steps.finish(leased.leases.remove(0), vec![throttled]).await;
    steps.finish(leased.leases.remove(0), vec![returned(2, soon)]).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.counters.of(Outcome::Cancelled)), (RunPhase::Cancelled, 3));
    assert_eq!(steps.store.attempts(&run, 0).await.unwrap(), [tried(Verdict::Transient)]);
    assert_eq!(steps.outcomes(&run).await[0].attempts, 1);
}

/// Whoever cancelled has gone: nobody sweeps any more, and the run must not hang in its cancelling for ever.
pub async fn a_lapsed_job_of_a_cancelled_run_ends_as_cancelled(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.lease_one("w1").await;
    assert_eq!(steps.cancel(&run, 10).await, 1);
    steps.pass(TTL * 2).await;
    steps.lease_nothing("w2").await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.effort.lost), (RunPhase::Cancelled, 1));
    let row = steps.only_outcome(&run).await;
    assert_eq!((row.outcome, row.attempts), (Outcome::Cancelled, 1));
}

/// For the same reason.
pub async fn a_job_that_no_report_names_of_a_cancelled_run_ends_as_cancelled(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(steps.cancel(&run, 10).await, 1);
    steps.finish(lease, Vec::new()).await;
    steps.lease_nothing("w2").await;
    assert_eq!(steps.status(&run).await.phase, RunPhase::Cancelled);
    assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::Cancelled);
}

pub async fn a_run_that_is_over_can_not_be_steered(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.work_to_the_end("w1").await;
    assert_refused!(steps.store.pause(&run).await, StoreError::WrongPhase { .. });
    assert_refused!(steps.store.cancel(&run, 10).await, StoreError::WrongPhase { .. });
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.paused, status.cancelled), (RunPhase::Finished, false, false));

    let cancelled = steps.queue(&Submission::of_size(1)).await;
    assert_eq!(steps.cancel(&cancelled, 10).await, 0);
    assert_refused!(steps.store.pause(&cancelled).await, StoreError::WrongPhase { .. });
    // Asked again, as after a lost reply: it is done.
    assert_eq!(steps.cancel(&cancelled, 10).await, 0);
    assert_eq!(steps.status(&cancelled).await.phase, RunPhase::Cancelled);
}

// -- hold --------------------------------------------------------------------------------------------------------------

pub async fn a_held_account_is_not_leased_until_it_is_released(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    let in_flight = steps.lease_one("w1").await;
    let hold = hold(&steps, None);
    steps.store.hold(&account(), &hold).await.unwrap();
    assert_eq!(steps.lease_nothing("w2").await.hold, Some(hold.clone()));
    let status = steps.status(&run).await;
    assert_eq!((status.state(), status.hold.as_ref()), (RunState::Halted, Some(&hold)));
    assert_eq!(steps.store.unfinished(&account()).await.unwrap()[0].hold, Some(hold.clone()));
    assert_eq!(steps.store.runs(None, 1).await.unwrap()[0].hold, Some(hold));
    steps.apply(in_flight).await;
    steps.pass(Duration::from_secs(365 * 24 * 60 * 60)).await;
    steps.lease_nothing("w1").await;

    assert!(steps.store.release(&account()).await.unwrap());
    assert!(!steps.store.release(&account()).await.unwrap());
    assert_eq!(steps.status(&run).await.hold, None);
    assert_eq!(steps.work_to_the_end("w1").await, [(run, 1)]);
}

pub async fn a_hold_with_a_time_ends_by_itself(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let hold = hold(&steps, Some(60));
    steps.store.hold(&account(), &hold).await.unwrap();
    steps.pass(Duration::from_secs(59)).await;
    assert_eq!(steps.lease_nothing("w1").await.hold, Some(hold));
    steps.pass(Duration::from_secs(2)).await;
    assert_eq!(steps.status(&run).await.hold, None);
    let leased = steps.lease(&ask("w1")).await;
    assert_eq!((leased.leases.len(), leased.hold), (1, None));
}

pub async fn a_later_hold_replaces_an_earlier_one(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.store.hold(&account(), &hold(&steps, None)).await.unwrap();
    let breaker =
        Hold { reason: HoldReason::Breaker, message: "502 again and again".into(), ..hold(&steps, Some(5)) };
    steps.store.hold(&account(), &breaker).await.unwrap();
    assert_eq!(steps.status(&run).await.hold, Some(breaker));
    steps.pass(Duration::from_secs(6)).await;
    assert_eq!(steps.work_to_the_end("w1").await.len(), 1);
}

pub async fn a_hold_is_of_one_account_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.store.hold(&other_account(), &hold(&steps, None)).await.unwrap();
    assert_eq!(steps.status(&run).await.hold, None);
    assert!(!steps.store.release(&account()).await.unwrap());
    assert_eq!(steps.lease_one("w1").await.run, run);
}

/// A run submitted meanwhile is seen as halted, and waits.
pub async fn a_hold_keeps_what_comes_later_too(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.store.hold(&account(), &hold(&steps, None)).await.unwrap();
    let run = steps.queue(&Submission::of_size(1)).await;
    assert_eq!(steps.status(&run).await.state(), RunState::Halted);
    steps.lease_nothing("w1").await;
    assert_eq!(steps.cancel(&run, 10).await, 0);
}

/// Nobody empties its hands for a job that must run alone while the account stands still.
pub async fn a_hold_is_all_that_is_told_of_a_held_account(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&Submission::of_size(2)).await;
    for _ in 0..2 {
        steps.lease_one("w1").await;
        steps.pass(TTL).await;
    }
    let lease = steps.lease_one("w1").await;
    let later = steps.now().after(Duration::from_secs(9));
    let seq = lease.jobs[0].seq;
    steps.finish(lease, vec![returned(seq, later)]).await;
    let before = steps.lease_nothing("w1").await;
    assert_eq!((before.alone_waiting, before.next_due), (1, Some(later)));
    let hold = hold(&steps, None);
    steps.store.hold(&account(), &hold).await.unwrap();
    let held = steps.lease_nothing("w1").await;
    assert_eq!((held.alone_waiting, held.next_due, held.hold), (0, None, Some(hold)));
}
