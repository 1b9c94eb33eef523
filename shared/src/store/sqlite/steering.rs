//! Steering: pause, resume, priority, holds.

use rusqlite::{OptionalExtension, params};

use super::{
    errors::{StepResult, unreadable},
    runs::{Run, account_key_or_new, in_force},
    writer::Step,
};
use crate::{AccountName, Hold, Priority, RunId};

pub(super) fn pause(step: &mut Step<'_>, id: &RunId) -> StepResult<()> {
    let run = Run::visible(step.conn, id)?.not_over("it can't be paused")?;
    step.conn.prepare_cached("UPDATE runs SET paused = 1 WHERE key = ?1")?.execute([run.key])?;
    Ok(())
}

pub(super) fn resume(step: &mut Step<'_>, id: &RunId) -> StepResult<()> {
    let run = Run::visible(step.conn, id)?.not_over("it can't be resumed")?;
    step.conn.prepare_cached("UPDATE runs SET paused = 0 WHERE key = ?1")?.execute([run.key])?;
    step.wake(&run.account_name);
    Ok(())
}

pub(super) fn set_priority(step: &mut Step<'_>, id: &RunId, priority: Priority) -> StepResult<()> {
    let run = Run::visible(step.conn, id)?.not_over("its priority can't be changed")?;
    step.conn
        .prepare_cached("UPDATE runs SET rank = ?2 WHERE key = ?1")?
        .execute(params![run.key, priority.rank()])?;
    step.wake(&run.account_name);
    Ok(())
}

pub(super) fn hold(step: &mut Step<'_>, account: &AccountName, hold: &Hold) -> StepResult<()> {
    let key = account_key_or_new(step.conn, account)?;
    let text = serde_json::to_string(hold).map_err(|problem| unreadable("a hold to be stored", problem))?;
    step.conn.prepare_cached("UPDATE accounts SET hold = ?2 WHERE key = ?1")?.execute(params![key, text])?;
    step.wake(account);
    Ok(())
}

/// Takes a hold back; `false` where none was in force.
pub(super) fn release(step: &mut Step<'_>, account: &AccountName) -> StepResult<bool> {
    let held: Option<Option<String>> = step
        .conn
        .prepare_cached("SELECT hold FROM accounts WHERE name = ?1")?
        .query_row([account.as_str()], |row| row.get(0))
        .optional()?;
    let in_force = in_force(held.flatten().as_deref(), step.now)?.is_some();
    step.conn
        .prepare_cached("UPDATE accounts SET hold = NULL WHERE name = ?1")?
        .execute([account.as_str()])?;
    step.wake(account);
    Ok(in_force)
}
