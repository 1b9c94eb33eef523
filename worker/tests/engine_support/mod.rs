//! What the engine's tests share: a store in memory, a scripted vendor, virtual time, and a run to work.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "a part of test files, each of which uses some of it"
)]

pub mod vendor;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use usher_shared::{
    store::{Idempotency, Seal, Store},
    *,
};
use usher_worker::{AccountSetup, Engine, EngineConfig, RunEnd, boot_clock::BootClock};

pub use usher_shared::store::memory::MemoryStore;
pub use vendor::{Step, Vendor};

/// Tokio's time, virtual in these tests, as wall clock and boot clock.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock(Instant, Timestamp);

impl TokioClock {
    pub fn new() -> Self {
        Self::beginning(Timestamp::from_millis(1_760_000_000_000))
    }

    pub fn beginning(at: Timestamp) -> Self {
        Self(Instant::now(), at)
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.1.after(self.0.elapsed())
    }
}

impl BootClock for TokioClock {
    fn now(&self) -> Duration {
        Duration::from_secs(1_000) + self.0.elapsed()
    }
}

/// An account's name.
pub fn account(name: &str) -> AccountName {
    name.parse().unwrap()
}

/// A run's id, by a number.
pub fn run_id(number: u32) -> RunId {
    format!("20261120-k3f9{}{}", char::from(b'a' + (number / 8) as u8), number % 8 + 2).parse().unwrap()
}

/// Submits a run that deactivates the vendor's users `users`.
pub async fn submit(
    store: &dyn Store,
    run: u32,
    name: &str,
    users: impl IntoIterator<Item = String>,
) -> RunId {
    submit_as(store, run, name, Priority::Normal, users).await
}

/// Submits a run of a priority.
pub async fn submit_as(
    store: &dyn Store,
    run: u32,
    name: &str,
    priority: Priority,
    users: impl IntoIterator<Item = String>,
) -> RunId {
    let new = NewRun { account: account(name), priority, ..new_run(store, run).await };
    submit_run(store, new, Action::Deactivate, users).await
}

/// A run that nothing special is to be done with.
pub async fn new_run(store: &dyn Store, run: u32) -> NewRun {
    NewRun {
        terms: Default::default(),
        id: run_id(run),
        account: account("zoom-main"),
        priority: Priority::Normal,
        reason: None,
        asked_by: "test".into(),
        source: None,
        created_at: store.now().await.unwrap(),
    }
}

/// Submits this very run.
pub async fn submit_run(
    store: &dyn Store,
    new: NewRun,
    action: Action,
    users: impl IntoIterator<Item = String>,
) -> RunId {
    let id = new.id.clone();
    store.open_run(&new).await.unwrap();
    let requests: Vec<Request> = (1..)
        .zip(users)
        .map(|(line, user)| Request {
            restore: None,
            line,
            user: user.parse().unwrap(),
            action,
            reason: None,
        })
        .collect();
    for (chunk, requests) in requests.chunks(500).enumerate() {
        store.append(&id, chunk as u64 * 500, requests).await.unwrap();
    }
    let seal = Seal {
        total: requests.len() as u64,
        by_action: BTreeMap::from([(action, requests.len() as u64)]),
        idempotency: Idempotency { key: id.to_string(), digest: "0".into(), again_after_end: true },
    };
    store.seal(&id, &seal).await.unwrap();
    id
}

/// A configuration in virtual time.
pub fn config(store: Arc<dyn Store>, clock: TokioClock, vendors: &[(&str, &Arc<Vendor>)]) -> EngineConfig {
    let accounts = vendors
        .iter()
        .map(|(name, vendor)| AccountSetup {
            name: account(name),
            provider: Arc::clone(vendor) as _,
            protected: vec![],
            rules: Default::default(),
        })
        .collect();
    EngineConfig {
        clock: Arc::new(clock),
        boot_clock: Arc::new(clock),
        seed: 7,
        ..EngineConfig::new(store, accounts, WorkerId::new("test:1"))
    }
}

/// A memory store and a configuration for one account, in virtual time.
pub fn one(vendor: &Arc<Vendor>) -> (Arc<MemoryStore>, EngineConfig) {
    let clock = TokioClock::new();
    let store = Arc::new(MemoryStore::new(Arc::new(clock)));
    (Arc::clone(&store), config(store, clock, &[("zoom-main", vendor)]))
}

/// Works one run to its end and shuts down.
pub async fn work_out(config: EngineConfig, run: &RunId) -> RunStatus {
    let engine = Engine::start(EngineConfig { only_run: Some(run.clone()), ..config }).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(24 * 3_600), engine.run_until_over()).await.unwrap();
    let RunEnd::Over(status) = end else { panic!("{end:?}") };
    engine.shutdown().await;
    assert!(status.counters.add_up(), "{:?}", status.counters);
    *status
}

/// Waits until something is so of the run.
pub async fn until(store: &dyn Store, run: &RunId, so: impl Fn(&RunStatus) -> bool) -> RunStatus {
    for _ in 0..50_000 {
        let status = store.run(run).await.unwrap().unwrap();
        assert!(status.counters.add_up(), "{:?}", status.counters);
        if so(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never so: {:?}", store.run(run).await)
}

/// Waits until the run is held for this reason.
pub async fn until_held(store: &dyn Store, run: &RunId, reason: HeldReason) -> Held {
    let held = |status: &RunStatus| status.notes.held.as_ref().is_some_and(|held| held.reason == reason);
    until(store, run, held).await.notes.held.unwrap()
}

/// Waits until the run is over, whoever works it.
pub async fn until_over(store: &dyn Store, run: &RunId) -> RunStatus {
    loop {
        let status = store.run(run).await.unwrap().unwrap();
        if status.phase.is_over() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Outcomes by user as written.
pub async fn outcomes(store: &dyn Store, run: &RunId) -> BTreeMap<String, Outcome> {
    let rows = store.outcomes(run, 0, 5_000).await.unwrap();
    rows.into_iter().map(|row| (row.user.as_str().to_owned(), row.outcome)).collect()
}

/// `count` addresses.
pub fn users(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user{n}@corp.example")).collect()
}

/// The most starts in any one second.
pub fn most_in_a_second(starts: &[Instant]) -> usize {
    let mut starts = starts.to_vec();
    starts.sort();
    (0..starts.len())
        .map(|first| {
            starts[first..]
                .iter()
                .take_while(|start| **start - starts[first] < Duration::from_secs(1))
                .count()
        })
        .max()
        .unwrap_or(0)
}
