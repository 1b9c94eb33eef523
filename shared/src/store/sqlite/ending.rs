//! How the rest of a run is ended: by a person, by its deadline, by the account's caps.

use rusqlite::params;

use super::{
    errors::StepResult,
    ledger::{End, end as end_job},
    moves::Moves,
    runs::{Run, write_notes},
    schema::{Place, State},
    writer::Step,
};
use crate::{Ending, RunId, RunPhase, store::CHUNK};

/// Ends up to `limit` jobs that no worker holds. Returns how many have no outcome yet.
pub(super) fn end(step: &mut Step<'_>, id: &RunId, ending: &Ending, limit: usize) -> StepResult<u64> {
    let run = Run::visible(step.conn, id)?;
    if run.phase == RunPhase::Cancelled {
        return Ok(0);
    }
    let run = run.not_over("it can't be cancelled any more")?;
    let begun = run.ending()?;
    let ending = begun.as_ref().unwrap_or(ending);
    let mut notes = run.notes()?;
    if notes.ending.is_none() {
        notes.ending = Some(ending.clone());
        write_notes(step.conn, run.key, &notes)?;
    }
    // Whoever resolves it has nothing left to do.
    step.conn
        .prepare_cached(
            "UPDATE runs SET cancelled = 1, steward_worker = NULL, steward_until = NULL WHERE key = ?1",
        )?
        .execute([run.key])?;
    let mut moves = Moves::default();
    moves.touch(run.key);
    let mut room = limit.min(CHUNK);
    for state in [State::Ready, State::Alone, State::Waiting, State::Pending] {
        let places = places(step, &run, state, room)?;
        room -= places.len();
        for place in &places {
            end_job(step, &mut moves, *place, state, End::with(ending))?;
        }
        if let (State::Pending, Some(last)) = (state, places.last()) {
            step.conn
                .prepare_cached("UPDATE runs SET promoted = ?2 WHERE key = ?1")?
                .execute(params![run.key, last.seq() + 1])?;
        }
    }
    moves.settle(step)?;
    let after = Run::numbered(step.conn, run.key)?;
    Ok(after.total - after.finished.min(after.total))
}

/// Some of the run's jobs in this state.
fn places(step: &Step<'_>, run: &Run, state: State, limit: usize) -> StepResult<Vec<Place>> {
    let word = state.as_str();
    let (jobs, from) = match state {
        // Lies behind all that was promoted.
        State::Pending => (run.pending_jobs().to_owned(), run.promoted),
        _ => (format!("jobs INDEXED BY jobs_{word} WHERE"), 0),
    };
    let sql = format!(
        "SELECT place FROM {jobs} run = ?1 AND place >= ?2 AND place < ?3 AND state = '{word}' ORDER BY place LIMIT ?4"
    );
    Ok(step
        .conn
        .prepare_cached(&sql)?
        .query_map(params![run.key, Place::of(run.key, from).0, Place::end(run.key).0, limit], |row| {
            row.get(0).map(Place)
        })?
        .collect::<Result<_, _>>()?)
}
