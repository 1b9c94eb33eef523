//! What the vendor's limits do to the whole engine, in virtual time: refusals, the quota of a day, who goes first.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::{sync::Arc, time::Duration};

use engine_support::*;
use tokio::time::Instant;
use usher_shared::{store::Store, *};
use usher_worker::{Engine, EngineConfig, provider::Throttle};

/// From where virtual time begins to the next midnight.
const TO_MIDNIGHT: Duration = Duration::from_secs(20 * 60);

fn shortly_before_midnight(vendor: &Arc<Vendor>) -> (Arc<MemoryStore>, EngineConfig) {
    // 2025-10-09T23:40:00Z
    let clock = TokioClock::beginning(Timestamp::from_millis(1_760_053_200_000));
    let store = Arc::new(MemoryStore::new(Arc::new(clock)));
    (Arc::clone(&store), config(store, clock, &[("zoom-main", vendor)]))
}

fn vendor_with_a_day_of(calls: u64) -> Arc<Vendor> {
    let mut vendor = Arc::into_inner(Vendor::new(80.0, |_, _| Step::Done)).unwrap();
    vendor.per_day = Some(calls);
    vendor.listed = 5_000;
    Arc::new(vendor)
}

/// Looks seldom: days of virtual time go by.
async fn until_over_some_day(store: &dyn Store, run: &RunId) -> RunStatus {
    for _ in 0..1_000 {
        let status = store.run(run).await.unwrap().unwrap();
        if status.phase.is_over() {
            return status;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    panic!("not over after hours");
}

#[tokio::test(start_paused = true)]
async fn at_the_day_s_quota_the_run_parks_and_goes_on_by_itself_after_midnight() {
    let vendor = vendor_with_a_day_of(200);
    let (store, config) = shortly_before_midnight(&vendor);
    let began = Instant::now();
    let run = submit(&*store, 1, "zoom-main", users(300)).await;
    let engine = Engine::start(config).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1_000)).await;
    let first_day = vendor.starts().len();
    let asked = store.calls("lease");
    assert!(asked < 2_500, "{asked} questions in a parked quarter of an hour");
    assert!((160..=180).contains(&first_day), "{first_day} calls: the last 20 are for urgent work");
    let status = store.run(&run).await.unwrap().unwrap();
    assert_eq!((status.counters.leased, status.counters.queued as usize), (0, 300 - first_day));
    assert_eq!(status.effort.throttled, 0, "nobody had to be refused for it");

    let status = until_over_some_day(&*store, &run).await;
    engine.shutdown().await;
    assert_eq!(status.counters.of(Outcome::Applied), 300);
    let starts = vendor.starts();
    assert!(starts[first_day] - began >= TO_MIDNIGHT);
    assert!(
        starts[first_day] - began < TO_MIDNIGHT + Duration::from_secs(5),
        "it goes on by itself, and soon"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_calls_of_a_day_are_for_urgent_work_and_then_the_account_waits_for_midnight() {
    let vendor = vendor_with_a_day_of(200);
    let (store, config) = shortly_before_midnight(&vendor);
    let bulk = submit_as(&*store, 1, "zoom-main", Priority::Bulk, users(300)).await;
    let engine = Engine::start(config).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let parked_at = vendor.starts().len();
    let mut over = 0;
    for n in 2..40 {
        let sealed = Instant::now();
        let name = format!("now{n}@corp.example");
        let run = submit_as(&*store, n, "zoom-main", Priority::Urgent, [name]).await;
        tokio::select! {
            _ = until_over(&*store, &run) => {
                over += 1;
                assert!(sealed.elapsed() < Duration::from_secs(1), "{:?}", sealed.elapsed());
            }
            () = tokio::time::sleep(Duration::from_secs(60)) => break,
        }
    }
    assert!(over >= 5, "{over} urgent runs went through after the bulk was parked");
    assert_eq!(vendor.starts().len(), parked_at + over);
    let status = store.run(&bulk).await.unwrap().unwrap();
    let hold = status.hold.expect("with nothing left, even for urgent work, the account says why it waits");
    assert_eq!(hold.reason, HoldReason::Quota);
    assert_eq!(hold.until.unwrap().to_string(), "2025-10-10T00:00:00.000Z");
    let status = until_over_some_day(&*store, &bulk).await;
    assert_eq!(status.counters.of(Outcome::Applied), 300);
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_urgent_work_leaves_the_others_a_tenth() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let bulk = submit_as(&*store, 1, "zoom-main", Priority::Bulk, users(1_000)).await;
    let names = (0..1_000).map(|n| format!("now{n}@corp.example"));
    let urgent = submit_as(&*store, 2, "zoom-main", Priority::Urgent, names).await;
    let engine = Engine::start(config).await.unwrap();
    // Until the urgent run is in the queue, the whole rate is the bulk's.
    let finished = async |run: &RunId| store.run(run).await.unwrap().unwrap().counters.finished;
    while finished(&urgent).await < 10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (bulk_before, urgent_before) = (finished(&bulk).await, finished(&urgent).await);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (bulk, urgent) = (finished(&bulk).await - bulk_before, finished(&urgent).await - urgent_before);
    let share = bulk as f64 / (bulk + urgent) as f64;
    assert!((0.08..=0.12).contains(&share), "{bulk} of {} were bulk", bulk + urgent);
    engine.abort().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_a_wait_stops_every_call_spends_no_attempt_and_another_account_s_rate_is_unchanged() {
    let until = Duration::from_secs(5);
    let refused = Vendor::new(80.0, move |user, call| {
        if user.id.starts_with("user100@") && call == 1 {
            let Step::Say(reply) = Step::throttled(Throttle::PerSecond) else { unreachable!() };
            // Providers tell time by the wall clock of their process: virtual time here.
            let now = Timestamp::from_millis(1_760_000_000_000).after(began().elapsed());
            return Step::Say(usher_worker::provider::Reply { retry_at: Some(now.after(until)), ..reply });
        }
        Step::Done
    });
    began();
    let well = Vendor::new(80.0, |_, _| Step::Done);
    let clock = TokioClock::new();
    let store = Arc::new(MemoryStore::new(Arc::new(clock)));
    let config = config(store.clone(), clock, &[("refused", &refused), ("well", &well)]);
    let halted = submit(&*store, 1, "refused", users(800)).await;
    let other = submit(&*store, 2, "well", users(800)).await;
    let engine = Engine::start(config).await.unwrap();
    let (halted_status, _) = tokio::join!(until_over(&*store, &halted), until_over(&*store, &other));
    engine.shutdown().await;

    let starts = refused.starts();
    let gaps: Vec<Duration> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let longest = gaps.iter().max().unwrap();
    assert!(
        *longest >= Duration::from_millis(4_900) && *longest < Duration::from_millis(5_300),
        "{longest:?}"
    );
    assert_eq!(halted_status.counters.of(Outcome::Applied), 800);
    assert_eq!(halted_status.effort.throttled, 1);
    let mut refused_job = vec![];
    for seq in 0..800 {
        let attempts = store.attempts(&halted, seq).await.unwrap();
        if attempts.len() > 1 {
            refused_job.push(attempts);
        }
    }
    assert_eq!(refused_job.len(), 1, "one job was refused, and nothing else was tried twice");
    let steady = well.starts();
    let spent = *steady.last().unwrap() - steady[0];
    assert!(spent < Duration::from_millis(10_300), "{spent:?}: the other account waited, too");
}

/// When this test began, by virtual time.
fn began() -> Instant {
    thread_local!(static BEGAN: Instant = Instant::now());
    BEGAN.with(|began| *began)
}
