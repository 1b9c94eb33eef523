//! What ended otherwise than as wished is tried again, as part of the same run.

use std::time::Duration;

use super::{
    Fixture,
    samples::{
        Submission, TTL, account, ask, attempt, finished, gone, plan_hash, resolved, retried, user_ref,
        worker,
    },
    steps::Steps,
};
use crate::{
    Approval, Confirmation, Ending, Go, Held, HeldReason, Note, Outcome, PlanNote, Request, ResolvedUser,
    RunId, RunPhase, RunState, Status, UserState, Verdict,
    store::{CHUNK, LeaseAsk, Resolution, STANDS_STILL, Sealed, StoreError},
};

/// Works the run to its end: each job as this says, at the first try.
async fn work(steps: &Steps<'_>, run: &RunId, outcome_of: impl Fn(u64) -> Outcome) {
    while !steps.status(run).await.phase.is_over() {
        let ask = LeaseAsk { leases: 20, only_run: Some(run.clone()), idle: true, ..ask("w1") };
        for lease in steps.lease(&ask).await.leases {
            let seq = lease.jobs[0].seq;
            let tried = attempt(steps.now(), &lease.worker, Verdict::Applied);
            steps.finish(lease, vec![finished(seq, Some(tried), outcome_of(seq))]).await;
        }
    }
}

async fn ends(steps: &Steps<'_>, run: &RunId) -> Vec<(u64, Outcome)> {
    steps.outcomes(run).await.iter().map(|row| (row.seq, row.outcome)).collect()
}

/// Lets a run that was opened again go on to its end, everything as wished.
async fn go_on(steps: &Steps<'_>, run: &RunId) {
    steps.store.resume(run).await.unwrap();
    steps.release_into_queue(run).await;
    work(steps, run, |_| Outcome::Applied).await;
}

pub async fn jobs_that_did_not_end_as_wished_are_tried_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(5)).await;
    let outcomes =
        [Outcome::Applied, Outcome::Rejected, Outcome::AlreadyApplied, Outcome::Exhausted, Outcome::Poisoned];
    work(&steps, &run, |seq| outcomes[seq as usize]).await;
    let before = steps.status(&run).await;
    steps.pass(Duration::from_secs(60)).await;
    // The whole run is named; what ended as wished is left alone, and a place that there is not is none.
    assert_eq!(steps.reopen(&run, &[0, 1, 2, 4, 1, 99]).await, 2);
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.paused, status.cancelled), (RunPhase::Sealed, true, false));
    assert_eq!((status.state(), status.finished_at), (RunState::Paused, None));
    assert_eq!((status.admission, status.fresh_at), (None, None));
    assert_eq!((status.counters.total, status.counters.pending, status.counters.finished), (5, 2, 3));
    assert_eq!((status.sealed_at, &status.effort), (before.sealed_at, &before.effort));
    let left = [(0, Outcome::Applied), (2, Outcome::AlreadyApplied), (3, Outcome::Exhausted)];
    assert_eq!(ends(&steps, &run).await, left);
    assert_eq!(steps.store.planned(&run, 0, 9).await.unwrap().len(), 3);
    steps.lease_nothing("w1").await;
    assert_eq!(steps.steward(&run, "w1", TTL).await, None, "it is paused");

    steps.store.resume(&run).await.unwrap();
    assert_eq!(steps.status(&run).await.state(), RunState::Resolving);
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    steps.release_into_queue(&run).await;
    work(&steps, &run, |_| Outcome::Applied).await;
    let applied = Outcome::Applied;
    let all =
        [(0, applied), (1, applied), (2, Outcome::AlreadyApplied), (3, Outcome::Exhausted), (4, applied)];
    assert_eq!(ends(&steps, &run).await, all);
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.finished_at), (RunPhase::Finished, Some(steps.now())));
    assert_eq!((status.admission, status.effort.attempts), (before.admission, 7));
}

pub async fn a_run_is_opened_again_chunk_by_chunk(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let size = CHUNK + 20;
    let run = steps.submit(&Submission::of_size(size)).await;
    steps.resolve_all(&run).await;
    steps.promote_all(&run).await;
    while steps.cancel(&run, CHUNK).await > 0 {}
    let all: Vec<u64> = (0..size as u64).collect();
    let mut again = 0;
    for chunk in all.chunks(CHUNK) {
        again += steps.reopen(&run, chunk).await;
        assert_eq!(steps.status(&run).await.counters.pending, again);
    }
    assert_eq!(again, size as u64);
    assert_eq!(steps.reopen(&run, &all[..CHUNK]).await, 0, "they are to be tried again already");
    assert_eq!(ends(&steps, &run).await, []);
    steps.store.resume(&run).await.unwrap();
    assert_refused!(steps.store.reopen(&run, &[0]).await, StoreError::WrongPhase { .. });
    steps.release_into_queue(&run).await;
    steps.work_to_the_end("w1").await;
    assert_eq!(steps.status(&run).await.counters.of(Outcome::Applied), size as u64);
}

pub async fn the_attempts_stay_and_the_budget_begins_anew(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let first_at = steps.now();
    // Two deaths, a try that failed, and then it is given up.
    for _ in 0..2 {
        steps.lease(&LeaseAsk { idle: true, ..ask("dying") }).await;
        steps.pass(TTL).await;
    }
    let alone = LeaseAsk { idle: true, ..ask("w1") };
    let lease = steps.lease(&alone).await.leases.remove(0);
    let failed = attempt(steps.now(), &worker("w1"), Verdict::Transient);
    steps.finish(lease, vec![retried(0, failed, steps.now())]).await;
    let lease = steps.lease(&alone).await.leases.remove(0);
    assert_eq!((lease.jobs[0].attempt, lease.jobs[0].deaths), (4, 2));
    let last = attempt(steps.now(), &worker("w1"), Verdict::Transient);
    steps.finish(lease, vec![finished(0, Some(last), Outcome::Exhausted)]).await;
    let before = steps.store.attempts(&run, 0).await.unwrap();
    assert_eq!((before.len(), steps.only_outcome(&run).await.attempts), (4, 4));

    assert_eq!(steps.reopen(&run, &[0]).await, 1);
    assert_eq!(steps.store.attempts(&run, 0).await.unwrap(), before);
    assert_eq!(steps.status(&run).await.effort.lost, 2);
    steps.store.resume(&run).await.unwrap();
    steps.release_into_queue(&run).await;
    // It is leased like any other, not alone.
    let lease = steps.lease_one("w2").await;
    let job = &lease.jobs[0];
    assert_eq!((job.attempt, job.deaths, job.may_have_applied), (1, 0, true));
    assert_eq!(job.first_attempt_at, Some(first_at));
    steps.apply(lease).await;
    let attempts = steps.store.attempts(&run, 0).await.unwrap();
    assert_eq!((attempts.len(), &attempts[..4]), (5, before.as_slice()));
    let row = steps.only_outcome(&run).await;
    assert_eq!((row.attempts, row.first_attempt_at), (5, Some(first_at)));
    assert_eq!(row.worker, Some(worker("w2")));
}

/// A reply that was lost may have been a yes: what is then found is our own doing, not what was there before.
pub async fn what_was_there_before_our_own_doing_is_known_when_it_is_tried_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let users = ["a@c.d", "b@c.d", "c@c.d", "d@c.d"];
    let run = steps.queue(&Submission::of(&users)).await;
    // The first two may have applied; the third may have, too, but it is another person by now; the last one was refused.
    let mut leases = steps.lease(&LeaseAsk { leases: 4, ..ask("w1") }).await.leases;
    for seq in 0..4 {
        let lease = leases.remove(0);
        let verdict = if seq == 3 { Verdict::Rejected } else { Verdict::Transient };
        let tried = attempt(steps.now(), &worker("w1"), verdict);
        steps.finish(lease, vec![finished(seq, Some(tried), Outcome::Exhausted)]).await;
    }
    assert_eq!(steps.reopen(&run, &[0, 1, 2, 3]).await, 4);
    steps.store.resume(&run).await.unwrap();
    let before = |user: &str| resolved(&user_ref(user)).before;
    let now = UserState { status: Status::Inactive, license: None, role: None, groups: vec![] };
    let found = |user: &str| ResolvedUser { before: now.clone(), ..resolved(&user_ref(user)) };
    let steward = steps.take_steward(&run).await;
    let another = ResolvedUser { id: "another".into(), ..found("c@c.d") };
    let resolutions = [
        (0, Resolution::Change(found("a@c.d"))),
        (1, gone()),
        (2, Resolution::Change(another.clone())),
        (3, Resolution::Change(found("d@c.d"))),
    ];
    // Its steward may do it twice.
    for _ in 0..2 {
        steps.resolve(&steward, &resolutions).await;
    }
    steps.finish_resolving(steward).await;
    steps.promote_all(&run).await;
    let expected = [ResolvedUser { before: before("a@c.d"), ..found("a@c.d") }, another, found("d@c.d")];
    for user in expected {
        let lease = steps.lease_one("w1").await;
        assert_eq!(lease.jobs[0].user, user);
        steps.apply(lease).await;
    }
    let rows = steps.outcomes(&run).await;
    assert_eq!(
        (rows[1].outcome, &rows[1].resolved),
        (Outcome::NotFound, &Some(resolved(&user_ref("b@c.d"))))
    );
}

pub async fn who_was_settled_at_the_resolve_can_be_looked_up_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(4)).await;
    let exceptions = [(0, gone()), (1, gone()), (3, Resolution::Duplicate { of_line: 3 })].into();
    steps.resolve_except(&run, &exceptions).await;
    steps.promote_all(&run).await;
    work(&steps, &run, |_| Outcome::Applied).await;
    // A duplicate is no job.
    assert_eq!(steps.reopen(&run, &[0, 1, 2, 3]).await, 2);
    steps.store.resume(&run).await.unwrap();
    assert_eq!(steps.store.remaining(&run, 0, 9).await.unwrap(), []);
    let requests: Vec<(u64, Request)> = steps.store.requests(&run, 0, 9).await.unwrap();
    assert_eq!(requests.len(), 4);
    // One is there by now, the other still is not; of what ended or is a duplicate nothing new is heard.
    steps
        .resolve_except(&run, &[(1, gone()), (2, gone()), (3, Resolution::Duplicate { of_line: 3 })].into())
        .await;
    steps.promote_all(&run).await;
    work(&steps, &run, |_| Outcome::Applied).await;
    let applied = Outcome::Applied;
    assert_eq!(ends(&steps, &run).await, [(0, applied), (1, Outcome::NotFound), (2, applied)]);
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.total, counters.duplicates), (3, 1));
}

/// By another name it is a user whom the run has already.
pub async fn who_is_tried_again_may_turn_out_a_duplicate(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of(&["a@c.d", "alias@c.d"])).await;
    steps.resolve_except(&run, &[(1, gone())].into()).await;
    steps.promote_all(&run).await;
    work(&steps, &run, |_| Outcome::Applied).await;
    assert_eq!(steps.reopen(&run, &[1]).await, 1);
    steps.store.resume(&run).await.unwrap();
    steps.resolve_except(&run, &[(1, Resolution::Duplicate { of_line: 1 })].into()).await;
    steps.admit(&run).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.counters.total, status.counters.duplicates), (RunPhase::Finished, 1, 1));
    assert_eq!(steps.store.duplicates(&run).await.unwrap(), [(2, "alias@c.d".to_owned(), 1)]);
    assert_eq!(ends(&steps, &run).await, [(0, Outcome::Applied)]);
}

/// The address that made it one belongs to somebody else by now.
pub async fn what_was_a_duplicate_may_turn_out_a_job_when_a_run_is_opened_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of(&["a@c.d", "alias@c.d"])).await;
    steps.resolve_except(&run, &[(1, Resolution::Duplicate { of_line: 1 })].into()).await;
    steps.promote_all(&run).await;
    work(&steps, &run, |_| Outcome::Rejected).await;
    assert_eq!(steps.reopen(&run, &[0, 1]).await, 1);
    steps.store.resume(&run).await.unwrap();
    steps.resolve_all(&run).await;
    assert_eq!(steps.status(&run).await.counters.pending, 2);
    steps.admit(&run).await;
    assert_eq!(steps.promote(&run, 1).await, 1);
    assert_eq!(steps.promote(&run, 1).await, 0);
    work(&steps, &run, |_| Outcome::Applied).await;
    assert_eq!(ends(&steps, &run).await, [(0, Outcome::Applied), (1, Outcome::Applied)]);
    assert_eq!(steps.store.duplicates(&run).await.unwrap(), []);
}

pub async fn a_run_keeps_its_number_when_it_is_opened_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let users = Submission::of(&["a@c.d", "b@c.d"]);
    let older = steps.queue(&users).await;
    work(&steps, &older, |_| Outcome::Rejected).await;
    let newer = steps.queue(&Submission::of(&["a@c.d"]).activating()).await;
    work(&steps, &newer, |_| Outcome::Applied).await;
    assert_eq!(steps.reopen(&older, &[0, 1]).await, 2);
    let after = steps.queue(&Submission::of(&["b@c.d"]).activating()).await;
    go_on(&steps, &older).await;
    // Of b, too, a newer run decides.
    assert_eq!(ends(&steps, &older).await, [(0, Outcome::Superseded), (1, Outcome::Superseded)]);
    assert_eq!(steps.work_to_the_end("w1").await, [(after, 0)]);
}

/// Who waits to be tried again is nobody's claim; who ended as wished is.
pub async fn what_is_tried_again_decides_about_nobody_until_it_is_in_the_queue(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let users = Submission::of(&["a@c.d", "b@c.d", "c@c.d"]);
    let older = steps.queue(&users.clone().activating()).await;
    steps.store.pause(&older).await.unwrap();
    let newer = steps.queue(&users).await;
    work(&steps, &newer, |seq| if seq == 0 { Outcome::Applied } else { Outcome::Rejected }).await;
    assert_eq!(steps.reopen(&newer, &[1]).await, 1);
    steps.store.resume(&older).await.unwrap();
    work(&steps, &older, |_| Outcome::Applied).await;
    let superseded = Outcome::Superseded;
    assert_eq!(ends(&steps, &older).await, [(0, superseded), (1, Outcome::Applied), (2, superseded)]);
    go_on(&steps, &newer).await;
    assert_eq!(steps.status(&newer).await.counters.of(Outcome::Applied), 2);
}

pub async fn a_cancelled_run_can_be_opened_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(4)).await;
    assert_eq!(steps.end(&run, &Ending::deadline(), 2).await, 2);
    assert_refused!(steps.store.reopen(&run, &[0]).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.end(&run, &Ending::deadline(), 9).await, 0);
    assert_eq!(steps.status(&run).await.state(), RunState::Expired);
    // Not all of it: the others keep their outcome, though they were never resolved.
    assert_eq!(steps.reopen(&run, &[1, 3]).await, 2);
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.cancelled, status.paused), (RunPhase::Sealed, false, true));
    assert_eq!((status.notes.ending, status.counters.of(Outcome::Expired)), (None, 2));
    go_on(&steps, &run).await;
    let (expired, applied) = (Outcome::Expired, Outcome::Applied);
    assert_eq!(ends(&steps, &run).await, [(0, expired), (1, applied), (2, expired), (3, applied)]);
    assert_eq!(steps.status(&run).await.state(), RunState::Finished);
}

pub async fn a_run_that_was_opened_again_can_be_ended_and_opened_once_more(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    work(&steps, &run, |seq| if seq == 0 { Outcome::Applied } else { Outcome::Rejected }).await;
    assert_eq!(steps.reopen(&run, &[1, 2]).await, 2);
    assert_eq!(steps.end(&run, &Ending::deadline(), 1).await, 1);
    assert_refused!(steps.store.reopen(&run, &[1, 2]).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.end(&run, &Ending::deadline(), 9).await, 0);
    let status = steps.status(&run).await;
    assert_eq!((status.state(), status.counters.of(Outcome::Expired)), (RunState::Expired, 2));
    assert_eq!(steps.reopen(&run, &[0, 1, 2]).await, 2);
    go_on(&steps, &run).await;
    assert_eq!(steps.status(&run).await.counters.of(Outcome::Applied), 3);
}

pub async fn of_the_notes_the_plan_and_the_word_to_apply_stay(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1).planned()).await;
    steps.resolve_all(&run).await;
    let (at, plan) = (steps.now(), plan_hash('a'));
    let note = PlanNote { hash: plan.clone(), at, change: 1, active_users: None };
    steps.store.note(&run, &Note::Plan(note.clone())).await.unwrap();
    let held = Held { reason: HeldReason::Approval, message: String::new(), since: at };
    steps.store.note(&run, &Note::Held(Some(held))).await.unwrap();
    let go = Go { by: "cli:alice@host".into(), at, plan: plan.clone() };
    let approval = Approval { by: "bob".into(), at, plan, signature: "s".into() };
    steps.store.confirm(&run, &Confirmation::Apply(go.clone())).await.unwrap();
    steps.store.confirm(&run, &Confirmation::Approve(approval)).await.unwrap();
    assert_eq!(steps.cancel(&run, 9).await, 0);
    assert_eq!(steps.reopen(&run, &[0]).await, 1);
    let notes = steps.status(&run).await.notes;
    assert_eq!((notes.plan, notes.go), (Some(note), Some(go)));
    assert_eq!((notes.held, notes.approval, notes.ending), (None, None, None));
}

pub async fn only_a_run_that_is_over_is_opened_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    let refused = async || {
        assert_refused!(steps.store.reopen(&run, &[0]).await, StoreError::WrongPhase { .. });
    };
    refused().await;
    steps.resolve_all(&run).await;
    refused().await;
    steps.store.pause(&run).await.unwrap();
    refused().await;
    steps.store.resume(&run).await.unwrap();
    steps.promote_all(&run).await;
    refused().await;
    work(&steps, &run, |_| Outcome::Applied).await;
    // Nothing of it is to be tried again, so it stays over.
    let over = steps.status(&run).await;
    assert_eq!(steps.reopen(&run, &[0, 1]).await, 0);
    assert_eq!(steps.reopen(&run, &[]).await, 0);
    assert_eq!(steps.status(&run).await, over);
    let nobody = "20261120-zzzzzz".parse().unwrap();
    assert_refused!(steps.store.reopen(&nobody, &[0]).await, StoreError::NoSuchRun(_));
}

/// It is a run under way: it can stand still, and the same content is not a new run.
pub async fn a_run_that_was_opened_again_is_a_run_like_any_other(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let content = Submission::of_size(2).keyed("nightly", "digest", true);
    let run = steps.queue(&content).await;
    work(&steps, &run, |_| Outcome::Rejected).await;
    assert_eq!(steps.reopen(&run, &[0, 1]).await, 2);
    let (draft, seal) = steps.draft(&content).await;
    assert_eq!(steps.seal(&draft, &seal).await, Sealed::Existing(run.clone()));
    steps.pass(STANDS_STILL * 2).await;
    steps.store.resume(&run).await.unwrap();
    let unfinished = steps.store.unfinished(&account()).await.unwrap();
    assert_eq!(unfinished.iter().map(|status| &status.run.id).collect::<Vec<_>>(), [&run]);
    steps.resolve_all(&run).await;
    steps.pass(STANDS_STILL * 2).await;
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    steps.go_on(&run).await;
    steps.promote_all(&run).await;
    assert_eq!(steps.work_to_the_end("w1").await.len(), 2);
}
