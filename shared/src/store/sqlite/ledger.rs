//! What jobs go through: attempts, outcomes, the queue. What is moved here is told to [`Moves`].

use rusqlite::params;

use super::{
    errors::StepResult,
    moves::Moves,
    schema::{Place, State},
    writer::Step,
};
use crate::{Attempt, Ending, Outcome, Timestamp, Verdict};

/// Writes one attempt into the ledger. `spends` says whether it counts against the job's budget.
pub(super) fn record(
    step: &Step<'_>,
    moves: &mut Moves,
    place: Place,
    attempt: &Attempt,
    spends: bool,
) -> StepResult<()> {
    step.conn
        .prepare_cached(
            "UPDATE jobs SET attempts = attempts + 1, spent = spent + ?2, deaths = deaths + ?3,
                 may_have_applied = max(may_have_applied, ?4),
                 first_attempt_at = coalesce(first_attempt_at, ?5), last_attempt_at = ?6
             WHERE place = ?1",
        )?
        .execute(params![
            place.0,
            spends,
            attempt.verdict == Verdict::Lost,
            may_have_applied(attempt),
            attempt.began_at.as_millis(),
            attempt.ended_at.as_millis()
        ])?;
    list(step, moves, place, attempt)
}

/// Writes the attempt that ended a job into the ledger, and gives the job its outcome: [`record`] and [`end`] at the cost of
/// one of them.
pub(super) fn record_and_end(
    step: &Step<'_>,
    moves: &mut Moves,
    place: Place,
    attempt: &Attempt,
    end: End<'_>,
) -> StepResult<()> {
    step.conn
        .prepare_cached(
            "UPDATE jobs SET attempts = attempts + 1, spent = spent + 1, deaths = deaths + ?2,
                 may_have_applied = max(may_have_applied, ?3),
                 first_attempt_at = coalesce(first_attempt_at, ?4), last_attempt_at = ?5,
                 state = 'finished', due = NULL, outcome = ?6, code = ?7, message = ?8, worker = ?9
             WHERE place = ?1",
        )?
        .execute(params![
            place.0,
            attempt.verdict == Verdict::Lost,
            may_have_applied(attempt),
            attempt.began_at.as_millis(),
            attempt.ended_at.as_millis(),
            end.outcome.as_str(),
            end.code,
            end.message,
            end.worker
        ])?;
    list(step, moves, place, attempt)?;
    ended(step, moves, place, State::Leased, end.outcome)
}

/// Whether the vendor may have done what was wanted though it was not heard to say so.
fn may_have_applied(attempt: &Attempt) -> bool {
    attempt.verdict == Verdict::Lost || (attempt.verdict == Verdict::Transient && attempt.calls > 0)
}

/// Lists an attempt that the job has counted.
fn list(step: &Step<'_>, moves: &mut Moves, place: Place, attempt: &Attempt) -> StepResult<()> {
    let text = serde_json::to_string(attempt)
        .map_err(|problem| super::errors::unreadable("an attempt to be stored", problem))?;
    step.conn
        .prepare_cached(
            "INSERT INTO attempts (place, number, attempt) SELECT place, attempts, ?2 FROM jobs WHERE place = ?1",
        )?
        .execute(params![place.0, text])?;
    moves.attempted(place.run(), attempt);
    Ok(())
}

/// What a job ends with.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub(super) outcome: Outcome,
    pub(super) code: Option<&'a str>,
    pub(super) message: Option<&'a str>,
    /// The worker that finished it, where one did.
    pub(super) worker: Option<&'a str>,
}

impl<'a> End<'a> {
    /// A job that ends with the rest of its run.
    pub(super) fn with(ending: &'a Ending) -> Self {
        let (code, message) = (ending.code.as_deref(), Some(ending.message.as_str()));
        Self { outcome: ending.outcome, code, message, worker: None }
    }
}

/// Whether a job that ended so decides about its user: not if it only ended with the rest of its run.
pub(super) fn decides(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Cancelled | Outcome::Expired)
}

/// Gives a job its outcome.
pub(super) fn end(
    step: &Step<'_>,
    moves: &mut Moves,
    place: Place,
    from: State,
    end: End<'_>,
) -> StepResult<()> {
    step.conn
        .prepare_cached(
            "UPDATE jobs SET state = 'finished', due = NULL, outcome = ?2, code = ?3, message = ?4, worker = ?5
             WHERE place = ?1",
        )?
        .execute(params![place.0, end.outcome.as_str(), end.code, end.message, end.worker])?;
    ended(step, moves, place, from, end.outcome)
}

fn ended(step: &Step<'_>, moves: &mut Moves, place: Place, from: State, outcome: Outcome) -> StepResult<()> {
    if !decides(outcome) {
        withdraw(step, place)?;
    }
    moves.ended(place.run(), from, outcome);
    Ok(())
}

/// Takes back the claim of a job that ended with its run, was settled without a call, or is tried again: it supersedes
/// nothing.
pub(super) fn withdraw(step: &Step<'_>, place: Place) -> StepResult<()> {
    step.conn
        .prepare_cached(
            "DELETE FROM claims WHERE (account, user, admission) =
                 (SELECT j.account, j.user_key, r.admission FROM jobs j JOIN runs r ON r.key = j.run WHERE j.place = ?1)
                 AND place = ?1",
        )?
        .execute([place.0])?;
    Ok(())
}

/// Puts a job (back) into the queue, to be leased when `due`, or at once.
pub(super) fn enqueue(
    step: &Step<'_>,
    moves: &mut Moves,
    place: Place,
    from: State,
    due: Option<Timestamp>,
) -> StepResult<()> {
    let word: String = step
        .conn
        .prepare_cached(
            "UPDATE jobs SET due = ?2,
                 state = CASE WHEN ?2 IS NOT NULL THEN 'waiting' WHEN deaths >= 2 THEN 'alone' ELSE 'ready' END
             WHERE place = ?1 RETURNING state",
        )?
        .query_row(params![place.0, due.map(Timestamp::as_millis)], |row| row.get(0))?;
    let to = State::read(&word).ok_or_else(|| super::errors::unreadable("a job's state", &word))?;
    moves.moved(place.run(), from, to);
    Ok(())
}
