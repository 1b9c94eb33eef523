//! Whom a leased job is about: never two jobs on one user at once, and the newest run decides (promise 4).

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::{
    errors::StepResult,
    ledger::enqueue,
    moves::Moves,
    runs::read_id,
    schema::{Place, State},
    writer::Step,
};
use crate::RunId;

/// How long a job waits for a user in flight, unless the other job ends before that.
const WAIT: Duration = Duration::from_millis(200);

/// The newer run that decides about the user of a job, where there is one. A run that is being cancelled decides
/// nothing more, except where it was through with the user; one that was forgotten decides about whom it was through with.
/// While a worker has its job in hand nobody knows yet: the
/// user is in flight then, and the older job waits.
pub(super) fn decided_by(
    step: &Step<'_>,
    account: i64,
    user: &str,
    admission: u64,
) -> StepResult<Option<RunId>> {
    let newer: Option<String> = step
        .conn
        .prepare_cached(
            "SELECT coalesce(c.pruned, r.id)
             FROM claims c LEFT JOIN jobs j ON j.place = c.place LEFT JOIN runs r ON r.key = j.run
             WHERE c.account = ?1 AND c.user = ?2 AND c.admission > ?3
                 AND (c.pruned IS NOT NULL OR r.cancelled = 0
                      OR (j.state = 'finished' AND j.outcome NOT IN ('cancelled', 'expired')))
             ORDER BY c.admission DESC LIMIT 1",
        )?
        .query_row(params![account, user, admission], |row| row.get(0))
        .optional()?;
    newer.as_deref().map(read_id).transpose()
}

/// Takes the user for a job; `false` where another job has them.
pub(super) fn take(step: &Step<'_>, account: i64, user: &str, place: Place) -> StepResult<bool> {
    let taken = step
        .conn
        .prepare_cached("INSERT OR IGNORE INTO in_flight (place, account, user) VALUES (?1, ?2, ?3)")?
        .execute(params![place.0, account, user])?;
    Ok(taken == 1)
}

/// Lets a job wait for its user, who is in flight.
pub(super) fn block(
    step: &Step<'_>,
    moves: &mut Moves,
    account: i64,
    user: &str,
    place: Place,
    from: State,
) -> StepResult<()> {
    step.conn
        .prepare_cached("UPDATE in_flight SET blocks = 1 WHERE account = ?1 AND user = ?2")?
        .execute(params![account, user])?;
    step.conn
        .prepare_cached("INSERT OR IGNORE INTO blocked (account, user, place) VALUES (?1, ?2, ?3)")?
        .execute(params![account, user, place.0])?;
    enqueue(step, moves, place, from, Some(step.now.after(WAIT)))
}

/// Lets go of the user of a job (looked up where it is not named), and calls those that waited for it. Returns whether there
/// were any.
pub(super) fn release(
    step: &Step<'_>,
    moves: &mut Moves,
    account: i64,
    place: Place,
    user: Option<String>,
) -> StepResult<bool> {
    let user = match user {
        Some(user) => user,
        None => step
            .conn
            .prepare_cached("SELECT user_key FROM jobs WHERE place = ?1")?
            .query_row([place.0], |row| row.get(0))?,
    };
    let blocks: Option<bool> = step
        .conn
        .prepare_cached("SELECT blocks FROM in_flight WHERE account = ?1 AND user = ?2 AND place = ?3")?
        .query_row(params![account, user, place.0], |row| row.get(0))
        .optional()?;
    let Some(blocks) = blocks else { return Ok(false) };
    step.conn
        .prepare_cached("DELETE FROM in_flight WHERE account = ?1 AND user = ?2")?
        .execute(params![account, user])?;
    if !blocks {
        return Ok(false);
    }
    let waiting: Vec<Place> = step
        .conn
        .prepare_cached(
            "SELECT b.place FROM blocked b JOIN jobs j ON j.place = b.place
             WHERE b.account = ?1 AND b.user = ?2 AND j.state = 'waiting'",
        )?
        .query_map(params![account, user], |row| row.get(0).map(Place))?
        .collect::<Result<_, _>>()?;
    for place in &waiting {
        enqueue(step, moves, *place, State::Waiting, None)?;
    }
    step.conn
        .prepare_cached("DELETE FROM blocked WHERE account = ?1 AND user = ?2")?
        .execute(params![account, user])?;
    Ok(!waiting.is_empty())
}
