//! Runs and their jobs, and what is told of them. Nothing is counted as it happens: every figure is summed up anew from
//! the jobs when it is asked for.

use std::collections::BTreeMap;

use crate::{
    Action, Attempt, Counters, Effort, Ending, Hold, NewRun, Outcome, OutcomeRow, Request, ResolvedUser,
    RunNotes, RunPhase, RunStatus, Timestamp, Verdict, WorkerId,
    plan::Planned,
    store::{Remaining, Resolution, STANDS_STILL, Seal, StoreError},
};

/// A job that this many workers died over is leased alone (promise 6).
const ALONE_FROM: u32 = 2;

/// Where a job is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Not in the queue yet.
    Pending,
    /// In the queue, to be leased from that time on; `for_user` where it only waits for its user, who is in flight.
    Queued { due: Timestamp, for_user: bool },
    /// In the hands of the holder of a lease.
    Leased,
    /// Over.
    Done(Box<OutcomeRow>),
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) resolution: Option<Resolution>,
    pub(super) resolved_at: Timestamp,
    pub(super) place: Place,
    pub(super) attempts: Vec<Attempt>,
    /// Attempts that count against its budget.
    pub(super) spent: u32,
    pub(super) may_have_applied: bool,
    /// The user as it was before an attempt that may have applied: of a job that is tried again and not resolved yet.
    pub(super) touched: Option<ResolvedUser>,
    pub(super) deaths: u32,
}

/// The right to resolve a run, as the store keeps it.
#[derive(Clone, Debug)]
pub(super) struct Stewardship {
    pub(super) token: u64,
    pub(super) worker: WorkerId,
    pub(super) until: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) run: NewRun,
    pub(super) phase: RunPhase,
    pub(super) paused: bool,
    pub(super) cancelled: bool,
    /// Its place in the order of the seals; newer wins.
    pub(super) number: u64,
    pub(super) seal: Option<Seal>,
    /// The ended run that its key stood for before.
    pub(super) previous: Option<crate::RunId>,
    pub(super) touched_at: Timestamp,
    pub(super) sealed_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    /// The last resolve, or the last lease.
    pub(super) fresh_at: Option<Timestamp>,
    pub(super) steward: Option<Stewardship>,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) throttled: u64,
    pub(super) retries: u64,
    pub(super) notes: RunNotes,
}

impl Job {
    pub(super) fn new(request: Request) -> Self {
        Self {
            request,
            resolution: None,
            resolved_at: Timestamp::default(),
            place: Place::Pending,
            attempts: Vec::new(),
            spent: 0,
            may_have_applied: false,
            touched: None,
            deaths: 0,
        }
    }

    /// The user to be changed.
    pub(super) fn user(&self) -> Option<&ResolvedUser> {
        match &self.resolution {
            Some(Resolution::Change(user)) => Some(user),
            _ => None,
        }
    }

    /// Whether it is about the user with this key.
    pub(super) fn is_on(&self, key: &str) -> bool {
        self.user().is_some_and(|user| user.key() == key)
    }

    /// Whether it is another request's duplicate, and so no job at all.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self.resolution, Some(Resolution::Duplicate { .. }))
    }

    /// Puts it into the queue, to be leased from that time on.
    pub(super) fn queue(&mut self, due: Timestamp) {
        self.place = Place::Queued { due, for_user: false };
    }

    /// Whether no worker has it and it has no outcome.
    pub(super) fn is_free(&self) -> bool {
        !self.is_duplicate() && matches!(self.place, Place::Pending | Place::Queued { .. })
    }

    /// Whether it may be leased by now, as far as it alone can tell.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        matches!(self.place, Place::Queued { due, .. } if due <= now)
    }

    pub(super) fn runs_alone(&self) -> bool {
        self.deaths >= ALONE_FROM
    }

    /// What its user was found to be when its run was resolved again. What is in flight or over, or was settled before, stays.
    pub(super) fn resolve_again(&mut self, seq: u64, mut resolution: Resolution, now: Timestamp) {
        let Some(known) = self.user().filter(|_| self.is_free()).cloned() else { return };
        match &mut resolution {
            Resolution::Change(user) | Resolution::Settled { user: Some(user), .. } => {
                if self.may_have_applied {
                    user.before = known.before;
                }
            }
            Resolution::Settled { user, .. } => *user = Some(known),
            Resolution::Duplicate { .. } => return,
        }
        (self.resolution, self.resolved_at) = (Some(resolution.clone()), now);
        if let (Resolution::Settled { outcome, code, message, .. }, Place::Queued { .. }) =
            (resolution, &self.place)
        {
            self.end(seq, outcome, code, message, None);
        }
    }

    /// What it ended with.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match &self.place {
            Place::Done(row) => Some(row.outcome),
            _ => None,
        }
    }

    /// Lists an attempt. `spends` says whether it counts against the budget.
    pub(super) fn list(&mut self, attempt: Attempt, spends: bool) {
        self.spent += u32::from(spends);
        self.deaths += u32::from(attempt.verdict == Verdict::Lost);
        self.may_have_applied |=
            attempt.verdict == Verdict::Lost || (attempt.verdict == Verdict::Transient && attempt.calls > 0);
        self.attempts.push(attempt);
    }

    /// Gives it its outcome.
    pub(super) fn end(
        &mut self,
        seq: u64,
        outcome: Outcome,
        code: Option<String>,
        message: Option<String>,
        worker: Option<WorkerId>,
    ) {
        let resolved = match &self.resolution {
            Some(Resolution::Change(user)) => Some(user.clone()),
            Some(Resolution::Settled { user, .. }) => user.clone(),
            Some(Resolution::Duplicate { .. }) | None => None,
        };
        self.place = Place::Done(Box::new(OutcomeRow {
            seq,
            line: self.request.line,
            user: self.request.user.clone(),
            resolved,
            action: self.request.action,
            reason: self.request.reason.clone(),
            outcome,
            code,
            message,
            attempts: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
            first_attempt_at: self.attempts.first().map(|attempt| attempt.began_at),
            last_attempt_at: self.attempts.last().map(|attempt| attempt.ended_at),
            worker,
        }));
    }

    /// Ends it with the rest of its run.
    pub(super) fn end_with(&mut self, seq: u64, ending: &Ending) {
        self.end(seq, ending.outcome, ending.code.clone(), Some(ending.message.clone()), None);
    }

    /// As if it had never been resolved; `false` where it has not ended, or need not be tried again.
    pub(super) fn try_again(&mut self) -> bool {
        if self.outcome().is_none_or(Outcome::is_as_wished) {
            return false;
        }
        let known = match self.resolution.take() {
            Some(Resolution::Change(user)) => Some(user),
            Some(Resolution::Settled { user, .. }) => user,
            _ => self.touched.take(),
        };
        self.touched = known.filter(|_| self.may_have_applied);
        self.place = Place::Pending;
        (self.spent, self.deaths) = (0, 0);
        true
    }

    /// What its request is found to be. What was there before our own doing stays, if it is the same user. A job that has
    /// its outcome stays as it is.
    pub(super) fn resolve(&mut self, mut resolution: Resolution, now: Timestamp) {
        if self.outcome().is_some() {
            return;
        }
        if let Some(touched) = &self.touched {
            match &mut resolution {
                Resolution::Change(user) | Resolution::Settled { user: Some(user), .. } => {
                    if user.key() == touched.key() {
                        user.before = touched.before.clone();
                    }
                }
                Resolution::Settled { user, .. } => *user = Some(touched.clone()),
                Resolution::Duplicate { .. } => {}
            }
        }
        (self.resolution, self.resolved_at) = (Some(resolution), now);
    }
}

impl Run {
    pub(super) fn open(run: &NewRun, now: Timestamp) -> Self {
        Self {
            run: run.clone(),
            phase: RunPhase::Open,
            paused: false,
            cancelled: false,
            number: 0,
            seal: None,
            previous: None,
            touched_at: now,
            sealed_at: None,
            finished_at: None,
            fresh_at: None,
            steward: None,
            jobs: BTreeMap::new(),
            throttled: 0,
            retries: 0,
            notes: RunNotes::default(),
        }
    }

    /// Refuses what can't be done in this phase.
    pub(super) fn refuse<T>(&self, wanted: &'static str) -> Result<T, StoreError> {
        Err(StoreError::WrongPhase { run: self.run.id.clone(), phase: self.phase, wanted })
    }

    /// How its rest is being ended; `None` where it is not.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.cancelled.then(|| self.notes.ending.clone().unwrap_or_else(Ending::cancelled))
    }

    /// What its requests came to, from that place on.
    pub(super) fn planned(&self, from_seq: u64) -> impl Iterator<Item = Planned> {
        self.jobs.range(from_seq..).filter_map(|(seq, job)| {
            let resolution = job.resolution.clone()?;
            Some(Planned { seq: *seq, request: job.request.clone(), resolution })
        })
    }

    /// Whether its jobs may be leased.
    pub(super) fn is_workable(&self, now: Timestamp) -> bool {
        self.phase == RunPhase::Admitted && !self.paused && !self.cancelled && !self.stood_still(now)
    }

    /// Whether its users are to be resolved again before it goes on.
    pub(super) fn stood_still(&self, now: Timestamp) -> bool {
        matches!(self.phase, RunPhase::Resolved | RunPhase::Admitted)
            && self.fresh_at.is_none_or(|fresh| now.since(fresh) > STANDS_STILL)
    }

    /// Whether its users may be resolved now.
    pub(super) fn is_to_be_resolved(&self, now: Timestamp) -> bool {
        let in_flight = self.jobs.values().any(|job| matches!(job.place, Place::Leased));
        self.phase == RunPhase::Sealed || (self.stood_still(now) && !in_flight)
    }

    /// Its jobs that are still to be carried out, from that place on.
    pub(super) fn remaining(&self, from_seq: u64) -> impl Iterator<Item = Remaining> {
        self.jobs.range(from_seq..).filter_map(|(seq, job)| {
            let user = job.user().filter(|_| job.outcome().is_none())?.clone();
            let (line, action) = (job.request.line, job.request.action);
            Some(Remaining { seq: *seq, line, action, user, may_have_applied: job.may_have_applied })
        })
    }

    /// Whether its number counts.
    pub(super) fn is_admitted(&self) -> bool {
        matches!(self.phase, RunPhase::Admitted | RunPhase::Finished)
    }

    /// Whether it decides about the user with this key: it has put a job on the user into the queue, and was not
    /// cancelled before it had carried that out.
    pub(super) fn decides_about(&self, key: &str) -> bool {
        self.jobs.values().any(|job| {
            let stands = match job.outcome() {
                Some(outcome) => !matches!(outcome, Outcome::Cancelled | Outcome::Expired),
                None => !self.cancelled && !matches!(job.place, Place::Pending),
            };
            stands && job.is_on(key)
        })
    }

    /// The run is over once every job has its outcome.
    pub(super) fn end_if_done(&mut self, now: Timestamp) {
        let worked = self.phase == RunPhase::Admitted;
        let called_off = self.cancelled && matches!(self.phase, RunPhase::Sealed | RunPhase::Resolved);
        let done = self.jobs.values().all(|job| job.is_duplicate() || job.outcome().is_some());
        if (worked || called_off) && done {
            self.phase = if self.cancelled { RunPhase::Cancelled } else { RunPhase::Finished };
            self.finished_at = Some(now);
        }
    }

    fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for job in self.jobs.values() {
            if job.is_duplicate() {
                counters.duplicates += 1;
                continue;
            }
            counters.total += 1;
            match &job.place {
                Place::Pending => counters.pending += 1,
                Place::Queued { .. } => counters.queued += 1,
                Place::Leased => counters.leased += 1,
                Place::Done(row) => {
                    counters.finished += 1;
                    *counters.outcomes.entry(row.outcome).or_default() += 1;
                }
            }
        }
        counters
    }

    fn effort(&self) -> Effort {
        let attempts = || self.jobs.values().flat_map(|job| &job.attempts);
        Effort {
            attempts: attempts().count() as u64,
            calls: attempts().map(|attempt| u64::from(attempt.calls)).sum(),
            throttled: self.throttled,
            retries: self.retries,
            lost: attempts().filter(|attempt| attempt.verdict == Verdict::Lost).count() as u64,
            first_attempt_at: attempts().map(|attempt| attempt.began_at).min(),
            last_attempt_at: attempts().map(|attempt| attempt.ended_at).max(),
        }
    }

    pub(super) fn status(&self, hold: Option<Hold>) -> RunStatus {
        let by_action: BTreeMap<Action, u64> =
            self.seal.as_ref().map(|seal| seal.by_action.clone()).unwrap_or_default();
        RunStatus {
            notes: self.notes.clone(),
            run: self.run.clone(),
            phase: self.phase,
            paused: self.paused,
            cancelled: self.cancelled,
            admission: (self.phase >= RunPhase::Admitted).then_some(self.number),
            by_action,
            counters: self.counters(),
            effort: self.effort(),
            sealed_at: self.sealed_at,
            finished_at: self.finished_at,
            fresh_at: self.fresh_at,
            hold,
        }
    }
}
