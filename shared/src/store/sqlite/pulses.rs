//! What workers tell of themselves, for as long as it is fresh.

use rusqlite::{Connection, params};

use super::{
    errors::{StepResult, unreadable},
    runs::{account_key, account_key_or_new},
    writer::Step,
};
use crate::{AccountName, Pulse, Timestamp, store::PULSE_LASTS};

/// What was told at this time or before is forgotten.
fn stale(now: Timestamp) -> i64 {
    now.as_millis().saturating_sub(i64::try_from(PULSE_LASTS.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn publish(step: &mut Step<'_>, pulse: &Pulse) -> StepResult<()> {
    let account = account_key_or_new(step.conn, &pulse.account)?;
    let text = serde_json::to_string(pulse).map_err(|e| unreadable("a pulse to be stored", e))?;
    step.conn
        .prepare_cached("DELETE FROM pulses WHERE account = ?1 AND told_at <= ?2")?
        .execute(params![account, stale(step.now)])?;
    step.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO pulses (account, worker, told_at, pulse) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![account, pulse.worker.as_str(), step.now.as_millis(), text])?;
    Ok(())
}

pub(super) fn all(conn: &Connection, now: Timestamp, account: &AccountName) -> StepResult<Vec<Pulse>> {
    let Some(account) = account_key(conn, account)? else { return Ok(Vec::new()) };
    conn.prepare_cached("SELECT pulse FROM pulses WHERE account = ?1 AND told_at > ?2 ORDER BY worker")?
        .query_and_then(params![account, stale(now)], |row| {
            let text: String = row.get(0)?;
            serde_json::from_str(&text).map_err(|problem| unreadable("a pulse", problem))
        })?
        .collect()
}
