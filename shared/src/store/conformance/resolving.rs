//! From sealed to the queue: the stewardship, what requests resolve to, admission, promotion.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Fixture,
    samples::{Submission, resolved, user_ref, worker},
    steps::Steps,
};
use crate::{
    Outcome, RunPhase, RunState,
    store::{CHUNK, Resolution, Steward, StoreError},
};

const TTL: Duration = Duration::from_secs(30);

fn change(user: &str) -> Resolution {
    Resolution::Change(resolved(&user_ref(user)))
}

fn settled(outcome: Outcome) -> Resolution {
    Resolution::Settled { outcome, code: None, message: None, user: None }
}

pub async fn one_worker_at_a_time_resolves_a_run(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    let steward = steps.steward(&run, "w1", TTL).await.unwrap();
    assert_eq!((&steward.run, &steward.worker), (&run, &worker("w1")));
    assert_eq!(steps.steward(&run, "w2", TTL).await, None);
    steps.pass(TTL + Duration::from_secs(1)).await;
    assert!(steps.steward(&run, "w2", TTL).await.is_some());
    assert_eq!(steps.steward(&run, "w1", TTL).await, None);
}

pub async fn taking_ones_own_stewardship_again_renews_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    steps.steward(&run, "w1", TTL).await.unwrap();
    steps.pass(TTL / 2).await;
    let again = steps.steward(&run, "w1", TTL).await.unwrap();
    steps.pass(TTL * 3 / 4).await;
    assert_eq!(steps.steward(&run, "w2", TTL).await, None);
    steps.resolve(&again, &[(0, change("user0@corp.example"))]).await;
    steps.finish_resolving(again).await;
}

pub async fn a_renewed_stewardship_lives_on(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    let steward = steps.steward(&run, "w1", TTL).await.unwrap();
    for _ in 0..3 {
        steps.pass(TTL * 3 / 4).await;
        steps.store.renew_steward(&steward, TTL).await.unwrap();
    }
    assert_eq!(steps.steward(&run, "w2", TTL).await, None);
    steps.resolve(&steward, &[(0, change("user0@corp.example"))]).await;
    steps.finish_resolving(steward).await;
}

/// Whether another worker has taken over or not.
pub async fn a_lapsed_stewardship_writes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    let lapsed = steps.steward(&run, "w1", TTL).await.unwrap();
    steps.pass(TTL + Duration::from_secs(1)).await;
    let late = [(0, change("user0@corp.example"))];
    assert_refused!(steps.store.resolve(&lapsed, &late).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.renew_steward(&lapsed, TTL).await, StoreError::LeaseLapsed(_));

    let current = steps.steward(&run, "w2", TTL).await.unwrap();
    let both = [(0, change("user0@corp.example")), (1, change("user1@corp.example"))];
    steps.resolve(&current, &both).await;
    assert_refused!(steps.store.resolve(&lapsed, &late).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.renew_steward(&lapsed, TTL).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.finish_resolving(lapsed).await, StoreError::LeaseLapsed(_));
    assert_eq!(steps.status(&run).await.phase, RunPhase::Sealed);
    steps.finish_resolving(current).await;
    assert_eq!(steps.status(&run).await.phase, RunPhase::Resolved);
}

pub async fn only_a_sealed_run_is_resolved(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    steps.store.pause(&run).await.unwrap();
    assert_eq!(steps.steward(&run, "w1", TTL).await, None);
    steps.store.resume(&run).await.unwrap();
    steps.resolve_all(&run).await;
    assert_eq!(steps.steward(&run, "w1", TTL).await, None);
    steps.promote_all(&run).await;
    assert_eq!(steps.steward(&run, "w1", TTL).await, None);

    let cancelled = steps.submit(&Submission::of_size(2)).await;
    assert_eq!(steps.cancel(&cancelled, 1).await, 1);
    assert_eq!(steps.steward(&cancelled, "w1", TTL).await, None);
}

pub async fn a_run_with_an_unresolved_request_is_not_resolved(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    let steward = steps.take_steward(&run).await;
    let some = [(0, change("user0@corp.example")), (2, settled(Outcome::NotFound))];
    steps.resolve(&steward, &some).await;
    assert!(steps.store.finish_resolving(steward).await.is_err());
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.state()), (RunPhase::Sealed, RunState::Resolving));

    let steward = steps.take_steward(&run).await;
    steps.resolve(&steward, &[(1, change("user1@corp.example"))]).await;
    steps.finish_resolving(steward).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.state(), status.admission), (RunPhase::Resolved, RunState::Held, None));
}

pub async fn the_later_resolution_of_a_request_counts(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    let steward = steps.take_steward(&run).await;
    let first =
        [(0, change("someone.else@corp.example")), (1, settled(Outcome::NotFound)), (2, change("user2@c.d"))];
    steps.resolve(&steward, &first).await;
    let later = [
        (0, change("user0@corp.example")),
        (1, change("user1@corp.example")),
        (2, settled(Outcome::Protected)),
    ];
    steps.resolve(&steward, &later).await;
    steps.finish_resolving(steward).await;
    steps.promote_all(&run).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.jobs[0].user, resolved(&user_ref("user0@corp.example")));
    steps.apply(lease).await;
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.jobs[0].user, resolved(&user_ref("user1@corp.example")));
    steps.apply(lease).await;
    let ends: Vec<_> = steps.outcomes(&run).await.iter().map(|row| row.outcome).collect();
    assert_eq!(ends, [Outcome::Applied, Outcome::Applied, Outcome::Protected]);
}

pub async fn what_was_settled_at_the_resolve_becomes_an_outcome_at_promotion(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    let owner = resolved(&user_ref("user2@corp.example"));
    let protected = Resolution::Settled {
        outcome: Outcome::Protected,
        code: Some("owner".into()),
        message: Some("the account's owner".into()),
        user: Some(owner.clone()),
    };
    steps.resolve_except(&run, &BTreeMap::from([(0, settled(Outcome::NotFound)), (2, protected)])).await;
    assert_eq!(steps.outcomes(&run).await, []);
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.total, counters.pending, counters.finished), (3, 3, 0));

    steps.promote_all(&run).await;
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.queued, counters.finished), (1, 2));
    assert_eq!((counters.of(Outcome::NotFound), counters.of(Outcome::Protected)), (1, 1));
    let rows = steps.outcomes(&run).await;
    assert_eq!((rows[0].seq, rows[0].line, rows[0].resolved.as_ref()), (0, 1, None));
    assert_eq!((rows[1].seq, rows[1].resolved.as_ref()), (2, Some(&owner)));
    assert_eq!(
        (rows[1].code.as_deref(), rows[1].message.as_deref()),
        (Some("owner"), Some("the account's owner"))
    );
    assert_eq!((rows[1].attempts, rows[1].first_attempt_at, rows[1].last_attempt_at), (0, None, None));
    assert_eq!(steps.store.attempts(&run, 2).await.unwrap(), []);

    assert_eq!(steps.work_to_the_end("w1").await, [(run.clone(), 1)]);
    assert_eq!(steps.status(&run).await.phase, RunPhase::Finished);
}

pub async fn a_run_that_was_settled_whole_is_over_once_promoted(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    let none = BTreeMap::from([(0, settled(Outcome::NotFound)), (1, settled(Outcome::Rejected))]);
    steps.resolve_except(&run, &none).await;
    steps.admit(&run).await;
    steps.pass(Duration::from_secs(3)).await;
    assert_eq!(steps.promote(&run, CHUNK).await, 0);
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.finished_at), (RunPhase::Finished, Some(steps.now())));
    assert_eq!(status.counters.finished, 2);
    steps.lease_nothing("w1").await;
}

pub async fn duplicates_leave_the_total_and_are_listed(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of(&["a@corp.example", "ID-a", "b@corp.example", "ID-b"]);
    for (request, line) in submission.requests.iter_mut().zip([2, 30, 400, 5_000]) {
        request.line = line;
    }
    let run = steps.submit(&submission).await;
    let duplicate = |of_line| Resolution::Duplicate { of_line };
    steps.resolve_except(&run, &BTreeMap::from([(1, duplicate(2)), (3, duplicate(400))])).await;
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.total, counters.pending, counters.duplicates), (2, 2, 2));
    let listed = [(30, "ID-a".to_owned(), 2), (5_000, "ID-b".to_owned(), 400)];
    assert_eq!(steps.store.duplicates(&run).await.unwrap(), listed);

    steps.promote_all(&run).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(run.clone(), 0), (run.clone(), 2)]);
    assert_eq!(steps.outcomes(&run).await.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 400]);
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.counters.finished), (RunPhase::Finished, 2));
    assert_eq!(steps.store.duplicates(&run).await.unwrap(), listed);
}

pub async fn a_duplicate_that_was_resolved_again_is_counted_once(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    let steward = steps.take_steward(&run).await;
    steps.resolve(&steward, &[(0, change("user0@corp.example"))]).await;
    let seen = async || {
        let counters = steps.status(&run).await.counters;
        (counters.total, counters.duplicates, steps.store.duplicates(&run).await.unwrap().len())
    };
    for _ in 0..2 {
        steps.resolve(&steward, &[(1, Resolution::Duplicate { of_line: 1 })]).await;
        assert_eq!(seen().await, (1, 1, 1));
    }
    steps.resolve(&steward, &[(1, change("user1@corp.example"))]).await;
    assert_eq!(seen().await, (2, 0, 0));
    steps.finish_resolving(steward).await;
    steps.promote_all(&run).await;
    assert_eq!(steps.work_to_the_end("w1").await.len(), 2);
}

pub async fn nothing_is_leased_before_it_is_promoted(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    steps.lease_nothing("w1").await;
    steps.resolve_all(&run).await;
    steps.lease_nothing("w1").await;
    steps.admit(&run).await;
    steps.lease_nothing("w1").await;
    assert_eq!(steps.promote(&run, 1).await, 2);
    let lease = steps.lease_one("w1").await;
    assert_eq!(lease.jobs[0].seq, 0);
    steps.lease_nothing("w2").await;
}

pub async fn numbers_are_given_in_the_order_of_the_seals_and_stay(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = steps.submit(&Submission::of_size(1)).await;
        steps.resolve_all(&run).await;
        runs.push(run);
    }
    // Admitted in another order than sealed.
    let third = steps.admit(&runs[2]).await;
    let first = steps.admit(&runs[0]).await;
    assert!(first < third, "{first} before {third}");
    assert_eq!(steps.admit(&runs[2]).await, third);
    steps.promote_all(&runs[2]).await;
    assert_eq!(steps.admit(&runs[2]).await, third);
    let second = steps.admit(&runs[1]).await;
    assert!(first < second && second < third, "{first}, {second}, {third}");
    assert_eq!(steps.status(&runs[0]).await.admission, Some(first));
    assert_eq!(steps.status(&runs[1]).await.phase, RunPhase::Admitted);
}

pub async fn a_run_is_admitted_only_once_it_is_resolved(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    assert_refused!(steps.store.promote(&run, CHUNK).await, StoreError::WrongPhase { .. });
    steps.resolve_all(&run).await;
    assert_refused!(steps.store.promote(&run, CHUNK).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.status(&run).await.phase, RunPhase::Resolved);
}

pub async fn promotion_goes_in_chunks_and_says_what_is_pending(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(7)).await;
    steps.resolve_except(&run, &BTreeMap::from([(1, settled(Outcome::NotFound))])).await;
    steps.admit(&run).await;
    assert_eq!(steps.promote(&run, 3).await, 4);
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.pending, counters.queued, counters.finished), (4, 2, 1));
    assert_eq!(steps.promote(&run, 3).await, 1);
    assert_eq!(steps.promote(&run, 3).await, 0);
    // Asked again, as after a lost reply: nothing enters the queue twice.
    assert_eq!(steps.promote(&run, 3).await, 0);
    let counters = steps.status(&run).await.counters;
    assert_eq!((counters.pending, counters.queued, counters.finished), (0, 6, 1));
    assert_eq!(steps.work_to_the_end("w1").await.len(), 6);
}

/// Its reply was lost; the steward asks again.
pub async fn a_resolve_that_was_finished_is_finished_when_asked_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    let steward = steps.take_steward(&run).await;
    let again = Steward { run: run.clone(), token: steward.token, worker: steward.worker.clone() };
    let stranger = Steward { run: run.clone(), token: steward.token + 1, worker: worker("w9") };
    steps.resolve(&steward, &[(0, change("user0@corp.example"))]).await;
    steps.finish_resolving(steward).await;
    steps.finish_resolving(again).await;
    assert_refused!(steps.store.finish_resolving(stranger).await, StoreError::LeaseLapsed(_));
}

pub async fn a_place_without_a_request_is_not_resolved(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    let steward = steps.take_steward(&run).await;
    let beyond = [(0, change("user0@corp.example")), (7, change("user7@corp.example"))];
    assert_refused!(steps.store.resolve(&steward, &beyond).await, StoreError::WrongPhase { .. });
    assert_refused!(steps.store.finish_resolving(steward).await, StoreError::WrongPhase { .. });
}

pub async fn an_admission_is_told_again_while_the_run_is_being_cancelled(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    steps.resolve_all(&run).await;
    let number = steps.admit(&run).await;
    assert_eq!(steps.cancel(&run, 1).await, 1);
    assert_eq!(steps.admit(&run).await, number);
}

pub async fn a_run_of_duplicates_alone_is_over_once_admitted(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    steps.resolve_except(&run, &BTreeMap::from([(0, Resolution::Duplicate { of_line: 1 })])).await;
    steps.admit(&run).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.counters.total), (RunPhase::Finished, 0));
}

pub async fn promotion_and_cancel_count_jobs_and_no_duplicates(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(6)).await;
    let duplicate = || Resolution::Duplicate { of_line: 1 };
    steps.resolve_except(&run, &BTreeMap::from([(1, duplicate()), (2, duplicate())])).await;
    steps.admit(&run).await;
    assert_eq!(steps.promote(&run, 2).await, 2);
    assert_eq!(steps.status(&run).await.counters.queued, 2);
    assert_eq!(steps.cancel(&run, 3).await, 1);
}
