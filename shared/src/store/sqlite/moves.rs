//! What a step moved, so that a run's counters can't be left behind.
//!
//! Steps collect what they moved in [`Moves`] and settle it at their end: one update a run, whatever the number of jobs.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{errors::StepResult, runs::Run, schema::State, writer::Step};
use crate::{Attempt, Outcome, RunPhase, Timestamp, Verdict};

/// What a step did to the jobs of one run.
#[derive(Debug, Default)]
struct Change {
    total: i64,
    duplicates: i64,
    unresolved: i64,
    pending: i64,
    ready: i64,
    alone: i64,
    waiting: i64,
    leased: i64,
    finished: i64,
    attempts: u64,
    calls: u64,
    throttled: u64,
    retries: u64,
    lost: u64,
    first_attempt_at: Option<Timestamp>,
    last_attempt_at: Option<Timestamp>,
    /// The last lease.
    fresh_at: Option<Timestamp>,
    outcomes: BTreeMap<Outcome, i64>,
}

impl Change {
    fn of(&mut self, state: State) -> &mut i64 {
        match state {
            State::Pending => &mut self.pending,
            State::Ready => &mut self.ready,
            State::Alone => &mut self.alone,
            State::Waiting => &mut self.waiting,
            State::Leased => &mut self.leased,
        }
    }
}

/// What a step did, run by run.
#[derive(Debug, Default)]
pub(super) struct Moves(BTreeMap<i64, Change>);

impl Change {
    fn add(&mut self, other: Self) {
        let Self { total, duplicates, unresolved, pending, ready, alone, waiting, leased, finished, .. } =
            other;
        for (of, more) in [
            (&mut self.total, total),
            (&mut self.duplicates, duplicates),
            (&mut self.unresolved, unresolved),
            (&mut self.pending, pending),
            (&mut self.ready, ready),
            (&mut self.alone, alone),
            (&mut self.waiting, waiting),
            (&mut self.leased, leased),
            (&mut self.finished, finished),
        ] {
            *of += more;
        }
        let Self { attempts, calls, throttled, retries, lost, .. } = other;
        for (of, more) in [
            (&mut self.attempts, attempts),
            (&mut self.calls, calls),
            (&mut self.throttled, throttled),
            (&mut self.retries, retries),
            (&mut self.lost, lost),
        ] {
            *of += more;
        }
        let firsts = [self.first_attempt_at, other.first_attempt_at];
        self.first_attempt_at = firsts.into_iter().flatten().min();
        self.last_attempt_at = self.last_attempt_at.max(other.last_attempt_at);
        self.fresh_at = self.fresh_at.max(other.fresh_at);
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
    }
}

impl Moves {
    /// Takes in what another step did.
    pub(super) fn add(&mut self, other: Self) {
        for (run, change) in other.0 {
            self.run(run).add(change);
        }
    }

    fn run(&mut self, run: i64) -> &mut Change {
        self.0.entry(run).or_default()
    }

    /// The run is looked at in [`Moves::settle`] even if nothing moved: it may be over.
    pub(super) fn touch(&mut self, run: i64) {
        self.run(run);
    }

    /// A job went from one state to another.
    pub(super) fn moved(&mut self, run: i64, from: State, to: State) {
        let change = self.run(run);
        *change.of(from) -= 1;
        *change.of(to) += 1;
    }

    /// A job is leased.
    pub(super) fn leased(&mut self, run: i64, from: State, now: Timestamp) {
        self.moved(run, from, State::Leased);
        self.run(run).fresh_at = Some(now);
    }

    /// A job got its outcome.
    pub(super) fn ended(&mut self, run: i64, from: State, outcome: Outcome) {
        let change = self.run(run);
        *change.of(from) -= 1;
        change.finished += 1;
        *change.outcomes.entry(outcome).or_default() += 1;
    }

    /// A job that had this outcome is tried again, as if it had never been resolved.
    pub(super) fn reopened(&mut self, run: i64, outcome: Outcome) {
        let change = self.run(run);
        change.finished -= 1;
        change.pending += 1;
        change.unresolved += 1;
        *change.outcomes.entry(outcome).or_default() -= 1;
    }

    /// A pending request got its first resolution.
    pub(super) fn resolved(&mut self, run: i64) {
        self.run(run).unresolved -= 1;
    }

    /// A pending job was found to be a duplicate.
    pub(super) fn dropped(&mut self, run: i64) {
        let change = self.run(run);
        change.total -= 1;
        change.pending -= 1;
        change.duplicates += 1;
    }

    /// What was taken for a duplicate is a job after all.
    pub(super) fn undropped(&mut self, run: i64) {
        let change = self.run(run);
        change.total += 1;
        change.pending += 1;
        change.duplicates -= 1;
    }

    /// A job is to be tried again.
    pub(super) fn retried(&mut self, run: i64) {
        self.run(run).retries += 1;
    }

    /// Replies that were a rate limit's refusal.
    pub(super) fn throttled(&mut self, run: i64, replies: u32) {
        self.run(run).throttled += u64::from(replies);
    }

    pub(super) fn attempted(&mut self, run: i64, attempt: &Attempt) {
        let change = self.run(run);
        change.attempts += 1;
        change.calls += u64::from(attempt.calls);
        change.lost += u64::from(attempt.verdict == Verdict::Lost);
        let first = change.first_attempt_at.get_or_insert(attempt.began_at);
        *first = attempt.began_at.min(*first);
        change.last_attempt_at = change.last_attempt_at.max(Some(attempt.ended_at));
    }

    /// Writes the counters, and ends the runs whose every job has its outcome.
    pub(super) fn settle(self, step: &mut Step<'_>) -> StepResult<()> {
        for (run, change) in self.0 {
            let first = change.first_attempt_at.map(Timestamp::as_millis);
            let last = change.last_attempt_at.map(Timestamp::as_millis);
            let fresh = change.fresh_at.map(Timestamp::as_millis);
            let (finished, total, phase, cancelled): (u64, u64, String, bool) = step
                .conn
                .prepare_cached(
                    "UPDATE runs SET total = total + ?2, duplicates = duplicates + ?3, unresolved = unresolved + ?4,
                         pending = pending + ?5, ready = ready + ?6, alone = alone + ?7, waiting = waiting + ?8,
                         leased = leased + ?9, finished = finished + ?10, attempts = attempts + ?11,
                         calls = calls + ?12, throttled = throttled + ?13, retries = retries + ?14, lost = lost + ?15,
                         first_attempt_at = min(coalesce(first_attempt_at, ?16), coalesce(?16, first_attempt_at)),
                         last_attempt_at = max(coalesce(last_attempt_at, ?17), coalesce(?17, last_attempt_at)),
                         fresh_at = coalesce(?18, fresh_at)
                     WHERE key = ?1 RETURNING finished, total, phase, cancelled",
                )?
                .query_row(
                    params![
                        run,
                        change.total,
                        change.duplicates,
                        change.unresolved,
                        change.pending,
                        change.ready,
                        change.alone,
                        change.waiting,
                        change.leased,
                        change.finished,
                        change.attempts,
                        change.calls,
                        change.throttled,
                        change.retries,
                        change.lost,
                        first,
                        last,
                        fresh,
                    ],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )?;
            for (outcome, count) in change.outcomes {
                step.conn
                    .prepare_cached(
                        "INSERT INTO outcomes (run, outcome, count) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO UPDATE SET count = count + excluded.count",
                    )?
                    .execute(params![run, outcome.as_str(), count])?;
            }
            if finished == total && (cancelled || phase == RunPhase::Admitted.as_str()) {
                end_run(step, run, cancelled)?;
            }
        }
        Ok(())
    }
}

fn end_run(step: &mut Step<'_>, run: i64, cancelled: bool) -> StepResult<()> {
    let phase = if cancelled { RunPhase::Cancelled } else { RunPhase::Finished };
    step.conn
        .prepare_cached(
            "UPDATE runs SET phase = ?2, finished_at = ?3 WHERE key = ?1 AND finished_at IS NULL",
        )?
        .execute(params![run, phase.as_str(), step.now.as_millis()])?;
    let account = Run::numbered(step.conn, run)?.account_name;
    step.wake(&account);
    Ok(())
}
