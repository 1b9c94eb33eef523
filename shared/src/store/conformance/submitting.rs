//! Promise 1: a run is invisible until it is sealed; submitting is chunked and idempotent; what is never sealed expires.

use std::{collections::BTreeMap, time::Duration};

use futures::future;

use super::{
    Fixture,
    samples::{Submission, account, ask, other_account, user_ref, worker},
    steps::Steps,
};
use crate::{
    Action, Priority, Request, RunPhase,
    store::{LeaseAsk, OPEN_RUN_EXPIRES, Seal, Sealed, StoreError},
};

pub async fn a_run_is_invisible_until_it_is_sealed(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (run, seal) = steps.draft(&Submission::of_size(3)).await;
    assert_eq!(steps.store.run(&run).await.unwrap(), None);
    assert_eq!(steps.store.runs(None, 10).await.unwrap(), []);
    assert_eq!(steps.store.unfinished(&account()).await.unwrap(), []);
    steps.lease_nothing("w1").await;
    assert!(!matches!(
        steps.store.take_steward(&run, &worker("w1"), Duration::from_secs(9)).await,
        Ok(Some(_))
    ));

    steps.seal(&run, &seal).await;
    assert_eq!(steps.status(&run).await.phase, RunPhase::Sealed);
    assert_eq!(steps.store.runs(None, 10).await.unwrap().len(), 1);
    assert_eq!(steps.store.unfinished(&account()).await.unwrap().len(), 1);
}

pub async fn a_sealed_run_is_seen_as_it_was_submitted(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of_size(3).priority(Priority::Bulk);
    submission.requests[1].action = Action::Activate;
    let mut run = steps.new_run(&submission);
    run.reason = Some("licence \"reclamation\" | é 漢字 \u{1F600}\n'; --".into());
    steps.store.open_run(&run).await.unwrap();
    steps.append(&run.id, 0, &submission.requests).await;
    steps.pass(Duration::from_secs(5)).await;
    steps.seal(&run.id, &Steps::seal_of(&run.id, &submission)).await;

    let status = steps.status(&run.id).await;
    assert_eq!(status.run, run);
    assert_eq!((status.paused, status.cancelled, status.admission), (false, false, None));
    assert_eq!(status.by_action, BTreeMap::from([(Action::Deactivate, 2), (Action::Activate, 1)]));
    assert_eq!((status.counters.total, status.counters.pending), (3, 3));
    assert_eq!((status.sealed_at, status.finished_at, status.hold), (Some(steps.now()), None, None));
}

pub async fn what_was_not_said_of_a_run_is_not_made_up(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(1);
    let mut run = steps.new_run(&submission);
    (run.reason, run.source) = (None, None);
    steps.store.open_run(&run).await.unwrap();
    steps.append(&run.id, 0, &submission.requests).await;
    steps.seal(&run.id, &Steps::seal_of(&run.id, &submission)).await;
    assert_eq!(steps.status(&run.id).await.run, run);
}

pub async fn appending_the_same_places_again_changes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(5);
    let (run, seal) = steps.draft(&submission).await;
    steps.append(&run, 0, &submission.requests).await;
    steps.append(&run, 2, &submission.requests[2..4]).await;
    assert_eq!(steps.seal(&run, &seal).await, Sealed::New { previous: None });
    let kept: Vec<_> = (0..).zip(submission.requests).collect();
    assert_eq!(steps.store.requests(&run, 0, 10).await.unwrap(), kept);
}

pub async fn requests_come_back_page_by_page_as_they_were_written(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of_size(7);
    submission.requests[3] = Request {
        restore: None,
        line: 90_000,
        user: user_ref("Ann.Ö'Lee+x|%\"@Corp.Example"),
        action: Action::Activate,
        reason: Some("back from leave, \"again\"\t|\u{0}\u{1F600}".into()),
    };
    let run = steps.submit(&submission).await;
    let mut pages = Vec::new();
    while let Some(page) = next_page(&steps, &run, pages.len() as u64).await {
        pages.extend(page);
    }
    let kept: Vec<_> = (0..).zip(submission.requests).collect();
    assert_eq!(pages, kept);
}

async fn next_page(steps: &Steps<'_>, run: &crate::RunId, from_seq: u64) -> Option<Vec<(u64, Request)>> {
    let page = steps.store.requests(run, from_seq, 3).await.unwrap();
    assert!(page.len() <= 3, "{page:?}");
    (!page.is_empty()).then_some(page)
}

/// They may still change: a reader would resolve something else than what is sealed.
pub async fn the_requests_of_an_open_run_are_not_read(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (run, _) = steps.draft(&Submission::of_size(2)).await;
    assert!(!steps.store.requests(&run, 0, 10).await.is_ok_and(|page| !page.is_empty()));
}

pub async fn a_seal_that_counts_otherwise_is_refused_until_all_is_there(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(3);
    let run = steps.open(&submission).await;
    steps.append(&run, 0, &submission.requests[..1]).await;
    steps.append(&run, 2, &submission.requests[2..]).await;
    let seal = Steps::seal_of(&run, &submission);
    assert_refused!(
        steps.store.seal(&run, &seal).await,
        StoreError::Incomplete { expected: 3, found: 2, .. }
    );
    assert_eq!(steps.store.run(&run).await.unwrap(), None);

    steps.append(&run, 1, &submission.requests[1..2]).await;
    assert_eq!(steps.seal(&run, &seal).await, Sealed::New { previous: None });
}

pub async fn a_seal_that_counts_too_few_is_refused(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (run, seal) = steps.draft(&Submission::of_size(3)).await;
    let short = Seal { total: 2, by_action: BTreeMap::from([(Action::Deactivate, 2)]), ..seal };
    assert_refused!(
        steps.store.seal(&run, &short).await,
        StoreError::Incomplete { expected: 2, found: 3, .. }
    );
    assert_eq!(steps.store.run(&run).await.unwrap(), None);
}

pub async fn a_run_of_nothing_is_refused(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (run, seal) = steps.draft(&Submission::of(&[])).await;
    assert!(steps.store.seal(&run, &seal).await.is_err());
    assert_eq!(steps.store.run(&run).await.unwrap(), None);
}

/// The first answer may have been lost on its way, whatever has become of the run since.
pub async fn sealing_again_answers_new_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let (run, seal) = steps.draft(&Submission::of_size(1).keyed("k", "d", true)).await;
    assert_eq!(steps.seal(&run, &seal).await, Sealed::New { previous: None });
    assert_eq!(steps.seal(&run, &seal).await, Sealed::New { previous: None });
    steps.release_into_queue(&run).await;
    assert_eq!(steps.seal(&run, &seal).await, Sealed::New { previous: None });
    assert_eq!(steps.status(&run).await.phase, RunPhase::Admitted);
    steps.work_to_the_end("w1").await;
    assert_eq!(steps.seal(&run, &seal).await, Sealed::New { previous: None });
    assert_eq!(steps.status(&run).await.phase, RunPhase::Finished);
    assert_eq!(steps.store.runs(None, 10).await.unwrap().len(), 1);
}

pub async fn the_same_content_is_one_run_and_the_second_draft_is_gone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(2).keyed("k", "d", true);
    let first = steps.submit(&submission).await;
    let (draft, seal) = steps.draft(&submission).await;
    assert_eq!(steps.seal(&draft, &seal).await, Sealed::Existing(first.clone()));
    assert_eq!(steps.store.run(&draft).await.unwrap(), None);
    assert_eq!(steps.store.runs(None, 10).await.unwrap().len(), 1);
    assert_refused!(
        steps.store.append(&draft, 0, &submission.requests).await,
        StoreError::NoSuchRun(_) | StoreError::WrongPhase { .. }
    );
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 0);
    assert_eq!(steps.status(&first).await.counters.total, 2);
}

pub async fn two_producers_that_seal_the_same_content_at_once_make_one_run(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let second = fixture.second_handle().await;
    let submission = Submission::of_size(2).keyed("k", "d", true);
    let (one, seal) = steps.draft(&submission).await;
    let (other, _) = steps.draft(&submission).await;
    let (of_one, of_other) = future::join(steps.store.seal(&one, &seal), second.seal(&other, &seal)).await;
    match (of_one.unwrap(), of_other.unwrap()) {
        (Sealed::New { previous: None }, Sealed::Existing(run)) => assert_eq!(run, one),
        (Sealed::Existing(run), Sealed::New { previous: None }) => assert_eq!(run, other),
        both => panic!("one is new and the other the same, not {both:?}"),
    }
    assert_eq!(steps.store.runs(None, 10).await.unwrap().len(), 1);
}

pub async fn a_key_that_stands_for_other_content_is_a_conflict(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let first = steps.submit(&Submission::of_size(2).keyed("ticket-7", "d1", true)).await;
    let (draft, seal) = steps.draft(&Submission::of_size(3).keyed("ticket-7", "d2", true)).await;
    match steps.store.seal(&draft, &seal).await {
        Err(StoreError::Conflict { key, existing }) => {
            assert_eq!((key.as_str(), existing), ("ticket-7", first))
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
    assert_eq!(steps.store.run(&draft).await.unwrap(), None);
}

pub async fn after_a_finished_run_the_same_content_is_a_new_one_that_names_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(1).keyed("k", "d", true);
    let first = steps.queue(&submission).await;
    steps.work_to_the_end("w1").await;
    let (next, seal) = steps.draft(&submission).await;
    let new = Sealed::New { previous: Some(first) };
    assert_eq!(steps.seal(&next, &seal).await, new);
    assert_eq!(steps.seal(&next, &seal).await, new);

    let (third, seal) = steps.draft(&submission).await;
    assert_eq!(steps.seal(&third, &seal).await, Sealed::Existing(next));
}

pub async fn after_a_cancelled_run_the_same_content_is_a_new_one_that_names_it(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(1).keyed("k", "d", true);
    let first = steps.queue(&submission).await;
    assert_eq!(steps.cancel(&first, 10).await, 0);
    let (next, seal) = steps.draft(&submission).await;
    assert_eq!(steps.seal(&next, &seal).await, Sealed::New { previous: Some(first) });
}

pub async fn a_key_that_is_not_to_be_used_again_stands_for_its_run_for_ever(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(1).keyed("k", "d", false);
    let first = steps.queue(&submission).await;
    steps.work_to_the_end("w1").await;
    for days in [0, 30, 300] {
        steps.pass(Duration::from_secs(days * 24 * 60 * 60)).await;
        let (draft, seal) = steps.draft(&submission).await;
        assert_eq!(steps.seal(&draft, &seal).await, Sealed::Existing(first.clone()));
    }
}

pub async fn an_id_that_is_in_use_is_taken(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(1);
    let run = steps.new_run(&submission);
    steps.store.open_run(&run).await.unwrap();
    assert_refused!(steps.store.open_run(&run).await, StoreError::IdTaken(_));
    let elsewhere = crate::NewRun { account: other_account(), ..run.clone() };
    assert_refused!(steps.store.open_run(&elsewhere).await, StoreError::IdTaken(_));

    steps.append(&run.id, 0, &submission.requests).await;
    steps.seal(&run.id, &Steps::seal_of(&run.id, &submission)).await;
    assert_refused!(steps.store.open_run(&run).await, StoreError::IdTaken(_));
    steps.release_into_queue(&run.id).await;
    steps.work_to_the_end("w1").await;
    assert_refused!(steps.store.open_run(&run).await, StoreError::IdTaken(_));
    assert_refused!(steps.store.open_run(&elsewhere).await, StoreError::IdTaken(_));
}

pub async fn a_discarded_run_is_forgotten(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(2);
    let (run, seal) = steps.draft(&submission).await;
    steps.store.discard(&run).await.unwrap();
    assert_refused!(steps.store.seal(&run, &seal).await, StoreError::NoSuchRun(_));
    assert_refused!(steps.store.append(&run, 0, &submission.requests).await, StoreError::NoSuchRun(_));
    steps.pass(OPEN_RUN_EXPIRES * 2).await;
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 0);
}

pub async fn a_sealed_run_is_not_discarded(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    assert!(steps.store.discard(&run).await.is_err());
    assert_eq!(steps.status(&run).await.counters.total, 2);
    assert_eq!(steps.store.requests(&run, 0, 10).await.unwrap().len(), 2);
}

pub async fn an_open_run_expires_an_hour_after_its_last_append_and_not_before(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(2);
    let (run, seal) = steps.draft(&submission).await;
    steps.pass(OPEN_RUN_EXPIRES / 2).await;
    steps.append(&run, 0, &submission.requests).await;
    steps.pass(OPEN_RUN_EXPIRES - Duration::from_secs(1)).await;
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 0);
    steps.pass(Duration::from_secs(2)).await;
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 1);
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 0);
    assert_refused!(steps.store.seal(&run, &seal).await, StoreError::NoSuchRun(_));
}

pub async fn a_run_that_was_opened_and_left_empty_expires_too(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    steps.store.open_run(&steps.new_run(&Submission::of_size(1))).await.unwrap();
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 0);
    steps.pass(OPEN_RUN_EXPIRES + Duration::from_secs(1)).await;
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 1);
}

pub async fn a_sealed_run_does_not_expire(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    steps.pass(OPEN_RUN_EXPIRES * 100).await;
    assert_eq!(steps.store.expire_open_runs().await.unwrap(), 0);
    steps.release_into_queue(&run).await;
    assert_eq!(steps.work_to_the_end("w1").await.len(), 2);
}

pub async fn a_sealed_run_takes_no_more_requests(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(2);
    let run = steps.submit(&submission).await;
    assert_refused!(steps.store.append(&run, 2, &submission.requests).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.store.requests(&run, 0, 10).await.unwrap().len(), 2);
    assert_eq!(steps.status(&run).await.counters.total, 2);
}

pub async fn a_run_of_several_chunks_is_sealed_and_worked_whole(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1_203)).await;
    let mut seen = 0;
    while seen < 1_203 {
        let ask = LeaseAsk { leases: 5, batch: 200, ..ask("w1") };
        for lease in steps.lease(&ask).await.leases {
            for job in lease.jobs.iter() {
                assert_eq!(job.seq, seen);
                assert_eq!(job.request.user.as_str(), format!("user{seen}@corp.example"));
                seen += 1;
            }
            steps.apply(lease).await;
        }
    }
    assert_eq!(steps.status(&run).await.phase, RunPhase::Finished);
}

/// As after a lost reply: the producer learns which run has its content, also once its draft is gone.
pub async fn a_seal_told_again_after_its_draft_was_replaced_names_the_run_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(2).keyed("k", "d", true);
    let first = steps.submit(&submission).await;
    let (draft, seal) = steps.draft(&submission).await;
    for _ in 0..2 {
        assert_eq!(steps.seal(&draft, &seal).await, Sealed::Existing(first.clone()));
    }
}

pub async fn a_wrong_count_is_refused_before_the_key_is_looked_at(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let submission = Submission::of_size(2).keyed("k", "d", true);
    let first = steps.submit(&submission).await;
    let (draft, seal) = steps.draft(&submission).await;
    let wrong = Seal { total: 3, ..seal.clone() };
    assert_refused!(steps.store.seal(&draft, &wrong).await, StoreError::Incomplete { .. });
    let nothing = Seal { total: 0, ..seal.clone() };
    assert_refused!(steps.store.seal(&draft, &nothing).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.seal(&draft, &seal).await, Sealed::Existing(first.clone()));
    assert_refused!(steps.store.seal(&first, &wrong).await, StoreError::WrongPhase { .. });
}
