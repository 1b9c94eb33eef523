//! The steps that checks are made of. Each does one thing to the store, then sees that the counters of every run add up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    Fixture,
    samples::{Submission, ask, attempt, finished, resolved, worker},
};
use crate::{
    Action, Clock, Ending, JobReport, ManualClock, NewRun, Outcome, OutcomeRow, Request, RunId, RunStatus,
    Timestamp, Verdict,
    store::{
        CHUNK, Idempotency, Lease, LeaseAsk, Leased, LeasedJob, Remaining, Resolution, STANDS_STILL, Seal,
        Sealed, SharedStore, Steward,
    },
};

/// More rounds than any check needs to work its runs to the end.
const ROUNDS: usize = 2_000;

/// The steps of one check, on one store.
#[derive(Debug)]
pub(super) struct Steps<'f> {
    pub(super) store: SharedStore,
    clock: &'f ManualClock,
    runs: Mutex<Vec<RunId>>,
    ids: AtomicUsize,
}

impl<'f> Steps<'f> {
    pub(super) fn new(fixture: &'f impl Fixture) -> Self {
        Self {
            store: fixture.store(),
            clock: fixture.clock(),
            runs: Mutex::default(),
            ids: AtomicUsize::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.check_counters().await;
    }

    /// Lets the runs stand still for more than the time that is allowed.
    pub(super) async fn stand_still(&self) {
        self.pass(STANDS_STILL + Duration::from_millis(1)).await;
    }

    /// Sees that every job of every run is accounted for exactly once.
    pub(super) async fn check_counters(&self) {
        let runs = self.runs.lock().unwrap().clone();
        for id in runs {
            if let Some(status) = self.store.run(&id).await.unwrap() {
                assert!(status.counters.add_up(), "the counters of {id} don't add up: {:?}", status.counters);
            }
        }
    }

    // -- putting work in -----------------------------------------------------------------------------------------------

    /// A run that is not in the store yet.
    pub(super) fn new_run(&self, submission: &Submission) -> NewRun {
        let letters = b"23456789abcdefghjkmnpqrstvwxyz";
        let mut number = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut id = String::from("20261120-");
        for _ in 0..6 {
            id.push(char::from(letters[number % letters.len()]));
            number /= letters.len();
        }
        NewRun {
            terms: submission.terms.clone(),
            id: id.parse().unwrap(),
            account: submission.account.clone(),
            priority: submission.priority,
            reason: Some("left the company".into()),
            asked_by: "cli:alice@host".into(),
            source: Some("leavers.csv".into()),
            created_at: self.now(),
        }
    }

    /// What seals that submission; where it names no key, the key is the run's own.
    pub(super) fn seal_of(run: &RunId, submission: &Submission) -> Seal {
        let mut by_action = BTreeMap::<Action, u64>::new();
        for request in &submission.requests {
            *by_action.entry(request.action).or_default() += 1;
        }
        let own_key = || Idempotency {
            key: format!("key-of-{run}"),
            digest: format!("digest-of-{run}"),
            again_after_end: true,
        };
        Seal {
            total: submission.requests.len() as u64,
            by_action,
            idempotency: submission.idempotency.clone().unwrap_or_else(own_key),
        }
    }

    /// Opens a run, empty so far.
    pub(super) async fn open(&self, submission: &Submission) -> RunId {
        let run = self.new_run(submission);
        self.store.open_run(&run).await.unwrap();
        self.runs.lock().unwrap().push(run.id.clone());
        run.id
    }

    /// Opens a run and appends everything; it lacks only its seal.
    pub(super) async fn draft(&self, submission: &Submission) -> (RunId, Seal) {
        let run = self.open(submission).await;
        for (chunk, first_seq) in submission.requests.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            self.append(&run, first_seq, chunk).await;
        }
        let seal = Self::seal_of(&run, submission);
        (run, seal)
    }

    pub(super) async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) {
        self.store.append(run, first_seq, requests).await.unwrap();
        self.check_counters().await;
    }

    pub(super) async fn seal(&self, run: &RunId, seal: &Seal) -> Sealed {
        let sealed = self.store.seal(run, seal).await.unwrap();
        self.check_counters().await;
        sealed
    }

    /// A sealed run.
    pub(super) async fn submit(&self, submission: &Submission) -> RunId {
        let (run, seal) = self.draft(submission).await;
        assert_eq!(self.seal(&run, &seal).await, Sealed::New { previous: None });
        run
    }

    // -- from sealed to worked -----------------------------------------------------------------------------------------

    pub(super) async fn steward(&self, run: &RunId, by: &str, ttl: Duration) -> Option<Steward> {
        let steward = self.store.take_steward(run, &worker(by), ttl).await.unwrap();
        self.check_counters().await;
        steward
    }

    /// Takes a stewardship that nothing stands in the way of.
    pub(super) async fn take_steward(&self, run: &RunId) -> Steward {
        self.steward(run, "resolver", Duration::from_secs(60)).await.expect("the run is free to be resolved")
    }

    pub(super) async fn resolve(&self, steward: &Steward, resolutions: &[(u64, Resolution)]) {
        self.store.resolve(steward, resolutions).await.unwrap();
        self.check_counters().await;
    }

    /// Resolves a sealed run: every request to the user that it names.
    pub(super) async fn resolve_all(&self, run: &RunId) {
        self.resolve_except(run, &BTreeMap::new()).await;
    }

    /// Resolves a sealed run: every request to the user that it names, but for `exceptions`.
    pub(super) async fn resolve_except(&self, run: &RunId, exceptions: &BTreeMap<u64, Resolution>) {
        let steward = self.take_steward(run).await;
        let mut from_seq = 0;
        loop {
            let page = self.store.requests(run, from_seq, CHUNK).await.unwrap();
            let Some((last, _)) = page.last() else { break };
            from_seq = last + 1;
            let resolutions: Vec<_> = page
                .iter()
                .map(|(seq, request)| {
                    let change = || Resolution::Change(resolved(&request.user));
                    (*seq, exceptions.get(seq).cloned().unwrap_or_else(change))
                })
                .collect();
            self.resolve(&steward, &resolutions).await;
        }
        self.finish_resolving(steward).await;
    }

    pub(super) async fn finish_resolving(&self, steward: Steward) {
        self.store.finish_resolving(steward).await.unwrap();
        self.check_counters().await;
    }

    /// Resolves a run that stood still again: each remaining job to what `now_is` says of it.
    pub(super) async fn resolve_again(&self, run: &RunId, now_is: impl Fn(&Remaining) -> Resolution) {
        let steward = self.take_steward(run).await;
        let mut from_seq = 0;
        loop {
            let page = self.store.remaining(run, from_seq, CHUNK).await.unwrap();
            let Some(last) = page.last() else { break };
            from_seq = last.seq + 1;
            let resolutions: Vec<_> = page.iter().map(|job| (job.seq, now_is(job))).collect();
            self.resolve(&steward, &resolutions).await;
        }
        self.finish_resolving(steward).await;
    }

    /// Lets a run that stood still go on as its steward does, its users as they were.
    pub(super) async fn go_on(&self, run: &RunId) {
        let status = self.status(run).await;
        if status.stood_still(self.now()).is_some() && !status.paused && !status.cancelled {
            // What lapsed is in the queue again, so that nothing is in flight.
            self.lease(&LeaseAsk { leases: 0, ..ask("resolver") }).await;
            self.resolve_again(run, |job| Resolution::Change(job.user.clone())).await;
        }
    }

    pub(super) async fn admit(&self, run: &RunId) -> u64 {
        let number = self.store.admit(run).await.unwrap();
        self.check_counters().await;
        number
    }

    pub(super) async fn promote(&self, run: &RunId, limit: usize) -> u64 {
        let pending = self.store.promote(run, limit).await.unwrap();
        self.check_counters().await;
        pending
    }

    /// Brings a sealed run into the queue.
    pub(super) async fn release_into_queue(&self, run: &RunId) {
        self.resolve_all(run).await;
        self.promote_all(run).await;
    }

    /// Admits and promotes a resolved run.
    pub(super) async fn promote_all(&self, run: &RunId) {
        self.admit(run).await;
        for _ in 0..ROUNDS {
            if self.promote(run, CHUNK).await == 0 {
                return;
            }
        }
        panic!("{run} is never promoted to its end");
    }

    /// A run in the queue.
    pub(super) async fn queue(&self, submission: &Submission) -> RunId {
        let run = self.submit(submission).await;
        self.release_into_queue(&run).await;
        run
    }

    // -- working -------------------------------------------------------------------------------------------------------

    /// Leases, and sees that the answer is one that any ask may get.
    pub(super) async fn lease(&self, ask: &LeaseAsk) -> Leased {
        let leased = self.store.lease(ask).await.unwrap();
        self.check_counters().await;
        assert!(leased.leases.len() <= ask.leases, "{} leases were asked for: {leased:?}", ask.leases);
        let mut users = BTreeSet::new();
        for lease in &leased.leases {
            assert!((1..=ask.batch).contains(&lease.jobs.len()), "{} jobs a lease: {lease:?}", ask.batch);
            assert_eq!((&lease.account, &lease.worker), (&ask.account, &ask.worker));
            assert_eq!((lease.granted_at, lease.ttl), (self.now(), ask.ttl));
            assert!(lease.jobs.is_sorted_by_key(|job| job.seq), "not in file order: {lease:?}");
            for job in lease.jobs.iter() {
                assert_eq!(job.request.action, lease.action, "another action: {lease:?}");
                assert!(users.insert(job.user.key()), "one user is leased twice: {leased:?}");
                assert!(job.attempt >= 1, "attempts are counted from 1: {job:?}");
            }
            if let Some(only) = &ask.only_run {
                assert_eq!(&lease.run, only);
            }
        }
        leased
    }

    /// The one lease that must be there for `by` now, of one job.
    pub(super) async fn lease_one(&self, by: &str) -> Lease {
        let mut leased = self.lease(&ask(by)).await;
        leased.leases.pop().unwrap_or_else(|| panic!("nothing to lease for {by}: {leased:?}"))
    }

    /// The next lease of one job for `by`, after a moment (at most two seconds) where a user is busy just now.
    pub(super) async fn lease_soon(&self, by: &str) -> Lease {
        for _ in 0..20 {
            if let Some(lease) = self.lease(&ask(by)).await.leases.pop() {
                return lease;
            }
            self.pass(Duration::from_millis(100)).await;
        }
        panic!("nothing to lease for {by} within a moment");
    }

    /// Sees that nothing can be leased, neither now nor in a moment; what the store answered first.
    pub(super) async fn lease_nothing(&self, by: &str) -> Leased {
        let ask = LeaseAsk { leases: 10, batch: 10, ..ask(by) };
        let first = self.lease(&ask).await;
        assert!(first.leases.is_empty(), "something can be leased: {first:?}");
        first
    }

    pub(super) async fn finish(&self, lease: Lease, reports: Vec<JobReport>) {
        self.store.finish(lease, reports).await.unwrap();
        self.check_counters().await;
    }

    /// What a worker reports of a job that the vendor has just confirmed.
    pub(super) fn applied(&self, lease: &Lease, job: &LeasedJob) -> JobReport {
        finished(job.seq, Some(attempt(self.now(), &lease.worker, Verdict::Applied)), Outcome::Applied)
    }

    /// Finishes every job of the lease as applied.
    pub(super) async fn apply(&self, lease: Lease) {
        let reports = lease.jobs.iter().map(|job| self.applied(&lease, job)).collect();
        self.finish(lease, reports).await;
    }

    /// Works every job of the account to its end, as applied; the jobs worked, in order.
    pub(super) async fn work_to_the_end(&self, by: &str) -> Vec<(RunId, u64)> {
        self.work(LeaseAsk { leases: 20, batch: 20, idle: true, ..ask(by) }).await
    }

    /// Works every job of one run to its end, as applied.
    pub(super) async fn work_to_the_end_of(&self, run: &RunId, by: &str) {
        self.work(LeaseAsk { leases: 20, batch: 20, idle: true, only_run: Some(run.clone()), ..ask(by) })
            .await;
    }

    async fn work(&self, ask: LeaseAsk) -> Vec<(RunId, u64)> {
        let mut worked = Vec::new();
        for _ in 0..ROUNDS {
            let leased = self.lease(&ask).await;
            let mut unfinished = self.store.unfinished(&ask.account).await.unwrap();
            unfinished.retain(|status| ask.only_run.as_ref().is_none_or(|only| *only == status.run.id));
            if unfinished.is_empty() {
                return worked;
            }
            for run in &unfinished {
                self.go_on(&run.run.id).await;
            }
            if leased.leases.is_empty() {
                let wait = leased.next_due.map_or(Duration::ZERO, |due| due.since(self.now()));
                self.pass(wait.max(Duration::from_millis(100))).await;
            }
            for lease in leased.leases {
                worked.extend(lease.jobs.iter().map(|job| (lease.run.clone(), job.seq)));
                self.apply(lease).await;
            }
        }
        panic!(
            "the work never ends; unfinished: {:?}",
            self.store.unfinished(&super::samples::account()).await
        );
    }

    // -- steering and seeing -------------------------------------------------------------------------------------------

    pub(super) async fn cancel(&self, run: &RunId, limit: usize) -> u64 {
        let left = self.store.cancel(run, limit).await.unwrap();
        self.check_counters().await;
        left
    }

    /// Ends up to `limit` jobs of the run; how many are left.
    pub(super) async fn end(&self, run: &RunId, ending: &Ending, limit: usize) -> u64 {
        let left = self.store.end(run, ending, limit).await.unwrap();
        self.check_counters().await;
        left
    }

    /// Has those jobs tried again; how many are.
    pub(super) async fn reopen(&self, run: &RunId, seqs: &[u64]) -> u64 {
        let again = self.store.reopen(run, seqs).await.unwrap();
        self.check_counters().await;
        again
    }

    pub(super) async fn status(&self, run: &RunId) -> RunStatus {
        self.store.run(run).await.unwrap().unwrap_or_else(|| panic!("{run} is not seen"))
    }

    pub(super) async fn outcomes(&self, run: &RunId) -> Vec<OutcomeRow> {
        self.store.outcomes(run, 0, 5_000).await.unwrap()
    }

    /// The only outcome of a run of one job.
    pub(super) async fn only_outcome(&self, run: &RunId) -> OutcomeRow {
        let mut rows = self.outcomes(run).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }
}
