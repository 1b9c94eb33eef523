//! A plan: what a run's requests came to, read back page by page, and what is noted on the run.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, gone, plan_hash, resolved, user_ref},
    steps::Steps,
};
use crate::{
    Action, Held, HeldReason, Note, PlanNote, Restore, RunNotes, RunState, Terms,
    identity::Proof,
    plan::Planned,
    store::{CHUNK, Resolution, StoreError},
};

fn plan_note(steps: &Steps<'_>, digit: char) -> PlanNote {
    PlanNote { hash: plan_hash(digit), at: steps.now(), change: 2, active_users: Some(1_000) }
}

fn held(steps: &Steps<'_>, reason: HeldReason) -> Held {
    Held { reason, message: "type `usher apply`: \"é\" 100%".into(), since: steps.now() }
}

pub async fn what_was_resolved_comes_back_page_by_page_as_it_was_written(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of(&["a@c.d", "b@c.d", "A@c.d", "d@c.d", "e@c.d"]);
    submission.requests[0].reason = Some("left".into());
    submission.requests[3].action = Action::Activate;
    let (license, role) = (Some("2".to_owned()), Some("r|1".to_owned()));
    let restore = Restore { license, role, groups: vec!["g1".into(), "g 2 é".into()] };
    submission.requests[3].restore = Some(restore);
    let run = steps.submit(&submission).await;
    let owner = Resolution::Settled {
        outcome: crate::Outcome::Protected,
        code: Some("owner".into()),
        message: Some("the owner is never changed".into()),
        user: Some(resolved(&user_ref("e@c.d"))),
    };
    let exceptions = [(1, gone()), (2, Resolution::Duplicate { of_line: 1 }), (4, owner)].into();
    steps.resolve_except(&run, &exceptions).await;
    let expected: Vec<Planned> = (0..)
        .zip(&submission.requests)
        .map(|(seq, request)| {
            let change = || Resolution::Change(resolved(&request.user));
            let resolution = exceptions.get(&seq).cloned().unwrap_or_else(change);
            Planned { seq, request: request.clone(), resolution }
        })
        .collect();
    let page = async |from, limit| steps.store.planned(&run, from, limit).await.unwrap();
    assert_eq!(page(0, 10).await, expected);
    assert_eq!(page(0, 2).await, expected[..2]);
    assert_eq!(page(2, 2).await, expected[2..4]);
    assert_eq!(page(4, 10).await, expected[4..]);
    assert_eq!(page(5, 10).await, []);
    let nobody = "20261120-zzzzzz".parse().unwrap();
    assert_refused!(steps.store.planned(&nobody, 0, 1).await, StoreError::NoSuchRun(_));
}

pub async fn what_is_not_resolved_yet_is_left_out(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(4)).await;
    assert_eq!(steps.store.planned(&run, 0, 10).await.unwrap(), []);
    let steward = steps.take_steward(&run).await;
    let user = resolved(&user_ref("user2@corp.example"));
    steps.resolve(&steward, &[(2, Resolution::Change(user))]).await;
    let found = steps.store.planned(&run, 0, 10).await.unwrap();
    assert_eq!(found.iter().map(|planned| planned.seq).collect::<Vec<_>>(), [2]);
}

pub async fn who_was_changed_stays_plannedned(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(3)).await;
    steps.resolve_all(&run).await;
    let planned = steps.store.planned(&run, 0, 10).await.unwrap();
    steps.promote_all(&run).await;
    steps.work_to_the_end("w1").await;
    assert_eq!(steps.store.planned(&run, 0, 10).await.unwrap(), planned);
}

pub async fn a_plan_of_several_chunks_is_read_whole(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let size = CHUNK * 2 + 7;
    let run = steps.submit(&Submission::of_size(size)).await;
    steps.resolve_except(&run, &[(CHUNK as u64, gone())].into()).await;
    let (mut seqs, mut from) = (Vec::new(), 0);
    loop {
        let page = steps.store.planned(&run, from, CHUNK).await.unwrap();
        seqs.extend(page.iter().map(|planned| planned.seq));
        match page.last() {
            Some(last) if page.len() == CHUNK => from = last.seq + 1,
            _ => break,
        }
    }
    assert_eq!(seqs, (0..size as u64).collect::<Vec<_>>());
}

/// What an activation gives back is of the request: whoever resolves or works it sees it.
pub async fn what_is_to_be_restored_comes_with_the_request_wherever_it_is_read(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let mut submission = Submission::of(&["a@c.d", "b@c.d"]).activating();
    let restore = Restore { license: Some("2".into()), role: None, groups: vec!["g".into()] };
    submission.requests[0].restore = Some(restore);
    submission.requests[1].restore = Some(Restore::default());
    let run = steps.submit(&submission).await;
    let read = steps.store.requests(&run, 0, 10).await.unwrap();
    assert_eq!(read, (0..).zip(submission.requests.clone()).collect::<Vec<_>>());
    steps.release_into_queue(&run).await;
    for request in &submission.requests {
        let lease = steps.lease_one("w1").await;
        assert_eq!(lease.jobs[0].request, *request);
        steps.apply(lease).await;
    }
}

pub async fn the_terms_of_a_run_are_kept_to_the_letter(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let at = |seconds| Some(steps.now().after(Duration::from_secs(seconds)));
    let terms = Terms {
        plan: true,
        undoes: Some("20261120-zzzzzz".parse().unwrap()),
        not_before: at(60),
        deadline: at(3_600),
        proof: Some(Proof { by: "alice".into(), signature: "abc-_123".into() }),
    };
    let run = steps.submit(&Submission { terms: terms.clone(), ..Submission::of_size(1) }).await;
    assert_eq!(steps.status(&run).await.run.terms, terms);
    assert_eq!(steps.store.runs(None, 9).await.unwrap()[0].run.terms, terms);
}

pub async fn a_note_takes_the_place_of_the_one_of_its_kind(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(2)).await;
    assert_eq!(steps.status(&run).await.notes, RunNotes::default());
    let early = held(&steps, HeldReason::NotBefore);
    steps.store.note(&run, &Note::Held(Some(early.clone()))).await.unwrap();
    let status = steps.status(&run).await;
    assert_eq!(status.notes, RunNotes { held: Some(early), ..RunNotes::default() });
    assert_eq!(status.state(), RunState::Scheduled);
    steps.resolve_all(&run).await;
    let plan = plan_note(&steps, 'a');
    steps.store.note(&run, &Note::Plan(plan.clone())).await.unwrap();
    let over = held(&steps, HeldReason::OverRunCap);
    steps.store.note(&run, &Note::Held(Some(over.clone()))).await.unwrap();
    let notes = RunNotes { plan: Some(plan), held: Some(over.clone()), ..RunNotes::default() };
    assert_eq!(steps.status(&run).await.notes, notes);
    assert_eq!(steps.store.unfinished(&super::samples::account()).await.unwrap()[0].notes, notes);
    let another = PlanNote { active_users: None, ..plan_note(&steps, 'b') };
    steps.store.note(&run, &Note::Plan(another.clone())).await.unwrap();
    let notes = RunNotes { plan: Some(another.clone()), held: Some(over), ..RunNotes::default() };
    assert_eq!(steps.status(&run).await.notes, notes);
    steps.store.note(&run, &Note::Held(None)).await.unwrap();
    let notes = RunNotes { plan: Some(another), ..RunNotes::default() };
    assert_eq!(steps.status(&run).await.notes, notes);
    // They are there when it is worked, and when it is over.
    steps.promote_all(&run).await;
    steps.work_to_the_end("w1").await;
    assert_eq!(steps.status(&run).await.notes, notes);
}

pub async fn nothing_is_noted_on_a_run_that_is_over_or_not_seen(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(1)).await;
    steps.work_to_the_end("w1").await;
    let note = Note::Plan(plan_note(&steps, 'a'));
    assert_refused!(steps.store.note(&run, &note).await, StoreError::WrongPhase { .. });
    assert_refused!(steps.store.note(&run, &Note::Held(None)).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.status(&run).await.notes, RunNotes::default());
    let open = steps.open(&Submission::of_size(1)).await;
    assert_refused!(steps.store.note(&open, &note).await, StoreError::NoSuchRun(_));
}
