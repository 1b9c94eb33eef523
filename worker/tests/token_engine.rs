//! A run worked by four engines on one Redis while tokens end, are killed, and kill each other: nobody is failed for it.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test file, its helpers included")]

#[allow(unused_imports, reason = "this file uses a part of it")]
mod engine_support;
mod token_support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engine_support::{submit, until_over};
use token_support::{Place, Vendor, account};
use usher_shared::{Outcome, SystemClock, WorkerId};
use usher_worker::{
    AccountSetup, Engine, EngineConfig, boot_clock::SystemBootClock, limiter::LimiterFactory,
};

#[tokio::test]
async fn a_run_of_four_workers_outlives_its_tokens_and_fails_nobody_for_them() {
    let mut vendor = Vendor::start(|settings| {
        settings.directory.users = 600;
        (settings.oauth.expires_in, settings.oauth.one_live_token) = (3, true);
    })
    .await;
    vendor.config.light = Some(100.0);
    let Place::Redis(redis) = Place::redis() else { panic!() };
    let url = redis.url();
    let place = Place::Redis(redis);
    let store = place.open().await;
    let users = vendor.emails().into_iter().skip(1).map(|user| user.as_str().to_owned()).collect::<Vec<_>>();
    let total = users.len() as u64;
    let run = submit(&*store, 1, "zoom-main", users).await;
    let began = Instant::now();
    let mut engines = vec![];
    for number in 0..4 {
        let (name, store) = (format!("worker-{number}"), place.open().await);
        let provider = Arc::new(vendor.worker(&name, Some(store.clone())));
        let setup = AccountSetup { name: account(), provider, protected: vec![], rules: Default::default() };
        let config = EngineConfig {
            limiter: LimiterFactory::Redis(Box::new(redis::Client::open(url.as_str()).unwrap())),
            clock: Arc::new(SystemClock),
            boot_clock: Arc::new(SystemBootClock::new()),
            ..EngineConfig::new(store, vec![setup], WorkerId::new(&name))
        };
        engines.push(Engine::start(config).await.unwrap());
    }
    let watch = async {
        while store.run(&run).await.unwrap().unwrap().counters.finished < total / 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        vendor.sim.kill_tokens();
        until_over(&*store, &run).await
    };
    let status = tokio::time::timeout(Duration::from_secs(120), watch).await.unwrap();
    let took = began.elapsed();
    for engine in engines {
        engine.shutdown().await;
    }
    assert_eq!(status.counters.of(Outcome::Applied), total, "{:?}", status.counters);
    assert_eq!(status.hold, None);
    // One at the start, one for the kill, and one whenever nine tenths of a life are over.
    let most = 2 + u64::try_from(took.as_millis()).unwrap() / 2_700;
    assert!((3..=most).contains(&vendor.granted()), "{} granted, {most} at most", vendor.granted());
    // Whoever was refused was in flight just then, and was tried again.
    let mut refused = 0;
    for seq in 0..total {
        let attempts = store.attempts(&run, seq).await.unwrap();
        refused += attempts.iter().filter(|attempt| attempt.http == Some(401)).count() as u64;
    }
    assert!((1..=total / 10).contains(&refused), "{refused} of {total} refused");
}
