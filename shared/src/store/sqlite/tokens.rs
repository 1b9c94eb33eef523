//! The account's token, sealed, and the right to fetch the next one.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    errors::StepResult,
    runs::{account_key, account_key_or_new},
    writer::Step,
};
use crate::{
    AccountName, Timestamp, WorkerId,
    store::{Refresh, RefreshClaim, ShelvedToken, StoreError},
};

pub(super) fn shelved(
    conn: &Connection,
    now: Timestamp,
    account: &AccountName,
) -> StepResult<Option<ShelvedToken>> {
    match account_key(conn, account)? {
        Some(account) => current(conn, now, account),
        None => Ok(None),
    }
}

fn current(conn: &Connection, now: Timestamp, account: i64) -> StepResult<Option<ShelvedToken>> {
    Ok(conn
        .prepare_cached(
            "SELECT generation, sealed FROM tokens
             WHERE account = ?1 AND sealed IS NOT NULL AND expires_at > ?2",
        )?
        .query_row(params![account, now.as_millis()], |row| {
            Ok(ShelvedToken { generation: row.get(0)?, sealed: row.get(1)? })
        })
        .optional()?)
}

pub(super) fn claim(
    step: &mut Step<'_>,
    account: &AccountName,
    worker: &WorkerId,
    instead_of: Option<u64>,
    ttl: Duration,
) -> StepResult<Refresh> {
    let key = account_key_or_new(step.conn, account)?;
    if let Some(token) = current(step.conn, step.now, key)?
        && instead_of != Some(token.generation)
    {
        return Ok(Refresh::Newer(token));
    }
    let until = step.now.after(ttl);
    let claim: Option<u64> = step
        .conn
        .prepare_cached(
            "INSERT INTO tokens (account, claim, claimed_until) VALUES (?1, 1, ?3)
             ON CONFLICT DO UPDATE SET claim = claim + 1, claimed_until = ?3
                 WHERE coalesce(claimed_until, ?2) <= ?2
             RETURNING claim",
        )?
        .query_row(params![key, step.now.as_millis(), until.as_millis()], |row| row.get(0))
        .optional()?;
    if let Some(claim) = claim {
        return Ok(Refresh::Yours(RefreshClaim { account: account.clone(), claim, worker: worker.clone() }));
    }
    let until: i64 = step
        .conn
        .prepare_cached("SELECT claimed_until FROM tokens WHERE account = ?1")?
        .query_row([key], |row| row.get(0))?;
    Ok(Refresh::Underway(Timestamp::from_millis(until)))
}

/// Shelves what was fetched under the claim. A claim that has run out and that nobody else took still counts: its token may
/// be the only one that the vendor accepts now.
pub(super) fn shelve(
    step: &mut Step<'_>,
    claim: &RefreshClaim,
    sealed: &[u8],
    keep_for: Duration,
) -> StepResult<u64> {
    let generation: Option<u64> = step
        .conn
        .prepare_cached(
            "UPDATE tokens SET generation = generation + 1, sealed = ?3, expires_at = ?4, claimed_until = NULL
             WHERE account = (SELECT key FROM accounts WHERE name = ?1) AND claim = ?2 AND claimed_until IS NOT NULL
             RETURNING generation",
        )?
        .query_row(
            params![
                claim.account.as_str(),
                claim.claim,
                sealed,
                step.now.after(keep_for).as_millis()
            ],
            |row| row.get(0),
        )
        .optional()?;
    let lapsed = || StoreError::LeaseLapsed(format!("the token of account {}", claim.account));
    Ok(generation.ok_or_else(lapsed)?)
}

/// Ends the claim, unless it has ended already.
pub(super) fn abandon(step: &mut Step<'_>, claim: &RefreshClaim) -> StepResult<()> {
    step.conn
        .prepare_cached(
            "UPDATE tokens SET claimed_until = NULL
             WHERE account = (SELECT key FROM accounts WHERE name = ?1) AND claim = ?2",
        )?
        .execute(params![claim.account.as_str(), claim.claim])?;
    Ok(())
}

/// Ends all claims: their holder is known to be gone. A command that fetches a token beside it just then finds its claim taken
/// over, as by any other worker.
pub(super) fn end_claims(step: &mut Step<'_>) -> StepResult<()> {
    step.conn
        .prepare_cached("UPDATE tokens SET claimed_until = NULL WHERE claimed_until IS NOT NULL")?
        .execute([])?;
    Ok(())
}
