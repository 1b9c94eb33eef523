//! A store in memory, for tests of the worker that want no disk: the same promises, one lock, no durability.

mod fleet;
mod jobs;
mod leasing;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;
use usher_shared::{store::*, *};

use self::{
    fleet::Fleet,
    jobs::{Job, Place, Run},
    leasing::{Held, Share},
};

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<RunId, Run>,
    leases: BTreeMap<u64, Held>,
    claims: HashMap<String, RunId>,
    shares: HashMap<AccountName, Share>,
    fleets: HashMap<AccountName, Fleet>,
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

    fn hold_of(&self, account: &AccountName, now: Timestamp) -> Option<Hold> {
        self.holds.get(account).filter(|hold| hold.until.is_none_or(|until| until > now)).cloned()
    }

    fn fleet(&mut self, account: &AccountName) -> &mut Fleet {
        self.fleets.entry(account.clone()).or_default()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn open_run(&self, run: &NewRun) -> Result<(), StoreError> {
        self.state.lock().unwrap().runs.insert(run.id.clone(), Run::open(run));
        Ok(())
    }

    async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        for (seq, request) in (first_seq..).zip(requests) {
            state.run(run)?.jobs.insert(seq, Job::new(request.clone()));
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
        Ok(self.state.lock().unwrap().lease(ask, self.clock.now()))
    }

    async fn renew(&self, lease: &mut Lease, ttl: Duration) -> Result<(), StoreError> {
        self.up()?;
        let now = self.clock.now();
        self.state.lock().unwrap().renew(lease.token, now.after(ttl), now)?;
        (lease.granted_at, lease.ttl) = (now, ttl);
        Ok(())
    }

    async fn finish(&self, lease: Lease, reports: Vec<JobReport>) -> Result<(), StoreError> {
        self.up()?;
        self.state.lock().unwrap().finish(&lease, &reports, self.clock.now())?;
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

    async fn draw_quota(
        &self,
        account: &AccountName,
        label: &str,
        window: QuotaWindow,
        calls: u64,
        cap: u64,
    ) -> Result<Drawn, StoreError> {
        self.up()?;
        Ok(self.state.lock().unwrap().fleet(account).draw(label, window, calls, cap, self.clock.now()))
    }

    async fn return_quota(
        &self,
        account: &AccountName,
        label: &str,
        drawn_at: Timestamp,
        calls: u64,
    ) -> Result<(), StoreError> {
        self.up()?;
        self.state.lock().unwrap().fleet(account).give_back(label, drawn_at, calls);
        Ok(())
    }

    async fn publish_pulse(&self, pulse: &Pulse) -> Result<(), StoreError> {
        self.up()?;
        self.state.lock().unwrap().fleet(&pulse.account).publish(pulse, self.clock.now());
        Ok(())
    }

    async fn pulses(&self, account: &AccountName) -> Result<Vec<Pulse>, StoreError> {
        self.up()?;
        Ok(self.state.lock().unwrap().fleet(account).pulses(self.clock.now()))
    }

    async fn token(&self, account: &AccountName) -> Result<Option<ShelvedToken>, StoreError> {
        self.up()?;
        Ok(self.state.lock().unwrap().fleet(account).token(self.clock.now()))
    }

    async fn claim_refresh(
        &self,
        account: &AccountName,
        worker: &WorkerId,
        instead_of: Option<u64>,
        ttl: Duration,
    ) -> Result<Refresh, StoreError> {
        self.up()?;
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        Ok(state.fleet(account).claim(account, worker, instead_of, now.after(ttl), now))
    }

    async fn shelve_token(
        &self,
        claim: RefreshClaim,
        sealed: &[u8],
        keep_for: Duration,
    ) -> Result<u64, StoreError> {
        self.up()?;
        let expires = self.clock.now().after(keep_for);
        self.state.lock().unwrap().fleet(&claim.account).shelve(&claim, sealed, expires)
    }

    async fn abandon_refresh(&self, claim: RefreshClaim) -> Result<(), StoreError> {
        self.up()?;
        self.state.lock().unwrap().fleet(&claim.account).abandon(&claim);
        Ok(())
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        self.up()?;
        let now = self.clock.now();
        let state = self.state.lock().unwrap();
        Ok(state.runs.get(run).map(|run| run.status(state.hold_of(&run.status.run.account, now))))
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
