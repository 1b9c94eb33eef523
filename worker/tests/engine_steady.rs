//! Pace, stopping, lapsed leases, and accounts that do not wait for each other: the whole engine in virtual time.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use engine_support::*;
use usher_shared::{store::Store, *};
use usher_worker::{Drained, Engine, EngineConfig, EngineError, RunEnd, boot_clock::BootClock};

#[tokio::test(start_paused = true)]
async fn two_thousand_four_hundred_calls_use_the_limit_and_never_pass_it() {
    for latency in [60, 400, 700] {
        let vendor = Vendor::new(80.0, |_, _| Step::Done);
        let mut vendor = Arc::into_inner(vendor).unwrap();
        vendor.latency = Duration::from_millis(latency);
        let vendor = Arc::new(vendor);
        let (store, config) = one(&vendor);
        let run = submit(&*store, 1, "zoom-main", users(2_400)).await;
        let status = work_out(config, &run).await;
        assert_eq!(status.counters.of(Outcome::Applied), 2_400);
        let starts = vendor.starts();
        let spent = *starts.last().unwrap() - starts[0];
        assert!(spent <= Duration::from_secs(31), "{latency} ms: {spent:?}");
        assert!(most_in_a_second(&starts) <= 80, "{latency} ms: {} in a second", most_in_a_second(&starts));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_picks_up_within_25_ms_and_asks_seldom_meanwhile() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let engine = Engine::start(config).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = store.calls("lease");
    assert!(asked <= 70, "{asked} questions in an idle minute");
    for run in 0..20 {
        let sealed = tokio::time::Instant::now();
        let run = submit(&*store, run, "zoom-main", [format!("late{run}@corp.example")]).await;
        vendor.until_begun(vendor.starts().len().max(1)).await;
        until_over(&*store, &run).await;
        let start = *vendor.starts().last().unwrap() - sealed;
        assert!(start < Duration::from_millis(25), "{start:?}");
        tokio::time::sleep(Duration::from_millis(777)).await;
    }
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_finishes_what_is_in_flight_gives_back_the_rest_and_loses_nothing() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(300)).await;
    for calls in [20, 100, 200] {
        let engine = Engine::start(config.clone()).await.unwrap();
        vendor.until_begun(calls).await;
        assert_eq!(engine.shutdown().await, Drained::Clean);
        let status = store.run(&run).await.unwrap().unwrap();
        assert_eq!(status.counters.leased, 0, "a lease was kept");
        assert_eq!(status.counters.finished as usize, vendor.starts().len(), "a call's outcome was lost");
    }
    let status = work_out(config, &run).await;
    assert_eq!((status.counters.of(Outcome::Applied), vendor.starts().len()), (300, 300));
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_ever() {
    let vendor = Vendor::new(80.0, |_, _| Step::Hang);
    let (store, mut config) = one(&vendor);
    config.config.drain_seconds = 3.0;
    submit(&*store, 1, "zoom-main", users(3)).await;
    let engine = Engine::start(config).await.unwrap();
    vendor.until_begun(3).await;
    let began = tokio::time::Instant::now();
    assert_eq!(engine.shutdown().await, Drained::TimeUp { left: 3 });
    assert!(began.elapsed() < Duration::from_secs(4));
}

/// A boot clock that jumps ahead when the test says so, as it does for a process that was stopped meanwhile.
#[derive(Debug)]
struct Stopped(TokioClock, Mutex<Duration>);

impl BootClock for Stopped {
    fn now(&self) -> Duration {
        BootClock::now(&self.0) + *self.1.lock().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_lapsed_while_the_process_was_stopped_starts_no_call() {
    let vendor = Vendor::new(1.0, |_, _| Step::Done);
    let clock = TokioClock::new();
    // The store's clock goes on while the worker is stopped.
    let boot = Arc::new(Stopped(clock, Mutex::default()));
    #[derive(Debug)]
    struct StoreClock(Arc<Stopped>);
    impl Clock for StoreClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_760_000_000_000).after(BootClock::now(&*self.0))
        }
    }
    let store = Arc::new(MemoryStore::new(Arc::new(StoreClock(Arc::clone(&boot)))));
    let mut config = config(store.clone(), clock, &[("zoom-main", &vendor)]);
    config.boot_clock = boot.clone();
    config.clock = Arc::new(StoreClock(boot.clone()));
    let run = submit(&*store, 1, "zoom-main", users(3)).await;
    let engine = Engine::start(config).await.unwrap();
    vendor.until_begun(1).await;
    // The second job is leased and waits for its start; then the process stands still for a minute.
    loop {
        let counters = store.run(&run).await.unwrap().unwrap().counters;
        if (counters.finished, counters.leased) == (1, 1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    *boot.1.lock().unwrap() = Duration::from_secs(60);
    let status = until_over(&*store, &run).await;
    engine.shutdown().await;
    assert_eq!(status.counters.of(Outcome::Applied), 3);
    assert_eq!(vendor.starts().len(), 3, "a call was made under a lapsed lease");
    let lost: usize = {
        let mut lost = 0;
        for seq in 0..3 {
            let attempts = store.attempts(&run, seq).await.unwrap();
            lost += attempts.iter().filter(|attempt| attempt.verdict == Verdict::Lost).count();
        }
        lost
    };
    assert!(lost > 0, "no lease lapsed: the test tests nothing");
}

#[tokio::test(start_paused = true)]
async fn one_hanging_account_does_not_starve_another() {
    let (hanging, well) = (Vendor::new(80.0, |_, _| Step::Hang), Vendor::new(80.0, |_, _| Step::Done));
    let clock = TokioClock::new();
    let store = Arc::new(MemoryStore::new(Arc::new(clock)));
    let config = config(store.clone(), clock, &[("hanging", &hanging), ("well", &well)]);
    let stuck = submit(&*store, 1, "hanging", users(500)).await;
    let run = submit(&*store, 2, "well", users(400)).await;
    let engine = Engine::start(config).await.unwrap();
    let status = until_over(&*store, &run).await;
    assert_eq!(status.counters.of(Outcome::Applied), 400);
    let starts = well.starts();
    let spent = *starts.last().unwrap() - starts[0];
    assert!(spent < Duration::from_millis(5_400), "{spent:?}");
    assert!(store.run(&stuck).await.unwrap().unwrap().counters.leased <= 100);
    engine.abort().await;
}

#[tokio::test(start_paused = true)]
async fn an_urgent_run_overtakes_ten_thousand_bulk_jobs_within_a_second() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    submit_as(&*store, 1, "zoom-main", Priority::Bulk, users(10_000)).await;
    let engine = Engine::start(config).await.unwrap();
    for n in 0..5 {
        vendor.until_begun(100 * (n as usize + 1)).await;
        let sealed = tokio::time::Instant::now();
        let run =
            submit_as(&*store, 2 + n, "zoom-main", Priority::Urgent, [format!("now{n}@corp.example")]).await;
        until_over(&*store, &run).await;
        assert!(sealed.elapsed() < Duration::from_secs(1), "{:?}", sealed.elapsed());
    }
    engine.abort().await;
}

#[tokio::test(start_paused = true)]
async fn with_one_run_to_work_the_others_stay_as_they_are() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let other = submit(&*store, 1, "zoom-main", ["yesterday@corp.example".to_owned()]).await;
    let run = submit(&*store, 2, "zoom-main", users(10)).await;
    assert_eq!(work_out(config, &run).await.counters.of(Outcome::Applied), 10);
    assert_eq!(store.run(&other).await.unwrap().unwrap().phase, RunPhase::Sealed);
    assert_eq!(vendor.calls("yesterday@corp.example"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_waits_and_a_cancelled_one_ends() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let run = submit(&*store, 1, "zoom-main", users(2_000)).await;
    let engine = Engine::start(EngineConfig { only_run: Some(run.clone()), ..config }).await.unwrap();
    vendor.until_begun(100).await;
    store.pause(&run).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let made = vendor.starts().len();
    assert!(made < 140, "{made} calls");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(vendor.starts().len(), made);
    store.resume(&run).await.unwrap();
    vendor.until_begun(200).await;
    store.cancel(&run, 1).await.unwrap();
    let RunEnd::Over(status) = engine.run_until_over().await else { panic!() };
    assert_eq!((status.phase, status.counters.finished), (RunPhase::Cancelled, 2_000));
    assert!(vendor.starts().len() < 240);
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_too_short_for_any_call_is_refused_at_the_start() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (_, mut config) = one(&vendor);
    config.config.lease_seconds = 10.5;
    assert!(matches!(Engine::start(config).await, Err(EngineError::LeaseTooShort { .. })));
}
