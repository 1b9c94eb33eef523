//! What ended otherwise than as wished is tried again, as part of the same run.

use rusqlite::{OptionalExtension, params};

use super::{
    errors::{StepResult, unreadable},
    ledger::withdraw,
    moves::Moves,
    runs::{Run, write_notes},
    schema::Place,
    writer::Step,
};
use crate::{Outcome, RunId, RunPhase, store::CHUNK};

/// Has these jobs tried again, as far as they are to be; returns how many.
pub(super) fn reopen(step: &mut Step<'_>, id: &RunId, seqs: &[u64]) -> StepResult<u64> {
    let run = Run::visible(step.conn, id)?;
    let reopened = run.phase == RunPhase::Sealed && run.paused && !run.cancelled;
    if !run.phase.is_over() && !reopened {
        return Err(run.refuse("what ended is tried again once all of it is over").into());
    }
    let mut moves = Moves::default();
    let mut again = 0;
    for seq in seqs.iter().take(CHUNK) {
        if let Some(outcome) = try_again(step, Place::of(run.key, *seq))? {
            moves.reopened(run.key, outcome);
            again += 1;
        }
    }
    if again == 0 {
        return Ok(0);
    }
    let mut notes = run.notes()?;
    (notes.held, notes.approval, notes.ending) = (None, None, None);
    write_notes(step.conn, run.key, &notes)?;
    // Whatever was never resolved ended with the run, so that nothing of it waits for that.
    step.conn
        .prepare_cached(
            "UPDATE runs SET phase = 'sealed', paused = 1, cancelled = 0, finished_at = NULL, fresh_at = NULL,
                 steward_worker = NULL, steward_until = NULL, promoted = 0, reopened = 1,
                 unresolved = iif(?2, 0, unresolved)
             WHERE key = ?1",
        )?
        .execute(params![run.key, run.phase.is_over()])?;
    moves.settle(step)?;
    Ok(again)
}

/// As if it had never been resolved; the outcome that it had. `None` where it has none, or it is as wished.
fn try_again(step: &Step<'_>, place: Place) -> StepResult<Option<Outcome>> {
    let outcome: Option<String> = step
        .conn
        .prepare_cached("SELECT outcome FROM jobs WHERE place = ?1 AND state = 'finished'")?
        .query_row([place.0], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(word) = outcome else { return Ok(None) };
    let outcome: Outcome = word.parse().map_err(|problem| unreadable("an outcome", problem))?;
    if outcome.is_as_wished() {
        return Ok(None);
    }
    withdraw(step, place)?;
    step.conn
        .prepare_cached(
            "UPDATE jobs SET state = 'pending', again = 1, due = NULL, account = NULL, resolution = NULL,
                 touched = iif(may_have_applied, coalesce(resolved, touched), NULL), resolved = NULL, user_key = NULL,
                 resolved_at = NULL, spent = 0, deaths = 0, outcome = NULL, code = NULL, message = NULL, worker = NULL
             WHERE place = ?1",
        )?
        .execute([place.0])?;
    Ok(Some(outcome))
}
