//! Promise 7, and the others at once: after any sequence of operations the counters add up, no two jobs on one user
//! are in flight, the newest run wins, and in the end every job has exactly one outcome.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Fixture,
    samples::{Submission, account, attempt, finished, retried, returned, throttled, worker},
    steps::Steps,
};
use crate::{
    Action, Ending, Hold, HoldReason, JobReport, Outcome, Priority, RunId, RunPhase, RunStatus, Timestamp,
    Verdict,
    store::{CHUNK, Lease, LeaseAsk, LeasedJob, Resolution, STANDS_STILL, SharedStore, StoreError},
};

/// Set to a seed that a failed test printed, this repeats it.
const SEED: &str = "USHER_CONFORMANCE_SEED";

const OPERATIONS: usize = 400;

/// Few enough that every run shares users with every other.
const USERS: usize = 40;

/// A lease in a worker's hands, perhaps lapsed by now.
#[derive(Debug)]
struct Held {
    lease: Lease,
    lapses_at: Timestamp,
}

/// Two workers, each with a handle of its own, and what they hold.
struct Workers<'f> {
    steps: Steps<'f>,
    handles: [SharedStore; 2],
    runs: Vec<RunId>,
    held: Vec<Held>,
    /// Runs that were opened again: whom they have in the queue can't be told from how many they have there.
    reopened: BTreeSet<RunId>,
    random: StdRng,
}

pub async fn whatever_is_done_in_whatever_order_every_job_ends_once(fixture: &impl Fixture) {
    let seed =
        std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    eprintln!("to repeat this: {SEED}={seed}");
    let handles = [fixture.store(), fixture.second_handle().await];
    let steps = Steps::new(fixture);
    let random = StdRng::seed_from_u64(seed);
    let mut workers =
        Workers { steps, handles, runs: Vec::new(), held: Vec::new(), reopened: BTreeSet::new(), random };
    for _ in 0..2 {
        workers.submit().await;
    }
    for operation in 0..OPERATIONS {
        // A third run comes in the middle of the work on the other two.
        if operation == OPERATIONS / 3 {
            workers.submit().await;
        }
        workers.operate().await;
        workers.steps.check_counters().await;
    }
    workers.drain().await;
}

impl Workers<'_> {
    /// A resolved run of some of the users.
    async fn submit(&mut self) {
        let mut submission = Submission::of_size(USERS);
        submission.requests.retain(|_| self.random.random_bool(0.5));
        for request in &mut submission.requests {
            request.action = Action::ALL[self.random.random_range(0..2)];
        }
        let run = self.steps.submit(&submission).await;
        self.steps.resolve_all(&run).await;
        self.runs.push(run);
    }

    /// One operation, chosen at random.
    async fn operate(&mut self) {
        let run = self.runs[self.random.random_range(0..self.runs.len())].clone();
        let store = self.steps.store.clone();
        match self.random.random_range(0..100) {
            0..40 => self.lease().await,
            40..65 => self.finish().await,
            65..72 => self.renew().await,
            72..81 => {
                let seconds = self.random.random_range(0..8);
                self.steps.pass(Duration::from_secs(seconds)).await;
            }
            81 => self.stand_still(&run).await,
            82..85 => allowed(store.admit(&run).await),
            85..91 => {
                let limit = self.random.random_range(1..9);
                allowed(store.promote(&run, limit).await);
            }
            91 => allowed(store.pause(&run).await),
            92..95 => allowed(store.resume(&run).await),
            95..97 => {
                // Rarely, or nothing is left to be worked.
                if self.random.random_bool(0.1) {
                    let limit = self.random.random_range(1..4);
                    let late = self.random.random_bool(0.5);
                    let ending = if late { Ending::deadline() } else { Ending::cancelled() };
                    allowed(store.end(&run, &ending, limit).await);
                }
                self.try_again(&run).await;
            }
            97 => {
                let priority = Priority::ALL[self.random.random_range(0..3)];
                allowed(store.set_priority(&run, priority).await);
            }
            98 => {
                let since = self.steps.now();
                let until = Some(since.after(Duration::from_millis(4_500)));
                let hold = Hold { reason: HoldReason::Breaker, message: String::new(), since, until };
                store.hold(&account(), &hold).await.unwrap();
            }
            _ => drop(store.release(&account()).await.unwrap()),
        }
    }

    /// Some of what ended otherwise than as wished is tried again, where the run is over; and it goes on, now or later.
    async fn try_again(&mut self, run: &RunId) {
        let store = self.steps.store.clone();
        if self.steps.status(run).await.cancelled {
            // Its rest is ended first.
            allowed(store.cancel(run, CHUNK).await);
        }
        let seqs: Vec<u64> = (0..USERS as u64).filter(|_| self.random.random_bool(0.5)).collect();
        allowed(store.reopen(run, &seqs).await);
        if self.steps.status(run).await.phase != RunPhase::Sealed {
            return;
        }
        self.reopened.insert(run.clone());
        if self.random.random_bool(0.2) {
            return;
        }
        store.resume(run).await.unwrap();
        self.steps.resolve_all(run).await;
    }

    /// Now and then nobody works for more than an hour; then a steward comes, and perhaps dies on the way.
    async fn stand_still(&mut self, run: &RunId) {
        if self.random.random_bool(0.3) {
            self.steps.pass(STANDS_STILL + Duration::from_secs(1)).await;
        }
        let status = self.steps.status(run).await;
        if status.phase == RunPhase::Sealed && !status.paused && !status.cancelled {
            // It was opened again, and is resolved like any other.
            return self.steps.resolve_all(run).await;
        }
        let Some(steward) = self.steps.steward(run, "w1", Duration::from_secs(5)).await else { return };
        let mut remaining = self.steps.store.remaining(run, 0, CHUNK).await.unwrap();
        remaining.truncate(self.random.random_range(0..=remaining.len()));
        let mut resolved = Vec::new();
        for job in remaining {
            let settled = Resolution::Settled {
                outcome: Outcome::Protected,
                code: None,
                message: None,
                user: self.random.random_bool(0.5).then(|| job.user.clone()),
            };
            let gone = self.random.random_bool(0.1);
            resolved.push((job.seq, if gone { settled } else { Resolution::Change(job.user) }));
        }
        self.steps.resolve(&steward, &resolved).await;
        if self.random.random_bool(0.8) {
            self.steps.finish_resolving(steward).await;
        }
    }

    async fn lease(&mut self) {
        let number = self.random.random_range(0..2);
        // Half a second more than a whole one: the clock, which moves by whole ones, never stands at the very end.
        let ttl = Duration::from_millis(self.random.random_range(3..20) * 1_000 + 500);
        let only_run = self
            .random
            .random_bool(0.1)
            .then(|| self.runs[self.random.random_range(0..self.runs.len())].clone());
        let ask = LeaseAsk {
            urgent_only: false,
            account: account(),
            worker: worker(&format!("w{number}")),
            leases: self.random.random_range(1..4),
            batch: self.random.random_range(1..4),
            ttl,
            only_run,
            idle: self.random.random_bool(0.5),
        };
        let before = self.statuses().await;
        self.steps.store = self.handles[number].clone();
        let leased = self.steps.lease(&ask).await;
        if before.values().any(|status| status.hold.is_some()) {
            assert!(leased.leases.is_empty(), "the account is on hold: {leased:?}");
        }
        let now = self.steps.now();
        self.held.retain(|held| held.lapses_at > now || self.random.random_bool(0.5));
        for lease in leased.leases {
            let run = &before[&lease.run];
            let goes_on = !run.paused && !run.cancelled && run.stood_still(now).is_none();
            assert!(goes_on && run.phase == RunPhase::Admitted, "not to be leased: {run:?}");
            for job in lease.jobs.iter() {
                self.check_granted(&lease, job, &before).await;
            }
            self.held.push(Held { lease, lapses_at: now.after(ttl) });
        }
    }

    /// Sees that this job may be in flight now.
    async fn check_granted(&self, lease: &Lease, job: &LeasedJob, runs: &BTreeMap<RunId, RunStatus>) {
        let now = self.steps.now();
        let user = job.user.key();
        let in_flight =
            self.held.iter().filter(|held| held.lapses_at > now).flat_map(|held| held.lease.jobs.iter());
        assert!(
            !in_flight.into_iter().any(|other| other.user.key() == user),
            "{user} is in flight twice: {lease:?}"
        );
        let admission = runs[&lease.run].admission;
        let newer = runs.values().filter(|run| run.admission > admission && !run.cancelled);
        for newer in newer.filter(|run| !self.reopened.contains(&run.run.id)) {
            let promoted = newer.counters.total - newer.counters.pending;
            let claims = self.steps.store.requests(&newer.run.id, 0, promoted as usize).await.unwrap();
            // Who was settled when the run was resolved again is no longer claimed.
            let rows = self.steps.outcomes(&newer.run.id).await;
            let settled = |seq| rows.iter().any(|row| row.seq == seq && row.outcome == Outcome::Protected);
            let claimed = claims.iter().any(|(seq, request)| {
                super::samples::resolved(&request.user).key() == user && !settled(*seq)
            });
            assert!(!claimed, "{} decides about {user}, not {lease:?}", newer.run.id);
        }
        let rows = self.steps.store.outcomes(&lease.run, job.seq, 1).await.unwrap();
        assert!(rows.iter().all(|row| row.seq != job.seq), "it has ended: {job:?}");
    }

    async fn finish(&mut self) {
        let Some(held) = self.take_held() else { return };
        let reports = held.lease.jobs.iter().filter_map(|job| self.report(&held.lease, job.seq)).collect();
        let done = self.handles[self.random.random_range(0..2)].finish(held.lease, reports).await;
        self.is_as_the_time_says(held.lapses_at, done);
    }

    async fn renew(&mut self) {
        let Some(mut held) = self.take_held() else { return };
        let ttl = Duration::from_millis(self.random.random_range(3..20) * 1_000 + 500);
        let done = self.handles[0].renew(&mut held.lease, ttl).await;
        if self.is_as_the_time_says(held.lapses_at, done) {
            self.held.push(Held { lease: held.lease, lapses_at: self.steps.now().after(ttl) });
        }
    }

    fn take_held(&mut self) -> Option<Held> {
        let count = self.held.len();
        (count > 0).then(|| self.held.swap_remove(self.random.random_range(0..count)))
    }

    /// A lease allows what was done before its end, and nothing after it.
    fn is_as_the_time_says(&self, lapses_at: Timestamp, done: Result<(), StoreError>) -> bool {
        match done {
            Ok(()) => assert!(lapses_at > self.steps.now(), "a write with a lapsed lease went through"),
            Err(StoreError::LeaseLapsed(_)) => assert!(lapses_at <= self.steps.now(), "it had not lapsed"),
            Err(other) => panic!("{other:?}"),
        }
        lapses_at > self.steps.now()
    }

    fn report(&mut self, lease: &Lease, seq: u64) -> Option<JobReport> {
        let now = self.steps.now();
        let until = now.after(Duration::from_secs(self.random.random_range(0..6)));
        let tried = |verdict| attempt(now, &lease.worker, verdict);
        match self.random.random_range(0..10) {
            0 | 1 => Some(finished(seq, Some(tried(Verdict::Applied)), Outcome::Applied)),
            2 => Some(finished(seq, Some(tried(Verdict::NotFound)), Outcome::NotFound)),
            3 | 4 => Some(retried(seq, tried(Verdict::Transient), until)),
            5..8 => Some(throttled(seq, tried(Verdict::Throttled), until)),
            8 => Some(returned(seq, until)),
            _ => None,
        }
    }

    async fn statuses(&self) -> BTreeMap<RunId, RunStatus> {
        let mut statuses = BTreeMap::new();
        for run in &self.runs {
            statuses.insert(run.clone(), self.steps.status(run).await);
        }
        statuses
    }

    /// Both workers die, and a third works on to the end.
    async fn drain(mut self) {
        self.held.clear();
        self.steps.store.release(&account()).await.unwrap();
        self.steps.pass(Duration::from_secs(3_600)).await;
        for run in &self.runs {
            let status = self.steps.status(run).await;
            if status.phase.is_over() {
                continue;
            }
            if status.cancelled {
                while self.steps.cancel(run, CHUNK).await > 0 {
                    let idle = LeaseAsk { leases: 0, ..super::samples::ask("w3") };
                    self.steps.lease(&idle).await;
                    if self.steps.status(run).await.phase.is_over() {
                        break;
                    }
                }
                continue;
            }
            self.steps.store.resume(run).await.unwrap();
            if status.phase == RunPhase::Sealed {
                self.steps.resolve_all(run).await;
            }
            self.steps.go_on(run).await;
            if !self.steps.status(run).await.phase.is_over() {
                self.steps.promote_all(run).await;
            }
        }
        self.steps.work_to_the_end("w3").await;
        for run in &self.runs {
            self.check_ended(run).await;
        }
    }

    /// Every job of the run has one outcome, and what it cost is the sum of its attempts.
    async fn check_ended(&self, run: &RunId) {
        let status = self.steps.status(run).await;
        assert!(status.phase.is_over(), "{status:?}");
        assert_eq!(status.counters.finished, status.counters.total);
        let rows = self.steps.outcomes(run).await;
        let ended: BTreeSet<u64> = rows.iter().map(|row| row.seq).collect();
        assert_eq!(ended, (0..status.counters.total).collect());
        assert_eq!(rows.len() as u64, status.counters.total);
        let (mut attempts, mut lost, mut calls) = (0, 0, 0);
        for row in &rows {
            let listed = self.steps.store.attempts(run, row.seq).await.unwrap();
            assert_eq!(row.attempts as usize, listed.len(), "{row:?}");
            for tried in listed {
                attempts += 1;
                lost += u64::from(tried.verdict == Verdict::Lost);
                calls += u64::from(tried.calls);
            }
        }
        let effort = status.effort;
        assert_eq!((effort.attempts, effort.lost, effort.calls), (attempts, lost, calls));
        for outcome in Outcome::ALL {
            let count = rows.iter().filter(|row| row.outcome == outcome).count() as u64;
            assert_eq!(status.counters.of(outcome), count, "{outcome}");
        }
    }
}

/// Not every operation is allowed in every phase; anything else is a failure.
fn allowed<T: std::fmt::Debug>(done: Result<T, StoreError>) {
    assert!(matches!(done, Ok(_) | Err(StoreError::WrongPhase { .. })), "{done:?}");
}
