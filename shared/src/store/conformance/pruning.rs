//! Retention: old runs are forgotten, the oldest first, and nothing else is.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, TTL, account, ask, attempt, plan_hash, returned, worker},
    steps::Steps,
};
use crate::{
    Outcome, RunId, Timestamp, Verdict,
    audit::{AuditEvent, AuditKind},
    store::{CHUNK, LeaseAsk, Sealed, StoreError},
};

/// Prunes until all that is old enough is gone: these runs, in the order in which they go.
async fn prune_all(steps: &Steps<'_>, ended_before: Timestamp, expected: &[&RunId]) {
    let mut gone = Vec::new();
    for _ in 0..100 {
        let pruned = steps.store.prune(ended_before).await.unwrap();
        steps.check_counters().await;
        match pruned {
            Some((run, true)) => gone.push(run),
            Some((_, false)) => {}
            None => {
                assert_eq!(gone.iter().collect::<Vec<_>>(), expected);
                return;
            }
        }
    }
    panic!("it never ends: {gone:?}");
}

async fn worked(steps: &Steps<'_>, submission: &Submission) -> RunId {
    let run = steps.queue(submission).await;
    steps.work_to_the_end_of(&run, "w1").await;
    steps.pass(Duration::from_secs(60)).await;
    run
}

pub async fn what_ended_before_then_is_forgotten_the_oldest_first(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = worked(&steps, &Submission::of_size(2)).await;
    let second = steps.queue(&Submission::of(&["a@c.d"])).await;
    let third = worked(&steps, &Submission::of(&["b@c.d"])).await;
    // It was submitted before the third and ended after it.
    steps.store.cancel(&second, 9).await.unwrap();
    let at = steps.now();
    steps.pass(Duration::from_secs(60)).await;
    let newest = worked(&steps, &Submission::of(&["c@c.d"])).await;
    let running = steps.queue(&Submission::of(&["d@c.d"])).await;
    prune_all(&steps, at, &[&first, &third]).await;
    let before = steps.status(&newest).await;
    prune_all(&steps, at.after(Duration::from_millis(1)), &[&second]).await;
    for run in [&first, &second, &third] {
        assert_eq!(steps.store.run(run).await.unwrap(), None);
        assert_refused!(steps.store.outcomes(run, 0, 9).await, StoreError::NoSuchRun(_));
        assert_refused!(steps.store.attempts(run, 0).await, StoreError::NoSuchRun(_));
        assert_refused!(steps.store.requests(run, 0, 9).await, StoreError::NoSuchRun(_));
        assert_refused!(steps.store.reopen(run, &[0]).await, StoreError::NoSuchRun(_));
    }
    let left: Vec<RunId> =
        steps.store.runs(None, 9).await.unwrap().into_iter().map(|status| status.run.id).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(steps.status(&newest).await, before);
    assert_eq!(steps.outcomes(&newest).await.len(), 1);
    assert_eq!(steps.store.attempts(&newest, 0).await.unwrap().len(), 1);
    let far = steps.now().after(Duration::from_secs(99_999));
    prune_all(&steps, far, &[&newest]).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(running, 0)]);
}

pub async fn what_is_not_over_is_never_forgotten(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let far = steps.now().after(Duration::from_secs(99_999));
    prune_all(&steps, far, &[]).await;
    let open = steps.open(&Submission::of_size(1)).await;
    let sealed = steps.submit(&Submission::of_size(1)).await;
    let resolved = steps.submit(&Submission::of(&["a@c.d"])).await;
    steps.resolve_all(&resolved).await;
    let half = steps.queue(&Submission::of(&["b@c.d", "c@c.d"])).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(steps.cancel(&half, 9).await, 1, "one of it is in flight");
    prune_all(&steps, far, &[]).await;
    for run in [&sealed, &resolved, &half] {
        steps.status(run).await;
    }
    steps.append(&open, 0, &Submission::of_size(1).requests).await;
    steps.apply(lease).await;
    prune_all(&steps, far, &[&half]).await;
}

/// It can take many calls; a run that is half gone is not seen any more.
pub async fn a_large_run_is_forgotten_in_chunks(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let size = CHUNK * 2 + 10;
    let large = steps.queue(&Submission::of_size(size)).await;
    while steps.cancel(&large, CHUNK).await > 0 {}
    steps.pass(Duration::from_secs(1)).await;
    let small = worked(&steps, &Submission::of(&["z@c.d"])).await;
    let far = steps.now().after(Duration::from_secs(1));
    let mut calls = 0;
    loop {
        let (run, whole) = steps.store.prune(far).await.unwrap().unwrap();
        calls += 1;
        assert_eq!(run, large);
        assert_eq!(steps.store.run(&large).await.unwrap(), None);
        assert_eq!(steps.store.runs(None, 9).await.unwrap().len(), 1);
        if whole {
            break;
        }
        assert!(calls < 50, "it never ends");
    }
    assert!(calls > 2, "{calls} calls for {size} jobs");
    assert_eq!(steps.outcomes(&small).await.len(), 1);
    prune_all(&steps, far, &[&small]).await;
}

pub async fn attempts_are_forgotten_with_their_jobs(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(2)).await;
    for _ in 0..4 {
        let lease = steps.lease_one("w1").await;
        let seq = lease.jobs[0].seq;
        let waits = attempt(steps.now(), &worker("w1"), Verdict::Throttled);
        let now = steps.now();
        steps.finish(lease, vec![super::samples::throttled(seq, waits, now)]).await;
    }
    steps.work_to_the_end("w1").await;
    let far = steps.now().after(TTL);
    prune_all(&steps, far, &[&run]).await;
    // The same content is a new run, and has nothing of the old one.
    let next = steps.queue(&Submission::of_size(2)).await;
    for seq in 0..2 {
        assert_eq!(steps.store.attempts(&next, seq).await.unwrap(), []);
    }
    assert_eq!(steps.work_to_the_end("w1").await.len(), 2);
    assert_eq!(steps.status(&next).await.effort.attempts, 2);
}

pub async fn the_key_of_a_forgotten_run_is_free_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let content = Submission::of_size(1).keyed("nightly", "one", false);
    let first = worked(&steps, &content).await;
    let (draft, seal) = steps.draft(&content).await;
    assert_eq!(steps.seal(&draft, &seal).await, Sealed::Existing(first.clone()));
    prune_all(&steps, steps.now(), &[&first]).await;
    let other = Submission::of_size(2).keyed("nightly", "two", false);
    let (draft, seal) = steps.draft(&other).await;
    assert_eq!(steps.seal(&draft, &seal).await, Sealed::New { previous: None });
}

/// The key stands for the run that came after.
pub async fn a_key_that_stands_for_a_newer_run_stays(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let content = Submission::of_size(1).keyed("nightly", "one", true);
    let first = worked(&steps, &content).await;
    let (second, seal) = steps.draft(&content).await;
    assert_eq!(steps.seal(&second, &seal).await, Sealed::New { previous: Some(first.clone()) });
    prune_all(&steps, steps.now(), &[&first]).await;
    let (draft, seal) = steps.draft(&content).await;
    assert_eq!(steps.seal(&draft, &seal).await, Sealed::Existing(second));
}

/// An old bulk run that was paused for months must not undo what was decided meanwhile.
pub async fn a_forgotten_run_still_wins_over_an_older_one_that_is_not_over(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let users = Submission::of(&["a@c.d", "b@c.d", "c@c.d"]);
    let older = steps.queue(&users.clone().activating()).await;
    let mut lease = steps.lease(&LeaseAsk { leases: 2, ..ask("w1") }).await.leases;
    let back = lease.remove(0);
    let now = steps.now();
    steps.finish(back, vec![returned(0, now)]).await;
    steps.apply(lease.remove(0)).await;
    steps.store.pause(&older).await.unwrap();
    let newer = worked(&steps, &Submission::of(&["a@c.d"])).await;
    prune_all(&steps, steps.now(), &[&newer]).await;
    // Once more, with nothing left to forget.
    prune_all(&steps, steps.now(), &[]).await;
    steps.store.resume(&older).await.unwrap();
    steps.work_to_the_end("w1").await;
    let rows = steps.outcomes(&older).await;
    assert_eq!((rows[0].outcome, rows[0].code.as_deref()), (Outcome::Superseded, Some(newer.as_str())));
    assert_eq!((rows[1].outcome, rows[2].outcome), (Outcome::Applied, Outcome::Applied));
}

/// Neither retention nor anything else takes an entry of the audit away.
pub async fn the_audit_and_the_list_of_the_protected_stay(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = worked(&steps, &Submission::of_size(1)).await;
    let event = AuditEvent {
        what: AuditKind::Finished,
        by: "worker:w1".into(),
        from: None,
        account: Some(account()),
        run: Some(run.clone()),
        plan: Some(plan_hash('a')),
        detail: None,
    };
    assert_eq!(steps.store.tell(&event).await.unwrap(), 1);
    let protections = steps.store.protections(&account()).await.unwrap();
    prune_all(&steps, steps.now(), &[&run]).await;
    assert_eq!(steps.store.audit(1, 9).await.unwrap()[0].read(), Some(event));
    assert_eq!(steps.store.protections(&account()).await.unwrap(), protections);
}
