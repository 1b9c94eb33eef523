//! Promise 10: time passes. Nothing is leased of a run that stood still until its users are resolved again.

use std::time::Duration;

use super::{
    Fixture,
    samples::{
        Submission, TTL, account, ask, attempt, finished, gone, resolved, retried, returned, user_ref, worker,
    },
    steps::Steps,
};
use crate::{
    Hold, HoldReason, Outcome, OutcomeRow, Priority, ResolvedUser, RunId, RunPhase, Status, UserState,
    Verdict,
    store::{CHUNK, LeaseAsk, Remaining, Resolution, STANDS_STILL, StoreError},
};

const MOMENT: Duration = Duration::from_millis(1);

/// The user as it was.
fn same(job: &Remaining) -> Resolution {
    Resolution::Change(job.user.clone())
}

fn protected(user: Option<ResolvedUser>) -> Resolution {
    Resolution::Settled {
        outcome: Outcome::Protected,
        code: Some("admin".into()),
        message: Some("an admin by now".into()),
        user,
    }
}

/// The user with another role, licence, address and group, deactivated by somebody.
fn renamed(user: &ResolvedUser) -> ResolvedUser {
    ResolvedUser {
        id: user.id.clone(),
        email: Some("renamed@corp.example".into()),
        before: UserState {
            status: Status::Inactive,
            license: Some("1".into()),
            role: Some("custom".into()),
            groups: vec!["g3".into()],
        },
    }
}

/// Lets the run stand still for more than the time that is allowed.
async fn stand_still(steps: &Steps<'_>) {
    steps.pass(STANDS_STILL + MOMENT).await;
}

/// The next job of that run alone.
async fn lease_of(steps: &Steps<'_>, run: &RunId) -> crate::store::Lease {
    let only = LeaseAsk { only_run: Some(run.clone()), idle: true, ..ask("w1") };
    steps.lease(&only).await.leases.pop().unwrap_or_else(|| panic!("nothing to lease of {run}"))
}

fn ends(rows: &[OutcomeRow]) -> Vec<(u64, Outcome)> {
    rows.iter().map(|row| (row.seq, row.outcome)).collect()
}

pub async fn a_run_is_leased_for_an_hour_and_not_a_moment_longer(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    steps.pass(STANDS_STILL).await;
    let leased = steps.lease_one("w1").await;
    assert_eq!(leased.run, run);
    steps.apply(leased).await;
    steps.pass(STANDS_STILL + MOMENT).await;
    let nothing = steps.lease_nothing("w1").await;
    assert_eq!(nothing.hold, None);
    steps.resolve_again(&run, same).await;
    assert_eq!(steps.lease_one("w1").await.jobs[0].seq, 1);
}

pub async fn a_lease_keeps_a_run_from_standing_still(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(5)).await;
    for _ in 0..4 {
        steps.pass(STANDS_STILL * 3 / 4).await;
        let lease = steps.lease_one("w1").await;
        steps.apply(lease).await;
    }
    // A finish is none: it says nothing of the users that are left.
    let lease = steps.lease_one("w1").await;
    steps.pass(TTL - MOMENT).await;
    let reports = vec![returned(lease.jobs[0].seq, steps.now())];
    steps.finish(lease, reports).await;
    steps.pass(STANDS_STILL - TTL + MOMENT * 2).await;
    steps.lease_nothing("w1").await;
    steps.resolve_again(&run, same).await;
    steps.lease_one("w1").await;
}

pub async fn the_status_says_since_when_a_run_stands_still(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    let seen = async || {
        let status = steps.status(&run).await;
        (status.fresh_at, status.stood_still(steps.now()))
    };
    steps.pass(STANDS_STILL * 2).await;
    assert_eq!(seen().await, (None, None), "it waits for its first resolve");
    steps.resolve_all(&run).await;
    let resolved_at = steps.now();
    assert_eq!(seen().await, (Some(resolved_at), None));
    steps.pass(Duration::from_secs(60)).await;
    steps.promote_all(&run).await;
    assert_eq!(seen().await, (Some(resolved_at), None));
    let lease = steps.lease_one("w1").await;
    let leased_at = steps.now();
    steps.apply(lease).await;
    assert_eq!(seen().await, (Some(leased_at), None));
    steps.pass(STANDS_STILL).await;
    assert_eq!(seen().await, (Some(leased_at), None));
    steps.pass(MOMENT).await;
    assert_eq!(seen().await, (Some(leased_at), Some(STANDS_STILL + MOMENT)));
    steps.resolve_again(&run, same).await;
    assert_eq!(seen().await, (Some(steps.now()), None));
    steps.work_to_the_end("w1").await;
    steps.pass(STANDS_STILL * 3).await;
    assert_eq!(seen().await.1, None, "it is over");
}

pub async fn a_paused_run_that_is_resumed_late_is_resolved_again_before_it_goes_on(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    let lease = steps.lease_one("w1").await;
    steps.apply(lease).await;
    steps.store.pause(&run).await.unwrap();
    steps.pass(Duration::from_secs(61 * 60)).await;
    assert_eq!(steps.steward(&run, "w1", TTL).await, None, "it is paused");
    steps.store.resume(&run).await.unwrap();
    steps.lease_nothing("w1").await;
    let admin = |job: &Remaining| if job.seq == 1 { protected(Some(renamed(&job.user))) } else { same(job) };
    steps.resolve_again(&run, admin).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(run.clone(), 2)]);
    let rows = steps.outcomes(&run).await;
    assert_eq!(ends(&rows), [(0, Outcome::Applied), (1, Outcome::Protected), (2, Outcome::Applied)]);
    assert_eq!(
        (rows[1].code.as_deref(), rows[1].message.as_deref()),
        (Some("admin"), Some("an admin by now"))
    );
    assert_eq!(rows[1].resolved, Some(renamed(&resolved(&user_ref("user1@corp.example")))));
    assert_eq!((rows[1].attempts, rows[1].worker.as_ref()), (0, None));
}

pub async fn a_run_of_an_account_that_was_held_is_resolved_again_before_it_goes_on(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    let until = Some(steps.now().after(STANDS_STILL * 24));
    let hold = Hold { reason: HoldReason::Quota, message: "parked".into(), since: steps.now(), until };
    steps.store.hold(&account(), &hold).await.unwrap();
    assert!(steps.lease_nothing("w1").await.hold.is_some());
    steps.pass(STANDS_STILL * 24).await;
    assert_eq!(steps.lease_nothing("w1").await.hold, None);
    steps.resolve_again(&run, same).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(run, 0)]);
}

pub async fn a_job_to_run_alone_stands_still_with_its_run(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    for dying in ["dying-0", "dying-1"] {
        steps.lease_one(dying).await;
        steps.pass(TTL).await;
    }
    let idle = LeaseAsk { idle: true, ..ask("idle") };
    stand_still(&steps).await;
    let leased = steps.lease(&idle).await;
    assert!(leased.leases.is_empty(), "{leased:?}");
    assert_eq!(steps.lease(&idle).await.alone_waiting, 0);
    steps.resolve_again(&run, same).await;
    assert_eq!(steps.lease(&ask("busy")).await.alone_waiting, 1);
    let leased = steps.lease(&idle).await.leases.remove(0);
    assert_eq!((leased.jobs[0].deaths, leased.jobs[0].attempt), (2, 3));
}

pub async fn a_run_that_stood_still_is_neither_admitted_nor_promoted(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    steps.resolve_all(&run).await;
    stand_still(&steps).await;
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    steps.resolve_again(&run, same).await;
    assert_eq!(steps.status(&run).await.phase, RunPhase::Resolved);
    let number = steps.admit(&run).await;
    stand_still(&steps).await;
    assert_refused!(steps.store.promote(&run, CHUNK).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.admit(&run).await, number);
    steps.resolve_again(&run, same).await;
    assert_eq!(steps.status(&run).await.phase, RunPhase::Admitted);
    steps.promote_all(&run).await;
    assert_eq!(steps.work_to_the_end("w1").await.len(), 2);
}

pub async fn a_run_that_stood_still_holds_up_no_other(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let still = steps.queue(&Submission::of(&["a@c.d", "b@c.d"]).priority(Priority::Urgent)).await;
    stand_still(&steps).await;
    let normal = steps.queue(&Submission::of(&["c@c.d"])).await;
    let bulk = steps.queue(&Submission::of(&["d@c.d"]).priority(Priority::Bulk)).await;
    let urgent = steps.queue(&Submission::of(&["e@c.d"]).priority(Priority::Urgent)).await;
    for expected in [&urgent, &normal, &bulk] {
        let lease = steps.lease_one("w1").await;
        assert_eq!(lease.run, *expected);
        steps.apply(lease).await;
    }
    steps.lease_nothing("w1").await;
    steps.resolve_again(&still, same).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(still.clone(), 0), (still, 1)]);
}

pub async fn a_steward_that_dies_leaves_the_run_standing_and_the_next_begins_anew(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    stand_still(&steps).await;
    let dead = steps.steward(&run, "w1", TTL).await.unwrap();
    assert_eq!(steps.steward(&run, "w2", TTL).await, None);
    let renewed = Resolution::Change(renamed(&resolved(&user_ref("user0@corp.example"))));
    steps.resolve(&dead, &[(0, renewed), (1, gone())]).await;
    steps.pass(TTL).await;
    assert_refused!(steps.store.renew_steward(&dead, TTL).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.resolve(&dead, &[(2, gone())]).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.finish_resolving(dead).await, StoreError::LeaseLapsed(_));
    steps.lease_nothing("w1").await;
    // What was settled stays settled; the rest is asked again.
    let asked: Vec<u64> =
        steps.store.remaining(&run, 0, 10).await.unwrap().iter().map(|job| job.seq).collect();
    assert_eq!(asked, [0, 2]);
    steps.resolve_again(&run, same).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(run.clone(), 0), (run.clone(), 2)]);
    assert_eq!(steps.outcomes(&run).await[1].outcome, Outcome::NotFound);
}

pub async fn a_run_that_goes_on_is_not_resolved_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.pass(STANDS_STILL).await;
    assert_eq!(steps.steward(&run, "w1", TTL).await, None);
    steps.pass(MOMENT).await;
    let steward = steps.steward(&run, "w1", TTL).await.unwrap();
    steps.pass(TTL / 2).await;
    steps.store.renew_steward(&steward, TTL).await.unwrap();
    steps.pass(TTL / 2).await;
    steps.finish_resolving(steward).await;
    assert_eq!(steps.steward(&run, "w1", TTL).await, None);
}

/// Nothing of the run is leased anew, so that its last job ends in time.
pub async fn a_steward_who_has_found_nothing_out_changes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    stand_still(&steps).await;
    let steward = steps.steward(&run, "w1", TTL).await.unwrap();
    let before = steps.status(&run).await;
    steps.resolve(&steward, &[]).await;
    assert_eq!(steps.status(&run).await, before);
    steps.finish_resolving(steward).await;
    steps.lease_one("w1").await;
}

pub async fn what_is_in_flight_is_waited_for(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    let long = LeaseAsk { ttl: STANDS_STILL * 2, ..ask("w1") };
    let (first, second) = {
        let mut leases = steps.lease(&LeaseAsk { leases: 2, ..long.clone() }).await.leases;
        (leases.remove(0), leases.remove(0))
    };
    stand_still(&steps).await;
    assert_eq!(steps.steward(&run, "w2", TTL).await, None);
    steps.apply(first).await;
    assert_eq!(steps.steward(&run, "w2", TTL).await, None);
    // The other comes back: it is resolved again like the one that was never leased.
    let reports = vec![returned(second.jobs[0].seq, steps.now())];
    steps.finish(second, reports).await;
    steps.lease_nothing("w1").await;
    steps.resolve_again(&run, |_| gone()).await;
    assert_eq!(
        ends(&steps.outcomes(&run).await),
        [(0, Outcome::Applied), (1, Outcome::NotFound), (2, Outcome::NotFound)]
    );
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
    steps.finish(lease, vec![super::samples::throttled(0, refused, until)]).await;
    stand_still(&steps).await;
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
    stand_still(&steps).await;
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
    stand_still(&steps).await;
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
    stand_still(&steps).await;
    steps.lease_nothing("w1").await;
}

pub async fn who_is_settled_before_the_queue_is_filled_has_an_outcome_at_promotion(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(4)).await;
    steps.resolve_except(&run, &[(0, gone())].into()).await;
    stand_still(&steps).await;
    let settle = |job: &Remaining| match job.seq {
        1 => gone(),
        2 => protected(Some(renamed(&job.user))),
        _ => same(job),
    };
    steps.resolve_again(&run, settle).await;
    assert_eq!(steps.status(&run).await.counters.pending, 4);
    // What is settled stays so, should it stand still once more.
    stand_still(&steps).await;
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
    stand_still(&steps).await;
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
    stand_still(&steps).await;
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
    stand_still(&steps).await;
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
    stand_still(&steps).await;
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
    stand_still(&steps).await;
    let steward = steps.take_steward(&run).await;
    let again = [(0, gone()), (1, Resolution::Duplicate { of_line: 1 })];
    assert_refused!(steps.store.resolve(&steward, &again).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.outcomes(&run).await, [], "nothing of it is written");
    let nowhere = [(7, gone())];
    assert!(steps.store.resolve(&steward, &nowhere).await.is_err());
    assert_eq!(steps.status(&run).await.counters.queued, 2);
}

pub async fn a_run_that_stood_still_can_be_cancelled_while_it_is_resolved_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    stand_still(&steps).await;
    let steward = steps.take_steward(&run).await;
    steps.resolve(&steward, &[(1, gone())]).await;
    assert_eq!(steps.cancel(&run, 1).await, 1);
    assert_refused!(steps.store.resolve(&steward, &[(2, gone())]).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.finish_resolving(steward).await, StoreError::LeaseLapsed(_));
    assert_eq!(steps.steward(&run, worker("w2").as_str(), TTL).await, None);
    assert_eq!(steps.cancel(&run, CHUNK).await, 0);
    let status = steps.status(&run).await;
    assert_eq!(status.phase, RunPhase::Cancelled);
    assert_eq!((status.counters.of(Outcome::Cancelled), status.counters.of(Outcome::NotFound)), (2, 1));
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
    stand_still(&steps).await;
    steps.resolve_again(&run, |job| if job.seq % 3 == 0 { gone() } else { same(job) }).await;
    steps.promote_all(&run).await;
    let expected: Vec<_> =
        (0..size as u64).filter(|seq| seq % 3 != 0).map(|seq| (run.clone(), seq)).collect();
    assert_eq!(steps.work_to_the_end("w1").await, expected);
    let counters = steps.status(&run).await.counters;
    assert_eq!(counters.of(Outcome::NotFound), (size as u64).div_ceil(3));
}
