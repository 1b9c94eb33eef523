//! The engine on the embedded store, in real time.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::{sync::Arc, time::Duration};

use engine_support::*;
use usher_shared::{
    store::{Store, StoreError, sqlite::SqliteStore},
    *,
};
use usher_worker::{Engine, EngineConfig, EngineError, RunEnd, boot_clock::SystemBootClock};

fn open(dir: &tempfile::TempDir) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(&dir.path().join("usher.db"), Arc::new(SystemClock)).unwrap())
}

fn real(store: Arc<SqliteStore>, vendor: &Arc<Vendor>) -> EngineConfig {
    EngineConfig {
        clock: Arc::new(SystemClock),
        boot_clock: Arc::new(SystemBootClock::new()),
        ..config(store, TokioClock::new(), &[("zoom-main", vendor)])
    }
}

#[tokio::test]
async fn a_run_is_worked_to_its_end_and_every_job_has_one_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let vendor = Vendor::new(1_000.0, |user, call| match (user.id.as_str(), call) {
        ("user7@corp.example", 1) => Step::DoneUnsaid,
        ("user9@corp.example", 1..=3) => Step::throttled(usher_worker::provider::Throttle::PerSecond),
        ("user11@corp.example", _) => Step::verdict(Verdict::Rejected),
        _ => Step::Done,
    });
    let store = open(&dir);
    let run = submit(&*store, 1, "zoom-main", users(1_200)).await;
    let status = work_out(real(store.clone(), &vendor), &run).await;
    assert_eq!((status.counters.of(Outcome::Applied), status.counters.of(Outcome::Rejected)), (1_199, 1));
    assert_eq!((status.effort.throttled, status.effort.lost), (3, 0));
    assert_eq!(outcomes(&*store, &run).await["user7@corp.example"], Outcome::Applied);
    assert!(!vendor.seen.lock().unwrap().met_on_one_user);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn after_a_crash_the_next_engine_takes_the_seat_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let vendor = Vendor::new(400.0, |_, _| Step::Done);
    // A runtime of its own, gone with all that it still had to do: as a process is.
    let crashed = runtime();
    let run = crashed.block_on(async {
        let store = open(&dir);
        let run = submit(&*store, 1, "zoom-main", users(400)).await;
        let engine = Engine::start(real(store.clone(), &vendor)).await.unwrap();
        let refused = Engine::start(real(open(&dir), &vendor)).await.unwrap_err();
        assert!(matches!(refused, EngineError::Store(StoreError::SeatTaken(_))), "{refused}");
        vendor.until_begun(150).await;
        engine.abort().await;
        run
    });
    drop(crashed);
    runtime().block_on(async {
        let store = open(&dir);
        let before = store.run(&run).await.unwrap().unwrap();
        assert!(before.counters.add_up() && before.counters.leased > 0, "{:?}", before.counters);
        let status = work_out(real(store.clone(), &vendor), &run).await;
        assert_eq!(status.counters.of(Outcome::Applied), 400, "{:?}", status.counters);
        assert_eq!(status.effort.lost, before.counters.leased, "{:?}", status.effort);
        // Every lost attempt stands in the ledger, once, and nothing else does beside the one that ended the job.
        let mut lost = 0;
        for seq in 0..400 {
            let attempts = store.attempts(&run, seq).await.unwrap();
            let (last, before) = attempts.split_last().unwrap();
            assert_eq!(last.verdict, Verdict::Applied, "{seq}: {attempts:?}");
            assert!(before.iter().all(|attempt| attempt.verdict == Verdict::Lost), "{seq}: {attempts:?}");
            lost += before.len() as u64;
        }
        assert_eq!(status.effort.lost, lost);
    });
}

#[tokio::test]
async fn a_hold_found_by_a_call_is_in_the_store_and_a_release_lets_the_run_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let granted = Arc::clone(&allowed);
    let vendor = Vendor::new(400.0, move |_, _| {
        let granted = granted.load(std::sync::atomic::Ordering::SeqCst);
        if granted { Step::Done } else { Step::verdict(Verdict::Forbidden) }
    });
    let store = open(&dir);
    let run = submit(&*store, 1, "zoom-main", users(50)).await;
    let engine = Engine::start(EngineConfig { only_run: Some(run.clone()), ..real(store.clone(), &vendor) })
        .await
        .unwrap();
    let RunEnd::Held(hold, _) = engine.run_until_over().await else { panic!() };
    assert_eq!(hold.reason, HoldReason::Scope);
    allowed.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(store.release(&account("zoom-main")).await.unwrap());
    let status = tokio::time::timeout(Duration::from_secs(30), until_over(&*store, &run)).await.unwrap();
    assert_eq!(status.counters.of(Outcome::Applied), 50);
    engine.shutdown().await;
}
