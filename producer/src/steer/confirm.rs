//! Somebody's word for a run that waits for it: apply, approve. Both name the plan that was seen.

use usher_shared::{
    Approval, Confirmation, Go, RunPhase, RunStatus, Timestamp,
    audit::AuditKind,
    identity::{PersonalToken, approval_text},
    plan::{Plan, PlanHash, PlanHasher, PlanPages},
    store::SharedStore,
};

use super::{Barred, SteerError, Who};

/// Whether a plan waits to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It waits for somebody who says so.
    NotYet,
    /// Somebody said so before.
    Before,
}

/// Whether the plan waits to be applied, or was before.
///
/// # Errors
/// [`SteerError::NoPlan`]; [`SteerError::Barred`] where it is over, being cancelled, or not looked up.
pub fn can_be_applied(status: &RunStatus) -> Result<Applied, SteerError> {
    let barred = |barred| Err(SteerError::barred(status, barred));
    match (status.phase, status.notes.plan.is_some()) {
        _ if !status.run.terms.plan => Err(SteerError::NoPlan(status.run.id.clone())),
        _ if status.phase.is_over() || status.cancelled => barred(Barred::ApplyEnded),
        _ if status.notes.go.is_some() => Ok(Applied::Before),
        // A hold of the account is no matter of the plan: it goes on once that has ended.
        (RunPhase::Resolved, true) if status.paused => barred(Barred::ApplyPaused),
        (RunPhase::Resolved, true) => Ok(Applied::NotYet),
        _ => barred(Barred::ApplyTooSoon),
    }
}

/// Whether the run can be approved: by somebody else than by whom it was submitted, as far as that is proved.
///
/// # Errors
/// [`SteerError::UnderWay`], [`SteerError::Barred`].
pub fn can_be_approved(status: &RunStatus) -> Result<(), SteerError> {
    match (status.phase, status.notes.plan.is_some()) {
        _ if status.phase.is_over() || status.cancelled => {
            Err(SteerError::barred(status, Barred::ApproveEnded))
        }
        (RunPhase::Admitted, _) => Err(SteerError::UnderWay(status.run.id.clone())),
        (RunPhase::Resolved, true) => Ok(()),
        _ => Err(SteerError::barred(status, Barred::ApproveTooSoon)),
    }
}

/// Hashes what lies in the store.
///
/// # Errors
/// What the store answers.
async fn rehashed(store: &SharedStore, status: &RunStatus) -> Result<PlanHash, SteerError> {
    let mut hasher = PlanHasher::new(&status.run.account);
    let mut rows = PlanPages::new(store, &status.run.id);
    while let Some(page) = rows.page().await? {
        page.iter().for_each(|row| hasher.take(row));
    }
    Ok(hasher.finish())
}

/// Refuses a plan that is not what its note says: what would be carried out is not what was shown.
///
/// # Errors
/// [`SteerError::NotPlannedYet`], [`SteerError::Changed`].
pub fn same_as_noted<'a>(plan: &'a Plan, status: &RunStatus) -> Result<&'a PlanHash, SteerError> {
    match &plan.hash {
        Some(found) => check_noted(found, status).map(|()| found),
        None => Err(SteerError::NotPlannedYet(status.run.id.clone())),
    }
}

fn check_noted(found: &PlanHash, status: &RunStatus) -> Result<(), SteerError> {
    let run = &status.run.id;
    let note = status.notes.plan.as_ref().ok_or_else(|| SteerError::NotPlannedYet(run.clone()))?;
    if note.hash == *found {
        return Ok(());
    }
    let (noted, found) = (note.hash.short().to_owned(), found.short().to_owned());
    Err(SteerError::Changed { run: run.clone(), noted, found })
}

/// Refuses a plan that is not the one that was named, or that lies in the store otherwise than it was noted.
///
/// # Errors
/// [`SteerError::NotPlannedYet`], [`SteerError::AnotherPlan`], [`SteerError::Changed`], and what the store answers.
pub async fn check_named(
    store: &SharedStore,
    status: &RunStatus,
    named: &PlanHash,
) -> Result<(), SteerError> {
    let run = &status.run.id;
    let note = status.notes.plan.as_ref().ok_or_else(|| SteerError::NotPlannedYet(run.clone()))?;
    if note.hash != *named {
        let (noted, named) = (note.hash.short().to_owned(), named.short().to_owned());
        return Err(SteerError::AnotherPlan { run: run.clone(), noted, named });
    }
    check_noted(&rehashed(store, status).await?, status)
}

/// Says that a plan is to be applied. That it is what was seen is for [`check_named`] or [`same_as_noted`] to find out before.
///
/// # Errors
/// What the store answers.
pub async fn apply(
    store: &SharedStore,
    status: &RunStatus,
    plan: &PlanHash,
    who: &Who,
    at: Timestamp,
) -> Result<(), SteerError> {
    who.tell(store, AuditKind::Applied, status, Some(plan), None).await?;
    let go = Go { by: who.by.clone(), at, plan: plan.clone() };
    store.confirm(&status.run.id, &Confirmation::Apply(go)).await?;
    Ok(())
}

/// Approves a run, with what proves it: the token's signature over run, plan, name and time, which workers verify. `name`: that
/// of the token; `from`: the machine or address.
///
/// # Errors
/// [`SteerError::OnesOwn`], [`SteerError::Identity`], and what the store answers.
pub async fn approve(
    store: &SharedStore,
    status: &RunStatus,
    plan: &PlanHash,
    (name, token): (&str, &PersonalToken),
    from: Option<String>,
    at: Timestamp,
) -> Result<(), SteerError> {
    let run = &status.run;
    if run.terms.proof.as_ref().is_some_and(|proof| proof.by == name) {
        return Err(SteerError::OnesOwn { run: run.id.clone(), name: name.to_owned() });
    }
    let signature = token.sign(&approval_text(&run.id, plan, name, at))?;
    let who = Who { by: format!("token:{name}"), from };
    who.tell(store, AuditKind::Approved, status, Some(plan), None).await?;
    let approval = Approval { by: name.to_owned(), at, plan: plan.clone(), signature };
    store.confirm(&run.id, &Confirmation::Approve(approval)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use usher_shared::{
        Counters, Effort, Hold, HoldReason, NewRun, PlanNote, Priority, RunNotes, Terms, identity::Proof,
        store::memory::MemoryStore,
    };

    use super::*;

    fn hash(digit: char) -> PlanHash {
        digit.to_string().repeat(64).parse().unwrap()
    }

    /// A run in this phase; a plan, looked up, unless it is sealed.
    fn status(phase: RunPhase) -> RunStatus {
        let note = PlanNote { hash: hash('a'), at: Timestamp::default(), change: 1, active_users: None };
        RunStatus {
            notes: RunNotes { plan: Some(note).filter(|_| phase != RunPhase::Sealed), ..RunNotes::default() },
            run: NewRun {
                terms: Terms { plan: true, ..Terms::default() },
                id: "20261121-k3f9zm".parse().unwrap(),
                account: "zoom-main".parse().unwrap(),
                priority: Priority::Normal,
                reason: None,
                asked_by: "test".into(),
                source: None,
                created_at: Timestamp::default(),
            },
            phase,
            paused: false,
            cancelled: false,
            admission: None,
            by_action: Default::default(),
            counters: Counters::default(),
            effort: Effort::default(),
            sealed_at: None,
            finished_at: None,
            fresh_at: None,
            hold: None,
        }
    }

    fn applied(mut status: RunStatus) -> RunStatus {
        status.notes.go = Some(Go { by: "test".into(), at: Timestamp::default(), plan: hash('a') });
        status
    }

    #[test]
    fn only_a_plan_that_waits_for_it_is_applied() {
        use RunPhase as P;
        let cancelled = RunStatus { cancelled: true, ..status(P::Resolved) };
        let hold = Hold {
            reason: HoldReason::Quota,
            message: String::new(),
            since: Timestamp::default(),
            until: None,
        };
        let held = RunStatus { hold: Some(hold), ..status(P::Resolved) };
        let mut no_plan = status(P::Resolved);
        no_plan.run.terms.plan = false;
        let cases = [
            (status(P::Resolved), "NotYet"),
            (applied(status(P::Resolved)), "Before"),
            (applied(status(P::Admitted)), "Before"),
            (
                status(P::Sealed),
                "run 20261121-k3f9zm is resolving: it can be applied once everybody has been looked up",
            ),
            (
                RunStatus { paused: true, ..status(P::Resolved) },
                "run 20261121-k3f9zm is paused: it can be applied once it is resumed",
            ),
            (held, "NotYet"),
            (cancelled, "run 20261121-k3f9zm is being cancelled: plan again"),
            (applied(status(P::Finished)), "run 20261121-k3f9zm is finished: plan again"),
            (no_plan, "run 20261121-k3f9zm is no plan, but a run that goes on by itself"),
        ];
        for (status, expected) in cases {
            let said = match can_be_applied(&status) {
                Ok(applied) => format!("{applied:?}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn only_what_is_looked_up_and_not_under_way_is_approved() {
        use RunPhase as P;
        let cases = [
            (status(P::Resolved), "approved"),
            (applied(status(P::Resolved)), "approved"),
            (
                status(P::Sealed),
                "run 20261121-k3f9zm is resolving: it can be approved once everybody has been looked up",
            ),
            (status(P::Admitted), "run 20261121-k3f9zm is under way already: there is nothing to approve"),
            (status(P::Cancelled), "run 20261121-k3f9zm is cancelled: there is nothing to approve"),
        ];
        for (status, expected) in cases {
            let said =
                can_be_approved(&status).map_or_else(|error| error.to_string(), |()| "approved".into());
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_plan_that_is_not_what_was_noted_is_refused() {
        let plan = |digit| Plan { hash: Some(hash(digit)), ..Plan::default() };
        let planned = status(RunPhase::Resolved);
        assert_eq!(same_as_noted(&plan('a'), &planned).unwrap(), &hash('a'));
        let error = same_as_noted(&plan('b'), &planned).unwrap_err().to_string();
        assert!(error.contains("aaaaaaaaaaaaaaaa") && error.contains("bbbbbbbbbbbbbbbb"), "{error}");
        let error = same_as_noted(&plan('a'), &status(RunPhase::Sealed)).unwrap_err();
        assert!(matches!(error, SteerError::NotPlannedYet(_)), "{error}");
    }

    #[tokio::test]
    async fn nobody_approves_what_their_own_token_submitted_and_nothing_is_told_of_it() {
        let clock = std::sync::Arc::new(usher_shared::ManualClock::new(Timestamp::default()));
        let store: SharedStore = std::sync::Arc::new(MemoryStore::new(clock));
        let mut own = status(RunPhase::Resolved);
        own.run.terms.proof = Some(Proof { by: "ann".into(), signature: String::new() });
        let token = PersonalToken::generate().unwrap();
        let approved = approve(&store, &own, &hash('a'), ("ann", &token), None, Timestamp::default()).await;
        assert_eq!(
            approved.unwrap_err().to_string(),
            "ann submitted run 20261121-k3f9zm: another person has to approve it"
        );
        assert_eq!(store.audit(1, 10).await.unwrap(), []);
    }
}
