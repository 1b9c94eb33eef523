//! Users counted towards the cap of a day, by one run of an account at a time.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use super::{
    errors::StepResult,
    runs::{Run, read_id},
    writer::Step,
};
use crate::{
    RunId, RunPhase, Timestamp,
    store::{CHUNK, RESERVING, Reserved, UtcDay},
};

/// How long a day's count is kept after it: nobody asks for a day that is so long past.
const KEPT_DAYS: UtcDay = 7;

pub(super) fn reserve(
    step: &mut Step<'_>,
    id: &RunId,
    day: UtcDay,
    users: &[String],
    cap: u64,
) -> StepResult<Reserved> {
    let run = Run::visible(step.conn, id)?;
    if run.phase != RunPhase::Resolved || run.cancelled {
        return Err(run.refuse("only a resolved run counts its users towards a cap").into());
    }
    if let Some(other) = counting(step, &run)? {
        return Ok(Reserved::Busy(other));
    }
    step.conn
        .prepare_cached("UPDATE accounts SET counting = ?2, counting_at = ?3 WHERE key = ?1")?
        .execute(params![run.account, run.key, step.now.as_millis()])?;
    forget_old_days(step, run.account, day)?;
    let used = used(step, run.account, day)?;
    let users: BTreeSet<&String> = users.iter().collect();
    let mut more = 0;
    for user in &users {
        more += u64::from(!is_counted(step, run.account, day, user)?);
    }
    if used + more > cap {
        return Ok(Reserved::Over { used });
    }
    let mut insert = step
        .conn
        .prepare_cached("INSERT OR IGNORE INTO capped (account, day, user, run) VALUES (?1, ?2, ?3, ?4)")?;
    for user in &users {
        insert.execute(params![run.account, day, user, run.key])?;
    }
    add(step, run.account, day, i64::try_from(more).unwrap_or(i64::MAX))?;
    Ok(Reserved::Counted { used: used + more })
}

pub(super) fn unreserve(step: &mut Step<'_>, id: &RunId, day: UtcDay) -> StepResult<u64> {
    let run = Run::visible(step.conn, id)?;
    let users: Vec<String> = step
        .conn
        .prepare_cached("SELECT user FROM capped WHERE run = ?1 AND day = ?2 LIMIT ?3")?
        .query_map(params![run.key, day, CHUNK], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut less = 0;
    for user in &users {
        step.conn
            .prepare_cached("DELETE FROM capped WHERE account = ?1 AND day = ?2 AND user = ?3 AND run = ?4")?
            .execute(params![run.account, day, user, run.key])?;
        less += i64::from(!is_counted(step, run.account, day, user)?);
    }
    add(step, run.account, day, -less)?;
    let left: u64 = step
        .conn
        .prepare_cached("SELECT count(*) FROM capped WHERE run = ?1 AND day = ?2")?
        .query_row(params![run.key, day], |row| row.get(0))?;
    if left == 0 {
        step.conn
            .prepare_cached("UPDATE accounts SET counting = NULL WHERE key = ?1 AND counting = ?2")?
            .execute([run.account, run.key])?;
    }
    Ok(left)
}

/// Another run that counts now, and may go on with it.
fn counting(step: &Step<'_>, run: &Run) -> StepResult<Option<RunId>> {
    let found: Option<(String, i64)> = step
        .conn
        .prepare_cached(
            "SELECT r.id, a.counting_at FROM accounts a JOIN runs r ON r.key = a.counting
             WHERE a.key = ?1 AND r.key <> ?2 AND r.id IS NOT NULL AND r.phase = 'resolved'",
        )?
        .query_row([run.account, run.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let heard_of = found.filter(|(_, at)| step.now.since(Timestamp::from_millis(*at)) <= RESERVING);
    heard_of.map(|(id, _)| read_id(&id)).transpose()
}

fn used(step: &Step<'_>, account: i64, day: UtcDay) -> StepResult<u64> {
    let used = step
        .conn
        .prepare_cached("SELECT users FROM capped_days WHERE account = ?1 AND day = ?2")?
        .query_row([account, day], |row| row.get(0))
        .optional()?;
    Ok(used.unwrap_or(0))
}

/// Whether any run has counted the user that day.
fn is_counted(step: &Step<'_>, account: i64, day: UtcDay, user: &str) -> StepResult<bool> {
    Ok(step
        .conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM capped WHERE account = ?1 AND day = ?2 AND user = ?3)")?
        .query_row(params![account, day, user], |row| row.get(0))?)
}

fn add(step: &Step<'_>, account: i64, day: UtcDay, users: i64) -> StepResult<()> {
    step.conn
        .prepare_cached(
            "INSERT INTO capped_days (account, day, users) VALUES (?1, ?2, max(?3, 0))
             ON CONFLICT DO UPDATE SET users = max(users + ?3, 0)",
        )?
        .execute([account, day, users])?;
    Ok(())
}

fn forget_old_days(step: &Step<'_>, account: i64, day: UtcDay) -> StepResult<()> {
    let kept_from = day.saturating_sub(KEPT_DAYS);
    let old: Vec<(UtcDay, String, i64)> = step
        .conn
        .prepare_cached("SELECT day, user, run FROM capped WHERE account = ?1 AND day < ?2 LIMIT ?3")?
        .query_map(params![account, kept_from, CHUNK], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (day, user, run) in old {
        step.conn
            .prepare_cached("DELETE FROM capped WHERE account = ?1 AND day = ?2 AND user = ?3 AND run = ?4")?
            .execute(params![account, day, user, run])?;
    }
    step.conn
        .prepare_cached("DELETE FROM capped_days WHERE account = ?1 AND day < ?2")?
        .execute([account, kept_from])?;
    Ok(())
}
