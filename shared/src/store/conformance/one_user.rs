//! Promise 4: never two jobs on one user of one account in flight at once, and per user the newest run wins.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Fixture,
    samples::{Submission, TTL, account, ask, attempt, resolved, retried, returned, user_ref, worker},
    steps::Steps,
};
use crate::{
    Outcome, Priority, ResolvedUser, RunId, RunPhase, Verdict,
    store::{Lease, LeaseAsk, Resolution},
};

/// A run that activates the one user whom all runs of these checks are about.
fn older() -> Submission {
    Submission::of(&["one@corp.example"]).activating()
}

/// A later run that deactivates that user.
fn newer() -> Submission {
    Submission::of(&["one@corp.example"])
}

/// Sees that the run's only job ended as superseded by `by`.
async fn is_superseded(steps: &Steps<'_>, run: &RunId, by: &RunId) {
    let row = steps.only_outcome(run).await;
    assert_eq!((row.outcome, row.code.as_deref()), (Outcome::Superseded, Some(by.as_str())));
    assert_eq!(row.resolved, Some(resolved(&user_ref("one@corp.example"))));
    assert_eq!(steps.status(run).await.phase, RunPhase::Finished);
}

/// Retries a job of a lease at once, as after a timeout.
async fn retry_now(steps: &Steps<'_>, lease: Lease) {
    let tried = attempt(steps.now(), &lease.worker, Verdict::Transient);
    let report = retried(lease.jobs[0].seq, tried, steps.now());
    steps.finish(lease, vec![report]).await;
}

pub async fn two_jobs_on_one_user_are_never_in_flight_at_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut second = Steps::new(fixture);
    second.store = fixture.second_handle().await;
    let first_run = steps.queue(&older()).await;
    let in_flight = steps.lease_one("w1").await;
    let second_run = steps.queue(&newer()).await;
    for _ in 0..5 {
        second.lease_nothing("w2").await;
        steps.pass(Duration::from_secs(2)).await;
    }
    steps.apply(in_flight).await;
    let lease = second.lease_soon("w2").await;
    assert_eq!(lease.run, second_run);
    second.apply(lease).await;
    for run in [first_run, second_run] {
        assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::Applied);
    }
}

/// Those behind it go on meanwhile.
pub async fn a_busy_user_holds_up_nobody_else(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.queue(&older()).await;
    let in_flight = steps.lease_one("w1").await;
    let run = steps.queue(&Submission::of(&["one@corp.example", "two@corp.example"])).await;
    let leased = steps.lease(&LeaseAsk { leases: 2, ..ask("w2") }).await;
    assert_eq!(leased.leases.len(), 1);
    assert_eq!((&leased.leases[0].run, leased.leases[0].jobs[0].seq), (&run, 1));
    steps.apply(in_flight).await;
    assert_eq!(steps.lease_soon("w2").await.jobs[0].seq, 0);
}

/// The resolve finds such rows as duplicates; were one to slip through, the user is still called once at a time.
pub async fn two_jobs_of_one_run_on_one_user_are_not_in_flight_at_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of(&["one@corp.example", "ID-one", "two@corp.example"])).await;
    let same = Resolution::Change(resolved(&user_ref("one@corp.example")));
    steps.resolve_except(&run, &BTreeMap::from([(1, same)])).await;
    steps.promote_all(&run).await;
    let mut leased = steps.lease(&LeaseAsk { leases: 3, batch: 3, ..ask("w1") }).await;
    let jobs: Vec<u64> =
        leased.leases.iter().flat_map(|lease| lease.jobs.iter()).map(|job| job.seq).collect();
    assert_eq!(jobs, [0, 2]);
    for lease in leased.leases.drain(..) {
        steps.apply(lease).await;
    }
    let lease = steps.lease_soon("w1").await;
    assert_eq!(lease.jobs[0].seq, 1);
    steps.apply(lease).await;
    assert_eq!(steps.status(&run).await.counters.of(Outcome::Applied), 3);
}

/// A pending user has no id yet; its address names it, in any case.
pub async fn users_without_an_id_are_told_apart_by_their_address(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for address in ["New.Hire@Corp.Example", "new.hire@corp.example", "other@corp.example"] {
        let run = steps.submit(&Submission::of(&[address])).await;
        let user =
            ResolvedUser { id: String::new(), email: Some(address.into()), ..resolved(&user_ref(address)) };
        steps.resolve_except(&run, &BTreeMap::from([(0, Resolution::Change(user))])).await;
        steps.promote_all(&run).await;
    }
    let leased = steps.lease(&LeaseAsk { leases: 3, ..ask("w1") }).await;
    let addresses: Vec<_> = leased.leases.iter().map(|lease| lease.jobs[0].user.email.as_deref()).collect();
    assert_eq!(addresses, [Some("new.hire@corp.example"), Some("other@corp.example")]);
}

/// Ids compare with their case: two users of one vendor may differ in nothing else.
pub async fn ids_that_differ_in_case_are_two_users(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for id in ["AbC", "aBc"] {
        let run = steps.submit(&Submission::of(&[id])).await;
        let user = ResolvedUser { id: id.into(), ..resolved(&user_ref(id)) };
        steps.resolve_except(&run, &BTreeMap::from([(0, Resolution::Change(user))])).await;
        steps.promote_all(&run).await;
    }
    assert_eq!(steps.lease(&LeaseAsk { leases: 2, ..ask("w1") }).await.leases.len(), 2);
}

pub async fn the_newest_run_wins_at_the_lease(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    let new = steps.queue(&newer()).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(new.clone(), 0)]);
    is_superseded(&steps, &old, &new).await;
    assert_eq!(steps.only_outcome(&old).await.attempts, 0);
    assert_eq!(steps.only_outcome(&new).await.outcome, Outcome::Applied);
}

/// Only that user: the run's other jobs are its own.
pub async fn a_newer_run_supersedes_its_own_users_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&Submission::of(&["a", "b", "c"]).activating()).await;
    let new = steps.queue(&Submission::of(&["b"])).await;
    steps.work_to_the_end("w1").await;
    let ends: Vec<_> = steps.outcomes(&old).await.iter().map(|row| row.outcome).collect();
    assert_eq!(ends, [Outcome::Applied, Outcome::Superseded, Outcome::Applied]);
    assert_eq!(steps.outcomes(&old).await[1].code.as_deref(), Some(new.as_str()));
}

/// A dismissal must not be undone by last week's bulk activation that comes round again.
pub async fn the_newest_run_wins_before_a_retry(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    let in_flight = steps.lease_one("w1").await;
    let new = steps.queue(&newer()).await;
    retry_now(&steps, in_flight).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(new.clone(), 0)]);
    is_superseded(&steps, &old, &new).await;
    assert_eq!(steps.only_outcome(&old).await.attempts, 1);
    assert_eq!(steps.store.attempts(&old, 0).await.unwrap().len(), 1);
}

pub async fn the_newest_run_wins_after_a_lapse(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    steps.lease_one("w1").await;
    let new = steps.queue(&newer()).await;
    steps.pass(TTL * 2).await;
    assert_eq!(steps.work_to_the_end("w2").await, [(new.clone(), 0)]);
    is_superseded(&steps, &old, &new).await;
    assert_eq!(steps.store.attempts(&old, 0).await.unwrap()[0].verdict, Verdict::Lost);
}

/// The newer run's word stands after its job is done: the older job was only late.
pub async fn a_newer_run_that_is_over_still_wins(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    let lease = steps.lease_one("w1").await;
    let later = steps.now().after(Duration::from_secs(24 * 60 * 60));
    steps.finish(lease, vec![returned(0, later)]).await;
    let new = steps.queue(&newer()).await;
    let lease = steps.lease_soon("w1").await;
    assert_eq!(lease.run, new);
    steps.apply(lease).await;
    assert_eq!(steps.status(&new).await.phase, RunPhase::Finished);
    steps.pass(Duration::from_secs(25 * 60 * 60)).await;
    assert_eq!(steps.work_to_the_end("w1").await, []);
    is_superseded(&steps, &old, &new).await;
}

pub async fn a_paused_older_job_is_superseded_when_it_goes_on(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    steps.store.pause(&old).await.unwrap();
    let new = steps.queue(&newer()).await;
    steps.apply(steps.lease_soon("w1").await).await;
    steps.store.resume(&old).await.unwrap();
    assert_eq!(steps.work_to_the_end("w1").await, []);
    is_superseded(&steps, &old, &new).await;
}

/// The seal decides, not which of the two was resolved, admitted or put into the queue first: a large run takes longer to
/// resolve than the urgent one that was submitted after it.
pub async fn the_later_sealed_is_the_newer_run(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.submit(&older()).await;
    steps.pass(Duration::from_secs(60)).await;
    let new = steps.submit(&newer()).await;
    steps.resolve_all(&new).await;
    steps.resolve_all(&old).await;
    steps.admit(&new).await;
    steps.admit(&old).await;
    steps.promote_all(&new).await;
    steps.promote_all(&old).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(new.clone(), 0)]);
    is_superseded(&steps, &old, &new).await;
}

/// The newer run is over before the older one, which took longer to resolve, begins.
pub async fn an_older_run_that_is_admitted_late_undoes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.submit(&older()).await;
    steps.pass(Duration::from_secs(60)).await;
    let new = steps.queue(&newer()).await;
    steps.apply(steps.lease_soon("w1").await).await;
    assert_eq!(steps.status(&new).await.phase, RunPhase::Finished);
    steps.resolve_all(&old).await;
    steps.admit(&old).await;
    steps.promote_all(&old).await;
    assert_eq!(steps.work_to_the_end("w1").await, []);
    is_superseded(&steps, &old, &new).await;
}

/// The queue of the older run is filled only after the newer one is done.
pub async fn an_older_run_that_enters_the_queue_late_takes_no_claim(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.submit(&older()).await;
    steps.resolve_all(&old).await;
    steps.admit(&old).await;
    let new = steps.queue(&newer()).await;
    steps.apply(steps.lease_soon("w1").await).await;
    assert_eq!(steps.status(&new).await.phase, RunPhase::Finished);
    steps.promote_all(&old).await;
    assert_eq!(steps.work_to_the_end("w1").await, []);
    is_superseded(&steps, &old, &new).await;
}

pub async fn a_held_run_supersedes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    let held = steps.submit(&newer()).await;
    steps.resolve_all(&held).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.run, old);
    steps.apply(lease).await;
    assert_eq!(steps.only_outcome(&old).await.outcome, Outcome::Applied);
    assert_eq!(steps.status(&held).await.counters.pending, 1);
}

pub async fn a_cancelled_run_supersedes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    let cancelled = steps.queue(&newer()).await;
    assert_eq!(steps.cancel(&cancelled, 10).await, 0);
    assert_eq!(steps.work_to_the_end("w1").await, [(old.clone(), 0)]);
    assert_eq!(steps.only_outcome(&old).await.outcome, Outcome::Applied);
    assert_eq!(steps.only_outcome(&cancelled).await.outcome, Outcome::Cancelled);
}

/// While its jobs are being swept, the older job may go on or wait for the sweep, but it does not end.
pub async fn a_run_being_cancelled_supersedes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    let cancelled = steps.queue(&Submission::of(&["two@corp.example", "one@corp.example"])).await;
    assert_eq!(steps.cancel(&cancelled, 1).await, 1);
    let early = steps.lease(&ask("w1")).await.leases.pop();
    assert_eq!(steps.outcomes(&old).await, []);
    assert_eq!(steps.cancel(&cancelled, 1).await, 0);
    let lease = match early {
        Some(lease) => lease,
        None => steps.lease_soon("w1").await,
    };
    assert_eq!(lease.run, old);
    steps.apply(lease).await;
    assert_eq!(steps.only_outcome(&old).await.outcome, Outcome::Applied);
}

/// What the newer run did before it was cancelled was done, and the older job would undo it: the promise says that a
/// cancelled run supersedes nothing, and the fear behind it is a leaver silently active again.
pub async fn what_a_run_did_before_it_was_cancelled_still_counts(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older().priority(Priority::Bulk)).await;
    let new = steps.queue(&Submission::of(&["one@corp.example", "two@corp.example"])).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!((&lease.run, lease.jobs[0].seq), (&new, 0));
    steps.apply(lease).await;
    assert_eq!(steps.cancel(&new, 10).await, 0);
    assert_eq!(steps.work_to_the_end("w1").await, []);
    is_superseded(&steps, &old, &new).await;
}

/// Its job was in flight when the run was cancelled, and was carried out.
pub async fn what_a_cancelled_run_had_in_flight_counts_if_it_was_done(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older().priority(Priority::Bulk)).await;
    let new = steps.queue(&newer()).await;
    let in_flight = steps.lease_one("w1").await;
    assert_eq!(in_flight.run, new);
    assert_eq!(steps.cancel(&new, 10).await, 1);
    steps.lease_nothing("w2").await;
    steps.apply(in_flight).await;
    assert_eq!(steps.work_to_the_end("w2").await, []);
    is_superseded(&steps, &old, &new).await;
}

/// Its job was in flight when the run was cancelled, and came back undone: until then nobody knows who decides, so the
/// older job waits. Were it superseded at once, neither run would do anything about the user.
pub async fn what_a_cancelled_run_had_in_flight_does_not_count_if_it_came_back(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older().priority(Priority::Bulk)).await;
    let new = steps.queue(&newer()).await;
    let in_flight = steps.lease_one("w1").await;
    assert_eq!(in_flight.run, new);
    assert_eq!(steps.cancel(&new, 10).await, 1);
    steps.lease_nothing("w2").await;
    retry_now(&steps, in_flight).await;
    assert_eq!(steps.only_outcome(&new).await.outcome, Outcome::Cancelled);
    assert_eq!(steps.work_to_the_end("w2").await, [(old.clone(), 0)]);
    assert_eq!(steps.only_outcome(&old).await.outcome, Outcome::Applied);
}

/// Of three runs the newest is cancelled: the second decides then, not the first.
pub async fn a_cancel_gives_the_user_back_to_the_newest_run_that_is_left(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = steps.queue(&older()).await;
    let second = steps.queue(&newer()).await;
    let third = steps.queue(&older()).await;
    assert_eq!(steps.cancel(&third, 10).await, 0);
    assert_eq!(steps.work_to_the_end("w1").await, [(second.clone(), 0)]);
    is_superseded(&steps, &first, &second).await;
}

/// A user whom the newer run's resolve found protected, or gone, is no claim on what the older run does elsewhere.
pub async fn a_newer_run_without_that_user_changes_nothing_for_an_older_one(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    let newer_run = steps.submit(&Submission::of(&["nobody@corp.example"])).await;
    let gone = Resolution::Settled { outcome: Outcome::NotFound, code: None, message: None, user: None };
    steps.resolve_except(&newer_run, &BTreeMap::from([(0, gone)])).await;
    steps.promote_all(&newer_run).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(old, 0)]);
}

/// Three runs, each newer than the last, each with the same hundred users: one change a user.
pub async fn of_many_runs_on_the_same_users_only_the_newest_is_worked(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut runs = Vec::new();
    for n in 0..3 {
        let submission = Submission::of_size(100);
        runs.push(steps.queue(&if n % 2 == 0 { submission.activating() } else { submission }).await);
    }
    let worked = steps.work_to_the_end("w1").await;
    assert_eq!(worked, (0..100).map(|seq| (runs[2].clone(), seq)).collect::<Vec<_>>());
    for run in &runs[..2] {
        for row in steps.outcomes(run).await {
            assert_eq!((row.outcome, row.code.as_deref()), (Outcome::Superseded, Some(runs[2].as_str())));
        }
        assert_eq!(steps.status(run).await.counters.of(Outcome::Superseded), 100);
    }
    assert_eq!(steps.store.unfinished(&account()).await.unwrap(), []);
}

/// One worker asks for its own run only; a newer job on its user is in another's hands.
pub async fn only_run_does_not_lift_the_lock_on_a_user(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let old = steps.queue(&older()).await;
    let in_flight = steps.lease_one("w1").await;
    let new = steps.queue(&newer()).await;
    let only_new = LeaseAsk { only_run: Some(new.clone()), ..ask("w2") };
    assert!(steps.lease(&only_new).await.leases.is_empty());
    assert_eq!((&in_flight.run, &in_flight.worker), (&old, &worker("w1")));
    retry_now(&steps, in_flight).await;
    let lease = steps.lease_soon("w2").await;
    assert_eq!(lease.run, new);
}
