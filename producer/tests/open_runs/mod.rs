//! A store in memory that knows opening, appending, sealing and discarding, and can be told to fail.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;
use usher_shared::{
    AccountName, Attempt, Drawn, Hold, JobReport, NewRun, OutcomeRow, Priority, Pulse, QuotaWindow, Request,
    RunId, RunPhase, RunStatus, Timestamp, WorkerId,
    store::{
        CHUNK, Lease, LeaseAsk, Leased, Refresh, RefreshClaim, Resolution, Seal, Sealed, Seat, SharedStore,
        ShelvedToken, Steward, Store, StoreError,
    },
};

/// A store in memory for what a producer calls.
#[derive(Debug, Default)]
pub struct OpenRuns {
    kept: Mutex<Kept>,
    append_began: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    open: HashMap<RunId, (NewRun, BTreeMap<u64, Request>)>,
    sealed: HashMap<RunId, Run>,
    keys: HashMap<(AccountName, String), (RunId, String)>,
    /// Answers to give before anything is done, by the name of the call.
    failures: HashMap<&'static str, VecDeque<StoreError>>,
    calls: BTreeMap<&'static str, u64>,
    appending: u64,
    most_appending: u64,
    to_be_appending: u64,
}

/// A run that is visible.
#[derive(Clone, Debug)]
pub struct Run {
    pub run: NewRun,
    pub requests: Vec<Request>,
    pub seal: Seal,
    pub over: bool,
}

impl OpenRuns {
    pub fn shared() -> (Arc<Self>, SharedStore) {
        let store = Arc::new(Self::default());
        (store.clone(), store)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Lets the next calls of that name fail in turn.
    pub fn fail(&self, call: &'static str, errors: impl IntoIterator<Item = StoreError>) {
        self.kept().failures.entry(call).or_default().extend(errors);
    }

    pub fn sealed(&self, run: &RunId) -> Run {
        self.kept().sealed[run].clone()
    }

    pub fn sealed_runs(&self) -> usize {
        self.kept().sealed.len()
    }

    pub fn open_runs(&self) -> usize {
        self.kept().open.len()
    }

    pub fn calls(&self, call: &'static str) -> u64 {
        self.kept().calls.get(call).copied().unwrap_or(0)
    }

    pub fn most_appending(&self) -> u64 {
        self.kept().most_appending
    }

    /// Ends no append before that many have been in flight at once.
    pub fn hold_appends_until_in_flight(&self, count: u64) {
        self.kept().to_be_appending = count;
    }

    pub fn end(&self, run: &RunId) {
        self.kept().sealed.get_mut(run).unwrap().over = true;
    }

    /// Forgets what is open, as a store does after an hour.
    pub fn expire(&self) {
        self.kept().open.clear();
    }

    fn called(&self, call: &'static str) -> Result<MutexGuard<'_, Kept>, StoreError> {
        let mut kept = self.kept();
        *kept.calls.entry(call).or_default() += 1;
        match kept.failures.get_mut(call).and_then(VecDeque::pop_front) {
            Some(error) => Err(error),
            None => Ok(kept),
        }
    }
}

pub fn away() -> StoreError {
    StoreError::Unavailable("connection refused".into())
}

/// A producer has no business with this call.
macro_rules! no_producer_calls {
    () => {
        unreachable!("a producer opens, appends, seals and discards; the rest is the worker's")
    };
}

#[async_trait]
impl Store for OpenRuns {
    async fn open_run(&self, run: &NewRun) -> Result<(), StoreError> {
        let mut kept = self.called("open_run")?;
        if kept.open.contains_key(&run.id) || kept.sealed.contains_key(&run.id) {
            return Err(StoreError::IdTaken(run.id.clone()));
        }
        kept.open.insert(run.id.clone(), (run.clone(), BTreeMap::new()));
        Ok(())
    }

    async fn append(&self, run: &RunId, first_seq: u64, requests: &[Request]) -> Result<(), StoreError> {
        assert!((1..=CHUNK).contains(&requests.len()), "{} requests", requests.len());
        {
            let mut kept = self.called("append")?;
            kept.appending += 1;
            kept.most_appending = kept.most_appending.max(kept.appending);
        }
        self.append_began.notify_waiters();
        loop {
            let began = self.append_began.notified();
            let enough = {
                let kept = self.kept();
                kept.most_appending >= kept.to_be_appending
            };
            if enough {
                break;
            }
            began.await;
        }
        let mut kept = self.kept();
        kept.appending -= 1;
        let (_, kept) = kept.open.get_mut(run).ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
        kept.extend((first_seq..).zip(requests.iter().cloned()));
        Ok(())
    }

    async fn seal(&self, run: &RunId, seal: &Seal) -> Result<Sealed, StoreError> {
        let mut kept = self.called("seal")?;
        if kept.sealed.get(run).is_some_and(|sealed| sealed.seal == *seal) {
            return Ok(Sealed::New { previous: None });
        }
        let (opened, requests) =
            kept.open.get(run).cloned().ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
        let found = requests.len() as u64;
        let in_order = requests.keys().copied().eq(0..found);
        if found != seal.total || found == 0 || !in_order {
            return Err(StoreError::Incomplete { run: run.clone(), expected: seal.total, found });
        }
        let idempotency = &seal.idempotency;
        let key = (opened.account.clone(), idempotency.key.clone());
        let mut previous = None;
        if let Some((existing, digest)) = kept.keys.get(&key).cloned() {
            if digest != idempotency.digest {
                return Err(StoreError::Conflict { key: key.1, existing });
            }
            if !(idempotency.again_after_end && kept.sealed[&existing].over) {
                kept.open.remove(run);
                return Ok(Sealed::Existing(existing));
            }
            previous = Some(existing);
        }
        kept.open.remove(run);
        kept.keys.insert(key, (run.clone(), idempotency.digest.clone()));
        let requests = requests.into_values().collect();
        kept.sealed.insert(run.clone(), Run { run: opened, requests, seal: seal.clone(), over: false });
        Ok(Sealed::New { previous })
    }

    async fn discard(&self, run: &RunId) -> Result<(), StoreError> {
        let mut kept = self.called("discard")?;
        if kept.sealed.contains_key(run) {
            let wanted = "it can't be discarded";
            return Err(StoreError::WrongPhase { run: run.clone(), phase: RunPhase::Sealed, wanted });
        }
        kept.open.remove(run).map(drop).ok_or_else(|| StoreError::NoSuchRun(run.clone()))
    }

    async fn expire_open_runs(&self) -> Result<u64, StoreError> {
        no_producer_calls!()
    }

    async fn take_steward(
        &self,
        _: &RunId,
        _: &WorkerId,
        _: Duration,
    ) -> Result<Option<Steward>, StoreError> {
        no_producer_calls!()
    }

    async fn renew_steward(&self, _: &Steward, _: Duration) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn requests(&self, _: &RunId, _: u64, _: usize) -> Result<Vec<(u64, Request)>, StoreError> {
        no_producer_calls!()
    }

    async fn resolve(&self, _: &Steward, _: &[(u64, Resolution)]) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn finish_resolving(&self, _: Steward) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn admit(&self, _: &RunId) -> Result<u64, StoreError> {
        no_producer_calls!()
    }

    async fn promote(&self, _: &RunId, _: usize) -> Result<u64, StoreError> {
        no_producer_calls!()
    }

    async fn take_seat(&self, _: &WorkerId) -> Result<Seat, StoreError> {
        no_producer_calls!()
    }

    async fn lease(&self, _: &LeaseAsk) -> Result<Leased, StoreError> {
        no_producer_calls!()
    }

    async fn renew(&self, _: &mut Lease, _: Duration) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn finish(&self, _: Lease, _: Vec<JobReport>) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn wait_for_work(&self, _: &AccountName, _: Duration) {
        no_producer_calls!()
    }

    async fn pause(&self, _: &RunId) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn resume(&self, _: &RunId) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn cancel(&self, _: &RunId, _: usize) -> Result<u64, StoreError> {
        no_producer_calls!()
    }

    async fn set_priority(&self, _: &RunId, _: Priority) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn hold(&self, _: &AccountName, _: &Hold) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn release(&self, _: &AccountName) -> Result<bool, StoreError> {
        no_producer_calls!()
    }

    async fn draw_quota(
        &self,
        _: &AccountName,
        _: &str,
        _: QuotaWindow,
        _: u64,
        _: u64,
    ) -> Result<Drawn, StoreError> {
        no_producer_calls!()
    }

    async fn return_quota(&self, _: &AccountName, _: &str, _: Timestamp, _: u64) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn publish_pulse(&self, _: &Pulse) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn pulses(&self, _: &AccountName) -> Result<Vec<Pulse>, StoreError> {
        no_producer_calls!()
    }

    async fn token(&self, _: &AccountName) -> Result<Option<ShelvedToken>, StoreError> {
        no_producer_calls!()
    }

    async fn claim_refresh(
        &self,
        _: &AccountName,
        _: &WorkerId,
        _: Option<u64>,
        _: Duration,
    ) -> Result<Refresh, StoreError> {
        no_producer_calls!()
    }

    async fn shelve_token(&self, _: RefreshClaim, _: &[u8], _: Duration) -> Result<u64, StoreError> {
        no_producer_calls!()
    }

    async fn abandon_refresh(&self, _: RefreshClaim) -> Result<(), StoreError> {
        no_producer_calls!()
    }

    async fn run(&self, _: &RunId) -> Result<Option<RunStatus>, StoreError> {
        no_producer_calls!()
    }

    async fn runs(&self, _: usize) -> Result<Vec<RunStatus>, StoreError> {
        no_producer_calls!()
    }

    async fn unfinished(&self, _: &AccountName) -> Result<Vec<RunStatus>, StoreError> {
        no_producer_calls!()
    }

    async fn outcomes(&self, _: &RunId, _: u64, _: usize) -> Result<Vec<OutcomeRow>, StoreError> {
        no_producer_calls!()
    }

    async fn attempts(&self, _: &RunId, _: u64) -> Result<Vec<Attempt>, StoreError> {
        no_producer_calls!()
    }

    async fn duplicates(&self, _: &RunId) -> Result<Vec<(u64, String, u64)>, StoreError> {
        no_producer_calls!()
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        no_producer_calls!()
    }
}
