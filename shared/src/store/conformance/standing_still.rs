//! Promise 10: time passes. Nothing is leased of a run that stood still until its users are resolved again.

use std::time::Duration;

use super::{
    Fixture,
    samples::{
        Submission, TTL, account, ask, ends, gone, protected, renamed, resolved, returned, same, user_ref,
        worker,
    },
    steps::Steps,
};
use crate::{
    Hold, HoldReason, Outcome, Priority, RunPhase,
    store::{CHUNK, LeaseAsk, Remaining, Resolution, STANDS_STILL, StoreError},
};

const MOMENT: Duration = Duration::from_millis(1);

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
    steps.stand_still().await;
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
    steps.stand_still().await;
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    steps.resolve_again(&run, same).await;
    assert_eq!(steps.status(&run).await.phase, RunPhase::Resolved);
    let number = steps.admit(&run).await;
    steps.stand_still().await;
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
    steps.stand_still().await;
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
    steps.stand_still().await;
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
    steps.stand_still().await;
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
    steps.stand_still().await;
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

pub async fn a_run_that_stood_still_can_be_cancelled_while_it_is_resolved_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    steps.stand_still().await;
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
