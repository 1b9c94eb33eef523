//! Promise 10: what becomes of the users of a run that stood still, when they are resolved again.

use std::time::Duration;

use super::{
    Fixture,
    samples::{
        Submission, TTL, account, ask, attempt, ends, finished, gone, protected, renamed, resolved, retried,
        returned, same, throttled, user_ref,
    },
    steps::Steps,
};
use crate::{
    Outcome, ResolvedUser, RunId, RunPhase, Verdict,
    store::{CHUNK, LeaseAsk, Remaining, Resolution, STANDS_STILL, StoreError},
};

/// The next job of that run alone.
async fn lease_of(steps: &Steps<'_>, run: &RunId) -> crate::store::Lease {
    let only = LeaseAsk { only_run: Some(run.clone()), idle: true, ..ask("w1") };
    steps.lease(&only).await.leases.pop().unwrap_or_else(|| panic!("nothing to lease of {run}"))
}

pub async fn what_remains_is_listed_in_pages(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let users = ["a@c.d", "b@c.d", "c@c.d", "ID-d", "e@c.d", "f@c.d"];
    let run = steps.submit(&Submission::of(&users)).await;
    assert_eq!(steps.store.remaining(&run, 0, 10).await.unwrap(), []);
    let exceptions = [(1, gone()), (4, Resolution::Duplicate { of_line: 1 })].into();
    steps.resolve_except(&run, &exceptions).await;
    let expected = |seq: u64, may_have_applied| {
        let user = resolved(&user_ref(users[usize::try_from(seq).unwrap()]));
        Remaining { seq, line: seq + 1, action: crate::Action::Deactivate, user, may_have_applied }
    };
    let all = [0, 2, 3, 5].map(|seq| expected(seq, false));
    assert_eq!(steps.store.remaining(&run, 0, 10).await.unwrap(), all);
    steps.promote_all(&run).await;
    assert_eq!(steps.store.remaining(&run, 0, 2).await.unwrap(), all[..2]);
    assert_eq!(steps.store.remaining(&run, 3, 2).await.unwrap(), all[2..]);
    assert_eq!(steps.store.remaining(&run, 6, 2).await.unwrap(), []);

    let lease = steps.lease_one("w1").await;
    steps.apply(lease).await;
    steps.lease_one("dying").await;
    steps.pass(TTL).await;
    steps.lease(&LeaseAsk { leases: 0, ..ask("w1") }).await;
    let left = [expected(2, true), expected(3, false), expected(5, false)];
    assert_eq!(steps.store.remaining(&run, 0, 10).await.unwrap(), left);
    let nobody = "20261120-zzzzzz".parse().unwrap();
    assert_refused!(steps.store.remaining(&nobody, 0, 1).await, StoreError::NoSuchRun(_));
}

pub async fn a_user_is_renewed_for_the_next_lease(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    steps.resolve_all(&run).await;
    steps.admit(&run).await;
    assert_eq!(steps.promote(&run, 2).await, 1);
    // A try without effect leaves nothing of ours behind.
    let lease = steps.lease_one("w1").await;
    let refused = attempt(steps.now(), &lease.worker, Verdict::Throttled);
    let until = steps.now();
    steps.finish(lease, vec![throttled(0, refused, until)]).await;
    steps.stand_still().await;
    steps.resolve_again(&run, |job| Resolution::Change(renamed(&job.user))).await;
    let resolved_at = steps.now();
    steps.pass(Duration::from_secs(5)).await;
    steps.promote_all(&run).await;
    for seq in 0..3 {
        let lease = lease_of(&steps, &run).await;
        let job = &lease.jobs[0];
        let before = resolved(&user_ref(&format!("user{seq}@corp.example")));
        assert_eq!((job.seq, &job.user, job.resolved_at), (seq, &renamed(&before), resolved_at));
        assert_eq!(job.request.user.as_str(), format!("user{seq}@corp.example"));
        steps.apply(lease).await;
    }
    assert_eq!(steps.status(&run).await.phase, RunPhase::Finished);
}

/// A lost attempt may have deactivated the user: the state that a look then shows is our own doing.
pub async fn what_was_there_before_our_own_doing_stays(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    let lease = steps.lease_one("w1").await;
    let lost = attempt(steps.now(), &lease.worker, Verdict::Transient);
    let at = steps.now();
    steps.finish(lease, vec![retried(0, lost, at)]).await;
    steps.lease(&LeaseAsk { leases: 2, ..ask("dying") }).await;
    steps.pass(TTL).await;
    steps.stand_still().await;
    steps.lease_nothing("w1").await;
    let admin = |job: &Remaining| {
        assert_eq!(job.may_have_applied, job.seq < 2, "{job:?}");
        if job.seq == 1 {
            return protected(Some(renamed(&job.user)));
        }
        Resolution::Change(renamed(&job.user))
    };
    steps.resolve_again(&run, admin).await;
    let kept = |user: &str| {
        let user = resolved(&user_ref(user));
        ResolvedUser { before: user.before.clone(), ..renamed(&user) }
    };
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.jobs[0].user, kept("user0@corp.example"));
    assert!(lease.jobs[0].may_have_applied);
    steps.apply(lease).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.jobs[0].user, renamed(&resolved(&user_ref("user2@corp.example"))));
    steps.apply(lease).await;
    let rows = steps.outcomes(&run).await;
    assert_eq!(rows[0].resolved, Some(kept("user0@corp.example")));
    assert_eq!((rows[1].outcome, &rows[1].resolved), (Outcome::Protected, &Some(kept("user1@corp.example"))));
    assert_eq!((rows[1].attempts, rows[1].first_attempt_at.is_some()), (1, true));
    assert_eq!(steps.store.attempts(&run, 1).await.unwrap()[0].verdict, Verdict::Lost);
}

pub async fn who_is_settled_leaves_the_queue_wherever_the_job_stands(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(7)).await;
    // 0 must run alone, 1 waits for its time, 2 came back, 3 to 6 were never leased.
    for dying in ["dying-0", "dying-1"] {
        let only = LeaseAsk { idle: true, ..ask(dying) };
        assert_eq!(steps.lease(&only).await.leases[0].jobs[0].seq, 0);
        steps.pass(TTL).await;
    }
    let mut leases = steps.lease(&LeaseAsk { leases: 2, ..ask("w1") }).await.leases;
    let back = leases.pop().unwrap();
    steps.finish(back, vec![]).await;
    let waits = leases.pop().unwrap();
    let late = steps.now().after(STANDS_STILL * 3);
    steps.finish(waits, vec![returned(1, late)]).await;
    steps.stand_still().await;
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.queued, counters.finished), (7, 0));
    // In any order, some of them twice: the first word that settles a job counts.
    let steward = steps.take_steward(&run).await;
    steps
        .resolve(&steward, &[(5, gone()), (2, gone()), (0, gone()), (1, gone()), (5, protected(None))])
        .await;
    steps.resolve(&steward, &[(3, gone()), (2, protected(None))]).await;
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.queued, counters.of(Outcome::NotFound), counters.finished), (2, 5, 5));
    steps.finish_resolving(steward).await;
    assert_eq!(steps.lease(&ask("w1")).await.alone_waiting, 0);
    steps.pass(TTL).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(run.clone(), 4), (run.clone(), 6)]);
    let rows = steps.outcomes(&run).await;
    assert_eq!(rows[0].attempts, 2);
    // Who is gone is known by what was known of it.
    assert_eq!(rows[3].resolved, Some(resolved(&user_ref("user3@corp.example"))));
    steps.stand_still().await;
    steps.lease_nothing("w1").await;
}

pub async fn who_is_settled_before_the_queue_is_filled_has_an_outcome_at_promotion(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(4)).await;
    steps.resolve_except(&run, &[(0, gone())].into()).await;
    steps.stand_still().await;
    let settle = |job: &Remaining| match job.seq {
        1 => gone(),
        2 => protected(Some(renamed(&job.user))),
        _ => same(job),
    };
    steps.resolve_again(&run, settle).await;
    assert_eq!(steps.status(&run).await.counters.pending, 4);
    // What is settled stays so, should it stand still once more.
    steps.stand_still().await;
    steps.resolve_again(&run, |job| if job.seq == 3 { same(job) } else { panic!("{job:?}") }).await;
    steps.promote_all(&run).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(run.clone(), 3)]);
    let rows = steps.outcomes(&run).await;
    let (absent, admin) = (Outcome::NotFound, Outcome::Protected);
    assert_eq!(ends(&rows), [(0, absent), (1, absent), (2, admin), (3, Outcome::Applied)]);
    assert_eq!((rows[0].resolved.as_ref(), rows[1].resolved.is_some()), (None, true));
    assert_eq!(rows[2].resolved, Some(renamed(&resolved(&user_ref("user2@corp.example")))));
}

pub async fn the_run_is_over_where_nothing_is_left(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    let lease = steps.lease_one("w1").await;
    steps.apply(lease).await;
    steps.stand_still().await;
    steps.resolve_again(&run, |_| gone()).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.finished_at), (RunPhase::Finished, Some(steps.now())));
    assert_eq!((status.counters.of(Outcome::Applied), status.counters.of(Outcome::NotFound)), (1, 2));
    assert_eq!(steps.store.unfinished(&account()).await.unwrap(), []);
}

/// As of one that was settled at the first resolve: a run claims those whom it is going to change.
pub async fn who_is_settled_decides_about_nobody(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let users = Submission::of(&["a@c.d", "b@c.d"]);
    let older = steps.queue(&users.clone().activating()).await;
    let newer = steps.queue(&users).await;
    steps.stand_still().await;
    steps.resolve_again(&newer, |job| if job.seq == 0 { protected(None) } else { same(job) }).await;
    steps.resolve_again(&older, same).await;
    steps.work_to_the_end("w1").await;
    assert_eq!(ends(&steps.outcomes(&older).await), [(0, Outcome::Applied), (1, Outcome::Superseded)]);
    assert_eq!(ends(&steps.outcomes(&newer).await), [(0, Outcome::Protected), (1, Outcome::Applied)]);
}

pub async fn a_user_that_has_got_an_id_is_claimed_by_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let invited = ResolvedUser { id: String::new(), ..resolved(&user_ref("new@c.d")) };
    let joined = ResolvedUser { id: "id-of-new".into(), ..invited.clone() };
    let mut runs = Vec::new();
    for user in [&joined, &invited] {
        let run = steps.submit(&Submission::of(&["new@c.d"])).await;
        let change = Resolution::Change(user.clone());
        steps.resolve_except(&run, &[(0, change)].into()).await;
        steps.promote_all(&run).await;
        runs.push(run);
    }
    steps.stand_still().await;
    for run in &runs {
        steps.resolve_again(run, |_| Resolution::Change(joined.clone())).await;
    }
    assert_eq!(steps.work_to_the_end("w1").await, [(runs[1].clone(), 0)]);
    assert_eq!(steps.only_outcome(&runs[0]).await.outcome, Outcome::Superseded);
    assert_eq!(steps.only_outcome(&runs[1]).await.resolved, Some(joined.clone()));
    // The address is nobody's any more.
    let other = steps.submit(&Submission::of(&["new@c.d"])).await;
    steps.resolve_except(&other, &[(0, Resolution::Change(invited))].into()).await;
    steps.promote_all(&other).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(other, 0)]);
}

pub async fn what_is_finished_or_was_settled_before_stays(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(4)).await;
    steps.resolve_except(&run, &[(1, gone()), (3, Resolution::Duplicate { of_line: 1 })].into()).await;
    steps.promote_all(&run).await;
    let lease = steps.lease_one("w1").await;
    let refused = attempt(steps.now(), &lease.worker, Verdict::Rejected);
    steps.finish(lease, vec![finished(0, Some(refused), Outcome::Rejected)]).await;
    let before = steps.outcomes(&run).await;
    steps.stand_still().await;
    let steward = steps.take_steward(&run).await;
    for seq in [0, 1, 3] {
        let user = resolved(&user_ref("user2@corp.example"));
        steps.resolve(&steward, &[(seq, protected(Some(user.clone())))]).await;
        steps.resolve(&steward, &[(seq, Resolution::Change(user))]).await;
    }
    steps.finish_resolving(steward).await;
    assert_eq!(steps.outcomes(&run).await, before);
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.total, counters.finished, counters.queued, counters.duplicates), (3, 2, 1, 1));
    assert_eq!(steps.work_to_the_end("w1").await, [(run, 2)]);
}

pub async fn nobody_is_a_duplicate_of_another_once_resolved(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    steps.stand_still().await;
    let steward = steps.take_steward(&run).await;
    let again = [(0, gone()), (1, Resolution::Duplicate { of_line: 1 })];
    assert_refused!(steps.store.resolve(&steward, &again).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.outcomes(&run).await, [], "nothing of it is written");
    let nowhere = [(7, gone())];
    assert!(steps.store.resolve(&steward, &nowhere).await.is_err());
    assert_eq!(steps.status(&run).await.counters.queued, 2);
}

/// More jobs than fit into a step, at every step of the way.
pub async fn file_order_holds_after_a_run_was_resolved_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let size = 2 * CHUNK + 200;
    let run = steps.submit(&Submission::of_size(size)).await;
    steps.resolve_all(&run).await;
    steps.admit(&run).await;
    for _ in 0..2 {
        steps.promote(&run, CHUNK).await;
    }
    let first = steps.lease(&LeaseAsk { leases: 3, ..ask("w1") }).await.leases;
    for lease in first {
        steps.finish(lease, vec![]).await;
    }
    steps.stand_still().await;
    steps.resolve_again(&run, |job| if job.seq % 3 == 0 { gone() } else { same(job) }).await;
    steps.promote_all(&run).await;
    let expected: Vec<_> =
        (0..size as u64).filter(|seq| seq % 3 != 0).map(|seq| (run.clone(), seq)).collect();
    assert_eq!(steps.work_to_the_end("w1").await, expected);
    let counters = steps.status(&run).await.counters;
    assert_eq!(counters.of(Outcome::NotFound), (size as u64).div_ceil(3));
}
