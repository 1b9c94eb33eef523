//! Several engines on one Redis, in real time: one pace, one outcome a job, and a worker's death loses nothing.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

mod engine_support;

use std::{sync::Arc, time::Duration};

use engine_support::*;
use usher_redis_server::{Durability, RedisServer};
use usher_shared::{
    store::{Store, redis::RedisStore},
    *,
};
use usher_worker::{
    Engine, EngineConfig, boot_clock::SystemBootClock, limiter::LimiterFactory, provider::Throttle,
};

/// A redis-server, and what the tests make with it.
struct Server(RedisServer);

impl Server {
    fn start() -> Self {
        Self(RedisServer::start(Durability::Memory, &[]))
    }

    async fn store(&self) -> Arc<RedisStore> {
        Arc::new(RedisStore::connect(&self.0.url(), None).await.unwrap())
    }

    async fn worker(&self, name: &str, vendor: &Arc<Vendor>) -> EngineConfig {
        let client = redis::Client::open(self.0.url()).unwrap();
        EngineConfig {
            worker: WorkerId::new(name),
            limiter: LimiterFactory::Redis(Box::new(client)),
            clock: Arc::new(SystemClock),
            boot_clock: Arc::new(SystemBootClock::new()),
            ..config(self.store().await, TokioClock::new(), &[("zoom-main", vendor)])
        }
    }
}

#[tokio::test]
async fn two_workers_share_one_pace_and_a_refusal_met_by_one() {
    let vendor = Vendor::new(200.0, |user, call| match (user.id.as_str(), call) {
        ("user150@corp.example", 1) => Step::throttled(Throttle::PerSecond),
        _ => Step::Done,
    });
    let server = Server::start();
    let store = server.store().await;
    let run = submit(&*store, 1, "zoom-main", users(600)).await;
    let one = Engine::start(server.worker("one", &vendor).await).await.unwrap();
    let two = Engine::start(server.worker("two", &vendor).await).await.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(120), until_over(&*store, &run)).await.unwrap();
    one.shutdown().await;
    two.shutdown().await;
    assert_eq!(status.counters.of(Outcome::Applied), 600, "{:?}", status.counters);
    assert_eq!((status.effort.throttled, status.effort.lost), (1, 0));
    assert!(!vendor.seen.lock().unwrap().met_on_one_user);
    let rows = store.outcomes(&run, 0, 5_000).await.unwrap();
    for name in ["one", "two"] {
        let done = rows
            .iter()
            .filter(|row| row.worker.as_ref().is_some_and(|worker| worker.as_str() == name))
            .count();
        assert!(done > 60, "{name} did {done} of 600");
    }
    // Starts, not arrivals; a machine that is busy elsewhere may bunch a few of them.
    let most = most_in_a_second(&vendor.starts());
    assert!(most <= 215, "{most} calls in one second");
}

#[tokio::test]
async fn a_worker_that_dies_loses_nothing_and_its_attempts_are_recorded_as_lost() {
    let mut vendor = Arc::into_inner(Vendor::new(200.0, |_, _| Step::Done)).unwrap();
    vendor.call_timeout = Duration::from_secs(1);
    let vendor = Arc::new(vendor);
    let server = Server::start();
    let store = server.store().await;
    let run = submit(&*store, 1, "zoom-main", users(500)).await;
    let mut engines = vec![];
    for name in ["dying", "living"] {
        let mut config = server.worker(name, &vendor).await;
        config.config.lease_seconds = 3.0;
        engines.push(Engine::start(config).await.unwrap());
    }
    let living = engines.pop().unwrap();
    vendor.until_begun(150).await;
    engines.pop().unwrap().abort().await;
    let status = tokio::time::timeout(Duration::from_secs(120), until_over(&*store, &run)).await.unwrap();
    living.shutdown().await;
    assert_eq!(status.counters.of(Outcome::Applied), 500, "{:?}", status.counters);
    assert!(status.counters.add_up());
    // Whatever was called and not recorded is a lost attempt.
    let unrecorded = vendor.starts().len() as u64 - status.effort.calls;
    assert!(unrecorded <= status.effort.lost, "{unrecorded} calls unrecorded, {} lost", status.effort.lost);
}
