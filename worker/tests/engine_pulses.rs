//! What a worker tells of itself while it works, and that it is silent while it does not.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::{sync::Arc, time::Duration};

use engine_support::*;
use usher_shared::{store::Store, *};
use usher_worker::{
    Engine,
    provider::{Reply, Throttle},
};

async fn only_pulse(store: &MemoryStore) -> Pulse {
    let mut pulses = store.pulses(&account("zoom-main")).await.unwrap();
    assert_eq!(pulses.len(), 1, "{pulses:?}");
    pulses.remove(0)
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_tells_nothing_and_one_at_work_tells_once_a_second_until_it_ends() {
    let vendor = Vendor::new(80.0, |_, _| Step::Done);
    let (store, config) = one(&vendor);
    let engine = Engine::start(config).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(store.calls("publish_pulse"), 0);

    let run = submit(&*store, 1, "zoom-main", users(2_400)).await;
    vendor.until_begun(400).await;
    let pulse = only_pulse(&store).await;
    assert_eq!((pulse.worker.as_str(), pulse.lanes[0].label.as_str()), ("test:1", "light"));
    assert!(pulse.in_flight > 0);
    let lane = &pulse.lanes[0];
    assert_eq!((lane.plan, lane.refusals, lane.paused_until), (Some(80.0), 0, None));
    assert!((74.0..=81.0).contains(&lane.started), "{lane:?}");
    until_over(&*store, &run).await;
    let told = store.calls("publish_pulse");
    assert!((28..=36).contains(&told), "{told} in 30 s");

    // The rate of the last two seconds is told down to nothing; then there is silence.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let told = store.calls("publish_pulse");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(store.calls("publish_pulse"), told);
    assert_eq!(store.pulses(&account("zoom-main")).await.unwrap(), vec![]);
    engine.shutdown().await;
    assert_eq!(only_pulse(&store).await.lanes, vec![], "its last word");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_told_with_its_end_and_a_store_that_can_not_be_reached_stops_no_work() {
    let clock = TokioClock::new();
    let vendor = Vendor::new(80.0, move |user, call| match (user.id.as_str(), call) {
        ("user200@corp.example", 1) => Step::Say(Reply {
            http: Some(429),
            throttle: Some(Throttle::PerSecond),
            retry_at: Some(Clock::now(&clock).after(Duration::from_secs(30))),
            ..Reply::of(Verdict::Throttled)
        }),
        _ => Step::Done,
    });
    let store = Arc::new(MemoryStore::new(Arc::new(clock)));
    let config = config(store.clone(), clock, &[("zoom-main", &vendor)]);
    let engine = Engine::start(config).await.unwrap();
    let run = submit(&*store, 1, "zoom-main", users(300)).await;
    vendor.until_begun(200).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lane = only_pulse(&store).await.lanes.remove(0);
    let left = lane.paused_until.unwrap().since(store.now().await.unwrap());
    assert!((Duration::from_secs(18)..Duration::from_secs(22)).contains(&left), "{left:?}");
    assert_eq!(lane.refusals, 1);
    assert!(lane.started < 0.01, "nothing starts in a pause: {lane:?}");

    store.set_away(true);
    tokio::time::sleep(Duration::from_secs(10)).await;
    store.set_away(false);
    until_over(&*store, &run).await;
    engine.shutdown().await;
}
