//! Runs and their jobs: where each is, what it ended with, and what the counters say.

use std::collections::BTreeMap;

use usher_shared::{store::Resolution, *};

#[derive(Clone, Debug)]
pub(super) enum Place {
    Pending,
    Queued { due: Timestamp },
    Leased { token: u64 },
    Done(Box<OutcomeRow>),
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) resolution: Option<Resolution>,
    pub(super) place: Place,
    pub(super) attempts: Vec<Attempt>,
    pub(super) spent: u32,
    pub(super) may_have_applied: bool,
    pub(super) deaths: u32,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) status: RunStatus,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) duplicates: u64,
    pub(super) done: usize,
}

impl Job {
    pub(super) fn new(request: Request) -> Self {
        Self {
            request,
            resolution: None,
            place: Place::Pending,
            attempts: vec![],
            spent: 0,
            may_have_applied: false,
            deaths: 0,
        }
    }
}

impl Run {
    pub(super) fn open(run: &NewRun) -> Self {
        let status = RunStatus {
            run: run.clone(),
            phase: RunPhase::Open,
            paused: false,
            cancelled: false,
            admission: None,
            by_action: BTreeMap::new(),
            counters: Counters::default(),
            effort: Effort::default(),
            sealed_at: None,
            finished_at: None,
            hold: None,
        };
        Self { status, jobs: BTreeMap::new(), duplicates: 0, done: 0 }
    }

    pub(super) fn user(&self, seq: u64) -> Option<&ResolvedUser> {
        match &self.jobs[&seq].resolution {
            Some(Resolution::Change(user)) => Some(user),
            _ => None,
        }
    }

    pub(super) fn end(
        &mut self,
        seq: u64,
        outcome: Outcome,
        code: Option<String>,
        message: Option<String>,
        worker: Option<WorkerId>,
    ) {
        let resolved = self.user(seq).cloned();
        self.done += 1;
        let job = self.jobs.get_mut(&seq).unwrap();
        job.place = Place::Done(Box::new(OutcomeRow {
            seq,
            line: job.request.line,
            user: job.request.user.clone(),
            resolved,
            action: job.request.action,
            reason: None,
            outcome,
            code,
            message,
            attempts: job.spent,
            first_attempt_at: job.attempts.first().map(|attempt| attempt.began_at),
            last_attempt_at: job.attempts.last().map(|attempt| attempt.ended_at),
            worker,
        }));
    }

    pub(super) fn status(&self, hold: Option<Hold>) -> RunStatus {
        let mut status = RunStatus { hold, ..self.status.clone() };
        let counters = &mut status.counters;
        *counters =
            Counters { total: self.jobs.len() as u64, duplicates: self.duplicates, ..Counters::default() };
        for job in self.jobs.values() {
            match &job.place {
                Place::Pending => counters.pending += 1,
                Place::Queued { .. } => counters.queued += 1,
                Place::Leased { .. } => counters.leased += 1,
                Place::Done(row) => {
                    counters.finished += 1;
                    *counters.outcomes.entry(row.outcome).or_default() += 1;
                }
            }
        }
        if counters.finished == counters.total
            && matches!(status.phase, RunPhase::Admitted | RunPhase::Resolved | RunPhase::Sealed)
            && (status.phase == RunPhase::Admitted || status.cancelled)
        {
            status.phase =
                if counters.of(Outcome::Cancelled) > 0 { RunPhase::Cancelled } else { RunPhase::Finished };
        }
        status
    }
}
