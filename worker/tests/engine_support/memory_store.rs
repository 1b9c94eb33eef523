//! A store in memory, for tests of the worker that want no disk: the same promises, one lock, no durability.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;
use usher_shared::{store::*, *};

#[derive(Clone, Debug)]
enum Place {
    Pending,
    Queued { due: Timestamp },
    Leased { token: u64 },
    Done(Box<OutcomeRow>),
}

#[derive(Clone, Debug)]
struct Job {
    request: Request,
    resolution: Option<Resolution>,
    place: Place,
    attempts: Vec<Attempt>,
    spent: u32,
    may_have_applied: bool,
    deaths: u32,
}

#[derive(Debug)]
struct Run {
    status: RunStatus,
    jobs: BTreeMap<u64, Job>,
    duplicates: u64,
    done: usize,
}

#[derive(Debug)]
struct Held {
    run: RunId,
    seqs: Vec<u64>,
    worker: WorkerId,
    granted_at: Timestamp,
    lapses: Timestamp,
}

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<RunId, Run>,
    leases: BTreeMap<u64, Held>,
    claims: HashMap<String, RunId>,
    holds: HashMap<AccountName, Hold>,
    tokens: u64,
    admissions: u64,
    reports: Vec<JobReport>,
}

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    changed: Notify,
    clock: Box<dyn Clock>,
    pub asked: AtomicU64,
    /// Answers that it can't be reached.
    pub away: AtomicBool,
}

impl MemoryStore {
    pub fn new(clock: impl Clock) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            clock: Box::new(clock),
            asked: AtomicU64::new(0),
            away: AtomicBool::new(false),
        }
    }

    /// Every report that was ever accepted.
    pub fn reports(&self) -> Vec<JobReport> {
        self.state.lock().unwrap().reports.clone()
    }

    /// Makes a job look as if workers had died on it.
    pub fn set_deaths(&self, run: &RunId, seq: u64, deaths: u32) {
        let mut state = self.state.lock().unwrap();
        let job = state.runs.get_mut(run).unwrap().jobs.get_mut(&seq).unwrap();
        (job.deaths, job.may_have_applied) = (deaths, true);
    }

    fn up(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("away".into()));
        }
        Ok(())
    }
}

impl State {
    fn run(&mut self, run: &RunId) -> Result<&mut Run, StoreError> {
        self.runs.get_mut(run).ok_or_else(|| StoreError::NoSuchRun(run.clone()))
    }

    fn reclaim(&mut self, now: Timestamp) {
        let lapsed: Vec<u64> =
            self.leases.iter().filter(|(_, held)| held.lapses <= now).map(|(token, _)| *token).collect();
        for token in lapsed {
            let held = self.leases.remove(&token).unwrap();
            let run = self.runs.get_mut(&held.run).unwrap();
            for seq in held.seqs {
                let job = run.jobs.get_mut(&seq).unwrap();
                job.place = Place::Queued { due: now };
                (job.deaths, job.spent, job.may_have_applied) = (job.deaths + 1, job.spent + 1, true);
                job.attempts.push(Attempt {
                    began_at: held.granted_at,
                    ended_at: held.lapses,
                    calls: 0,
                    http: None,
                    verdict: Verdict::Lost,
                    code: None,
                    worker: held.worker.clone(),
                });
            }
        }
    }
}

impl Run {
    fn user(&self, seq: u64) -> Option<&ResolvedUser> {
        match &self.jobs[&seq].resolution {
            Some(Resolution::Change(user)) => Some(user),
            _ => None,
        }
    }

    fn end(
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

    fn status(&self, hold: Option<Hold>) -> RunStatus {
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

#[async_trait]
impl Store for MemoryStore {
    async fn open_run(&self, run: &NewRun) -> Result<(), StoreError> {
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
        self.state
            .lock()
            .unwrap()
            .runs
            .insert(run.id.clone(), Run { status, jobs: BTreeMap::new(), duplicates: 0, done: 0 });
        Ok(())
    }

    async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        for (seq, request) in (first_seq..).zip(requests) {
            let job = Job {
                request: request.clone(),
                resolution: None,
                place: Place::Pending,
                attempts: vec![],
                spent: 0,
                may_have_applied: false,
                deaths: 0,
            };
            state.run(run)?.jobs.insert(seq, job);
        }
        Ok(())
    }

    async fn seal(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError> {
        let mut state = self.state.lock().unwrap();
        let run = state.run(run)?;
        run.status.phase = RunPhase::Sealed;
        run.status.by_action.clone_from(&seal.by_action);
        self.changed.notify_waiters();
        Ok(Sealed::New { previous: None })
    }

    async fn discard(&self, run: &RunId) -> Result<(), StoreError> {
        self.state.lock().unwrap().runs.remove(run);
        Ok(())
    }

    async fn expire_open_runs(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn take_steward(
        &self,
        run: &RunId,
        worker: &WorkerId,
        _: Duration,
    ) -> Result<Option<Steward>, StoreError> {
        self.up()?;
        let mut state = self.state.lock().unwrap();
        let status = &state.run(run)?.status;
        let open = status.phase == RunPhase::Sealed && !status.paused && !status.cancelled;
        Ok(open.then(|| Steward { run: run.clone(), token: 1, worker: worker.clone() }))
    }

    async fn renew_steward(&self, _: &Steward, _: Duration) -> Result<(), StoreError> {
        self.up()
    }

    async fn requests(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Request)>, StoreError> {
        let mut state = self.state.lock().unwrap();
        Ok(state
            .run(run)?
            .jobs
            .range(from_seq..)
            .take(limit)
            .map(|(seq, job)| (*seq, job.request.clone()))
            .collect())
    }

    async fn resolve(&self, steward: &Steward, resolved: &[(u64, Resolution)]) -> Result<(), StoreError> {
        self.up()?;
        let mut state = self.state.lock().unwrap();
        let run = state.run(&steward.run)?;
        for (seq, resolution) in resolved {
            run.jobs.get_mut(seq).unwrap().resolution = Some(resolution.clone());
        }
        Ok(())
    }

    async fn finish_resolving(&self, steward: Steward) -> Result<(), StoreError> {
        self.up()?;
        let mut state = self.state.lock().unwrap();
        let run = state.run(&steward.run)?;
        let before = run.jobs.len();
        run.jobs.retain(|_, job| !matches!(job.resolution, Some(Resolution::Duplicate { .. })));
        run.duplicates = (before - run.jobs.len()) as u64;
        run.status.phase = RunPhase::Resolved;
        self.changed.notify_waiters();
        Ok(())
    }

    async fn admit(&self, run: &RunId) -> Result<u64, StoreError> {
        self.up()?;
        let mut state = self.state.lock().unwrap();
        let next = state.admissions + 1;
        let run = state.run(run)?;
        run.status.phase = RunPhase::Admitted;
        let number = *run.status.admission.get_or_insert(next);
        state.admissions = state.admissions.max(number);
        Ok(number)
    }

    async fn promote(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        self.up()?;
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let name = run.clone();
        let run = state.run(run)?;
        let pending: Vec<u64> = run
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.place, Place::Pending))
            .map(|(seq, _)| *seq)
            .collect();
        let mut claims = vec![];
        for seq in pending.iter().take(limit) {
            match run.jobs[seq].resolution.clone() {
                Some(Resolution::Settled { outcome, code, message, .. }) => {
                    run.end(*seq, outcome, code, message, None)
                }
                Some(Resolution::Change(user)) => {
                    run.jobs.get_mut(seq).unwrap().place = Place::Queued { due: now };
                    claims.push(user.key());
                }
                Some(Resolution::Duplicate { .. }) | None => panic!("promoted without a resolution"),
            }
        }
        let left = pending.len().saturating_sub(limit) as u64;
        state.claims.extend(claims.into_iter().map(|user| (user, name.clone())));
        self.changed.notify_waiters();
        Ok(left)
    }

    async fn take_seat(&self, _: &WorkerId) -> Result<Seat, StoreError> {
        Ok(Seat(None))
    }

    async fn lease(&self, ask: &LeaseAsk) -> Result<Leased, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.up()?;
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        state.reclaim(now);
        let hold =
            state.holds.get(&ask.account).filter(|hold| hold.until.is_none_or(|until| until > now)).cloned();
        if hold.is_some() {
            return Ok(Leased { hold, ..Leased::default() });
        }
        let mut leased = Leased::default();
        let mut busy: HashSet<String> = HashSet::new();
        for held in state.leases.values() {
            let run = &state.runs[&held.run];
            if run.status.run.account != ask.account {
                continue;
            }
            busy.extend(held.seqs.iter().filter_map(|seq| run.user(*seq)).map(ResolvedUser::key));
        }
        let mut order: Vec<_> = state
            .runs
            .values()
            .filter(|run| run.status.run.account == ask.account && run.status.phase == RunPhase::Admitted)
            .filter(|run| !run.status.paused && !run.status.cancelled)
            .filter(|run| ask.only_run.as_ref().is_none_or(|only| *only == run.status.run.id))
            .map(|run| (run.status.run.priority.rank(), run.status.admission, run.status.run.id.clone()))
            .collect();
        order.sort();
        for (.., id) in order {
            let run = state.runs.get_mut(&id).unwrap();
            let seqs: Vec<u64> = run.jobs.keys().copied().collect();
            for seq in seqs {
                let Place::Queued { due } = run.jobs[&seq].place else { continue };
                let alone = run.jobs[&seq].deaths >= 2;
                if alone && due <= now {
                    leased.alone_waiting += 1;
                }
                if due > now {
                    leased.next_due = Some(leased.next_due.map_or(due, |next| next.min(due)));
                    continue;
                }
                let user = run.user(seq).cloned().unwrap();
                if leased.leases.len() >= ask.leases
                    || busy.contains(&user.key())
                    || (alone && !(ask.idle && leased.leases.is_empty()))
                {
                    continue;
                }
                state.tokens += 1;
                busy.insert(user.key());
                let job = run.jobs.get_mut(&seq).unwrap();
                job.place = Place::Leased { token: state.tokens };
                let lapses = now.after(ask.ttl);
                state.leases.insert(
                    state.tokens,
                    Held {
                        run: id.clone(),
                        seqs: vec![seq],
                        worker: ask.worker.clone(),
                        granted_at: now,
                        lapses,
                    },
                );
                leased.leases.push(Lease {
                    token: state.tokens,
                    account: ask.account.clone(),
                    worker: ask.worker.clone(),
                    run: id.clone(),
                    priority: run.status.run.priority,
                    action: job.request.action,
                    granted_at: now,
                    ttl: ask.ttl,
                    jobs: vec![LeasedJob {
                        seq,
                        request: job.request.clone(),
                        user,
                        resolved_at: now,
                        attempt: job.spent + 1,
                        may_have_applied: job.may_have_applied,
                        deaths: job.deaths,
                        first_attempt_at: job.attempts.first().map(|attempt| attempt.began_at),
                    }],
                });
                if alone {
                    return Ok(leased);
                }
            }
        }
        Ok(leased)
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError> {
        self.up()?;
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        state.reclaim(now);
        let held = state
            .leases
            .get_mut(&lease.token)
            .ok_or_else(|| StoreError::LeaseLapsed(lease.token.to_string()))?;
        held.lapses = now.after(ttl);
        (lease.granted_at, lease.ttl) = (now, ttl);
        Ok(())
    }

    async fn finish(&self, lease: Lease, reports: Vec<JobReport>) -> Result<(), StoreError> {
        self.up()?;
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        state.reclaim(now);
        let held = state
            .leases
            .remove(&lease.token)
            .ok_or_else(|| StoreError::LeaseLapsed(lease.token.to_string()))?;
        state.reports.extend(reports.iter().cloned());
        let run = state.runs.get_mut(&held.run).unwrap();
        for seq in held.seqs {
            let Place::Leased { token } = run.jobs[&seq].place else { panic!("{seq} was not leased") };
            assert_eq!(token, lease.token);
            let job = run.jobs.get_mut(&seq).unwrap();
            job.place = Place::Queued { due: now };
            let Some(report) = reports.iter().find(|report| report.seq == seq) else { continue };
            let effort = &mut run.status.effort;
            effort.throttled += u64::from(report.throttled);
            if let Some(attempt) = &report.attempt {
                effort.attempts += 1;
                effort.calls += u64::from(attempt.calls);
                job.may_have_applied |= attempt.verdict == Verdict::Transient && attempt.http.is_none();
                job.attempts.push(attempt.clone());
            }
            match &report.then {
                Then::Finish { outcome, code, message } => {
                    job.spent += u32::from(report.attempt.is_some());
                    run.end(seq, *outcome, code.clone(), message.clone(), Some(lease.worker.clone()));
                }
                Then::Retry { at } => {
                    effort.retries += 1;
                    job.spent += 1;
                    job.place = Place::Queued { due: *at };
                }
                Then::Snooze { until, .. } => job.place = Place::Queued { due: *until },
            }
        }
        if run.done == run.jobs.len() {
            run.status.phase = run.status(None).phase;
        }
        self.changed.notify_waiters();
        Ok(())
    }

    async fn wait_for_work(&self, _: &AccountName, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.changed.notified()).await;
    }

    async fn pause(&self, run: &RunId) -> Result<(), StoreError> {
        self.state.lock().unwrap().run(run)?.status.paused = true;
        Ok(())
    }

    async fn resume(&self, run: &RunId) -> Result<(), StoreError> {
        self.state.lock().unwrap().run(run)?.status.paused = false;
        self.changed.notify_waiters();
        Ok(())
    }

    async fn cancel(&self, run: &RunId, limit: usize) -> Result<u64, StoreError> {
        let mut state = self.state.lock().unwrap();
        let run = state.run(run)?;
        run.status.cancelled = true;
        let free: Vec<u64> = run
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.place, Place::Pending | Place::Queued { .. }))
            .map(|(seq, _)| *seq)
            .take(limit)
            .collect();
        for seq in free {
            run.end(seq, Outcome::Cancelled, None, None, None);
        }
        let status = run.status(None);
        run.status.phase = status.phase;
        Ok(status.counters.total - status.counters.finished)
    }

    async fn set_priority(&self, run: &RunId, priority: Priority) -> Result<(), StoreError> {
        self.state.lock().unwrap().run(run)?.status.run.priority = priority;
        Ok(())
    }

    async fn hold(&self, account: &AccountName, hold: &Hold) -> Result<(), StoreError> {
        self.up()?;
        self.state.lock().unwrap().holds.insert(account.clone(), hold.clone());
        Ok(())
    }

    async fn release(&self, account: &AccountName) -> Result<bool, StoreError> {
        self.changed.notify_waiters();
        Ok(self.state.lock().unwrap().holds.remove(account).is_some())
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        self.up()?;
        let now = self.clock.now();
        let state = self.state.lock().unwrap();
        Ok(state.runs.get(run).map(|run| {
            let hold = state.holds.get(&run.status.run.account);
            run.status(hold.filter(|hold| hold.until.is_none_or(|until| until > now)).cloned())
        }))
    }

    async fn runs(&self, limit: usize) -> Result<Vec<RunStatus>, StoreError> {
        let state = self.state.lock().unwrap();
        Ok(state.runs.values().rev().take(limit).map(|run| run.status(None)).collect())
    }

    async fn unfinished(&self, account: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        self.up()?;
        let ids: Vec<RunId> = self.state.lock().unwrap().runs.keys().cloned().collect();
        let mut all = vec![];
        for id in ids {
            let status = self.run(&id).await?.unwrap();
            if status.run.account == *account && !status.phase.is_over() && status.phase != RunPhase::Open {
                all.push(status);
            }
        }
        all.sort_by_key(|status| (status.run.priority.rank(), status.admission.unwrap_or(u64::MAX)));
        Ok(all)
    }

    async fn outcomes(
        &self,
        run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRow>, StoreError> {
        let mut state = self.state.lock().unwrap();
        let jobs = state.run(run)?.jobs.range(from_seq..);
        Ok(jobs
            .filter_map(|(_, job)| match &job.place {
                Place::Done(row) => Some((**row).clone()),
                _ => None,
            })
            .take(limit)
            .collect())
    }

    async fn attempts(&self, run: &RunId, seq: u64) -> Result<Vec<Attempt>, StoreError> {
        Ok(self.state.lock().unwrap().run(run)?.jobs[&seq].attempts.clone())
    }

    async fn duplicates(&self, _: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError> {
        Ok(vec![])
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.up()?;
        Ok(self.clock.now())
    }
}
