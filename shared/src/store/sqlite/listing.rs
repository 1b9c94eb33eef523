//! Seeing which runs and accounts there are.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    errors::{StepResult, unreadable},
    runs::account_key,
    seeing::{STATUS, status, with_outcomes},
};
use crate::{AccountName, RunId, RunStatus, Timestamp};

pub(super) fn accounts(conn: &Connection) -> StepResult<Vec<AccountName>> {
    // The first seal of an account's gives the first number out.
    conn.prepare_cached("SELECT name FROM accounts WHERE admissions > 0 ORDER BY name")?
        .query_and_then([], |row| {
            let name: String = row.get(0)?;
            name.parse().map_err(|problem| unreadable("an account's name", problem))
        })?
        .collect()
}

pub(super) fn runs(
    conn: &Connection,
    now: Timestamp,
    before: Option<&RunId>,
    limit: usize,
) -> StepResult<Vec<RunStatus>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (opened_at, id) = match before {
        None => (i64::MAX, ""),
        Some(before) => match opened_at(conn, before)? {
            Some(at) => (at, before.as_str()),
            None => return Ok(Vec::new()),
        },
    };
    let found = conn
        .prepare_cached(&format!(
            "{STATUS} WHERE (r.created_at, r.id) < (?2, ?3) AND r.id IS NOT NULL AND r.phase <> 'open'
             ORDER BY r.created_at DESC, r.id DESC LIMIT ?1"
        ))?
        .query_and_then(params![limit, opened_at, id], |row| status(row, now))?
        .collect::<StepResult<_>>()?;
    with_outcomes(conn, found)
}

/// When a run that is seen was opened.
fn opened_at(conn: &Connection, run: &RunId) -> StepResult<Option<i64>> {
    Ok(conn
        .prepare_cached("SELECT created_at FROM runs WHERE id = ?1 AND phase <> 'open'")?
        .query_row([run.as_str()], |row| row.get(0))
        .optional()?)
}

pub(super) fn unfinished(
    conn: &Connection,
    now: Timestamp,
    account: &AccountName,
) -> StepResult<Vec<RunStatus>> {
    let Some(account) = account_key(conn, account)? else { return Ok(Vec::new()) };
    let found = conn
        .prepare_cached(&format!(
            "{STATUS} WHERE r.account = ?1 AND r.phase IN ('sealed', 'resolved', 'admitted')
             ORDER BY r.phase <> 'admitted', r.rank, iif(r.phase = 'admitted', r.admission, 0), r.sealed_at, r.id"
        ))?
        .query_and_then([account], |row| status(row, now))?
        .collect::<StepResult<_>>()?;
    with_outcomes(conn, found)
}

pub(super) fn ended(
    conn: &Connection,
    now: Timestamp,
    account: &AccountName,
    since: Timestamp,
    limit: usize,
) -> StepResult<Vec<RunStatus>> {
    let Some(account) = account_key(conn, account)? else { return Ok(Vec::new()) };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = conn
        .prepare_cached(&format!(
            "{STATUS} WHERE r.account = ?1 AND r.finished_at IS NOT NULL AND r.finished_at >= ?2 AND r.id IS NOT NULL
             ORDER BY r.finished_at, r.id LIMIT ?3"
        ))?
        .query_and_then(params![account, since.as_millis(), limit], |row| status(row, now))?
        .collect::<StepResult<_>>()?;
    with_outcomes(conn, found)
}
