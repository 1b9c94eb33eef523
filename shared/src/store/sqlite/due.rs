//! What there is for an ask beside the jobs that it is given: what comes due, and when; what must run alone.

use rusqlite::{OptionalExtension, params};

use super::{
    errors::{StepResult, unreadable},
    moves::Moves,
    schema::{Place, State},
    writer::Step,
};
use crate::{
    Priority, RunId, Timestamp,
    store::{CHUNK, LeaseAsk, STANDS_STILL},
};

/// Waiting jobs that one ask looks at in vain before it is told to come back.
const PASSED_OVER: usize = 500;

/// Moves waiting jobs whose time has come to the others.
pub(super) fn come_due(step: &Step<'_>, moves: &mut Moves, account: i64) -> StepResult<()> {
    // Seldom is there any, and looking costs less than an update of none.
    if first_due(step, account)?.is_none_or(|due| due > step.now) {
        return Ok(());
    }
    let due: Vec<(Place, String)> = step
        .conn
        .prepare_cached(
            "UPDATE jobs SET due = NULL, state = CASE WHEN deaths >= 2 THEN 'alone' ELSE 'ready' END
             WHERE place IN (SELECT place FROM jobs INDEXED BY jobs_due
                             WHERE account = ?1 AND state = 'waiting' AND due <= ?2 ORDER BY due LIMIT ?3)
             RETURNING place, state",
        )?
        .query_map(params![account, step.now.as_millis(), CHUNK], |row| {
            Ok((Place(row.get(0)?), row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    for (place, word) in due {
        let to = State::read(&word).ok_or_else(|| unreadable("a job's state", &word))?;
        moves.moved(place.run(), State::Waiting, to);
    }
    Ok(())
}

/// When the first waiting job of the account comes due, whoever may be given it.
fn first_due(step: &Step<'_>, account: i64) -> StepResult<Option<Timestamp>> {
    let due: Option<i64> = step
        .conn
        .prepare_cached(
            "SELECT due FROM jobs INDEXED BY jobs_due WHERE account = ?1 AND state = 'waiting' ORDER BY due LIMIT 1",
        )?
        .query_row([account], |row| row.get(0))
        .optional()?;
    Ok(due.map(Timestamp::from_millis))
}

/// When the next waiting job that the ask may be given comes due; now, where more of them are due than one step moves. Of
/// many that it may not be given, only the first are passed over: then the time is that of the last of these.
pub(super) fn next_due(step: &Step<'_>, account: i64, ask: &LeaseAsk) -> StepResult<Option<Timestamp>> {
    let mut rows = step.conn.prepare_cached(
        "SELECT j.due, r.paused = 0 AND r.cancelled = 0 AND r.rank <= ?2 AND (?3 IS NULL OR r.id = ?3)
         FROM jobs j INDEXED BY jobs_due JOIN runs r ON r.key = j.run
         WHERE j.account = ?1 AND j.state = 'waiting' ORDER BY j.due LIMIT ?4",
    )?;
    let only_run = ask.only_run.as_ref().map(RunId::as_str);
    let mut rows = rows.query(params![account, last_rank(ask), only_run, PASSED_OVER])?;
    let (mut last, mut passed) = (None, 0);
    while let Some(row) = rows.next()? {
        let due = Timestamp::from_millis(row.get(0)?).max(step.now);
        if row.get(1)? {
            return Ok(Some(due));
        }
        (last, passed) = (Some(due), passed + 1);
    }
    Ok(last.filter(|_| passed == PASSED_OVER))
}

pub(super) fn alone_waiting(step: &Step<'_>, account: i64, ask: &LeaseAsk) -> StepResult<u64> {
    Ok(step
        .conn
        .prepare_cached(
            "SELECT coalesce(sum(alone), 0) FROM runs
             WHERE account = ?1 AND phase = 'admitted' AND paused = 0 AND cancelled = 0 AND (?2 IS NULL OR id = ?2)
                 AND rank <= ?3 AND fresh_at >= ?4",
        )?
        .query_row(
            params![account, ask.only_run.as_ref().map(RunId::as_str), last_rank(ask), relied_on(step)],
            |row| row.get(0),
        )?)
}

/// A run that has not been fresh since then stood still, and so did one of which that is not known: nothing of it is leased.
pub(super) fn relied_on(step: &Step<'_>) -> i64 {
    let still = i64::try_from(STANDS_STILL.as_millis()).unwrap_or(i64::MAX);
    step.now.as_millis().saturating_sub(still)
}

/// The last rank that the ask is given jobs of.
pub(super) fn last_rank(ask: &LeaseAsk) -> u8 {
    if ask.urgent_only { Priority::Urgent.rank() } else { Priority::Bulk.rank() }
}
