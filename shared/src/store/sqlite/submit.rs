//! Putting work in: open, append, seal, discard.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{
    auditing,
    errors::{StepResult, unreadable},
    runs::{Run, account_key_or_new, next_number, phase_of, read_id},
    schema::Place,
    writer::Step,
};
use crate::{
    Action, NewRun, Request, RunId, RunPhase,
    audit::AuditEvent,
    store::{OPEN_RUN_EXPIRES, Seal, Sealed, StoreError},
};

/// Jobs of a discarded run that one step deletes; they lie side by side at one end of one B-tree.
const SWEEP: u64 = 5_000;

pub(super) fn open_run(step: &mut Step<'_>, run: &NewRun) -> StepResult<()> {
    if Run::find(step.conn, &run.id)?.is_some() {
        return Err(StoreError::IdTaken(run.id.clone()).into());
    }
    let account = account_key_or_new(step.conn, &run.account)?;
    let meta = serde_json::to_string(run).map_err(|problem| unreadable("a run to be stored", problem))?;
    step.conn
        .prepare_cached(
            "INSERT INTO runs (id, account, meta, rank, phase, created_at, touched_at)
             VALUES (?1, ?2, ?3, ?4, 'open', ?5, ?6)",
        )?
        .execute(params![
            run.id.as_str(),
            account,
            meta,
            run.priority.rank(),
            run.created_at.as_millis(),
            step.now.as_millis()
        ])?;
    Ok(())
}

pub(super) fn append(
    step: &mut Step<'_>,
    id: &RunId,
    first_seq: u64,
    requests: &[Request],
) -> StepResult<()> {
    let run = Run::known(step.conn, id)?;
    if run.phase != RunPhase::Open {
        return Err(run.refuse("nothing can be added to it").into());
    }
    let mut added = 0;
    {
        let mut insert = step.conn.prepare_cached(
            "INSERT OR IGNORE INTO jobs (place, run, state, line, user, action, reason, restore)
             VALUES (?1, ?2, 'pending', ?3, ?4, ?5, ?6, ?7)",
        )?;
        for (seq, request) in (first_seq..).zip(requests) {
            let place = Place::of(run.key, seq);
            if place >= Place::end(run.key) {
                return Err(run.refuse("it can't hold more than 4,294,967,294 requests").into());
            }
            let restore = request.restore.as_ref().map(serde_json::to_string).transpose();
            added += insert.execute(params![
                place.0,
                run.key,
                request.line,
                request.user.as_str(),
                request.action.as_str(),
                request.reason,
                restore.map_err(|problem| unreadable("a request to be stored", problem))?
            ])?;
        }
    }
    step.conn
        .prepare_cached(
            "UPDATE runs SET total = total + ?2, pending = pending + ?2, unresolved = unresolved + ?2, touched_at = ?3
             WHERE key = ?1",
        )?
        .execute(params![run.key, added, step.now.as_millis()])?;
    Ok(())
}

/// A seal as it is kept, to know it again.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct KeptSeal {
    total: u64,
    by_action: BTreeMap<Action, u64>,
    key: String,
    digest: String,
}

pub(super) fn seal(step: &mut Step<'_>, id: &RunId, seal: &Seal) -> StepResult<Sealed> {
    let kept = KeptSeal {
        total: seal.total,
        by_action: seal.by_action.clone(),
        key: seal.idempotency.key.clone(),
        digest: seal.idempotency.digest.clone(),
    };
    let Some(run) = Run::find(step.conn, id)? else {
        return already_replaced(step, id, seal);
    };
    if run.phase != RunPhase::Open {
        return sealed_before(step, &run, &kept);
    }
    if seal.total == 0 {
        return Err(run.refuse("it has no requests, so it can't be sealed").into());
    }
    if run.total != seal.total {
        let (expected, found) = (seal.total, run.total);
        return Err(StoreError::Incomplete { run: run.id, expected, found }.into());
    }
    let previous = match standing(step, &run, seal)? {
        Some((existing, over)) if over && seal.idempotency.again_after_end => Some(existing),
        Some((existing, _)) => {
            forget(step, run.key)?;
            return Ok(Sealed::Existing(existing));
        }
        None => None,
    };
    step.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO idempotency (account, key, digest, run) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![run.account, kept.key, kept.digest, run.id.as_str()])?;
    // Numbered here and not when it is admitted: a small urgent run is ready before a large one that was submitted earlier.
    let number = next_number(step.conn, run.account)?;
    let by_action =
        serde_json::to_string(&kept.by_action).map_err(|e| unreadable("a seal to be stored", e))?;
    let text = serde_json::to_string(&kept).map_err(|e| unreadable("a seal to be stored", e))?;
    step.conn
        .prepare_cached(
            "UPDATE runs SET phase = 'sealed', sealed_at = ?2, by_action = ?3, seal = ?4, previous = ?5, admission = ?6
             WHERE key = ?1",
        )?
        .execute(params![
            run.key,
            step.now.as_millis(),
            by_action,
            text,
            previous.as_ref().map(RunId::as_str),
            number
        ])?;
    step.wake(&run.account_name);
    Ok(Sealed::New { previous })
}

/// All of it in one step, and told in it. What is discarded for an existing run is left to [`sweep`].
pub(super) fn whole(
    step: &mut Step<'_>,
    run: &NewRun,
    requests: &[Request],
    content: &Seal,
    event: &AuditEvent,
) -> StepResult<Sealed> {
    if let Some(known) = Run::find(step.conn, &run.id)? {
        // By this very call, perhaps, whose answer was lost.
        let same = known.phase != RunPhase::Open && known.as_opened(step.conn)? == *run;
        return if same {
            seal(step, &run.id, content)
        } else {
            Err(StoreError::IdTaken(run.id.clone()).into())
        };
    }
    open_run(step, run)?;
    append(step, &run.id, 0, requests)?;
    let sealed = seal(step, &run.id, content)?;
    if matches!(sealed, Sealed::New { .. }) {
        auditing::tell(step, event)?;
    }
    Ok(sealed)
}

/// The run that the key stands for, and whether it is over.
fn standing(step: &Step<'_>, run: &Run, seal: &Seal) -> StepResult<Option<(RunId, bool)>> {
    let found: Option<(String, String, Option<String>)> = step
        .conn
        .prepare_cached(
            "SELECT i.run, i.digest, r.phase FROM idempotency i LEFT JOIN runs r ON r.id = i.run
             WHERE i.account = ?1 AND i.key = ?2",
        )?
        .query_row(params![run.account, seal.idempotency.key], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((existing, digest, phase)) = found else { return Ok(None) };
    let existing = read_id(&existing)?;
    if digest != seal.idempotency.digest {
        let key = seal.idempotency.key.clone();
        return Err(StoreError::Conflict { key, existing }.into());
    }
    let over = phase.as_deref().map(phase_of).transpose()?.is_none_or(RunPhase::is_over);
    Ok(Some((existing, over)))
}

/// A seal asked for again, its answer having been lost.
fn sealed_before(step: &Step<'_>, run: &Run, seal: &KeptSeal) -> StepResult<Sealed> {
    let (kept, previous): (Option<String>, Option<String>) = step
        .conn
        .prepare_cached("SELECT seal, previous FROM runs WHERE key = ?1")?
        .query_row([run.key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let kept: Option<KeptSeal> =
        kept.as_deref().map(serde_json::from_str).transpose().map_err(|e| unreadable("a seal", e))?;
    if kept.as_ref() != Some(seal) {
        return Err(run.refuse("it was sealed with other content").into());
    }
    Ok(Sealed::New { previous: previous.as_deref().map(read_id).transpose()? })
}

/// A seal asked for again whose run was discarded for the one that has the same content. The digest covers account and
/// requests, so together with the key it can't stand for anything else.
fn already_replaced(step: &Step<'_>, id: &RunId, seal: &Seal) -> StepResult<Sealed> {
    let existing: Option<String> = step
        .conn
        .prepare_cached("SELECT run FROM idempotency WHERE key = ?1 AND digest = ?2")?
        .query_row([&seal.idempotency.key, &seal.idempotency.digest], |row| row.get(0))
        .optional()?;
    match existing {
        Some(existing) => Ok(Sealed::Existing(read_id(&existing)?)),
        None => Err(StoreError::NoSuchRun(id.clone()).into()),
    }
}

pub(super) fn discard(step: &mut Step<'_>, id: &RunId) -> StepResult<()> {
    let run = Run::known(step.conn, id)?;
    if run.phase != RunPhase::Open {
        return Err(run.refuse("only an open run can be discarded").into());
    }
    forget(step, run.key)
}

/// Takes the run's name away; its jobs go in [`sweep`].
fn forget(step: &Step<'_>, run: i64) -> StepResult<()> {
    step.conn.prepare_cached("UPDATE runs SET id = NULL WHERE key = ?1")?.execute([run])?;
    Ok(())
}

/// Forgets open runs that nobody has appended to for too long.
pub(super) fn expire(step: &mut Step<'_>) -> StepResult<u64> {
    let oldest =
        step.now.as_millis().saturating_sub(i64::try_from(OPEN_RUN_EXPIRES.as_millis()).unwrap_or(i64::MAX));
    let expired = step
        .conn
        .prepare_cached(
            "UPDATE runs SET id = NULL WHERE phase = 'open' AND id IS NOT NULL AND touched_at <= ?1",
        )?
        .execute([oldest])?;
    Ok(u64::try_from(expired).unwrap_or(u64::MAX))
}

/// Deletes some of what was discarded; `false` where nothing of it is left.
pub(super) fn sweep(step: &mut Step<'_>) -> StepResult<bool> {
    let run: Option<i64> = step
        .conn
        .prepare_cached("SELECT key FROM runs WHERE id IS NULL AND pruned IS NULL LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(run) = run else { return Ok(false) };
    let deleted = step
        .conn
        .prepare_cached(
            "DELETE FROM jobs WHERE place IN (SELECT place FROM jobs WHERE place >= ?1 AND place <= ?2 LIMIT ?3)",
        )?
        .execute(params![Place::of(run, 0).0, Place::end(run).0, SWEEP])?;
    if deleted == 0 {
        step.conn.prepare_cached("DELETE FROM runs WHERE key = ?1")?.execute([run])?;
    }
    Ok(true)
}
