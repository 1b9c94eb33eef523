//! Deadlines: no call starts after its run's, and a run that will not make its own says so in time.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use usher_shared::{RunId, RunPhase, RunStatus, Timestamp, store::StoreError};

use crate::account::{Account, locked};

/// The deadlines of the runs that are worked, as far as they are known: what they are never changes.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Mutex<HashMap<RunId, Option<Timestamp>>>);

impl Deadlines {
    /// The account's runs that are not over.
    pub fn see(&self, runs: &[RunStatus]) {
        let known = runs.iter().map(|run| (run.run.id.clone(), run.run.terms.deadline)).collect();
        *locked(&self.0) = known;
    }

    fn known(&self, run: &RunId) -> Option<Option<Timestamp>> {
        locked(&self.0).get(run).copied()
    }

    fn learn(&self, run: &RunId, deadline: Option<Timestamp>) {
        locked(&self.0).insert(run.clone(), deadline);
    }
}

/// The deadline of a run that is leased from: asked of the store where the steward has not seen the run yet.
pub(crate) async fn deadline(account: &Account, run: &RunId) -> Result<Option<Timestamp>, StoreError> {
    if let Some(known) = account.deadlines.known(run) {
        return Ok(known);
    }
    let status = account.store.run(run).await?.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
    account.deadlines.learn(run, status.run.terms.deadline);
    Ok(status.run.terms.deadline)
}

/// How much longer a run takes than its deadline leaves it, at so many users a second; `None` where it makes it.
#[must_use]
pub fn misses_by(run: &RunStatus, per_second: f64, now: Timestamp) -> Option<Duration> {
    let left = run.run.terms.deadline?.since(now);
    let jobs = run.counters.pending + run.counters.queued + run.counters.leased;
    if run.phase != RunPhase::Admitted || run.cancelled || per_second <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "users are far fewer than 2^53")]
    let needed = Duration::try_from_secs_f64(jobs as f64 / per_second).unwrap_or(Duration::MAX);
    // A forecast is not that exact: a second more or less is no news.
    needed.checked_sub(left).filter(|over| *over > Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use usher_shared::{Counters, Effort, NewRun, Priority, RunNotes, Terms};

    use super::*;

    #[test]
    fn a_run_misses_its_deadline_by_what_its_users_take_longer() {
        let now = Timestamp::from_millis(1_763_600_000_000);
        let run = |phase, queued, seconds: Option<u64>| RunStatus {
            notes: RunNotes::default(),
            run: NewRun {
                terms: Terms {
                    deadline: seconds.map(|seconds| now.after(Duration::from_secs(seconds))),
                    ..Terms::default()
                },
                id: "20261120-k3f9zm".parse().unwrap(),
                account: "zoom-main".parse().unwrap(),
                priority: Priority::Normal,
                reason: None,
                asked_by: "test".into(),
                source: None,
                created_at: now,
            },
            phase,
            paused: false,
            cancelled: false,
            admission: None,
            by_action: Default::default(),
            counters: Counters { total: queued, queued, ..Counters::default() },
            effort: Effort::default(),
            sealed_at: None,
            finished_at: None,
            fresh_at: Some(now),
            hold: None,
        };
        let admitted = RunPhase::Admitted;
        let cases = [
            (run(admitted, 800, Some(10)), 80.0, None),
            (run(admitted, 1_600, Some(10)), 80.0, Some(10)),
            (run(admitted, 1_600, None), 80.0, None),
            (run(admitted, 1_600, Some(10)), 0.0, None),
            (run(RunPhase::Sealed, 1_600, Some(10)), 80.0, None),
        ];
        for (run, rate, expected) in cases {
            assert_eq!(misses_by(&run, rate, now), expected.map(Duration::from_secs), "{run:?}");
        }
    }
}
