//! From sealed to worked: the stewardship, the resolve, the admission, the promotion.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::{
    again,
    errors::{StepResult, unreadable},
    ledger::{End, end},
    moves::Moves,
    runs::{Run, next_number},
    schema::{Place, State},
    writer::Step,
};
use crate::{
    Outcome, ResolvedUser, RunId, RunPhase, WorkerId,
    store::{CHUNK, Resolution, Steward, StoreError},
};

pub(super) fn take(
    step: &mut Step<'_>,
    id: &RunId,
    worker: &WorkerId,
    ttl: Duration,
) -> StepResult<Option<Steward>> {
    let run = Run::visible(step.conn, id)?;
    // One that stood still and has a job in flight waits for it: nothing of it is leased anew, and so none of its jobs
    // changes hands while it is resolved again.
    let open = run.phase == RunPhase::Sealed || (run.stood_still(step.now) && run.leased == 0);
    if !open || run.paused || run.cancelled {
        return Ok(None);
    }
    let now = step.now.as_millis();
    // The token stays where one takes one's own again, so that what is under way with it goes on.
    let token: Result<u64, rusqlite::Error> = step
        .conn
        .prepare_cached(
            "UPDATE runs SET steward = steward + (coalesce(steward_until, 0) <= ?4), steward_worker = ?2,
                 steward_until = ?3
             WHERE key = ?1 AND (coalesce(steward_until, 0) <= ?4 OR steward_worker = ?2) RETURNING steward",
        )?
        .query_row(params![run.key, worker.as_str(), step.now.after(ttl).as_millis(), now], |row| row.get(0));
    match token {
        Ok(token) => Ok(Some(Steward { run: run.id, token, worker: worker.clone() })),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The last stewardship of a run, and until when it lasts.
fn last(step: &Step<'_>, run: &Run) -> StepResult<(u64, Option<i64>)> {
    Ok(step
        .conn
        .prepare_cached("SELECT steward, steward_until FROM runs WHERE key = ?1")?
        .query_row([run.key], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// The run, if the stewardship is still in force.
fn held(step: &Step<'_>, steward: &Steward) -> StepResult<Run> {
    let run = Run::visible(step.conn, &steward.run)?;
    let (token, until) = last(step, &run)?;
    let in_force = (run.phase == RunPhase::Sealed || run.stood_still(step.now))
        && token == steward.token
        && until.is_some_and(|until| until > step.now.as_millis());
    if in_force {
        Ok(run)
    } else {
        Err(StoreError::LeaseLapsed(format!("the resolving of run {}", steward.run)).into())
    }
}

pub(super) fn renew(step: &mut Step<'_>, steward: &Steward, ttl: Duration) -> StepResult<()> {
    let run = held(step, steward)?;
    step.conn
        .prepare_cached("UPDATE runs SET steward_until = ?2 WHERE key = ?1")?
        .execute(params![run.key, step.now.after(ttl).as_millis()])?;
    Ok(())
}

pub(super) fn resolve(
    step: &mut Step<'_>,
    steward: &Steward,
    resolved: &[(u64, Resolution)],
) -> StepResult<()> {
    let run = held(step, steward)?;
    let duplicates = resolved.iter().any(|(_, found)| matches!(found, Resolution::Duplicate { .. }));
    if run.phase != RunPhase::Sealed && duplicates {
        return Err(run.refuse("its users are known apart, so none of them is a duplicate").into());
    }
    let mut moves = Moves::default();
    for (seq, resolution) in resolved {
        if run.phase == RunPhase::Sealed {
            resolve_one(step, &mut moves, &run, *seq, resolution)?;
        } else {
            again::resolve(step, &mut moves, &run, *seq, resolution)?;
        }
    }
    moves.settle(step)
}

fn resolve_one(
    step: &Step<'_>,
    moves: &mut Moves,
    run: &Run,
    seq: u64,
    resolution: &Resolution,
) -> StepResult<()> {
    let place = Place::of(run.key, seq);
    let found: Option<(String, Option<String>, Option<String>)> = step
        .conn
        .prepare_cached("SELECT state, resolution, touched FROM jobs WHERE place = ?1")?
        .query_row([place.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((state, before, touched)) = found else {
        return Err(run.refuse("it has no request waiting at a place that was resolved").into());
    };
    if state == "finished" {
        // Of a run that was opened again: it is not to be tried again.
        return Ok(());
    }
    let touched = touched.as_deref().map(serde_json::from_str).transpose();
    let touched: Option<ResolvedUser> = touched.map_err(|e| unreadable("a resolved user", e))?;
    let (state, word, user) = match resolution {
        Resolution::Change(user) => ("pending", "change", Some(user)),
        Resolution::Settled { user, .. } => ("pending", "settled", user.as_ref()),
        Resolution::Duplicate { .. } => ("dropped", "duplicate", None),
    };
    let (outcome, code, message) = match resolution {
        Resolution::Settled { outcome, code, message, .. } => {
            (Some(outcome.as_str()), code.as_deref(), message.as_deref())
        }
        Resolution::Change(_) | Resolution::Duplicate { .. } => (None, None, None),
    };
    let user = as_before_our_own_doing(user.cloned(), touched.filter(|_| word != "duplicate"));
    let text = user
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(|e| unreadable("a user to be stored", e))?;
    step.conn
        .prepare_cached(
            "UPDATE jobs SET state = ?2, resolution = ?3, resolved = ?4, user_key = ?5, resolved_at = ?6, outcome = ?7,
                 code = ?8, message = ?9, again = ?10
             WHERE place = ?1",
        )?
        .execute(params![
            place.0,
            state,
            word,
            text,
            user.as_ref().map(ResolvedUser::key),
            step.now.as_millis(),
            outcome,
            code,
            message,
            run.reopened
        ])?;
    if before.is_none() {
        moves.resolved(run.key);
    }
    match (before.as_deref() == Some("duplicate"), resolution) {
        (false, Resolution::Duplicate { .. }) => moves.dropped(run.key),
        (true, Resolution::Change(_) | Resolution::Settled { .. }) => {
            moves.undropped(run.key);
            step.conn.prepare_cached("DELETE FROM duplicates WHERE place = ?1")?.execute([place.0])?;
        }
        _ => {}
    }
    if let Resolution::Duplicate { of_line } = resolution {
        step.conn
            .prepare_cached("INSERT OR REPLACE INTO duplicates (place, of_line) VALUES (?1, ?2)")?
            .execute(params![place.0, of_line])?;
    }
    Ok(())
}

/// The user that was found, with what was there before an attempt that may have applied, if it is the same user; the one
/// that is known from then, where none was found.
fn as_before_our_own_doing(
    found: Option<ResolvedUser>,
    touched: Option<ResolvedUser>,
) -> Option<ResolvedUser> {
    match (found, touched) {
        (Some(mut user), Some(touched)) => {
            if user.key() == touched.key() {
                user.before = touched.before;
            }
            Some(user)
        }
        (found, touched) => found.or(touched),
    }
}

pub(super) fn finish(step: &mut Step<'_>, steward: &Steward) -> StepResult<()> {
    let run = Run::visible(step.conn, &steward.run)?;
    let open = run.phase == RunPhase::Sealed || run.stood_still(step.now);
    if !open && !run.cancelled && last(step, &run)?.0 == steward.token {
        // It did so before.
        return Ok(());
    }
    let run = held(step, steward)?;
    if run.unresolved > 0 {
        return Err(run.refuse("some of its requests have no resolution yet").into());
    }
    step.conn
        .prepare_cached(
            "UPDATE runs SET phase = CASE phase WHEN 'sealed' THEN 'resolved' ELSE phase END, fresh_at = ?2,
                 steward_worker = NULL, steward_until = NULL
             WHERE key = ?1",
        )?
        .execute(params![run.key, step.now.as_millis()])?;
    step.wake(&run.account_name);
    Ok(())
}

pub(super) fn admit(step: &mut Step<'_>, id: &RunId) -> StepResult<u64> {
    let run = Run::visible(step.conn, id)?;
    let admitted = matches!(run.phase, RunPhase::Admitted | RunPhase::Finished);
    if let Some(number) = run.admission.filter(|_| admitted) {
        return Ok(number);
    }
    if run.cancelled {
        return Err(run.refuse("it was cancelled, so it can't be admitted").into());
    }
    if run.phase != RunPhase::Resolved {
        return Err(run.refuse("it can't be admitted before it is resolved").into());
    }
    run.goes_on(step.now)?;
    let number = match run.admission {
        Some(number) => number,
        // Sealed by a usher that numbered at the admission.
        None => next_number(step.conn, run.account)?,
    };
    step.conn
        .prepare_cached("UPDATE runs SET phase = 'admitted', admission = ?2 WHERE key = ?1")?
        .execute(params![run.key, number])?;
    // One whose requests were all left out as duplicates has nothing to wait for.
    let mut moves = Moves::default();
    moves.touch(run.key);
    moves.settle(step)?;
    step.wake(&run.account_name);
    Ok(number)
}

/// A pending job as the promotion needs it.
struct Pending {
    place: Place,
    settled: bool,
    user_key: Option<String>,
    outcome: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

pub(super) fn promote(step: &mut Step<'_>, id: &RunId, limit: usize) -> StepResult<u64> {
    let run = Run::visible(step.conn, id)?;
    if run.phase.is_over() {
        return Ok(0);
    }
    let Some(admission) = run.admission.filter(|_| run.phase == RunPhase::Admitted) else {
        return Err(run.refuse("it can't be worked before it is admitted").into());
    };
    if run.cancelled {
        return Err(run.refuse("it was cancelled, so nothing more is put into the queue").into());
    }
    run.goes_on(step.now)?;
    let jobs: Vec<Pending> = step
        .conn
        .prepare_cached(&format!(
            "SELECT place, resolution, user_key, outcome, code, message FROM {}
             run = ?1 AND place >= ?2 AND place < ?3 AND state = 'pending' ORDER BY place LIMIT ?4",
            run.pending_jobs()
        ))?
        .query_map(
            params![run.key, Place::of(run.key, run.promoted).0, Place::end(run.key).0, limit.min(CHUNK)],
            |row| {
                Ok(Pending {
                    place: Place(row.get(0)?),
                    settled: row.get::<_, String>(1)? == "settled",
                    user_key: row.get(2)?,
                    outcome: row.get(3)?,
                    code: row.get(4)?,
                    message: row.get(5)?,
                })
            },
        )?
        .collect::<Result<_, _>>()?;
    let mut moves = Moves::default();
    moves.touch(run.key);
    for job in &jobs {
        if job.settled {
            let word = job.outcome.as_deref().unwrap_or_default();
            let outcome: Outcome = word.parse().map_err(|problem| unreadable("an outcome", problem))?;
            let (code, message) = (job.code.as_deref(), job.message.as_deref());
            end(step, &mut moves, job.place, State::Pending, End { outcome, code, message, worker: None })?;
        } else {
            claim(step, &run, admission, job)?;
            moves.moved(run.key, State::Pending, State::Ready);
        }
    }
    if let Some(last) = jobs.last() {
        step.conn
            .prepare_cached("UPDATE runs SET promoted = ?2 WHERE key = ?1")?
            .execute(params![run.key, last.place.seq() + 1])?;
    }
    moves.settle(step)?;
    step.wake(&run.account_name);
    Ok(run.pending - u64::try_from(jobs.len()).unwrap_or(run.pending).min(run.pending))
}

/// Puts a job into the queue, as a claim on its user.
fn claim(step: &Step<'_>, run: &Run, admission: u64, job: &Pending) -> StepResult<()> {
    step.conn
        .prepare_cached(
            "INSERT OR IGNORE INTO claims (account, user, admission, place) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![run.account, job.user_key, admission, job.place.0])?;
    step.conn
        .prepare_cached("UPDATE jobs SET state = 'ready', account = ?2 WHERE place = ?1")?
        .execute(params![job.place.0, run.account])?;
    Ok(())
}
