//! Idempotency keys that submissions on their way have taken upon themselves.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::{
    errors::StepResult,
    runs::{account_key, account_key_or_new, read_id},
    writer::Step,
};
use crate::{
    AccountName,
    store::{CHUNK, KeyClaim},
};

pub(super) fn claim(
    step: &mut Step<'_>,
    account: &AccountName,
    key: &str,
    claimant: &str,
    ttl: Duration,
) -> StepResult<KeyClaim> {
    let account = account_key_or_new(step.conn, account)?;
    let now = step.now.as_millis();
    // What has lapsed goes at the next claim, whosever it is.
    step.conn
        .prepare_cached(
            "DELETE FROM claimed_keys WHERE (account, key) IN
                 (SELECT account, key FROM claimed_keys INDEXED BY claimed_keys_until WHERE until <= ?1 LIMIT ?2)",
        )?
        .execute(params![now, CHUNK])?;
    let claimed = step
        .conn
        .prepare_cached(
            "INSERT INTO claimed_keys (account, key, claimant, until) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET claimant = ?3, until = ?4 WHERE claimant = ?3 OR until <= ?5",
        )?
        .execute(params![account, key, claimant, step.now.after(ttl).as_millis(), now])?;
    if claimed == 0 {
        return Ok(KeyClaim::Busy);
    }
    let run: Option<String> = step
        .conn
        .prepare_cached("SELECT run FROM idempotency WHERE account = ?1 AND key = ?2")?
        .query_row(params![account, key], |row| row.get(0))
        .optional()?;
    Ok(KeyClaim::Granted { stands_for: run.as_deref().map(read_id).transpose()? })
}

pub(super) fn release(
    step: &mut Step<'_>,
    account: &AccountName,
    key: &str,
    claimant: &str,
) -> StepResult<()> {
    if let Some(account) = account_key(step.conn, account)? {
        step.conn
            .prepare_cached("DELETE FROM claimed_keys WHERE account = ?1 AND key = ?2 AND claimant = ?3")?
            .execute(params![account, key, claimant])?;
    }
    Ok(())
}
