//! A day's quota of calls, counted by the hour.

use rusqlite::{Connection, params};

use super::{
    errors::StepResult,
    runs::{account_key, account_key_or_new},
    writer::Step,
};
use crate::{AccountName, Drawn, QuotaWindow, Timestamp};

/// What has been drawn in the window that ends now, none of it granted now.
fn so_far(
    conn: &Connection,
    now: Timestamp,
    account: i64,
    label: &str,
    window: QuotaWindow,
) -> StepResult<Drawn> {
    let (used, oldest): (u64, Option<i64>) = conn
        .prepare_cached(
            "SELECT coalesce(sum(calls), 0), min(hour) FROM quota_hours
             WHERE account = ?1 AND label = ?2 AND hour >= ?3",
        )?
        .query_row(params![account, label, window.begins(now).as_millis()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let frees_at = window.frees_at(now, oldest.map(Timestamp::from_millis));
    Ok(Drawn { granted: 0, used, at: now, frees_at })
}

pub(super) fn look(
    conn: &Connection,
    now: Timestamp,
    account: &AccountName,
    label: &str,
    window: QuotaWindow,
) -> StepResult<Drawn> {
    match account_key(conn, account)? {
        Some(account) => so_far(conn, now, account, label, window),
        None => Ok(Drawn { granted: 0, used: 0, at: now, frees_at: window.frees_at(now, None) }),
    }
}

pub(super) fn draw(
    step: &mut Step<'_>,
    account: &AccountName,
    label: &str,
    window: QuotaWindow,
    calls: u64,
    cap: u64,
) -> StepResult<Drawn> {
    let account = account_key_or_new(step.conn, account)?;
    let before = so_far(step.conn, step.now, account, label, window)?;
    let granted = calls.min(cap.saturating_sub(before.used));
    if granted == 0 {
        return Ok(before);
    }
    step.conn
        .prepare_cached(
            "INSERT INTO quota_hours (account, label, hour, calls) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET calls = calls + excluded.calls",
        )?
        .execute(params![account, label, QuotaWindow::bucket(step.now).as_millis(), granted])?;
    // The longer of the two windows: whichever a label is counted by, what is older matters to nobody.
    step.conn
        .prepare_cached("DELETE FROM quota_hours WHERE account = ?1 AND label = ?2 AND hour < ?3")?
        .execute(params![account, label, QuotaWindow::Rolling24h.begins(step.now).as_millis()])?;
    let after = so_far(step.conn, step.now, account, label, window)?;
    Ok(Drawn { granted, ..after })
}

pub(super) fn give_back(
    step: &mut Step<'_>,
    account: &AccountName,
    label: &str,
    drawn_at: Timestamp,
    calls: u64,
) -> StepResult<()> {
    let Some(account) = account_key(step.conn, account)? else { return Ok(()) };
    let hour = QuotaWindow::bucket(drawn_at).as_millis();
    step.conn
        .prepare_cached(
            "UPDATE quota_hours SET calls = max(calls - ?4, 0) WHERE account = ?1 AND label = ?2 AND hour = ?3",
        )?
        .execute(params![account, label, hour, i64::try_from(calls).unwrap_or(i64::MAX)])?;
    // An hour without calls frees none when it leaves the window.
    step.conn
        .prepare_cached(
            "DELETE FROM quota_hours WHERE account = ?1 AND label = ?2 AND hour = ?3 AND calls = 0",
        )?
        .execute(params![account, label, hour])?;
    Ok(())
}
