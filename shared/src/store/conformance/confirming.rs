//! A person lets a run go on: its number is of now, and its users are resolved again.

use std::time::Duration;

use super::{
    Fixture,
    samples::{Submission, TTL, plan_hash, same},
    steps::Steps,
};
use crate::{
    Approval, Confirmation, Go, Held, HeldReason, Note, Outcome, RunId, RunPhase, RunState,
    store::{Remaining, Resolution, StoreError},
};

fn go(steps: &Steps<'_>) -> Go {
    Go { by: "cli:alice@host".into(), at: steps.now(), plan: plan_hash('a') }
}

fn approval(steps: &Steps<'_>) -> Approval {
    Approval { by: "bob".into(), at: steps.now(), plan: plan_hash('a'), signature: "s-_1".into() }
}

fn drifted(job: &Remaining) -> Resolution {
    Resolution::Settled {
        outcome: Outcome::Drifted,
        code: Some("drifted".into()),
        message: Some("status was active and is inactive".into()),
        user: Some(job.user.clone()),
    }
}

/// A plan that was resolved.
async fn plan(steps: &Steps<'_>, users: &[&str]) -> RunId {
    let run = steps.submit(&Submission::of(users).planned()).await;
    steps.resolve_all(&run).await;
    run
}

async fn confirm(steps: &Steps<'_>, run: &RunId, confirmation: &Confirmation) {
    steps.store.confirm(run, confirmation).await.unwrap();
    steps.check_counters().await;
}

pub async fn a_plan_that_is_applied_goes_on_once_its_users_were_resolved_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = plan(&steps, &["a@c.d", "b@c.d"]).await;
    assert_eq!(steps.status(&run).await.state(), RunState::Planned);
    let go = go(&steps);
    confirm(&steps, &run, &Confirmation::Apply(go.clone())).await;
    let status = steps.status(&run).await;
    assert_eq!((status.phase, status.state(), status.fresh_at), (RunPhase::Resolved, RunState::Held, None));
    assert!(status.stood_still(steps.now()).is_some());
    assert_eq!((status.notes.go, status.notes.approval), (Some(go), None));
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    steps.resolve_again(&run, same).await;
    assert_eq!(steps.status(&run).await.stood_still(steps.now()), None);
    steps.promote_all(&run).await;
    assert_eq!(steps.work_to_the_end("w1").await, [(run.clone(), 0), (run.clone(), 1)]);
    assert_eq!(steps.status(&run).await.phase, RunPhase::Finished);
}

/// Who decides now decides against whatever was submitted since the plan was made.
pub async fn a_confirmed_run_outweighs_what_was_sealed_before_its_confirmation(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = plan(&steps, &["a@c.d", "b@c.d"]).await;
    let between = steps.queue(&Submission::of(&["a@c.d", "z@c.d"]).activating()).await;
    confirm(&steps, &run, &Confirmation::Apply(go(&steps))).await;
    let after = steps.queue(&Submission::of(&["b@c.d"]).activating()).await;
    steps.resolve_again(&run, same).await;
    steps.promote_all(&run).await;
    let mut numbers = Vec::new();
    for run in [&between, &run, &after] {
        numbers.push(steps.status(run).await.admission);
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    steps.work_to_the_end("w1").await;
    let ends = async |run| steps.outcomes(run).await.into_iter().map(|row| row.outcome).collect::<Vec<_>>();
    assert_eq!(ends(&between).await, [Outcome::Superseded, Outcome::Applied]);
    assert_eq!(ends(&run).await, [Outcome::Applied, Outcome::Superseded]);
    assert_eq!(ends(&after).await, [Outcome::Applied]);
}

pub async fn who_has_drifted_is_settled_when_it_is_resolved_again(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = plan(&steps, &["a@c.d", "b@c.d", "c@c.d"]).await;
    confirm(&steps, &run, &Confirmation::Apply(go(&steps))).await;
    steps.resolve_again(&run, |job| if job.seq == 1 { drifted(job) } else { same(job) }).await;
    assert_eq!(steps.status(&run).await.counters.pending, 3);
    steps.promote_all(&run).await;
    steps.work_to_the_end("w1").await;
    let rows = steps.outcomes(&run).await;
    assert_eq!(rows[1].outcome, Outcome::Drifted);
    assert_eq!((rows[1].code.as_deref(), rows[1].attempts), (Some("drifted"), 0));
    assert_eq!(rows[1].message.as_deref(), Some("status was active and is inactive"));
    assert_eq!(steps.status(&run).await.counters.of(Outcome::Applied), 2);
}

/// Its answer was lost, and it is said again: whatever has become of the run since.
pub async fn the_same_word_again_changes_nothing(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = plan(&steps, &["a@c.d"]).await;
    let word = Confirmation::Apply(go(&steps));
    confirm(&steps, &run, &word).await;
    let between = steps.queue(&Submission::of(&["a@c.d"]).activating()).await;
    confirm(&steps, &run, &word).await;
    steps.resolve_again(&run, same).await;
    let resolved = steps.status(&run).await;
    confirm(&steps, &run, &word).await;
    assert_eq!(steps.status(&run).await, resolved);
    steps.promote_all(&run).await;
    confirm(&steps, &run, &word).await;
    steps.work_to_the_end("w1").await;
    let over = steps.status(&run).await;
    confirm(&steps, &run, &word).await;
    assert_eq!(steps.status(&run).await, over);
    // The one in between was sealed after the word was given.
    assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::Superseded);
    assert_eq!(steps.only_outcome(&between).await.outcome, Outcome::Applied);
}

pub async fn an_approval_is_noted_beside_the_word_to_apply(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = plan(&steps, &["a@c.d"]).await;
    let held = Held { reason: HeldReason::Approval, message: "wait".into(), since: steps.now() };
    steps.store.note(&run, &Note::Held(Some(held.clone()))).await.unwrap();
    let (go, approval) = (go(&steps), approval(&steps));
    confirm(&steps, &run, &Confirmation::Apply(go.clone())).await;
    steps.resolve_again(&run, same).await;
    confirm(&steps, &run, &Confirmation::Approve(approval.clone())).await;
    let status = steps.status(&run).await;
    assert_eq!((status.notes.go, status.notes.approval), (Some(go), Some(approval.clone())));
    assert_eq!((status.notes.held, status.fresh_at), (Some(held), None));
    // A later approval counts: the one before it may have expired.
    steps.pass(Duration::from_secs(60)).await;
    let later = Approval { at: steps.now(), by: "carol".into(), ..approval };
    confirm(&steps, &run, &Confirmation::Approve(later.clone())).await;
    assert_eq!(steps.status(&run).await.notes.approval, Some(later));
}

pub async fn a_run_that_is_no_plan_can_be_approved_but_not_applied(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.submit(&Submission::of_size(1)).await;
    steps.resolve_all(&run).await;
    let before = steps.status(&run).await;
    let apply = Confirmation::Apply(go(&steps));
    assert_refused!(steps.store.confirm(&run, &apply).await, StoreError::WrongPhase { .. });
    assert_eq!(steps.status(&run).await, before);
    confirm(&steps, &run, &Confirmation::Approve(approval(&steps))).await;
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    steps.resolve_again(&run, same).await;
    steps.admit(&run).await;
}

pub async fn only_a_resolved_run_can_be_confirmed(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let words = [Confirmation::Apply(go(&steps)), Confirmation::Approve(approval(&steps))];
    let refused = async |run: &RunId| {
        for word in &words {
            assert_refused!(steps.store.confirm(run, word).await, StoreError::WrongPhase { .. });
        }
    };
    let sealed = steps.submit(&Submission::of_size(2).planned()).await;
    refused(&sealed).await;
    let admitted = plan(&steps, &["a@c.d", "b@c.d"]).await;
    steps.admit(&admitted).await;
    refused(&admitted).await;
    let called_off = plan(&steps, &["a@c.d", "b@c.d"]).await;
    assert_eq!(steps.cancel(&called_off, 1).await, 1);
    refused(&called_off).await;
    assert_eq!(steps.cancel(&called_off, 9).await, 0);
    refused(&called_off).await;
    let nobody = "20261120-zzzzzz".parse().unwrap();
    assert_refused!(steps.store.confirm(&nobody, &words[0]).await, StoreError::NoSuchRun(_));
}

/// What its steward has found out so far is of before the word.
pub async fn a_confirmation_ends_a_resolving_that_is_under_way(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = plan(&steps, &["a@c.d"]).await;
    confirm(&steps, &run, &Confirmation::Apply(go(&steps))).await;
    let steward = steps.steward(&run, "w1", TTL).await.unwrap();
    confirm(&steps, &run, &Confirmation::Approve(approval(&steps))).await;
    assert_refused!(steps.store.renew_steward(&steward, TTL).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.finish_resolving(steward).await, StoreError::LeaseLapsed(_));
    assert_refused!(steps.store.admit(&run).await, StoreError::WrongPhase { .. });
    let next = steps.steward(&run, "w2", TTL).await.unwrap();
    steps.finish_resolving(next).await;
    steps.admit(&run).await;
}
