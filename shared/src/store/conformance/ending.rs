//! How the rest of a run is ended: by a person, by its deadline, by the account's caps.

use super::{
    Fixture,
    samples::{Submission, TTL, ask, attempt, finished, gone, retried, returned, worker},
    steps::Steps,
};
use crate::{
    Ending, Outcome, OutcomeRow, RunPhase, RunState, Verdict,
    store::{CHUNK, LeaseAsk, StoreError},
};

fn over_cap() -> Ending {
    Ending::over_cap("500 users, \"10\" allowed; `usher` says: é".into())
}

/// How a job ended, for people.
fn words(row: &OutcomeRow) -> (Outcome, Option<&str>, Option<&str>) {
    (row.outcome, row.code.as_deref(), row.message.as_deref())
}

fn words_of(ending: &Ending) -> (Outcome, Option<&str>, Option<&str>) {
    (ending.outcome, ending.code.as_deref(), Some(ending.message.as_str()))
}

pub async fn every_job_that_nobody_holds_ends_as_the_ending_says(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    for ending in [Ending::deadline(), over_cap(), Ending::cancelled()] {
        // One is settled already, one waits for its time, one must run alone, one is ready, one is not yet in the queue.
        let run = steps.submit(&Submission::of_size(6)).await;
        steps.resolve_except(&run, &[(0, gone())].into()).await;
        steps.admit(&run).await;
        assert_eq!(steps.promote(&run, 5).await, 1);
        for _ in 0..2 {
            let only = LeaseAsk { idle: true, only_run: Some(run.clone()), ..ask("dying") };
            assert_eq!(steps.lease(&only).await.leases[0].jobs[0].seq, 1);
            steps.pass(TTL).await;
        }
        let lease =
            steps.lease(&LeaseAsk { only_run: Some(run.clone()), ..ask("w1") }).await.leases.remove(0);
        let later = steps.now().after(TTL * 9);
        let seq = lease.jobs[0].seq;
        steps.finish(lease, vec![returned(seq, later)]).await;
        assert_eq!(steps.end(&run, &ending, CHUNK).await, 0);
        let rows = steps.outcomes(&run).await;
        assert_eq!(rows[0].outcome, Outcome::NotFound);
        assert_eq!(rows.len(), 6);
        for row in &rows[1..] {
            assert_eq!(words(row), words_of(&ending));
            assert_eq!(row.worker, None);
        }
        let status = steps.status(&run).await;
        assert_eq!((status.phase, status.cancelled), (RunPhase::Cancelled, true));
        assert_eq!((status.counters.of(ending.outcome), status.notes.ending), (5, Some(ending)));
        assert_eq!(status.finished_at, Some(steps.now()));
    }
}

pub async fn the_state_says_how_a_run_was_ended(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let cases = [
        (Ending::cancelled(), RunState::Cancelled),
        (Ending::deadline(), RunState::Expired),
        (over_cap(), RunState::Refused),
    ];
    for (ending, state) in cases {
        let run = steps.submit(&Submission::of_size(2)).await;
        steps.resolve_all(&run).await;
        assert_eq!(steps.end(&run, &ending, 1).await, 1);
        assert_eq!(steps.status(&run).await.state(), RunState::Cancelling);
        assert_eq!(steps.end(&run, &ending, 1).await, 0);
        assert_eq!(steps.status(&run).await.state(), state);
    }
}

/// Whoever comes second helps to carry out what the first began.
pub async fn the_first_ending_stands(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3)).await;
    assert_eq!(steps.end(&run, &Ending::deadline(), 0).await, 3);
    assert_eq!(steps.status(&run).await.notes.ending, Some(Ending::deadline()));
    steps.lease_nothing("w1").await;
    assert_eq!(steps.cancel(&run, 1).await, 2);
    assert_eq!(steps.end(&run, &over_cap(), CHUNK).await, 0);
    for row in steps.outcomes(&run).await {
        assert_eq!(words(&row), words_of(&Ending::deadline()));
    }
    let over = steps.status(&run).await;
    assert_eq!((over.state(), &over.notes.ending), (RunState::Expired, &Some(Ending::deadline())));
    assert_eq!(steps.end(&run, &over_cap(), CHUNK).await, 0);
    assert_eq!(steps.status(&run).await, over);
}

pub async fn a_cancel_is_the_ending_of_a_person(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    assert_eq!(steps.cancel(&run, CHUNK).await, 0);
    assert_eq!(words(&steps.only_outcome(&run).await), words_of(&Ending::cancelled()));
    assert_eq!(steps.status(&run).await.notes.ending, Some(Ending::cancelled()));
}

pub async fn what_comes_back_from_a_worker_ends_as_the_ending_says(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(5)).await;
    let mut leases = steps.lease(&LeaseAsk { leases: 5, ..ask("w1") }).await.leases;
    assert_eq!(steps.end(&run, &Ending::deadline(), CHUNK).await, 5);
    let tried = |verdict| attempt(steps.now(), &worker("w1"), verdict);
    let soon = steps.now();
    // One is done, one is to be tried again, one was handed back, one is not named, one lapses.
    let done = finished(0, Some(tried(Verdict::Applied)), Outcome::Applied);
    steps.finish(leases.remove(0), vec![done]).await;
    steps.finish(leases.remove(0), vec![retried(1, tried(Verdict::Transient), soon)]).await;
    steps.finish(leases.remove(0), vec![returned(2, soon)]).await;
    steps.finish(leases.remove(0), vec![]).await;
    steps.pass(TTL).await;
    steps.lease_nothing("w2").await;
    let rows = steps.outcomes(&run).await;
    assert_eq!(rows[0].outcome, Outcome::Applied);
    for row in &rows[1..] {
        assert_eq!(words(row), words_of(&Ending::deadline()));
    }
    assert_eq!(rows.iter().map(|row| row.attempts).collect::<Vec<_>>(), [1, 1, 0, 0, 1]);
    assert_eq!(steps.status(&run).await.state(), RunState::Expired);
}

pub async fn a_run_can_be_ended_before_it_is_resolved(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    assert_eq!(steps.end(&run, &Ending::deadline(), 2).await, 1);
    assert_eq!(steps.steward(&run, "w1", TTL).await, None);
    assert_eq!(steps.end(&run, &Ending::deadline(), 2).await, 0);
    assert_eq!(steps.status(&run).await.counters.of(Outcome::Expired), 3);
}

pub async fn a_run_that_expired_supersedes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let users = Submission::of(&["a@c.d", "b@c.d"]);
    let older = steps.queue(&users.clone().activating()).await;
    steps.store.pause(&older).await.unwrap();
    let newer = steps.queue(&users).await;
    // What it did before its deadline counts.
    let lease = steps.lease_one("w1").await;
    assert_eq!((&lease.run, lease.jobs[0].seq), (&newer, 0));
    steps.apply(lease).await;
    assert_eq!(steps.end(&newer, &Ending::deadline(), CHUNK).await, 0);
    steps.store.resume(&older).await.unwrap();
    steps.work_to_the_end("w1").await;
    let ends: Vec<Outcome> = steps.outcomes(&older).await.iter().map(|row| row.outcome).collect();
    assert_eq!(ends, [Outcome::Superseded, Outcome::Applied]);
}

pub async fn a_run_that_has_finished_is_not_ended(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.work_to_the_end("w1").await;
    assert_refused!(steps.store.end(&run, &Ending::deadline(), 9).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.status(&run).await.notes.ending, None);
    let open = steps.open(&Submission::of_size(1)).await;
    assert_refused!(steps.store.end(&open, &Ending::deadline(), 9).await, StoreError::NoSuchRun(_));
}
