//! What workers report of the jobs that they were given.

use std::collections::BTreeSet;

use usher_shared::{
    Attempt, Clock, JobReport, Outcome, SnoozeReason, Then, Timestamp, Verdict, WorkerId, store::LeasedJob,
};

use super::{
    ops::Told,
    player::{Player, World},
};

impl<W: World> Player<'_, W> {
    pub(super) fn reports(&self, lease: usize, told: &[Told], foreign: bool, double: bool) -> Vec<JobReport> {
        let held = &self.model.leases[lease];
        let mut reports: Vec<JobReport> = held
            .jobs
            .iter()
            .zip(told.iter().chain(std::iter::repeat(&Told::Applied { began: 0 })))
            .filter_map(|(job, told)| self.report(job, &held.worker, *told))
            .collect();
        let seqs: BTreeSet<u64> = held.jobs.iter().map(|job| job.seq).collect();
        let then = Then::Finish { outcome: Outcome::Applied, code: None, message: None };
        let of = |seq| JobReport { seq, attempt: None, throttled: 0, then: then.clone() };
        if foreign {
            reports.push(of((0..).find(|seq| !seqs.contains(seq)).unwrap()));
        }
        if let (true, Some(first)) = (double, reports.first()) {
            reports.push(of(first.seq));
        }
        reports
    }

    fn report(&self, job: &LeasedJob, worker: &WorkerId, told: Told) -> Option<JobReport> {
        let now = self.clock.now();
        let at = |tenths: i8| Timestamp::from_millis(now.as_millis() + 100 * i64::from(tenths));
        let tried = |verdict, began: i8, calls| {
            Some(Attempt {
                began_at: at(began),
                ended_at: at(began.saturating_add(1)),
                calls,
                http: (calls > 0).then_some(500),
                verdict,
                code: None,
                worker: worker.clone(),
            })
        };
        let end = |outcome, code: Option<&str>| Then::Finish {
            outcome,
            code: code.map(ToOwned::to_owned),
            message: code.map(|code| format!("because of {code}")),
        };
        let snooze = |due, reason| Then::Snooze { until: at(due), reason };
        let (attempt, throttled, then) = match told {
            Told::Applied { began } => (tried(Verdict::Applied, began, 1), 0, end(Outcome::Applied, None)),
            Told::Rejected => (tried(Verdict::Rejected, 0, 2), 1, end(Outcome::Rejected, Some("1001"))),
            Told::Untried { poisoned: true } => (None, 0, end(Outcome::Poisoned, None)),
            Told::Untried { poisoned: false } => (None, 0, end(Outcome::Drifted, Some("role"))),
            Told::Retried { began, due, called } => {
                (tried(Verdict::Transient, began, u32::from(called)), 0, Then::Retry { at: at(due) })
            }
            Told::RetriedUntried { due } => (None, 0, Then::Retry { at: at(due) }),
            Told::Throttled { due } => {
                (tried(Verdict::Throttled, 0, 1), 1, snooze(due, SnoozeReason::Throttled))
            }
            Told::Returned { due } => (None, 0, snooze(due, SnoozeReason::Returned)),
            Told::Unnamed => return None,
        };
        Some(JobReport { seq: job.seq, attempt, throttled, then })
    }
}
