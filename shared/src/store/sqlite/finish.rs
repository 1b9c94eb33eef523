//! The end of a lease: renewed, or finished in one step.

use std::{collections::BTreeSet, time::Duration};

use rusqlite::{OptionalExtension, params};

use super::{
    errors::StepResult,
    flight,
    leasing::lapsed,
    ledger::{End, end, enqueue, record, record_and_end},
    moves::Moves,
    reclaim::Kept,
    runs::ending_of,
    schema::{Place, State},
    writer::Step,
};
use crate::{Ending, JobReport, Then, Timestamp, Verdict, store::Lease};

/// The lease, if it is still in force.
fn held(step: &Step<'_>, lease: &Lease) -> StepResult<Kept> {
    let kept = step
        .conn
        .prepare_cached(&format!("SELECT {} FROM leases WHERE token = ?1", Kept::COLUMNS))?
        .query_row([lease.token], Kept::read)
        .optional()?
        .transpose()?;
    match kept {
        Some(kept) if kept.until > step.now && kept.worker == lease.worker.as_str() => Ok(kept),
        _ => Err(lapsed(lease).into()),
    }
}

/// Lengthens a lease; returns until when.
pub(super) fn renew(step: &mut Step<'_>, lease: &Lease, ttl: Duration) -> StepResult<Timestamp> {
    let kept = held(step, lease)?;
    let until = step.now.after(ttl);
    step.conn
        .prepare_cached("UPDATE leases SET until = ?2 WHERE token = ?1")?
        .execute(params![kept.token, until.as_millis()])?;
    Ok(until)
}

/// What a finish needs to know of the lease's run.
struct Run {
    key: i64,
    ending: Option<Ending>,
    account: i64,
}

fn run_of(step: &Step<'_>, kept: &Kept) -> StepResult<Run> {
    let (cancelled, account, notes): (bool, i64, Option<String>) = step
        .conn
        .prepare_cached("SELECT cancelled, account, iif(cancelled, notes, NULL) FROM runs WHERE key = ?1")?
        .query_row([kept.run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(Run { key: kept.run, ending: ending_of(cancelled, notes.as_deref())?, account })
}

/// Leaves the counters of the run to the end of the group: see [`Step::defer`].
pub(super) fn finish(step: &mut Step<'_>, lease: &Lease, reports: &[JobReport]) -> StepResult<()> {
    let kept = held(step, lease)?;
    let run = run_of(step, &kept)?;
    let mut moves = Moves::default();
    let mut untouched: BTreeSet<u64> = kept.seqs.iter().copied().collect();
    let mut queued = false;
    for report in reports {
        // A job that is not of this lease, or is reported twice, is nobody's to decide with it.
        if !untouched.remove(&report.seq) {
            return Err(lapsed(lease).into());
        }
        let place = Place::of(run.key, report.seq);
        queued |= settle_report(step, &mut moves, &run, place, report, &kept.worker)?;
    }
    for seq in &untouched {
        queued |= back(step, &mut moves, &run, Place::of(run.key, *seq), None)?;
    }
    for seq in &kept.seqs {
        let place = Place::of(run.key, *seq);
        let user = lease.jobs.iter().find(|job| job.seq == *seq).map(|job| job.user.key());
        queued |= flight::release(step, &mut moves, run.account, place, user)?;
    }
    kept.delete(step)?;
    step.defer(moves);
    if queued {
        step.wake(&lease.account);
    }
    Ok(())
}

/// Carries out one decision; returns whether the job is in the queue again.
fn settle_report(
    step: &Step<'_>,
    moves: &mut Moves,
    run: &Run,
    place: Place,
    report: &JobReport,
    worker: &str,
) -> StepResult<bool> {
    moves.throttled(run.key, report.throttled);
    match &report.then {
        Then::Finish { outcome, code, message } => {
            let (code, message) = (code.as_deref(), message.as_deref());
            let with = End { outcome: *outcome, code, message, worker: Some(worker) };
            match &report.attempt {
                Some(attempt) => record_and_end(step, moves, place, attempt, with)?,
                None => end(step, moves, place, State::Leased, with)?,
            }
            Ok(false)
        }
        Then::Retry { at } | Then::Snooze { until: at, .. } => {
            let retried = matches!(report.then, Then::Retry { .. });
            if let Some(attempt) = &report.attempt {
                // A wait is no failure: it stays in the ledger and costs the job nothing.
                record(step, moves, place, attempt, retried || attempt.verdict == Verdict::Lost)?;
            }
            if retried && run.ending.is_none() {
                if report.attempt.is_none() {
                    spend(step, place)?;
                }
                moves.retried(run.key);
            }
            back(step, moves, run, place, Some(*at))
        }
    }
}

/// A retry whose attempt was not recorded spends one all the same.
fn spend(step: &Step<'_>, place: Place) -> StepResult<()> {
    step.conn.prepare_cached("UPDATE jobs SET spent = spent + 1 WHERE place = ?1")?.execute([place.0])?;
    Ok(())
}

/// Puts a leased job back, or ends it where the rest of its run is being ended meanwhile. Returns whether it is in the queue.
fn back(
    step: &Step<'_>,
    moves: &mut Moves,
    run: &Run,
    place: Place,
    due: Option<Timestamp>,
) -> StepResult<bool> {
    if let Some(ending) = &run.ending {
        end(step, moves, place, State::Leased, End::with(ending))?;
        return Ok(false);
    }
    enqueue(step, moves, place, State::Leased, due)?;
    Ok(true)
}
