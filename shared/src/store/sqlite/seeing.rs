//! Seeing: runs, outcomes, attempts. Reads of a connection of their own, beside the writer.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    errors::{StepResult, unreadable},
    leasing::read_request,
    runs::{Run, in_force, phase_of, priority_of, read_meta, read_notes},
    schema::Place,
};
use crate::{
    AccountName, Attempt, Counters, Effort, Outcome, OutcomeRow, Request, RunId, RunStatus, Timestamp,
    WorkerId,
    plan::Planned,
    store::{Remaining, Resolution},
};

/// The most outcomes in one page.
const PAGE: usize = 5_000;

/// The head of a query that [`status`] reads.
pub(super) const STATUS: &str = "
    SELECT r.key, r.meta, r.rank, r.phase, r.paused, r.cancelled, r.admission, r.by_action, r.sealed_at, r.finished_at,
           r.total, r.pending, r.ready + r.alone + r.waiting, r.leased, r.finished, r.duplicates,
           r.attempts, r.calls, r.throttled, r.retries, r.lost, r.first_attempt_at, r.last_attempt_at, a.hold,
           r.fresh_at, r.notes
    FROM runs r JOIN accounts a ON a.key = r.account ";

fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// Reads a row of [`STATUS`], all but the counts by outcome.
pub(super) fn status(row: &Row<'_>, now: Timestamp) -> StepResult<(i64, RunStatus)> {
    let meta: String = row.get(1)?;
    let by_action: String = row.get(7)?;
    let hold: Option<String> = row.get(23)?;
    let mut run = read_meta(&meta)?;
    run.priority = priority_of(row.get(2)?)?;
    let phase = phase_of(&row.get::<_, String>(3)?)?;
    let status = RunStatus {
        notes: read_notes(row.get::<_, Option<String>>(25)?.as_deref())?,
        run,
        phase,
        paused: row.get(4)?,
        cancelled: row.get(5)?,
        admission: row.get::<_, Option<u64>>(6)?.filter(|_| phase >= crate::RunPhase::Admitted),
        by_action: serde_json::from_str(&by_action).map_err(|e| unreadable("the actions of a run", e))?,
        counters: Counters {
            total: row.get(10)?,
            pending: row.get(11)?,
            queued: row.get(12)?,
            leased: row.get(13)?,
            finished: row.get(14)?,
            outcomes: BTreeMap::new(),
            duplicates: row.get(15)?,
        },
        effort: Effort {
            attempts: row.get(16)?,
            calls: row.get(17)?,
            throttled: row.get(18)?,
            retries: row.get(19)?,
            lost: row.get(20)?,
            first_attempt_at: moment(row, 21)?,
            last_attempt_at: moment(row, 22)?,
        },
        sealed_at: moment(row, 8)?,
        finished_at: moment(row, 9)?,
        fresh_at: moment(row, 24)?,
        hold: in_force(hold.as_deref(), now)?,
    };
    Ok((row.get(0)?, status))
}

/// Completes statuses with their counts by outcome. The caller's transaction makes the two one picture.
pub(super) fn with_outcomes(conn: &Connection, found: Vec<(i64, RunStatus)>) -> StepResult<Vec<RunStatus>> {
    let mut select =
        conn.prepare_cached("SELECT outcome, count FROM outcomes WHERE run = ?1 AND count > 0")?;
    let mut statuses = Vec::with_capacity(found.len());
    for (key, mut status) in found {
        let mut rows = select.query([key])?;
        while let Some(row) = rows.next()? {
            status.counters.outcomes.insert(read_outcome(&row.get::<_, String>(0)?)?, row.get(1)?);
        }
        statuses.push(status);
    }
    Ok(statuses)
}

fn read_outcome(word: &str) -> StepResult<Outcome> {
    word.parse().map_err(|problem| unreadable("an outcome", problem))
}

pub(super) fn run(conn: &Connection, now: Timestamp, id: &RunId) -> StepResult<Option<RunStatus>> {
    let found = conn
        .prepare_cached(&format!("{STATUS} WHERE r.id = ?1 AND r.phase <> 'open'"))?
        .query_and_then([id.as_str()], |row| status(row, now))?
        .collect::<StepResult<_>>()?;
    Ok(with_outcomes(conn, found)?.pop())
}

pub(super) fn requests(
    conn: &Connection,
    id: &RunId,
    from_seq: u64,
    limit: usize,
) -> StepResult<Vec<(u64, Request)>> {
    let run = Run::visible(conn, id)?;
    conn.prepare_cached(
        "SELECT place, line, user, action, reason, restore FROM jobs WHERE place >= ?1 AND place < ?2 ORDER BY place LIMIT ?3",
    )?
    .query_and_then(
        params![
            Place::of(run.key, from_seq).0,
            Place::end(run.key).0,
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
        |row| Ok((Place(row.get(0)?).seq(), read_request(row, 1)?)),
    )?
    .collect()
}

pub(super) fn remaining(
    conn: &Connection,
    id: &RunId,
    from_seq: u64,
    limit: usize,
) -> StepResult<Vec<Remaining>> {
    let run = Run::visible(conn, id)?;
    conn.prepare_cached(
        "SELECT place, line, user, action, reason, restore, resolved, may_have_applied FROM jobs
         WHERE place >= ?1 AND place < ?2 AND resolution = 'change'
             AND state IN ('pending', 'ready', 'alone', 'waiting', 'leased')
         ORDER BY place LIMIT ?3",
    )?
    .query_and_then(
        params![
            Place::of(run.key, from_seq).0,
            Place::end(run.key).0,
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
        |row| {
            let request = read_request(row, 1)?;
            let user: String = row.get(6)?;
            Ok(Remaining {
                seq: Place(row.get(0)?).seq(),
                line: request.line,
                action: request.action,
                user: serde_json::from_str(&user).map_err(|e| unreadable("a resolved user", e))?,
                may_have_applied: row.get(7)?,
            })
        },
    )?
    .collect()
}

pub(super) fn planned(
    conn: &Connection,
    id: &RunId,
    from_seq: u64,
    limit: usize,
) -> StepResult<Vec<Planned>> {
    let run = Run::visible(conn, id)?;
    conn.prepare_cached(
        "SELECT j.place, j.line, j.user, j.action, j.reason, j.restore, j.resolution, j.resolved, j.outcome, j.code,
             j.message, d.of_line
         FROM jobs j LEFT JOIN duplicates d ON d.place = j.place
         WHERE j.place >= ?1 AND j.place < ?2 AND j.resolution IS NOT NULL ORDER BY j.place LIMIT ?3",
    )?
    .query_and_then(
        params![
            Place::of(run.key, from_seq).0,
            Place::end(run.key).0,
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
        |row| {
            let (seq, request) = (Place(row.get(0)?).seq(), read_request(row, 1)?);
            Ok(Planned { seq, request, resolution: resolution(row, 6)? })
        },
    )?
    .collect()
}

/// Reads what a request came to from six columns.
fn resolution(row: &Row<'_>, first: usize) -> StepResult<Resolution> {
    let word: String = row.get(first)?;
    let user: Option<String> = row.get(first + 1)?;
    let user = user.as_deref().map(serde_json::from_str).transpose();
    let user = user.map_err(|problem| unreadable("a resolved user", problem))?;
    match (word.as_str(), user) {
        ("change", Some(user)) => Ok(Resolution::Change(user)),
        ("settled", user) => Ok(Resolution::Settled {
            outcome: read_outcome(&row.get::<_, String>(first + 2)?)?,
            code: row.get(first + 3)?,
            message: row.get(first + 4)?,
            user,
        }),
        ("duplicate", _) => Ok(Resolution::Duplicate { of_line: row.get(first + 5)? }),
        _ => Err(unreadable("what a request was resolved to", word)),
    }
}

pub(super) fn outcomes(
    conn: &Connection,
    id: &RunId,
    from_seq: u64,
    limit: usize,
) -> StepResult<Vec<OutcomeRow>> {
    let run = Run::visible(conn, id)?;
    conn.prepare_cached(
        "SELECT place, line, user, action, reason, restore, resolved, outcome, code, message, attempts, first_attempt_at,
             last_attempt_at, worker
         FROM jobs WHERE place >= ?1 AND place < ?2 AND state = 'finished' ORDER BY place LIMIT ?3",
    )?
    .query_and_then(
        params![Place::of(run.key, from_seq).0, Place::end(run.key).0, limit.min(PAGE)],
        outcome_row,
    )?
    .collect()
}

fn outcome_row(row: &Row<'_>) -> StepResult<OutcomeRow> {
    let request = read_request(row, 1)?;
    let resolved: Option<String> = row.get(6)?;
    Ok(OutcomeRow {
        seq: Place(row.get(0)?).seq(),
        line: request.line,
        user: request.user,
        resolved: resolved
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|problem| unreadable("a resolved user", problem))?,
        action: request.action,
        reason: request.reason,
        outcome: read_outcome(&row.get::<_, String>(7)?)?,
        code: row.get(8)?,
        message: row.get(9)?,
        attempts: row.get(10)?,
        first_attempt_at: moment(row, 11)?,
        last_attempt_at: moment(row, 12)?,
        worker: row.get::<_, Option<String>>(13)?.map(|worker| WorkerId::new(&worker)),
    })
}

pub(super) fn attempts(conn: &Connection, id: &RunId, seq: u64) -> StepResult<Vec<Attempt>> {
    let run = Run::visible(conn, id)?;
    conn.prepare_cached("SELECT attempt FROM attempts WHERE place = ?1 ORDER BY number")?
        .query_and_then([Place::of(run.key, seq).0], |row| {
            let text: String = row.get(0)?;
            serde_json::from_str(&text).map_err(|problem| unreadable("an attempt", problem))
        })?
        .collect()
}

pub(super) fn duplicates(conn: &Connection, id: &RunId) -> StepResult<Vec<(u64, String, u64)>> {
    let run = Run::visible(conn, id)?;
    Ok(conn
        .prepare_cached(
            "SELECT j.line, j.user, d.of_line FROM duplicates d JOIN jobs j ON j.place = d.place
             WHERE d.place >= ?1 AND d.place < ?2 ORDER BY d.place",
        )?
        .query_map([Place::of(run.key, 0).0, Place::end(run.key).0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?)
}

/// When something comes due for the account by itself: a waiting job, a lease that lapses, the end of a hold.
pub(super) fn next_event(
    conn: &Connection,
    now: Timestamp,
    account: &AccountName,
) -> StepResult<Option<Timestamp>> {
    let found: Option<(Option<i64>, Option<i64>, Option<String>)> = conn
        .prepare_cached(
            "SELECT (SELECT due FROM jobs INDEXED BY jobs_due WHERE account = a.key AND state = 'waiting'
                     ORDER BY due LIMIT 1),
                    (SELECT min(until) FROM leases WHERE account = a.key), a.hold
             FROM accounts a WHERE a.name = ?1",
        )?
        .query_row([account.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((due, lapse, hold)) = found else { return Ok(None) };
    if let Some(hold) = in_force(hold.as_deref(), now)? {
        return Ok(hold.until);
    }
    let earliest = [due, lapse].into_iter().flatten().min();
    Ok(earliest.map(Timestamp::from_millis))
}
