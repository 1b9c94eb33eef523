//! Steering: pause, resume, cancel, priority, holds.

use rusqlite::{OptionalExtension, params};

use super::{
    errors::{StepResult, unreadable},
    ledger::{End, Moves, end},
    runs::{Run, account_key_or_new, in_force},
    schema::{Place, State},
    writer::Step,
};
use crate::{AccountName, Hold, Priority, RunId, RunPhase, store::CHUNK};

pub(super) fn pause(step: &mut Step<'_>, id: &RunId) -> StepResult<()> {
    let run = Run::visible(step.conn, id)?.not_over("it can't be paused")?;
    step.conn.prepare_cached("UPDATE runs SET paused = 1 WHERE key = ?1")?.execute([run.key])?;
    Ok(())
}

pub(super) fn resume(step: &mut Step<'_>, id: &RunId) -> StepResult<()> {
    let run = Run::visible(step.conn, id)?.not_over("it can't be resumed")?;
    step.conn.prepare_cached("UPDATE runs SET paused = 0 WHERE key = ?1")?.execute([run.key])?;
    step.wake(&run.account_name);
    Ok(())
}

pub(super) fn set_priority(step: &mut Step<'_>, id: &RunId, priority: Priority) -> StepResult<()> {
    let run = Run::visible(step.conn, id)?.not_over("its priority can't be changed")?;
    step.conn
        .prepare_cached("UPDATE runs SET rank = ?2 WHERE key = ?1")?
        .execute(params![run.key, priority.rank()])?;
    step.wake(&run.account_name);
    Ok(())
}

/// Cancels; ends up to `limit` jobs that no worker holds. Returns how many have no outcome yet.
pub(super) fn cancel(step: &mut Step<'_>, id: &RunId, limit: usize) -> StepResult<u64> {
    let run = Run::visible(step.conn, id)?;
    if run.phase == RunPhase::Cancelled {
        return Ok(0);
    }
    let run = run.not_over("it can't be cancelled any more")?;
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
            end(step, &mut moves, *place, state, End::CANCELLED)?;
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
    let (index, from) = match state {
        // Lies behind all that was promoted.
        State::Pending => (String::new(), run.promoted),
        _ => (format!("INDEXED BY jobs_{word}"), 0),
    };
    let sql = format!(
        "SELECT place FROM jobs {index} WHERE run = ?1 AND place >= ?2 AND place < ?3 AND state = '{word}'
         ORDER BY place LIMIT ?4"
    );
    Ok(step
        .conn
        .prepare_cached(&sql)?
        .query_map(params![run.key, Place::of(run.key, from).0, Place::end(run.key).0, limit], |row| {
            row.get(0).map(Place)
        })?
        .collect::<Result<_, _>>()?)
}

pub(super) fn hold(step: &mut Step<'_>, account: &AccountName, hold: &Hold) -> StepResult<()> {
    let key = account_key_or_new(step.conn, account)?;
    let text = serde_json::to_string(hold).map_err(|problem| unreadable("a hold to be stored", problem))?;
    step.conn.prepare_cached("UPDATE accounts SET hold = ?2 WHERE key = ?1")?.execute(params![key, text])?;
    step.wake(account);
    Ok(())
}

/// Takes a hold back; `false` where none was in force.
pub(super) fn release(step: &mut Step<'_>, account: &AccountName) -> StepResult<bool> {
    let held: Option<Option<String>> = step
        .conn
        .prepare_cached("SELECT hold FROM accounts WHERE name = ?1")?
        .query_row([account.as_str()], |row| row.get(0))
        .optional()?;
    let in_force = in_force(held.flatten().as_deref(), step.now)?.is_some();
    step.conn
        .prepare_cached("UPDATE accounts SET hold = NULL WHERE name = ?1")?
        .execute([account.as_str()])?;
    step.wake(account);
    Ok(in_force)
}
