//! A store on paper: one sealed run and what a resolve writes of it, for tests of what reads and writes nothing else.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "a part of test files, each of which uses some of it"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;
use usher_shared::{
    AccountName, Action, Attempt, Counters, Drawn, Effort, Hold, JobReport, NewRun, Outcome, OutcomeRow,
    Priority, Pulse, QuotaWindow, Request, RunId, RunPhase, RunStatus, Timestamp, WorkerId,
    store::{
        Lease, LeaseAsk, Leased, Refresh, RefreshClaim, Resolution, Seal, Sealed, Seat, ShelvedToken,
        Steward, Store, StoreError,
    },
};
use usher_worker::{
    provider::{Call, Reply},
    resolve::{CallGate, GateClosed},
};

pub fn account() -> AccountName {
    "zoom-main".parse().unwrap()
}

pub fn run_id() -> RunId {
    "20261120-k3f9zm".parse().unwrap()
}

pub fn request(line: u64, user: &str, action: Action) -> Request {
    Request { line, user: user.parse().unwrap(), action, reason: None }
}

/// One run.
#[derive(Debug)]
pub struct PaperStore {
    pub requests: Vec<Request>,
    pub resolutions: Mutex<BTreeMap<u64, Resolution>>,
    pub rows: Mutex<Vec<OutcomeRow>>,
    pub status: Mutex<RunStatus>,
    /// How many of the next calls the store does not answer.
    pub silent: AtomicU32,
    /// Whether the next `finish_resolving` is done, but its answer lost.
    pub loses_finish: AtomicU32,
    pub steward: AtomicU64,
    pub renewals: AtomicU32,
    pub renewed: Notify,
}

impl PaperStore {
    pub fn new(requests: Vec<Request>) -> Self {
        let total = requests.len() as u64;
        let status = RunStatus {
            run: NewRun {
                id: run_id(),
                account: account(),
                priority: Priority::Normal,
                reason: None,
                asked_by: "test".into(),
                source: None,
                created_at: Timestamp::default(),
            },
            phase: RunPhase::Sealed,
            paused: false,
            cancelled: false,
            admission: None,
            by_action: BTreeMap::new(),
            counters: Counters { total, pending: total, ..Counters::default() },
            effort: Effort::default(),
            sealed_at: None,
            finished_at: None,
            hold: None,
        };
        Self {
            requests,
            resolutions: Mutex::default(),
            rows: Mutex::default(),
            status: Mutex::new(status),
            silent: AtomicU32::new(0),
            loses_finish: AtomicU32::new(0),
            steward: AtomicU64::new(0),
            renewals: AtomicU32::new(0),
            renewed: Notify::new(),
        }
    }

    pub fn status(&self) -> RunStatus {
        self.status.lock().unwrap().clone()
    }

    /// What the request at each place resolved to, in words: `change ID`, `OUTCOME CODE`, `duplicate of LINE`.
    pub fn words(&self) -> Vec<String> {
        let resolutions = self.resolutions.lock().unwrap();
        (0..self.requests.len() as u64)
            .map(|seq| match resolutions.get(&seq) {
                None => "nothing".to_owned(),
                Some(Resolution::Change(user)) => format!("change {}", user.key()),
                Some(Resolution::Settled { outcome, code, .. }) => {
                    format!("{outcome} {}", code.as_deref().unwrap_or("-"))
                }
                Some(Resolution::Duplicate { of_line }) => format!("duplicate of {of_line}"),
            })
            .collect()
    }

    /// Makes outcomes of the resolutions: what is to be changed has `outcome`, the rest what was settled.
    pub fn work(&self, outcome: Outcome) {
        let resolutions = self.resolutions.lock().unwrap();
        let rows = resolutions.iter().filter_map(|(seq, resolution)| {
            let (outcome, resolved) = match resolution {
                Resolution::Change(user) => (outcome, Some(user.clone())),
                Resolution::Settled { outcome, user, .. } => (*outcome, user.clone()),
                Resolution::Duplicate { .. } => return None,
            };
            let request = &self.requests[usize::try_from(*seq).unwrap()];
            Some(OutcomeRow {
                seq: *seq,
                line: request.line,
                user: request.user.clone(),
                resolved,
                action: request.action,
                reason: None,
                outcome,
                code: None,
                message: None,
                attempts: 1,
                first_attempt_at: None,
                last_attempt_at: None,
                worker: None,
            })
        });
        *self.rows.lock().unwrap() = rows.collect();
    }

    fn answer(&self) -> Result<(), StoreError> {
        let silent =
            self.silent.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if silent { Err(StoreError::Unavailable("planted".into())) } else { Ok(()) }
    }

    fn holds(&self, steward: &Steward) -> Result<(), StoreError> {
        if self.steward.load(Ordering::SeqCst) == steward.token {
            Ok(())
        } else {
            Err(StoreError::LeaseLapsed(steward.run.to_string()))
        }
    }
}

fn unused<T>(method: &str) -> Result<T, StoreError> {
    Err(StoreError::Refused(format!("{method} is not on paper").into()))
}

#[async_trait]
impl Store for PaperStore {
    async fn take_steward(
        &self,
        run: &RunId,
        worker: &WorkerId,
        _ttl: Duration,
    ) -> Result<Option<Steward>, StoreError> {
        self.answer()?;
        let status = self.status();
        if status.phase != RunPhase::Sealed || status.paused || status.cancelled {
            return Ok(None);
        }
        let token = self.steward.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(Some(Steward { run: run.clone(), token, worker: worker.clone() }))
    }
    async fn renew_steward(&self, steward: &Steward, _ttl: Duration) -> Result<(), StoreError> {
        self.holds(steward)?;
        self.renewals.fetch_add(1, Ordering::SeqCst);
        self.renewed.notify_one();
        Ok(())
    }
    async fn requests(
        &self,
        _run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Request)>, StoreError> {
        self.answer()?;
        let from = usize::try_from(from_seq).unwrap().min(self.requests.len());
        let page = self.requests[from..].iter().take(limit);
        Ok((from_seq..).zip(page.cloned()).collect())
    }
    async fn resolve(&self, steward: &Steward, resolved: &[(u64, Resolution)]) -> Result<(), StoreError> {
        self.answer()?;
        self.holds(steward)?;
        assert!(!resolved.is_empty() && resolved.len() <= usher_shared::store::CHUNK);
        self.resolutions.lock().unwrap().extend(resolved.iter().cloned());
        Ok(())
    }
    async fn finish_resolving(&self, steward: Steward) -> Result<(), StoreError> {
        self.holds(&steward)?;
        assert_eq!(self.resolutions.lock().unwrap().len(), self.requests.len(), "each has a resolution");
        self.status.lock().unwrap().phase = RunPhase::Resolved;
        if self.loses_finish.swap(0, Ordering::SeqCst) > 0 {
            return Err(StoreError::Unavailable("the answer was lost".into()));
        }
        Ok(())
    }
    async fn run(&self, _run: &RunId) -> Result<Option<RunStatus>, StoreError> {
        Ok(Some(self.status()))
    }
    async fn outcomes(
        &self,
        _run: &RunId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRow>, StoreError> {
        let rows = self.rows.lock().unwrap();
        Ok(rows.iter().filter(|row| row.seq >= from_seq).take(limit).cloned().collect())
    }
    async fn wait_for_work(&self, _account: &AccountName, _at_most: Duration) {}

    async fn open_run(&self, _run: &NewRun) -> Result<(), StoreError> {
        unused("open_run")
    }
    async fn append(&self, _run: &RunId, _first_seq: u64, _requests: &[Request]) -> Result<(), StoreError> {
        unused("append")
    }
    async fn seal(&self, _run: &RunId, _seal: &Seal) -> Result<Sealed, StoreError> {
        unused("seal")
    }
    async fn discard(&self, _run: &RunId) -> Result<(), StoreError> {
        unused("discard")
    }
    async fn expire_open_runs(&self) -> Result<u64, StoreError> {
        unused("expire_open_runs")
    }
    async fn admit(&self, _run: &RunId) -> Result<u64, StoreError> {
        unused("admit")
    }
    async fn promote(&self, _run: &RunId, _limit: usize) -> Result<u64, StoreError> {
        unused("promote")
    }
    async fn take_seat(&self, _worker: &WorkerId) -> Result<Seat, StoreError> {
        unused("take_seat")
    }
    async fn lease(&self, _ask: &LeaseAsk) -> Result<Leased, StoreError> {
        unused("lease")
    }
    async fn renew(&self, _lease: &mut Lease, _ttl: Duration) -> Result<(), StoreError> {
        unused("renew")
    }
    async fn finish(&self, _lease: Lease, _reports: Vec<JobReport>) -> Result<(), StoreError> {
        unused("finish")
    }
    async fn pause(&self, _run: &RunId) -> Result<(), StoreError> {
        unused("pause")
    }
    async fn resume(&self, _run: &RunId) -> Result<(), StoreError> {
        unused("resume")
    }
    async fn cancel(&self, _run: &RunId, _limit: usize) -> Result<u64, StoreError> {
        unused("cancel")
    }
    async fn set_priority(&self, _run: &RunId, _priority: Priority) -> Result<(), StoreError> {
        unused("set_priority")
    }
    async fn hold(&self, _account: &AccountName, _hold: &Hold) -> Result<(), StoreError> {
        unused("hold")
    }
    async fn release(&self, _account: &AccountName) -> Result<bool, StoreError> {
        unused("release")
    }
    async fn draw_quota(
        &self,
        _: &AccountName,
        _: &str,
        _: QuotaWindow,
        _: u64,
        _: u64,
    ) -> Result<Drawn, StoreError> {
        unused("draw_quota")
    }
    async fn return_quota(&self, _: &AccountName, _: &str, _: Timestamp, _: u64) -> Result<(), StoreError> {
        unused("return_quota")
    }
    async fn publish_pulse(&self, _: &Pulse) -> Result<(), StoreError> {
        unused("publish_pulse")
    }
    async fn pulses(&self, _: &AccountName) -> Result<Vec<Pulse>, StoreError> {
        unused("pulses")
    }
    async fn token(&self, _: &AccountName) -> Result<Option<ShelvedToken>, StoreError> {
        unused("token")
    }
    async fn claim_refresh(
        &self,
        _: &AccountName,
        _: &WorkerId,
        _: Option<u64>,
        _: Duration,
    ) -> Result<Refresh, StoreError> {
        unused("claim_refresh")
    }
    async fn shelve_token(&self, _: RefreshClaim, _: &[u8], _: Duration) -> Result<u64, StoreError> {
        unused("shelve_token")
    }
    async fn abandon_refresh(&self, _: RefreshClaim) -> Result<(), StoreError> {
        unused("abandon_refresh")
    }
    async fn runs(&self, _limit: usize) -> Result<Vec<RunStatus>, StoreError> {
        unused("runs")
    }
    async fn unfinished(&self, _account: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        unused("unfinished")
    }
    async fn attempts(&self, _run: &RunId, _seq: u64) -> Result<Vec<Attempt>, StoreError> {
        unused("attempts")
    }
    async fn duplicates(&self, _run: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError> {
        unused("duplicates")
    }
    async fn now(&self) -> Result<Timestamp, StoreError> {
        unused("now")
    }
}

/// A gate that lets every call through at once, counts them, and keeps the replies that it is told.
#[derive(Debug, Default)]
pub struct OpenGate {
    pub calls: Mutex<Vec<Call>>,
    pub replies: Mutex<Vec<Reply>>,
    /// Closed after so many permits.
    pub closes_after: Option<usize>,
}

impl OpenGate {
    pub fn calls_of(&self, call: Call) -> usize {
        self.calls.lock().unwrap().iter().filter(|made| **made == call).count()
    }
}

#[async_trait]
impl CallGate for OpenGate {
    async fn acquire(&self, call: Call, _priority: Priority) -> Result<(), GateClosed> {
        let mut calls = self.calls.lock().unwrap();
        if self.closes_after.is_some_and(|most| calls.len() >= most) {
            return Err(GateClosed::Stopped);
        }
        calls.push(call);
        Ok(())
    }

    fn replied(&self, _call: Call, reply: &Reply) {
        self.replies.lock().unwrap().push(reply.clone());
    }
}
