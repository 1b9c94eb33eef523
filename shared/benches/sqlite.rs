//! How fast the embedded store is: `cargo bench -p usher-shared --bench sqlite [-- ROWS [FOLDER]]`.
//!
//! Rows appended a second, rows resolved and promoted a second, and jobs from lease to finish a second, each with real
//! commits to the disk that the folder (a temporary one, where none is named) lies on. What a commit costs is the
//! disk's to say, so the finishing is measured with few and with many finishers, which share commits.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "prints figures, fails by panicking"
)]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use usher_shared::{
    Action, Attempt, Clock, JobReport, NewRun, Outcome, Priority, Request, ResolvedUser, RunId, Status,
    SystemClock, Then, UserState, Verdict, WorkerId,
    store::{CHUNK, Idempotency, Lease, LeaseAsk, Resolution, Seal, Store, sqlite::SqliteStore},
};

const DEFAULT_ROWS: u64 = 100_000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let rows: u64 = arguments.first().map_or(DEFAULT_ROWS, |rows| rows.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let folder = arguments.get(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&folder.join("bench.db"), Arc::new(SystemClock)).unwrap());

    let run = submit(&*store, rows).await;
    resolve(&*store, &run, rows).await;
    // A share of the jobs for each way to finish them, the slow way getting the fewest.
    work(&store, &run, rows / 20, 4, 1).await;
    work(&store, &run, rows / 4, 256, 1).await;
    work(&store, &run, rows / 4, 4, 100).await;
    work(&store, &run, rows - rows / 20 - rows / 4 * 2, 4, 200).await;
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.counters.finished, status.counters.add_up()), (rows, true));
    println!("memory: {}", peak_memory());
}

fn report(what: &str, count: u64, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    println!("{what}: {count} in {seconds:.2} s, {:.0}/s", count as f64 / seconds);
}

fn request(seq: u64) -> Request {
    let user = format!("first.last{seq}@corp.example").parse().unwrap();
    Request { line: seq + 2, user, action: Action::Deactivate, reason: None }
}

async fn submit(store: &dyn Store, rows: u64) -> RunId {
    let run: RunId = "20261120-k3f9zm".parse().unwrap();
    let new = NewRun {
        id: run.clone(),
        account: "zoom-main".parse().unwrap(),
        priority: Priority::Normal,
        reason: None,
        asked_by: "bench".into(),
        source: None,
        created_at: SystemClock.now(),
    };
    store.open_run(&new).await.unwrap();
    let began = Instant::now();
    for first in (0..rows).step_by(CHUNK) {
        let chunk: Vec<Request> = (first..rows.min(first + CHUNK as u64)).map(request).collect();
        store.append(&run, first, &chunk).await.unwrap();
    }
    report("append, one chunk at a time", rows, began);
    let began = Instant::now();
    let idempotency = Idempotency { key: "k".into(), digest: "d".into(), again_after_end: false };
    let by_action = BTreeMap::from([(Action::Deactivate, rows)]);
    store.seal(&run, &Seal { total: rows, by_action, idempotency }).await.unwrap();
    println!("seal: {:?}", began.elapsed());
    run
}

async fn resolve(store: &dyn Store, run: &RunId, rows: u64) {
    let steward =
        store.take_steward(run, &WorkerId::new("w"), Duration::from_secs(3_600)).await.unwrap().unwrap();
    let began = Instant::now();
    for first in (0..rows).step_by(CHUNK) {
        let resolved: Vec<(u64, Resolution)> = store
            .requests(run, first, CHUNK)
            .await
            .unwrap()
            .into_iter()
            .map(|(seq, request)| {
                let state = UserState {
                    status: Status::Active,
                    license: Some("2".into()),
                    role: Some("2".into()),
                    groups: vec![],
                };
                // Ids come in no order.
                let id = format!("{:016x}", seq.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let user = ResolvedUser { id, email: Some(request.user.as_str().to_owned()), before: state };
                (seq, Resolution::Change(user))
            })
            .collect();
        store.resolve(&steward, &resolved).await.unwrap();
    }
    report("resolve", rows, began);
    store.finish_resolving(steward).await.unwrap();
    store.admit(run).await.unwrap();
    let began = Instant::now();
    while store.promote(run, CHUNK).await.unwrap() > 0 {}
    report("promote", rows, began);
}

/// Leases and finishes `count` jobs: one asks, so many finish.
async fn work(store: &Arc<dyn Store>, run: &RunId, count: u64, finishers: usize, batch: usize) {
    let began = Instant::now();
    let (give, take) = mpsc::channel::<Lease>(finishers);
    let take = Arc::new(Mutex::new(take));
    let mut tasks = JoinSet::new();
    for _ in 0..finishers {
        let (store, take) = (store.clone(), take.clone());
        tasks.spawn(async move {
            loop {
                let Some(lease) = take.lock().await.recv().await else { return };
                let reports = lease.jobs.iter().map(|job| applied(job.seq, &lease.worker)).collect();
                store.finish(lease, reports).await.unwrap();
            }
        });
    }
    let mut left = usize::try_from(count).unwrap();
    while left > 0 {
        let batch = batch.min(left);
        let ask = LeaseAsk {
            account: "zoom-main".parse().unwrap(),
            worker: WorkerId::new("host:1:a"),
            leases: finishers.min(left / batch),
            batch,
            ttl: Duration::from_secs(600),
            only_run: Some(run.clone()),
            urgent_only: false,
            idle: false,
        };
        let leased = store.lease(&ask).await.unwrap();
        assert!(!leased.leases.is_empty());
        for lease in leased.leases {
            left -= lease.jobs.len();
            give.send(lease).await.unwrap();
        }
    }
    drop(give);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    report(&format!("lease to finish, {finishers} finishers, {batch} a lease"), count, began);
}

fn applied(seq: u64, worker: &WorkerId) -> JobReport {
    let now = SystemClock.now();
    let attempt = Attempt {
        began_at: now,
        ended_at: now,
        calls: 1,
        http: Some(204),
        verdict: Verdict::Applied,
        code: None,
        worker: worker.clone(),
    };
    let then = Then::Finish { outcome: Outcome::Applied, code: None, message: None };
    JobReport { seq, attempt: Some(attempt), throttled: 0, then }
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    peak.map_or_else(|| "not told by this system".into(), |line| line.replace('\t', " "))
}
