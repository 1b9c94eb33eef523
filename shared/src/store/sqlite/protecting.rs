//! An account's list of protected users.

use rusqlite::{Connection, params};

use super::{
    errors::{StepResult, unreadable},
    runs::{account_key, account_key_or_new},
    writer::Step,
};
use crate::{AccountName, Protection, Protections};

pub(super) fn protect(step: &mut Step<'_>, account: &AccountName, protection: &Protection) -> StepResult<()> {
    let account = account_key_or_new(step.conn, account)?;
    let entry = serde_json::to_string(protection).map_err(|e| unreadable("an entry to be stored", e))?;
    step.conn
        .prepare_cached("INSERT OR REPLACE INTO protections (account, pattern, entry) VALUES (?1, ?2, ?3)")?
        .execute(params![account, protection.pattern.as_str(), entry])?;
    changed(step, account)
}

pub(super) fn unprotect(step: &mut Step<'_>, account: &AccountName, pattern: &str) -> StepResult<bool> {
    let Some(account) = account_key(step.conn, account)? else { return Ok(false) };
    let found = step
        .conn
        .prepare_cached("DELETE FROM protections WHERE account = ?1 AND pattern = ?2")?
        .execute(params![account, pattern])?;
    if found > 0 {
        changed(step, account)?;
    }
    Ok(found > 0)
}

fn changed(step: &Step<'_>, account: i64) -> StepResult<()> {
    step.conn
        .prepare_cached("UPDATE accounts SET protections = protections + 1 WHERE key = ?1")?
        .execute([account])?;
    Ok(())
}

pub(super) fn list(conn: &Connection, account: &AccountName) -> StepResult<Protections> {
    let Some(account) = account_key(conn, account)? else { return Ok(Protections::default()) };
    let version = conn
        .prepare_cached("SELECT protections FROM accounts WHERE key = ?1")?
        .query_row([account], |row| row.get(0))?;
    let list = conn
        .prepare_cached("SELECT entry FROM protections WHERE account = ?1 ORDER BY pattern")?
        .query_and_then([account], |row| {
            let entry: String = row.get(0)?;
            serde_json::from_str(&entry).map_err(|e| unreadable("an entry of the protected users", e))
        })?
        .collect::<StepResult<_>>()?;
    Ok(Protections { version, list })
}
