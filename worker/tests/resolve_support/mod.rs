//! A sealed run in memory, and a gate that lets every call through: for tests of what resolves.

#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "a part of test files, each of which uses some of it"
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use usher_shared::{
    AccountName, Action, Clock, JobReport, ManualClock, NewRun, Outcome, OutcomeRow, Priority, Request,
    RunId, RunStatus, Then, Timestamp, WorkerId,
    store::{CHUNK, Idempotency, LeaseAsk, Resolution, Seal, Store, memory::MemoryStore},
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
    Request { restore: None, line, user: user.parse().unwrap(), action, reason: None }
}

/// A store in memory with one sealed run, on a clock that stands still.
#[derive(Debug)]
pub struct SealedRun {
    pub store: MemoryStore,
    pub clock: Arc<ManualClock>,
    pub requests: u64,
}

impl SealedRun {
    pub async fn of(requests: Vec<Request>) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_760_000_000_000)));
        let store = MemoryStore::new(clock.clone());
        let run = NewRun {
            terms: Default::default(),
            id: run_id(),
            account: account(),
            priority: Priority::Normal,
            reason: None,
            asked_by: "test".into(),
            source: None,
            created_at: clock.now(),
        };
        store.open_run(&run).await.unwrap();
        let mut by_action = BTreeMap::new();
        for (chunk, place) in requests.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            store.append(&run.id, place, chunk).await.unwrap();
        }
        for request in &requests {
            *by_action.entry(request.action).or_default() += 1;
        }
        let total = requests.len() as u64;
        let idempotency = Idempotency { key: "k".into(), digest: "d".into(), again_after_end: true };
        store.seal(&run.id, &Seal { total, by_action, idempotency }).await.unwrap();
        Self { store, clock, requests: total }
    }

    pub async fn status(&self) -> RunStatus {
        self.store.run(&run_id()).await.unwrap().unwrap()
    }

    /// What the request at each place resolved to, in words: `change ID`, `OUTCOME CODE`, `duplicate of LINE`.
    pub fn words(&self) -> Vec<String> {
        let words = |resolution: Option<Resolution>| match resolution {
            None => "nothing".to_owned(),
            Some(Resolution::Change(user)) => format!("change {}", user.key()),
            Some(Resolution::Settled { outcome, code, .. }) => {
                format!("{outcome} {}", code.as_deref().unwrap_or("-"))
            }
            Some(Resolution::Duplicate { of_line }) => format!("duplicate of {of_line}"),
        };
        self.store.resolutions(&run_id()).into_iter().map(words).collect()
    }

    /// Works the resolved run to its end: whatever is to be changed is applied. Answers what became of its jobs.
    pub async fn work(&self) -> Vec<OutcomeRow> {
        self.store.admit(&run_id()).await.unwrap();
        while self.store.promote(&run_id(), CHUNK).await.unwrap() > 0 {}
        let ask = LeaseAsk {
            account: account(),
            worker: WorkerId::new("test"),
            leases: 100,
            batch: 1,
            ttl: Duration::from_secs(15),
            only_run: None,
            urgent_only: false,
            idle: false,
        };
        loop {
            let leased = self.store.lease(&ask).await.unwrap();
            if leased.leases.is_empty() {
                break;
            }
            for lease in leased.leases {
                let then = Then::Finish { outcome: Outcome::Applied, code: None, message: None };
                let report = JobReport { seq: lease.jobs[0].seq, attempt: None, throttled: 0, then };
                self.store.finish(lease, vec![report]).await.unwrap();
            }
        }
        self.store.outcomes(&run_id(), 0, 5_000).await.unwrap()
    }

    /// Waits until the stewardship has been renewed.
    pub async fn renewed(&self) {
        while self.store.calls("renew_steward") == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
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
