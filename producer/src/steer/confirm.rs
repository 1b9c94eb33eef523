//! Somebody's word for a run that waits for it: apply, approve. Both name the plan that was seen.

use usher_shared::{
    Approval, Confirmation, Go, RunPhase, RunState, RunStatus, Timestamp,
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
    match status.state() {
        _ if !status.run.terms.plan => Err(SteerError::NoPlan(status.run.id.clone())),
        _ if status.phase.is_over() || status.cancelled => {
            Err(SteerError::barred(status, Barred::ApplyEnded))
        }
        _ if status.notes.go.is_some() => Ok(Applied::Before),
        RunState::Planned if status.notes.plan.is_some() => Ok(Applied::NotYet),
        _ => Err(SteerError::barred(status, Barred::ApplyTooSoon)),
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

/// Says that a plan is to be applied. The store refuses another hash than the run's.
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
