//! What is noted on a run, and what a person says of it.

use rusqlite::params;

use super::{
    errors::StepResult,
    runs::{Run, next_number, write_notes},
    writer::Step,
};
use crate::{Confirmation, Note, RunId, RunPhase};

pub(super) fn note(step: &mut Step<'_>, id: &RunId, note: &Note) -> StepResult<()> {
    let run = Run::visible(step.conn, id)?.not_over("nothing more is noted on it")?;
    let mut notes = run.notes()?;
    match note {
        Note::Plan(plan) => notes.plan = Some(plan.clone()),
        Note::Held(held) => notes.held = held.clone(),
    }
    write_notes(step.conn, run.key, &notes)
}

pub(super) fn confirm(step: &mut Step<'_>, id: &RunId, confirmation: &Confirmation) -> StepResult<()> {
    let run = Run::visible(step.conn, id)?;
    let mut notes = run.notes()?;
    let known = match confirmation {
        Confirmation::Apply(go) => notes.go.as_ref() == Some(go),
        Confirmation::Approve(approval) => notes.approval.as_ref() == Some(approval),
    };
    if known {
        return Ok(());
    }
    if matches!(confirmation, Confirmation::Apply(_)) && !run.as_opened(step.conn)?.terms.plan {
        return Err(run.refuse("it is no plan, so it needs nobody to apply it").into());
    }
    if run.phase != RunPhase::Resolved || run.cancelled {
        return Err(run.refuse("it does not wait for anybody's word").into());
    }
    match confirmation {
        Confirmation::Apply(go) => notes.go = Some(go.clone()),
        Confirmation::Approve(approval) => notes.approval = Some(approval.clone()),
    }
    write_notes(step.conn, run.key, &notes)?;
    let number = next_number(step.conn, run.account)?;
    // What somebody found out about its users before this is not relied on.
    step.conn
        .prepare_cached(
            "UPDATE runs SET admission = ?2, fresh_at = NULL, steward_worker = NULL, steward_until = NULL WHERE key = ?1",
        )?
        .execute(params![run.key, number])?;
    step.wake(&run.account_name);
    Ok(())
}
