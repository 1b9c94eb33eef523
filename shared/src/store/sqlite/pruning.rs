//! Old runs are forgotten, a few rows at a time.

use rusqlite::{OptionalExtension, params};

use super::{errors::StepResult, runs::read_id, schema::Place, writer::Step};
use crate::{RunId, Timestamp, store::CHUNK};

/// A run that is being forgotten.
struct Old {
    key: i64,
    account: i64,
    admission: Option<i64>,
    id: String,
}

/// Forgets some of the run that ended first; its id, and whether all of it is gone.
pub(super) fn prune(step: &mut Step<'_>, ended_before: Timestamp) -> StepResult<Option<(RunId, bool)>> {
    forget_claims(step)?;
    let Some(old) = begun(step)?.map_or_else(|| begin(step, ended_before), |old| Ok(Some(old)))? else {
        return Ok(None);
    };
    let whole = forget(step, &old)?;
    Ok(Some((read_id(&old.id)?, whole)))
}

/// One that was begun with.
fn begun(step: &Step<'_>) -> StepResult<Option<Old>> {
    Ok(step
        .conn
        .prepare_cached(
            "SELECT key, account, admission, pruned FROM runs INDEXED BY runs_pruned WHERE pruned IS NOT NULL LIMIT 1",
        )?
        .query_row([], |row| {
            Ok(Old { key: row.get(0)?, account: row.get(1)?, admission: row.get(2)?, id: row.get(3)? })
        })
        .optional()?)
}

/// Takes the run that ended first out of sight, and frees its idempotency key.
fn begin(step: &Step<'_>, ended_before: Timestamp) -> StepResult<Option<Old>> {
    let found: Option<i64> = step
        .conn
        .prepare_cached(
            "SELECT key FROM runs INDEXED BY runs_ended
             WHERE finished_at < ?1 AND id IS NOT NULL ORDER BY finished_at, key LIMIT 1",
        )?
        .query_row([ended_before.as_millis()], |row| row.get(0))
        .optional()?;
    let Some(key) = found else { return Ok(None) };
    step.conn
        .prepare_cached(
            "DELETE FROM idempotency WHERE (account, key) =
                 (SELECT account, json_extract(seal, '$.key') FROM runs WHERE key = ?1)
                 AND run = (SELECT id FROM runs WHERE key = ?1)",
        )?
        .execute([key])?;
    step.conn.prepare_cached("UPDATE runs SET pruned = id, id = NULL WHERE key = ?1")?.execute([key])?;
    begun(step)
}

/// Forgets at most [`CHUNK`] rows; whether nothing is left.
fn forget(step: &Step<'_>, old: &Old) -> StepResult<bool> {
    let (first, end) = (Place::of(old.key, 0).0, Place::end(old.key).0);
    let attempts = step
        .conn
        .prepare_cached(
            "DELETE FROM attempts WHERE (place, number) IN
                 (SELECT place, number FROM attempts WHERE place >= ?1 AND place < ?2 LIMIT ?3)",
        )?
        .execute(params![first, end, CHUNK])?;
    // A job is a row, and may have a claim, or be a duplicate, each of them another one.
    let room = (CHUNK - attempts) / 2;
    if room == 0 {
        return Ok(false);
    }
    let places: Vec<i64> = step
        .conn
        .prepare_cached("SELECT place FROM jobs WHERE place >= ?1 AND place < ?2 ORDER BY place LIMIT ?3")?
        .query_map(params![first, end, room], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if let Some(last) = places.last() {
        leave_claims(step, old, first, *last)?;
        for table in ["duplicates", "jobs"] {
            step.conn
                .prepare_cached(&format!("DELETE FROM {table} WHERE place >= ?1 AND place <= ?2"))?
                .execute([first, *last])?;
        }
    }
    if places.len() == room {
        return Ok(false);
    }
    step.conn.prepare_cached("DELETE FROM outcomes WHERE run = ?1")?.execute([old.key])?;
    step.conn.prepare_cached("DELETE FROM runs WHERE key = ?1")?.execute([old.key])?;
    Ok(true)
}

/// What these jobs decided stays known where an older run may still come round to their users; else it goes with them.
fn leave_claims(step: &Step<'_>, old: &Old, first: i64, last: i64) -> StepResult<()> {
    let Some(admission) = old.admission else { return Ok(()) };
    let stays = oldest_unfinished(step, old.account)?.is_some_and(|oldest| oldest < admission);
    let of_these = "account = ?1 AND admission = ?2 AND place >= ?3 AND place <= ?4
        AND user IN (SELECT user_key FROM jobs WHERE place >= ?3 AND place <= ?4 AND user_key IS NOT NULL)";
    if stays {
        step.conn
            .prepare_cached(&format!("UPDATE claims SET pruned = ?5 WHERE {of_these}"))?
            .execute(params![old.account, admission, first, last, old.id])?;
    } else {
        step.conn.prepare_cached(&format!("DELETE FROM claims WHERE {of_these}"))?.execute(params![
            old.account,
            admission,
            first,
            last
        ])?;
    }
    Ok(())
}

/// The number of the oldest run of an account that is not over.
fn oldest_unfinished(step: &Step<'_>, account: i64) -> StepResult<Option<i64>> {
    Ok(step
        .conn
        .prepare_cached(
            "SELECT min(admission) FROM runs INDEXED BY runs_worked
             WHERE account = ?1 AND phase IN ('sealed', 'resolved', 'admitted')",
        )?
        .query_row([account], |row| row.get(0))?)
}

/// Forgets claims of forgotten runs that no run can come round to any more.
fn forget_claims(step: &Step<'_>) -> StepResult<()> {
    let accounts: Vec<i64> = step
        .conn
        .prepare_cached(
            "SELECT key FROM accounts WHERE EXISTS
                 (SELECT 1 FROM claims INDEXED BY claims_pruned WHERE account = accounts.key AND pruned IS NOT NULL)",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for account in accounts {
        let oldest = oldest_unfinished(step, account)?.unwrap_or(i64::MAX);
        // Looked up, then deleted one by one: in one statement it would go through all claims of the account.
        let idle: Vec<(String, i64)> = step
            .conn
            .prepare_cached(
                "SELECT user, admission FROM claims INDEXED BY claims_pruned
                 WHERE account = ?1 AND pruned IS NOT NULL AND admission <= ?2 LIMIT ?3",
            )?
            .query_map(params![account, oldest, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut delete = step
            .conn
            .prepare_cached("DELETE FROM claims WHERE account = ?1 AND user = ?2 AND admission = ?3")?;
        for (user, admission) in idle {
            delete.execute(params![account, user, admission])?;
        }
    }
    Ok(())
}
